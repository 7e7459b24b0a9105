//! Pure. Findings: what is missing before WhatsApp can work, in the order of repair. Others: for the agent [`agent`], for the
//! time zone [`time`], for trusted certificates [`trust`], and for the allow lists of the other platforms [`access`].
//!
//! One list for all: the wizard repairs one finding after another until none is left, the gateway refuses to start the
//! platform while a blocking one is there, `platform status` and `doctor` print them.

pub mod access;
pub mod agent;
pub mod origin;
pub mod telegram;
pub mod time;
pub mod trust;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::config::{AllowList, WhatsAppMode};
use crate::pairing::{Me, Pairing};
use crate::platforms::whatsapp::phone;

/// The oldest major version of Node that the bridge runs on.
pub const NODE_MAJOR_MIN: u32 = 20;

/// The facts to judge; see [`crate::facts`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// `WHATSAPP_ENABLED`.
    pub enabled: bool,
    /// The Node found.
    pub node: NodeFact,
    /// The bridge's code.
    pub bridge: BridgeFact,
    /// The session folder, as all parts resolve it.
    pub session_dir: PathBuf,
    /// Its content.
    pub session: SessionFact,
    /// Its user at the moment.
    pub lock: LockFact,
    /// True when the gateway saw WhatsApp refuse this session, which has not changed since.
    pub session_refused: bool,
    /// True when the last attempt to link ended because WhatsApp asked for a passkey.
    pub passkey_required: bool,
    /// Bot or self-chat; `None` when never chosen.
    pub mode: Option<WhatsAppMode>,
    /// The allow list.
    pub allowed: AllowList,
    /// Entries of the allow list that are not phone numbers.
    pub allowed_rejects: Vec<String>,
}

/// The Node found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeFact {
    /// It was found, and answered.
    Found {
        /// The program.
        path: PathBuf,
        /// Its version: major, minor, patch.
        version: (u32, u32, u32),
    },
    /// None was found.
    Missing,
    /// It is there, and did not run.
    Broken {
        /// The program.
        path: PathBuf,
        /// The cause.
        why: String,
    },
}

/// The bridge's code on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BridgeFact {
    /// Installed, of this version and whole.
    Installed {
        /// Its folder.
        dir: PathBuf,
    },
    /// Not installed.
    Missing,
    /// Installed, and not as it was.
    Damaged {
        /// The difference.
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
        /// The defect of the file.
        why: String,
        /// The account of the copy.
        me: Me,
    },
    /// One of its files cannot be read (owner, mode, I/O), or the folder not written.
    Unreadable {
        /// The file and the cause.
        why: String,
        /// The path of another kind of file, in the place of one.
        obstacle: Option<PathBuf>,
    },
}

/// The user of the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockFact {
    /// It is free.
    Free,
    /// A bridge process, by its pid where known.
    Held {
        /// Its pid.
        pid: Option<u32>,
    },
}

/// The severity of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The platform is not started while this stands, or the agent does not answer.
    Blocking,
    /// It works, and a person should look.
    Warning,
}

/// A finding: one thing that is missing, with its remedy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The stable code, from the contract's list.
    pub code: Code,
    /// Its severity.
    pub severity: Severity,
    /// The fault; a sentence without its period.
    pub message: String,
    /// The command or step that repairs it; a sentence.
    pub fix: String,
}

/// The findings' stable codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
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
    /// No pairing, because WhatsApp links this account only with its passkey.
    WhatsappPasskeyRequired,
    /// A pairing that was begun and not completed.
    WhatsappHalfPaired,
    /// Unreadable or unusable credentials.
    WhatsappCredsCorrupt,
    /// Another bridge uses the session.
    WhatsappSessionLock,
    /// The mode was never chosen.
    WhatsappModeNotSet,
    /// The allow list is empty.
    WhatsappNobodyAllowed,
    /// Everyone may write.
    WhatsappEverybodyAllowed,
    /// Entries of the allow list that are not phone numbers.
    WhatsappAllowlistInvalid,
    /// In bot mode the list holds only the bot's own number.
    WhatsappOwnNumberAllowed,
    /// Paired and proven, but not enabled.
    WhatsappNotEnabled,
    /// The allow list of another platform is empty.
    NobodyAllowed,
    /// Everyone may write, on another platform.
    EverybodyAllowed,
    /// The agent's program is not there.
    AgentCommandMissing,
    /// The agent's program is there and may not be executed.
    AgentCommandNotExecutable,
    /// The model was never chosen.
    AgentModelNotSet,
    /// The key for the agent's service is missing.
    AgentKeyMissing,
    /// A variable that the agent's program needs is not set.
    AgentVariableMissing,
    /// No bot token.
    TelegramTokenMissing,
    /// The value is not a bot token, or the service does not know it.
    TelegramBadToken,
    /// Telegram's webhook has no secret, or one that cannot be used.
    TelegramWebhookSecret,
    /// A token is set, and `gateway.toml` turns Telegram off.
    TelegramNotEnabled,
    /// The time zone is misspelt, or there is none where a rule needs one.
    TimeZoneUnknown,
    /// The time zone has a form whose sign means the opposite of what people mean.
    TimeZoneReversed,
    /// The environment names trusted certificates that cannot be used.
    TrustUnusable,
    /// The same of Node's further certificates.
    NodeCertsUnusable,
}

impl Code {
    /// Returns the code as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::WhatsappNodeMissing => "whatsapp_node_missing",
            Self::WhatsappNodeTooOld => "whatsapp_node_too_old",
            Self::WhatsappBridgeNotInstalled => "whatsapp_bridge_not_installed",
            Self::WhatsappNotPaired => "whatsapp_not_paired",
            Self::WhatsappPasskeyRequired => "whatsapp_passkey_required",
            Self::WhatsappHalfPaired => "whatsapp_half_paired",
            Self::WhatsappCredsCorrupt => "whatsapp_creds_corrupt",
            Self::WhatsappSessionLock => "whatsapp_session_lock",
            Self::WhatsappModeNotSet => "whatsapp_mode_not_set",
            Self::WhatsappNobodyAllowed => "whatsapp_nobody_allowed",
            Self::WhatsappEverybodyAllowed => "whatsapp_everybody_allowed",
            Self::WhatsappAllowlistInvalid => "whatsapp_allowlist_invalid",
            Self::WhatsappOwnNumberAllowed => "whatsapp_own_number_allowed",
            Self::WhatsappNotEnabled => "whatsapp_not_enabled",
            Self::NobodyAllowed => "nobody_allowed",
            Self::EverybodyAllowed => "everybody_allowed",
            Self::AgentCommandMissing => "agent_command_missing",
            Self::AgentCommandNotExecutable => "agent_command_not_executable",
            Self::AgentModelNotSet => "agent_model_not_set",
            Self::AgentKeyMissing => "agent_key_missing",
            Self::AgentVariableMissing => "agent_variable_missing",
            Self::TelegramTokenMissing => "telegram_token_missing",
            Self::TelegramBadToken => "telegram_bad_token",
            Self::TelegramWebhookSecret => "telegram_webhook_secret",
            Self::TelegramNotEnabled => "telegram_not_enabled",
            Self::TimeZoneUnknown => "time_zone_unknown",
            Self::TimeZoneReversed => "time_zone_reversed",
            Self::TrustUnusable => "trust_unusable",
            Self::NodeCertsUnusable => "node_certs_unusable",
        }
    }
}

/// Returns the findings, in the order of repair.
pub fn findings(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(node(&facts.node));
    findings.extend(bridge(&facts.bridge));
    findings.extend(lock(facts.lock));
    findings.extend(session(facts));
    findings.extend(mode(facts));
    findings.extend(allow_list(facts));
    if !facts.enabled {
        findings.push(Finding {
            code: Code::WhatsappNotEnabled,
            severity: Severity::Warning,
            message: "WhatsApp is not enabled".to_owned(),
            fix: match &facts.session {
                SessionFact::Judged(Pairing::Paired { .. }) => "Run `hermes whatsapp enable`.".to_owned(),
                SessionFact::Judged(Pairing::Unpaired | Pairing::HalfPaired | Pairing::Corrupt { .. })
                | SessionFact::Restorable { .. }
                | SessionFact::Unreadable { .. } => SETUP.to_owned(),
            },
        });
    }
    findings
}

/// True when WhatsApp cannot be started while these stand.
pub fn is_blocked(findings: &[Finding]) -> bool {
    findings.iter().any(|finding| finding.severity == Severity::Blocking)
}

const SETUP: &str = "Run `hermes whatsapp`.";

impl Finding {
    fn blocking(code: Code, message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { code, severity: Severity::Blocking, message: message.into(), fix: fix.into() }
    }

    fn warning(code: Code, message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { code, severity: Severity::Warning, message: message.into(), fix: fix.into() }
    }
}

fn node(node: &NodeFact) -> Option<Finding> {
    let install = format!(
        "Install Node.js {NODE_MAJOR_MIN} or newer (https://nodejs.org), or set HERMES_NODE to the one to use."
    );
    match node {
        NodeFact::Found { version: (major, ..), .. } if *major >= NODE_MAJOR_MIN => None,
        NodeFact::Found { path, version: (major, minor, patch) } => Some(Finding::blocking(
            Code::WhatsappNodeTooOld,
            format!(
                "Node.js {major}.{minor}.{patch} at {} is too old; WhatsApp needs {NODE_MAJOR_MIN} or newer",
                path.display()
            ),
            install,
        )),
        NodeFact::Missing => {
            Some(Finding::blocking(Code::WhatsappNodeMissing, "Node.js was not found", install))
        }
        NodeFact::Broken { path, why } => Some(Finding::blocking(
            Code::WhatsappNodeMissing,
            format!("Node.js at {} does not run: {why}", path.display()),
            install,
        )),
    }
}

fn bridge(bridge: &BridgeFact) -> Option<Finding> {
    let message = match bridge {
        BridgeFact::Installed { .. } => return None,
        BridgeFact::Missing => "the WhatsApp bridge of this version is not installed".to_owned(),
        BridgeFact::Damaged { why } => format!("the WhatsApp bridge is damaged: {why}"),
    };
    let fix = "Run `hermes whatsapp`; it installs the bridge and keeps the phone linked.";
    Some(Finding::blocking(Code::WhatsappBridgeNotInstalled, message, fix))
}

fn lock(lock: LockFact) -> Option<Finding> {
    let LockFact::Held { pid } = lock else { return None };
    let holder = pid.map_or(String::new(), |pid| format!(" (process {pid})"));
    Some(Finding::blocking(
        Code::WhatsappSessionLock,
        format!("another bridge is using this WhatsApp session{holder}"),
        "Stop the running gateway or wizard, or wait until it is done.",
    ))
}

fn session(facts: &Facts) -> Option<Finding> {
    match &facts.session {
        SessionFact::Judged(Pairing::Paired { .. }) => None,
        SessionFact::Judged(Pairing::Unpaired) if facts.passkey_required => Some(Finding::blocking(
            Code::WhatsappPasskeyRequired,
            "no phone is linked to WhatsApp: it links this account only with its passkey",
            "Run `hermes whatsapp` in a terminal, with a browser that can use the passkey, and follow the steps.",
        )),
        SessionFact::Judged(Pairing::Unpaired) => {
            Some(Finding::blocking(Code::WhatsappNotPaired, "no phone is linked to WhatsApp", SETUP))
        }
        SessionFact::Judged(Pairing::HalfPaired) => Some(Finding::blocking(
            Code::WhatsappHalfPaired,
            "linking with WhatsApp was started and not finished",
            "Run `hermes whatsapp`; it moves the unfinished session aside and starts over.",
        )),
        SessionFact::Judged(Pairing::Corrupt { why }) => Some(Finding::blocking(
            Code::WhatsappCredsCorrupt,
            format!("the WhatsApp credentials cannot be used: {why}"),
            "Restore creds.json from a backup, or run `hermes whatsapp --repair`; it moves the old session aside and links again.",
        )),
        SessionFact::Restorable { why, .. } => Some(Finding::warning(
            Code::WhatsappCredsCorrupt,
            format!("the WhatsApp credentials cannot be used: {why}; the last good copy will be restored"),
            "Nothing to do: it is restored when WhatsApp starts.",
        )),
        SessionFact::Unreadable { why, obstacle } => Some(Finding::blocking(
            Code::WhatsappCredsCorrupt,
            format!("the WhatsApp session cannot be read and written: {why}"),
            match obstacle {
                Some(path) => {
                    let path = path.display().to_string();
                    format!("Run `mv {} {}`.", quoted(&path), quoted(&format!("{path}.moved")))
                }
                None => {
                    let dir = quoted(&facts.session_dir.display().to_string());
                    format!(
                        "Run hermes as the user that owns it (`ls -ld {dir}` shows who); if that is you, run `chmod -R u+rwX,go= {dir}`."
                    )
                }
            },
        )),
    }
}

/// Quotes a text for a shell, when it needs that.
pub(crate) fn quoted(text: &str) -> String {
    if text.chars().all(|sign| sign.is_alphanumeric() || "/._-+@".contains(sign)) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

/// Returns the finding about the mode. Without one hermes behaves as in self-chat, which answers only the owner; so it may
/// start.
fn mode(facts: &Facts) -> Option<Finding> {
    match facts.mode {
        Some(WhatsAppMode::Bot | WhatsAppMode::SelfChat) => None,
        None => Some(Finding::warning(
            Code::WhatsappModeNotSet,
            "WhatsApp mode not chosen yet; until then hermes answers only your notes to yourself",
            "Run `hermes whatsapp`, or set WHATSAPP_MODE to bot or self-chat.",
        )),
    }
}

fn allow_list(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    let is_bot = facts.mode == Some(WhatsAppMode::Bot);
    findings.extend(invalid_entries(&facts.allowed_rejects));
    match &facts.allowed {
        AllowList::Nobody if is_bot => findings.push(nobody_on_whatsapp()),
        AllowList::Only(numbers) if is_bot && is_own_number(facts, numbers) => {
            findings.push(Finding::warning(
                Code::WhatsappOwnNumberAllowed,
                "the only allowed number is hermes's own, so no one can write to it",
                "Add the numbers of the people who write to it to WHATSAPP_ALLOWED_USERS.",
            ));
        }
        AllowList::Everybody => findings.push(Finding::warning(
            Code::WhatsappEverybodyAllowed,
            "everyone who knows the number can use hermes on WhatsApp",
            "To limit it, list phone numbers in WHATSAPP_ALLOWED_USERS instead of `*`.",
        )),
        AllowList::Nobody | AllowList::Only(_) => {}
    }
    findings
}

/// The finding that a bot's list is empty.
fn nobody_on_whatsapp() -> Finding {
    Finding::warning(
        Code::WhatsappNobodyAllowed,
        "no one is allowed to write to hermes on WhatsApp",
        "Run `hermes pairing allow whatsapp NUMBER`, or list phone numbers in WHATSAPP_ALLOWED_USERS.",
    )
}

/// Entries of WhatsApp's allow list that are not phone numbers, and so allow no one.
fn invalid_entries(rejects: &[String]) -> Option<Finding> {
    let shown: Vec<String> = rejects.iter().take(3).map(|entry| phone::hinted(entry)).collect();
    let noun = match rejects.len() {
        0 => return None,
        1 => "entry is not a phone number and is ignored",
        _ => "entries are not phone numbers and are ignored",
    };
    Some(Finding::warning(
        Code::WhatsappAllowlistInvalid,
        format!("{} {noun} in WHATSAPP_ALLOWED_USERS ({})", rejects.len(), shown.join(", ")),
        "Write each number with its country code, such as +1 555 000 1111, separated by commas, and nothing else.",
    ))
}

/// True when the list has one number, in whatever form, and it is the account's.
fn is_own_number(facts: &Facts, numbers: &[String]) -> bool {
    let own = own_number(facts).map(phone::canonical);
    matches!(numbers, [number] if own == Some(phone::canonical(number)))
}

fn own_number(facts: &Facts) -> Option<&str> {
    match &facts.session {
        SessionFact::Judged(Pairing::Paired { me }) | SessionFact::Restorable { me, .. } => Some(me.number()),
        SessionFact::Judged(Pairing::Unpaired | Pairing::HalfPaired | Pairing::Corrupt { .. })
        | SessionFact::Unreadable { .. } => None,
    }
}

#[cfg(test)]
mod tests;
