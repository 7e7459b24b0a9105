//! A real agent behind the gateway: an OpenAI-compatible service on loopback, its answers, its memory and its failures.

use std::net::TcpListener;

use serde_json::json;

use crate::support::agent::AgentService;
use crate::support::fake::FakeWhatsApp;
use crate::support::home::TestHome;
use crate::support::house::{House, QUICK};
use crate::support::pairing::{FRIEND, paired};
use crate::support::process::Gateway;
use crate::support::wait;

fn serve(service: &AgentService, home: &TestHome, fake: &FakeWhatsApp) {
    let (agent, url) = (service.table(), &fake.url);
    home.write(
        "gateway.toml",
        format!(
            "gateway = {{ join_window = \"0s\" }}\n{agent}[platforms.whatsapp]\nweb_socket_url = \"{url}\"\n"
        ),
    );
}

fn wait_for_answer(fake: &FakeWhatsApp, text: &str) -> String {
    let seen = wait::until(wait::LIMIT, || {
        fake.received().into_iter().map(|(_, answer)| answer).find(|answer| answer.contains(text))
    });
    seen.unwrap_or_else(|| panic!("no answer with `{text}` came: {:#?}", fake.received()))
}

/// Waits until the status shows this state of the agent, and the time since when it is away.
fn wait_for_agent(gateway: &Gateway, state: &str) {
    let seen = wait::until(wait::LIMIT, || (gateway.state()["agent"]["state"] == state).then_some(()));
    let agent = gateway.state()["agent"].clone();
    assert!(seen.is_some(), "{agent}");
    assert_eq!(agent["kind"], "openai");
    assert_eq!(agent["since"].is_string(), state == "unavailable", "{agent}");
}

#[test]
fn the_agent_answers_remembers_the_conversation_over_a_restart_and_its_failure_is_told_once_and_waited_out() {
    let (home, mut fake) = paired();
    let service = AgentService::start();
    serve(&service, &home, &fake);
    let mut gateway = Gateway::start(&home);
    gateway.wait_for_state("connected");
    fake.tell(json!({ "cmd": "message", "from": FRIEND, "text": "my name is Ada" }));
    wait_for_answer(&fake, "answer 1 to: my name is Ada");
    assert_eq!(gateway.stop(), Some(0));

    let mut gateway = Gateway::start(&home);
    gateway.wait_for_state("connected");
    fake.tell(json!({ "cmd": "message", "from": FRIEND, "text": "who am I" }));
    wait_for_answer(&fake, "answer 2 to: who am I");
    let asked = service.asked.lock().unwrap()[1]["messages"].to_string();
    for part in ["Be brief.", "my name is Ada", "answer 1 to: my name is Ada", "who am I"] {
        assert!(asked.contains(part), "`{part}` is missing in {asked}");
    }

    // While it fails, messages wait, and the chat gets one notice.
    *service.failing.lock().unwrap() = true;
    let before = fake.received().len();
    fake.tell(json!({ "cmd": "message", "from": FRIEND, "text": "are you well" }));
    let told = wait_for_answer(&fake, "not available right now");
    assert!(told.len() < 200 && !told.contains("127.0.0.1"), "{told}");
    wait_for_agent(&gateway, "unavailable");
    let why = gateway.state()["agent"]["error_message"].to_string();
    assert!(why.contains("answers 500") && !why.contains("does not answer"), "{why}");
    fake.tell(json!({ "cmd": "message", "from": FRIEND, "text": "/status" }));
    wait_for_answer(&fake, "It has not been available for");
    fake.tell(json!({ "cmd": "message", "from": FRIEND, "text": "and now" }));
    *service.failing.lock().unwrap() = false;
    wait_for_answer(&fake, "to: and now");
    wait_for_agent(&gateway, "available");
    let answers: Vec<_> = fake.received().into_iter().skip(before).map(|(_, answer)| answer).collect();
    let told = answers.iter().filter(|answer| answer.contains("not available right now")).count();
    assert_eq!(told, 1, "{answers:#?}");
    assert!(answers.iter().any(|answer| answer.contains("to: are you well")), "it was kept: {answers:#?}");
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn the_words_of_a_refusal_are_in_the_log_once_for_each_kind_and_not_in_the_chat() {
    let (home, mut fake) = paired();
    let service = AgentService::start();
    let refusal = |words: &str| {
        let body = json!({ "error": { "message": words, "type": "invalid_request_error" } });
        format!("HTTP/1.1 400 No\r\nconnection: close\r\n\r\n{body}")
    };
    *service.odd.lock().unwrap() = vec![
        ("frost", refusal("No such parameter: top_z (request 4711)")),
        ("hail", refusal("No such parameter: top_z (request 4712)")),
        ("fire", refusal("The tools are not allowed")),
        ("boat", refusal("Cannot read: where is the boat of Miriam")),
    ];
    serve(&service, &home, &fake);
    let mut gateway = Gateway::start(&home);
    gateway.wait_for_state("connected");
    for (count, text) in
        ["frost", "hail", "fire", "Tell me, where is the boat of Miriam"].into_iter().enumerate()
    {
        fake.tell(json!({ "cmd": "message", "from": FRIEND, "text": text }));
        let told = || {
            let told = fake.received().into_iter().filter(|(_, told)| told.contains("reported a failure"));
            (told.count() > count).then_some(())
        };
        assert!(wait::until(wait::LIMIT, told).is_some(), "{text}: {:#?}", fake.received());
    }
    fake.tell(json!({ "cmd": "message", "from": FRIEND, "text": "fair" }));
    wait_for_answer(&fake, "to: fair");
    let log = gateway.log().join("\n");
    for words in
        ["it said: No such parameter: top_z", "it said: The tools are not allowed", "it said: (not shown"]
    {
        assert_eq!(log.matches(words).count(), 1, "{words}: {log}");
    }
    assert!(!log.contains("boat"), "{log}");
    let chat = format!("{:?}", fake.received());
    assert!(!chat.contains("top_z") && !chat.contains("tools"), "{chat}");
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn an_image_reaches_the_model_and_a_strangers_is_not_even_fetched() {
    let (home, mut fake) = paired();
    let service = AgentService::start();
    serve(&service, &home, &fake);
    let mut gateway = Gateway::start(&home);
    gateway.wait_for_state("connected");
    // The smallest PNG: one pixel.
    let png =
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
    let picture = |from: &str| json!({ "cmd": "message", "from": from, "kind": "image", "text": "look", "mime": "image/png", "data_base64": png });
    fake.tell(picture("15550009999"));
    fake.tell(picture(FRIEND));
    wait_for_answer(&fake, "answer 1 to:");
    let asked = service.asked.lock().unwrap()[0]["messages"].to_string();
    assert!(
        asked.contains("data:image/png;base64,"),
        "the image is not in {}",
        &asked[..asked.len().min(500)]
    );
    let fetched = fake.events().iter().filter(|event| event["event"] == "media_request").count();
    assert_eq!(fetched, 1, "only the friend's picture is fetched");
    use std::os::unix::fs::PermissionsExt;
    for entry in std::fs::read_dir(home.paths().whatsapp().media_dir()).unwrap().flatten() {
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{entry:?}");
    }
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn a_service_that_is_not_there_is_waited_for_over_a_restart_and_a_stop_takes_the_message_back() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let toml = format!("{QUICK}[agent]\nkind = \"openai\"\nbase_url = \"http://{address}/v1\"\n");
    let house = House::furnish(1, &toml, |_| {});
    house.well.write("M1", "friend", "take it back");
    house.well.write("M2", "other", "keep it");
    let told = wait::until(wait::LIMIT, || {
        let mut said = house.well.said();
        said.retain(|said| {
            said["text"].as_str().is_some_and(|text| text.contains("not available right now"))
        });
        (said.len() == 2).then_some(said)
    });
    for notice in told.expect("each chat is told") {
        house.well.cue(json!({ "do": "sent", "handle": notice["handle"] }));
    }
    house.well.write("M3", "friend", "/stop");
    house.well.take_message("Stopped.");
    let House { stage, mut gateway, home, .. } = house;
    assert_eq!(gateway.stop(), Some(0));

    let service = AgentService::at(&address.to_string());
    let _gateway = Gateway::start(&home);
    let well = stage.connect("scripted1");
    well.take_message("answer 1 to: keep it");
    assert_eq!(service.asked.lock().unwrap().len(), 1, "what was taken back is not asked");
}
