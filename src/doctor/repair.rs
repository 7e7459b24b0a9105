//! `hermes doctor --fix`: repairs what needs no person. Each step is whole or not done at all, does nothing where all is well, and
//! takes nothing from a gateway that runs.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::files::{WrongMode, leftovers, wrong_modes};
use crate::bridge::install::{self, InstallError};
use crate::bridge::session_lock;
use crate::bridge::toolchain;
use crate::config::Config;
use crate::durable::{self, Lock};
use crate::home::HermesHome;
use crate::ownership::{self, Owned, Standing, Us};
use crate::preflight::{BridgeFact, LockFact, NODE_MAJOR_MIN, NodeFact};
use crate::world::World;

/// One thing that was repaired, or was not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Repair {
    /// It is done.
    pub(super) done: bool,
    /// The work that was done, or why not; a sentence without its period.
    pub(super) message: String,
    /// The rest, for a person.
    pub(super) fix: Option<String>,
}

impl Repair {
    fn done(message: impl Into<String>) -> Self {
        Self { done: true, message: message.into(), fix: None }
    }

    fn left(message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            done: false,
            message: message.into(),
            fix: Some(fix.into()).filter(|fix: &String| !fix.is_empty()),
        }
    }
}

/// Repairs what can be repaired, and says what it did.
pub(super) async fn run(world: &World, home: &HermesHome) -> Vec<Repair> {
    let root = home.root();
    if let Ok(folder) = root.metadata().map(|metadata| Owned::from(&metadata))
        && Us::now().standing(folder) == Standing::Foreign
    {
        // Its owner could not use files that we wrote here.
        let message = format!(
            "the home folder {} belongs to {}; nothing in it was changed",
            root.display(),
            ownership::user(folder.uid)
        );
        return vec![Repair::left(message, ownership::hints(world, root).join(" "))];
    }
    let mut repairs = folder(world, home);
    repairs.extend(modes(home));
    repairs.extend(remove_leftovers(home));
    // Settings that cannot be read do not say what is wanted; the report says so.
    if let Ok(config) = Config::load(world, home)
        && config.whatsapp.enabled
    {
        repairs.extend(bridge(world, home, &config).await);
    }
    repairs
}

fn folder(world: &World, home: &HermesHome) -> Vec<Repair> {
    let root = home.root();
    if root.exists() {
        return Vec::new();
    }
    vec![match durable::create_private_dir(root) {
        Ok(()) => Repair::done(format!("created the home folder {}", root.display())),
        Err(error) => {
            let message = format!("the home folder {} cannot be created: {error}", root.display());
            Repair::left(message, ownership::hints(world, root).join(" "))
        }
    }]
}

fn modes(home: &HermesHome) -> Vec<Repair> {
    let repair = |WrongMode { path, is, right }: WrongMode| {
        let shown = path.display();
        match std::fs::set_permissions(&path, Permissions::from_mode(right)) {
            Ok(()) => Repair::done(format!("changed the mode of {shown} from {is:o} to {right:o}")),
            Err(error) => Repair::left(format!("the mode of {shown} cannot be changed: {error}"), ""),
        }
    };
    wrong_modes(home).into_iter().map(repair).collect()
}

fn remove_leftovers(home: &HermesHome) -> Vec<Repair> {
    if leftovers(home).is_empty() {
        return Vec::new();
    }
    // While we hold the lock no gateway can begin, so that what is removed is of none that runs.
    let Ok(_lock) = Lock::acquire(&home.lock_file()) else { return Vec::new() };
    let left = [home.control_socket(), home.pid_file()];
    let remove = |path: &std::path::PathBuf| match std::fs::remove_file(path) {
        Ok(()) => Some(Repair::done(format!("removed {}, left behind by a stopped gateway", path.display()))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => Some(Repair::left(format!("{} cannot be removed: {error}", path.display()), "")),
    };
    left.iter().filter_map(remove).collect()
}

/// Installs the bridge as the wizard does: beside the old one, and put in its place as a whole.
async fn bridge(world: &World, home: &HermesHome, config: &Config) -> Vec<Repair> {
    let (why, is_there) = match install::check(home) {
        BridgeFact::Installed { .. } => return Vec::new(),
        BridgeFact::Missing => ("was not installed".to_owned(), false),
        BridgeFact::Damaged { why } => (format!("was damaged ({why})"), true),
    };
    // Its files must not go away under a bridge that runs.
    if let (true, LockFact::Held { .. }) = (is_there, session_lock(&home.whatsapp())) {
        return vec![Repair::left(
            format!("the WhatsApp bridge {why}, but it is in use"),
            "Stop it first with `hermes platform pause whatsapp`, run `hermes doctor --fix` again, then `hermes platform resume whatsapp`.",
        )];
    }
    let node = match toolchain::find_node(world, home, config) {
        NodeFact::Found { path, version: (major, ..) } if major >= NODE_MAJOR_MIN => path,
        NodeFact::Found { .. } | NodeFact::Missing | NodeFact::Broken { .. } => {
            let message = format!("the WhatsApp bridge {why}, and Node.js is needed to install it");
            return vec![Repair::left(message, "Install Node.js first; see below.")];
        }
    };
    if world.stderr_tty {
        // Repairs go on without a screen.
        drop(console::Term::stderr().write_line("Installing the WhatsApp bridge; Ctrl-C stops …"));
    }
    let cancel = CancellationToken::new();
    let (progress, _unread) = mpsc::channel(1);
    let installing = install::install(world, home, &node, progress, cancel.clone());
    tokio::pin!(installing);
    let outcome = tokio::select! {
        outcome = &mut installing => outcome,
        () = interrupted() => {
            cancel.cancel();
            installing.await
        }
    };
    vec![match outcome {
        Ok(_) => Repair::done(format!("installed the WhatsApp bridge, which {why}")),
        Err(InstallError::Failed { message, hint, tail }) => {
            let last = tail.last().map_or(String::new(), |last| format!(" ({last})"));
            Repair::left(format!("the WhatsApp bridge {why}, and cannot be installed: {message}{last}"), hint)
        }
        Err(error @ (InstallError::Cancelled | InstallError::NoNpm)) => Repair::left(
            format!("the WhatsApp bridge {why}, and is not installed: {error}"),
            "Run `hermes doctor --fix` again, or `hermes whatsapp`.",
        ),
    }]
}

/// Somebody asks us to stop.
async fn interrupted() {
    let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::durable::write_atomic;

    fn world(env: &[(&str, &str)]) -> World {
        World::of_env(env.iter().copied())
    }

    #[tokio::test]
    async fn what_is_repaired_is_said_once_and_is_well_afterwards() {
        let dir = tempfile::tempdir().unwrap();
        let home = HermesHome::at(dir.path().join("hermes"));
        let world = world(&[]);
        assert_eq!(run(&world, &home).await.len(), 1, "the folder");
        write_atomic(&home.env_file(), b"").unwrap();
        std::fs::set_permissions(home.env_file(), Permissions::from_mode(0o644)).unwrap();
        drop(std::os::unix::net::UnixListener::bind(home.control_socket()).unwrap());
        write_atomic(&home.pid_file(), b"{}").unwrap();
        let repairs = run(&world, &home).await;
        assert!(repairs.len() == 3 && repairs.iter().all(|repair| repair.done), "{repairs:#?}");
        assert!(repairs[0].message.contains("from 644 to 600"), "{repairs:#?}");
        assert!(!home.control_socket().exists() && !home.pid_file().exists());
        assert_eq!(run(&world, &home).await, []);
    }

    #[tokio::test]
    async fn a_bridge_that_runs_is_left_alone_and_without_node_it_is_said_what_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let home = HermesHome::at(dir.path());
        std::fs::set_permissions(dir.path(), Permissions::from_mode(0o700)).unwrap();
        let world = world(&[("WHATSAPP_ENABLED", "true"), ("HERMES_NODE", "/nowhere/node")]);
        let only = |repairs: Vec<Repair>| {
            assert_eq!(repairs.len(), 1, "{repairs:#?}");
            (repairs[0].done, repairs[0].message.clone())
        };
        let (done, message) = only(run(&world, &home).await);
        assert!(!done && message.contains("Node.js is needed"), "{message}");
        let damaged = home.whatsapp().bridge_root().join(install::content_hash());
        durable::create_private_dir(&damaged).unwrap();
        let _running = Lock::acquire(&home.whatsapp().session_lock()).unwrap();
        let (done, message) = only(run(&world, &home).await);
        assert!(!done && message.contains("is in use"), "{message}");
        assert!(damaged.exists());
    }
}
