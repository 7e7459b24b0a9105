//! Settings that change while the gateway runs: they take effect without a restart, and only the parts that they concern are
//! touched.

use serde_json::{Value, json};

use crate::support::fake::FakeWhatsApp;
use crate::support::home::TestHome;
use crate::support::http::raw;
use crate::support::pairing::{FRIEND, paired};
use crate::support::process::{Gateway, is_alive};
use crate::support::stage::Stage;
use crate::support::wait;

/// Makes a paired home in which another platform runs beside WhatsApp.
fn both() -> (TestHome, FakeWhatsApp, Stage) {
    let (mut home, fake) = paired();
    let stage = Stage::new(1);
    home.env.push(stage.variable());
    (home, fake, stage)
}

fn edit(home: &TestHome, from: &str, to: &str) {
    let text = String::from_utf8(home.dot_env().unwrap()).unwrap();
    assert!(text.contains(from), "{text}");
    home.write(".env", text.replace(from, to));
}

fn state_when(gateway: &Gateway, holds: impl Fn(&Value) -> bool) -> Value {
    let seen = wait::until(wait::LIMIT, || Some(gateway.state()).filter(&holds));
    seen.unwrap_or_else(|| panic!("{:#}\n{}", gateway.state(), gateway.log().join("\n")))
}

fn answered(fake: &mut FakeWhatsApp, gateway: &Gateway, from: &str, text: &str) {
    fake.tell(json!({ "cmd": "message", "from": from, "text": text }));
    let answer = wait::until(wait::LIMIT, || {
        fake.received().iter().any(|(_, answer)| answer.contains(text)).then_some(())
    });
    assert!(answer.is_some(), "`{text}` was not answered\n{}", gateway.log().join("\n"));
}

#[test]
fn who_may_speak_is_in_force_at_once_and_no_connection_notices() {
    const OTHER: &str = "15550003333";
    let (home, mut fake) = paired();
    let mut gateway = Gateway::start(&home);
    gateway.wait_for_state("connected");
    let bridges = gateway.children();
    answered(&mut fake, &gateway, FRIEND, "the first may speak");
    edit(&home, FRIEND, OTHER);
    gateway.wait_for_log("settings_read");
    answered(&mut fake, &gateway, OTHER, "the second may speak");
    fake.tell(json!({ "cmd": "message", "from": FRIEND, "text": "no longer" }));
    answered(&mut fake, &gateway, OTHER, "the last word");
    assert!(!fake.received().iter().any(|(_, text)| text.contains("no longer")), "{:#?}", fake.received());
    assert_eq!(gateway.children(), bridges);
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn broken_settings_change_nothing_and_say_where_they_are_broken() {
    let (home, mut fake) = paired();
    let good = std::fs::read_to_string(home.paths().config_file()).unwrap();
    let mut gateway = Gateway::start(&home);
    gateway.wait_for_state("connected");
    let bridges = gateway.children();
    home.write("gateway.toml", format!("{good}\n[gateway\n"));
    let stale = state_when(&gateway, |state| state["config_stale"].is_string());
    let why = stale["config_stale"].as_str().unwrap();
    assert!(why.contains("gateway.toml: line 4, column 9"), "{why}");
    assert!(gateway.wait_for_log("config_stale").contains("line 4, column 9"));
    answered(&mut fake, &gateway, FRIEND, "still here");
    home.write("gateway.toml", &good);
    state_when(&gateway, |state| state["config_stale"].is_null());
    assert_eq!(gateway.log().iter().filter(|line| line.contains("config_stale")).count(), 1);
    assert_eq!(gateway.children(), bridges);
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn an_env_file_that_is_gone_or_not_text_keeps_the_settings_in_force() {
    let (home, mut fake) = paired();
    let good = home.dot_env().unwrap();
    let path = home.paths().env_file();
    let mut gateway = Gateway::start(&home);
    gateway.wait_for_state("connected");
    let bridges = gateway.children();
    let wide = |bytes: &[u8]| bytes.iter().flat_map(|byte| [*byte, 0]).collect::<Vec<_>>();
    let utf16 = [&[0xff, 0xfe][..], &wide(&good)].concat();
    for (why, broken) in [("not UTF-8", Some(utf16)), ("was removed", None)] {
        std::fs::remove_file(&path).unwrap();
        if let Some(bytes) = broken {
            home.write(".env", bytes);
        }
        let is_told = |state: &Value| state["config_stale"].as_str().is_some_and(|told| told.contains(why));
        state_when(&gateway, is_told);
        answered(&mut fake, &gateway, FRIEND, &format!("still here: {why}"));
        home.write(".env", &good);
        state_when(&gateway, |state| state["config_stale"].is_null());
    }
    std::fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink("/nowhere/env", &path).unwrap();
    state_when(&gateway, |state| state["config_stale"].to_string().contains("link to nothing"));
    assert_eq!(home.run(["doctor"]).code, Some(1));
    std::fs::remove_file(&path).unwrap();
    home.write(".env", &good);
    state_when(&gateway, |state| state["config_stale"].is_null());
    assert_eq!(gateway.children(), bridges);
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn a_platform_is_disabled_enabled_and_moved_while_another_one_keeps_its_connection() {
    let (home, mut fake, stage) = both();
    let mut gateway = Gateway::start(&home);
    let neighbour = stage.connect("scripted1");
    gateway.wait_for_state("connected");
    let bridge = gateway.children()[0];

    assert_eq!(home.run(["whatsapp", "disable"]).code, Some(0));
    state_when(&gateway, |state| state["platforms"]["whatsapp"].is_null());
    let gone = wait::until(wait::LIMIT, || (!is_alive(bridge)).then_some(()));
    assert!(gone.is_some(), "nobody wants the bridge any more");
    state_when(&gateway, |state| state["gateway_state"] == "running");

    assert_eq!(home.run(["whatsapp", "enable"]).code, Some(0));
    gateway.wait_for_state("connected");
    answered(&mut fake, &gateway, FRIEND, "enabled again");

    let other = FakeWhatsApp::start();
    home.write("gateway.toml", format!("[platforms.whatsapp]\nweb_socket_url = \"{}\"\n", other.url));
    // The other service does not know this account: the request is what counts here.
    let asked = wait::until(wait::LIMIT, || (other.events().len() > 1).then_some(()));
    assert!(asked.is_some(), "{:#?}\n{}", other.events(), gateway.log().join("\n"));

    neighbour.write("1", "friend", "were you disturbed");
    neighbour.take_message("were you disturbed");
    assert!(stage.take("scripted1").is_none(), "it never had to connect again");
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn sighup_has_the_settings_read_where_no_watch_sees_them_change() {
    let (home, mut fake) = paired();
    let mut gateway = Gateway::start(&home);
    gateway.wait_for_state("connected");
    // The folder is another one now, so its watch gets no events.
    let aside = home.root().with_extension("aside");
    std::fs::rename(home.root(), &aside).unwrap();
    std::os::unix::fs::symlink(&aside, home.root()).unwrap();
    std::fs::write(home.paths().env_file(), "WHATSAPP_ENABLED=false\n").unwrap();
    gateway.signal(rustix::process::Signal::HUP);
    state_when(&gateway, |state| state["platforms"]["whatsapp"].is_null());
    fake.tell(json!({ "cmd": "heal" }));
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn another_agent_answers_from_the_next_message_on() {
    let (home, mut fake) = paired();
    let good = std::fs::read_to_string(home.paths().config_file()).unwrap();
    let mut gateway = Gateway::start(&home);
    gateway.wait_for_state("connected");
    let bridges = gateway.children();
    answered(&mut fake, &gateway, FRIEND, "to the echo");
    // There is no listener there, so an answer is not an echo.
    home.write(
        "gateway.toml",
        format!("{good}[agent]\nkind = \"openai\"\nbase_url = \"http://127.0.0.1:9/v1\"\n"),
    );
    gateway.wait_for_log("settings_read");
    fake.tell(json!({ "cmd": "message", "from": FRIEND, "text": "to nobody" }));
    gateway.wait_for_log("agent_changed");
    assert_eq!(gateway.children(), bridges);
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn the_http_api_moves_when_its_address_or_names_change_and_ends_when_it_is_switched_off() {
    let stage = Stage::new(1);
    let mut home = TestHome::empty();
    home.env.extend([stage.variable(), ("API_SERVER_PORT".to_owned(), String::new())]);
    let http = |rest: &str| format!("[gateway]\nhttp = {{ {rest} }}\n");
    home.write("gateway.toml", http("bind = \"127.0.0.1:0\""));
    let mut gateway = Gateway::start(&home);
    let neighbour = stage.connect("scripted1");
    let address = |state: &Value| state["http"]["address"].as_str().unwrap_or_default().to_owned();
    let listening = |state: &Value| state["http"]["state"] == "listening";
    let first = address(&state_when(&gateway, listening));
    let named = ["Host: hermes.lan:80".to_owned()];
    assert_eq!(raw(&first, "GET /livez", &named).status, 421, "it is not called that yet");

    home.write("gateway.toml", http("bind = \"127.0.0.1:0\", hosts = [\"hermes.lan:80\"]"));
    let second = address(&state_when(&gateway, |state| listening(state) && address(state) != first));
    gateway.wait_for_log("http_changed");
    assert_eq!(raw(&second, "GET /livez", &named).status, 200);
    assert!(std::net::TcpStream::connect(&first).is_err(), "nobody listens at the old address");

    home.write("gateway.toml", http("bind = \"off\""));
    state_when(&gateway, |state| state["pid"].is_number() && state["http"].is_null());
    assert!(std::net::TcpStream::connect(&second).is_err());
    home.write("gateway.toml", http("bind = \"127.0.0.1:0\""));
    let third = address(&state_when(&gateway, listening));
    assert_eq!(raw(&third, "GET /livez", &[format!("Host: {third}")]).status, 200);

    neighbour.write("1", "friend", "were you disturbed");
    neighbour.take_message("were you disturbed");
    assert_eq!(gateway.stop(), Some(0));
}
