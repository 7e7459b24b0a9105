//! `hermes setup` and `hermes telegram`, as they are typed.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::{parse_duration, run_gateway, runtime};
use crate::config::Config;
use crate::error::{CliError, ExitCode};
use crate::gateway::boot;
use crate::gateway::platforms::build;
use crate::gateway::status::report;
use crate::home::HermesHome;
use crate::platform::Platform;
use crate::wizard::event::WizardEvent;
use crate::wizard::json_ui::JsonUi;
use crate::wizard::ui::Ui as _;
use crate::wizard::{self, TelegramOptions, WhatsAppOptions};
use crate::world::World;

#[derive(Debug, Args)]
pub(super) struct SetupArgs {
    /// A platform to set up, without asking; may be given several times
    #[arg(long = "platform", value_name = "NAME")]
    platforms: Vec<String>,
    /// Take the default answer for every confirmation
    #[arg(long)]
    yes: bool,
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
    /// Ids of the people who are answered, separated by commas; `*` for everybody
    #[arg(long, value_name = "IDS")]
    allow: Option<String>,
    /// The chat in which you are told that a platform needs you
    #[arg(long, value_name = "ID", allow_hyphen_values = true)]
    home_channel: Option<String>,
    /// Do not wait for a first message to learn your id
    #[arg(long)]
    no_wait: bool,
    /// How long to wait for your message, for example 90s or 5m
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = parse_duration)]
    timeout: Duration,
    /// Take the default answer for every confirmation; who writes first while it waits is the owner
    #[arg(long)]
    yes: bool,
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
            CliError::usage(format!("there is no platform `{name}`"))
                .hint("`hermes platform list` shows all.")
        })
    };
    let mut picked = args.platforms.iter().map(known).collect::<Result<Vec<_>, _>>()?;
    let runtime = runtime()?;
    if picked.is_empty() && args.json {
        return Err(wizard::platforms::unpicked());
    }
    if picked.is_empty() {
        let states = report::setup_states(world, home)?;
        picked = runtime.block_on(wizard::platforms::pick(world, &states))?;
    }
    let (mut exit, mut failed) = (ExitCode::Ok, Vec::new());
    for platform in picked {
        let name = platform.spec().name;
        tell(WizardEvent::Platform { platform: name });
        let SetupArgs { yes, json, .. } = *args;
        let outcome = match platform {
            Platform::Whatsapp => {
                let options =
                    WhatsAppOptions { yes, json, offers_start: false, ..WhatsAppOptions::default() };
                runtime.block_on(wizard::whatsapp(world, home, options))?
            }
            Platform::Telegram => {
                let options =
                    TelegramOptions { yes, json, offers_start: false, ..TelegramOptions::default() };
                runtime.block_on(wizard::telegram(world, home, options))?
            }
            Platform::Scripted(_) => continue,
        };
        if outcome.exit == ExitCode::Interrupted {
            return Ok(ExitCode::Interrupted);
        }
        if outcome.exit != ExitCode::Ok {
            exit = outcome.exit;
            failed.push(name);
        }
    }
    if args.json {
        tell(WizardEvent::Finished { failed });
        return Ok(exit);
    }
    report::print("\n")?;
    let is_running = report::platform_status(world, home, false)? != ExitCode::NotRunning;
    // A gateway without a platform would end at once.
    let has_purpose = build::enabled(&Config::load(world, home)?).next().is_some();
    if exit != ExitCode::Ok || is_running || args.yes || !has_purpose {
        return Ok(exit);
    }
    if runtime.block_on(wizard::platforms::offer_start(world))? {
        drop(runtime);
        return run_gateway(world, home, boot::RunOptions::default());
    }
    Ok(exit)
}

pub(super) fn telegram(world: &World, home: &HermesHome, args: TelegramArgs) -> Result<ExitCode, CliError> {
    if let Some(TelegramCommand::Status { json }) = args.command {
        return wizard::telegram::status(world, home, json);
    }
    let options = TelegramOptions {
        token_stdin: args.token_stdin,
        allow: args.allow,
        home_channel: args.home_channel,
        no_wait: args.no_wait,
        timeout: args.timeout,
        yes: args.yes,
        json: args.json,
        offers_start: true,
    };
    let outcome = runtime()?.block_on(wizard::telegram(world, home, options))?;
    if outcome.start_gateway {
        run_gateway(world, home, boot::RunOptions::default())
    } else {
        Ok(outcome.exit)
    }
}
