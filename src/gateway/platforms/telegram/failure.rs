//! Pure. What each refusal of the Bot API means, for a connection and for a message.
//!
//! Decided by the status and by `parameters`. Only 400 says in words alone what is the matter; [`TEXTS`] is the one place
//! that reads them, and what it does not know is refused for good like any other 400.

use std::time::Duration;

use crate::gateway::failure::{AdapterError, Certainty, Retry, Scope, SendError};
use crate::telegram::wire::Refusal;

/// What a person does about a token that is refused.
pub const TOKEN_ACTION: &str =
    "Run `hermes telegram` with a token from @BotFather; it connects by itself then.";

/// What a refused message can still become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// Once more as plain text: the service does not understand the markup.
    Plain,
    /// Once more without the topic, which is gone.
    Untopic,
    /// Once more to this chat, which the group has become.
    Migrated(i64),
    /// It is so already: an edit that changes nothing.
    Done,
    /// None.
    Fail(SendError),
}

/// What the words of a 400 mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    Markup,
    TooLong,
    Empty,
    NotModified,
    MessageGone,
    ChatGone,
    TopicGone,
    NoRights,
}

/// The words, in lower case, as they stand in the service's descriptions. They may change; then the message is given up
/// with its description in the log, and nothing worse.
const TEXTS: [(&str, Meaning); 22] = [
    ("can't parse entities", Meaning::Markup),
    ("can't find end of", Meaning::Markup),
    ("entity_", Meaning::Markup),
    ("message is too long", Meaning::TooLong),
    ("message_too_long", Meaning::TooLong),
    ("text is empty", Meaning::Empty),
    ("text must be non-empty", Meaning::Empty),
    ("message is not modified", Meaning::NotModified),
    ("message to edit not found", Meaning::MessageGone),
    ("message can't be edited", Meaning::MessageGone),
    ("message_id_invalid", Meaning::MessageGone),
    ("chat not found", Meaning::ChatGone),
    ("user not found", Meaning::ChatGone),
    ("peer_id_invalid", Meaning::ChatGone),
    ("group chat was deactivated", Meaning::ChatGone),
    ("message thread not found", Meaning::TopicGone),
    ("topic_deleted", Meaning::TopicGone),
    ("topic_closed", Meaning::TopicGone),
    ("not enough rights", Meaning::NoRights),
    ("have no rights", Meaning::NoRights),
    ("chat_write_forbidden", Meaning::NoRights),
    ("need administrator rights", Meaning::NoRights),
];

fn meaning(description: &str) -> Option<Meaning> {
    let description = description.to_ascii_lowercase();
    TEXTS.iter().find(|(text, _)| description.contains(text)).map(|(_, meaning)| *meaning)
}

/// The wait that the service asks for.
fn wait(refusal: &Refusal) -> Option<Duration> {
    refusal.parameters.retry_after.map(Duration::from_secs)
}

/// The first wait for a limit that does not say how long it lasts; it doubles with each in a row.
const LIMIT_WAIT: Duration = Duration::from_secs(30);

/// The longest such wait.
const LIMIT_WAIT_MAX: Duration = Duration::from_secs(900);

/// Gives a limit that does not say how long it lasts a time. `count`: counts the limits of this kind in a row, and returns
/// how many there were before this one; it is asked for them alone.
pub fn give_time(refusal: &mut Refusal, count: impl FnOnce() -> u32) {
    if matches!(refusal.status, 420 | 429) && refusal.parameters.retry_after.is_none() {
        let wait = LIMIT_WAIT.saturating_mul(1 << count().min(8)).min(LIMIT_WAIT_MAX);
        refusal.parameters.retry_after = Some(wait.as_secs());
    }
}

/// What a refusal of a message means.
pub fn of_send(refusal: &Refusal) -> Way {
    let fail = |code: &str, certainty, retry| {
        Way::Fail(SendError {
            code: code.to_owned(),
            message: format!("Telegram answered {}: {}", refusal.status, refusal.description),
            certainty,
            retry,
            scope: scope(code),
        })
    };
    let not_sent = |code, retry| fail(code, Certainty::NotSent, retry);
    if let Some(chat) = refusal.parameters.migrate_to_chat_id {
        return Way::Migrated(chat);
    }
    match refusal.status {
        400 => match meaning(&refusal.description) {
            Some(Meaning::Markup) => Way::Plain,
            Some(Meaning::NotModified) => Way::Done,
            Some(Meaning::TopicGone) => Way::Untopic,
            Some(Meaning::TooLong) => not_sent("telegram_too_long", Retry::Never),
            Some(Meaning::Empty) => not_sent("telegram_empty", Retry::Never),
            Some(Meaning::MessageGone) => not_sent(MESSAGE_GONE, Retry::Never),
            Some(Meaning::ChatGone) => not_sent(CHAT_GONE, Retry::Never),
            Some(Meaning::NoRights) => not_sent(CHAT_FORBIDDEN, Retry::Never),
            None => not_sent("telegram_bad_request", Retry::Never),
        },
        // The whole bot is refused, not this message: it waits until the connection is mended.
        401 | 404 => not_sent("telegram_bad_token", Retry::Backoff),
        403 => not_sent(CHAT_FORBIDDEN, Retry::Never),
        413 => not_sent("telegram_too_long", Retry::Never),
        420 | 429 => not_sent("telegram_rate_limited", wait(refusal).map_or(Retry::Backoff, Retry::After)),
        // The service or what stands before it failed, after it had the message.
        500.. => fail(
            "telegram_server_error",
            Certainty::MaybeSent,
            wait(refusal).map_or(Retry::Backoff, Retry::After),
        ),
        409 | 300..400 => not_sent("telegram_refused", Retry::Backoff),
        _ => not_sent("telegram_bad_request", Retry::Never),
    }
}

/// The bot was blocked, thrown out, or may not write there.
pub const CHAT_FORBIDDEN: &str = "telegram_forbidden";

/// There is no message any more in whose place another could be put.
pub const MESSAGE_GONE: &str = "telegram_message_gone";

/// There is no such chat any more.
pub const CHAT_GONE: &str = "telegram_chat_gone";

/// Whether it is this message that is refused, or any to its chat.
pub fn scope(code: &str) -> Scope {
    if [CHAT_FORBIDDEN, CHAT_GONE].contains(&code) { Scope::Chat } else { Scope::Message }
}

/// How many conflicts in a row are met with a quick try: the other poller may just be ending.
const CONFLICTS_QUICK: u32 = 3;

const CONFLICT_WAIT: Duration = Duration::from_secs(10);
const CONFLICT_WAIT_MAX: Duration = Duration::from_secs(300);

/// What a refusal means while receiving. `conflicts`: how many conflicts came in a row, with this one.
pub fn of_connection(refusal: &Refusal, conflicts: u32) -> AdapterError {
    let said = format!("Telegram answered {}: {}", refusal.status, refusal.description);
    match refusal.status {
        401 | 404 => {
            AdapterError::blocked("telegram_bad_token", "Telegram does not know the bot token", TOKEN_ACTION)
        }
        403 => AdapterError::blocked("telegram_forbidden", said, TOKEN_ACTION),
        409 => {
            let wait = if conflicts <= CONFLICTS_QUICK { CONFLICT_WAIT } else { CONFLICT_WAIT_MAX };
            AdapterError::retryable(
                "telegram_polling_conflict",
                "another program receives the messages of this bot: stop it, or give one of the two another bot",
            )
            .retry(Retry::After(wait))
        }
        420 | 429 => AdapterError::retryable("telegram_rate_limited", said)
            .retry(wait(refusal).map_or(Retry::Backoff, Retry::After)),
        500.. => AdapterError::retryable("telegram_server_error", said)
            .retry(wait(refusal).map_or(Retry::Backoff, Retry::After)),
        _ => AdapterError::retryable("telegram_refused", said),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telegram::wire::Parameters;

    fn refusal(status: u16, description: &str) -> Refusal {
        Refusal { status, description: description.to_owned(), parameters: Parameters::default() }
    }

    fn after(status: u16, seconds: u64) -> Refusal {
        let parameters = Parameters { retry_after: Some(seconds), ..Parameters::default() };
        Refusal { parameters, ..refusal(status, "Too Many Requests: retry later") }
    }

    /// What a refused message becomes, in short.
    fn send(refusal: &Refusal) -> (String, Option<Certainty>, Option<Retry>) {
        match of_send(refusal) {
            Way::Fail(error) => (error.code, Some(error.certainty), Some(error.retry)),
            way @ (Way::Plain | Way::Untopic | Way::Migrated(_) | Way::Done) => {
                (format!("{way:?}"), None, None)
            }
        }
    }

    #[test]
    fn every_status_says_what_becomes_of_a_message() {
        for status in 300..=599 {
            let (code, certainty, retry) = send(&refusal(status, "Something"));
            let expected = match status {
                401 | 404 => ("telegram_bad_token", Certainty::NotSent, Retry::Backoff),
                403 => ("telegram_forbidden", Certainty::NotSent, Retry::Never),
                413 => ("telegram_too_long", Certainty::NotSent, Retry::Never),
                420 | 429 => ("telegram_rate_limited", Certainty::NotSent, Retry::Backoff),
                409 | 300..=399 => ("telegram_refused", Certainty::NotSent, Retry::Backoff),
                500..=599 => ("telegram_server_error", Certainty::MaybeSent, Retry::Backoff),
                _ => ("telegram_bad_request", Certainty::NotSent, Retry::Never),
            };
            assert_eq!(
                (code.as_str(), certainty, retry),
                (expected.0, Some(expected.1), Some(expected.2)),
                "{status}"
            );
        }
    }

    #[test]
    fn every_status_says_what_becomes_of_the_connection() {
        for status in 300..=599 {
            let error = of_connection(&refusal(status, "Something"), 1);
            let ten = Retry::After(Duration::from_secs(10));
            let expected = match status {
                401 | 404 => ("telegram_bad_token", Retry::Never),
                403 => ("telegram_forbidden", Retry::Never),
                409 => ("telegram_polling_conflict", ten),
                420 | 429 => ("telegram_rate_limited", Retry::Backoff),
                500..=599 => ("telegram_server_error", Retry::Backoff),
                _ => ("telegram_refused", Retry::Backoff),
            };
            assert_eq!((error.code, error.retry), expected, "{status}");
            assert_eq!(error.user_action.is_some(), error.retry == Retry::Never, "{status}");
        }
    }

    #[test]
    fn the_wait_of_a_limit_is_kept_to_the_second() {
        for seconds in [1, 37, 1000, 86_400] {
            let wait = Retry::After(Duration::from_secs(seconds));
            for status in [420, 429] {
                assert_eq!(send(&after(status, seconds)).2, Some(wait));
                assert_eq!(of_connection(&after(status, seconds), 0).retry, wait);
            }
        }
    }

    #[test]
    fn a_limit_without_a_time_is_given_one_that_doubles_up_to_a_quarter_of_an_hour() {
        let given = |mut refusal: Refusal, before| {
            give_time(&mut refusal, || before);
            refusal.parameters.retry_after
        };
        for status in [420, 429] {
            let waits = [0, 1, 2, 3, 4, 5, 6, u32::MAX].map(|before| given(refusal(status, ""), before));
            assert_eq!(waits, [30, 60, 120, 240, 480, 900, 900, 900].map(Some), "{status}");
            assert_eq!(given(after(status, 7), 3), Some(7), "what the service says counts");
        }
        assert_eq!(given(refusal(500, ""), 0), None);
    }

    #[test]
    fn a_conflict_is_met_quickly_three_times_then_rarely_and_never_given_up() {
        let waits: Vec<Retry> =
            (1..=5).map(|conflicts| of_connection(&refusal(409, "Conflict"), conflicts).retry).collect();
        let after = |seconds| Retry::After(Duration::from_secs(seconds));
        assert_eq!(waits, [after(10), after(10), after(10), after(300), after(300)]);
    }

    #[test]
    fn the_words_of_a_400_decide_where_nothing_else_does() {
        let gone = ("telegram_chat_gone", Retry::Never);
        for (description, expected) in [
            ("Bad Request: chat not found", gone),
            ("Bad Request: user not found", gone),
            ("Bad Request: PEER_ID_INVALID", gone),
            ("Bad Request: group chat was deactivated", gone),
            ("Bad Request: message is too long", ("telegram_too_long", Retry::Never)),
            ("Bad Request: MESSAGE_TOO_LONG", ("telegram_too_long", Retry::Never)),
            ("Bad Request: message text is empty", ("telegram_empty", Retry::Never)),
            (
                "Bad Request: not enough rights to send text messages to the chat",
                ("telegram_forbidden", Retry::Never),
            ),
            ("Bad Request: have no rights to send a message", ("telegram_forbidden", Retry::Never)),
            ("Bad Request: CHAT_WRITE_FORBIDDEN", ("telegram_forbidden", Retry::Never)),
            (
                "Bad Request: need administrator rights in the channel chat",
                ("telegram_forbidden", Retry::Never),
            ),
            ("Bad Request: something new", ("telegram_bad_request", Retry::Never)),
            ("", ("telegram_bad_request", Retry::Never)),
        ] {
            let (code, certainty, retry) = send(&refusal(400, description));
            assert_eq!((code.as_str(), retry), (expected.0, Some(expected.1)), "{description}");
            assert_eq!(certainty, Some(Certainty::NotSent));
            let is_chat = matches!(expected.0, CHAT_GONE | CHAT_FORBIDDEN);
            assert_eq!(scope(&code), if is_chat { Scope::Chat } else { Scope::Message }, "{code}");
        }
        for (description, way) in [
            ("Bad Request: can't parse entities: Unsupported start tag \"x\" at byte offset 0", Way::Plain),
            ("Bad Request: can't find end of the entity starting at byte offset 3", Way::Plain),
            ("Bad Request: ENTITY_TEXT_INVALID", Way::Plain),
            ("Bad Request: message thread not found", Way::Untopic),
            ("Bad Request: TOPIC_CLOSED", Way::Untopic),
            ("Bad Request: TOPIC_DELETED", Way::Untopic),
            ("Bad Request: message is not modified: specified new message content is the same", Way::Done),
        ] {
            assert_eq!(of_send(&refusal(400, description)), way, "{description}");
        }
        let parameters = Parameters { migrate_to_chat_id: Some(-1001), ..Parameters::default() };
        let moved = Refusal {
            parameters,
            ..refusal(400, "Bad Request: group chat was upgraded to a supergroup chat")
        };
        assert_eq!(of_send(&moved), Way::Migrated(-1001));
    }
}
