//! Pure. The lines that hermes and its bridge exchange; `assets/bridge/README.md` describes them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use crate::bridge::exit::Exit;
use crate::pairing::Me;
use crate::sensitive::Private;

/// The version in every line, both ways.
pub const VERSION: u32 = crate::process::exec::LINE_VERSION;

/// Longest line, in bytes, both ways.
pub const LINE_LEN_MAX: usize = 1 << 20;

/// A command to the bridge.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "cmd", rename_all = "snake_case")]
pub enum Command {
    /// The first line: begin.
    Start(Start),
    /// Acknowledges an event that is durable here.
    Ack {
        /// The event's number.
        seq: u64,
    },
    /// Send one text.
    Send(Send),
    /// Fetch the media of an unacknowledged event.
    Download {
        /// Correlates the answer.
        id: String,
        /// The event's number.
        seq: u64,
    },
    /// Show or clear the "typing…" indicator.
    Typing {
        /// The chat.
        chat: String,
        /// True to show it.
        on: bool,
    },
    /// The browser's answer to [`Event::PasskeyRequired`].
    PasskeyAnswer {
        /// The text as pasted; the bridge checks it.
        answer: Private,
    },
    /// The answer to [`Event::PasskeyCode`].
    PasskeyConfirm {
        /// The phone shows the same code.
        matches: bool,
    },
    /// Finish and exit 0.
    Stop,
}

/// The parameters of the bridge.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Start {
    /// Folder of Baileys' multi-file state.
    pub session_dir: PathBuf,
    /// Folder of unacknowledged events.
    pub spool_dir: PathBuf,
    /// Folder of downloaded attachments.
    pub media_dir: PathBuf,
    /// WhatsApp's address, if not its usual one.
    pub web_socket_url: Option<String>,
    /// The protocol version to speak, if not the library's.
    pub version: Option<[u32; 3]>,
    /// Pair by a code for this number (digits) instead of a QR.
    pub pairing_code_for: Option<String>,
    /// Limits that differ from the bridge's own, by name; milliseconds, seconds or bytes as the name says.
    pub limits: BTreeMap<String, u64>,
}

/// One text to send.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Send {
    /// Correlates the answer.
    pub id: String,
    /// The recipient: a JID, or a phone number's digits.
    pub chat: String,
    /// WhatsApp's id of the message, chosen here: sent twice it is one message.
    pub message_id: String,
    /// The text to send.
    pub text: Private,
    /// The message that it answers.
    pub quoted: Option<QuotedRef>,
}

/// The message that an outbound one answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct QuotedRef {
    /// Its id.
    pub id: String,
    /// Its writer.
    pub participant: Option<String>,
    /// True when it was our own.
    pub from_me: bool,
    /// Its text.
    pub text: Private,
}

/// An event from the bridge.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// Modules are loaded, the session is readable.
    Ready {
        /// The process id.
        pid: u32,
        /// Its Node version.
        #[serde(default, deserialize_with = "absent_or_null")]
        node: String,
        /// Its Baileys version.
        #[serde(default, deserialize_with = "absent_or_null")]
        baileys: String,
    },
    /// A socket is being opened.
    Connecting {
        /// Counts from 1.
        #[serde(default, deserialize_with = "absent_or_null")]
        attempt: u32,
    },
    /// A code to scan; the one before is void.
    Qr {
        /// The content of the code: a secret until it expires.
        payload: Private,
        /// Counts from 1.
        seq: u32,
        /// Time in which it can be scanned, in seconds.
        expires_in_s: u64,
        /// The number of codes; 0 where it is not known.
        #[serde(default, deserialize_with = "absent_or_null")]
        total: u32,
    },
    /// A code to type on the phone.
    PairingCode {
        /// Eight characters.
        code: Private,
    },
    /// WhatsApp links this account only with its passkey. No further code comes.
    PasskeyRequired(PasskeyRequest),
    /// The answer was not sent, because it is not what WhatsApp needs; another may be given.
    PasskeyRejected {
        /// The defect of the answer, for the person who gave it.
        #[serde(default, deserialize_with = "absent_or_null")]
        message: String,
    },
    /// WhatsApp has accepted the answer.
    PasskeySent,
    /// The code that the phone shows too, if it shows one.
    PasskeyCode {
        /// Two groups of four.
        code: String,
        /// True when the bridge waits for [`Command::PasskeyConfirm`].
        #[serde(default, deserialize_with = "absent_or_null")]
        confirm: bool,
    },
    /// Phone linked; credentials are on disk.
    PairSuccess {
        /// The account.
        #[serde(default, deserialize_with = "absent_or_null")]
        me: Option<Me>,
    },
    /// WhatsApp asked to open the same session again.
    Restart,
    /// Logged in and ready.
    Open {
        /// The account.
        me: Me,
    },
    /// Pending notifications are drained.
    Synced {
        /// True when the limit ran out first.
        #[serde(default, deserialize_with = "absent_or_null")]
        timed_out: bool,
    },
    /// A round trip to WhatsApp succeeded just now.
    Alive {
        /// The round trip's duration, in milliseconds.
        rtt_ms: u64,
    },
    /// An inbound message.
    Message(Box<Message>),
    /// An inbound message in a form that this version cannot read: a defect. It is in the spool all the same, so it must be
    /// acknowledged, or it would come again at every start.
    #[serde(skip)]
    Unreadable {
        /// Its number in the spool.
        seq: u64,
        /// The line.
        line: Private,
    },
    /// The server has the message.
    Sent {
        /// Correlates the command.
        id: String,
        /// WhatsApp's id.
        message_id: String,
    },
    /// The message was refused, or its fate is unknown.
    SendFailed(SendFailed),
    /// Later news of a sent message.
    Receipt {
        /// WhatsApp's id.
        message_id: String,
        /// `delivered`, `read` or `failed`.
        status: String,
    },
    /// An attachment is on disk.
    Downloaded {
        /// Correlates the command.
        id: String,
        /// Its path.
        path: PathBuf,
        /// Its size, in bytes.
        bytes: u64,
        /// Its MIME type.
        #[serde(default, deserialize_with = "absent_or_null")]
        mime: Option<String>,
    },
    /// An attachment could not be fetched.
    DownloadFailed {
        /// Correlates the command.
        id: String,
        /// `too_large`, `folder_full`, `gone`, `network` or `no_media`.
        code: String,
        /// The cause.
        #[serde(default, deserialize_with = "absent_or_null")]
        message: String,
    },
    /// The connection ended; the process exits next.
    Closed {
        /// Baileys' status code.
        #[serde(default, deserialize_with = "absent_or_null")]
        code: Option<u16>,
        /// The cause.
        #[serde(default, deserialize_with = "absent_or_null")]
        reason: String,
        /// The layer that failed between here and WhatsApp: `dns`, `refused`, `timeout`, `tls`.
        #[serde(default, deserialize_with = "absent_or_null")]
        cause: Option<String>,
        /// True when it had been open.
        #[serde(default, deserialize_with = "absent_or_null")]
        was_open: bool,
    },
    /// The cause for which the process is about to exit.
    Error {
        /// The code, as in the table of exits.
        code: String,
        /// The cause.
        #[serde(default, deserialize_with = "absent_or_null")]
        message: String,
    },
    /// An event this version does not know.
    #[serde(other)]
    Other,
}

/// A passkey request for a browser.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct PasskeyRequest {
    /// Options for `PublicKeyCredential.parseRequestOptionsFromJSON`.
    pub options: serde_json::Value,
    /// A line for the browser's console that asks for the passkey and prints the answer.
    pub snippet: String,
    /// Time for which the bridge waits for the answer, in seconds.
    pub expires_in_s: u64,
}

/// An inbound message.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Message {
    /// Its number in the spool: acknowledge by it.
    pub seq: u64,
    /// WhatsApp's id.
    pub id: String,
    /// The chat's JID.
    pub chat: String,
    /// The chat by its other identity (LID or phone number).
    #[serde(default, deserialize_with = "absent_or_null")]
    pub chat_alt: Option<String>,
    /// The sender's JID.
    pub sender: String,
    /// The sender by the other identity.
    #[serde(default, deserialize_with = "absent_or_null")]
    pub sender_alt: Option<String>,
    /// True when the owner of the account wrote it, on another device.
    #[serde(default, deserialize_with = "absent_or_null")]
    pub from_me: bool,
    /// True when the chat is a group.
    #[serde(default, deserialize_with = "absent_or_null")]
    pub is_group: bool,
    /// The name the sender chose.
    #[serde(default, deserialize_with = "absent_or_null")]
    pub push_name: Option<Private>,
    /// Time of sending, in seconds since 1970.
    #[serde(default, deserialize_with = "absent_or_null")]
    pub timestamp_s: i64,
    /// True when it waited at the server while we were away.
    #[serde(default, deserialize_with = "absent_or_null")]
    pub offline: bool,
    /// JIDs mentioned in it.
    #[serde(default, deserialize_with = "absent_or_null")]
    pub mentions: Vec<String>,
    /// The kind: `text`, `image`, `audio`, `voice`, `video`, `document`, `sticker`, `location`, `contact`, `reaction`,
    /// `unsupported`.
    pub kind: String,
    /// Body or caption.
    #[serde(default, deserialize_with = "absent_or_null")]
    pub text: Private,
    /// Length of the whole text, in bytes, where `text` is only its beginning.
    #[serde(default, deserialize_with = "absent_or_null")]
    pub cut_from: Option<usize>,
    /// The attachment, not yet downloaded.
    #[serde(default, deserialize_with = "absent_or_null")]
    pub media: Option<Media>,
    /// A place.
    #[serde(default, deserialize_with = "absent_or_null")]
    pub location: Option<Location>,
    /// Contact cards.
    #[serde(default, deserialize_with = "absent_or_null")]
    pub contacts: Vec<Contact>,
    /// A reaction.
    #[serde(default, deserialize_with = "absent_or_null")]
    pub reaction: Option<Reaction>,
    /// True for another person's text, forwarded from another chat or composed for it to be sent.
    #[serde(default, deserialize_with = "absent_or_null")]
    pub forwarded: bool,
    /// The id of the message that this one corrects.
    #[serde(default, deserialize_with = "absent_or_null")]
    pub edits: Option<String>,
    /// The message that it answers.
    #[serde(default, deserialize_with = "absent_or_null")]
    pub quoted: Option<Quoted>,
}

/// An attachment as announced.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Media {
    /// Its MIME type, as the sender says.
    #[serde(default, deserialize_with = "absent_or_null")]
    pub mime: Option<String>,
    /// Its size in bytes, as the sender says.
    #[serde(default, deserialize_with = "absent_or_null")]
    pub bytes: Option<u64>,
    /// Its name, as the sender says: never used as a path.
    #[serde(default, deserialize_with = "absent_or_null")]
    pub file_name: Option<Private>,
    /// Length of audio or video, in seconds.
    #[serde(default, deserialize_with = "absent_or_null")]
    pub seconds: Option<u64>,
}

/// A place.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Location {
    /// Degrees north.
    pub latitude: f64,
    /// Degrees east.
    pub longitude: f64,
    /// Its name.
    #[serde(default, deserialize_with = "absent_or_null")]
    pub name: Option<Private>,
    /// Its address.
    #[serde(default, deserialize_with = "absent_or_null")]
    pub address: Option<Private>,
}

/// A contact card.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Contact {
    /// The name on it.
    #[serde(default, deserialize_with = "absent_or_null")]
    pub name: Private,
    /// The card.
    #[serde(default, deserialize_with = "absent_or_null")]
    pub vcard: Private,
}

/// A reaction to a message.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Reaction {
    /// The id of the message.
    pub id: String,
    /// The emoji; empty when a reaction was taken back.
    #[serde(default, deserialize_with = "absent_or_null")]
    pub emoji: String,
}

/// The message that an inbound one answers.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Quoted {
    /// Its id.
    pub id: String,
    /// Its writer.
    #[serde(default, deserialize_with = "absent_or_null")]
    pub participant: Option<String>,
    /// Its text.
    #[serde(default, deserialize_with = "absent_or_null")]
    pub text: Private,
}

/// A send that did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct SendFailed {
    /// Correlates the command.
    pub id: String,
    /// Machine-readable cause.
    #[serde(default, deserialize_with = "absent_or_null")]
    pub code: String,
    /// The cause.
    #[serde(default, deserialize_with = "absent_or_null")]
    pub message: String,
    /// The certainty that it was not sent.
    pub certainty: SendCertainty,
    /// True when another try is pointless.
    #[serde(default, deserialize_with = "absent_or_null")]
    pub permanent: bool,
}

/// The possible fates of a failed send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SendCertainty {
    /// It certainly did not leave.
    NotSent,
    /// It may have been delivered.
    MaybeSent,
}

/// Reads a field so that absent and null mean the same.
fn absent_or_null<'de, D, T>(value: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(value)?.unwrap_or_default())
}

/// A line that is not an event of this protocol.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// Another protocol version.
    #[error("the bridge speaks protocol version {0}, this is version {VERSION}")]
    Version(u64),
    /// Not JSON, or not in the form of its event. The text is not repeated: it may hold chat content.
    #[error("unusable line from the bridge (column {0})")]
    Malformed(usize),
}

/// Returns a command as its line, newline included.
pub fn encode(command: &Command) -> String {
    #[derive(Serialize)]
    struct Line<'a> {
        v: u32,
        #[serde(flatten)]
        command: &'a Command,
    }
    let mut line = serde_json::to_string(&Line { v: VERSION, command })
        .expect("a command has only string keys and finite numbers");
    line.push('\n');
    line
}

/// Reads one line.
///
/// # Errors
/// When it is a different version or malformed.
pub fn decode(line: &str) -> Result<Event, LineError> {
    #[derive(Deserialize)]
    struct Head {
        v: u64,
    }
    let malformed = |error: serde_json::Error| LineError::Malformed(error.column());
    let head: Head = serde_json::from_str(line).map_err(malformed)?;
    if head.v != u64::from(VERSION) {
        return Err(LineError::Version(head.v));
    }
    serde_json::from_str(line).or_else(|error| unreadable_message(line).ok_or_else(|| malformed(error)))
}

fn unreadable_message(line: &str) -> Option<Event> {
    #[derive(Deserialize)]
    struct Numbered {
        event: String,
        seq: u64,
    }
    let Numbered { event, seq } = serde_json::from_str(line).ok()?;
    (event == "message").then(|| Event::Unreadable { seq, line: Private(line.to_owned()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_carry_the_version_and_their_name() {
        assert_eq!(encode(&Command::Ack { seq: 7 }), "{\"v\":1,\"cmd\":\"ack\",\"seq\":7}\n");
        assert_eq!(encode(&Command::Stop), "{\"v\":1,\"cmd\":\"stop\"}\n");
        let start = encode(&Command::Start(Start { session_dir: "/s".into(), ..Start::default() }));
        assert!(start.starts_with("{\"v\":1,\"cmd\":\"start\",\"session_dir\":\"/s\""), "{start}");
    }

    #[test]
    fn events_are_read_and_unknown_ones_are_kept_apart() {
        let line = r#"{"v":1,"event":"message","seq":1,"id":"A","chat":"1@lid","sender":"1@lid","kind":"text","text":"hi"}"#;
        let Event::Message(message) = decode(line).unwrap() else { panic!("not a message") };
        assert_eq!(message.text.0, "hi");
        assert!(!format!("{message:?}").contains("hi"), "what people write is not for logs");
        assert_eq!(decode(r#"{"v":1,"event":"from_the_future","x":1}"#).unwrap(), Event::Other);
        assert_eq!(decode(r#"{"v":1,"event":"restart"}"#).unwrap(), Event::Restart);
    }

    #[test]
    fn last_words_are_an_event() {
        let line = crate::process::exec::last_words("exec", "/opt/\"node\" cannot be started\n");
        assert_eq!(line.lines().count(), 1);
        let Event::Error { code, message } = decode(line.trim_end()).unwrap() else { panic!("{line}") };
        assert_eq!((code.as_str(), message.as_str()), ("exec", "/opt/\"node\" cannot be started\n"));
    }

    #[test]
    fn null_means_absent() {
        let line = r#"{"v":1,"event":"message","seq":1,"id":"A","chat":"1@lid","chat_alt":null,"sender":"1@lid","mentions":null,"kind":"text","text":null,"media":null,"contacts":null,"quoted":null}"#;
        let Event::Message(message) = decode(line).unwrap() else { panic!("not a message") };
        assert!(message.contacts.is_empty() && message.text.0.is_empty() && message.chat_alt.is_none());
    }

    #[test]
    fn a_message_that_cannot_be_read_keeps_its_number() {
        let line = r#"{"v":1,"event":"message","seq":7,"id":{},"text":"secret"}"#;
        let event = decode(line).unwrap();
        assert!(!format!("{event:?}").contains("secret"));
        assert_eq!(event, Event::Unreadable { seq: 7, line: Private(line.to_owned()) });
        assert!(decode(r#"{"v":1,"event":"message","seq":"7"}"#).is_err());
    }

    #[test]
    fn foreign_lines_are_refused_without_repeating_them() {
        assert!(matches!(decode(r#"{"v":2,"event":"restart"}"#), Err(LineError::Version(2))));
        for line in ["", "secret", r#"{"event":"restart"}"#, r#"{"v":1,"event":"qr"}"#, "{\"v\":1}"] {
            let error = decode(line).unwrap_err();
            assert!(!error.to_string().contains("secret"));
        }
    }
}
