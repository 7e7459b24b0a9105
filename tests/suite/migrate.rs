//! `hermes migrate`: a home as hermes-agent 0.19 leaves it, taken over, and given back.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use hermes::durable::Lock;
use serde_json::Value;

use crate::support::home::{Answer, TestHome, tree};
use crate::support::process::Gateway;
use crate::support::wait;

/// The text that no output may show.
const CANARY: &str = "canary";

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite/hermes_agent_home")
}

/// Copies the home into this folder.
fn lay_out(root: &Path) {
    for name in tree(&fixture()) {
        let target = root.join(if name == Path::new("dot-env") { Path::new(".env") } else { &name });
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        std::fs::copy(fixture().join(&name), target).unwrap();
    }
    std::fs::set_permissions(root, std::fs::Permissions::from_mode(0o700)).unwrap();
}

fn taken_in_place() -> TestHome {
    let home = TestHome::empty();
    lay_out(&home.root());
    home
}

/// Returns every file with its bytes.
fn files(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    tree(root).into_iter().map(|name| (name.clone(), std::fs::read(root.join(&name)).unwrap())).collect()
}

fn json(answer: &Answer) -> Value {
    serde_json::from_str(&answer.stdout).unwrap_or_else(|_| panic!("no document: {answer:?}"))
}

fn good(answer: Answer) -> Answer {
    assert_eq!(answer.code, Some(0), "{answer:?}");
    assert!(!answer.stdout.contains(CANARY) && !answer.stderr.contains(CANARY), "{answer:?}");
    answer
}

fn outcome<'a>(document: &'a Value, what: &str) -> &'a str {
    let items = document["items"].as_array().unwrap();
    let item = items.iter().find(|item| item["what"] == what);
    item.unwrap_or_else(|| panic!("{what}: {document:#}"))["outcome"].as_str().unwrap()
}

/// A function that makes a file of this home unreadable.
type Fault<'a> = &'a dyn Fn(&TestHome);

#[test]
fn a_home_is_taken_over_once_and_what_is_hermes_agents_stays_as_it_was() {
    let home = taken_in_place();
    let before = files(&home.root());
    let shown = good(home.run(["migrate"]));
    assert!(shown.stdout.contains("Nothing was changed. The same command with `--apply`"), "{shown:?}");
    for group in ["Taken", "In use already", "Needs a decision", "Not supported", "Stays with hermes-agent"] {
        assert!(shown.stdout.contains(&format!("\n{group}\n")), "{group}: {shown:?}");
    }
    let document = json(&good(home.run(["migrate", "--json"])));
    for (what, expected) in [
        ("config.yaml: platforms.telegram.extra.base_url", "taken"),
        ("config.yaml: platforms.telegram.home_channel", "taken"),
        ("config.yaml: TELEGRAM_ALLOWED_USERS", "taken"),
        ("config.yaml: model", "taken"),
        ("1 approved person on telegram", "taken"),
        ("TELEGRAM_BOT_TOKEN", "in_use"),
        ("SOUL.md", "decision"),
        ("TELEGRAM_FALLBACK_IPS", "not_supported"),
        ("DISCORD_BOT_TOKEN", "not_supported"),
        ("config.yaml: platforms.discord", "not_supported"),
        ("1 approved person on discord", "not_supported"),
        ("1 job in cron/jobs.json", "not_supported"),
        ("config.yaml: compression, terminal", "stays"),
    ] {
        assert_eq!(outcome(&document, what), expected, "{what}");
    }
    assert_eq!((&document["applied"], &document["nothing_to_do"]), (&false.into(), &false.into()));
    assert_eq!(files(&home.root()), before, "a look changes nothing");
    let told = good(home.run(["doctor"])).stdout;
    assert!(told.contains("hermes-agent") && told.contains("hermes migrate"), "{told}");

    let applied = good(home.run(["migrate", "--apply"]));
    assert!(applied.stdout.contains("\nDone. Files of hermes-agent are as they were"), "{applied:?}");
    let after = files(&home.root());
    for (name, bytes) in &before {
        // The one file that both programs read: its old lines are still there.
        let is_same =
            if name == Path::new(".env") { after[name].starts_with(bytes) } else { after[name] == *bytes };
        assert!(is_same, "{} was changed", name.display());
    }
    let env = String::from_utf8(home.dot_env().unwrap()).unwrap();
    for line in [
        "TELEGRAM_ALLOWED_USERS=42",
        "TELEGRAM_HOME_CHANNEL=42",
        "AGENT_API_KEY=a-canary-of-a-model-key",
        "TELEGRAM_REQUIRE_MENTION=false",
    ] {
        assert!(env.lines().any(|one| one == line), "{line}: {env}");
    }
    let toml = std::fs::read_to_string(home.paths().config_file()).unwrap();
    for line in [
        "api_base = \"http://127.0.0.1:9\"",
        "base_url = \"http://127.0.0.1:11434/v1\"",
        "idle_after = \"90m\"",
        "per_user_in_groups = true",
    ] {
        assert!(toml.lines().any(|one| one == line), "{line}: {toml}");
    }
    for file in [
        home.paths().env_file(),
        home.paths().config_file(),
        home.paths().migration_file(),
        home.paths().database(),
    ] {
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{}", file.display());
    }
    let again = good(home.run(["migrate", "--apply"]));
    assert!(again.stdout.contains("\nNothing to do.\n"), "{again:?}");
    let second: BTreeMap<_, _> = files(&home.root());
    let is_ours = |name: &Path| name.to_string_lossy().starts_with("gateway.");
    for (name, bytes) in &after {
        assert!(is_ours(name) || second[name] == *bytes, "{} was changed by the second run", name.display());
    }
    // A known finding is not reported again.
    let doctor: Value = json(&home.run(["doctor", "--json"]));
    let check =
        doctor["checks"].as_array().unwrap().iter().find(|check| check["code"] == "hermes_agent").cloned();
    assert_eq!(check.unwrap()["status"], "info", "{doctor:#}");
}

#[test]
fn somebody_who_was_approved_there_has_access_here_until_it_is_revoked() {
    let home = taken_in_place();
    drop(good(home.run(["migrate", "--apply"])));
    let list = || good(home.run(["pairing", "list"])).stdout;
    assert!(list().contains("77"), "{}", list());
    drop(good(home.run(["pairing", "revoke", "telegram", "77"])));
    let again = good(home.run(["migrate", "--apply"]));
    assert!(again.stdout.contains("Nothing to do."), "{again:?}");
    assert!(!list().contains("77"), "{}", list());
}

#[test]
fn another_home_is_copied_with_its_session_and_refused_while_its_gateway_runs() {
    let home = TestHome::empty();
    let there = tempfile::tempdir().unwrap();
    lay_out(there.path());
    let session = there.path().join("platforms/whatsapp/session");
    std::fs::create_dir_all(&session).unwrap();
    for name in ["creds.json", "lid-mapping-1.json"] {
        std::fs::write(session.join(name), format!("{{\"{name}\":1}}")).unwrap();
    }
    let before = files(there.path());
    let args = |more: &[&str]| {
        let from = there.path().to_str().unwrap().to_owned();
        ["migrate".to_owned(), "--from".to_owned(), from]
            .into_iter()
            .chain(more.iter().map(ToString::to_string))
            .collect::<Vec<_>>()
    };
    let lock = Lock::acquire(&there.path().join("gateway.lock")).unwrap();
    let refused = home.run(args(&["--apply"]));
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(
        refused.stderr.contains("a gateway is running") && refused.stderr.contains("Stop it first"),
        "{refused:?}"
    );
    assert!(!home.paths().env_file().exists() && !home.paths().whatsapp().session_dir().exists());
    drop(lock);
    std::fs::remove_file(there.path().join("gateway.lock")).unwrap();

    drop(good(home.run(args(&["--apply"]))));
    assert_eq!(files(there.path()), before);
    assert_eq!(files(home.paths().whatsapp().session_dir()), files(&session));
    let env = String::from_utf8(home.dot_env().unwrap()).unwrap();
    assert!(
        env.contains("TELEGRAM_BOT_TOKEN=7000001:")
            && !env.contains("DISCORD")
            && !env.contains("OPENROUTER"),
        "{env}"
    );
    assert!(good(home.run(args(&["--apply"]))).stdout.contains("Nothing to do."));
}

#[test]
fn what_cannot_be_taken_is_refused_and_nothing_is_half_done() {
    let home = TestHome::empty();
    std::fs::create_dir(home.root()).unwrap();
    let refused = home.run(["migrate"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(
        refused.stderr.contains("is not the home of a hermes-agent") && refused.stderr.contains("--from"),
        "{refused:?}"
    );

    let home = taken_in_place();
    home.write("config.yaml", "a: [1\nb: 2\n");
    let shown = good(home.run(["migrate"]));
    assert!(shown.stdout.contains("config.yaml cannot be read: line"), "{shown:?}");

    // The second of several files fails: the first is as it was, and no one was admitted.
    for failpoint in ["replace.before@.env:1:error", "replace.after@.env:1:error", "replace.before@.env"] {
        let mut home = taken_in_place();
        let before = files(&home.root());
        home.env.push(("HERMES_FAILPOINT".to_owned(), failpoint.to_owned()));
        let failed = home.run(["migrate", "--apply"]);
        assert_ne!(failed.code, Some(0), "{failpoint}: {failed:?}");
        home.env.pop();
        if failpoint.contains("error") {
            let after = files(&home.root());
            for (name, bytes) in &before {
                assert_eq!(after.get(name), Some(bytes), "{failpoint}: {}", name.display());
            }
            assert!(
                !home.paths().config_file().exists() && !home.paths().migration_file().exists(),
                "{failpoint}"
            );
            let list = good(home.run(["pairing", "list"])).stdout;
            assert!(!list.contains("77"), "{failpoint}: {list}");
        }
        // Whatever happened, the next run does the rest.
        drop(good(home.run(["migrate", "--apply"])));
        assert!(good(home.run(["migrate"])).stdout.contains("Nothing to do."), "{failpoint}");
        assert!(good(home.run(["pairing", "list"])).stdout.contains("77"), "{failpoint}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_named_and_the_rest_is_taken() {
    let broken_config = |home: &TestHome, content: &[u8]| drop(home.write("config.yaml", content));
    let sparse = |home: &TestHome| {
        let file = std::fs::File::create(home.root().join("config.yaml")).unwrap();
        file.set_len(2 << 20).unwrap();
    };
    let folder = |home: &TestHome, path: &str| {
        let path = home.root().join(path);
        drop(std::fs::remove_file(&path));
        std::fs::create_dir_all(path).unwrap();
    };
    let pairing = "pairing/whatsapp-approved.json";
    let faults: [(&str, Fault<'_>, &str); 6] = [
        ("config.yaml", &|home| broken_config(home, b"a: [1\nb: 2\n"), "line"),
        ("config.yaml", &|home| broken_config(home, b"a: \xff\n"), "UTF-8"),
        ("config.yaml", &sparse, "longer than"),
        ("config.yaml", &|home| folder(home, "config.yaml"), "directory"),
        (
            pairing,
            &|home| {
                std::fs::create_dir_all(home.root().join("pairing")).unwrap();
                std::fs::write(home.root().join(pairing), "{\"4915\": {").unwrap();
            },
            "EOF",
        ),
        (pairing, &|home| folder(home, pairing), "directory"),
    ];
    for (what, spoil, cause) in faults {
        let home = taken_in_place();
        spoil(&home);
        let document = json(&good(home.run(["migrate", "--json"])));
        assert_eq!(outcome(&document, what), "decision", "{cause}");
        let shown = good(home.run(["migrate"])).stdout;
        assert!(
            shown.contains(cause) && shown.contains("Repair ") && !shown.contains("HERMES_HOME"),
            "{shown}"
        );
        assert!(shown.contains("with --apply the exit code is 1"), "{shown}");
        let applied = home.run(["migrate", "--apply"]);
        assert_eq!(applied.code, Some(1), "{applied:?}");
        assert!(
            applied.stderr.contains("nothing was taken from") && applied.stderr.contains(what),
            "{applied:?}"
        );
        let list = good(home.run(["pairing", "list"])).stdout;
        assert!(list.contains("77"), "{what}, {cause}: {list}");
    }
}

#[test]
fn the_env_of_the_other_home_goes_before_its_config_yaml() {
    let home = TestHome::empty();
    let there = tempfile::tempdir().unwrap();
    let from = there.path().to_str().unwrap();
    std::fs::set_permissions(there.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    let env = "TELEGRAM_BOT_TOKEN=7000001:not-a-real-token\nTELEGRAM_ALLOWED_USERS=1,2\n";
    std::fs::write(there.path().join(".env"), env).unwrap();
    // Its `.env` alone makes it a home.
    drop(good(home.run(["migrate", "--from", from])));
    let config = "platforms: {telegram: {token: '7000002:another', extra: {allow_from: [9]}}}\n";
    std::fs::write(there.path().join("config.yaml"), config).unwrap();
    let document = json(&good(home.run(["migrate", "--from", from, "--json"])));
    assert_eq!(outcome(&document, "TELEGRAM_ALLOWED_USERS"), "taken");
    assert_eq!(outcome(&document, "config.yaml: platforms.telegram.extra.allow_from"), "stays");
    let applied = good(home.run(["migrate", "--from", from, "--apply"]));
    assert!(!applied.stdout.contains("Kept as it is here"), "{applied:?}");
    let written = String::from_utf8(home.dot_env().unwrap()).unwrap();
    for line in env.lines() {
        assert!(written.lines().any(|one| one == line), "{line}: {written}");
    }
}

#[test]
fn the_first_start_counts_what_is_not_taken_in_one_line() {
    let home = taken_in_place();
    // There is no listener: only the output before counts.
    home.write("gateway.toml", "[platforms.telegram]\napi_base = \"http://127.0.0.1:9\"\n");
    let mut gateway = Gateway::start(&home);
    let line = gateway.wait_for_log("hermes migrate");
    let counts = "9 not taken over yet, 2 to be decided, 5 without effect here";
    assert!(line.contains(counts), "{line}");
    let log = gateway.log().join("\n");
    assert!(!log.contains(CANARY) && log.matches("hermes migrate").count() == 1, "{log}");
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn what_hermes_agent_turned_off_is_not_connected_until_it_is_enabled_here() {
    let mut home = TestHome::empty();
    home.write(".env", "TELEGRAM_BOT_TOKEN=7000001:not-a-real-token\nTELEGRAM_ALLOWED_USERS=42\n");
    home.write("config.yaml", "platforms: {telegram: {enabled: false}}\n");
    home.write("gateway.toml", "[platforms.telegram]\napi_base = \"http://127.0.0.1:9\"\n");
    std::fs::set_permissions(home.root(), std::fs::Permissions::from_mode(0o700)).unwrap();
    let refused = home.run(["gateway", "run"]);
    assert_eq!(refused.code, Some(78), "{refused:?}");
    for words in ["disabled in hermes-agent's config.yaml", "hermes telegram enable"] {
        assert!(refused.stderr.contains(words), "{refused:?}");
    }
    let doctor = json(&home.run(["doctor", "--json"]));
    let checks = doctor["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["code"] == "telegram_not_enabled").unwrap();
    assert!(check["fix"].as_str().unwrap().contains("hermes telegram enable"), "{check}");

    // Beside a platform that is wanted it stays off, too.
    home.env.push(("WHATSAPP_ENABLED".to_owned(), "true".to_owned()));
    let mut gateway = Gateway::start(&home);
    gateway.wait_for_log("hermes telegram enable");
    assert_eq!(gateway.stop(), Some(0));
    home.env.pop();

    let enabled = home.run(["telegram", "enable", "--json"]);
    assert_eq!(enabled.stdout, "{\"enabled\":true,\"changed\":true}\n", "{enabled:?}");
    assert!(String::from_utf8(home.dot_env().unwrap()).unwrap().ends_with("TELEGRAM_ENABLED=true\n"));
    let document = json(&good(home.run(["migrate", "--json"])));
    assert_eq!(outcome(&document, "config.yaml: platforms.telegram.enabled"), "kept");
    let mut gateway = Gateway::start(&home);
    gateway.wait_for_log("telegram");
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn every_request_to_telegram_takes_the_way_that_telegram_proxy_names() {
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    let home = TestHome::empty();
    let address = proxy.local_addr().unwrap();
    home.write(".env", format!("TELEGRAM_BOT_TOKEN=7000001:not-a-real-token\nTELEGRAM_PROXY=http://{address}\nTELEGRAM_ALLOWED_USERS=42\n"));
    // No such host: only the proxy could know it.
    home.write("gateway.toml", "[platforms.telegram]\napi_base = \"http://bot.invalid\"\n");
    std::fs::set_permissions(home.root(), std::fs::Permissions::from_mode(0o700)).unwrap();
    let mut gateway = Gateway::start(&home);
    let (stream, _) = proxy.accept().unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    assert!(line.starts_with("POST http://bot.invalid/bot7000001:"), "{line}");
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn an_interrupt_leaves_nothing_half_done() {
    let home = TestHome::empty();
    let there = tempfile::tempdir().unwrap();
    lay_out(there.path());
    let session = there.path().join("whatsapp/session");
    std::fs::create_dir_all(&session).unwrap();
    // Enough that copying them takes a while: each is flushed.
    for number in 0..5000 {
        std::fs::write(session.join(format!("session-{number}.json")), "{}").unwrap();
    }
    std::fs::write(session.join("creds.json"), "{}").unwrap();
    let args = ["migrate", "--apply", "--from", there.path().to_str().unwrap()];
    let child = home.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let place = home.paths().whatsapp().session_dir().to_owned();
    let copy = place.with_extension("migrating");
    wait::until(wait::LIMIT, || copy.exists().then_some(())).expect("it begins to copy");
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let answer: Answer = child.wait_with_output().unwrap().into();
    assert_eq!(answer.code, Some(130), "{answer:?}");
    assert!(!copy.exists() && !place.exists(), "the copy is gone");
    let left: Vec<_> =
        tree(&home.root()).into_iter().filter(|name| name != Path::new("gateway.lock")).collect();
    assert_eq!(left, Vec::<PathBuf>::new());
    drop(good(home.run(args)));
    assert_eq!(files(&place), files(&session));
}

#[test]
fn a_setting_that_has_no_effect_is_named_without_a_home_of_hermes_agent_as_well() {
    let mut home = TestHome::empty();
    home.write(".env", "TELEGRAM_REACTIONS=true\n");
    std::fs::set_permissions(home.root(), std::fs::Permissions::from_mode(0o700)).unwrap();
    home.env.push(("DISCORD_BOT_TOKEN".to_owned(), "a-canary-of-discord".to_owned()));
    let document = json(&good(home.run(["migrate", "--json"])));
    for what in ["TELEGRAM_REACTIONS", "DISCORD_BOT_TOKEN"] {
        assert_eq!(outcome(&document, what), "not_supported", "{document:#}");
        let doctor = home.run(["doctor"]).stdout;
        assert!(doctor.contains(what) && !doctor.contains(CANARY), "{doctor}");
    }
    assert_eq!(document["nothing_to_do"], true);
}
