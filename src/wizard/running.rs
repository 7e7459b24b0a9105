//! Facts that only the running gateway of this home knows: the settings that its environment hides, and the people who wrote without
//! being listed. Nothing where none runs.

use jiff::Timestamp;
use serde::Deserialize;

use crate::clock::Now;
use crate::control_client::report;
use crate::home::HermesHome;
use crate::platforms::Platform;
use crate::span::ago;
use crate::visible;
use crate::wizard::ui::layout::Line;
use crate::wizard::ui::layout::{entry, text};

/// So many are shown.
const SHOWN_MAX: usize = 5;

/// A person who wrote and is not on the allow list.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Stranger {
    platform: String,
    kind: String,
    /// As an entry of the allow list.
    pub(super) id: String,
    /// As they call themselves; may be empty.
    pub(super) name: String,
    at: Timestamp,
}

impl Stranger {
    /// Name and age, for people.
    pub(super) fn described(&self, now: Timestamp) -> String {
        let ago = ago(self.at, now);
        let name = visible::line(self.name.trim());
        if name.is_empty() { ago } else { format!("{name}, {ago}") }
    }
}

/// Settings of `.env` that have no effect on the gateway.
pub(super) fn shadowed(home: &HermesHome) -> Vec<String> {
    report(home, "/v1/settings/shadowed", "shadowed").unwrap_or_default()
}

/// People whose messages were ignored of late, the newest first.
pub(super) fn ignored(home: &HermesHome, platform: Platform) -> Vec<Stranger> {
    let mut found: Vec<Stranger> = report(home, "/v1/ignored", "ignored").unwrap_or_default();
    found.retain(|row| row.platform == platform.spec().name && row.kind == "person");
    found.truncate(SHOWN_MAX);
    found
}

/// The same to be read before a question about the list.
pub(super) fn about_ignored(home: &HermesHome, platform: Platform) -> Vec<Line> {
    let found = ignored(home, platform);
    if found.is_empty() {
        return Vec::new();
    }
    let now = Now::read().wall;
    let mut lines = vec![text("The gateway has ignored messages of these, who are not on the list:")];
    lines.extend(found.iter().map(|row| entry(&row.id, &row.described(now))));
    lines.push(Line::Gap);
    lines
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::os::unix::net::UnixListener;
    use std::time::Duration;

    use super::*;

    #[test]
    fn people_of_this_platform_are_shown_with_their_age_and_without_a_gateway_there_are_none() {
        let dir = tempfile::tempdir().unwrap();
        let home = HermesHome::at(dir.path());
        assert!(ignored(&home, Platform::Telegram).is_empty() && shadowed(&home).is_empty());
        let listener = UnixListener::bind(home.control_socket()).unwrap();
        let at = Now::read().wall;
        let row = |platform: &str, kind: &str, id: &str| serde_json::json!({ "platform": platform, "kind": kind, "id": id, "name": "A\u{1b}da", "at": at, "count": 1 });
        let rows = [
            row("telegram", "group", "-7"),
            row("whatsapp", "person", "+1"),
            row("telegram", "person", "42"),
        ];
        let body = serde_json::json!({ "ignored": rows }).to_string();
        let serving = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            // All of the request: what is left unread would reset the connection.
            let head = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
            let lines = head.take_while(|line| !line.is_empty()).count();
            write!(stream, "HTTP/1.1 200 OK\r\n\r\n{body}").unwrap();
            lines
        });
        let found = ignored(&home, Platform::Telegram);
        assert!(serving.join().unwrap() > 0);
        assert_eq!(found.iter().map(|row| row.id.as_str()).collect::<Vec<_>>(), ["42"]);
        assert_eq!(found[0].described(at + Duration::from_secs(600)), "A\\u001bda, 10 min ago");
    }
}
