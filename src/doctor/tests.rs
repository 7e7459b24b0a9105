//! The whole report.

use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::client::presence::Evidence;
use crate::client::request::Word;
use crate::durable::{Holder, create_private_dir, write_atomic};
use crate::gateway::model::snapshot::{AgentState, GatewayState, HttpState, Problem, Queues, WireState};

fn report(home: &HermesHome, env: &[(&str, &str)]) -> Report {
    let world = World::of_env(env.iter().copied());
    Report::make(&world, home, Config::load(&world, home), None, None)
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
    assert_eq!(codes(&nothing), ["gateway", "agent", off[0], off[1], "node", "nothing_enabled"]);
    let fixes: Vec<_> = nothing.checks.iter().filter_map(|check| check.fix.as_deref()).collect();
    assert_eq!(fixes[0], "No platform is set up. Run `hermes setup`.");
    assert_eq!(fixes[1..], ["Run `hermes whatsapp`.", "Run `hermes telegram`.", "Run `hermes setup`."]);

    let token = ("TELEGRAM_BOT_TOKEN", "1:a-token-of-nobody-at-all");
    let telegram = report(&home, &[node, token, ("TELEGRAM_ALLOWED_USERS", "1")]);
    assert!(telegram.ok, "{telegram:?}");
    assert_eq!(telegram.checks[0].fix.as_deref(), Some("Start it with `hermes gateway run`."));
    let whatsapp = telegram.checks.iter().find(|check| check.code == off[0]).unwrap();
    assert_eq!((whatsapp.status, whatsapp.message.as_str()), (Status::Info, "WhatsApp is not set up"));
    assert!(!codes(&telegram).contains(&off[1]));

    let toml = "[platforms.telegram]\nenabled = false\n";
    create_private_dir(home.root()).unwrap();
    write_atomic(&home.config_file(), toml.as_bytes()).unwrap();
    let turned_off = report(&home, &[node, token]);
    let telegram = turned_off.checks.iter().find(|check| check.code == off[1]).unwrap();
    assert_eq!(telegram.message, "Telegram is set up but disabled");
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
    assert_eq!(
        open[0].fix,
        Some(format!("Run `chmod 600 '{}'`, or `hermes doctor --fix`.", home.env_file().display()))
    );
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
    let report = report(&home, &[("HERMES_SCRIPTED", "2@/nowhere"), ("SCRIPTED2_ALLOWED_USERS", "friend")]);
    let check = |code: &str| report.checks.iter().filter(|check| check.code == code).collect::<Vec<_>>();
    assert_eq!(check("agent_command_missing")[0].status, Status::Blocking);
    assert_eq!(check("agent_variable_missing").len(), 1);
    assert!(check("agent").is_empty());
    let [nobody] = check("nobody_allowed")[..] else { panic!("{:?}", codes(&report)) };
    assert!(nobody.message.contains("scripted1"), "{nobody:?}");
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
        gateway: Value::Null,
        repairs: Some(vec![
            Repair { done: true, message: "made it".into(), fix: None },
            Repair { done: false, message: "it is in use".into(), fix: Some("Stop it.".into()) },
        ]),
        checks: vec![
            Check::good("a", "all is well"),
            Check::warning("b_code", "something is odd", "Look at it."),
            Check { status: Status::Info, ..Check::warning("i", "something is off", "Run `on`.") },
            Check {
                status: Status::Blocking,
                ..Check::warning("c_code", "something is missing", "Run `x`.")
            },
        ],
    };
    let text = report.to_text(Look { signs: SIGNS, colour: false, width: 0 });
    let expected = "hermes 1.0.0\n  home     /h\n  session  /s\n  bridge   /b\n\n✓ Repaired: made it\n! Not repaired: it is in use\n  Stop it.\n✓ all is well\n! something is odd [b_code]\n  Look at it.\n\
                    ○ something is off\n  Run `on`.\n✗ something is missing [c_code]\n  Run `x`.\n\n1 problem, 1 warning.\ndocs/troubleshooting.md explains each [code].\n";
    assert_eq!(text, expected);
    let plain = report.to_text(Look { signs: PLAIN_SIGNS, colour: false, width: 0 });
    assert!(
        plain.is_ascii() && plain.contains("FAIL something is missing [c_code]\n     Run `x`.\n"),
        "{plain}"
    );
    let narrow = report.to_text(Look { signs: SIGNS, colour: true, width: 24 });
    assert!(narrow.contains("\u{1b}[31m✗\u{1b}[0m something is missing\n  [c_code]\n"), "{narrow:?}");
}

#[test]
fn information_is_shown_and_counts_as_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let home = HermesHome::at(dir.path().join("none"));
    let info = || Check::info("i_code", "something is off", "Run `on`.");
    let report = Report::with(&home, Value::Null, None, vec![Check::good("a", "all is well"), info()]);
    assert!(report.ok, "{report:?}");
    let shown = |signs, colour| report.to_text(Look { signs, colour, width: 0 });
    let plain = shown(PLAIN_SIGNS, false);
    assert!(
        plain.ends_with("ok   all is well\ninfo something is off\n     Run `on`.\n\nNo problems.\n"),
        "{plain}"
    );
    let dim = shown(SIGNS, true);
    assert!(dim.contains("\u{1b}[2m○\u{1b}[0m something is off\n"), "{dim:?}");
    assert_eq!(serde_json::to_value(info()).unwrap()["status"], "info");
}

/// The report of a running gateway without faults.
fn well() -> Snapshot {
    let at = "2026-01-01T12:00:00Z";
    let json = serde_json::json!({
        "kind": "hermes-gateway", "pid": 7, "updated_at": at, "gateway_state": "running",
        "platforms": { "telegram": { "state": "connected", "since": at, "proof_age_s": 1 } },
        "agent": { "kind": "echo", "state": "available" },
        "http": { "state": "listening", "address": "127.0.0.1:8642" },
    });
    serde_json::from_value(json).unwrap()
}

/// The report on a gateway that says this, with Telegram as the settings of this command have it.
fn beside(word: Word, env: &[(&str, &str)]) -> Report {
    let dir = tempfile::tempdir().unwrap();
    let (home, world) = (HermesHome::at(dir.path().join("home")), World::of_env(env.iter().copied()));
    create_private_dir(home.root()).unwrap();
    let now = well().updated_at;
    let evidence = Evidence {
        holder: Some(Holder { pid: Some(7) }),
        asked_at: now,
        word,
        written: Some(well()),
        started_at: None,
        is_holders: true,
        is_stopped: false,
    };
    let (view, snapshot) = View::new(evidence, now);
    let word = snapshot.filter(|_| view.is_believed());
    let case = Case { world: &world, home: &home, view, word, ignored: Vec::new(), now };
    Report::of(&case, Config::load(&world, &home), None, None)
}

const TELEGRAM: [(&str, &str); 3] = [
    ("HERMES_NODE", "/nowhere/node"),
    ("TELEGRAM_BOT_TOKEN", "1:a-token-of-nobody-at-all"),
    ("TELEGRAM_ALLOWED_USERS", "1"),
];

/// Why a platform may not be connected.
const CODES: [&str; 35] = [
    "net_dns",
    "net_refused",
    "net_timeout",
    "net_tls",
    "tls_untrusted",
    "proxy_auth",
    "adapter_panicked",
    "telegram_bad_token",
    "telegram_forbidden",
    "telegram_token_lock",
    "telegram_polling_conflict",
    "telegram_network_error",
    "telegram_rate_limited",
    "telegram_protocol",
    "telegram_bad_address",
    "telegram_webhook_secret",
    "whatsapp_not_paired",
    "whatsapp_half_paired",
    "whatsapp_creds_corrupt",
    "whatsapp_logged_out",
    "whatsapp_forbidden",
    "whatsapp_replaced",
    "whatsapp_session_lock",
    "whatsapp_passkey_required",
    "whatsapp_version_rejected",
    "whatsapp_bridge_exited",
    "whatsapp_bridge_hung",
    "whatsapp_bridge_failed",
    "whatsapp_bridge_oom",
    "whatsapp_bridge_exec",
    "whatsapp_storage",
    "whatsapp_node_missing",
    "whatsapp_bridge_not_installed",
    "paused_by_operator",
    "supervision_lost",
];

/// Faults of a gateway.
type Harm = Box<dyn Fn(&mut Snapshot)>;

/// Everything that a gateway can report of a platform.
fn harms_of_platform() -> Vec<(String, Harm)> {
    let mut harms: Vec<(String, Harm)> = Vec::new();
    let mut add = |what: String, harm: Harm| harms.push((what, harm));
    for state in WireState::ALL.into_iter().filter(|state| *state != WireState::Connected) {
        for code in CODES.map(Some).into_iter().chain([None]) {
            for paused_by in ["breaker", "operator"] {
                let what = format!("telegram {state} {code:?} {paused_by}");
                add(
                    what,
                    Box::new(move |snapshot| {
                        snapshot.gateway_state = GatewayState::Degraded;
                        let last = snapshot.platforms.get_mut("telegram").unwrap();
                        last.state = state;
                        last.error_code = code.map(str::to_owned);
                        last.error_message = code.map(|code| format!("it is {code}"));
                        last.paused_by = (state == WireState::Paused).then(|| paused_by.to_owned());
                    }),
                );
            }
        }
    }
    harms
}

/// Everything that it can report of itself, each alone.
fn harms_of_gateway() -> Vec<(String, Harm)> {
    let mut harms: Vec<(String, Harm)> = Vec::new();
    let mut add = |what: String, harm: Harm| harms.push((what, harm));
    // Whatever its code.
    for code in [
        "disk_full",
        "disk_failed",
        "store_busy",
        "store_replaced",
        "lock_lost",
        "safe_mode",
        "program_replaced",
        "time_zone_unknown",
        "time_zone_reversed",
        "a_code_of_tomorrow",
    ] {
        add(
            format!("problem {code}"),
            Box::new(move |snapshot| {
                let since = snapshot.updated_at;
                let (code, message) = (code.to_owned(), "it is so".to_owned());
                snapshot.has_problems(vec![Problem { code, message, since, user_action: None, ends: false }]);
            }),
        );
    }
    for state in [GatewayState::Starting, GatewayState::Draining, GatewayState::Stopped] {
        add(format!("gateway {state}"), Box::new(move |snapshot| snapshot.gateway_state = state));
    }
    for state in [AgentState::Unavailable, AgentState::Refused, AgentState::Failing] {
        add(
            format!("agent {state:?}"),
            Box::new(move |snapshot| snapshot.agent.as_mut().unwrap().state = state),
        );
    }
    for state in [HttpState::Retrying, HttpState::Fatal] {
        add(
            format!("http {state:?}"),
            Box::new(move |snapshot| snapshot.http.as_mut().unwrap().state = state),
        );
    }
    add("a dead letter".to_owned(), Box::new(|snapshot| snapshot.queues.dead = 1));
    add(
        "old messages".to_owned(),
        Box::new(|snapshot| {
            let at = snapshot.updated_at - jiff::SignedDuration::from_secs(3600);
            snapshot.queues = Queues { inbox: 1, oldest_at: Some(at), ..Queues::default() };
        }),
    );
    add("stale settings".to_owned(), Box::new(|snapshot| snapshot.config_stale = Some("line 1".to_owned())));
    add(
        "a setting without effect".to_owned(),
        Box::new(|snapshot| {
            snapshot.shadowed = vec!["TELEGRAM_ALLOWED_USERS".to_owned()];
        }),
    );
    add("a task that died".to_owned(), Box::new(|snapshot| snapshot.task_restarts = 1));
    add("a platform that it has not".to_owned(), Box::new(|snapshot| snapshot.platforms.clear()));
    harms
}

#[test]
fn whatever_is_not_well_with_a_running_gateway_is_a_problem_or_a_warning() {
    let shown = |report: &Report| report.to_text(Look { signs: PLAIN_SIGNS, colour: false, width: 0 });
    let is_told = |report: &Report| {
        let is_bad = |check: &&Check| matches!(check.status, Status::Warning | Status::Blocking);
        report.checks.iter().filter(is_bad).count() > 0 && !shown(report).contains("as it should be")
    };
    let well_told = beside(Word::State(Box::new(well())), &TELEGRAM);
    assert!(well_told.ok && !is_told(&well_told), "{}", shown(&well_told));
    for (what, harm) in harms_of_platform().into_iter().chain(harms_of_gateway()) {
        let mut snapshot = well();
        harm(&mut snapshot);
        let report = beside(Word::State(Box::new(snapshot)), &TELEGRAM);
        assert!(is_told(&report), "{what}:\n{}", shown(&report));
        let lines = shown(&report).lines().filter(|line| line.contains("Telegram ")).count();
        assert_eq!(lines, 1, "{what}:\n{}", shown(&report));
    }
    for word in [Word::Starting, Word::Mute, Word::Nothing] {
        let report = beside(word.clone(), &TELEGRAM);
        assert!(is_told(&report), "{word:?}:\n{}", shown(&report));
    }
}

#[test]
fn a_platform_that_only_the_gateways_environment_enables_is_told_by_its_word() {
    let node = ("HERMES_NODE", "/nowhere/node");
    let report = beside(Word::State(Box::new(well())), &[node]);
    assert!(report.ok, "{report:?}");
    let found: Vec<_> = report.checks.iter().filter(|check| check.message.contains("Telegram")).collect();
    assert!(found.len() == 1 && found[0].message.starts_with("Telegram is connected"), "{found:?}");
    assert!(!codes(&report).contains(&"nothing_enabled"));
}

#[test]
fn a_session_that_whatsapp_refused_is_one_problem() {
    let mut snapshot = well();
    let mut last = snapshot.platforms.remove("telegram").unwrap();
    last.state = WireState::Fatal;
    last.error_code = Some("whatsapp_logged_out".to_owned());
    snapshot.platforms.insert("whatsapp".to_owned(), last);
    snapshot.gateway_state = GatewayState::Degraded;
    let report =
        beside(Word::State(Box::new(snapshot)), &[("WHATSAPP_ENABLED", "true"), ("WHATSAPP_MODE", "bot")]);
    let found: Vec<_> = codes(&report).into_iter().filter(|code| SESSION_FAULTS.contains(code)).collect();
    assert_eq!(found, ["whatsapp_logged_out"], "{report:?}");
}

#[test]
fn a_setting_without_effect_is_told_once_with_where_it_must_be_changed() {
    let mut snapshot = well();
    snapshot.shadowed = vec!["TELEGRAM_ALLOWED_USERS".to_owned()];
    let report = beside(Word::State(Box::new(snapshot)), &TELEGRAM);
    let [told] = report.checks.iter().filter(|check| check.code == "env_shadowed").collect::<Vec<_>>()[..]
    else {
        panic!("{report:?}")
    };
    let fix = told.fix.as_ref().unwrap();
    assert!(fix.contains("unset TELEGRAM_ALLOWED_USERS") && fix.contains("start it again"), "{fix}");
}
