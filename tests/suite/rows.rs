//! `rows.md` says which test shows which row of the fault table; here it is held to that.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// All of the table.
const ROWS: std::ops::RangeInclusive<u32> = 1..=97;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn is_there(file: &str, test: &str) -> bool {
    let path = if file.contains('/') { PathBuf::from(file) } else { Path::new("tests/suite").join(file) };
    let text = std::fs::read_to_string(root().join(path)).unwrap_or_default();
    if file.ends_with(".mjs") {
        return text.contains(&format!("test('{test}'"));
    }
    // The attribute that makes it a test is among those above it.
    let lines: Vec<_> = text.lines().map(str::trim_start).collect();
    let Some(at) = lines.iter().position(|line| line.contains(&format!("fn {test}()"))) else { return false };
    let attributes = lines[..at].iter().rev().take_while(|line| line.starts_with("#["));
    attributes.into_iter().any(|line| line.contains("test]") || line.contains("::test("))
}

#[test]
fn each_row_of_the_fault_table_names_the_tests_that_show_it() {
    let text = std::fs::read_to_string(root().join("tests/suite/rows.md")).unwrap();
    let mut complaints = Vec::new();
    let (mut rows, mut named) = (Vec::new(), BTreeSet::new());
    for line in text.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [row, fault, shown] = cells[..] else { panic!("three cells: {line}") };
        let Ok(row) = row.parse::<u32>() else { continue };
        rows.push(row);
        let tests: Vec<_> = shown.split('`').skip(1).step_by(2).collect();
        if fault.is_empty() || tests.is_empty() && !shown.starts_with("not built: ") {
            complaints.push(format!("row {row} names no test, and does not say why"));
        }
        for test in tests {
            named.insert(test.to_owned());
            if !test.split_once("::").is_some_and(|(file, test)| is_there(file, test)) {
                complaints.push(format!("row {row}: there is no test `{test}`"));
            }
        }
    }
    assert_eq!(rows, ROWS.collect::<Vec<_>>(), "each row has one line, in their order");
    // What calls itself a row's test is found from the row.
    for entry in std::fs::read_dir(root().join("tests/suite")).unwrap() {
        let path = entry.unwrap().path();
        let file = path.file_name().unwrap().to_string_lossy().into_owned();
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        for line in text.lines().filter_map(|line| line.strip_prefix("fn ")) {
            let name = line.split('(').next().unwrap_or_default();
            let Some(number) = name.strip_prefix("row_").or_else(|| name.strip_prefix("rows_")) else {
                continue;
            };
            let name = format!("{file}::{name}");
            if number.starts_with(|sign: char| sign.is_ascii_digit()) && !named.contains(&name) {
                complaints.push(format!("`{name}` stands at no row of rows.md"));
            }
        }
    }
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}
