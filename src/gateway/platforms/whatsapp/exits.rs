//! Pure. The error for each end of a bridge: whether and when to try again, and the remedy.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::bridge::protocol::Exit;
use crate::gateway::model::failure::{AdapterError, Retry};

/// The wait after another program took the session over. Going back at once would take it from that program in turn,
/// and so on without end.
const REPLACED_WAIT: Duration = Duration::from_secs(60);

/// Time within which a second takeover leaves the session with the other program.
const REPLACED_WINDOW: Duration = Duration::from_secs(600);

/// The wait after the host ended the bridge: that is not a fault of WhatsApp.
const SIGNALLED_WAIT: Duration = Duration::from_secs(2);

/// Number of ends for want of memory within [`OOM_WINDOW`] after which the bridge is left alone: each one endangers the
/// machine's other programs.
const OOM_MAX: usize = 3;

/// See [`OOM_MAX`].
const OOM_WINDOW: Duration = Duration::from_secs(600);

/// The bridge's exit for its own error or one of its library; neither WhatsApp nor the network caused it.
const INTERNAL: i32 = 70;

const SETUP: &str = "Run `hermes whatsapp`.";
const REPAIR: &str = "Run `hermes whatsapp --repair`.";

/// The end of a bridge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// Its exit.
    pub exit: Exit,
    /// The status code of the `closed` event before it.
    pub closed: Option<u16>,
    /// The layer that failed between here and WhatsApp, as that event says.
    pub cause: Option<Cause>,
    /// The text of its last `error` event, where that is for people: which file is unusable, which program cannot be started.
    pub said: Option<String>,
    /// True when the kernel ended a program of our group for want of memory while it ran.
    pub memory_ran_out: bool,
}

/// The layer that failed between here and WhatsApp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Its address could not be looked up.
    Dns,
    /// The connection was refused, or there is no route.
    Refused,
    /// There was no answer in time.
    Timeout,
    /// The TLS handshake failed.
    Tls,
}

impl Cause {
    /// Reads the bridge's word; `None` for one of a later bridge.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "dns" => Some(Self::Dns),
            "refused" => Some(Self::Refused),
            "timeout" => Some(Self::Timeout),
            "tls" => Some(Self::Tls),
            _ => None,
        }
    }

    fn error(self) -> AdapterError {
        match self {
            Self::Dns => AdapterError::retryable("net_dns", "WhatsApp's name cannot be resolved (DNS)"),
            Self::Refused => AdapterError::retryable("net_refused", "WhatsApp cannot be reached"),
            Self::Timeout => AdapterError::retryable("net_timeout", "WhatsApp did not answer in time"),
            Self::Tls => AdapterError::retryable("net_tls", "no trusted TLS connection to WhatsApp"),
        }
    }
}

/// Returns the error for a bridge of which not even the launcher, this program at this path, could be started.
pub fn unspawned(launcher: &Path, error: &io::Error) -> AdapterError {
    let why = format!("the bridge cannot be started: {}: {error}", launcher.display());
    if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied) {
        let action = "Install hermes at its old path again, or restart the gateway from its new path.";
        return AdapterError::blocked("whatsapp_bridge_exec", why, action);
    }
    // No process, no memory, no descriptor: a temporary shortage.
    AdapterError::retryable("whatsapp_bridge_exited", why)
}

/// Returns the error for a file of the session or the spool that cannot be read or written: which, and why.
fn storage(said: Option<&str>) -> AdapterError {
    let message = match said {
        Some(said) => format!("the WhatsApp session cannot be used: {said}"),
        None => "the bridge cannot write its session; the disk may be full or read-only".to_owned(),
    };
    AdapterError::retryable("whatsapp_storage", message)
}

/// Returns the error for a fault of the bridge or its library, in its words.
fn failed(said: Option<&str>) -> AdapterError {
    let message = match said {
        Some(said) => format!("the bridge failed: {said}"),
        None => format!("the bridge failed (exit {INTERNAL})"),
    };
    AdapterError::retryable("whatsapp_bridge_failed", message)
}

/// The earlier ends that matter for the next.
#[derive(Debug, Clone, Default)]
pub struct History {
    replaced_at: Option<Instant>,
    oom_at: VecDeque<Instant>,
}

impl History {
    /// Judges an end that was not asked for.
    pub fn judge(&mut self, now: Instant, end: End) -> AdapterError {
        let exited = |message: &str| AdapterError::retryable("whatsapp_bridge_exited", message);
        match end.exit {
            Exit::Done => exited("the bridge stopped unexpectedly"),
            Exit::NotPaired => {
                AdapterError::blocked("whatsapp_not_paired", "no phone is linked to WhatsApp", SETUP)
            }
            Exit::LoggedOut => AdapterError::blocked(
                "whatsapp_logged_out",
                "WhatsApp logged this device out; it was removed on the phone, or unused for too long",
                SETUP,
            ),
            Exit::Forbidden => AdapterError::blocked(
                "whatsapp_forbidden",
                "WhatsApp refused this account (403); it may be blocked or banned",
                "Check WhatsApp on the phone, then run `hermes whatsapp --repair`.",
            ),
            Exit::MultideviceMismatch => AdapterError::blocked(
                "whatsapp_logged_out",
                "WhatsApp refused this session (411); the phone does not allow this kind of linked device",
                REPAIR,
            ),
            Exit::Replaced => self.replaced(now),
            Exit::CredsCorrupt => AdapterError::blocked(
                "whatsapp_creds_corrupt",
                "the WhatsApp credentials cannot be read, and there is no good backup copy",
                REPAIR,
            ),
            Exit::SessionLock => AdapterError::blocked(
                "whatsapp_session_lock",
                "another bridge is using this WhatsApp session",
                "Stop the other gateway or wizard, or wait until it is done.",
            ),
            Exit::HalfPaired => AdapterError::blocked(
                "whatsapp_half_paired",
                "linking with WhatsApp was started and not finished",
                SETUP,
            ),
            Exit::PasskeyRequired => AdapterError::blocked(
                "whatsapp_passkey_required",
                "WhatsApp links this device only with the account's passkey",
                "Run `hermes whatsapp` in a terminal, with a browser that can use the passkey.",
            ),
            Exit::VersionRejected => AdapterError::retryable(
                "whatsapp_version_rejected",
                "WhatsApp refused this protocol version (405); the phone stays linked",
            ),
            Exit::StaleConnection => AdapterError::retryable(
                "whatsapp_bridge_hung",
                "WhatsApp no longer answers on this connection",
            ),
            Exit::ConnectionLost => match (end.cause, end.closed) {
                (Some(cause), _) => cause.error(),
                (None, Some(code)) => exited(&format!("the connection to WhatsApp was lost ({code})")),
                (None, None) => exited("the connection to WhatsApp was lost"),
            },
            Exit::Storage => storage(end.said.as_deref()),
            Exit::Protocol => exited("the bridge and hermes use different protocols; this is a bug"),
            Exit::QrExpired => exited("the bridge stopped as if it were linking; this is a bug"),
            Exit::Signalled(9) if end.memory_ran_out => self.ended_for_memory(now),
            Exit::Signalled(signal) => {
                exited(&format!("another program stopped the bridge (signal {signal})"))
                    .retry(Retry::After(SIGNALLED_WAIT))
            }
            Exit::Crashed(Some(code @ (126 | 127))) => {
                let otherwise = || format!("Node.js cannot be executed (exit {code})");
                AdapterError::blocked(
                    "whatsapp_bridge_exec",
                    end.said.unwrap_or_else(otherwise),
                    "Make it executable, reinstall Node.js, or set HERMES_NODE to another one. See `hermes doctor`.",
                )
            }
            Exit::Crashed(Some(INTERNAL)) => failed(end.said.as_deref()),
            Exit::Crashed(Some(code)) => exited(&format!("the bridge failed (exit {code})")),
            Exit::Crashed(None) => exited("the bridge failed"),
        }
    }

    fn ended_for_memory(&mut self, now: Instant) -> AdapterError {
        while self.oom_at.front().is_some_and(|at| now.duration_since(*at) > OOM_WINDOW) {
            self.oom_at.pop_front();
        }
        self.oom_at.push_back(now);
        let error = AdapterError::retryable(
            "whatsapp_bridge_oom",
            "the kernel killed the bridge because memory ran out; it needs about 200 MB",
        );
        if self.oom_at.len() < OOM_MAX {
            return error;
        }
        self.oom_at.clear();
        error.retry(Retry::Rest)
    }

    fn replaced(&mut self, now: Instant) -> AdapterError {
        let before = self.replaced_at.replace(now);
        if before.is_some_and(|before| now.duration_since(before) <= REPLACED_WINDOW) {
            // Once a person has acted, the count begins again.
            self.replaced_at = None;
            return AdapterError::blocked(
                "whatsapp_replaced",
                "another program keeps taking over this WhatsApp session (440)",
                "Stop the other program that uses this session and restart the gateway, or run `hermes whatsapp --repair`.",
            );
        }
        AdapterError::retryable(
            "whatsapp_replaced",
            "another program has taken over this WhatsApp session (440)",
        )
        .retry(Retry::After(REPLACED_WAIT))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(exit: Exit) -> End {
        End { exit, closed: None, cause: None, said: None, memory_ran_out: false }
    }

    fn judge(exit: Exit) -> AdapterError {
        History::default().judge(crate::clock::Now::read().mono, end(exit))
    }

    #[test]
    fn the_network_is_told_apart_from_the_bridge() {
        for (word, code) in [
            ("dns", "net_dns"),
            ("refused", "net_refused"),
            ("timeout", "net_timeout"),
            ("tls", "net_tls"),
            ("gremlins", "whatsapp_bridge_exited"),
        ] {
            let end = End { closed: Some(408), cause: Cause::parse(word), ..end(Exit::ConnectionLost) };
            let error = History::default().judge(crate::clock::Now::read().mono, end);
            assert_eq!((error.code, error.retry), (code, Retry::Backoff), "{word}");
        }
    }

    #[test]
    fn every_end_has_its_code_and_its_answer_to_what_now() {
        use Retry::{After, Backoff, Never};
        let wait = |seconds| After(Duration::from_secs(seconds));
        for (exit, code, retry) in [
            (Exit::Done, "whatsapp_bridge_exited", Backoff),
            (Exit::NotPaired, "whatsapp_not_paired", Never),
            (Exit::LoggedOut, "whatsapp_logged_out", Never),
            (Exit::Forbidden, "whatsapp_forbidden", Never),
            (Exit::Replaced, "whatsapp_replaced", wait(60)),
            (Exit::CredsCorrupt, "whatsapp_creds_corrupt", Never),
            (Exit::SessionLock, "whatsapp_session_lock", Never),
            (Exit::QrExpired, "whatsapp_bridge_exited", Backoff),
            (Exit::VersionRejected, "whatsapp_version_rejected", Backoff),
            (Exit::ConnectionLost, "whatsapp_bridge_exited", Backoff),
            (Exit::Protocol, "whatsapp_bridge_exited", Backoff),
            (Exit::MultideviceMismatch, "whatsapp_logged_out", Never),
            (Exit::StaleConnection, "whatsapp_bridge_hung", Backoff),
            (Exit::Storage, "whatsapp_storage", Backoff),
            (Exit::HalfPaired, "whatsapp_half_paired", Never),
            (Exit::PasskeyRequired, "whatsapp_passkey_required", Never),
            (Exit::Signalled(9), "whatsapp_bridge_exited", wait(2)),
            (Exit::Signalled(15), "whatsapp_bridge_exited", wait(2)),
            (Exit::Signalled(2), "whatsapp_bridge_exited", wait(2)),
            (Exit::Crashed(Some(70)), "whatsapp_bridge_failed", Backoff),
            (Exit::Crashed(Some(11)), "whatsapp_bridge_exited", Backoff),
            (Exit::Crashed(Some(126)), "whatsapp_bridge_exec", Never),
            (Exit::Crashed(Some(127)), "whatsapp_bridge_exec", Never),
            (Exit::Crashed(None), "whatsapp_bridge_exited", Backoff),
        ] {
            let error = judge(exit);
            assert_eq!((error.code, error.retry), (code, retry), "{exit:?}");
            assert_eq!(error.user_action.is_some(), retry == Never, "a block says what to do: {exit:?}");
        }
    }

    #[test]
    fn a_session_that_is_taken_over_twice_is_left_to_the_other() {
        let mut history = History::default();
        let begin = crate::clock::Now::read().mono;
        let end = End { closed: Some(440), ..end(Exit::Replaced) };
        let mut judge = |now| history.judge(now, end.clone());
        assert_eq!(judge(begin).retry, Retry::After(REPLACED_WAIT));
        assert_eq!(judge(begin + REPLACED_WINDOW).retry, Retry::Never);
        assert_eq!(judge(begin + REPLACED_WINDOW).retry, Retry::After(REPLACED_WAIT));
        let late = begin + REPLACED_WINDOW * 3;
        assert_eq!(judge(late).retry, Retry::After(REPLACED_WAIT), "an old one is forgotten");
    }

    #[test]
    fn a_launcher_that_is_gone_blocks_and_a_machine_without_room_is_tried_again() {
        for (errno, code, retry) in [
            (rustix::io::Errno::NOENT, "whatsapp_bridge_exec", Retry::Never),
            (rustix::io::Errno::ACCESS, "whatsapp_bridge_exec", Retry::Never),
            (rustix::io::Errno::AGAIN, "whatsapp_bridge_exited", Retry::Backoff),
            (rustix::io::Errno::NOMEM, "whatsapp_bridge_exited", Retry::Backoff),
            (rustix::io::Errno::MFILE, "whatsapp_bridge_exited", Retry::Backoff),
        ] {
            let error = unspawned(Path::new("/opt/hermes"), &errno.into());
            assert_eq!((error.code, error.retry), (code, retry), "{errno}");
            assert!(error.message.contains("/opt/hermes") && error.message.contains("os error"), "{error}");
        }
    }

    #[test]
    fn what_cannot_be_executed_is_told_with_its_path_and_cause() {
        let why = "/opt/node cannot be started: Permission denied (os error 13)".to_owned();
        let end = End { said: Some(why.clone()), ..end(Exit::Crashed(Some(126))) };
        let error = History::default().judge(crate::clock::Now::read().mono, end);
        assert_eq!((error.code, error.message), ("whatsapp_bridge_exec", why));
    }

    #[test]
    fn a_local_failure_is_told_in_the_bridges_words_and_never_as_one_of_the_network() {
        let said = "/h/session/lid-mapping-1.json cannot be read: it is a directory (EISDIR)";
        for exit in [Exit::Storage, Exit::Crashed(Some(INTERNAL))] {
            let end = End { said: Some(said.to_owned()), closed: Some(500), ..end(exit) };
            let error = History::default().judge(crate::clock::Now::read().mono, end);
            assert!(error.message.ends_with(said) && !error.message.contains("connection"), "{error}");
        }
    }

    #[test]
    fn a_bridge_that_memory_runs_out_for_three_times_in_ten_minutes_is_left_alone() {
        let begin = crate::clock::Now::read().mono;
        let killed = |signal| End { memory_ran_out: true, ..end(Exit::Signalled(signal)) };
        let minute = |count: u32| begin + Duration::from_secs(60) * count;
        let mut history = History::default();
        for (at, retry) in [
            (0, Retry::Backoff),
            (4, Retry::Backoff),
            (10, Retry::Rest),
            (11, Retry::Backoff),
            (12, Retry::Backoff),
            (22, Retry::Backoff),
            (22, Retry::Rest),
        ] {
            let error = history.judge(minute(at), killed(9));
            assert_eq!((error.code, error.retry), ("whatsapp_bridge_oom", retry), "minute {at}");
            assert!(error.message.contains("memory"), "{error}");
        }
        // The host's own doing: no program is ended for want of memory by these.
        for signal in [2, 15] {
            assert_eq!(history.judge(begin, killed(signal)).code, "whatsapp_bridge_exited");
        }
        assert_eq!(history.judge(begin, end(Exit::Signalled(9))).code, "whatsapp_bridge_exited");
    }
}
