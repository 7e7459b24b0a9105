//! `hermes telegram`: starts the wizard, hears signals, and reads the token where it comes by standard input.

use std::io::{BufRead, Read};

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::error::CliError;
use crate::facts;
use crate::home::HermesHome;
use crate::platforms::Platform;
use crate::preflight::trust;
use crate::sensitive::Secret;
use crate::token_lock::TokenLocks;
use crate::wizard::runner::Outcome;
use crate::wizard::runner::{End, Interrupts, show_end};
use crate::wizard::telegram::options::TelegramOptions;
use crate::wizard::telegram::service::BotApi;
use crate::wizard::telegram::setup::{Found, Remains, TelegramSetup};
use crate::wizard::ui::Ui;
use crate::wizard::ui::event::WizardEvent;
use crate::wizard::ui::json::JsonUi;
use crate::wizard::ui::terminal::TermUi;
use crate::world::World;

/// The longest line of standard input that is read.
const LINE_LEN_MAX: u64 = 4096;

/// Runs the wizard: `hermes telegram`. What went wrong was shown when it returns.
pub async fn telegram(
    world: &World,
    home: &HermesHome,
    options: TelegramOptions,
    interrupts: &mut Interrupts,
) -> Outcome {
    let mut ui: Box<dyn Ui> =
        if options.json { Box::new(JsonUi::new(std::io::stdout())) } else { Box::new(TermUi::new(world)) };
    ui.event(&WizardEvent::Started);
    let cancel = CancellationToken::new();
    let running = async {
        match begin(world, home, &options, &cancel).await {
            Ok((found, services)) => {
                TelegramSetup::new(home, found, options, ui.as_mut(), &services, &cancel).run().await
            }
            Err(end) => show_end(ui.as_mut(), &end, &Remains::Nothing.closing()),
        }
    };
    interrupts.over(&cancel, running).await
}

/// Reads what is set, and what is given.
async fn begin(
    world: &World,
    home: &HermesHome,
    options: &TelegramOptions,
    cancel: &CancellationToken,
) -> Result<(Found, BotApi), End> {
    if options.token_stdin && world.stdin_tty {
        let error =
            CliError::usage("`--token-stdin` reads from a file or a pipe, but standard input is a terminal");
        return Err(error
            .hint(if options.json {
                "Give the token so: hermes telegram --token-stdin --json < FILE"
            } else {
                "Leave it out; the wizard then asks for the token without showing it."
            })
            .into());
    }
    let config = Config::load(world, home)?;
    trust::check(&facts::trust(world))?;
    let given = if options.token_stdin {
        let line = tokio::select! {
            biased;
            () = cancel.cancelled() => return Err(End::Cancelled),
            line = first_line() => line?,
        };
        Some(line)
    } else {
        None
    };
    let access = config.access(Platform::Telegram);
    let telegram = &config.telegram;
    let found = Found {
        token: telegram.token.clone(),
        of_process: config.of_process.clone(),
        allowed: access.allowed.clone(),
        home_channel: config.platform(Platform::Telegram).home_channel.clone(),
        wants_groups: access.has_groups(),
        webhook: telegram.webhook.as_ref().map(|webhook| webhook.url.clone()),
        is_turned_off: config.platform(Platform::Telegram).is_turned_off(),
        is_off_in_agent: telegram.is_off_in_agent,
        locks: TokenLocks::of(world, home),
        given,
    };
    let services = BotApi {
        api_base: telegram.api_base.clone(),
        file_base: telegram.file_base.clone(),
        proxy: telegram.proxy.clone(),
    };
    Ok((found, services))
}

/// The first line of standard input. Reading it blocks, on a thread that the end of the program does not wait for.
async fn first_line() -> Result<Secret, CliError> {
    let failed = || {
        CliError::usage("standard input cannot be read").hint("Example: hermes telegram --token-stdin < FILE")
    };
    let (line, read) = oneshot::channel();
    std::thread::Builder::new()
        .name("token".to_owned())
        .spawn(move || {
            let mut bytes = Vec::new();
            let result = std::io::stdin().lock().take(LINE_LEN_MAX).read_until(b'\n', &mut bytes);
            drop(line.send(result.map(|_| String::from_utf8_lossy(&bytes).into_owned())));
        })
        .map_err(|error| failed().because(error))?;
    match read.await {
        // Some editors begin a file with a mark of its encoding.
        Ok(Ok(text)) => Ok(Secret(text.trim_start_matches('\u{feff}').trim().to_owned())),
        Ok(Err(error)) => Err(failed().because(error)),
        Err(_) => Err(failed()),
    }
}
