//! Narrows an answer that is not JSON as a whole: asks for one update alone, so that an unreadable one does not hide the
//! others.
//!
//! Such an update is confirmed, and gone at the service, only when it is proven to be this one: it comes alone, twice in the
//! same form, and its number stands where the service writes it. Until then no unread update is confirmed.

use std::time::Duration;

use serde_json::value::RawValue;

use super::polling::Answer;
use super::receiver::{ask, updates};
use crate::platforms::telegram::bot::{Bot, Fault, Said};
use crate::platforms::telegram::wire::RawUpdate;

/// Returns the first update that waits, whether or not it can be read.
pub(super) async fn first(bot: &Bot, confirm: Option<i64>) -> Answer {
    let said = alone(bot, confirm).await?;
    let fault = match updates(&said) {
        Err(fault @ Fault::Garbled(_)) => fault,
        answer => return answer,
    };
    let Some(number) = number(&said.text).filter(|number| confirm.is_none_or(|last| *number > last)) else {
        return Err(fault);
    };
    let again = alone(bot, confirm).await?;
    if again.text != said.text {
        return updates(&again);
    }
    // As a text it is JSON, and not an update: the receiver sets it aside.
    let body = serde_json::to_string(&said.text).and_then(RawValue::from_string);
    Ok(vec![RawUpdate { update_id: Some(number), body: body.expect("a text is JSON") }])
}

async fn alone(bot: &Bot, confirm: Option<i64>) -> Result<Said, Fault> {
    ask(bot, confirm, 1, Duration::ZERO).await
}

/// Returns the number of the only update in an answer that is not JSON behind it. No text of a person stands before it.
fn number(text: &str) -> Option<i64> {
    let mut rest = text;
    for part in ["{", "\"ok\"", ":", "true", ",", "\"result\"", ":", "[", "{", "\"update_id\"", ":"] {
        rest = rest.trim_start().strip_prefix(part)?;
    }
    let rest = rest.trim_start();
    let end = rest.find(|sign: char| !sign.is_ascii_digit())?;
    let (number, rest) = rest.split_at(end);
    number.parse().ok().filter(|_| rest.trim_start().starts_with([',', '}']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_believed_only_where_the_service_writes_it() {
        for (text, expected) in [
            (r#"{"ok":true,"result":[{"update_id":17,"message":{"text":"half"#, Some(17)),
            ("{ \"ok\" : true,\n\"result\": [ {\"update_id\": 17 }, ???", Some(17)),
            (r#"{"ok":true,"result":[{"message":{"text":"x"},"update_id":17,"#, None),
            (r#"{"ok":true,"result":[{"update_id":17"#, None),
            (r#"{"ok":true,"result":[{"update_id":17.5,"#, None),
            (r#"{"ok":true,"result":[{"update_id":-17,"#, None),
            (r#"{"ok":true,"result":[{"update_id":99999999999999999999,"#, None),
            ("<html>\"update_id\":17,", None),
            ("", None),
        ] {
            assert_eq!(number(text), expected, "{text}");
        }
    }
}
