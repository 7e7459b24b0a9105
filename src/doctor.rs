//! `hermes doctor`: checks all that hermes needs, asks the running gateway, and shows the remedies. It changes nothing,
//! unless `--fix` is given.
//!
//! - [`gateway`]: the running gateway's report (pure). [`agent`]: the agent. [`files`]: the home folder. [`repair`]: `--fix`.

mod agent;
mod files;
mod gateway;
mod repair;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::bridge::{install, toolchain};
use crate::client::report;
use crate::client::view::View;
use crate::clock::Now;
use crate::config::{Config, shadow_remedy, shadow_warning};
use crate::control_client::report;
use crate::durable::Lock;
use crate::error::{CODES_PAGE, CliError, ExitCode, with_code};
use crate::facts;
use crate::gateway::model::snapshot::Snapshot;
use crate::gateway::platforms::build;
use crate::home::HermesHome;
use crate::migrate::outlook::{Outlook, outlook};
use crate::ownership;
use crate::pairing::Pairing;
use crate::platforms::Platform;
use crate::platforms::whatsapp::phone;
use crate::preflight::{
    self, BridgeFact, Code, Facts, Finding, NODE_MAJOR_MIN, NodeFact, SessionFact, Severity,
};
use crate::world::World;
use crate::wrap::wrapped;
use agent::Probe;
use gateway::Ignored;
use repair::Repair;

/// Prints the report, after the repairs of `--fix`. Exit 0 when no person is needed, else 1; a warning alone is 0.
///
/// # Errors
/// When the output cannot be written.
pub async fn run(world: &World, home: &HermesHome, json: bool, fix: bool) -> Result<ExitCode, CliError> {
    let repairs = if fix { Some(repair::run(world, home).await) } else { None };
    let config = Config::load(world, home);
    let probe = match &config {
        Ok(config) if preflight::trust::check(&facts::trust(world)).is_ok() => {
            agent::probe(&config.agent).await
        }
        Ok(_) | Err(_) => None,
    };
    let report = Report::make(world, home, config, probe.as_ref(), repairs);
    let text = if json {
        let text = serde_json::to_string_pretty(&report).expect("a report has only strings for keys");
        format!("{text}\n")
    } else {
        let stdout = report::look(world);
        let signs = if stdout.utf8 { SIGNS } else { PLAIN_SIGNS };
        report.to_text(Look { signs, colour: stdout.colour, width: stdout.width })
    };
    report::print(&text)?;
    Ok(if report.ok { ExitCode::Ok } else { ExitCode::Failed })
}

/// The verdict on one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    Good,
    /// Neither good nor bad: a choice.
    Info,
    /// Worth a look.
    Warning,
    /// A person is needed.
    Blocking,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Check {
    status: Status,
    /// The stable code: of a finding its code, of a platform its error code or its name.
    code: String,
    /// A sentence without its period.
    message: String,
    /// The remedy, in sentences.
    fix: Option<String>,
}

impl Check {
    fn of(status: Status, code: &str, message: impl Into<String>, fix: impl Into<String>) -> Self {
        let fix = Some(fix.into()).filter(|fix: &String| !fix.is_empty());
        Self { status, code: code.to_owned(), message: message.into(), fix }
    }

    fn good(code: &str, message: impl Into<String>) -> Self {
        Self::of(Status::Good, code, message, "")
    }

    fn info(code: &str, message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::of(Status::Info, code, message, fix)
    }

    fn warning(code: &str, message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::of(Status::Warning, code, message, fix)
    }

    fn problem(code: &str, message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::of(Status::Blocking, code, message, fix)
    }

    /// Returns the message for people, with its code where something is wrong. The name of a part of hermes is not a code of
    /// a fault.
    fn shown(&self) -> Cow<'_, str> {
        let is_part = self.code == "gateway" || self.code.parse::<Platform>().is_ok();
        match self.status {
            Status::Warning | Status::Blocking if !is_part => with_code(&self.message, &self.code).into(),
            Status::Good | Status::Info | Status::Warning | Status::Blocking => self.message.as_str().into(),
        }
    }
}

impl From<Finding> for Check {
    fn from(finding: Finding) -> Self {
        let status = match finding.severity {
            Severity::Blocking => Status::Blocking,
            Severity::Warning => Status::Warning,
        };
        Self::of(status, finding.code.as_str(), finding.message, finding.fix)
    }
}

/// All checks.
#[derive(Debug, Serialize)]
struct Report {
    /// True when no person is needed.
    ok: bool,
    version: &'static str,
    home: String,
    session: String,
    bridge: String,
    /// The gateway, as `gateway status --json` shows it.
    gateway: Value,
    /// The work of `--fix`; nothing without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    repairs: Option<Vec<Repair>>,
    checks: Vec<Check>,
}

/// The subject of all checks.
struct Case<'a> {
    world: &'a World,
    home: &'a HermesHome,
    /// The gateway, asked once.
    view: View,
    /// The gateway's report, while it is fresh.
    word: Option<Snapshot>,
    /// Senders that the gateway has ignored.
    ignored: Vec<Ignored>,
    now: Timestamp,
}

impl Report {
    fn make(
        world: &World,
        home: &HermesHome,
        config: Result<Config, CliError>,
        probe: Option<&Probe>,
        repairs: Option<Vec<Repair>>,
    ) -> Self {
        if let Err(error) = ownership::check_entry(world, home.root()) {
            let closed = Check::problem(error.code, error.to_string(), error.hints.join(" "));
            return Self::with(home, Value::Null, repairs, vec![closed]);
        }
        let (mut view, snapshot) = report::gateway(home);
        view.is_unset = config.as_ref().is_ok_and(|config| build::enabled(config).next().is_none());
        let word = snapshot.filter(|_| view.is_believed());
        let ignored = if word.is_some() { ignored(home) } else { Vec::new() };
        Self::of(&Case { world, home, view, word, ignored, now: Now::read().wall }, config, probe, repairs)
    }

    fn of(
        case: &Case<'_>,
        config: Result<Config, CliError>,
        probe: Option<&Probe>,
        repairs: Option<Vec<Repair>>,
    ) -> Self {
        let (world, home) = (case.world, case.home);
        let mut checks = gateway::checks(&case.view, case.word.as_ref(), case.now);
        checks.extend(gateway::ignored(&case.ignored, case.word.as_ref(), case.now));
        checks.extend(lock(home));
        // A running gateway may have reported the same.
        let mut files = files::checks(world, home);
        files.retain(|found| checks.iter().all(|told| told.code != found.code));
        checks.extend(files);
        match &config {
            Ok(config) => checks.extend(case.settings(config, probe)),
            // The enabled platforms and the agent are not known until they can be read.
            Err(error) => {
                checks.retain(|check| check.code != "config_stale");
                checks.extend(case.platforms_of_gateway(|_| true));
                checks.push(Check::problem(error.code, error.to_string(), error.hints.join(" ")));
            }
        }
        let mut gateway = case.view.to_json();
        if let Some(gateway) = gateway.as_object_mut() {
            gateway.remove("platforms");
            gateway.remove("findings");
        }
        Self::with(home, gateway, repairs, checks)
    }

    fn with(home: &HermesHome, gateway: Value, repairs: Option<Vec<Repair>>, checks: Vec<Check>) -> Self {
        let paths = home.whatsapp();
        Self {
            ok: checks.iter().all(|check| check.status != Status::Blocking),
            version: env!("CARGO_PKG_VERSION"),
            home: home.root().display().to_string(),
            session: paths.session_dir().display().to_string(),
            bridge: paths.bridge_root().join(install::content_hash()).display().to_string(),
            gateway,
            repairs,
            checks,
        }
    }

    fn to_text(&self, look: Look) -> String {
        let mut text = format!(
            "hermes {}\n  home     {}\n  session  {}\n  bridge   {}\n\n",
            self.version, self.home, self.session, self.bridge
        );
        let mut line = |status, message: &str, fix: Option<&String>| {
            let indent = look.sign_width() + 1;
            let message = wrapped(message, indent, look.width);
            text.push_str(&format!("{} {}", look.sign(status), message.trim_start()));
            for fix in fix.into_iter().flat_map(|fix| fix.lines()) {
                text.push_str(&wrapped(fix, indent, look.width));
            }
        };
        for Repair { done, message, fix } in self.repairs.iter().flatten() {
            let (status, word) =
                if *done { (Status::Good, "Repaired") } else { (Status::Warning, "Not repaired") };
            line(status, &format!("{word}: {message}"), fix.as_ref());
        }
        for check in &self.checks {
            line(check.status, &check.shown(), check.fix.as_ref());
        }
        if let Some([]) = self.repairs.as_deref() {
            text.push_str("\nNothing to repair.\n");
        } else {
            text.push('\n');
        }
        let count = |status| self.checks.iter().filter(|check| check.status == status).count();
        let of =
            |count: usize, one: &str| if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") };
        text.push_str(&match (count(Status::Blocking), count(Status::Warning)) {
            (0, 0) => "No problems.\n".to_owned(),
            (0, warnings) => format!("No problems, {}.\n", of(warnings, "warning")),
            (problems, 0) => format!("{}.\n", of(problems, "problem")),
            (problems, warnings) => format!("{}, {}.\n", of(problems, "problem"), of(warnings, "warning")),
        });
        if self.checks.iter().any(|check| check.shown() != check.message) {
            text.push_str(&format!("{CODES_PAGE} explains each [code].\n"));
        }
        text
    }
}

/// Means to draw the report with.
#[derive(Debug, Clone, Copy)]
struct Look {
    /// Good, information, warning, problem.
    signs: [&'static str; 4],
    colour: bool,
    /// Columns; 0 where that is not known.
    width: usize,
}

const SIGNS: [&str; 4] = ["✓", "○", "!", "✗"];
const PLAIN_SIGNS: [&str; 4] = ["ok  ", "info", "WARN", "FAIL"];

impl Look {
    fn sign(self, status: Status) -> String {
        let [good, info, warning, blocking] = self.signs.map(console::style);
        let sign = match status {
            Status::Good => good.green(),
            Status::Info => info.dim(),
            Status::Warning => warning.yellow(),
            Status::Blocking => blocking.red(),
        };
        sign.force_styling(self.colour).to_string()
    }

    fn sign_width(self) -> usize {
        self.signs[0].chars().count()
    }
}

/// Returns the senders that the running gateway has ignored; none where it does not answer.
fn ignored(home: &HermesHome) -> Vec<Ignored> {
    report(home, "/v1/ignored", "ignored").unwrap_or_default()
}

/// Returns a check of the lock: one that cannot be inspected prevents every start.
fn lock(home: &HermesHome) -> Option<Check> {
    let error = Lock::holder(&home.lock_file()).err()?;
    let path = preflight::quoted(&home.lock_file().display().to_string());
    Some(Check::problem(
        "gateway_lock",
        format!("hermes cannot check if a gateway is running: {error}"),
        format!("Check its owner and mode: `ls -l {path}`."),
    ))
}

/// Returns a check of things that hermes-agent left in this home and that are not in effect here.
fn hermes_agent(world: &World, home: &HermesHome, config: &Config) -> Option<Check> {
    let Outlook { message, is_new, .. } = outlook(world, home, config)?;
    Some(if is_new {
        let fix = "Run `hermes migrate`: it shows why, and what it can take over with `--apply`.";
        Check::warning("hermes_agent", message, fix)
    } else {
        Check::info("hermes_agent", message, "`hermes migrate` shows why.")
    })
}

impl Case<'_> {
    /// Returns the checks of all that the settings enable.
    fn settings(&self, config: &Config, probe: Option<&Probe>) -> Vec<Check> {
        let fix = "Correct the line, or remove it.";
        let warnings = config.warnings.iter();
        let mut checks: Vec<Check> =
            warnings.map(|warning| Check::warning("config_warning", warning.as_str(), fix)).collect();
        // A running gateway names those that its own environment hides.
        if self.word.is_none() {
            let hidden = config.shadowed.iter();
            checks.extend(
                hidden
                    .map(|name| Check::warning("config_warning", shadow_warning(name), shadow_remedy(name))),
            );
        }
        checks.extend(hermes_agent(self.world, self.home, config));
        // A running gateway has its own environment, and has reported what is wrong with it.
        if self.word.is_none() {
            checks.extend(facts::environment(self.world, config).into_iter().map(Check::from));
        }
        checks.extend(self.agent(config, probe));
        checks.extend(Platform::every().flat_map(|platform| self.platform(platform, config)));
        if !config.whatsapp.enabled {
            checks.extend(self.node_for_later(config));
        }
        // Enabled for the gateway, by an environment that this command has not.
        let others = self.platforms_of_gateway(|platform| !build::is_enabled(platform, config));
        let is_unset = build::enabled(config).next().is_none() && others.is_empty();
        checks.extend(others);
        if is_unset {
            let home = self.home.root().display();
            let message = format!("no platform is set up in {home}, so the gateway does not start");
            checks.push(Check::problem("nothing_enabled", message, "Run `hermes setup`."));
        }
        checks
    }

    /// Returns the checks of a platform. One that is disabled is not a fault, whatever it lacks.
    fn platform(&self, platform: Platform, config: &Config) -> Vec<Check> {
        let Self { world, home, .. } = *self;
        let spec = platform.spec();
        let findings = report::findings(platform, world, home, config, self.word.is_some());
        if !build::is_enabled(platform, config) {
            if !Platform::ALL.contains(&platform) {
                return Vec::new();
            }
            let off = findings
                .into_iter()
                .find(|finding| matches!(finding.code, Code::WhatsappNotEnabled | Code::TelegramNotEnabled));
            if self.word.as_ref().is_some_and(|word| word.platforms.contains_key(spec.name)) {
                return Vec::new();
            }
            let (message, fix) = match off.filter(|_| facts::is_set_up(platform, home, config)) {
                Some(off) => (format!("{} is set up but disabled", spec.title), off.fix),
                None => (format!("{} is not set up", spec.title), format!("Run `{}`.", spec.setup)),
            };
            return vec![Check::info(&format!("{}_not_enabled", spec.name), message, fix)];
        }
        let mut checks = match platform {
            Platform::Whatsapp => good_facts(world, &facts::gather(world, home, config)),
            Platform::Telegram | Platform::Scripted(_) => Vec::new(),
        };
        let told = self.word.as_ref().map(|word| match word.platforms.get(spec.name) {
            Some(last) => gateway::platform(platform, last, &self.view, self.now),
            None => Check::warning(
                spec.name,
                format!("{} is enabled, but the running gateway has not loaded it yet", spec.title),
                "It reloads its settings within seconds; if not, run `hermes gateway restart`.",
            ),
        });
        // A session that WhatsApp has refused is one fault, however it is found.
        let is_of_session = |code: &str| SESSION_FAULTS.contains(&code);
        let is_refused =
            told.as_ref().is_some_and(|told| told.status == Status::Blocking && is_of_session(&told.code));
        checks.retain(|check| !(is_refused && check.code == "paired"));
        // A running gateway has its bridge; that is what the session is for.
        let is_expected = |finding: &Finding| {
            self.view.pid.is_some() && finding.code == Code::WhatsappSessionLock
                || is_refused && is_of_session(finding.code.as_str())
                || told.as_ref().is_some_and(|told| told.code == finding.code.as_str())
        };
        checks.extend(findings.into_iter().filter(|finding| !is_expected(finding)).map(Check::from));
        if told.is_none() && checks.iter().all(|check| check.status != Status::Blocking) {
            checks.push(Check::good(spec.name, format!("{} is enabled", spec.title)));
        }
        checks.extend(told);
        checks
    }

    /// Returns the platforms of the running gateway that are `wanted`, each by its report.
    fn platforms_of_gateway(&self, wanted: impl Fn(Platform) -> bool) -> Vec<Check> {
        let Some(word) = &self.word else { return Vec::new() };
        let told = word.platforms.iter().filter_map(|(name, last)| {
            let platform: Platform = name.parse().ok()?;
            wanted(platform).then(|| gateway::platform(platform, last, &self.view, self.now))
        });
        told.collect()
    }

    /// Returns the checks of programs that WhatsApp will need, before it is set up.
    fn node_for_later(&self, config: &Config) -> Vec<Check> {
        let node = toolchain::find_node(self.world, self.home, config);
        let message = match &node {
            NodeFact::Found { path, version: (major, minor, patch) } if *major >= NODE_MAJOR_MIN => {
                let npm = toolchain::find_npm(self.world, path);
                let npm =
                    npm.map_or("npm was not found".to_owned(), |npm| format!("npm at {}", npm.display()));
                format!("for WhatsApp: Node.js {major}.{minor}.{patch} at {}, {npm}", path.display())
            }
            NodeFact::Found { path, version: (major, minor, patch) } => format!(
                "WhatsApp would need Node.js {NODE_MAJOR_MIN} or newer; {major}.{minor}.{patch} at {} is too old",
                path.display()
            ),
            NodeFact::Missing => {
                format!("WhatsApp would need Node.js {NODE_MAJOR_MIN} or newer with npm; it was not found")
            }
            NodeFact::Broken { path, why } => {
                format!("WhatsApp would need Node.js; the one at {} does not run: {why}", path.display())
            }
        };
        vec![Check::info("node", message, "")]
    }
}

/// Faults of a WhatsApp session.
const SESSION_FAULTS: [&str; 7] = [
    "whatsapp_not_paired",
    "whatsapp_half_paired",
    "whatsapp_creds_corrupt",
    "whatsapp_passkey_required",
    "whatsapp_logged_out",
    "whatsapp_forbidden",
    "whatsapp_replaced",
];

/// Returns the checks of good facts; the findings show the others.
fn good_facts(world: &World, facts: &Facts) -> Vec<Check> {
    let mut checks = Vec::new();
    let is_installed = matches!(facts.bridge, BridgeFact::Installed { .. });
    if let NodeFact::Found { path, version: (major, minor, patch) } = &facts.node
        && *major >= NODE_MAJOR_MIN
    {
        let version = format!("Node.js {major}.{minor}.{patch} at {}", path.display());
        checks.push(Check::good("node", version));
        match toolchain::find_npm(world, path) {
            Some(npm) => checks.push(Check::good("npm", format!("npm at {}", npm.display()))),
            None if is_installed => {}
            None => checks.push(Check::warning(
                "npm_missing",
                "npm was not found; it is needed to install the bridge",
                "Install npm; it usually comes with Node.js.",
            )),
        }
    }
    if is_installed {
        checks.push(Check::good("bridge", "the WhatsApp bridge is installed and intact"));
    }
    if let SessionFact::Judged(Pairing::Paired { me }) = &facts.session {
        let number = phone::masked(me.number());
        checks.push(Check::good("paired", format!("a phone is linked to WhatsApp ({number})")));
    }
    checks
}
