//! Pure. Ids of Telegram: whole numbers, negative for groups. A topic of a forum is a separate chat: `-1001234567890:42`.

use crate::platforms::spec::{Ids, number};

/// The rules of its ids.
pub(super) const IDS: Ids = Ids {
    name: |id, _| id.to_owned(),
    person: number,
    listed: number,
    // A topic of a group is in the group.
    group: |id| number(id.split(':').next().unwrap_or_default()).unwrap_or_default(),
    is_group,
};

/// True for a group, and for a topic of one.
pub(super) fn is_group(chat: &str) -> bool {
    chat.starts_with('-')
}
