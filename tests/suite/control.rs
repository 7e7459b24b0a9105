//! Requests to a running gateway: over its socket, over HTTP, from the command line.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::process::Command;

use serde_json::Value;

use crate::support::fake::FakeWhatsApp;
use crate::support::home::TestHome;
use crate::support::http::{Reply, ask, ask_unix, raw};
use crate::support::pairing::{FRIEND, OWNER, paired};
use crate::support::process::Gateway;
use crate::support::screen::Terminal;
use crate::support::stage::Stage;
use crate::support::wait;

const KEY: &str = "test-key-0123456789abcdef";

/// An enabled, unpaired home whose HTTP API takes a free port.
fn home() -> TestHome {
    let mut home = TestHome::empty();
    home.env.push(("API_SERVER_PORT".to_owned(), String::new()));
    home.write("gateway.toml", "[gateway]\nhttp = { bind = \"127.0.0.1:0\" }\n");
    home.write(".env", format!("WHATSAPP_ENABLED=true\nWHATSAPP_MODE=self-chat\nAPI_SERVER_KEY={KEY}\n"));
    home
}

/// Waits until the HTTP API is in this state, and returns its entry.
fn wait_for_http(gateway: &Gateway, state: &str) -> Value {
    let seen = wait::until(wait::LIMIT, || {
        let http = gateway.state()["http"].clone();
        (http["state"] == state).then_some(http)
    });
    match seen {
        Some(http) => http,
        None => panic!("never `{state}`: {:#}\n{}", gateway.state(), gateway.log().join("\n")),
    }
}

/// Returns a gateway that has settled, and the address of its HTTP API.
fn settled(home: &TestHome) -> (Gateway, String) {
    let gateway = Gateway::start(home);
    gateway.wait_for_state("fatal");
    let http = wait_for_http(&gateway, "listening");
    (gateway, http["address"].as_str().expect("an address").to_owned())
}

fn with_key() -> String {
    format!("Authorization: Bearer {KEY}")
}

#[test]
fn probes_need_no_key_and_everything_else_does() {
    let home = home();
    let (mut gateway, address) = settled(&home);
    for path in ["/livez", "/startupz", "/readyz", "/health", "/v1/health"] {
        let reply = ask(&address, &format!("GET {path}"), &[]);
        assert_eq!((reply.status, reply.json()["status"].as_str()), (200, Some("ok")), "{path}: {reply:?}");
    }
    let wrong = "Authorization: Bearer test-key-0123456789abcdeg";
    let mut bodies = Vec::new();
    for request in [
        "GET /health/detailed",
        "GET /metrics",
        "GET /v1/platforms",
        "POST /v1/platforms/whatsapp/pause",
        "POST /v1/platforms/whatsapp/resume",
    ] {
        for headers in [&["Content-Type: application/json"][..], &["Content-Type: application/json", wrong]] {
            let reply = ask(&address, request, headers);
            assert_eq!(reply.status, 401, "{request} {headers:?}: {reply:?}");
            assert!(reply.head.contains("www-authenticate: bearer"), "{reply:?}");
            bodies.push(reply.body);
        }
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1, "one answer whatever is wrong: {bodies:?}");
    assert!(bodies[0].contains("API_SERVER_KEY"), "it says where the key is set: {bodies:?}");
    assert_eq!(gateway.state()["platforms"]["whatsapp"]["state"], "fatal", "nothing was changed");

    let detailed = ask(&address, "GET /health/detailed", &[&with_key()]);
    assert_eq!((detailed.status, detailed.json()["pid"].as_u64()), (200, Some(gateway.pid().into())));
    let metrics = ask(&address, "GET /metrics", &[&with_key()]);
    assert!(
        metrics.body.contains("hermes_platform_state{platform=\"whatsapp\",state=\"fatal\"} 1\n"),
        "{metrics:?}"
    );
    let platforms = ask(&address, "GET /v1/platforms", &[&with_key()]).json();
    assert_eq!(platforms["platforms"]["whatsapp"]["error_code"], "whatsapp_not_paired", "{platforms:#}");
    assert_eq!(ask(&address, "GET /nothing", &[]).status, 404);
    assert_eq!(ask(&address, "POST /livez", &["Content-Type: application/json"]).status, 405);
    assert_eq!(ask(&address, "POST /v1/stop", &["Content-Type: application/json", &with_key()]).status, 404);
    assert!(!gateway.log().iter().any(|line| line.contains(KEY)), "the key is not logged");
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn a_page_in_a_browser_gets_nothing() {
    let home = home();
    let (mut gateway, address) = settled(&home);
    let port = address.rsplit(':').next().expect("a port").to_owned();
    let of = |lines: &[&str]| lines.iter().map(ToString::to_string).collect::<Vec<_>>();
    let key = with_key();
    for (lines, expected) in [
        (of(&["Host: evil.example"]), 421),
        (of(&[&format!("Host: evil.example:{port}")]), 421),
        (of(&[&format!("Host: localhost:{port}")]), 200),
        (of(&["Host: localhost"]), 421),
        (of(&[]), 421),
        (of(&[&format!("Host: {address}"), &format!("Host: {address}")]), 421),
        (of(&[&format!("Host: {address}"), "Origin: http://evil.example"]), 403),
        (of(&[&format!("Host: {address}"), "Origin: http://localhost:3000"]), 403),
        (of(&[&format!("Host: {address}"), "Origin: null"]), 403),
        (of(&[&format!("Host: {address}"), "Sec-Fetch-Site: cross-site"]), 403),
        (of(&[&format!("Host: {address}"), &format!("Origin: http://{address}")]), 200),
    ] {
        for request in ["GET /livez", "GET /v1/platforms"] {
            let mut lines = lines.clone();
            lines.push(key.clone());
            let reply = raw(&address, request, &lines);
            // A request without a name, or with two, may already be no HTTP for the server.
            let is_refused = expected == 421 && reply.status == 400;
            assert!(reply.status == expected || is_refused, "{request} {lines:?}: {reply:?}");
            assert!(!reply.head.contains("access-control"), "{reply:?}");
        }
    }
    for kind in ["text/plain", "application/x-www-form-urlencoded"] {
        let reply =
            ask(&address, "POST /v1/platforms/whatsapp/pause", &[&key, &format!("Content-Type: {kind}")]);
        assert_eq!(reply.status, 415, "{kind}: {reply:?}");
    }
    assert_eq!(ask(&address, "GET /v1/platforms?key=x", &[]).status, 401, "a key in the address is none");
    assert_eq!(gateway.state()["platforms"]["whatsapp"]["state"], "fatal", "nothing was changed");
    let long = format!("X-Long: {}", "x".repeat(40_000));
    let reply = ask(&address, "GET /livez", &[&long]);
    assert!(matches!(reply.status, 431 | 400 | 0), "{}", reply.status);
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn guessing_the_key_is_slowed_down_and_the_probes_answer_on() {
    let home = home();
    let (mut gateway, address) = settled(&home);
    let statuses: Vec<u16> = (0..12)
        .map(|n| ask(&address, "GET /metrics", &[&format!("Authorization: Bearer wrong-{n}")]).status)
        .collect();
    assert_eq!(statuses[..10], [401; 10]);
    assert_eq!(statuses[10..], [429; 2]);
    // No header makes another address of it, and the right key is accepted also after guesses.
    let begun = std::time::Instant::now();
    let wrong = ask(&address, "GET /metrics", &["Authorization: Bearer wrong", "X-Forwarded-For: 10.1.1.1"]);
    assert_eq!(wrong.status, 429, "{wrong:?}");
    assert!(wrong.head.contains("retry-after: "), "{wrong:?}");
    assert!(begun.elapsed() >= std::time::Duration::from_secs(1), "guesses are held up");
    assert_eq!(ask(&address, "GET /metrics", &[]).status, 401, "no key is no guess");
    let guessing = {
        let address = address.clone();
        let guess = move || {
            let key = format!("Authorization: Bearer wrong-{:?}", std::thread::current().id());
            ask(&address, "GET /metrics", &[&key]).status
        };
        (0..8).map(|_| std::thread::spawn(guess.clone())).collect::<Vec<_>>()
    };
    assert_eq!(ask(&address, "GET /metrics", &[&with_key()]).status, 200, "its owner is never locked out");
    assert!(guessing.into_iter().all(|guess| guess.join().expect("it ends") == 429));
    assert_eq!(ask(&address, "GET /livez", &[]).status, 200);
    assert!(home.run(["platform", "status"]).stdout.contains("running"), "the socket has no part in it");
    gateway.wait_for_log("api_key_guessed");
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn without_a_key_only_the_probes_answer_and_no_other_machine_is_let_near() {
    let home = home();
    home.write(".env", "WHATSAPP_ENABLED=true\nWHATSAPP_MODE=self-chat\n");
    let (mut gateway, address) = settled(&home);
    assert_eq!(ask(&address, "GET /livez", &[]).status, 200);
    for headers in [&[][..], &["Authorization: Bearer "], &["Authorization: Bearer x"]] {
        let reply = ask(&address, "GET /metrics", headers);
        assert!(reply.status == 401 && reply.body.contains("API_SERVER_KEY"), "{headers:?}: {reply:?}");
    }
    assert_eq!(gateway.stop(), Some(0));

    home.write("gateway.toml", "[gateway]\nhttp = { bind = \"0.0.0.0:0\" }\n");
    let mut gateway = Gateway::start(&home);
    let http = wait_for_http(&gateway, "fatal");
    assert_eq!(http["error_code"], "api_server_key_missing", "{http:#}");
    let page = home.run(["platform", "status"]);
    assert!(
        page.stdout.contains("api_server_key_missing") && page.stdout.contains("API_SERVER_KEY"),
        "{page:?}"
    );
    assert_eq!(page.code, Some(0), "the gateway runs");
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn a_new_key_holds_without_a_restart_and_the_old_one_no_longer() {
    let home = home();
    let (mut gateway, address) = settled(&home);
    assert_eq!(ask(&address, "GET /metrics", &[&with_key()]).status, 200);
    let other = "another-key-0123456789";
    home.write(".env", format!("WHATSAPP_ENABLED=true\nWHATSAPP_MODE=self-chat\nAPI_SERVER_KEY={other}\n"));
    let refused = wait::until(wait::LIMIT, || {
        (ask(&address, "GET /metrics", &[&with_key()]).status == 401).then_some(())
    });
    assert!(refused.is_some(), "the old key still opens:\n{}", gateway.log().join("\n"));
    assert_eq!(ask(&address, "GET /metrics", &[&format!("Authorization: Bearer {other}")]).status, 200);
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn a_taken_port_is_waited_for_and_nothing_else_waits() {
    let home = home();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    home.write(
        "gateway.toml",
        format!("[gateway]\nhttp = {{ bind = \"{address}\" }}\nreconnect = {{ first = \"50ms\", cap = \"100ms\" }}\n"),
    );
    let mut gateway = Gateway::start(&home);
    gateway.wait_for_state("fatal");
    let http = wait_for_http(&gateway, "retrying");
    assert_eq!(http["error_code"], "api_server_port_in_use", "{http:#}");
    assert!(http["next_retry_at"].is_string(), "{http:#}");
    let page = home.run(["platform", "status"]);
    assert!(page.code == Some(0) && page.stdout.contains("api_server_port_in_use"), "{page:?}");
    drop(taken);
    wait_for_http(&gateway, "listening");
    assert_eq!(ask(&address, "GET /livez", &[]).status, 200);
    let told = gateway.log().iter().filter(|line| line.contains("api_server_port_in_use")).count();
    assert_eq!(told, 1, "one line, not one per attempt:\n{}", gateway.log().join("\n"));
    assert!(gateway.is_running());
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn off_is_off() {
    let home = home();
    home.write("gateway.toml", "[gateway]\nhttp = { bind = \"off\" }\n");
    let mut gateway = Gateway::start(&home);
    gateway.wait_for_state("fatal");
    assert_eq!(gateway.state()["http"], Value::Null);
    assert!(!gateway.log().iter().any(|line| line.contains("http_listening")));
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn a_platform_is_paused_and_resumed_by_every_way_in_and_a_pause_shows_who_and_how_to_end_it() {
    let home = home();
    let (mut gateway, address) = settled(&home);
    let json = "Content-Type: application/json";
    let socket = home.paths().control_socket();

    let paused = home.run(["platform", "pause", "WhatsApp"]);
    assert_eq!(paused.code, Some(0), "{paused:?}");
    assert!(paused.stdout.contains("paused"), "{paused:?}");
    let entry = gateway.wait_for_state("paused");
    assert_eq!(entry["paused_by"], "operator", "{entry:#}");
    let page = home.run(["platform", "status"]);
    assert!(page.stdout.contains("hermes platform resume whatsapp"), "{page:?}");
    let resumed = home.run(["platform", "resume", "WHATSAPP"]);
    assert_eq!(resumed.code, Some(0), "{resumed:?}");
    gateway.wait_for_state("fatal");

    let reply = ask(&address, "POST /v1/platforms/WhatsApp/pause", &[&with_key(), json]);
    assert_eq!(reply.status, 200, "{reply:?}");
    gateway.wait_for_state("paused");
    let reply = ask_unix(&socket, "POST /v1/platforms/whatsapp/resume");
    assert_eq!(reply.status, 200, "{reply:?}");
    gateway.wait_for_state("fatal");

    let unknown: [Reply; 2] = [
        ask(&address, "POST /v1/platforms/fax/pause", &[&with_key(), json]),
        ask_unix(&socket, "POST /v1/platforms/fax/pause"),
    ];
    for reply in unknown {
        assert_eq!((reply.status, reply.json()["error"]["code"].as_str()), (404, Some("unknown_platform")));
        assert!(reply.body.contains("whatsapp"), "the known ones are listed: {reply:?}");
    }
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn the_command_line_tells_usage_and_a_missing_gateway_apart() {
    let home = home();
    for verb in ["pause", "resume"] {
        let unknown = home.run(["platform", verb, "fax"]);
        assert_eq!(unknown.code, Some(2), "{unknown:?}");
        assert!(unknown.stderr.contains("whatsapp"), "the known ones are listed: {unknown:?}");
        let nobody = home.run(["platform", verb, "whatsapp"]);
        assert_eq!(nobody.code, Some(3), "{nobody:?}");
        assert!(nobody.stderr.contains("hermes gateway run"), "{nobody:?}");
        assert_eq!(home.run(["platform", verb]).code, Some(2));
    }
    for verb in ["stop", "restart"] {
        assert_eq!(home.run(["gateway", verb]).code, Some(3));
    }
    let (mut gateway, _) = settled(&home);
    gateway.kill();
    let dead = home.run(["platform", "status"]);
    assert_eq!(dead.code, Some(3), "a socket that was left behind is nobody: {dead:?}");
    assert!(dead.stdout.contains("ast heard from"), "it is dated: {dead:?}");
    assert_eq!(home.run(["platform", "pause", "whatsapp"]).code, Some(3));

    let (mut second, _) = settled(&home);
    assert_eq!(home.run(["platform", "status"]).code, Some(0), "the socket has a new owner");
    let stopped = home.run(["gateway", "stop"]);
    assert_eq!(stopped.code, Some(0), "{stopped:?}");
    assert_eq!(second.exit_code(), Some(0));
    assert!(!home.paths().control_socket().exists(), "a clean stop leaves no socket");
}

#[test]
fn the_socket_is_the_owners_and_whatever_stood_in_its_place_goes() {
    let home = home();
    let socket = home.paths().control_socket();
    home.write("gateway.sock", "squatted");
    let (mut gateway, _) = settled(&home);
    let found = std::fs::symlink_metadata(&socket).expect("it is there");
    assert!(found.file_type().is_socket());
    assert_eq!(found.mode() & 0o777, 0o600);
    assert_eq!(ask_unix(&socket, "GET /v1/platforms").status, 200);
    assert_eq!(ask_unix(&socket, "GET /v1/nothing").status, 404);
    assert_eq!(gateway.stop(), Some(0));

    std::fs::create_dir(&socket).expect("a folder");
    let mut gateway = Gateway::start(&home);
    gateway.wait_for_state("fatal");
    gateway.wait_for_log("control_unavailable");
    let page = home.run(["platform", "status"]);
    assert_eq!(page.code, Some(0), "the status file speaks for it: {page:?}");
    let pause = home.run(["platform", "pause", "whatsapp"]);
    assert_eq!(pause.code, Some(1), "{pause:?}");
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn connections_that_say_nothing_are_cut_off_and_keep_nobody_out() {
    let home = home();
    let (mut gateway, address) = settled(&home);
    let socket = home.paths().control_socket();
    let silent: Vec<_> = (0..80).map(|_| TcpStream::connect(&address).expect("it listens")).collect();
    let quiet: Vec<_> = (0..20).map(|_| UnixStream::connect(&socket).expect("it listens")).collect();
    let slow = TcpStream::connect(&address).expect("it listens");
    (&slow).write_all(b"GET /livez HTTP/1.1\r\nHost: ").expect("it takes some");
    assert_eq!(ask(&address, "GET /livez", &[]).status, 200);
    assert_eq!(ask_unix(&socket, "GET /v1/platforms").status, 200);
    for stream in silent.iter().chain([&slow]) {
        stream.set_read_timeout(Some(wait::LIMIT)).expect("a limit");
        let mut said = Vec::new();
        // The connection may be closed with or without a reset, and it is closed.
        let ended = (&*stream).read_to_end(&mut said);
        assert!(ended.is_ok() || ended.is_err_and(|error| error.kind() == ErrorKind::ConnectionReset));
    }
    drop(quiet);
    assert!(gateway.is_running());
    assert_eq!(gateway.stop(), Some(0));
}

/// Only root can become another user; others skip this test.
#[test]
fn another_user_is_not_heard() {
    if !rustix::process::geteuid().is_root() || which::which("setpriv").is_err() {
        return;
    }
    let home = home();
    let (mut gateway, _) = settled(&home);
    // The folder and the socket are opened to all: the kernel's answer alone must do.
    let open = |path: &std::path::Path, mode| {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
        std::fs::set_permissions(path, mode).expect("it is ours");
    };
    open(home.root().parent().expect("a temp folder"), 0o755);
    open(&home.root(), 0o755);
    open(&home.paths().control_socket(), 0o666);
    let ask = format!(
        "const s=require('net').connect({:?},()=>{{console.log('connected');s.write('POST /v1/platforms/whatsapp/pause HTTP/1.1\\r\\nHost: h\\r\\n\\r\\n')}});\
         let t='';s.on('data',d=>t+=d).on('error',()=>{{}}).on('close',()=>console.log('closed:'+t));",
        home.paths().control_socket()
    );
    let other = Command::new("setpriv")
        .args(["--reuid=65534", "--clear-groups", "node", "-e", &ask])
        .output()
        .expect("setpriv starts");
    let said = String::from_utf8_lossy(&other.stdout).into_owned();
    assert_eq!(said.trim(), "connected\nclosed:", "not a word: {other:?}");
    assert_eq!(gateway.state()["platforms"]["whatsapp"]["state"], "fatal", "nothing was changed");
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn a_home_with_a_long_path_has_its_socket_too() {
    let mut home = home();
    let deep = home.root().join("x".repeat(120));
    std::fs::create_dir_all(&deep).expect("a folder");
    for name in ["gateway.toml", ".env"] {
        std::fs::copy(home.root().join(name), deep.join(name)).expect("a copy");
    }
    home.env.push(("HERMES_HOME".to_owned(), deep.to_string_lossy().into_owned()));
    let mut child =
        home.command(["gateway", "run"]).stderr(std::process::Stdio::null()).spawn().expect("it starts");
    let seen = wait::until(wait::LIMIT, || {
        (home.run(["platform", "pause", "whatsapp"]).code == Some(0)).then_some(())
    });
    assert!(seen.is_some(), "it never answered");
    assert_eq!(home.run(["gateway", "stop"]).code, Some(0));
    assert_eq!(child.wait().expect("a child of ours").code(), Some(0));
}

#[test]
fn watching_without_a_terminal_prints_one_document_for_each_change() {
    use std::io::BufRead;
    let home = home();
    let (mut gateway, _) = settled(&home);
    let mut watching = home
        .command(["platform", "status", "--watch", "--json"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut lines = std::io::BufReader::new(watching.stdout.take().expect("it is piped")).lines();
    let mut next = || -> Value {
        let line = lines.next().expect("a line").expect("text");
        serde_json::from_str(&line).expect("one document a line")
    };
    assert_eq!(next()["platforms"]["whatsapp"]["state"], "fatal");
    assert_eq!(home.run(["platform", "pause", "whatsapp"]).code, Some(0));
    assert_eq!(next()["platforms"]["whatsapp"]["state"], "paused");
    assert_eq!(gateway.stop(), Some(0));
    assert_eq!(next()["running"], false);
    let pid = rustix::process::Pid::from_raw(watching.id().cast_signed()).expect("a pid");
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it is there");
    assert_eq!(watching.wait().expect("a child of ours").code(), Some(130));
}

#[test]
fn platforms_are_steered_from_a_chat_and_a_pause_of_the_chats_own_platform_is_answered_first() {
    let stage = Stage::new(2);
    let mut home = TestHome::empty();
    home.env.push(stage.variable());
    home.write("gateway.toml", "");
    let mut gateway = Gateway::start(&home);
    let first = stage.connect("scripted1");
    let second = stage.connect("scripted2");
    for platform in ["scripted1", "scripted2"] {
        wait_for_platform(&gateway, platform, "connected");
    }
    let ask = |id: &str, text: &str, answer: &str| {
        first.write(id, "friend", text);
        first.take_message(answer)["text"].as_str().unwrap_or_default().to_owned()
    };
    let list = ask("1", "/platform list", "Platforms");
    assert_eq!(list.matches("connected").count(), 2, "{list}");
    ask("2", "/platform pause SCRIPTED2", "is paused");
    wait_for_platform(&gateway, "scripted2", "paused");
    drop(second);
    assert!(ask("3", "/platforms", "paused by operator").contains("/platform resume scripted2"));
    ask("4", "/platform pause scripted2", "already paused");
    ask("5", "/platform resume scripted2", "no longer paused");
    let second = stage.connect("scripted2");
    wait_for_platform(&gateway, "scripted2", "connected");
    assert!(
        ask("6", "/platform pause fax", "Unknown platform").contains("whatsapp"),
        "the known ones are listed"
    );
    ask("7", "/platform explode", "did not understand");
    ask("8", "/help", "Everything else goes to the agent");
    ask("9", "/whoami", "You can give commands");
    ask("10", "/weather", "/weather");

    first.write("11", "friend", "/platform pause scripted1");
    let is_answer =
        |said: &Value| said["text"].as_str().is_some_and(|text| text.contains("after this message"));
    let answer = wait::until(wait::LIMIT, || first.said().into_iter().find(is_answer)).expect("an answer");
    assert_eq!(gateway.state()["platforms"]["scripted1"]["state"], "connected", "it is not sent yet");
    first.cue(serde_json::json!({ "do": "sent", "handle": answer["handle"] }));
    wait_for_platform(&gateway, "scripted1", "paused");
    assert_eq!(gateway.stop(), Some(0));

    let mut gateway = Gateway::start(&home);
    let second_again = stage.connect("scripted2");
    drop(second);
    wait_for_platform(&gateway, "scripted2", "connected");
    assert_eq!(wait_for_platform(&gateway, "scripted1", "paused")["paused_by"], "operator");
    second_again.write("12", "friend", "/platform resume scripted1");
    second_again.take_message("no longer paused");
    let _first = stage.connect("scripted1");
    wait_for_platform(&gateway, "scripted1", "connected");
    assert_eq!(gateway.stop(), Some(0));
}

fn wait_for_platform(gateway: &Gateway, platform: &str, state: &str) -> Value {
    let seen = wait::until(wait::LIMIT, || {
        let entry = gateway.state()["platforms"][platform].clone();
        (entry["state"] == state).then_some(entry)
    });
    match seen {
        Some(entry) => entry,
        None => panic!("{platform} never was {state}:\n{:#}\n{}", gateway.state(), gateway.log().join("\n")),
    }
}

#[test]
fn on_whatsapp_a_friend_may_ask_a_stranger_hears_nothing_and_a_list_of_admins_decides() {
    let (home, mut fake) = paired();
    let mut gateway = Gateway::start(&home);
    gateway.wait_for_state("connected");
    let heard = |fake: &FakeWhatsApp, text: &str| {
        fake.wait_for("received", |event| event["text"].as_str().is_some_and(|said| said.contains(text)));
    };
    fake.tell(
        serde_json::json!({ "cmd": "message", "from": "15550009999", "text": "/platform pause whatsapp" }),
    );
    fake.tell(serde_json::json!({ "cmd": "message", "from": FRIEND, "text": "/platform list" }));
    heard(&fake, "WhatsApp: connected");
    fake.tell(serde_json::json!({ "cmd": "message", "from": FRIEND, "text": "/platform pause whatsapp" }));
    heard(&fake, "is paused after this message");
    gateway.wait_for_state("paused");
    assert_eq!(home.run(["platform", "resume", "whatsapp"]).code, Some(0));
    gateway.wait_for_state("connected");
    assert!(fake.received().iter().all(|(to, _)| to.contains(FRIEND)), "{:?}", fake.received());
    assert_eq!(gateway.stop(), Some(0));

    let env = String::from_utf8(home.dot_env().expect("it is set up")).expect("text");
    home.write(".env", format!("{env}\nWHATSAPP_ADMIN_USERS={OWNER}\n"));
    let mut gateway = Gateway::start(&home);
    gateway.wait_for_state("connected");
    fake.tell(serde_json::json!({ "cmd": "message", "from": FRIEND, "text": "/platform pause whatsapp" }));
    heard(&fake, "Only an admin can do that");
    fake.tell(serde_json::json!({ "cmd": "message", "from": FRIEND, "text": "/whoami" }));
    heard(&fake, "You cannot give commands");
    assert_eq!(gateway.state()["platforms"]["whatsapp"]["state"], "connected");
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn watching_on_a_terminal_counts_down_in_place_and_leaves_the_terminal_as_it_was() {
    let stage = Stage::new(1);
    let mut home = TestHome::empty();
    home.env.push(stage.variable());
    home.write("gateway.toml", "");
    let mut gateway = Gateway::start(&home);
    stage.attempt("scripted1").cue(serde_json::json!({ "do": "fail", "code": "net_dns" }));
    wait_for_platform(&gateway, "scripted1", "retrying");
    for (key, code) in [("q", 0), ("\u{3}", 130)] {
        let mut terminal = Terminal::start(&home, &["platform", "status", "--watch"], 24, 80);
        terminal.wait_for("Press q to quit");
        let seconds = |text: &str| -> Option<u32> {
            let (_, rest) = text.split_once("Retries in ")?;
            rest.split(' ').next()?.parse().ok()
        };
        let first = seconds(&terminal.text()).unwrap_or_else(|| panic!("no countdown:\n{}", terminal.text()));
        let counted = wait::until(wait::LIMIT, || (seconds(&terminal.text())? < first).then_some(()));
        assert!(counted.is_some(), "it stands still:\n{}", terminal.text());
        assert_eq!(terminal.text().matches("Last in").count(), 1, "drawn over:\n{}", terminal.text());
        assert!(!terminal.is_as_found(), "keys are read without Enter");
        terminal.send(key);
        assert_eq!(terminal.exit_code(), code);
        assert!(wait::until(wait::LIMIT, || terminal.is_as_found().then_some(())).is_some());
    }
    assert_eq!(gateway.stop(), Some(0));
}
