//! Who gets in where, and who does not: programs that want to steer what started them.

use std::os::unix::fs::PermissionsExt;

use crate::support::house::{House, QUICK};
use crate::support::wait;

/// An agent that leaves something behind, which acts when the agent itself has ended: once as it is, once with a clean
/// environment, and once as the grandchild of what has ended as well.
const PLOTTER: &str = r#"#!/bin/sh
read -r turn
agent=$$
steer() {
    for verb in 'platform pause scripted1' 'pairing approve scripted1 ABCD2345' 'send scripted1:friend hello' \
        'gateway restart' 'gateway stop'; do
        $1 HERMES_HOME=HOME HERMES $verb >> "$0.$2" 2>&1; echo "exit $?" >> "$0.$2"
    done
    env -i HERMES_HOME=HOME HERMES platform status --json > "$0.$2.looked" 2>&1
    mv "$0.$2" "$0.$2.done"
}
wait_for_end() { while kill -0 "$agent" 2>/dev/null; do sleep 0.05; done; }
export agent
(trap '' HUP; wait_for_end; steer env marked) </dev/null >/dev/null 2>&1 &
(trap '' HUP; wait_for_end; steer 'env -i' stripped) </dev/null >/dev/null 2>&1 &
( (trap '' HUP; wait_for_end; steer 'setsid env -i' far) </dev/null >/dev/null 2>&1 & ) &
printf 'left'
"#;

#[test]
fn what_an_agent_leaves_behind_may_look_and_not_steer() {
    let dir = tempfile::tempdir().unwrap();
    let agent = dir.path().join("agent");
    let toml = format!(
        "{QUICK}[agent]\nkind = \"command\"\ncommand = [\"setsid\", \"-w\", \"{}\"]\n",
        agent.display()
    );
    let mut house = House::furnish(1, &toml, |home| {
        let text = PLOTTER.replace("HERMES_HOME=HOME", &format!("HERMES_HOME={}", home.root().display()));
        std::fs::write(&agent, text.replace(" HERMES ", &format!(" {} ", env!("CARGO_BIN_EXE_hermes")))).unwrap();
        std::fs::set_permissions(&agent, PermissionsExt::from_mode(0o700)).unwrap();
    });
    house.well.write("M1", "friend", "hello");
    for way in ["marked", "stripped", "far"] {
        let done = agent.with_extension(format!("{way}.done"));
        let steered = wait::until(wait::LIMIT, || std::fs::read_to_string(&done).ok());
        let Some(steered) = steered else { panic!("{way}:\n{}", house.gateway.log().join("\n")) };
        assert_eq!(steered.matches("may not steer it").count(), 5, "{way}: {steered}");
        assert_eq!(steered.matches("exit 1").count(), 5, "{way}: {steered}");
        let looked = std::fs::read_to_string(agent.with_extension(format!("{way}.looked"))).unwrap();
        let looked: serde_json::Value = serde_json::from_str(&looked).expect("JSON");
        assert_eq!(looked["running"], true, "{way}: {looked:#}");
    }
    assert!(house.gateway.is_running());
    assert_eq!(house.entry("scripted1")["state"], "connected");
    // What was adopted is reaped.
    let us = house.gateway.pid().to_string();
    let zombies = || {
        let stats = std::fs::read_dir("/proc").unwrap().flatten();
        let stats = stats.filter_map(|entry| std::fs::read_to_string(entry.path().join("stat")).ok());
        let fields = stats.filter_map(|stat| stat.rsplit_once(") ").map(|(_, rest)| rest.to_owned()));
        fields.filter(|fields| fields.starts_with(&format!("Z {us} "))).count()
    };
    assert!(wait::until(wait::LIMIT, || (zombies() == 0).then_some(())).is_some(), "{} zombies", zombies());
    assert_eq!(house.gateway.stop(), Some(0));
}
