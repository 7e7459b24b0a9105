//! A gateway with scripted platforms of which the first always works: faults of the others must not affect it.

use std::process::{Command, Stdio};

use serde_json::Value;

use super::home::TestHome;
use super::process::Gateway;
use super::stage::{Player, Stage};
use super::wait;

/// Settings with short times, so that a ladder is climbed in a second; and each message is answered separately, so that
/// answers can be counted.
pub(crate) const QUICK: &str = "[gateway]\nconnect_timeout = \"2s\"\ndrain_timeout = \"5s\"\n\
                                join_window = \"0s\"\nchat_turns_per_minute = 0\n\
                                reconnect = { first = \"100ms\", cap = \"400ms\", stable_after = \"10ms\" }\n";

/// The gateway and the services that it talks to.
pub(crate) struct House {
    pub(crate) stage: Stage,
    pub(crate) gateway: Gateway,
    pub(crate) home: TestHome,
    /// The healthy platform, `scripted1`.
    pub(crate) well: Player,
    /// The time of its connection: this must never change.
    since: Value,
    asked: usize,
}

impl House {
    /// Starts with this many platforms, the first of which is connected.
    pub(crate) fn open(count: u8) -> Self {
        Self::furnish(count, QUICK, |_| {})
    }

    /// Makes the same with another `gateway.toml`, in a home that is prepared by the test.
    pub(crate) fn furnish(count: u8, toml: &str, prepare: impl FnOnce(&mut TestHome)) -> Self {
        Self::with(count, toml, prepare, Gateway::start)
    }

    /// Makes the same with a gateway that is started by this shell command (`exec "$@"`): under limits, or ignoring signals.
    pub(crate) fn under(shell: &str, count: u8, toml: &str) -> Self {
        let start = |home: &TestHome| {
            let plain = home.command(["gateway", "run", "-v"]);
            let mut command = Command::new("sh");
            command.args(["-c", shell, "sh"]).arg(plain.get_program()).args(plain.get_args());
            command.stdin(Stdio::null()).env_clear().envs(home.variables());
            Gateway::of(home, command)
        };
        Self::with(count, toml, |_| {}, start)
    }

    fn with(
        count: u8,
        toml: &str,
        prepare: impl FnOnce(&mut TestHome),
        start: impl FnOnce(&TestHome) -> Gateway,
    ) -> Self {
        let stage = Stage::new(count);
        let mut home = TestHome::empty();
        prepare(&mut home);
        home.env.push(stage.variable());
        home.write("gateway.toml", toml);
        std::fs::set_permissions(home.root(), std::os::unix::fs::PermissionsExt::from_mode(0o700))
            .expect("it is ours");
        let gateway = start(&home);
        let well = stage.connect("scripted1");
        let mut house = Self { stage, gateway, home, well, since: Value::Null, asked: 0 };
        // A house whose state file cannot be written has no `since` to watch.
        if !house.home.paths().state_file().is_dir() {
            house.since = house.wait_for("scripted1", "connected")["since"].clone();
        }
        house
    }

    /// Returns the status file's entry of this platform.
    pub(crate) fn entry(&self, platform: &str) -> Value {
        self.gateway.state()["platforms"][platform].clone()
    }

    /// Waits until its state is this.
    pub(crate) fn wait_for(&self, platform: &str, state: &str) -> Value {
        self.wait_until(platform, state, |entry| entry["state"] == state)
    }

    /// Waits until its entry fits.
    pub(crate) fn wait_until(&self, platform: &str, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let seen = wait::until(wait::LIMIT, || Some(self.entry(platform)).filter(&fits));
        match seen {
            Some(entry) => entry,
            None => panic!(
                "{platform} never was {what}:\n{:#}\n{}",
                self.gateway.state(),
                self.gateway.log().join("\n")
            ),
        }
    }

    /// Takes the platform's next attempt and lets it succeed. Attempts that were made before and given up are left out.
    pub(crate) fn heal(&self, platform: &str) -> Player {
        let seen = wait::until(wait::LIMIT, || {
            let player = self.stage.connect(platform);
            let live = wait::until(std::time::Duration::from_secs(2), || {
                (self.entry(platform)["state"] == "connected").then_some(())
            });
            live.map(|()| player)
        });
        seen.unwrap_or_else(|| panic!("{platform} never came back:\n{}", self.gateway.log().join("\n")))
    }

    /// Checks that the healthy platform answers, and was connected all the time.
    pub(crate) fn assert_others_unaffected(&mut self) {
        self.asked += 1;
        let text = format!("question {}.", self.asked);
        self.well.write(&format!("well {}", self.asked), "friend", &text);
        self.well.take_message(&text);
        // Until that is written down, a kill would have it sent again.
        let written = wait::until(wait::LIMIT, || {
            let log = self.gateway.log();
            (log.iter().filter(|line| line.contains("sent platform=scripted1")).count() >= self.asked)
                .then_some(())
        });
        assert!(written.is_some(), "{}", self.gateway.log().join("\n"));
        assert_eq!(self.entry("scripted1")["since"], self.since, "the healthy platform was touched");
        assert!(self.gateway.is_running(), "{}", self.gateway.log().join("\n"));
    }

    /// Returns the lines of this platform that a user reads, from this line of the log on.
    pub(crate) fn lines(&self, from: usize, word: &str) -> Vec<String> {
        let log = self.gateway.log();
        let is_shown = |line: &&String| !line.contains("DEBUG") && !line.contains("TRACE");
        log.iter().skip(from).filter(is_shown).filter(|line| line.contains(word)).cloned().collect()
    }
}
