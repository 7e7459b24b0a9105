//! Pure. The allow list of the bot, as people type it and as they read it, and the people who write, as the service names them.

use crate::config::AllowList;
use crate::platforms::number;
use crate::platforms::telegram::wire::{self, Kind, RawUpdate, User};
use crate::visible;

/// Somebody who wrote to the bot.
#[derive(Clone, PartialEq, Eq)]
pub struct Person {
    /// By which the service knows them; also the number of their direct chat.
    pub id: i64,
    /// As they call themselves, fit to be shown.
    pub name: String,
    /// Without the `@`.
    pub username: Option<String>,
}

impl Person {
    fn of(user: &User) -> Self {
        let last = user.last_name.as_ref().map_or(String::new(), |last| format!(" {}", last.0));
        Self {
            id: user.id,
            name: shown(&format!("{}{last}", user.first_name.0)),
            username: user.username.as_deref().map(shown).filter(|name| !name.is_empty()),
        }
    }
}

/// Anybody can give themselves any name: it must neither steer the terminal nor turn what stands beside it around.
pub fn shown(name: &str) -> String {
    const NAME_LEN_MAX: usize = 64;
    visible::line(name.trim()).chars().take(NAME_LEN_MAX).collect()
}

/// The people who wrote to the bot itself, with the number of the update, in order. Groups and other bots do not count.
pub fn writers(updates: &[RawUpdate]) -> Vec<(i64, Person)> {
    let writer = |update: &RawUpdate| {
        let (kind, message) = wire::message(update).ok().flatten()?;
        let from = message.from.filter(|from| !from.is_bot)?;
        let is_direct = kind == Kind::Message && message.chat.kind == "private";
        let number = update.update_id?;
        is_direct.then(|| (number, Person::of(&from)))
    };
    updates.iter().filter_map(writer).collect()
}

/// A list of ids, or `*` for everybody, or an empty text for no one.
///
/// # Errors
/// One sentence for each entry that is not an id.
pub fn parse_allow(text: &str) -> Result<AllowList, Vec<String>> {
    let mut ids: Vec<String> = Vec::new();
    let mut wrong = Vec::new();
    let mut everybody = false;
    for entry in text.split([',', ';', '\n']).map(str::trim).filter(|entry| !entry.is_empty()) {
        match number(entry) {
            _ if entry == "*" => everybody = true,
            Some(id) if id == "0" => wrong.push(format!("`{entry}` is not the ID of a person.")),
            Some(id) if ids.contains(&id) => {}
            Some(id) => ids.push(id),
            None => wrong.push(format!(
                "`{entry}` is not a numeric ID. Usernames are not accepted because they can be reassigned."
            )),
        }
    }
    match (wrong.is_empty(), everybody, ids.is_empty()) {
        (false, ..) => Err(wrong),
        (true, true, false) => Err(vec!["`*` means everyone. Enter `*` or IDs, not both.".to_owned()]),
        (true, true, true) => Ok(AllowList::Everybody),
        (true, false, true) => Ok(AllowList::Nobody),
        (true, false, false) => Ok(AllowList::Only(ids)),
    }
}

/// The list for people to read.
pub fn show_allow(allow: &AllowList) -> String {
    match allow {
        AllowList::Nobody => "no one yet".to_owned(),
        AllowList::Only(ids) => ids.join(", "),
        AllowList::Everybody => "everybody".to_owned(),
    }
}

/// The people who may write, for people to read.
pub fn show_answered(allowed: &[String], approved: &[String]) -> String {
    let by_code = approved.iter().map(|id| format!("{} (approved by code)", visible::line(id)));
    match allowed {
        [all] if all == "*" => show_allow(&AllowList::Everybody),
        [] if approved.is_empty() => show_allow(&AllowList::Nobody),
        ids => ids.iter().cloned().chain(by_code).collect::<Vec<_>>().join(", "),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_list_holds_ids_and_every_bad_entry_is_told() {
        assert_eq!(parse_allow("42, 0043;42,"), Ok(AllowList::Only(vec!["42".into(), "43".into()])));
        assert_eq!(parse_allow(" * "), Ok(AllowList::Everybody));
        assert_eq!(parse_allow(" , "), Ok(AllowList::Nobody));
        assert_eq!(parse_allow("@ada, 0, 42").unwrap_err().len(), 2);
        assert_eq!(parse_allow("-100"), Ok(AllowList::Only(vec!["-100".into()])), "a channel's");
        assert!(parse_allow("*, 42").unwrap_err()[0].contains("not both"));
    }

    #[test]
    fn people_who_were_approved_by_a_code_are_answered() {
        let shown = |allowed: &[&str], approved: &[&str]| {
            let of = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
            show_answered(&of(allowed), &of(approved))
        };
        assert_eq!(shown(&[], &[]), "no one yet");
        assert_eq!(shown(&["*"], &["7"]), "everybody");
        assert_eq!(shown(&["42"], &["7"]), "42, 7 (approved by code)");
        assert_eq!(shown(&[], &["7"]), "7 (approved by code)");
    }

    fn update(update_id: i64, body: Value) -> RawUpdate {
        let body = serde_json::value::to_raw_value(&body).unwrap();
        RawUpdate { update_id: Some(update_id), body }
    }

    #[test]
    fn only_people_who_write_to_the_bot_itself_count() {
        let message = |chat: &str, bot: bool, name: &str| {
            json!({ "message_id": 1, "date": 1, "chat": { "id": 7, "type": chat },
                    "from": { "id": 7, "is_bot": bot, "first_name": name, "last_name": "Test" } })
        };
        let updates = [
            update(1, json!({ "message": message("supergroup", false, "Group") })),
            update(2, json!({ "message": message("private", true, "Bot") })),
            update(3, json!({ "edited_message": message("private", false, "Edit") })),
            update(4, json!({ "message": { "oops": 1 } })),
            update(5, json!({ "my_chat_member": {} })),
            update(6, json!({ "message": message("private", false, "A\u{1b}[2Jda\u{202e}") })),
        ];
        let found = writers(&updates);
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].0, found[0].1.id, found[0].1.name.as_str()),
            (6, 7, "A\u{5c}u001b[2Jda\u{5c}u202e Test")
        );
    }
}
