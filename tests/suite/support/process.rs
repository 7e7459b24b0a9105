//! A running gateway, watched from outside.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use hermes::client::report::last_word;
use hermes::home::HermesHome;
use serde_json::Value;

use super::home::TestHome;
use super::{truth, wait};

/// A separate `hermes gateway run` for a test.
pub(crate) struct Gateway {
    child: Child,
    log: Arc<Mutex<Vec<String>>>,
    paths: HermesHome,
}

impl Gateway {
    /// Starts it.
    pub(crate) fn start(home: &TestHome) -> Self {
        Self::of(home, home.command(["gateway", "run", "-v"]))
    }

    /// Starts it by this command.
    pub(crate) fn of(home: &TestHome, mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("hermes starts");
        let log = Arc::new(Mutex::new(Vec::new()));
        let streams: [Box<dyn std::io::Read + Send>; 2] = [
            Box::new(child.stdout.take().expect("it is piped")),
            Box::new(child.stderr.take().expect("it is piped")),
        ];
        for stream in streams {
            let log = Arc::clone(&log);
            std::thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    log.lock().expect("not poisoned").push(line);
                }
            });
        }
        let (paths, variables) = (home.paths(), home.variables());
        truth::watch(child.id(), paths.state_file(), paths.config_file(), &variables);
        Self { child, log, paths }
    }

    /// Returns its log.
    pub(crate) fn log(&self) -> Vec<String> {
        self.log.lock().expect("not poisoned").clone()
    }

    /// Returns its pid.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Returns the most memory that it has held so far, in KiB.
    pub(crate) fn peak_kb(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("it runs");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("the kernel counts it");
        peak.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    /// Waits for a log line that holds this text.
    pub(crate) fn wait_for_log(&self, text: &str) -> String {
        let found = wait::until(wait::LIMIT, || self.log().into_iter().find(|line| line.contains(text)));
        match found {
            Some(line) => line,
            None => panic!("it never logged `{text}`:\n{}", self.log().join("\n")),
        }
    }

    /// Returns the status file's document, once it is this gateway's own.
    pub(crate) fn state(&self) -> Value {
        std::fs::read(self.paths.state_file())
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .filter(|document: &Value| document["pid"] == self.pid())
            .unwrap_or(Value::Null)
    }

    /// Waits until the status file shows this state of WhatsApp, and returns its entry.
    pub(crate) fn wait_for_state(&self, state: &str) -> Value {
        let seen = wait::until(wait::LIMIT, || {
            let document = self.state();
            // A killed gateway leaves its last status behind; only this one's counts.
            let whatsapp = &document["platforms"]["whatsapp"];
            (document["pid"] == self.pid() && whatsapp["state"] == state).then(|| whatsapp.clone())
        });
        match seen {
            Some(entry) => entry,
            None => panic!("it never was `{state}`:\n{:#}\n{}", self.state(), self.log().join("\n")),
        }
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(self.child.id().cast_signed()).expect("a pid");
        rustix::process::kill_process(pid, signal).expect("it is there");
    }

    /// Kills it, as a power cut would. A client must get the answer at once that it is gone, whatever its file says.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it is there");
        self.child.wait().expect("it was started here");
        self.was_truthful();
        // Another one may have waited for its place.
        let believed = last_word(&self.paths).filter(|document| document.pid == self.pid());
        assert!(believed.is_none(), "it was killed, and its word still counts: {believed:#?}");
    }

    /// Fails when the status file showed a platform as connected which was not.
    fn was_truthful(&self) {
        if let Err(lies) = truth::verdict(self.pid())
            && !std::thread::panicking()
        {
            panic!("{lies}\n\nits log:\n{}", self.log().join("\n"));
        }
    }

    /// True while it has not ended.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("a child of ours").is_none()
    }

    /// Waits for its end.
    pub(crate) fn exit_code(&mut self) -> Option<i32> {
        let status = wait::until(wait::LIMIT, || self.child.try_wait().expect("a child of ours"));
        match status {
            Some(status) => {
                self.was_truthful();
                status.code()
            }
            None => panic!("it does not end:\n{}", self.log().join("\n")),
        }
    }

    /// Asks it to stop and waits.
    pub(crate) fn stop(&mut self) -> Option<i32> {
        self.signal(rustix::process::Signal::TERM);
        self.exit_code()
    }

    /// Returns what it holds of the machine.
    pub(crate) fn held(&self) -> Held {
        let count =
            |what: &str| std::fs::read_dir(format!("/proc/{}/{what}", self.pid())).map_or(0, Iterator::count);
        Held { fds: count("fd"), threads: count("task"), children: self.children().len() }
    }

    /// Returns the pids of its children.
    pub(crate) fn children(&self) -> Vec<u32> {
        children(self.pid())
    }
}

/// Returns the pids of a process's children.
pub(crate) fn children(pid: u32) -> Vec<u32> {
    std::fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok())
        .flat_map(|text| text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .collect()
}

/// The resources that a gateway holds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Held {
    pub(crate) fds: usize,
    pub(crate) threads: usize,
    pub(crate) children: usize,
}

impl Drop for Gateway {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        self.was_truthful();
    }
}

/// True when a process of this pid is running (a zombie is not).
pub(crate) fn is_alive(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X'])))
}
