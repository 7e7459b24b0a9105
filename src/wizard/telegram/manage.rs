//! `hermes telegram status|enable|disable`.

use std::fmt::Write;

use serde::Serialize;

use crate::config::Config;
use crate::error::{CliError, ExitCode, with_code};
use crate::home::HermesHome;
use crate::platforms::Platform;
use crate::preflight::access::Answered;
use crate::preflight::origin::with_origin;
use crate::preflight::telegram::{TokenFact, findings, token_fact};
use crate::preflight::{Finding, is_blocked};
use crate::wizard::switch::{Done, refuse_turned_off, switch};
use crate::wizard::telegram::people::show_answered;
use crate::wizard::ui::terminal::{print, print_text};
use crate::world::World;

/// The document of `status --json`.
#[derive(Debug, Serialize)]
struct Report {
    enabled: bool,
    /// `set`, `malformed` or `missing`.
    token: &'static str,
    /// By the word of a running gateway, else by the settings.
    allowed: Vec<String>,
    /// By a code.
    approved: Vec<String>,
    home_channel: Option<String>,
    findings: Vec<Finding>,
}

/// Shows how Telegram is set up and who is answered, without asking the service. Exit 0 when nothing blocks it, else 1.
///
/// # Errors
/// When the settings cannot be read.
pub fn status(
    world: &World,
    home: &HermesHome,
    answered: Answered,
    json: bool,
) -> Result<ExitCode, CliError> {
    let config = Config::load(world, home)?;
    let report = report(&config, answered);
    let is_untouched =
        report.token == "missing" && report.allowed.is_empty() && report.home_channel.is_none();
    if json {
        let line = serde_json::to_string(&report).expect("a report has only strings and switches");
        print(&format!("{line}\n"));
    } else if is_untouched {
        print_text(&format!("Telegram is not set up in {}. Run `hermes telegram`.\n", home.root().display()));
    } else {
        print_text(&prose(&report));
    }
    Ok(if is_blocked(&report.findings) { ExitCode::Failed } else { ExitCode::Ok })
}

/// Turns Telegram on. Refuses where it has no token.
///
/// # Errors
/// When there is no token, or the settings cannot be read or written.
pub fn enable(world: &World, home: &HermesHome, json: bool) -> Result<ExitCode, CliError> {
    let config = Config::load(world, home)?;
    match token_fact(&config.telegram) {
        TokenFact::Set => {}
        TokenFact::Missing => {
            return Err(CliError::failed("Telegram is not set up")
                .code("telegram_token_missing")
                .hint("Run `hermes telegram`."));
        }
        TokenFact::Malformed => {
            return Err(CliError::failed("TELEGRAM_BOT_TOKEN is not a bot token")
                .code("telegram_bad_token")
                .hint("Run `hermes telegram` with a token from @BotFather."));
        }
    }
    let changed = switch(home, SWITCH, true, &config)?;
    refuse_turned_off(Platform::Telegram, &config)?;
    let state = if changed { "on" } else { "already on" };
    let words = format!(
        "Telegram is {state}. A running gateway connects by itself; otherwise start it with `hermes gateway run`."
    );
    Done { enabled: true, changed, moved_to: None }.say(json, &words);
    Ok(ExitCode::Ok)
}

/// Turns Telegram off; the token and the lists stay.
///
/// # Errors
/// When the settings cannot be read or written.
pub fn disable(world: &World, home: &HermesHome, json: bool) -> Result<ExitCode, CliError> {
    let config = Config::load(world, home)?;
    let is_set_up = config.telegram.token.is_some();
    let changed = is_set_up && switch(home, SWITCH, false, &config)?;
    let words = match (is_set_up, changed) {
        (false, _) => format!("Telegram is not set up in {}. Run `hermes telegram`.", home.root().display()),
        (true, changed) => {
            let state = if changed { "off" } else { "already off" };
            format!("Telegram is {state}. The token is kept. Turn it on again with `hermes telegram enable`.")
        }
    };
    Done { enabled: false, changed, moved_to: None }.say(json, &words);
    Ok(ExitCode::Ok)
}

/// Says `false` where Telegram is off although there is a token.
const SWITCH: &str = "TELEGRAM_ENABLED";

fn report(config: &Config, answered: Answered) -> Report {
    let mut findings = findings(config);
    findings = with_origin(Platform::Telegram, findings, config);
    if config.telegram.token.is_some() {
        findings.extend(answered.findings);
    }
    Report {
        enabled: config.telegram.enabled,
        token: match token_fact(&config.telegram) {
            TokenFact::Set => "set",
            TokenFact::Malformed => "malformed",
            TokenFact::Missing => "missing",
        },
        allowed: answered.allowed,
        approved: answered.approved,
        home_channel: config.platform(Platform::Telegram).home_channel.clone(),
        findings,
    }
}

fn prose(report: &Report) -> String {
    let mut text = String::from("Telegram\n");
    let mut row = |word: &str, value: &str| {
        writeln!(text, "  {word:<10}{value}").expect("writing to a String does not fail");
    };
    row("enabled", if report.enabled { "yes" } else { "no" });
    row("token", report.token);
    row("answers", &show_answered(&report.allowed, &report.approved));
    row("alerts", report.home_channel.as_deref().unwrap_or("off"));
    for finding in &report.findings {
        write!(text, "\n  {}\n    {}\n", with_code(&finding.message, finding.code.as_str()), finding.fix)
            .expect("writing to a String does not fail");
    }
    text
}
