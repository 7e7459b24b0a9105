//! Failpoints: places where a test makes this program die or fail: at each boundary of a commit, an acknowledgement, a send
//! and a rename. Only a debug build has them; in a release build each does nothing.
//!
//! `HERMES_FAILPOINT=NAME` kills the process with SIGKILL at this place; `NAME:3` at the third time; `NAME:error` makes the
//! step there fail with an I/O error each time, and `NAME:3:error` the third time; `NAME:3:hang` never returns from it. `NAME@FILE` counts only for the file of
//! that name: `replace.before@.env`.

use std::io;
use std::path::Path;

/// All failpoints. Each is at one place only.
pub const NAMES: [&str; 58] = [
    "accept.after",
    "accept.before",
    "ack.bridge.after",
    "ack.bridge.before",
    "ack.scripted.after",
    "ack.scripted.before",
    "ack.telegram.after",
    "ack.telegram.before",
    "begin.after",
    "begin.before",
    "bury.after",
    "bury.before",
    "commit.after",
    "commit.before",
    "detach.after",
    "detach.before",
    "drop.after",
    "drop.before",
    "expire.after",
    "expire.before",
    "finish.after",
    "finish.before",
    "forget.after",
    "forget.before",
    "loop.turn",
    "migrate.after",
    "migrate.before",
    "open.after",
    "open.before",
    "order.after",
    "order.before",
    "pause.after",
    "pause.before",
    "preview.after",
    "preview.before",
    "prune.after",
    "prune.before",
    "queue.after",
    "queue.before",
    "release.after",
    "release.before",
    "rename.after",
    "rename.before",
    "replace.after",
    "replace.before",
    "retry.after",
    "retry.before",
    "revive.after",
    "revive.before",
    "send.after",
    "sending.after",
    "sending.before",
    "sent.after",
    "sent.before",
    "session.after",
    "session.before",
    "unsent.after",
    "unsent.before",
];

/// Passes a place.
pub fn hit(name: &'static str) {
    drop(check(name));
}

/// Passes a place that can fail.
///
/// # Errors
/// When a test asks for it.
pub fn check(name: &'static str) -> io::Result<()> {
    armed::reach(name, None)
}

/// Passes a place that handles this file.
///
/// # Errors
/// When a test asks for it.
pub fn check_file(name: &'static str, file: &Path) -> io::Result<()> {
    armed::reach(name, Some(file))
}

pub use armed::arm;

#[cfg(debug_assertions)]
mod armed {
    use std::io;
    use std::path::Path;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::NAMES;

    struct Armed {
        name: String,
        file: Option<String>,
        at: Option<u32>,
        fails: bool,
        hangs: bool,
        hits: AtomicU32,
    }

    static ARMED: OnceLock<Armed> = OnceLock::new();

    /// Arms the failpoint that the environment asks for, for this process.
    ///
    /// # Panics
    /// When it asks for a place that is not there: a test with a slip must not pass.
    pub fn arm(wanted: Option<&str>) {
        let Some(wanted) = wanted else { return };
        let mut words = wanted.split(':');
        let place = words.next().unwrap_or_default();
        let (name, file) = place.split_once('@').map_or((place, None), |(name, file)| (name, Some(file)));
        assert!(NAMES.contains(&name), "no failpoint is called {name}");
        let mut armed = Armed {
            name: name.to_owned(),
            file: file.map(str::to_owned),
            at: None,
            fails: false,
            hangs: false,
            hits: AtomicU32::new(0),
        };
        for word in words {
            match word.parse() {
                Ok(at) => armed.at = Some(at),
                Err(_) if word == "error" => armed.fails = true,
                Err(_) if word == "hang" => armed.hangs = true,
                Err(_) => panic!("a failpoint cannot do {word}"),
            }
        }
        drop(ARMED.set(armed));
    }

    pub(super) fn reach(name: &str, file: Option<&Path>) -> io::Result<()> {
        let Some(armed) = ARMED.get().filter(|armed| armed.name == name) else { return Ok(()) };
        let is_other = |wanted: &String| file.and_then(Path::file_name).is_none_or(|file| *file != **wanted);
        if armed.file.as_ref().is_some_and(is_other) {
            return Ok(());
        }
        let hit = armed.hits.fetch_add(1, Ordering::SeqCst) + 1;
        match (armed.fails, armed.at) {
            (true, Some(at)) if hit != at => Ok(()),
            (true, Some(_) | None) => Err(rustix::io::Errno::IO.into()),
            (false, at) if hit < at.unwrap_or(1) => Ok(()),
            (false, _) if armed.hangs => loop {
                std::thread::park();
            },
            (false, Some(_) | None) => {
                rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL).ok();
                std::process::abort();
            }
        }
    }
}

#[cfg(not(debug_assertions))]
mod armed {
    /// Does nothing, in a release build.
    pub fn arm(_: Option<&str>) {}

    #[inline(always)]
    pub(super) fn reach(_: &str, _: Option<&std::path::Path>) -> std::io::Result<()> {
        Ok(())
    }
}
