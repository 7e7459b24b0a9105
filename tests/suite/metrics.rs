//! Each number of `/metrics`, caused from outside.

use std::path::Path;

use rustix::process::Resource;
use serde_json::json;

use crate::host_faults::limit;
use crate::support::home::TestHome;
use crate::support::house::{House, QUICK};
use crate::support::http::ask;
use crate::support::wait;

const KEY: &str = "metrics-key-0123456789abcdef";

/// Repeats its input. On "think" it waits until a file exists.
const AGENT: &str = r#"said=$(cat)
case $said in *'"text":"think"'*) while [ ! -e "$0" ]; do sleep 0.05; done ;; esac
printf '%s\n' "$said" | sed 's/.*"text":"\([^"]*\)".*/\1/'"#;

/// Returns the value of this series, if there is one.
fn number(house: &House, series: &str) -> Option<f64> {
    let address = house.gateway.state()["http"]["address"].as_str()?.to_owned();
    let page = ask(&address, "GET /metrics", &[&format!("Authorization: Bearer {KEY}")]);
    page.body.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
}

fn wait_for(house: &House, series: &str, fits: impl Fn(f64) -> bool) -> f64 {
    let mut last = None;
    let seen = wait::until(wait::LIMIT, || {
        last = number(house, series);
        last.filter(|value| fits(*value))
    });
    seen.unwrap_or_else(|| panic!("{series} is {last:?}\n{}", house.gateway.log().join("\n")))
}

fn messages(direction: &str, outcome: &str) -> String {
    format!("hermes_messages_total{{platform=\"scripted2\",direction=\"{direction}\",outcome=\"{outcome}\"}}")
}

/// Makes two platforms; the second has one friend. Its agent thinks until this file is there.
fn house(thought: &Path) -> House {
    let toml = QUICK
        .replace("[gateway]\n", "[gateway]\nhttp = { bind = \"127.0.0.1:0\" }\n")
        .replace("first = \"100ms\", cap = \"400ms\"", "first = \"20s\", cap = \"20s\"")
        .replace("stable_after = \"10ms\"", "stable_after = \"60s\"");
    let agent = format!(
        "[agent]\nkind = \"command\"\ncommand = [\"sh\", \"-c\", \'\'\'{AGENT}\'\'\', {thought:?}]\n"
    );
    House::furnish(2, &(toml + &agent), |home: &mut TestHome| {
        for (name, value) in [
            ("API_SERVER_PORT", ""),
            ("SCRIPTED2_ALLOWED_USERS", "friend"),
            ("SCRIPTED2_ALLOW_ALL_USERS", "false"),
        ] {
            home.env.push((name.to_owned(), value.to_owned()));
        }
        home.write(".env", format!("API_SERVER_KEY={KEY}\n"));
    })
}

#[test]
fn each_number_tells_what_happened() {
    let dir = tempfile::tempdir().unwrap();
    let thought = dir.path().join("thought of it");
    let mut house = house(&thought);
    let of = |family: &str| format!("hermes_platform_{family}{{platform=\"scripted2\"}}");
    let begun = jiff::Timestamp::now().as_second() as f64;

    // A platform fails, waits, and comes back when it is resumed.
    house.stage.attempt("scripted2").cue(json!({ "do": "fail", "code": "net_dns" }));
    wait_for(&house, "hermes_platform_state{platform=\"scripted2\",state=\"retrying\"}", |is| is == 1.0);
    assert_eq!(number(&house, &of("consecutive_failures")), Some(1.0));
    let next = number(&house, &of("next_retry_seconds")).unwrap();
    assert!(next > 0.0 && next <= 25.0, "{next}");
    let reconnects = "hermes_platform_reconnects_total{platform=\"scripted2\",reason=\"net_dns\"}";
    assert_eq!(number(&house, reconnects), None, "no attempt was made after the first");
    assert_eq!(number(&house, &of("last_inbound_timestamp_seconds")), None);
    assert_eq!(house.home.run(["platform", "resume", "scripted2"]).code, Some(0));
    let player = house.stage.connect("scripted2");
    wait_for(&house, "hermes_platform_state{platform=\"scripted2\",state=\"connected\"}", |is| is == 1.0);
    assert_eq!(number(&house, reconnects), Some(1.0));
    assert_eq!(number(&house, &of("next_retry_seconds")), None);

    // One message of each kind comes in.
    player.write("one", "friend", "the first");
    let answer = player.take_message("the first")["handle"].clone();
    wait_for(&house, &messages("out", "sent"), |count| count == 1.0);
    player.write("one", "friend", "the first");
    wait_for(&house, &messages("in", "duplicate"), |count| count == 1.0);
    player.write("other", "stranger", "let me in");
    wait_for(&house, &messages("in", "denied"), |count| count == 1.0);
    assert_eq!(number(&house, &messages("in", "accepted")), Some(1.0));
    wait_for(&house, &of("last_inbound_timestamp_seconds"), |at| at >= begun);
    wait_for(&house, "hermes_turn_duration_seconds_count", |count| count == 1.0);
    assert_eq!(number(&house, "hermes_turn_duration_seconds_bucket{le=\"+Inf\"}"), Some(1.0));
    assert!(number(&house, "hermes_turn_duration_seconds_sum").unwrap() < 60.0);

    // A message is not taken: unknown first, then certainly not, then never.
    player.write("two", "friend", "the second");
    let sends = |text: &str| {
        let is_it = |said: &&serde_json::Value| {
            said["say"] == "send" && said["text"].as_str().is_some_and(|sent| sent.contains(text))
        };
        player.said().iter().filter(is_it).map(|said| said["handle"].clone()).collect::<Vec<_>>()
    };
    for (number, (certainty, retry, outcome)) in [
        ("maybe_sent", json!({ "after_ms": 1000 }), "unknown"),
        ("not_sent", json!({ "after_ms": 1000 }), "failed"),
        ("not_sent", json!("never"), "dead"),
    ]
    .into_iter()
    .enumerate()
    {
        let sent = wait::until(wait::LIMIT, || sends("the second").get(number).cloned());
        let handle = sent.unwrap_or_else(|| panic!("{outcome}: {:?}", player.said()));
        assert_ne!(handle, answer);
        wait_for(&house, "hermes_outbox_depth", |depth| depth == 1.0);
        let cue = json!({ "do": "unsent", "handle": handle, "code": "test", "certainty": certainty, "retry": retry });
        player.cue(cue);
        wait_for(&house, &messages("out", outcome), |count| count == 1.0);
    }
    wait_for(&house, "hermes_dead_letters", |count| count == 1.0);
    wait_for(&house, "hermes_outbox_depth", |depth| depth == 0.0);
    wait_for(&house, "hermes_inbox_depth", |depth| depth == 0.0);

    // A message waits for a slow agent.
    player.write("slow", "friend", "think");
    wait_for(&house, "hermes_inbox_depth", |depth| depth == 1.0);
    wait_for(&house, "hermes_active_turns", |turns| turns == 1.0);
    std::fs::write(&thought, "").unwrap();
    // With the next answer its sender gets a notice of the one that was given up; its first sending may have arrived.
    player.take_message("may not have reached you");
    player.take_message("think");
    wait_for(&house, "hermes_inbox_depth", |depth| depth == 0.0);

    // A message cannot be taken, for the disk is full.
    limit(&house.gateway, Resource::Fsize, Some(0));
    player.write("full", "friend", "no room");
    wait_for(&house, &messages("in", "refused"), |count| count == 1.0);
    limit(&house.gateway, Resource::Fsize, None);

    wait_for(&house, "hermes_agent_available{kind=\"command\"}", |is| is == 1.0);

    // The loop turns.
    let turned = number(&house, "hermes_loop_last_tick_timestamp_seconds").unwrap();
    assert!(turned >= begun, "{turned}");
    player.write("three", "friend", "the third");
    player.take_message("the third");
    wait_for(&house, "hermes_loop_last_tick_timestamp_seconds", |at| at > turned);
    house.assert_others_unaffected();
    assert_eq!(house.gateway.stop(), Some(0));
}
