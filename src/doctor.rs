//! `hermes doctor`: looks at everything hermes needs, changes nothing, and says how to mend what is missing.

use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde::Serialize;

use crate::bridge::{install, toolchain};
use crate::config::{AgentConfig, Config};
use crate::durable::Lock;
use crate::error::{CliError, ExitCode};
use crate::facts;
use crate::gateway::platforms::build;
use crate::gateway::status::report;
use crate::gateway::status::snapshot::{AgentSnapshot, AgentState, Problem};
use crate::home::HermesHome;
use crate::pairing::Pairing;
use crate::phone;
use crate::platform::Platform;
use crate::preflight::{self, BridgeFact, Code, Facts, Finding, NodeFact, SessionFact, Severity};
use crate::world::World;

/// Prints the report. Exit 0 when nothing is in the way of the gateway and of what is enabled, else 1; warnings are not in the
/// way.
///
/// # Errors
/// When the output cannot be written.
pub fn run(world: &World, home: &HermesHome, json: bool) -> Result<ExitCode, CliError> {
    let report = Report::make(world, home);
    let text = if json {
        let text = serde_json::to_string_pretty(&report).expect("a report has only strings for keys");
        format!("{text}\n")
    } else {
        report.to_text(Look {
            signs: if world.is_utf8() && world.stdout_tty { SIGNS } else { PLAIN_SIGNS },
            colour: world.colour(world.stdout_tty),
        })
    };
    let mut stdout = io::stdout().lock();
    match stdout.write_all(crate::visible::page(&text).as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            return Err(CliError::failed("the output cannot be written").because(error));
        }
        Ok(()) | Err(_) => {}
    }
    Ok(if report.ok { ExitCode::Ok } else { ExitCode::Failed })
}

/// How one thing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    Good,
    /// Neither good nor bad: a choice.
    Info,
    Warning,
    Blocking,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Check {
    status: Status,
    /// Stable; of findings it is the finding's.
    code: String,
    /// A sentence without its period.
    message: String,
    /// What to do; sentences.
    fix: Option<String>,
}

impl Check {
    fn good(code: &str, message: impl Into<String>) -> Self {
        Self { status: Status::Good, code: code.to_owned(), message: message.into(), fix: None }
    }

    fn warning(code: &str, message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            status: Status::Warning,
            code: code.to_owned(),
            message: message.into(),
            fix: Some(fix.into()),
        }
    }
}

impl From<Finding> for Check {
    fn from(finding: Finding) -> Self {
        let status = match finding.severity {
            Severity::Blocking => Status::Blocking,
            Severity::Warning => Status::Warning,
        };
        let code = finding.code.as_str().to_owned();
        Self { status, code, message: finding.message, fix: Some(finding.fix) }
    }
}

/// Everything that was looked at.
#[derive(Debug, Serialize)]
struct Report {
    /// Nothing is in the way.
    ok: bool,
    version: &'static str,
    home: String,
    session: String,
    bridge: String,
    checks: Vec<Check>,
}

impl Report {
    fn make(world: &World, home: &HermesHome) -> Self {
        let mut checks = vec![gateway(home)];
        checks.extend(problems(home));
        checks.extend(modes(home));
        match Config::load(world, home) {
            Ok(config) => checks.extend(settings(world, home, &config)),
            // What is enabled, and who answers, nobody knows until they can be read.
            Err(error) => checks.push(Check {
                status: Status::Blocking,
                code: error.code.to_owned(),
                message: error.to_string(),
                fix: Some(error.hints.join(" ")).filter(|fix| !fix.is_empty()),
            }),
        }
        let paths = home.whatsapp();
        Self {
            ok: checks.iter().all(|check| check.status != Status::Blocking),
            version: env!("CARGO_PKG_VERSION"),
            home: home.root().display().to_string(),
            session: paths.session_dir().display().to_string(),
            bridge: paths.bridge_root().join(install::content_hash()).display().to_string(),
            checks,
        }
    }

    fn to_text(&self, look: Look) -> String {
        let mut text = format!(
            "hermes {}\n  home     {}\n  session  {}\n  bridge   {}\n\n",
            self.version, self.home, self.session, self.bridge
        );
        for check in &self.checks {
            text.push_str(&format!("{} {}\n", look.sign(check.status), check.message));
            if let Some(fix) = &check.fix {
                text.push_str(&format!("{:width$} {fix}\n", "", width = look.width()));
            }
        }
        let count = |status| self.checks.iter().filter(|check| check.status == status).count();
        let things = |count: usize| if count == 1 { "1 thing".to_owned() } else { format!("{count} things") };
        text.push('\n');
        text.push_str(&match (count(Status::Blocking), count(Status::Warning)) {
            (0, 0) => "Everything is as it should be.\n".to_owned(),
            (0, warnings) => format!("Nothing is in the way. {} to look at.\n", things(warnings)),
            (blocking, _) => format!("{} to mend.\n", things(blocking)),
        });
        text
    }
}

/// What the report may be drawn with.
#[derive(Debug, Clone, Copy)]
struct Look {
    /// Good, information, warning, blocking.
    signs: [&'static str; 4],
    colour: bool,
}

const SIGNS: [&str; 4] = ["✓", "○", "!", "✗"];
const PLAIN_SIGNS: [&str; 4] = ["ok  ", "info", "look", "mend"];

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

    fn width(self) -> usize {
        self.signs[0].chars().count()
    }
}

fn gateway(home: &HermesHome) -> Check {
    match Lock::holder(&home.lock_file()) {
        Ok(Some(holder)) => {
            let pid = holder.pid.map_or(String::new(), |pid| format!(" (process {pid})"));
            Check::good("gateway", format!("the gateway is running{pid}"))
        }
        Ok(None) => Check::good("gateway", "the gateway is not running"),
        Err(error) => Check::warning(
            "gateway",
            format!("whether the gateway is running cannot be seen: {error}"),
            format!("Look at its owner: ls -l {}", quoted(&home.lock_file())),
        ),
    }
}

/// What a running gateway finds wrong with itself.
fn problems(home: &HermesHome) -> Vec<Check> {
    let problems = report::last_word(home).map(|snapshot| snapshot.problems).unwrap_or_default();
    let check = |problem: Problem| Check {
        status: Status::Warning,
        code: problem.code,
        message: problem.message,
        fix: problem.user_action,
    };
    problems.into_iter().map(check).collect()
}

/// Who answers, what is missing for that, and what a running gateway knows of it.
fn agent(world: &World, home: &HermesHome, config: &Config) -> Vec<Check> {
    let findings = preflight::agent::findings(&config.agent, |program| facts::program(world, program));
    let mut checks: Vec<Check> = findings.into_iter().map(Check::from).collect();
    let known = report::last_word(home).and_then(|snapshot| snapshot.agent);
    if let Some(AgentSnapshot { state: AgentState::Unavailable, since, error_message, .. }) = known {
        let since =
            since.map_or_else(String::new, |at| format!(" since {}", at.strftime("%Y-%m-%d %H:%M UTC")));
        let why = error_message.map_or_else(String::new, |why| format!(": {why}"));
        checks.push(Check::warning(
            "agent_unavailable",
            format!("the agent is not available{since}{why}"),
            "Look at the program or service that is set under [agent] in gateway.toml.",
        ));
    }
    if checks.is_empty() {
        checks.push(Check::good(
            "agent",
            match &config.agent {
                AgentConfig::Echo => "messages are answered by an echo; no agent is set".to_owned(),
                AgentConfig::Openai(openai) => format!("messages are answered by the model {}", openai.model),
                AgentConfig::Command(command) => {
                    let program = command.command.first().map_or("", String::as_str);
                    format!("messages are answered by the program {program}")
                }
            },
        ));
    }
    checks
}

/// All that the settings ask for.
fn settings(world: &World, home: &HermesHome, config: &Config) -> Vec<Check> {
    let fix = "Correct the line, or remove it.";
    let warnings = config.warnings.iter();
    let mut checks: Vec<Check> =
        warnings.map(|warning| Check::warning("config_warning", warning.as_str(), fix)).collect();
    checks.extend(agent(world, home, config));
    checks.extend(Platform::every().flat_map(|platform| self::platform(platform, world, home, config)));
    if build::enabled(config).next().is_none() {
        let message =
            format!("no platform is set up in {}, so the gateway does not start", home.root().display());
        let check = Check::warning("nothing_enabled", message, "Run `hermes setup`.");
        checks.push(Check { status: Status::Blocking, ..check });
    }
    checks
}

/// How a platform is. One that nobody wants is no fault, whatever it lacks.
fn platform(platform: Platform, world: &World, home: &HermesHome, config: &Config) -> Vec<Check> {
    let spec = platform.spec();
    let findings = report::findings(platform, world, home, config);
    if !build::is_enabled(platform, config) {
        if !Platform::ALL.contains(&platform) {
            return Vec::new();
        }
        let off = findings
            .into_iter()
            .find(|finding| matches!(finding.code, Code::WhatsappNotEnabled | Code::TelegramNotEnabled));
        let (message, fix) = match off.filter(|_| report::is_set_up(platform, home, config)) {
            Some(off) => (format!("{} is set up, and turned off", spec.title), off.fix),
            None => (format!("{} is not set up", spec.title), format!("Run `{}`.", spec.setup)),
        };
        let code = format!("{}_not_enabled", spec.name);
        return vec![Check { status: Status::Info, code, message, fix: Some(fix) }];
    }
    let is_running = matches!(Lock::holder(&home.lock_file()), Ok(Some(_)));
    // A running gateway has its bridge; that is what the session is for.
    let is_expected = |finding: &Finding| is_running && finding.code == Code::WhatsappSessionLock;
    let good = match platform {
        Platform::Whatsapp => good_facts(world, &facts::gather(world, home, config)),
        Platform::Telegram | Platform::Scripted(_) => Vec::new(),
    };
    let findings = findings.into_iter().filter(|finding| !is_expected(finding));
    good.into_iter().chain(findings.map(Check::from)).collect()
}

/// Who else may read what is private here.
fn modes(home: &HermesHome) -> Vec<Check> {
    const GROUP_AND_OTHERS: u32 = 0o077;
    const OTHERS_WRITE: u32 = 0o002;
    let ours = rustix::process::geteuid().as_raw();
    let mut checks = Vec::new();
    for (path, mode) in home.private_paths() {
        let Ok(metadata) = path.metadata() else { continue };
        let shown = path.display();
        let check = if metadata.uid() != ours {
            Check::warning(
                "foreign_owner",
                format!("{shown} belongs to another user"),
                format!("Run `sudo chown \"$(id -un)\" {}`.", quoted(&path)),
            )
        } else if metadata.mode() & GROUP_AND_OTHERS != 0 {
            Check::warning(
                "open_mode",
                format!("{shown} is open to other users (mode {:o})", metadata.mode() & 0o777),
                format!("Run `chmod {mode:o} {}`.", quoted(&path)),
            )
        } else {
            continue;
        };
        // With such a home the gateway does not start: its settings could be anybody's.
        let is_unsafe = metadata.uid() != ours || metadata.mode() & OTHERS_WRITE != 0;
        let is_blocking = path == home.root() && is_unsafe;
        checks.push(if is_blocking { Check { status: Status::Blocking, ..check } } else { check });
    }
    if checks.is_empty() && home.root().exists() {
        checks.push(Check::good("modes", "settings and credentials are private"));
    }
    checks
}

fn quoted(path: &Path) -> String {
    preflight::quoted(&path.display().to_string())
}

/// What is as it should be; what is not, the findings tell.
fn good_facts(world: &World, facts: &Facts) -> Vec<Check> {
    let mut checks = Vec::new();
    let is_installed = matches!(facts.bridge, BridgeFact::Installed { .. });
    if let NodeFact::Found { path, version: (major, minor, patch) } = &facts.node
        && *major >= preflight::NODE_MAJOR_MIN
    {
        let version = format!("Node.js {major}.{minor}.{patch} at {}", path.display());
        checks.push(Check::good("node", version));
        match toolchain::find_npm(world, path) {
            Some(npm) => checks.push(Check::good("npm", format!("npm at {}", npm.display()))),
            None if is_installed => {}
            None => checks.push(Check::warning(
                "npm_missing",
                "npm was not found; it is needed once, to install the bridge",
                "Install npm; it usually comes with Node.js.",
            )),
        }
    }
    if is_installed {
        checks.push(Check::good("bridge", "the WhatsApp bridge is installed and whole"));
    }
    if let SessionFact::Judged(Pairing::Paired { me }) = &facts.session {
        let number = phone::masked(me.number());
        checks.push(Check::good("paired", format!("a phone is paired with WhatsApp ({number})")));
    }
    checks
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::durable::{create_private_dir, write_atomic};

    fn report(home: &HermesHome, env: &[(&str, &str)]) -> Report {
        Report::make(&World::of_env(env.iter().copied()), home)
    }

    fn codes(report: &Report) -> Vec<&str> {
        report.checks.iter().map(|check| check.code.as_str()).collect()
    }

    #[test]
    fn what_is_not_set_up_is_no_fault_unless_nothing_is() {
        let dir = tempfile::tempdir().unwrap();
        let home = HermesHome::at(dir.path().join("none"));
        let node = ("HERMES_NODE", "/nowhere/node");
        let nothing = report(&home, &[node]);
        assert!(!nothing.ok);
        let off = ["whatsapp_not_enabled", "telegram_not_enabled"];
        assert_eq!(codes(&nothing), ["gateway", "agent", off[0], off[1], "nothing_enabled"]);
        let fixes: Vec<_> = nothing.checks.iter().filter_map(|check| check.fix.as_deref()).collect();
        assert_eq!(fixes, ["Run `hermes whatsapp`.", "Run `hermes telegram`.", "Run `hermes setup`."]);

        let token = ("TELEGRAM_BOT_TOKEN", "1:a-token-of-nobody-at-all");
        let telegram = report(&home, &[node, token, ("TELEGRAM_ALLOWED_USERS", "1")]);
        assert!(telegram.ok, "{telegram:?}");
        let whatsapp = telegram.checks.iter().find(|check| check.code == off[0]).unwrap();
        assert_eq!((whatsapp.status, whatsapp.message.as_str()), (Status::Info, "WhatsApp is not set up"));
        assert!(!codes(&telegram).contains(&off[1]));

        let toml = "[platforms.telegram]\nenabled = false\n";
        create_private_dir(home.root()).unwrap();
        write_atomic(&home.config_file(), toml.as_bytes()).unwrap();
        let turned_off = report(&home, &[node, token]);
        let telegram = turned_off.checks.iter().find(|check| check.code == off[1]).unwrap();
        assert_eq!(telegram.message, "Telegram is set up, and turned off");
        assert!(telegram.fix.as_ref().unwrap().contains("enabled = false"));
    }

    #[test]
    fn an_empty_machine_is_told_all_that_is_missing_and_nothing_is_made() {
        let dir = tempfile::tempdir().unwrap();
        let home = HermesHome::at(dir.path().join("none"));
        let report = report(&home, &[("HERMES_NODE", "/nowhere/node"), ("WHATSAPP_ENABLED", "true")]);
        assert!(!report.ok);
        let missing = [
            "gateway",
            "agent",
            "whatsapp_node_missing",
            "whatsapp_bridge_not_installed",
            "whatsapp_not_paired",
            "whatsapp_mode_not_set",
            "telegram_not_enabled",
        ];
        assert_eq!(codes(&report), missing);
        assert!(!home.root().exists());
    }

    #[test]
    fn open_files_are_told_with_the_command_and_broken_settings_do_not_end_the_report() {
        let dir = tempfile::tempdir().unwrap();
        let home = HermesHome::at(dir.path().join("a home"));
        create_private_dir(home.root()).unwrap();
        for path in [home.env_file(), home.config_file()] {
            write_atomic(&path, b"[oops").unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        }
        let report = report(&home, &[("HERMES_NODE", "/nowhere/node")]);
        let open: Vec<&Check> = report.checks.iter().filter(|check| check.code == "open_mode").collect();
        assert_eq!(open.len(), 2);
        assert_eq!(open[0].fix, Some(format!("Run `chmod 600 '{}'`.", home.env_file().display())));
        let broken = report.checks.iter().find(|check| check.code == "config").unwrap();
        assert_eq!(broken.status, Status::Blocking);
        assert!(broken.message.contains("line 1, column"), "{broken:?}");
        assert_eq!(codes(&report).last(), Some(&"config"), "nothing is said of what they ask for");
    }

    #[test]
    fn an_agent_that_cannot_answer_is_in_the_way_and_a_platform_without_people_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let home = HermesHome::at(dir.path());
        let toml = "[agent]\nkind = \"command\"\ncommand = [\"no-such-agent\"]\nenv = [\"UNSET_TOKEN\"]\n";
        write_atomic(&home.config_file(), toml.as_bytes()).unwrap();
        let report =
            report(&home, &[("HERMES_SCRIPTED", "2@/nowhere"), ("SCRIPTED2_ALLOWED_USERS", "friend")]);
        let check = |code: &str| report.checks.iter().filter(|check| check.code == code).collect::<Vec<_>>();
        assert_eq!(check("agent_command_missing")[0].status, Status::Blocking);
        assert_eq!(check("agent_variable_missing").len(), 1);
        assert!(check("agent").is_empty());
        let [nobody] = check("nobody_allowed")[..] else { panic!("{:?}", codes(&report)) };
        assert!(nobody.message.contains("scripted1"), "{nobody:?}");
    }

    #[test]
    fn a_home_that_anybody_can_write_is_in_the_way() {
        let dir = tempfile::tempdir().unwrap();
        let home = HermesHome::at(dir.path());
        for (mode, expected) in [(0o700, Status::Good), (0o750, Status::Warning), (0o777, Status::Blocking)] {
            std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(modes(&home)[0].status, expected, "{mode:o}");
        }
    }

    #[test]
    fn a_session_in_use_is_in_the_way_unless_the_gateway_uses_it() {
        let dir = tempfile::tempdir().unwrap();
        let home = HermesHome::at(dir.path());
        create_private_dir(&dir.path().join("whatsapp")).unwrap();
        let _bridge = Lock::acquire(&home.whatsapp().session_lock()).unwrap();
        let is_told =
            || codes(&report(&home, &[("WHATSAPP_ENABLED", "true")])).contains(&"whatsapp_session_lock");
        assert!(is_told());
        let _gateway = Lock::acquire(&home.lock_file()).unwrap();
        assert!(!is_told());
    }

    #[test]
    fn the_text_shows_each_check_with_its_remedy_below() {
        let report = Report {
            ok: false,
            version: "1.0.0",
            home: "/h".into(),
            session: "/s".into(),
            bridge: "/b".into(),
            checks: vec![
                Check::good("a", "all is well"),
                Check::warning("b", "something is odd", "Look at it."),
                Check { status: Status::Info, ..Check::warning("i", "something is off", "Run `on`.") },
                Check { status: Status::Blocking, ..Check::warning("c", "something is missing", "Run `x`.") },
            ],
        };
        let text = report.to_text(Look { signs: SIGNS, colour: false });
        let expected = "hermes 1.0.0\n  home     /h\n  session  /s\n  bridge   /b\n\n✓ all is well\n! something is odd\n  Look at it.\n\
                        ○ something is off\n  Run `on`.\n✗ something is missing\n  Run `x`.\n\n1 thing to mend.\n";
        assert_eq!(text, expected);
        let plain = report.to_text(Look { signs: PLAIN_SIGNS, colour: false });
        assert!(plain.is_ascii() && plain.contains("mend something is missing\n     Run `x`.\n"), "{plain}");
        assert!(report.to_text(Look { signs: SIGNS, colour: true }).contains("\u{1b}[31m✗"));
    }
}
