//! Pure. What is missing before WhatsApp can work, as findings in the order in which they are to be mended.
//!
//! One list for everybody: the wizard mends one finding after another until none is left, the gateway refuses to start
//! the platform while a blocking one is there, `platform status` and `doctor` print them.

use std::path::PathBuf;

use serde::Serialize;

use crate::config::{AllowList, WhatsAppMode};
use crate::pairing::{Me, Pairing};

/// The oldest Node that the bridge runs on.
pub const NODE_MAJOR_MIN: u32 = 20;

/// What was looked at; see [`crate::facts`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// `WHATSAPP_ENABLED`.
    pub enabled: bool,
    /// The Node found.
    pub node: NodeFact,
    /// The bridge's code.
    pub bridge: BridgeFact,
    /// The session folder, as everybody resolves it.
    pub session_dir: PathBuf,
    /// What is in it.
    pub session: SessionFact,
    /// Who uses it at the moment.
    pub lock: LockFact,
    /// Bot or self-chat; `None` when never chosen.
    pub mode: Option<WhatsAppMode>,
    /// Who may speak.
    pub allowed: AllowList,
    /// Allowlist entries that are no phone number.
    pub allowed_rejects: Vec<String>,
}

/// The Node found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeFact {
    /// It answered.
    Found {
        /// The program.
        path: PathBuf,
        /// Its version: major, minor, patch.
        version: (u32, u32, u32),
    },
    /// Nowhere.
    Missing,
    /// There, and it did not run.
    Broken {
        /// The program.
        path: PathBuf,
        /// What happened.
        why: String,
    },
}

/// The bridge's code on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BridgeFact {
    /// Of this version and whole.
    Installed {
        /// Its folder.
        dir: PathBuf,
    },
    /// Not there.
    Missing,
    /// There, and not as it was installed.
    Damaged {
        /// What differs.
        why: String,
    },
}

/// The session folder's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionFact {
    /// Judged.
    Judged(Pairing),
    /// The credentials are corrupt, and their last good copy is a pairing.
    Restorable {
        /// What is wrong with the file.
        why: String,
        /// The account of the copy.
        me: Me,
    },
    /// The file cannot be read (owner, mode, I/O).
    Unreadable {
        /// Why.
        why: String,
    },
}

/// Who uses the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockFact {
    /// Nobody.
    Free,
    /// A bridge process, by its pid where known.
    Held {
        /// Its pid.
        pid: Option<u32>,
    },
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The platform is not started while this stands.
    Blocking,
    /// It works, and a human should look.
    Warning,
}

/// One thing that is missing, with its remedy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Stable, from the contract's list.
    pub code: Code,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong; a sentence without its period.
    pub message: String,
    /// The command or step that mends it; a sentence.
    pub fix: String,
}

/// The findings' stable codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// No Node.
    WhatsappNodeMissing,
    /// Node older than [`NODE_MAJOR_MIN`].
    WhatsappNodeTooOld,
    /// The bridge is not installed, or not whole.
    WhatsappBridgeNotInstalled,
    /// No pairing.
    WhatsappNotPaired,
    /// A pairing that was begun and not completed.
    WhatsappHalfPaired,
    /// Unreadable or unusable credentials.
    WhatsappCredsCorrupt,
    /// Another bridge uses the session.
    WhatsappSessionLock,
    /// The mode was never chosen.
    WhatsappModeNotSet,
    /// Nobody may speak.
    WhatsappNobodyAllowed,
    /// Everybody may speak.
    WhatsappEverybodyAllowed,
    /// Allowlist entries that are no phone number.
    WhatsappAllowlistInvalid,
    /// In bot mode the list holds only the bot's own number.
    WhatsappOwnNumberAllowed,
    /// Paired and proven, but not enabled.
    WhatsappNotEnabled,
}

impl Code {
    /// The code as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::WhatsappNodeMissing => "whatsapp_node_missing",
            Self::WhatsappNodeTooOld => "whatsapp_node_too_old",
            Self::WhatsappBridgeNotInstalled => "whatsapp_bridge_not_installed",
            Self::WhatsappNotPaired => "whatsapp_not_paired",
            Self::WhatsappHalfPaired => "whatsapp_half_paired",
            Self::WhatsappCredsCorrupt => "whatsapp_creds_corrupt",
            Self::WhatsappSessionLock => "whatsapp_session_lock",
            Self::WhatsappModeNotSet => "whatsapp_mode_not_set",
            Self::WhatsappNobodyAllowed => "whatsapp_nobody_allowed",
            Self::WhatsappEverybodyAllowed => "whatsapp_everybody_allowed",
            Self::WhatsappAllowlistInvalid => "whatsapp_allowlist_invalid",
            Self::WhatsappOwnNumberAllowed => "whatsapp_own_number_allowed",
            Self::WhatsappNotEnabled => "whatsapp_not_enabled",
        }
    }
}

/// What is missing, in the order of mending.
pub fn findings(facts: &Facts) -> Vec<Finding> {
    let _ = facts;
    Vec::new()
}
