//! The query plans of the statements.

use std::collections::BTreeSet;

use regex::Regex;
use rusqlite::Connection;

use super::super::schema;

/// The statements of the message path, as they stand in the code.
fn statements() -> BTreeSet<String> {
    let literal = Regex::new(r#""((?:SELECT|UPDATE|INSERT|DELETE) [^"]*)""#).unwrap();
    let sources = [
        include_str!("queries.rs"),
        include_str!("orders.rs"),
        include_str!("letters.rs"),
        include_str!("sessions.rs"),
    ];
    // Two are formatted for each table.
    let is_whole = |sql: &str| !sql.contains('{');
    let found = sources.iter().flat_map(|source| literal.captures_iter(source));
    found.map(|found| found[1].to_owned()).filter(|sql| is_whole(sql)).collect()
}

#[test]
fn what_is_open_is_never_looked_for_among_all_that_is_done() {
    let mut db = Connection::open_in_memory().unwrap();
    schema::configure(&db).unwrap();
    schema::migrate(&mut db).unwrap();
    let statements = statements();
    assert!(statements.len() > 50, "they are not found: {statements:#?}");
    let (mut open, mut by_chat) = (0, 0);
    for sql in &statements {
        let mut plan = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let unbound = vec![rusqlite::types::Null; plan.parameter_count()];
        let steps: Vec<String> = plan
            .query_map(rusqlite::params_from_iter(unbound), |row| row.get(3))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        let walks = steps.iter().find(|step| {
            let is_of_messages = step.contains("SCAN inbox") || step.contains("SCAN outbox");
            is_of_messages && !step.contains("USING")
        });
        assert_eq!(walks, None, "{sql}");
        // The open rows of a chat are few; all its rows are many.
        if sql.contains("chat_key = ") && sql.contains("ended_at_s IS NULL") && !sql.contains("session") {
            open += 1;
            assert!(steps.iter().any(|step| step.contains("box_open")), "{sql}: {steps:?}");
        }
        by_chat += usize::from(sql.contains("chat_key = "));
    }
    assert!(open >= 8 && by_chat > open, "{open} of {by_chat}");
}

#[test]
fn a_statement_is_planned_once_whatever_is_bound() {
    let db = Connection::open_in_memory().unwrap();
    schema::configure(&db).unwrap();
    let mut statement = db.prepare("SELECT 1 WHERE ?1 LIMIT ?2").unwrap();
    for count in 1..5 {
        assert!(statement.exists([1, count]).unwrap());
    }
    assert_eq!(statement.get_status(rusqlite::StatementStatus::RePrepare), 0);
}
