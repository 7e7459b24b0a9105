//! `hermes setup` and `hermes telegram`, as they are typed.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::{parse_duration, run_gateway, runtime};
use crate::client::answered::answered;
use crate::client::report;
use crate::config::Config;
use crate::error::{CliError, ExitCode};
use crate::gateway::boot;
use crate::gateway::platforms::build;
use crate::home::HermesHome;
use crate::platforms::Platform;
use crate::wizard::ui::Ui as _;
use crate::wizard::ui::event::WizardEvent;
use crate::wizard::ui::json::JsonUi;
use crate::wizard::{self, Interrupts, TelegramOptions, WhatsAppOptions};
use crate::world::World;

/// The choice to start the gateway at the end.
#[derive(Debug, Args)]
pub(super) struct StartArgs {
    /// Start the gateway at the end without asking, also without a terminal
    #[arg(long, conflicts_with = "no_start")]
    start: bool,
    /// Do not start the gateway at the end, and do not ask
    #[arg(long)]
    no_start: bool,
}

impl StartArgs {
    /// `None`: it is asked.
    pub(super) fn choice(&self) -> Option<bool> {
        (self.start || self.no_start).then_some(self.start)
    }
}

#[derive(Debug, Args)]
pub(super) struct SetupArgs {
    /// A platform to set up, without asking; may be given several times
    #[arg(long = "platform", value_name = "NAME")]
    platforms: Vec<String>,
    /// Take the default answer of every question; on a terminal this also starts the gateway at the end
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    start: StartArgs,
    /// Print one JSON event a line and ask nothing
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct TelegramArgs {
    #[command(subcommand)]
    command: Option<TelegramCommand>,
    /// Take the bot's token from the first line of standard input, instead of asking for it
    #[arg(long)]
    token_stdin: bool,
    /// IDs of the people who are answered, separated by commas
    #[arg(long, value_name = "IDS")]
    allow: Option<String>,
    /// Answer everyone who finds the bot, at your cost and on your machine
    #[arg(long)]
    allow_everyone: bool,
    /// The chat that gets an alert when a platform needs you
    #[arg(long, value_name = "ID", allow_hyphen_values = true)]
    home_channel: Option<String>,
    /// Do not wait for a first message to detect your ID
    #[arg(long)]
    no_wait: bool,
    /// Time to wait for your message, for example 90s or 5m
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = parse_duration)]
    timeout: Duration,
    /// Take the default answer of every question: the first who writes while it waits is the owner, and on a terminal the
    /// gateway is started at the end
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    start: StartArgs,
    /// Print one JSON event a line and ask nothing
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum TelegramCommand {
    /// Show how Telegram is set up and what is missing
    Status {
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
    /// Turn Telegram on (needs a token)
    Enable {
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
    /// Turn Telegram off; the token is kept
    Disable {
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
}

impl TelegramArgs {
    /// True when it asks its questions.
    pub(super) fn is_wizard(&self) -> bool {
        self.command.is_none()
    }

    /// True when it changes settings.
    pub(super) fn sets_up(&self) -> bool {
        !matches!(self.command, Some(TelegramCommand::Status { .. }))
    }
}

/// `hermes setup`.
pub(super) fn setup(world: &World, home: &HermesHome, args: &SetupArgs) -> Result<ExitCode, CliError> {
    if !args.json {
        return set_up(world, home, args, &mut |_| {});
    }
    let mut ui = JsonUi::new(std::io::stdout());
    let mut tell = |event| ui.event(&event);
    set_up(world, home, args, &mut tell).or_else(|error| {
        tell(WizardEvent::failed(&error));
        Ok(error.exit())
    })
}

/// The wizards one after another. One that fails does not keep the next from its turn; an interrupt ends all.
fn set_up(
    world: &World,
    home: &HermesHome,
    args: &SetupArgs,
    tell: &mut dyn FnMut(WizardEvent),
) -> Result<ExitCode, CliError> {
    let known = |name: &String| {
        let platform = name.parse::<Platform>().ok().filter(|platform| Platform::ALL.contains(platform));
        platform.ok_or_else(|| {
            CliError::usage(format!("unknown platform `{name}`")).hint("See `hermes platform list`.")
        })
    };
    let mut picked = args.platforms.iter().map(known).collect::<Result<Vec<_>, _>>()?;
    let runtime = runtime()?;
    let mut interrupts = runtime.block_on(async { Interrupts::listen() })?;
    if picked.is_empty() && args.json {
        return Err(wizard::platforms::unpicked(true));
    }
    if picked.is_empty() {
        let states = report::setup_states(world, home)?;
        picked = runtime.block_on(wizard::platforms::pick(world, &states, &mut interrupts))?;
    }
    let (mut exit, mut done, mut failed) = (ExitCode::Ok, Vec::new(), Vec::new());
    for (at, platform) in picked.iter().copied().enumerate() {
        let name = platform.spec().name;
        tell(WizardEvent::Platform { platform: name });
        // Between two wizards: the next is not begun.
        let is_begun = !interrupts.came();
        let ended = if is_begun {
            runtime.block_on(run_wizard(world, home, args, platform, &mut interrupts))
        } else {
            ExitCode::Interrupted
        };
        if ended == ExitCode::Interrupted {
            let rest: Vec<_> = picked.iter().skip(at).map(|platform| platform.spec().name).collect();
            if !args.json && picked.len() > 1 {
                let unreached = &rest[usize::from(is_begun)..];
                wizard::platforms::say_where_it_stopped(world, &done, &failed, unreached);
            }
            failed.extend(rest);
            tell(WizardEvent::SetupCancelled { done, not_done: failed });
            return Ok(ExitCode::Interrupted);
        }
        match ended {
            ExitCode::Ok => done.push(name),
            ExitCode::Failed
            | ExitCode::Usage
            | ExitCode::NotRunning
            | ExitCode::Restart
            | ExitCode::Config
            | ExitCode::Interrupted => {
                exit = ended;
                failed.push(name);
            }
        }
    }
    if args.json {
        tell(WizardEvent::Finished { done, failed });
        return Ok(exit);
    }
    report::print("\n")?;
    let is_running = report::platform_status(world, home, false)? != ExitCode::NotRunning;
    // A gateway without a platform would end at once.
    let has_purpose = build::enabled(&Config::load(world, home)?).next().is_some();
    if exit != ExitCode::Ok || is_running || !has_purpose {
        return Ok(exit);
    }
    let choice = args.start.choice();
    let offer = wizard::platforms::offer_start(world, choice, args.yes, &mut interrupts);
    if runtime.block_on(offer)? {
        drop(runtime);
        return run_gateway(world, home, boot::RunOptions::default());
    }
    Ok(exit)
}

/// The wizard of one platform; returns how it ended.
async fn run_wizard(
    world: &World,
    home: &HermesHome,
    args: &SetupArgs,
    platform: Platform,
    interrupts: &mut Interrupts,
) -> ExitCode {
    let SetupArgs { yes, json, .. } = *args;
    let outcome = match platform {
        Platform::Whatsapp => {
            let options = WhatsAppOptions { yes, json, offers_start: false, ..WhatsAppOptions::default() };
            wizard::whatsapp(world, home, options, interrupts).await
        }
        Platform::Telegram => {
            let options = TelegramOptions { yes, json, offers_start: false, ..TelegramOptions::default() };
            wizard::telegram(world, home, options, interrupts).await
        }
        Platform::Scripted(_) => return ExitCode::Ok,
    };
    outcome.exit
}

pub(super) fn telegram(world: &World, home: &HermesHome, args: TelegramArgs) -> Result<ExitCode, CliError> {
    match args.command {
        Some(TelegramCommand::Status { json }) => {
            let answered = answered(home, &Config::load(world, home)?, Platform::Telegram);
            return wizard::telegram::status(world, home, answered, json);
        }
        Some(TelegramCommand::Enable { json }) => return wizard::telegram::enable(world, home, json),
        Some(TelegramCommand::Disable { json }) => return wizard::telegram::disable(world, home, json),
        None => {}
    }
    let options = TelegramOptions {
        token_stdin: args.token_stdin,
        allow: args.allow,
        allow_everyone: args.allow_everyone,
        start: args.start.choice(),
        home_channel: args.home_channel,
        no_wait: args.no_wait,
        timeout: args.timeout,
        yes: args.yes,
        json: args.json,
        offers_start: true,
    };
    let outcome = runtime()?.block_on(async {
        let mut interrupts = Interrupts::listen()?;
        Ok::<_, CliError>(wizard::telegram(world, home, options, &mut interrupts).await)
    })?;
    if outcome.start_gateway {
        run_gateway(world, home, boot::RunOptions::default())
    } else {
        Ok(outcome.exit)
    }
}

#[cfg(test)]
mod tests {
    use tokio::signal::unix::{SignalKind, signal};

    use super::*;

    #[test]
    fn a_ctrl_c_between_two_wizards_ends_the_command() {
        let dir = tempfile::tempdir().unwrap();
        let home = HermesHome::at(dir.path().join("home"));
        let world = World::of_env::<&str, &str>([]);
        let args = SetupArgs {
            platforms: vec!["telegram".to_owned(), "whatsapp".to_owned()],
            yes: false,
            start: StartArgs { start: false, no_start: false },
            json: true,
        };
        let here = runtime().unwrap();
        let mut heard = here.block_on(async { signal(SignalKind::interrupt()) }).unwrap();
        let mut events = Vec::new();
        let exit = set_up(&world, &home, &args, &mut |event| {
            if matches!(event, WizardEvent::Platform { platform: "whatsapp" }) {
                rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::INT)
                    .unwrap();
                here.block_on(heard.recv()).unwrap();
            }
            events.push(serde_json::to_value(event).unwrap());
        });
        assert_eq!(exit.unwrap(), ExitCode::Interrupted, "{events:?}");
        let last = events.last().unwrap();
        assert_eq!(last["event"], "cancelled", "{events:?}");
        assert_eq!(last["not_done"], serde_json::json!(["telegram", "whatsapp"]), "{events:?}");
    }
}
