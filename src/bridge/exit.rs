//! Pure. The causes of a bridge process's end, by its exit code or signal.

/// The cause of a bridge process's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Asked to stop, or pairing done.
    Done,
    /// No completed pairing.
    NotPaired,
    /// 401: removed on the phone, or refused.
    LoggedOut,
    /// 403.
    Forbidden,
    /// 440: another process uses the session.
    Replaced,
    /// Credentials unreadable, no good copy.
    CredsCorrupt,
    /// Another bridge holds the session.
    SessionLock,
    /// No code was scanned in time.
    QrExpired,
    /// 405.
    VersionRejected,
    /// Any network or server end.
    ConnectionLost,
    /// Our own lines were unusable.
    Protocol,
    /// 411.
    MultideviceMismatch,
    /// The probe got no answer.
    StaleConnection,
    /// Session or spool cannot be written.
    Storage,
    /// An unfinished pairing is in the folder.
    HalfPaired,
    /// WhatsApp links this account only with its passkey, and that did not succeed.
    PasskeyRequired,
    /// SIGTERM, SIGINT or SIGKILL: the host's doing, not a fault.
    Signalled(i32),
    /// A defect: any other code or signal.
    Crashed(Option<i32>),
}

impl Exit {
    /// Returns the cause by the process's exit code, else by its signal.
    pub fn from_status(status: std::process::ExitStatus) -> Self {
        use std::os::unix::process::ExitStatusExt;
        match (status.code(), status.signal()) {
            (Some(0), _) => Self::Done,
            (Some(10), _) => Self::NotPaired,
            (Some(11), _) => Self::LoggedOut,
            (Some(12), _) => Self::Forbidden,
            (Some(13), _) => Self::Replaced,
            (Some(14), _) => Self::CredsCorrupt,
            (Some(15), _) => Self::SessionLock,
            (Some(16), _) => Self::QrExpired,
            (Some(17), _) => Self::VersionRejected,
            (Some(18), _) => Self::ConnectionLost,
            (Some(19), _) => Self::Protocol,
            (Some(20), _) => Self::MultideviceMismatch,
            (Some(21), _) => Self::StaleConnection,
            (Some(22), _) => Self::Storage,
            (Some(23), _) => Self::HalfPaired,
            (Some(24), _) => Self::PasskeyRequired,
            (None, Some(signal @ (2 | 9 | 15))) => Self::Signalled(signal),
            (code, signal) => Self::Crashed(code.or(signal)),
        }
    }
}
