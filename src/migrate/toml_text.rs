//! Pure. New keys in `gateway.toml`: lines are added, and nothing that stands there changes.

use toml::{Table, Value};

/// A key that is to be there.
#[derive(Debug, Clone, PartialEq)]
pub struct Key {
    /// Its table, such as `platforms.telegram`.
    pub table: &'static str,
    /// Its name in the table.
    pub name: &'static str,
    /// Its value.
    pub value: Value,
}

impl Key {
    /// A text.
    pub fn text(table: &'static str, name: &'static str, value: impl Into<String>) -> Self {
        Self { table, name, value: Value::String(value.into()) }
    }

    /// A switch.
    pub fn switch(table: &'static str, name: &'static str, value: bool) -> Self {
        Self { table, name, value: Value::Boolean(value) }
    }

    /// As people name it.
    pub fn path(&self) -> String {
        format!("{}.{}", self.table, self.name)
    }

    /// The value in the file in its place.
    pub fn in_place<'a>(&self, file: &'a Table) -> Option<&'a Value> {
        let mut table = file;
        for part in self.table.split('.') {
            table = table.get(part)?.as_table()?;
        }
        table.get(self.name)
    }
}

/// The text with these keys, none of which is there yet. `None`: the file is written in a way that takes no lines for them.
pub fn with(text: &str, keys: &[Key]) -> Option<String> {
    let mut expected: Table = text.parse().ok()?;
    let mut new = text.to_owned();
    let mut tables: Vec<(&str, String)> = Vec::new();
    for key in keys {
        let mut table = &mut expected;
        for part in key.table.split('.') {
            table = table.entry(part).or_insert_with(|| Value::Table(Table::new())).as_table_mut()?;
        }
        if table.insert(key.name.to_owned(), key.value.clone()).is_some() {
            return None;
        }
        let line = format!("{} = {}\n", key.name, key.value);
        match tables.iter_mut().find(|(table, _)| *table == key.table) {
            Some((_, lines)) => lines.push_str(&line),
            None => tables.push((key.table, line)),
        }
    }
    for (table, lines) in tables {
        match header_end(&new, table) {
            Some(at) => new.insert_str(at, &lines),
            None => {
                if !new.is_empty() {
                    new.push_str(if new.ends_with('\n') { "\n" } else { "\n\n" });
                }
                new.push_str(&format!("[{table}]\n{lines}"));
            }
        }
    }
    // A table may be written as dotted keys or in one line; then a separate header is an error, or another table.
    (new.parse::<Table>().ok()? == expected).then_some(new)
}

/// Where the line after the header of this table begins.
fn header_end(text: &str, table: &str) -> Option<usize> {
    let header = format!("[{table}]");
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        at += line.len();
        let code = line.split('#').next().unwrap_or_default();
        let is_header = code.split_whitespace().collect::<String>() == header;
        if is_header && line.ends_with('\n') {
            return Some(at);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_added_and_what_stands_there_stays() {
        let api = Key::text("platforms.telegram", "api_base", "http://a.test");
        let kind = Key::text("agent", "kind", "openai");
        for (before, expected) in [
            ("", "[platforms.telegram]\napi_base = \"http://a.test\"\n\n[agent]\nkind = \"openai\"\n"),
            (
                "# mine\n[agent] # who\nmodel = 'x'\n",
                "# mine\n[agent] # who\nkind = \"openai\"\nmodel = 'x'\n\n[platforms.telegram]\napi_base = \"http://a.test\"\n",
            ),
            (
                "[ platforms . telegram ]\nrates = 'off'",
                "[ platforms . telegram ]\napi_base = \"http://a.test\"\nrates = 'off'\n\n[agent]\nkind = \"openai\"\n",
            ),
        ] {
            let after = with(before, &[api.clone(), kind.clone()]).unwrap();
            assert_eq!(after, expected);
            let file: Table = after.parse().unwrap();
            assert_eq!(api.in_place(&file), Some(&Value::String("http://a.test".into())));
        }
        for odd in
            ["agent.model = 'x'", "agent = { model = 'x' }", "agent = 1", "[agent]\nkind = 'echo'", "[agent"]
        {
            assert_eq!(with(odd, std::slice::from_ref(&kind)), None, "{odd}");
        }
        let quoted = with("", &[Key::text("agent", "model", "a\"b\\c\n")]).unwrap();
        assert!(quoted.parse::<Table>().is_ok());
        assert_eq!(
            with("x = '''\n[agent]\n'''\n", std::slice::from_ref(&kind)),
            None,
            "a header inside a text is none"
        );
    }
}
