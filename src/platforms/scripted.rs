//! The platforms that tests play.

use std::time::Duration;

use super::spec::{Ids, Naming, PlatformSpec, Rate, Rates, Repeat, TextUnit};

/// The rules of their ids: compared letter for letter.
const IDS: Ids =
    Ids { name: |id, _| id.to_owned(), person, listed: person, group: str::to_owned, is_group: |_| false };

fn person(id: &str) -> Option<String> {
    let is_id =
        !id.is_empty() && id.len() <= super::spec::PERSON_BYTES_MAX && !id.chars().any(char::is_control);
    is_id.then(|| id.to_owned())
}

/// Their rows.
pub static SPECS: [PlatformSpec; 9] = [
    scripted("scripted1"),
    scripted("scripted2"),
    scripted("scripted3"),
    scripted("scripted4"),
    scripted("scripted5"),
    scripted("scripted6"),
    // Three with limits of other platforms: repeats are seen twice and sent messages can be changed, little may be sent at
    // once, texts are short.
    PlatformSpec {
        repeat: Repeat::Marked,
        stream_every: Some(Duration::from_secs(2)),
        ..scripted("scripted7")
    },
    PlatformSpec {
        rates: Rates { chat: Some(Rate { count: 2, per: Duration::from_millis(600) }), ..Rates::NONE },
        ..scripted("scripted8")
    },
    PlatformSpec {
        text_len_max: 64,
        text_unit: TextUnit::Utf16,
        repeat: Repeat::Marked,
        ..scripted("scripted9")
    },
];

const fn scripted(name: &'static str) -> PlatformSpec {
    PlatformSpec {
        name,
        title: name,
        setup: "HERMES_SCRIPTED=COUNT@SOCKET",
        naming: Naming::Verbatim,
        ids: IDS,
        text_len_max: 4096,
        text_unit: TextUnit::Chars,
        repeat: Repeat::Same,
        rates: Rates::NONE,
        stream_every: None,
        lease: Duration::from_secs(3),
        lease_code: "net_timeout",
        keeps: None,
    }
}
