//! Pure. References to variables in `config.yaml`: `${NAME}`, and `${env:NAME}`. Other signs beside a `$` are text.

use serde_json::{Map, Value};

use crate::env_grammar::is_key;

/// The name in the first reference of this text.
pub(super) fn first(text: &str) -> Option<&str> {
    next(text).map(|(_, name, _)| name)
}

/// The text before the first reference, its name, and the text after it.
fn next(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once("${")?;
    let (name, after) = rest.split_once('}')?;
    if name.is_empty() {
        return None;
    }
    Some((before, name.strip_prefix("env:").unwrap_or(name), after))
}

/// The name, where the whole text is one reference to a variable.
pub(super) fn sole(text: &str) -> Option<&str> {
    next(text.trim())
        .filter(|(before, name, after)| before.is_empty() && after.is_empty() && is_key(name))
        .map(|(_, name, _)| name)
}

/// A key of a service stays a reference: `gateway.toml` names its variable.
fn stays(setting: &str, value: &Value) -> bool {
    setting == "api_key" && value.as_str().is_some_and(|text| sole(text).is_some())
}

/// The names of all references.
pub(super) fn names(map: &Map<String, Value>) -> Vec<String> {
    let mut names = Vec::new();
    map.values().for_each(|value| gather(value, &mut names));
    names
}

fn gather(value: &Value, names: &mut Vec<String>) {
    match value {
        Value::String(text) => {
            let mut rest = text.as_str();
            while let Some((_, name, after)) = next(rest) {
                names.push(name.to_owned());
                rest = after;
            }
        }
        Value::Array(list) => list.iter().for_each(|value| gather(value, names)),
        Value::Object(map) => map.values().for_each(|value| gather(value, names)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Puts the values of variables in place of their references. One without a value stays as it is.
pub(super) fn expand(map: &mut Map<String, Value>, value_of: &dyn Fn(&str) -> Option<String>) {
    for (name, value) in map {
        if !stays(name, value) {
            expand_value(value, value_of);
        }
    }
}

fn expand_value(value: &mut Value, value_of: &dyn Fn(&str) -> Option<String>) {
    match value {
        Value::String(text) => *text = expanded(text, value_of),
        Value::Array(list) => list.iter_mut().for_each(|value| expand_value(value, value_of)),
        Value::Object(map) => expand(map, value_of),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn expanded(text: &str, value_of: &dyn Fn(&str) -> Option<String>) -> String {
    let (mut whole, mut rest) = (String::new(), text);
    while let Some((before, name, after)) = next(rest) {
        whole.push_str(before);
        match value_of(name) {
            Some(value) => whole.push_str(&value),
            None => whole.push_str(&rest[before.len()..rest.len() - after.len()]),
        }
        rest = after;
    }
    whole + rest
}

/// The name in a reference that has no value.
pub(super) fn left(value: &Value) -> Option<&str> {
    match value {
        Value::String(text) => first(text),
        Value::Array(list) => list.iter().find_map(left),
        Value::Object(map) => {
            map.iter().filter(|(name, value)| !stays(name, value)).find_map(|(_, value)| left(value))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn references_are_replaced_once_and_other_signs_are_text() {
        let value_of = |name: &str| match name {
            "A" => Some("1".to_owned()),
            "B" => Some("${A}".to_owned()),
            _ => None,
        };
        for (text, expected) in [
            ("${A}", "1"),
            ("${env:A}/x/${A}", "1/x/1"),
            ("a$A $ {A} ${} ${", "a$A $ {A} ${} ${"),
            ("${C} ${A}", "${C} 1"),
            ("${B}", "${A}"),
            ("${A:-2}", "${A:-2}"),
        ] {
            let document = json!({"a": [text], "b": {"c": text}, "d": 5});
            let mut map = document.as_object().unwrap().clone();
            expand(&mut map, &value_of);
            assert_eq!(Value::Object(map), json!({"a": [expected], "b": {"c": expected}, "d": 5}), "{text}");
        }
        let document = json!({"api_key": "${A}", "b": "${C}"});
        let mut map = document.as_object().unwrap().clone();
        assert_eq!(names(&map), ["A", "C"]);
        expand(&mut map, &value_of);
        assert_eq!((Value::Object(map), left(&document)), (document.clone(), Some("C")));
        assert_eq!((sole(" ${env:KEY} "), sole("x${KEY}"), sole("${a b}")), (Some("KEY"), None, None));
    }
}
