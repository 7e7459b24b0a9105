//! `hermes dead` and `hermes send`, as they are typed.

use std::io::Read as _;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::{columns, parse_duration, runtime};
use crate::client::dead;
use crate::client::send::{self, Sending};
use crate::error::{CliError, ExitCode};
use crate::gateway::ops::dead_letters::desk;
use crate::gateway::ops::dead_letters::view::Asked;
use crate::gateway::pipeline::delivery::target::Target;
use crate::home::HermesHome;
use crate::world::World;

#[derive(Debug, Subcommand)]
pub(super) enum DeadCommand {
    /// List undelivered messages; `show` displays the text
    List {
        #[command(flatten)]
        filter: FilterArgs,
    },
    /// Show undelivered messages with their chat and text
    Show(PickArgs),
    /// Send or answer them again, with all attempts
    Retry(PickArgs),
    /// Delete them for good
    Drop(PickArgs),
}

#[derive(Debug, Args)]
pub(super) struct PickArgs {
    /// Their ids, such as out-7, or `all`
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    #[command(flatten)]
    filter: FilterArgs,
}

#[derive(Debug, Args)]
pub(super) struct FilterArgs {
    /// Only of this platform
    #[arg(long, value_name = "NAME")]
    platform: Option<String>,
    /// Only those to the agent (in) or to people (out)
    #[arg(long, value_name = "in|out")]
    direction: Option<String>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct SendArgs {
    /// The chat: PLATFORM:CHAT, or PLATFORM for its home channel
    #[arg(value_parser = Target::parse)]
    target: Target,
    /// The text, in Markdown; `-` reads it from standard input
    text: String,
    /// Wait until it is sent, at most this long (2m if no time is given)
    #[arg(long, value_name = "TIME", num_args = 0..=1, require_equals = true, default_missing_value = "2m",
          value_parser = parse_duration)]
    wait: Option<Duration>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// `hermes dead`.
pub(super) fn dead(home: &HermesHome, command: DeadCommand) -> Result<ExitCode, CliError> {
    let (verb, PickArgs { ids, filter }) = match command {
        DeadCommand::List { filter } => (desk::Verb::List, PickArgs { ids: Vec::new(), filter }),
        DeadCommand::Show(pick) => (desk::Verb::Show, pick),
        DeadCommand::Retry(pick) => (desk::Verb::Retry, pick),
        DeadCommand::Drop(pick) => (desk::Verb::Drop, pick),
    };
    let FilterArgs { platform, direction, json } = filter;
    let cols = columns(&console::Term::stdout());
    runtime()?.block_on(dead::run(home, verb, Asked { ids, platform, direction }, json, cols))
}

/// The whole of standard input, as far as one message can be long.
fn read_stdin() -> Result<String, CliError> {
    const BYTES_MAX: u64 = 512 * 1024;
    let mut text = String::new();
    std::io::stdin()
        .lock()
        .take(BYTES_MAX)
        .read_to_string(&mut text)
        .map_err(|error| CliError::failed("standard input cannot be read").because(error))?;
    Ok(text)
}

/// `hermes send`.
pub(super) fn send(world: &World, home: &HermesHome, args: SendArgs) -> Result<ExitCode, CliError> {
    let SendArgs { target, text, wait, json } = args;
    let text = if text == "-" { read_stdin()? } else { text };
    send::run(world, home, &Sending { target, text, wait, json })
}
