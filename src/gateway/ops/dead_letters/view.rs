//! Pure. The ids and the display of dead letters.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::gateway::store::api::{Direction, Letter, LetterId, Pick};
use crate::span::{age, span};
use crate::visible;
use crate::wrap::{folded, hang, wrapped};

impl Direction {
    /// The name on the wire and on the command line.
    pub fn wire_name(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::Out => "out",
        }
    }
}

impl fmt::Display for LetterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}-{}", self.direction.wire_name(), self.number))
    }
}

/// The error of an invalid selection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadPick {
    /// Not of the form `in-1` or `out-1`.
    #[error("invalid ID `{0}`: use one such as in-1 or out-1 (see `hermes dead list`)")]
    Id(String),
    /// Neither `in` nor `out`.
    #[error("invalid direction `{0}`: use in or out")]
    Direction(String),
    /// Not a platform.
    #[error(transparent)]
    Platform(#[from] crate::platforms::UnknownPlatform),
}

fn direction(word: &str) -> Result<Direction, BadPick> {
    match word {
        "in" => Ok(Direction::In),
        "out" => Ok(Direction::Out),
        _ => Err(BadPick::Direction(word.to_owned())),
    }
}

impl FromStr for LetterId {
    type Err = BadPick;

    fn from_str(text: &str) -> Result<Self, BadPick> {
        let bad = || BadPick::Id(text.to_owned());
        let (word, number) = text.split_once('-').ok_or_else(bad)?;
        let direction = direction(word).map_err(|_| bad())?;
        Ok(Self { direction, number: number.parse().map_err(|_| bad())? })
    }
}

/// A selection of dead letters as it is typed and sent.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Asked {
    /// Their ids; empty: any.
    pub ids: Vec<String>,
    /// Of this platform.
    pub platform: Option<String>,
    /// `in` or `out`.
    pub direction: Option<String>,
}

impl Asked {
    /// The parsed selection.
    ///
    /// # Errors
    /// The word that is invalid.
    pub fn pick(&self) -> Result<Pick, BadPick> {
        Ok(Pick {
            ids: self.ids.iter().map(|id| id.parse()).collect::<Result<_, _>>()?,
            platform: self.platform.as_deref().map(str::parse).transpose()?,
            direction: self.direction.as_deref().map(direction).transpose()?,
        })
    }
}

/// The form for programs. The text and the chat are in it only where that was asked for.
pub fn json(letter: &Letter, with_text: bool) -> Value {
    let mut value = json!({
        "id": letter.id.to_string(),
        "platform": letter.key.platform.spec().name,
        "direction": letter.id.direction.wire_name(),
        "since": letter.since.to_string(),
        "attempts": letter.attempts,
        "reason": letter.reason,
        "maybe_sent": letter.maybe_sent,
    });
    if with_text && let Some(object) = value.as_object_mut() {
        object.insert("chat".to_owned(), json!(letter.key.chat.0));
        object.insert("text".to_owned(), json!(letter.text.as_ref().map(|text| &text.0)));
    }
    value
}

/// The column in which the reasons begin.
const REASON_AT: usize = 37;

/// Fewest columns for the reasons; where there are fewer, each stands below its row.
const REASON_COLS_MIN: usize = 20;

/// The output of `dead list` for people, from a gateway's answer, in rows of at most `cols` columns (0: as long as they are).
pub fn table(letters: &[Value], now: Timestamp, cols: usize) -> String {
    if letters.is_empty() {
        return "No undelivered messages.\n".to_owned();
    }
    let has_column = cols == 0 || cols >= REASON_AT + REASON_COLS_MIN;
    let row = |cells: [&str; 4], reason: &str| {
        let [id, platform, way, age] = cells;
        let start = format!("{id:<10} {platform:<10} {way:<4} {age:>8}");
        if has_column {
            let room = if cols == 0 { usize::MAX } else { cols };
            hang(&format!("{start:<REASON_AT$}"), reason, room) + "\n"
        } else {
            format!("{start}\n{}", wrapped(reason, 4, cols))
        }
    };
    let mut text = row(["Id", "Platform", "Way", "Age"], "Reason");
    for letter in letters {
        let word = |name: &str| visible::line(letter[name].as_str().unwrap_or("?"));
        let age = aged(&word("since"), now);
        text += &row([&word("id"), &word("platform"), &word("direction"), &age], &word("reason"));
    }
    let keys =
        "\n`hermes dead show ID` shows one, `retry ID` sends or answers it again, `drop ID` deletes it.\n";
    text + &folded(keys, cols)
}

/// The output of `dead show` for people.
pub fn page(letter: &Value, now: Timestamp) -> String {
    let word = |name: &str| visible::line(letter[name].as_str().unwrap_or("?"));
    let way = if word("direction") == "in" { "from" } else { "to" };
    // A chat that refused one message for good is not sent the next.
    let tries = match letter["attempts"].as_u64() {
        Some(0) => "without an attempt to send it".to_owned(),
        tries => format!("attempts: {}", tries.map_or("?".to_owned(), |tries| tries.to_string())),
    };
    let tries = if way == "from" { tries.replace(" to send it", "") } else { tries };
    let maybe = if letter["maybe_sent"] == true { " It may have been delivered." } else { "" };
    format!(
        "{}: {way} {} on {}\nGiven up {} ago, {tries}. Reason: {}.{maybe}\n\n{}\n",
        word("id"),
        word("chat"),
        word("platform"),
        aged(&word("since"), now),
        word("reason"),
        visible::text(letter["text"].as_str().unwrap_or("(its text cannot be read)")),
    )
}

fn aged(since: &str, now: Timestamp) -> String {
    since.parse().map_or_else(|_| "?".to_owned(), |since| span(age(since, now)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::model::message::{ChatId, ChatKey};
    use crate::platforms::Platform;
    use crate::sensitive::Private;

    #[test]
    fn a_letter_has_a_name_that_is_read_back() {
        for name in ["in-1", "out-42"] {
            assert_eq!(name.parse::<LetterId>().unwrap().to_string(), name);
        }
        for name in ["", "1", "in", "in-", "up-1", "in-x", "in--"] {
            assert_eq!(name.parse::<LetterId>(), Err(BadPick::Id(name.to_owned())));
        }
        let asked = Asked { direction: Some("up".to_owned()), ..Asked::default() };
        assert_eq!(asked.pick(), Err(BadPick::Direction("up".to_owned())));
        let asked = Asked { platform: Some("fax".to_owned()), ..Asked::default() };
        assert!(matches!(asked.pick(), Err(BadPick::Platform(_))));
    }

    #[test]
    fn a_list_shows_no_chat_and_no_text_and_a_page_does() {
        let now: Timestamp = "2026-02-03T04:05:06Z".parse().unwrap();
        let letter = Letter {
            id: LetterId { direction: Direction::Out, number: 7 },
            key: ChatKey { platform: Platform::Whatsapp, chat: ChatId("900100@lid".to_owned()) },
            since: "2026-02-03T01:05:06Z".parse().unwrap(),
            attempts: 3,
            reason: "refused".to_owned(),
            maybe_sent: true,
            text: Some(Private("a canary".to_owned())),
        };
        let list = table(&[json(&letter, false)], now, 0);
        assert!(list.contains("out-7") && list.contains("3 h") && list.contains("refused"), "{list}");
        assert!(!list.contains("900100") && !list.contains("canary"), "{list}");
        let page = page(&json(&letter, true), now);
        assert!(page.contains("to 900100@lid") && page.contains("a canary"), "{page}");
        assert!(page.contains("may have been delivered") && page.contains("attempts: 3"), "{page}");
        let untried = super::page(&json(&Letter { attempts: 0, ..letter.clone() }, true), now);
        assert!(untried.contains("Given up 3 h ago, without an attempt to send it. Reason"), "{untried}");
        let text = Some(Private("\u{1b}[2J\u{1b}]52;c;aGk=\u{7}two\nlines".to_owned()));
        let reason = "no\n\u{1b}[8mhidden".to_owned();
        let evil = Letter { text, reason, ..letter };
        let shown = super::page(&json(&evil, true), now) + &table(&[json(&evil, false)], now, 0);
        assert!(shown.contains("two\nlines") && shown.contains("no\\n"), "{shown}");
        assert!(!shown.contains(|sign: char| sign.is_control() && sign != '\n'), "{shown:?}");
        assert_eq!(table(&[], now, 80), "No undelivered messages.\n");
    }
    #[test]
    fn a_long_reason_stays_in_its_column_and_below_its_row_where_there_is_no_room_for_one() {
        let now: Timestamp = "2026-02-03T04:05:06Z".parse().unwrap();
        let reason = "the message was given up because the chat refused it: not allowed to write there";
        let letter = json!({
            "id": "out-7", "platform": "whatsapp", "direction": "out", "since": "2026-02-03T01:05:06Z", "reason": reason,
        });
        let lines = |cols| {
            let text = table(std::slice::from_ref(&letter), now, cols);
            text.lines().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(lines(0)[1].len(), REASON_AT + reason.len());
        for cols in [57, 80, 100] {
            let lines = lines(cols);
            assert!(lines.iter().all(|line| line.len() <= cols), "{cols}: {lines:#?}");
            let end = lines.iter().position(String::is_empty).unwrap();
            let column: Vec<_> = lines[1..end].iter().map(|line| &line[REASON_AT..]).collect();
            assert_eq!(column.join(" "), reason, "{cols}: {lines:#?}");
            assert!(
                lines[2..end].iter().all(|line| line[..REASON_AT].trim().is_empty()),
                "{cols}: {lines:#?}"
            );
        }
        for cols in [36, 56] {
            let lines = lines(cols);
            assert!(lines.iter().all(|line| line.len() <= cols), "{cols}: {lines:#?}");
            let end = lines.iter().position(String::is_empty).unwrap();
            assert!(lines[2].starts_with("out-7") && lines[2].ends_with("3 h"), "{cols}: {lines:#?}");
            let below: Vec<_> = lines[3..end].iter().map(|line| line.strip_prefix("    ").unwrap()).collect();
            assert_eq!(below.join(" "), reason, "{cols}: {lines:#?}");
        }
    }
}
