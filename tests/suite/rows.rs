//! `rows.md` says which test shows which row of the fault table; here it is held to that.

use std::collections::BTreeSet;

use crate::support::sources::{files, root};

/// All of the table.
const ROWS: std::ops::RangeInclusive<u32> = 1..=97;

/// The names of all tests: functions of Rust, titles of the bridge's and the fake's.
fn tests() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for path in ["src", "tests", "assets/bridge"].into_iter().flat_map(|dir| files(dir, &[".rs", ".mjs"])) {
        let text = std::fs::read_to_string(&path).expect("it is there");
        if path.extension().is_some_and(|ending| ending == "mjs") {
            let titles = text.split("test('").skip(1).filter_map(|rest| rest.split('\'').next());
            names.extend(titles.map(str::to_owned));
            continue;
        }
        // The attribute that makes it a test is among those above it.
        let mut is_test = false;
        for line in text.lines().map(str::trim_start) {
            if line.starts_with("#[") {
                is_test |= line.contains("test]") || line.contains("::test(");
                continue;
            }
            if let Some(name) =
                line.split("fn ").nth(1).and_then(|rest| rest.split("()").next()).filter(|_| is_test)
            {
                names.insert(name.to_owned());
            }
            is_test = false;
        }
    }
    names
}

#[test]
fn each_row_of_the_fault_table_names_the_tests_that_show_it() {
    let text = std::fs::read_to_string(root().join("tests/suite/rows.md")).unwrap();
    let (tests, mut complaints) = (tests(), Vec::new());
    let (mut rows, mut named) = (Vec::new(), BTreeSet::new());
    for line in text.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [row, fault, shown] = cells[..] else { panic!("three cells: {line}") };
        let Ok(row) = row.parse::<u32>() else { continue };
        rows.push(row);
        let shown_by: Vec<_> = shown.split('`').skip(1).step_by(2).collect();
        if fault.is_empty() || shown_by.is_empty() && !shown.starts_with("not built: ") {
            complaints.push(format!("row {row} names no test, and does not say why"));
        }
        for test in shown_by {
            named.insert(test.to_owned());
            if !tests.contains(test) {
                complaints.push(format!("row {row}: there is no test `{test}`"));
            }
        }
    }
    assert_eq!(rows, ROWS.collect::<Vec<_>>(), "each row has one line, in their order");
    // What calls itself a row's test is found from the row.
    for entry in std::fs::read_dir(root().join("tests/suite")).unwrap() {
        let path = entry.unwrap().path();
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        for line in text.lines().filter_map(|line| line.strip_prefix("fn ")) {
            let name = line.split('(').next().unwrap_or_default();
            let Some(number) = name.strip_prefix("row_").or_else(|| name.strip_prefix("rows_")) else {
                continue;
            };
            if number.starts_with(|sign: char| sign.is_ascii_digit()) && !named.contains(name) {
                complaints.push(format!("`{name}` stands at no row of rows.md"));
            }
        }
    }
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}
