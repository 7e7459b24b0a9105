//! Pure. The meaning of each refusal of the Bot API, for a connection and for a message.
//!
//! Decided by the status and by `parameters`. Only a 400 gives its cause in words alone; [`TEXTS`] is the one place that
//! reads them, and an unknown one is refused for good like any other 400.

use std::time::{Duration, Instant};

use crate::backoff::doubled;
use crate::gateway::model::failure::{AdapterError, Certainty, Retry, Scope, SendError};
use crate::platforms::telegram::wire::Refusal;

/// The remedy for a token that is refused.
pub const TOKEN_ACTION: &str =
    "Run `hermes telegram` with a token from @BotFather; the gateway then connects by itself.";

/// The next step for a refused message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// Send it as plain text: the service does not understand the markup.
    Plain,
    /// Send it without the topic, which is gone.
    Untopic,
    /// Send it without the reply, whose message is gone.
    Unreplied,
    /// Send it to this chat, which the group has become.
    Migrated(i64),
    /// Count it as done: an edit that changes nothing.
    Done,
    /// Give it up.
    Fail(SendError),
}

/// The meaning of the words of a 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    Markup,
    TooLong,
    Empty,
    NotModified,
    MessageGone,
    ReplyGone,
    ChatGone,
    TopicGone,
    NoRights,
}

/// The words, in lower case, as they stand in the service's descriptions; the first that is found counts. They may change; then
/// the message is given up with its description in the log, and nothing worse.
///
/// Names in capitals are those of Telegram's own servers. The Bot API hands them on as a 400 also where they came as a 403.
const TEXTS: [(&str, Meaning); 52] = [
    ("can't parse entities", Meaning::Markup),
    ("can't find end of", Meaning::Markup),
    ("entity_", Meaning::Markup),
    ("entities_too_long", Meaning::Markup),
    ("message is too long", Meaning::TooLong),
    ("message_too_long", Meaning::TooLong),
    ("text is too long", Meaning::TooLong),
    ("text is empty", Meaning::Empty),
    ("must be non-empty", Meaning::Empty),
    ("message_empty", Meaning::Empty),
    ("message is not modified", Meaning::NotModified),
    ("message_not_modified", Meaning::NotModified),
    ("message to be replied not found", Meaning::ReplyGone),
    ("replied message not found", Meaning::ReplyGone),
    ("reply message not found", Meaning::ReplyGone),
    ("reply_message_id_invalid", Meaning::ReplyGone),
    ("message to edit not found", Meaning::MessageGone),
    ("message can't be edited", Meaning::MessageGone),
    ("no text in the message to edit", Meaning::MessageGone),
    ("message_id_invalid", Meaning::MessageGone),
    ("message_author_required", Meaning::MessageGone),
    ("message_edit_time_expired", Meaning::MessageGone),
    ("message thread not found", Meaning::TopicGone),
    ("topic_deleted", Meaning::TopicGone),
    ("topic_closed", Meaning::TopicGone),
    ("topic_id_invalid", Meaning::TopicGone),
    ("chat not found", Meaning::ChatGone),
    ("user not found", Meaning::ChatGone),
    ("group chat was deactivated", Meaning::ChatGone),
    ("group chat was upgraded", Meaning::ChatGone),
    ("peer_id_invalid", Meaning::ChatGone),
    ("chat_id_invalid", Meaning::ChatGone),
    ("channel_invalid", Meaning::ChatGone),
    ("user_id_invalid", Meaning::ChatGone),
    ("not enough rights", Meaning::NoRights),
    ("have no rights", Meaning::NoRights),
    ("have no write access", Meaning::NoRights),
    ("have no access", Meaning::NoRights),
    ("can't access the chat", Meaning::NoRights),
    ("need administrator rights", Meaning::NoRights),
    ("chat_write_forbidden", Meaning::NoRights),
    ("chat_admin_required", Meaning::NoRights),
    ("chat_restricted", Meaning::NoRights),
    ("chat_forbidden", Meaning::NoRights),
    ("chat_send_plain_forbidden", Meaning::NoRights),
    ("chat_guest_send_forbidden", Meaning::NoRights),
    ("channel_private", Meaning::NoRights),
    ("user_banned_in_channel", Meaning::NoRights),
    ("user_is_bot", Meaning::NoRights),
    ("you_blocked_user", Meaning::NoRights),
    ("privacy_premium_required", Meaning::NoRights),
    ("payment_required", Meaning::NoRights),
];

fn meaning(description: &str) -> Option<Meaning> {
    let description = description.to_ascii_lowercase();
    TEXTS.iter().find(|(text, _)| description.contains(text)).map(|(_, meaning)| *meaning)
}

/// The first wait for a limit without a duration; it doubles with each in a row.
const LIMIT_WAIT: Duration = Duration::from_secs(30);

/// The longest such wait.
const LIMIT_WAIT_MAX: Duration = Duration::from_secs(900);

/// Gives a wait to a limit without a duration. `count`: counts the limits of this kind in a row, and returns the number
/// before this one; it is called for them alone.
pub fn give_time(refusal: &mut Refusal, count: impl FnOnce() -> u32) {
    if matches!(refusal.status, 420 | 429) && refusal.parameters.retry_after.is_none() {
        let wait = doubled(LIMIT_WAIT, count(), LIMIT_WAIT_MAX);
        refusal.parameters.retry_after = Some(wait.as_secs());
    }
}

/// Returns the next step for a refused message.
pub fn of_send(refusal: &Refusal) -> Way {
    let fail = |code: &str, certainty, retry| {
        Way::Fail(SendError {
            code: code.to_owned(),
            message: refusal.said(),
            certainty,
            retry,
            scope: scope(code),
        })
    };
    let not_sent = |code, retry| fail(code, Certainty::NotSent, retry);
    // A refusal by a proxy says nothing about this message, nor about its chat.
    if !refusal.by_service && !matches!(refusal.status, 420 | 429 | 500..) {
        let was_taken = (200..300).contains(&refusal.status);
        let certainty = if was_taken { Certainty::MaybeSent } else { Certainty::NotSent };
        return fail("telegram_refused", certainty, Retry::Backoff);
    }
    if let Some(chat) = refusal.parameters.migrate_to_chat_id {
        return Way::Migrated(chat);
    }
    match refusal.status {
        400 => match meaning(&refusal.description) {
            // Without the markup the text may be empty.
            Some(Meaning::Markup | Meaning::Empty) => Way::Plain,
            Some(Meaning::NotModified) => Way::Done,
            Some(Meaning::TopicGone) => Way::Untopic,
            Some(Meaning::ReplyGone) => Way::Unreplied,
            Some(Meaning::TooLong) => not_sent("telegram_too_long", Retry::Never),
            Some(Meaning::MessageGone) => not_sent(MESSAGE_GONE, Retry::Never),
            Some(Meaning::ChatGone) => not_sent(CHAT_GONE, Retry::Never),
            Some(Meaning::NoRights) => not_sent(CHAT_FORBIDDEN, Retry::Never),
            None => not_sent("telegram_bad_request", Retry::Never),
        },
        // The whole bot is refused, not this message: it waits until the connection works again.
        401 | 404 => not_sent("telegram_bad_token", Retry::Backoff),
        403 => not_sent(CHAT_FORBIDDEN, Retry::Never),
        413 => not_sent("telegram_too_long", Retry::Never),
        420 | 429 => {
            not_sent("telegram_rate_limited", refusal.parameters.wait().map_or(Retry::Backoff, Retry::After))
        }
        // The service or what stands before it failed, after it had the message.
        500.. => fail(
            "telegram_server_error",
            Certainty::MaybeSent,
            refusal.parameters.wait().map_or(Retry::Backoff, Retry::After),
        ),
        409 | 300..400 => not_sent("telegram_refused", Retry::Backoff),
        _ => not_sent("telegram_bad_request", Retry::Never),
    }
}

/// The error code when the bot was blocked, removed, or may not write there.
pub const CHAT_FORBIDDEN: &str = "telegram_forbidden";

/// The error code when the message to replace is gone.
pub const MESSAGE_GONE: &str = "telegram_message_gone";

/// The error code when the chat is gone.
pub const CHAT_GONE: &str = "telegram_chat_gone";

/// Returns whether this message is refused, or any to its chat.
pub fn scope(code: &str) -> Scope {
    if [CHAT_FORBIDDEN, CHAT_GONE].contains(&code) { Scope::Chat } else { Scope::Message }
}

/// The status of a conflict: another program receives, or a webhook is set.
pub const CONFLICT: u16 = 409;

/// The waits after the first conflicts in a row: the other poller may just be ending. The last of them doubles.
const CONFLICT_WAITS: [Duration; 4] =
    [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(5), Duration::from_secs(10)];
const CONFLICT_WAIT_MAX: Duration = Duration::from_secs(300);

/// The time after which a conflict has nothing to do with the wait for the one before.
const CONFLICT_APART: Duration = Duration::from_secs(60);

/// Conflicts in a row, and when the last one came.
#[derive(Debug, Default)]
pub struct Conflicts(Option<(u32, Instant)>);

impl Conflicts {
    /// Counts one more. Returns the number in a row, with this one.
    pub fn count(&mut self, now: Instant) -> u32 {
        let is_near = |(count, last): &(u32, Instant)| {
            now.saturating_duration_since(*last) < conflict_wait(*count) + CONFLICT_APART
        };
        let count = self.0.filter(is_near).map_or(1, |(count, _)| count.saturating_add(1));
        self.0 = Some((count, now));
        count
    }
}

/// Returns the wait after so many conflicts in a row.
fn conflict_wait(count: u32) -> Duration {
    let [.., last] = CONFLICT_WAITS;
    let at = count.saturating_sub(1);
    let first = usize::try_from(at).ok().and_then(|at| CONFLICT_WAITS.get(at).copied());
    first.unwrap_or_else(|| doubled(last, at.saturating_sub(3), CONFLICT_WAIT_MAX))
}

/// Returns the error for a refusal while receiving. `conflicts`: the number of conflicts in a row, with this one.
pub fn of_connection(refusal: &Refusal, conflicts: u32) -> AdapterError {
    let said = refusal.said();
    match refusal.status {
        ..420 | 421..=428 | 430..500 if !refusal.by_service => AdapterError::retryable("telegram_refused", said),
        401 | 404 => {
            AdapterError::blocked("telegram_bad_token", "Telegram rejected the bot token", TOKEN_ACTION)
        }
        403 => AdapterError::blocked("telegram_forbidden", said, TOKEN_ACTION),
        CONFLICT => {
            AdapterError::retryable(
                "telegram_polling_conflict",
                "another program receives the messages of this bot: stop it, or use a different bot for one of them",
            )
            .retry(Retry::After(conflict_wait(conflicts)))
        }
        420 | 429 => AdapterError::retryable("telegram_rate_limited", said)
            .retry(refusal.parameters.wait().map_or(Retry::Backoff, Retry::After)),
        500.. => AdapterError::retryable("telegram_network_error", said)
            .retry(refusal.parameters.wait().map_or(Retry::Backoff, Retry::After)),
        _ => AdapterError::retryable("telegram_refused", said),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Now;
    use crate::platforms::telegram::wire::Parameters;

    fn refusal(status: u16, description: &str) -> Refusal {
        let description = description.to_owned();
        Refusal { status, description, parameters: Parameters::default(), by_service: true }
    }

    fn after(status: u16, seconds: u64) -> Refusal {
        let parameters = Parameters { retry_after: Some(seconds), ..Parameters::default() };
        Refusal { parameters, ..refusal(status, "Too Many Requests: retry later") }
    }

    /// Returns the next step for a refused message, in short.
    fn send(refusal: &Refusal) -> (String, Option<Certainty>, Option<Retry>) {
        match of_send(refusal) {
            Way::Fail(error) => (error.code, Some(error.certainty), Some(error.retry)),
            way @ (Way::Plain | Way::Untopic | Way::Unreplied | Way::Migrated(_) | Way::Done) => {
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
    fn what_something_before_the_service_says_is_final_for_nothing() {
        for status in 200..=599 {
            let foreign = Refusal { by_service: false, ..refusal(status, "Something") };
            let Way::Fail(error) = of_send(&foreign) else { panic!("{status}") };
            assert_ne!(error.retry, Retry::Never, "{status}");
            assert_eq!(error.scope, Scope::Message, "{status}");
            let is_unsure = matches!(status, 200..300 | 500..);
            assert_eq!(error.certainty == Certainty::MaybeSent, is_unsure, "{status}");
            let error = of_connection(&foreign, 1);
            assert!(error.retry != Retry::Never && error.message.contains("in front of it"), "{status}");
        }
    }

    #[test]
    fn every_status_says_what_becomes_of_the_connection() {
        for status in 300..=599 {
            let error = of_connection(&refusal(status, "Something"), 1);
            let soon = Retry::After(Duration::from_secs(1));
            let expected = match status {
                401 | 404 => ("telegram_bad_token", Retry::Never),
                403 => ("telegram_forbidden", Retry::Never),
                409 => ("telegram_polling_conflict", soon),
                420 | 429 => ("telegram_rate_limited", Retry::Backoff),
                500..=599 => ("telegram_network_error", Retry::Backoff),
                _ => ("telegram_refused", Retry::Backoff),
            };
            assert_eq!((error.code, error.retry), expected, "{status}");
            assert_eq!(error.user_action.is_some(), error.retry == Retry::Never, "{status}");
        }
    }

    #[test]
    fn the_wait_of_a_limit_is_kept_to_the_second_within_what_can_be_meant() {
        for (seconds, kept) in [(1, 1), (37, 37), (1000, 1000), (86_400, 86_400), (0, 1), (u64::MAX, 86_400)]
        {
            let wait = Retry::After(Duration::from_secs(kept));
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
    fn a_conflict_is_met_quickly_at_first_then_ever_more_rarely_and_never_given_up() {
        let waits: Vec<Retry> = [1, 2, 3, 4, 5, 6, 8, 9, u32::MAX]
            .into_iter()
            .map(|conflicts| of_connection(&refusal(409, "Conflict"), conflicts).retry)
            .collect();
        let after = |seconds| Retry::After(Duration::from_secs(seconds));
        assert_eq!(waits, [1, 2, 5, 10, 20, 40, 160, 300, 300].map(after));
        let (mut conflicts, mut now) = (Conflicts::default(), Now::read().mono);
        let mut after = |seconds| {
            now += Duration::from_secs(seconds);
            conflicts.count(now)
        };
        assert_eq!([after(0), after(1), after(32), after(64)], [1, 2, 3, 4]);
        assert_eq!([after(71), after(62), after(60)], [1, 1, 2], "each but the last is another story");
    }

    /// Descriptions of the service, one for each row of [`TEXTS`] and in its order.
    const SAID: [&str; TEXTS.len()] = [
        "can't parse entities: Unsupported start tag \"x\" at byte offset 0",
        "can't find end of the entity starting at byte offset 3",
        "ENTITY_BOUNDS_INVALID",
        "ENTITIES_TOO_LONG",
        "message is too long",
        "MESSAGE_TOO_LONG",
        "text is too long",
        "message text is empty",
        "text must be non-empty",
        "MESSAGE_EMPTY",
        "message is not modified: specified new message content and reply markup are exactly the same",
        "MESSAGE_NOT_MODIFIED",
        "message to be replied not found",
        "replied message not found",
        "reply message not found",
        "REPLY_MESSAGE_ID_INVALID",
        "message to edit not found",
        "message can't be edited",
        "there is no text in the message to edit",
        "MESSAGE_ID_INVALID",
        "MESSAGE_AUTHOR_REQUIRED",
        "MESSAGE_EDIT_TIME_EXPIRED",
        "message thread not found",
        "TOPIC_DELETED",
        "TOPIC_CLOSED",
        "TOPIC_ID_INVALID",
        "private chat not found",
        "user not found",
        "group chat was deactivated",
        "group chat was upgraded to a supergroup chat",
        "PEER_ID_INVALID",
        "CHAT_ID_INVALID",
        "CHANNEL_INVALID",
        "USER_ID_INVALID",
        "not enough rights to send text messages to the chat",
        "have no rights to send a message",
        "have no write access to the chat",
        "have no access to the user",
        "can't access the chat",
        "need administrator rights in the channel chat",
        "CHAT_WRITE_FORBIDDEN",
        "CHAT_ADMIN_REQUIRED",
        "CHAT_RESTRICTED",
        "CHAT_FORBIDDEN",
        "CHAT_SEND_PLAIN_FORBIDDEN",
        "CHAT_GUEST_SEND_FORBIDDEN",
        "CHANNEL_PRIVATE",
        "USER_BANNED_IN_CHANNEL",
        "USER_IS_BOT",
        "YOU_BLOCKED_USER",
        "PRIVACY_PREMIUM_REQUIRED",
        "ALLOW_PAYMENT_REQUIRED_10",
    ];

    #[test]
    fn the_words_of_a_400_decide_where_nothing_else_does() {
        for (said, (row, meant)) in SAID.iter().zip(TEXTS) {
            let description = format!("Bad Request: {said}");
            let hit = TEXTS.iter().find(|(text, _)| description.to_ascii_lowercase().contains(text));
            assert_eq!(hit, Some(&(row, meant)), "{said}");
            let code = match meant {
                Meaning::Markup | Meaning::Empty => "Plain",
                Meaning::NotModified => "Done",
                Meaning::TopicGone => "Untopic",
                Meaning::ReplyGone => "Unreplied",
                Meaning::TooLong => "telegram_too_long",
                Meaning::MessageGone => "telegram_message_gone",
                Meaning::ChatGone => "telegram_chat_gone",
                Meaning::NoRights => "telegram_forbidden",
            };
            assert_eq!(send(&refusal(400, &description)).0, code, "{said}");
            let Way::Fail(error) = of_send(&refusal(400, &description)) else { continue };
            assert_eq!((error.certainty, error.retry), (Certainty::NotSent, Retry::Never), "{said}");
            let is_chat = matches!(meant, Meaning::ChatGone | Meaning::NoRights);
            assert_eq!(error.scope, if is_chat { Scope::Chat } else { Scope::Message }, "{said}");
        }
        for description in ["Bad Request: something new", ""] {
            let (code, certainty, retry) = send(&refusal(400, description));
            assert_eq!(code, "telegram_bad_request");
            assert_eq!((certainty, retry), (Some(Certainty::NotSent), Some(Retry::Never)));
        }
    }

    #[test]
    fn every_403_is_about_the_chat() {
        for said in [
            "bot was blocked by the user",
            "user is deactivated",
            "bot can't initiate conversation with a user",
            "bot can't send messages to bots",
            "bot can't send messages to the user",
            "bot was kicked from the group chat",
            "bot was kicked from the supergroup chat",
            "bot was kicked from the channel chat",
            "bot is not a member of the group chat",
            "bot is not a member of the supergroup chat",
            "bot is not a member of the channel chat",
            "the group chat was deleted",
        ] {
            let way = of_send(&refusal(403, &format!("Forbidden: {said}")));
            let Way::Fail(error) = way else { panic!("{said}: {way:?}") };
            assert_eq!((error.code.as_str(), error.retry), (CHAT_FORBIDDEN, Retry::Never), "{said}");
            assert_eq!(error.scope, Scope::Chat, "{said}");
        }
    }

    #[test]
    fn a_group_that_became_another_says_which() {
        let parameters = Parameters { migrate_to_chat_id: Some(-1001), ..Parameters::default() };
        let moved = Refusal {
            parameters,
            ..refusal(400, "Bad Request: group chat was upgraded to a supergroup chat")
        };
        assert_eq!(of_send(&moved), Way::Migrated(-1001));
    }
}
