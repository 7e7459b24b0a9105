//! The service manager of this machine, asked by its own command line, where it knows a service of ours: the units and the
//! plist in `assets/service`.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};

use crate::home::HermesHome;
use crate::process::child;

/// Limit for an answer of the manager.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// A service manager, which starts the gateway again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manager {
    /// systemd of one user.
    SystemdOfUser,
    /// systemd of the machine.
    Systemd,
    /// launchd of a Mac, for one user.
    Launchd,
}

/// The manager's report on our service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// The manager.
    pub manager: Manager,
    /// The pid of the running process.
    pub pid: Option<u32>,
    /// Set when it neither runs nor is about to: its last end, in the manager's words.
    pub down: Option<String>,
    /// The home folder of the service, where the manager reports it.
    home: Option<String>,
}

impl Manager {
    const ALL: [Self; 3] = [Self::SystemdOfUser, Self::Systemd, Self::Launchd];

    fn command(self, verb: &str) -> Command {
        let us = rustix::process::geteuid().as_raw();
        let (program, target) = match self {
            Self::SystemdOfUser | Self::Systemd => ("systemctl", "hermes.service".to_owned()),
            Self::Launchd => ("launchctl", format!("gui/{us}/hermes")),
        };
        let mut command = Command::from(child::command(program));
        if self == Self::SystemdOfUser {
            command.arg("--user");
        }
        if self != Self::Launchd {
            // The question would not be seen.
            command.arg("--no-ask-password");
        }
        command.args([verb, &target]).stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    /// Returns its report on our service; `None` when it has none, or is not there itself.
    pub async fn service(self) -> Option<Service> {
        let mut command = match self {
            Self::SystemdOfUser | Self::Systemd => self.command("show"),
            Self::Launchd => self.command("print"),
        };
        if self != Self::Launchd {
            command.arg("--property=LoadState,ActiveState,Result,ExecMainStatus,MainPID,Environment");
        }
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        let asked = child::spawn_async(&mut command).ok()?.wait_with_output();
        let answer = tokio::time::timeout(ANSWER_LIMIT, asked).await.ok()?.ok()?;
        let text = String::from_utf8_lossy(&answer.stdout);
        match self {
            _ if !answer.status.success() => None,
            Self::SystemdOfUser | Self::Systemd => self.read(&text),
            // Its output is, by its own word, for people.
            Self::Launchd => Some(Service { manager: self, pid: None, down: None, home: None }),
        }
    }

    /// Reads `KEY=VALUE` lines of `systemctl show`.
    fn read(self, text: &str) -> Option<Service> {
        let of = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        if of("LoadState") != Some("loaded") {
            return None;
        }
        let is_down = matches!(of("ActiveState"), Some("inactive" | "failed"));
        let last = || {
            let result = of("Result").unwrap_or("unknown");
            let status = of("ExecMainStatus").unwrap_or("unknown");
            format!("result {result}, exit status {status}")
        };
        let variables = of("Environment").unwrap_or_default().split_whitespace();
        Some(Service {
            manager: self,
            pid: of("MainPID").and_then(|pid| pid.parse().ok()).filter(|pid| *pid != 0),
            down: is_down.then(last),
            home: variables
                .filter_map(|word| word.strip_prefix("HERMES_HOME="))
                .next_back()
                .map(str::to_owned),
        })
    }

    /// Has it start our service. The command returns when the service is ready, or has failed.
    ///
    /// # Errors
    /// When its program cannot be started.
    pub fn start(self) -> std::io::Result<Child> {
        let verb = match self {
            Self::SystemdOfUser | Self::Systemd => "start",
            Self::Launchd => "kickstart",
        };
        child::spawn_async(self.command(verb).stdout(Stdio::null()).stderr(Stdio::piped()))
    }

    /// Returns the command by which a person starts it.
    pub fn by_hand(self) -> &'static str {
        match self {
            Self::SystemdOfUser => "systemctl --user start hermes",
            Self::Systemd => "sudo systemctl start hermes",
            Self::Launchd => "launchctl kickstart gui/$(id -u)/hermes",
        }
    }

    /// Returns the command by which a person reads its log.
    pub fn log(self) -> &'static str {
        match self {
            Self::SystemdOfUser => "journalctl --user -u hermes -n 30",
            Self::Systemd => "sudo journalctl -u hermes -n 30",
            Self::Launchd => "tail -n 30 ~/Library/Logs/hermes.log",
        }
    }
}

impl Service {
    /// Returns the home folder of the service, when that is not this one.
    pub fn other_home(&self, home: &HermesHome) -> Option<&str> {
        self.home.as_deref().filter(|theirs| Path::new(theirs) != home.root())
    }
}

/// Returns the first service of ours that is installed: the user's own before the machine's.
pub async fn installed() -> Option<Service> {
    for manager in Manager::ALL {
        if let Some(service) = manager.service().await {
            return Some(service);
        }
    }
    None
}

/// Returns the manager that started this process.
pub async fn starter_of(pid: u32) -> Option<Manager> {
    for manager in [Manager::SystemdOfUser, Manager::Systemd] {
        if manager.service().await.is_some_and(|service| service.pid == Some(pid)) {
            return Some(manager);
        }
    }
    None
}
