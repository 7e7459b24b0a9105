//! Pure. The lines of `hermes whatsapp --json`, `hermes telegram --json` and `hermes setup --json`.

use serde::Serialize;

use crate::error::CliError;
use crate::pairing::Me;

/// One line. The last line is always `enabled`, `expired`, `cancelled` or `error`; of `setup` it is `finished`, `cancelled` or
/// `error`.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum WizardEvent {
    /// The wizard runs.
    Started,
    /// The bridge is being installed.
    Install {
        /// `unpack`, `download`, `verify` or `finish`.
        phase: &'static str,
        /// Of the whole, 0 to 100.
        percent: u64,
    },
    /// A code to scan; the one before is void.
    Qr {
        /// The payload.
        payload: String,
        /// Counts from 1 for each bridge process.
        seq: u32,
        /// The time for which it can be scanned.
        expires_in_s: u64,
    },
    /// A code to type on the phone.
    PairingCode {
        /// Eight characters, without separator.
        code: String,
    },
    /// WhatsApp links this account only with its passkey; no further code comes.
    PasskeyRequired {
        /// For `PublicKeyCredential.parseRequestOptionsFromJSON`.
        options: serde_json::Value,
        /// A line for the browser's console on web.whatsapp.com that prints the answer.
        snippet: String,
        /// The time for an answer.
        expires_in_s: u64,
    },
    /// The answer was not sent; another may be given.
    PasskeyRejected {
        /// The mistake in it.
        message: String,
    },
    /// The code that the phone shows, if it shows one.
    PasskeyCode {
        /// Two groups of four.
        code: String,
        /// `yes` or `no` is waited for: whether the phone shows this code.
        confirm: bool,
    },
    /// Phone linked.
    PairSuccess,
    /// The session is opened again, as WhatsApp asks.
    Restart,
    /// Logged in.
    Connected {
        /// The account.
        me: Me,
    },
    /// Paired, proven and written to `.env`.
    Enabled {
        /// The account.
        me: Me,
    },
    /// The service knows the token, and says whose it is.
    Checked {
        /// The bot's name, without the `@`.
        username: String,
    },
    /// The owner is to write to the bot.
    Waiting {
        /// Opens the chat with it.
        link: String,
        /// The longest wait.
        expires_in_s: u64,
    },
    /// Somebody wrote, and is the owner from now on.
    Owner {
        /// By which the service knows them.
        id: i64,
        /// As they call themselves.
        name: String,
    },
    /// The bot is checked and written to `.env`.
    #[serde(rename = "enabled")]
    BotEnabled {
        /// The bot's name, without the `@`.
        username: String,
    },
    /// The following events are of this platform's wizard.
    Platform {
        /// Its name.
        platform: &'static str,
    },
    /// Every wizard has had its turn.
    Finished {
        /// The platforms that are set up.
        done: Vec<&'static str>,
        /// The platforms that are not set up.
        failed: Vec<&'static str>,
    },
    /// No code was scanned, or no one wrote, in time.
    Expired {
        /// The thing that did not come.
        message: String,
        /// The remedy.
        fix: String,
    },
    /// Interrupted.
    Cancelled,
    /// `hermes setup` was interrupted.
    #[serde(rename = "cancelled")]
    SetupCancelled {
        /// The platforms that are set up.
        done: Vec<&'static str>,
        /// The platforms that are not.
        not_done: Vec<&'static str>,
    },
    /// It failed.
    Error {
        /// Stable.
        code: &'static str,
        /// The message.
        message: String,
        /// The remedy.
        fix: String,
    },
}

impl WizardEvent {
    /// The end that this failure is.
    pub fn failed(error: &CliError) -> Self {
        Self::Error { code: error.code, message: error.to_string(), fix: error.hints.join(" ") }
    }

    /// The line, newline included.
    pub fn line(&self) -> String {
        let mut line = serde_json::to_string(self).expect("an event has only strings and numbers");
        line.push('\n');
        line
    }

    /// No line follows this one.
    pub fn is_last(&self) -> bool {
        match self {
            Self::Enabled { .. }
            | Self::BotEnabled { .. }
            | Self::Finished { .. }
            | Self::Expired { .. }
            | Self::Cancelled
            | Self::SetupCancelled { .. }
            | Self::Error { .. } => true,
            Self::Started
            | Self::Platform { .. }
            | Self::Install { .. }
            | Self::Qr { .. }
            | Self::PairingCode { .. }
            | Self::PasskeyRequired { .. }
            | Self::PasskeyRejected { .. }
            | Self::PasskeyCode { .. }
            | Self::PairSuccess
            | Self::Restart
            | Self::Checked { .. }
            | Self::Waiting { .. }
            | Self::Owner { .. }
            | Self::Connected { .. } => false,
        }
    }
}

impl std::fmt::Debug for WizardEvent {
    /// Only the kind: codes are secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Started => "Started",
            Self::Install { .. } => "Install",
            Self::Qr { .. } => "Qr",
            Self::PairingCode { .. } => "PairingCode",
            Self::PasskeyRequired { .. } => "PasskeyRequired",
            Self::PasskeyRejected { .. } => "PasskeyRejected",
            Self::PasskeyCode { .. } => "PasskeyCode",
            Self::PairSuccess => "PairSuccess",
            Self::Restart => "Restart",
            Self::Connected { .. } => "Connected",
            Self::Checked { .. } => "Checked",
            Self::Waiting { .. } => "Waiting",
            Self::Owner { .. } => "Owner",
            Self::Enabled { .. } | Self::BotEnabled { .. } => "Enabled",
            Self::Platform { .. } => "Platform",
            Self::Finished { .. } => "Finished",
            Self::Expired { .. } => "Expired",
            Self::Cancelled | Self::SetupCancelled { .. } => "Cancelled",
            Self::Error { .. } => "Error",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_as_the_contract_says() {
        assert_eq!(WizardEvent::Started.line(), "{\"event\":\"started\"}\n");
        assert_eq!(
            WizardEvent::Install { phase: "download", percent: 7 }.line(),
            "{\"event\":\"install\",\"phase\":\"download\",\"percent\":7}\n"
        );
        assert_eq!(
            WizardEvent::Qr { payload: "p".into(), seq: 1, expires_in_s: 60 }.line(),
            "{\"event\":\"qr\",\"payload\":\"p\",\"seq\":1,\"expires_in_s\":60}\n"
        );
        assert_eq!(
            WizardEvent::PairingCode { code: "ABCD1234".into() }.line(),
            "{\"event\":\"pairing_code\",\"code\":\"ABCD1234\"}\n"
        );
        let error = WizardEvent::Error { code: "usage", message: "m".into(), fix: "f".into() };
        assert_eq!(
            error.line(),
            "{\"event\":\"error\",\"code\":\"usage\",\"message\":\"m\",\"fix\":\"f\"}\n"
        );
        let finished = WizardEvent::Finished { done: vec!["whatsapp"], failed: vec!["telegram"] };
        assert_eq!(
            finished.line(),
            "{\"event\":\"finished\",\"done\":[\"whatsapp\"],\"failed\":[\"telegram\"]}\n"
        );
        let stopped = WizardEvent::SetupCancelled { done: vec!["whatsapp"], not_done: vec!["telegram"] };
        assert_eq!(
            stopped.line(),
            "{\"event\":\"cancelled\",\"done\":[\"whatsapp\"],\"not_done\":[\"telegram\"]}\n"
        );
        let expired = WizardEvent::Expired { message: "m".into(), fix: "f".into() };
        assert_eq!(expired.line(), "{\"event\":\"expired\",\"message\":\"m\",\"fix\":\"f\"}\n");
        assert!(expired.is_last());
        let bot = WizardEvent::BotEnabled { username: "u".into() };
        assert_eq!(bot.line(), "{\"event\":\"enabled\",\"username\":\"u\"}\n");
        assert!(bot.is_last());
        assert_eq!(
            WizardEvent::Owner { id: 7, name: "n".into() }.line(),
            "{\"event\":\"owner\",\"id\":7,\"name\":\"n\"}\n"
        );
        assert!(error.is_last() && !WizardEvent::PairSuccess.is_last());
    }

    #[test]
    fn debug_shows_no_payload() {
        let event = WizardEvent::Qr { payload: "secret".into(), seq: 1, expires_in_s: 60 };
        assert!(!format!("{event:?}").contains("secret"));
    }
}
