//! Pure. Answers that the command line gives ahead of the questions.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::WhatsAppMode;

/// The flags of `hermes whatsapp`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WhatsAppOptions {
    /// `--mode`.
    pub mode: Option<WhatsAppMode>,
    /// `--allow`: numbers with commas between them, or `*`.
    pub allow: Option<String>,
    /// `--allow-everyone`: everybody may write.
    pub allow_everyone: bool,
    /// `--yes`: every question that has a default takes it.
    pub yes: bool,
    /// `--start`, `--no-start`: whether the gateway is started at the end.
    pub start: Option<bool>,
    /// `--repair`: pair again; the old session is moved aside.
    pub repair: bool,
    /// `--relink`: also a pairing that may still work is replaced, without a question.
    pub relink: bool,
    /// `--passkey-answer`: where the answer of the passkey comes from, if not from the terminal.
    pub passkey_answer: Option<AnswerFrom>,
    /// `--pairing-code`: the number to link by a code instead of a QR.
    pub pairing_code: Option<String>,
    /// `--qr`.
    pub qr: QrStyle,
    /// `--timeout`: the longest wait for a scan, from the first code.
    pub timeout: Duration,
    /// `--json`: one event a line on stdout, no questions.
    pub json: bool,
    /// The start of the gateway is offered at the end.
    pub offers_start: bool,
}

impl Default for WhatsAppOptions {
    fn default() -> Self {
        Self {
            mode: None,
            allow: None,
            allow_everyone: false,
            yes: false,
            start: None,
            repair: false,
            relink: false,
            passkey_answer: None,
            pairing_code: None,
            qr: QrStyle::Auto,
            timeout: Duration::from_mins(5),
            json: false,
            offers_start: true,
        }
    }
}

/// Where the answer of a passkey comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AnswerFrom {
    /// Lines of standard input.
    Stdin,
    /// A file, read each time it changes.
    File(PathBuf),
}

/// The form in which a code is shown.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum QrStyle {
    /// The best form that the terminal shows and that fits into its window: a picture, half blocks, sextants, ASCII.
    #[default]
    Auto,
    /// A picture on the screen, where the terminal can show one.
    Image,
    /// Half blocks.
    Blocks,
    /// Six modules in a character.
    Sextants,
    /// `##`.
    Ascii,
    /// The payload, on stdout.
    Raw,
    /// A picture in this file, removed afterwards.
    Png(PathBuf),
}
