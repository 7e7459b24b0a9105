//! Pure. The allow list, as people type it and as they read it.

use crate::config::{AllowList, WhatsAppMode};
use crate::platforms::whatsapp::phone::{self, PhoneError};
use crate::visible;

/// One number, digits only, without `+`.
///
/// # Errors
/// A sentence about what is wrong with it.
pub fn parse_number(text: &str) -> Result<String, String> {
    phone::digits(text).map_err(|why| format!("`{}` is not a phone number: {why}.", text.trim()))
}

/// A list of numbers, or `*` for everybody, or an empty text for no one.
///
/// # Errors
/// One sentence for each entry that is not a number.
pub fn parse_allow(text: &str) -> Result<AllowList, Vec<String>> {
    let mut numbers = Vec::new();
    let mut wrong = Vec::new();
    let mut everybody = false;
    for entry in text.split([',', ';', '\n']).map(str::trim).filter(|entry| !entry.is_empty()) {
        if entry == "*" {
            everybody = true;
            continue;
        }
        match phone::entry(entry) {
            Ok(number) if numbers.contains(&number) => {}
            Ok(number) => numbers.push(number),
            Err(PhoneError::TooLong) => wrong.push(format!(
                "`{entry}` is longer than any phone number. Separate several numbers by commas."
            )),
            Err(PhoneError::Several) => wrong.push(format!(
                "`{entry}` may be several numbers: separate them by commas, or start a single one with +."
            )),
            Err(why) => wrong.push(format!("`{entry}` is not a phone number: {why}.")),
        }
    }
    match (wrong.is_empty(), everybody, numbers.is_empty()) {
        (false, ..) => Err(wrong),
        (true, true, false) => Err(vec!["`*` means everyone. Enter `*` or numbers, not both.".to_owned()]),
        (true, true, true) => Ok(AllowList::Everybody),
        (true, false, true) => Ok(AllowList::Nobody),
        (true, false, false) => Ok(AllowList::Only(numbers)),
    }
}

/// A number for people to read: `+` and its digits; a LID as it is.
pub fn show_number(digits: &str) -> String {
    phone::shown(digits)
}

/// The list for people to read.
pub fn show_allow(allow: &AllowList) -> String {
    match allow {
        AllowList::Nobody => "no one else".to_owned(),
        AllowList::Only(numbers) => {
            numbers.iter().map(|number| show_number(number)).collect::<Vec<_>>().join(", ")
        }
        AllowList::Everybody => "everybody".to_owned(),
    }
}

/// The people who may write, for people to read. Unless the agent has a separate number, only its owner is answered.
pub fn show_answered(mode: Option<WhatsAppMode>, allowed: &[String], approved: &[String]) -> String {
    if mode != Some(WhatsAppMode::Bot) {
        return "you, in the chat with yourself".to_owned();
    }
    let by_code = approved.iter().map(|id| format!("{} (approved by code)", visible::line(id)));
    match allowed {
        [all] if all == "*" => show_allow(&AllowList::Everybody),
        [] if approved.is_empty() => "no one".to_owned(),
        people => people.iter().map(|one| show_number(one)).chain(by_code).collect::<Vec<_>>().join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_self_chat_the_owner_is_answered_and_no_one_else() {
        let list = ["15550001111".to_owned()];
        for mode in [None, Some(WhatsAppMode::SelfChat)] {
            assert_eq!(show_answered(mode, &list, &[]), "you, in the chat with yourself");
        }
        let bot = |allowed: &[String], approved: &[String]| {
            show_answered(Some(WhatsAppMode::Bot), allowed, approved)
        };
        assert_eq!(bot(&[], &[]), "no one");
        let approved = ["900101@lid".to_owned()];
        assert_eq!(bot(&list, &approved), "+15550001111, 900101@lid (approved by code)");
    }

    #[test]
    fn a_bad_number_says_what_is_wrong_with_it() {
        assert_eq!(parse_number("+1 (555) 000-1111").as_deref(), Ok("15550001111"));
        let error = parse_number(" 0555 000 1111 ").unwrap_err();
        assert!(error.starts_with("`0555 000 1111` is not a phone number: it starts with 0"), "{error}");
    }

    #[test]
    fn a_list_is_normalised_and_every_bad_entry_is_told() {
        assert_eq!(
            parse_allow("+1 555 000 1111, 15550002222; 15550001111,"),
            Ok(AllowList::Only(vec!["15550001111".into(), "15550002222".into()]))
        );
        let known = AllowList::Only(vec!["15550001111".into(), "900101@lid".into()]);
        assert_eq!(show_allow(&known), "+15550001111, 900101@lid");
        assert_eq!(parse_allow(&show_allow(&known)), Ok(known), "a LID stays one");
        assert_eq!(parse_allow(" * "), Ok(AllowList::Everybody));
        assert_eq!(parse_allow(" , "), Ok(AllowList::Nobody));
        assert_eq!(parse_allow("12, 15550001111, x").unwrap_err().len(), 2);
        assert!(parse_allow("*, 15550001111").unwrap_err()[0].contains("not both"));
        assert!(parse_allow("+1 555 000 1111 +1 555 000 2222").is_err());
        assert_eq!(
            parse_allow("1555000 1555001").unwrap_err(),
            [
                "`1555000 1555001` may be several numbers: separate them by commas, or start a single one with +."
            ]
        );
        let one = Ok(AllowList::Only(vec!["15550001555001".to_owned()]));
        assert_eq!(parse_allow("+1555000 1555001"), one, "a + begins one number");
        assert!(
            parse_allow("15550001111 15550002222").unwrap_err()[0]
                .contains("Separate several numbers by commas")
        );
    }
}
