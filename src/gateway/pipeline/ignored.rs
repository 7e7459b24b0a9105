//! Senders and groups that were ignored recently, for an owner who may want to list one. In memory only, and bounded:
//! nothing that strangers send is kept.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use serde::Serialize;

/// Rows for each platform; beyond this the one that was ignored longest ago is dropped.
const ROWS_MAX: usize = 20;

/// Limit for an id; no platform has longer ones.
const ID_BYTES_MAX: usize = 128;

/// The kind of sender that was ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A person who is not on the allow list.
    Person,
    /// A group that is not on the list of groups.
    Group,
}

/// A person or a group that was ignored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The platform.
    pub platform: &'static str,
    /// Person or group.
    pub kind: Kind,
    /// The id, as an entry of the list that lacks it.
    pub id: String,
    /// The name that they chose, printable; empty where it is not known, and for groups.
    pub name: String,
    /// The time of the last ignored message.
    pub at: Timestamp,
    /// The number of ignored messages.
    pub count: u64,
}

/// A row, with the step that allows its sender.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Told {
    /// The row.
    #[serde(flatten)]
    pub row: Row,
    /// The step that allows them; a sentence.
    pub allow: String,
}

/// The rows, the newest last.
#[derive(Debug, Default)]
pub struct Ignored {
    rows: Mutex<VecDeque<Row>>,
}

impl Ignored {
    /// Counts a message that was ignored now.
    pub fn note(&self, row: Row) {
        if row.id.len() > ID_BYTES_MAX {
            return;
        }
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        let is_same =
            |other: &Row| (other.platform, other.kind, &other.id) == (row.platform, row.kind, &row.id);
        let before = rows.iter().position(is_same).and_then(|at| rows.remove(at));
        let count = row.count + before.map_or(0, |before| before.count);
        let is_of_platform = |other: &Row| other.platform == row.platform;
        if rows.iter().filter(|other| is_of_platform(other)).count() >= ROWS_MAX
            && let Some(oldest) = rows.iter().position(is_of_platform)
        {
            rows.remove(oldest);
        }
        rows.push_back(Row { count, ..row });
    }

    /// All of them, the newest first.
    pub fn rows(&self) -> Vec<Row> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner).iter().rev().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Now;

    #[test]
    fn each_is_one_row_the_newest_first_and_a_flood_of_one_platform_leaves_the_others() {
        let (ignored, at) = (Ignored::default(), Now::read().wall);
        let note = |platform, kind, id: &str| {
            ignored.note(Row { platform, kind, id: id.to_owned(), name: String::new(), at, count: 1 });
        };
        note("whatsapp", Kind::Person, "+15550001");
        for id in 0..10_000 {
            note("telegram", Kind::Person, &id.to_string());
        }
        note("telegram", Kind::Person, "9990");
        note("telegram", Kind::Group, "9990");
        note("telegram", Kind::Person, &"9".repeat(ID_BYTES_MAX + 1));
        let rows = ignored.rows();
        assert_eq!(rows.len(), ROWS_MAX + 1);
        assert_eq!((rows[0].kind, rows[1].id.as_str(), rows[1].count), (Kind::Group, "9990", 2));
        assert_eq!(rows.last().map(|row| row.id.as_str()), Some("+15550001"));
    }
}
