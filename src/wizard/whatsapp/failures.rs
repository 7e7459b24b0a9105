//! Pure. The ends of a bridge, in words for the person who pairs, with the remedy.

use crate::bridge::install::InstallError;
use crate::bridge::protocol::Exit;
use crate::error::CliError;

/// The circumstances in which the bridge ended.
#[derive(Debug, Clone, Copy, Default)]
pub struct Circumstances<'a> {
    /// The phone had accepted.
    pub accepted: bool,
    /// Everything that was to happen had happened before.
    pub complete: bool,
    /// The holder of the session lock, where that is the matter.
    pub holder_pid: Option<u32>,
    /// The last words of the bridge about its end.
    pub said: Option<&'a str>,
    /// The last lines of its stderr.
    pub tail: &'a [String],
}

/// The failure that this end of a bridge is. [`Exit::QrExpired`] is not shown as one where a new code can be made.
pub fn of_exit(exit: Exit, circumstances: Circumstances<'_>) -> CliError {
    let error = match exit {
        Exit::Done => incomplete(circumstances),
        Exit::NotPaired | Exit::HalfPaired => CliError::failed("an unfinished session is in the way")
            .code("whatsapp_half_paired")
            .hint("Run `hermes whatsapp --repair`: it moves the unfinished session aside and starts over."),
        Exit::LoggedOut => CliError::failed("WhatsApp did not link this device")
            .code("whatsapp_logged_out")
            .hint("The phone refused, or it has the maximum number of linked devices.")
            .hint(
                "On the phone, remove a device under Settings → Linked devices, then run `hermes whatsapp --repair`.",
            ),
        Exit::Forbidden => CliError::failed("WhatsApp has blocked this number")
            .code("whatsapp_forbidden")
            .hint("Open WhatsApp on the phone. It shows if the number is blocked and how to appeal.")
            .hint("Another number can be linked with `hermes whatsapp --repair`."),
        Exit::Replaced | Exit::SessionLock => locked(circumstances.holder_pid),
        Exit::CredsCorrupt => CliError::failed("the saved session cannot be read")
            .code("whatsapp_creds_corrupt")
            .hint("Run `hermes whatsapp --repair`: it moves the session aside and links again."),
        Exit::QrExpired => CliError::failed("no code was scanned in time")
            .code("whatsapp_not_paired")
            .hint("Run `hermes whatsapp` again when you have the phone."),
        Exit::PasskeyRequired => CliError::failed("WhatsApp links this account only with its passkey")
            .code("whatsapp_passkey_required")
            .hint(
                "Since 2026 WhatsApp asks some accounts for it, with a QR code and with a linking code alike. Nothing is \
                 wrong with this machine.",
            )
            .hint(
                "Run `hermes whatsapp` in a terminal, with a browser that can use the passkey, and follow the steps. Without a terminal, use `--passkey-answer FILE` or `--passkey-answer -`.",
            ),
        Exit::VersionRejected => CliError::failed("WhatsApp does not accept this version of the connection")
            .code("whatsapp_version_rejected")
            .hint("Update hermes. Nothing is wrong with the phone."),
        Exit::ConnectionLost | Exit::StaleConnection => connection_lost(circumstances.accepted),
        Exit::MultideviceMismatch => CliError::failed("WhatsApp no longer accepts this session")
            .code("whatsapp_logged_out")
            .hint("Update WhatsApp on the phone, then run `hermes whatsapp --repair`."),
        Exit::Storage => CliError::failed("the session cannot be written")
            .code("whatsapp_storage")
            .hint("Check the free space and the owner of the folder; `hermes doctor` shows its path."),
        Exit::Signalled(signal) => {
            CliError::failed(format!("another program stopped the bridge (signal {signal})"))
                .code("whatsapp_bridge_exited")
                .hint("Run `hermes whatsapp` again. If it happens again, check the free memory.")
        }
        Exit::Protocol => CliError::failed("the bridge and hermes use different protocols")
            .code("whatsapp_bridge_exited")
            .hint("Run `hermes doctor`. If the bridge is damaged, `hermes whatsapp` installs it again."),
        Exit::Crashed(code) => crashed(code),
    };
    let error = match circumstances.said {
        Some(said) if !said.is_empty() => error.hint(format!("The bridge said: {said}")),
        Some(_) | None => error,
    };
    match exit {
        Exit::Crashed(_) | Exit::Protocol => {
            let tail = circumstances.tail.iter().rev().take(TAIL_LINES_MAX).rev();
            tail.fold(error, |error, line| error.hint(format!("| {line}")))
        }
        Exit::Done
        | Exit::NotPaired
        | Exit::HalfPaired
        | Exit::LoggedOut
        | Exit::Forbidden
        | Exit::Replaced
        | Exit::SessionLock
        | Exit::CredsCorrupt
        | Exit::QrExpired
        | Exit::VersionRejected
        | Exit::ConnectionLost
        | Exit::StaleConnection
        | Exit::MultideviceMismatch
        | Exit::Storage
        | Exit::PasskeyRequired
        | Exit::Signalled(_) => error,
    }
}

const TAIL_LINES_MAX: usize = 10;

fn incomplete(circumstances: Circumstances<'_>) -> CliError {
    if circumstances.complete {
        return CliError::failed("the phone was linked, but its credentials are not on disk")
            .code("whatsapp_not_paired")
            .hint("Run `hermes doctor`, then `hermes whatsapp` again.");
    }
    CliError::failed("the bridge stopped before linking was complete")
        .code("whatsapp_not_paired")
        .hint("Run `hermes whatsapp` again.")
}

fn connection_lost(accepted: bool) -> CliError {
    let error = CliError::failed("the connection to WhatsApp was lost").code("whatsapp_connection_lost");
    let error = if accepted {
        error.hint("The phone is already linked. Run `hermes whatsapp` again to continue.")
    } else {
        error.hint("Check this machine's internet connection, then run `hermes whatsapp` again.")
    };
    error.hint("Behind a proxy, set HTTPS_PROXY to its address first.")
}

/// Another bridge uses the session.
pub fn locked(pid: Option<u32>) -> CliError {
    let who = pid.map_or_else(String::new, |pid| format!(" (process {pid})"));
    CliError::failed(format!("another process uses the WhatsApp session{who}"))
        .code("whatsapp_session_lock")
        .hint("This is usually the running gateway. Stop it with `hermes gateway stop`, then try again.")
}

fn crashed(code: Option<i32>) -> CliError {
    let how = code.map_or_else(String::new, |code| format!(" (code {code})"));
    CliError::failed(format!("the bridge failed{how}"))
        .code("whatsapp_bridge_exited")
        .hint("Run `hermes doctor`, then `hermes whatsapp` again.")
}

/// The failure of an installation; the last lines of npm are shown apart. `None` when it was cancelled.
pub fn of_install(error: &InstallError) -> Option<CliError> {
    let code = "whatsapp_bridge_not_installed";
    match error {
        InstallError::Cancelled => None,
        InstallError::NoNpm => Some(CliError::failed("npm was not found").code(code).hint(
            "npm comes with Node.js. Install Node.js 20 or newer with npm, then run `hermes whatsapp` again.",
        )),
        InstallError::Failed { message, hint, tail: _ } => {
            Some(CliError::failed(message.trim_end_matches('.')).code(code).hint(hint.clone()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_end_has_its_code_and_what_mends_it() {
        for (exit, code, part) in [
            (Exit::Done, "whatsapp_not_paired", "hermes whatsapp"),
            (Exit::NotPaired, "whatsapp_half_paired", "--repair"),
            (Exit::HalfPaired, "whatsapp_half_paired", "--repair"),
            (Exit::LoggedOut, "whatsapp_logged_out", "Linked devices"),
            (Exit::Forbidden, "whatsapp_forbidden", "blocked"),
            (Exit::Replaced, "whatsapp_session_lock", "hermes gateway stop"),
            (Exit::SessionLock, "whatsapp_session_lock", "hermes gateway stop"),
            (Exit::CredsCorrupt, "whatsapp_creds_corrupt", "--repair"),
            (Exit::QrExpired, "whatsapp_not_paired", "again"),
            (Exit::VersionRejected, "whatsapp_version_rejected", "Update hermes"),
            (Exit::ConnectionLost, "whatsapp_connection_lost", "HTTPS_PROXY"),
            (Exit::StaleConnection, "whatsapp_connection_lost", "HTTPS_PROXY"),
            (Exit::MultideviceMismatch, "whatsapp_logged_out", "Update WhatsApp"),
            (Exit::Storage, "whatsapp_storage", "free space"),
            (Exit::PasskeyRequired, "whatsapp_passkey_required", "--passkey-answer"),
            (Exit::Signalled(9), "whatsapp_bridge_exited", "memory"),
            (Exit::Protocol, "whatsapp_bridge_exited", "hermes doctor"),
            (Exit::Crashed(Some(70)), "whatsapp_bridge_exited", "hermes doctor"),
        ] {
            let error = of_exit(exit, Circumstances::default());
            assert_eq!(error.code, code, "{exit:?}");
            assert!(error.hints.join(" ").contains(part), "{exit:?}: {:?}", error.hints);
            assert!(!error.message.ends_with('.'), "{exit:?}");
            assert!(error.hints.iter().all(|hint| hint.ends_with('.')), "{exit:?}");
        }
    }

    #[test]
    fn a_crash_shows_its_last_lines_and_a_lock_its_holder() {
        let tail: Vec<String> = (0..30).map(|line| format!("line {line}")).collect();
        let error = of_exit(Exit::Crashed(Some(70)), Circumstances { tail: &tail, ..Default::default() });
        assert_eq!(error.hints.last().map(String::as_str), Some("| line 29"));
        assert!(!error.hints.contains(&"| line 19".to_owned()));
        let error = of_exit(
            Exit::SessionLock,
            Circumstances { holder_pid: Some(42), said: Some("held"), tail: &tail, ..Default::default() },
        );
        assert!(error.message.contains("process 42"));
        assert_eq!(error.hints.last().map(String::as_str), Some("The bridge said: held"));
    }

    #[test]
    fn after_the_phone_accepted_a_lost_connection_is_no_new_beginning() {
        let accepted = Circumstances { accepted: true, ..Default::default() };
        assert!(of_exit(Exit::ConnectionLost, accepted).hints[0].contains("again to continue"));
    }
}
