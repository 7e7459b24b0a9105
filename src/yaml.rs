//! Pure. A YAML document as values, read as PyYAML reads it. What is hostile ends with an error: deep nesting, and anchors that
//! would be copied without an end.

use std::collections::BTreeMap;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Tag};
use serde_json::{Map, Number, Value};

/// Levels of lists and maps.
const DEPTH_MAX: usize = 64;

/// Values, also those that an alias copies.
const NODES_MAX: usize = 100_000;

/// Why a document cannot be used: where, and a half sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {why}")]
pub struct YamlError {
    line: usize,
    column: usize,
    why: String,
}

/// A list or a map that is not complete yet.
enum Open {
    List(Vec<Value>, usize),
    Map { entries: Map<String, Value>, merged: Map<String, Value>, key: Option<String>, anchor: usize },
}

/// The map that the document is. An empty document is an empty map.
///
/// # Errors
/// When it is not YAML, has a form that no settings have, or is beyond the bounds.
pub fn read(text: &str) -> Result<Map<String, Value>, YamlError> {
    let mut reader = Reader::default();
    let mut parser = Parser::new_from_str(text.strip_prefix('\u{feff}').unwrap_or(text));
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|error| broken(&error))?;
        reader.take(event).map_err(|why| YamlError {
            line: span.start.line(),
            column: span.start.col() + 1,
            why: why.to_owned(),
        })?;
    }
    match reader.root {
        None | Some(Value::Null) => Ok(Map::new()),
        Some(Value::Object(map)) => Ok(map),
        Some(_) => Err(YamlError { line: 1, column: 1, why: "it is not a map of settings".to_owned() }),
    }
}

fn broken(error: &ScanError) -> YamlError {
    let at = error.marker();
    YamlError { line: at.line(), column: at.col() + 1, why: error.info().to_owned() }
}

#[derive(Default)]
struct Reader {
    open: Vec<Open>,
    /// Values that aliases may name, with the number of values in each.
    anchors: BTreeMap<usize, (Value, usize)>,
    nodes: usize,
    root: Option<Value>,
}

impl Reader {
    fn take(&mut self, event: Event<'_>) -> Result<(), &'static str> {
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(_) if self.root.is_some() => Err("there is a second document"),
            Event::DocumentStart(_) => Ok(()),
            Event::Scalar(text, style, anchor, tag) => {
                self.count(1)?;
                let value = scalar(&text, style, tag.as_deref());
                self.close(value, anchor)
            }
            Event::Alias(anchor) => {
                let (value, nodes) =
                    self.anchors.get(&anchor).ok_or("an alias names what is not complete")?;
                let (value, nodes) = (value.clone(), *nodes);
                self.count(nodes)?;
                self.close(value, 0)
            }
            Event::SequenceStart(anchor, _) => self.push(Open::List(Vec::new(), anchor)),
            Event::MappingStart(anchor, _) => {
                let (entries, merged) = (Map::new(), Map::new());
                self.push(Open::Map { entries, merged, key: None, anchor })
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(Open::List(list, anchor)) => self.close(Value::Array(list), anchor),
                Some(Open::Map { entries, mut merged, anchor, .. }) => {
                    // Keys beside a merge key go before those that it brings.
                    merged.extend(entries);
                    self.close(Value::Object(merged), anchor)
                }
                None => Err("an end without a beginning"),
            },
        }
    }

    fn count(&mut self, more: usize) -> Result<(), &'static str> {
        self.nodes = self.nodes.saturating_add(more);
        if self.nodes > NODES_MAX { Err("it holds too many values") } else { Ok(()) }
    }

    fn push(&mut self, open: Open) -> Result<(), &'static str> {
        self.count(1)?;
        if self.open.len() >= DEPTH_MAX {
            return Err("it is nested too deeply");
        }
        self.open.push(open);
        Ok(())
    }

    /// Puts a complete value where it belongs.
    fn close(&mut self, value: Value, anchor: usize) -> Result<(), &'static str> {
        if anchor > 0 {
            let nodes = nodes(&value);
            // Kept values are copies, too.
            self.count(nodes)?;
            self.anchors.insert(anchor, (value.clone(), nodes));
        }
        match self.open.last_mut() {
            None => self.root = Some(value),
            Some(Open::List(list, _)) => list.push(value),
            Some(Open::Map { entries, merged, key, .. }) => match key.take() {
                None => *key = Some(word(&value).ok_or("a key is a list or a map")?),
                Some(name) if name == "<<" => merge(merged, value),
                Some(name) => drop(entries.insert(name, value)),
            },
        }
        Ok(())
    }
}

fn nodes(value: &Value) -> usize {
    1 + match value {
        Value::Array(list) => list.iter().map(nodes).sum(),
        Value::Object(map) => map.values().map(nodes).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

/// Of several, the first that has a key gives its value.
fn merge(into: &mut Map<String, Value>, value: Value) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                into.entry(key).or_insert(value);
            }
        }
        Value::Array(list) => list.into_iter().for_each(|one| merge(into, one)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// A value that is one word, as it would be written into `.env`. Of a switch that is `true` or `false`.
pub fn word(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(is) => Some(is.to_string()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null => Some(String::new()),
        Value::Array(_) | Value::Object(_) => None,
    }
}

/// A switch, as hermes-agent reads one. A variable has it as text.
pub fn switch(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(is) => Some(*is),
        Value::String(text) => match text.trim().to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Some(true),
            "false" | "0" | "no" | "off" => Some(false),
            _ => None,
        },
        Value::Null | Value::Number(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// YAML 1.1, because PyYAML is: `yes` and `off` are switches.
fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Value {
    let as_text = || Value::String(text.to_owned());
    if style != ScalarStyle::Plain || tag.is_some() {
        return as_text();
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Value::Bool(true),
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => Value::Bool(false),
        _ => number(text).map_or_else(as_text, Value::Number),
    }
}

/// A whole number or a fraction in its usual spelling. Anything else stays text: the id of a chat must not become another.
fn number(text: &str) -> Option<Number> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let is_plain = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let has_leading_zero = digits.len() > 1 && digits.starts_with('0') && !digits.starts_with("0.");
    if has_leading_zero {
        return None;
    }
    if is_plain(digits) {
        return text.trim_start_matches('+').parse::<i64>().ok().map(Number::from);
    }
    let (whole, fraction) = digits.split_once('.')?;
    (is_plain(whole) && is_plain(fraction)).then(|| text.parse().ok().and_then(Number::from_f64))?
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(text: &str) -> Value {
        Value::Object(read(text).unwrap())
    }

    #[test]
    fn settings_are_read_as_pyyaml_reads_them() {
        for (text, expected) in [
            ("", json!({})),
            ("# only a comment\n", json!({})),
            ("\u{feff}a: 1\n", json!({"a": 1})),
            (
                "a: yes\nb: Off\nc: 'yes'\nd: ~\ne:\n",
                json!({"a": true, "b": false, "c": "yes", "d": null, "e": null}),
            ),
            (
                "a: -1001234567890\nb: 007\nc: 1.5\nd: 12:30\n",
                json!({"a": -1001234567890_i64, "b": "007", "c": 1.5, "d": "12:30"}),
            ),
            (
                "a: 99999999999999999999\nb: +15550001111\n",
                json!({"a": "99999999999999999999", "b": 15550001111_i64}),
            ),
            ("42: x\ntrue: y\n", json!({"42": "x", "true": "y"})),
            ("a: [1, two]\nb: {c: d}\n", json!({"a": [1, "two"], "b": {"c": "d"}})),
            (
                "a: &x {b: 1, c: 2}\nd:\n  <<: *x\n  b: 3\n",
                json!({"a": {"b": 1, "c": 2}, "d": {"b": 3, "c": 2}}),
            ),
            ("a: !!str 5\nb: |\n  two\n  lines\n", json!({"a": "5", "b": "two\nlines\n"})),
            ("a: 1\na: 2\n", json!({"a": 2})),
        ] {
            assert_eq!(of(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_hostile_or_broken_ends_with_its_place() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..30 {
            let below = vec![format!("*a{}", level - 1); 10].join(", ");
            bomb.push_str(&format!("a{level}: &a{level} [{below}]\n"));
        }
        let deep = format!("a: {}{}", "[".repeat(10_000), "]".repeat(10_000));
        let blocks: String = (0..2000).map(|level| format!("{}a:\n", " ".repeat(level))).collect();
        let many = format!("a: [{}]", "x, ".repeat(200_000));
        for (text, why) in [
            (bomb.as_str(), "too many values"),
            (deep.as_str(), "line 1, column"),
            (blocks.as_str(), "nested too deeply"),
            (many.as_str(), "too many values"),
            ("a: [1\nb: 2\n", "line"),
            ("a: 1\n--- \nb: 2\n", "second document"),
            ("- a\n- b\n", "not a map"),
            ("? [a, b]\n: c\n", "a key is a list"),
            ("a: *nothing\n", "line 1"),
            ("a: &x [*x]\n", "alias"),
            ("a: \"open\n", "line"),
            ("\t- a", "line 1"),
        ] {
            let told = read(text).map(|_| ()).unwrap_err().to_string();
            assert!(told.contains(why), "{}: {told}", &text[..text.len().min(40)]);
        }
    }
}
