//! A flood of strangers, as far as a test can show: admitted people are answered meanwhile, and nothing is kept of the
//! others.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::support::house::{House, QUICK};

/// Least number of strangers that have written when it ends.
const STRANGERS: usize = 5_000;

/// Limit for the memory of the process, in KiB. The program of the tests is large.
const MEMORY_KB_MAX: u64 = 120_000;

#[test]
fn a_flood_of_strangers_is_answered_by_nothing_stored_nowhere_and_holds_up_nobody() {
    let house = House::furnish(1, QUICK, |home| {
        home.env.push(("SCRIPTED1_ALLOWED_USERS".to_owned(), "friend".to_owned()));
        home.env.push(("SCRIPTED1_ALLOW_ALL_USERS".to_owned(), "false".to_owned()));
    });
    let (is_over, count) = (AtomicBool::new(false), AtomicUsize::new(0));
    let mut asked = 0;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                let number = count.fetch_add(1, Ordering::Relaxed);
                house.well.write(&format!("s{number}"), &format!("stranger {}", number % 1000), "spam spam");
            }
        });
        while asked < 10 || count.load(Ordering::Relaxed) < STRANGERS {
            asked += 1;
            let text = format!("question {asked}.");
            house.well.write(&text, "friend", &text);
            house.well.take_message(&text);
        }
        is_over.store(true, Ordering::Relaxed);
    });
    let said = house.well.said();
    let is_answer = |said: &&serde_json::Value| said["say"] == "send";
    assert_eq!(said.iter().filter(is_answer).count(), asked, "only the friend is answered");
    assert!(said.iter().filter(is_answer).all(|said| said["chat"] == "friend"));
    let peak_kb = house.gateway.peak_kb();
    assert!(peak_kb < MEMORY_KB_MAX, "{peak_kb} kB at the peak");
    let db = rusqlite::Connection::open(house.home.paths().database()).unwrap();
    for table in ["inbox", "outbox"] {
        let rows: u32 = db.query_row(&format!("SELECT COUNT(*) FROM {table}"), [], |row| row.get(0)).unwrap();
        assert_eq!(usize::try_from(rows).unwrap(), asked, "{table}");
    }
    assert!(house.lines(0, "stranger").len() < 50, "the log is not flooded");
}
