//! Pure. Failures at Telegram's service, in words for the person who sets it up, with the remedy.

use std::path::Path;

use crate::error::CliError;
use crate::platforms::telegram::bot::Fault;
use crate::token_lock::Holder;

/// The failure that this fault is.
pub(super) fn of_fault(fault: &Fault) -> CliError {
    match fault {
        Fault::Refused(refusal) => match refusal.status {
            401 | 404 => CliError::failed("Telegram rejected this token")
                .code("telegram_bad_token")
                .hint("Copy the whole token from @BotFather (/mybots, then the bot, then API Token) and run `hermes telegram` again."),
            409 => conflict(),
            _ => CliError::failed(format!("Telegram answered {}: {}", refusal.status, refusal.description))
                .code("telegram_refused")
                .hint("Wait a minute, then run `hermes telegram` again."),
        },
        Fault::Way(fault) => CliError::failed(format!("Telegram {}", fault.said))
            .code("telegram_network_error")
            .hint("Check the network, and HTTPS_PROXY if you need a proxy. Then run `hermes telegram` again.")
            .hint("For a Bot API server of your own, set `api_base` under `[platforms.telegram]` in gateway.toml."),
        Fault::Garbled(what) => CliError::failed(format!("Telegram sent an invalid answer: {what}"))
            .code("telegram_protocol")
            .hint("Check `api_base` under `[platforms.telegram]` in gateway.toml, and the proxy: another service answered."),
    }
}

/// True when the token itself was refused.
pub(super) fn is_bad_token(fault: &Fault) -> bool {
    matches!(fault, Fault::Refused(refusal) if matches!(refusal.status, 401 | 404))
}

/// True when another attempt in a moment may succeed.
pub(super) fn is_passing(fault: &Fault) -> bool {
    match fault {
        Fault::Way(fault) => fault.retry != crate::net::Retry::Never,
        Fault::Refused(refusal) => matches!(refusal.status, 420 | 429 | 500..),
        Fault::Garbled(_) => false,
    }
}

/// True when another program receives the bot's messages.
pub(super) fn is_conflict(fault: &Fault) -> bool {
    matches!(fault, Fault::Refused(refusal) if refusal.status == 409)
}

pub(super) fn conflict() -> CliError {
    CliError::failed("another program receives the messages of this bot")
        .code("telegram_polling_conflict")
        .hint("Stop that program, or create another bot with @BotFather.")
        .hint("To continue without waiting for a message, use `--allow IDS` or `--no-wait`.")
}

/// The gateway of this home has the bot at work.
pub(super) fn at_work() -> CliError {
    CliError::failed("the gateway is running with this bot, so the wizard cannot wait for a message")
        .code("telegram_in_use")
        .hint("Use `--allow IDS` or `--no-wait`, or stop the gateway first with `hermes gateway stop`.")
        .hint("To learn your ID, write to the bot: `hermes pairing list` then shows it.")
}

/// The service brings the bot's messages to the gateway of these settings.
pub(super) fn brought() -> CliError {
    CliError::failed(
        "Telegram brings this bot's messages to the gateway's webhook, so the wizard cannot wait for one",
    )
    .code("telegram_in_use")
    .hint("Use `--allow IDS` or `--no-wait`.")
}

/// So much waits at the service that nothing new is seen without confirming the old.
pub(super) fn full() -> CliError {
    CliError::failed("too many waiting messages for this bot; a new one cannot be seen")
        .code("telegram_queue_full")
        .hint("Use `--allow IDS` or `--no-wait`; the gateway answers waiting messages when it starts.")
}

/// A gateway with another home has the bot at work.
pub(super) fn locked(holder: Option<&Holder>) -> CliError {
    let who = holder
        .map_or(String::new(), |holder| format!(" (process {}, home {})", holder.pid, shown(&holder.home)));
    CliError::failed(format!("another local gateway is already using this Telegram bot token{who}"))
        .code("telegram_token_lock")
        .hint("Stop that gateway, or create another bot with @BotFather.")
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
