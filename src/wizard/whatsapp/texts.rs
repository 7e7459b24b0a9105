//! Pure. The longer words of the WhatsApp wizard.

use crate::bridge::protocol::PasskeyRequest;
use crate::config::{AllowList, WhatsAppMode};
use crate::wizard::ui::layout::Line;
use crate::wizard::ui::layout::entry;
use crate::wizard::ui::layout::text;
use crate::wizard::whatsapp::flow::Chapter;
use crate::wizard::whatsapp::numbers::show_allow;

pub(crate) fn opening() -> Vec<Line> {
    vec![
        Line::Title("Connect WhatsApp".to_owned()),
        Line::Gap,
        text(
            "Four short steps. Ctrl-C stops at any time, and no setting is saved before the last step is done.",
        ),
    ]
}

pub(crate) fn chapter_title(chapter: Chapter) -> &'static str {
    match chapter {
        Chapter::Mode => "The agent's number",
        Chapter::People => "Who can write to it",
        Chapter::Bridge => "The WhatsApp bridge",
        Chapter::Phone => "Link the phone",
    }
}

pub(crate) fn step(chapter: Chapter) -> Line {
    Line::Step { number: chapter as usize, of: Chapter::ALL.len(), title: chapter_title(chapter).to_owned() }
}

pub(crate) fn settled(chapter: Chapter, what: String) -> Line {
    Line::Settled { number: chapter as usize, of: Chapter::ALL.len(), what }
}

pub(crate) fn about_modes() -> Vec<Line> {
    vec![
        entry(MODE_ITEMS[0], "People on your list write to that number and the agent answers. Use a second SIM."),
        entry(MODE_ITEMS[1], "You write to yourself in WhatsApp and the agent answers there. It answers others only if you list them."),
        Line::Gap,
        Line::Warn(
            "WhatsApp does not allow automated use and has banned numbers for it. A second number protects your own. Never let the agent write to strangers."
                .to_owned(),
        ),
        Line::Gap,
    ]
}

/// In the order of [`MODES`].
pub(crate) const MODE_ITEMS: [&str; 2] = ["A separate number", "My own number"];

pub(crate) const MODES: [WhatsAppMode; 2] = [WhatsAppMode::Bot, WhatsAppMode::SelfChat];

pub(crate) fn mode_words(mode: WhatsAppMode) -> &'static str {
    match mode {
        WhatsAppMode::Bot => "a separate number",
        WhatsAppMode::SelfChat => "your own number, in the chat with yourself",
    }
}

pub(crate) fn about_people(mode: WhatsAppMode) -> Vec<Line> {
    let mut lines = match mode {
        WhatsAppMode::Bot => vec![
            text(
                "hermes answers only the numbers listed here and ignores everyone else. An agent can act on your machine, so do not let strangers use it.",
            ),
            Line::Gap,
            text("Write numbers with their country code, separated by commas. `*` allows everyone."),
        ],
        WhatsAppMode::SelfChat => vec![
            text("Your own messages to yourself are always answered, so this can stay empty."),
            Line::Gap,
            text("You can add others: numbers with their country code, separated by commas."),
        ],
    };
    lines.push(Line::Gap);
    lines
}

/// The answer that no one beside the person may write.
pub(crate) const NO_OTHERS: &str = "none";

/// The question for people beside the own number. Where some are listed already, Enter keeps them.
pub(crate) fn others_prompt(has_list: bool) -> String {
    if has_list {
        format!("Others who can write (Enter keeps this list; `{NO_OTHERS}` empties it)")
    } else {
        "Others who can write (Enter for none)".to_owned()
    }
}

/// The people who are answered on the own number.
pub(crate) fn answered_others(allowed: &AllowList) -> Line {
    Line::Done(format!("The agent answers you and {}.", show_allow(allowed)))
}

pub(crate) const EVERYBODY_WARNING: &str =
    "With `*` everyone who knows the number can use the agent, at your cost and on your machine.";

pub(crate) const SCANNING: &str =
    "On the phone: WhatsApp → Settings → Linked devices → Link a device. Then scan this code.";

pub(crate) fn about_scanning() -> Vec<Line> {
    vec![text(SCANNING), Line::Gap]
}

pub(crate) fn about_typing(number: &str) -> Vec<Line> {
    vec![
        text(&format!(
            "On the phone with {number}: WhatsApp → Settings → Linked devices → Link a device → Link with phone \
             number instead. Then type this code."
        )),
        Line::Gap,
    ]
}

/// Before a pairing that may still work is replaced. `known`: the last attempt to link was stopped by the passkey.
pub(crate) fn about_relinking(known: bool) -> Vec<Line> {
    let passkey = if known {
        "The last attempt to link this account stopped because WhatsApp asked for its passkey. It will ask again."
    } else {
        "Linked devices keep working, but since 2026 WhatsApp asks some accounts for a passkey before it links a new one. \
         Without it the account cannot be linked again."
    };
    vec![text(passkey), text("The old session is moved aside and restored if the new link fails."), Line::Gap]
}

/// The steps to take when WhatsApp asks for the passkey.
pub(crate) fn about_passkey(request: &PasskeyRequest) -> Vec<Line> {
    vec![
        Line::Gap,
        Line::Warn("WhatsApp links this account only with its passkey.".to_owned()),
        text(
            "hermes cannot use a passkey, but your browser can. A wrong answer may count against the number, so hermes \
             checks it before anything is sent. Ctrl-C stops and changes nothing.",
        ),
        Line::Gap,
        text(
            "1. Keep WhatsApp open on the phone. If the account has no passkey yet, create one there: Settings → Account \
             → Passkeys.",
        ),
        text(
            "2. Open https://web.whatsapp.com in a browser that has the passkey or can use the phone's. Do not log in. \
             Press F12, choose Console, paste this line and press Enter. The browser may ask you to type `allow pasting` \
             first.",
        ),
        Line::Gap,
        Line::Verbatim(request.snippet.clone()),
        Line::Gap,
        text(
            "3. Confirm with fingerprint, face or PIN. The console then prints a line that starts with {. Copy the whole line and paste it here.",
        ),
        text(&format!("You have {} minutes.", request.expires_in_s / 60)),
        Line::Gap,
    ]
}

pub(crate) const PASSKEY_SENT: &str = "WhatsApp accepted the passkey. Waiting for the phone …";
