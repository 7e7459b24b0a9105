//! Pure. The longer words of the Telegram wizard.

use crate::platforms::telegram::bot::Bot;
use crate::wizard::telegram::flow::Chapter;
use crate::wizard::ui::layout::Line;
use crate::wizard::ui::layout::{entry, text};

pub(super) fn opening() -> Vec<Line> {
    vec![
        Line::Title("Connect Telegram".to_owned()),
        Line::Gap,
        text(
            "Two short steps. Ctrl-C stops at any time, and no setting is saved before the last step is done.",
        ),
    ]
}

pub(super) fn step(chapter: Chapter) -> Line {
    let title = match chapter {
        Chapter::Bot => "The bot",
        Chapter::People => "Who can write to it",
    };
    Line::Step { number: chapter as usize, of: 2, title: title.to_owned() }
}

pub(super) fn about_tokens() -> Vec<Line> {
    vec![
        text("The agent answers as a bot. Create one with @BotFather in Telegram:"),
        Line::Gap,
        entry("1. Open @BotFather", "https://t.me/BotFather"),
        entry("2. Send /newbot", "give it a name, and a username that ends in `bot`"),
        entry("3. Copy the token", "like 123456789:AAE…; keep it secret: it gives full control of the bot"),
        Line::Gap,
    ]
}

pub(super) const TOKEN_PROMPT: &str = "Paste the token";

/// The remedy when the service does not know a token.
pub(super) const TOKEN_AGAIN: &str =
    "Copy the whole token from @BotFather: /mybots, then the bot, then API Token.";

/// Says what is wrong with a token without repeating any of it.
pub(super) fn check_token(token: &str) -> Result<(), String> {
    if token.is_empty() {
        return Err("Please paste the token (Ctrl-C to quit).".to_owned());
    }
    if Bot::is_token(token) {
        return Ok(());
    }
    Err("That doesn't look like a bot token (expected 123456789:AAE…). Copy the whole line.".to_owned())
}

pub(super) fn about_people() -> Vec<Line> {
    vec![
        text(
            "hermes answers only the IDs listed here and ignores everyone else. An agent can act on your machine, so do not let strangers use it.",
        ),
        Line::Gap,
    ]
}

pub(super) fn about_ids() -> Vec<Line> {
    vec![
        text(
            "An ID is a whole number, such as 123456789. Separate several with commas; `*` allows everyone. \
             Leave it empty to allow no one for now; you can run `hermes telegram` again at any time.",
        ),
        Line::Gap,
    ]
}

pub(super) const ABOUT_ALERTS: &str =
    "hermes can tell you when a platform does not work and when it works again.";

pub(super) const EVERYBODY_WARNING: &str =
    "With `*` everyone who finds the bot can use the agent, at your cost and on your machine.";

pub(super) const NOBODY_WARNING: &str = "No one is allowed yet, so no one is answered. Use `hermes telegram --allow IDS`, or run `hermes telegram` and write to the bot.";

/// An entry of the list is not a person.
pub(super) const CHANNEL_NOTE: &str = "An id below 0 is a channel's, or a group's of which the admins write in its name. Groups and channels in which the \
     bot answers are listed in TELEGRAM_ALLOWED_CHATS besides.";

/// Groups are wanted, and the bot hears only part of them.
pub(super) const PRIVACY_NOTE: &str = "In groups the bot sees only messages addressed to it (privacy mode). That is enough for mentions and replies. To show it all messages: @BotFather, /setprivacy, the bot, Disable; then remove it from the group and add it again.";
