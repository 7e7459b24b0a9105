//! `hermes telegram status`.

use std::fmt::Write;

use serde::Serialize;

use crate::config::{AllowList, Config};
use crate::error::{CliError, ExitCode};
use crate::home::HermesHome;
use crate::platform::Platform;
use crate::preflight::origin::with_origin;
use crate::preflight::telegram::{TokenFact, findings, token_fact};
use crate::preflight::{Finding, access, is_blocked};
use crate::wizard::telegram::people::show_allow;
use crate::wizard::term_ui::print;
use crate::world::World;

/// What `status --json` shows.
#[derive(Debug, Serialize)]
struct Report {
    enabled: bool,
    /// `set`, `malformed` or `missing`.
    token: &'static str,
    allowed: Vec<String>,
    home_channel: Option<String>,
    findings: Vec<Finding>,
}

/// Shows how Telegram is set up, without asking the service. Exit 0 when nothing blocks it, else 1.
///
/// # Errors
/// When the settings cannot be read.
pub fn status(world: &World, home: &HermesHome, json: bool) -> Result<ExitCode, CliError> {
    let config = Config::load(world, home)?;
    let report = report(&config);
    let is_untouched =
        report.token == "missing" && report.allowed.is_empty() && report.home_channel.is_none();
    let text = if is_untouched && !json {
        format!("Telegram is not set up in {}. Run `hermes telegram`.\n", home.root().display())
    } else if json {
        let line = serde_json::to_string(&report).expect("a report has only strings and switches");
        format!("{line}\n")
    } else {
        prose(&config, &report)
    };
    print(&text);
    Ok(if is_blocked(&report.findings) { ExitCode::Failed } else { ExitCode::Ok })
}

fn report(config: &Config) -> Report {
    let mut findings = findings(&config.telegram);
    if config.telegram.token.is_some() {
        findings.extend(access::findings(Platform::Telegram, config.access(Platform::Telegram)));
    }
    Report {
        enabled: config.telegram.enabled,
        token: match token_fact(&config.telegram) {
            TokenFact::Set => "set",
            TokenFact::Malformed => "malformed",
            TokenFact::Missing => "missing",
        },
        allowed: match &config.access(Platform::Telegram).allowed {
            AllowList::Nobody => Vec::new(),
            AllowList::Only(ids) => ids.clone(),
            AllowList::Everybody => vec!["*".to_owned()],
        },
        home_channel: config.home_channels.get(&Platform::Telegram).cloned(),
        findings: with_origin(Platform::Telegram, findings, config),
    }
}

fn prose(config: &Config, report: &Report) -> String {
    let mut text = String::from("Telegram\n");
    let mut row = |word: &str, value: &str| {
        writeln!(text, "  {word:<10}{value}").expect("writing to a String does not fail");
    };
    row("enabled", if report.enabled { "yes" } else { "no" });
    row("token", report.token);
    row("answers", &show_allow(&config.access(Platform::Telegram).allowed));
    row("tells", report.home_channel.as_deref().unwrap_or("nobody"));
    for finding in &report.findings {
        write!(text, "\n  {}: {}\n    {}\n", finding.code.as_str(), finding.message, finding.fix)
            .expect("writing to a String does not fail");
    }
    text
}
