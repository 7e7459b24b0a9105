use std::os::unix::fs::{FileExt as _, PermissionsExt as _};

use super::*;
use crate::gateway::problems::Problems;
use crate::gateway::store::SqliteStore;
use crate::gateway::store::sqlite::Opening;

const PAGE: u64 = 4096;

/// The bytes that overwrite a page.
const DAMAGE: [u8; 4096] = [0xff; 4096];

/// A change to a file.
type Harm<'a> = &'a dyn Fn(&Path);

/// A database with finished messages and some that wait; returns its path.
fn full(dir: &Path) -> PathBuf {
    let path = dir.join("gateway.db");
    drop(SqliteStore::open(&path).unwrap());
    let db = Connection::open(&path).unwrap();
    for number in 1..=400 {
        let (state, ended) = if number > 380 { ("pending", None) } else { ("done", Some(1)) };
        db.execute(
            "INSERT INTO inbox (platform, chat_key, chat, message_id, state, body, accepted_at_s, ended_at_s)
             VALUES ('whatsapp', 'c', 'c', ?1, ?2, ?3, 1, ?4)",
            params![format!("m{number}"), state, "x".repeat(300), ended],
        )
        .unwrap();
    }
    db.execute("INSERT INTO pause VALUES ('whatsapp', 1)", []).unwrap();
    drop(db);
    path
}

/// Overwrites the page that holds the row of this number.
fn damage_row(path: &Path, number: i64) {
    let bytes = std::fs::read(path).unwrap();
    let word = format!("cm{number}pending");
    let word = if number > 380 { word } else { format!("cm{number}done") };
    let at = bytes.windows(word.len()).position(|found| found == word.as_bytes()).expect("the row is there")
        as u64;
    let file = OpenOptions::new().write(true).open(path).unwrap();
    file.write_all_at(&DAMAGE, at / PAGE * PAGE).unwrap();
}

fn open(path: &Path, accept_loss: bool) -> Result<SqliteStore, StoreError> {
    let opening = Opening { accept_loss, is_safe_mode: false };
    SqliteStore::open_watched(path, Problems::default(), opening)
}

fn count(path: &Path, which: &str) -> i64 {
    let db = Connection::open(path).unwrap();
    db.query_row(&format!("SELECT COUNT(*) FROM {which}"), [], |row| row.get(0)).unwrap()
}

fn kept(dir: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut kept: Vec<_> = files.filter(|path| path.to_string_lossy().contains("damaged-")).collect();
    // The database before its log.
    kept.sort();
    kept
}

#[test]
fn rows_that_are_final_may_be_lost_and_all_that_wait_are_saved() {
    let dir = tempfile::tempdir().unwrap();
    let path = full(dir.path());
    damage_row(&path, 100);
    let before = std::fs::read(&path).unwrap();
    drop(open(&path, false).unwrap());
    assert_eq!(count(&path, "inbox WHERE state = 'pending'"), 20);
    let saved = count(&path, "inbox");
    assert!((380..400).contains(&saved), "one page is lost: {saved}");
    assert_eq!(count(&path, "pause"), 1);
    let kept = kept(dir.path());
    assert_eq!(std::fs::read(&kept[0]).unwrap(), before);
    assert_eq!(kept[0].metadata().unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn what_waits_is_lost_only_when_somebody_accepts_it_and_the_counts_are_exact() {
    let dir = tempfile::tempdir().unwrap();
    let path = full(dir.path());
    damage_row(&path, 390);
    let before = std::fs::read(&path).unwrap();
    let error = open(&path, false).err().unwrap();
    assert!(matches!(error, StoreError::Damaged(_)), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), before, "it is not retried");
    assert!(kept(dir.path()).is_empty());
    let Report(tables) = mend(&path, "a test", true).unwrap();
    let inbox = tables.iter().find(|saved| saved.table == "inbox").unwrap();
    assert!(!inbox.is_safe);
    assert_eq!(inbox.saved + inbox.lost.unwrap(), 400);
    assert!(error.to_string().contains(&format!(
        "inbox: {} can be read and {} cannot",
        inbox.saved,
        400 - inbox.saved
    )));
    assert_eq!(count(&path, "inbox"), i64::try_from(inbox.saved).unwrap());
    drop(open(&path, false).unwrap());
}

#[test]
fn with_lost_first_bytes_all_that_follows_is_saved() {
    let dir = tempfile::tempdir().unwrap();
    let path = full(dir.path());
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(&[0; 100], 0).unwrap();
    let before = std::fs::read(&path).unwrap();
    drop(open(&path, false).unwrap());
    assert_eq!(count(&path, "inbox"), 400);
    assert_eq!(count(&path, "inbox WHERE state = 'pending'"), 20);
    assert_eq!(std::fs::read(&kept(dir.path())[0]).unwrap(), before);
    let others = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(
        !others.into_iter().any(|name| name.to_string_lossy().contains("reading")),
        "nothing is left over"
    );
}

#[test]
fn what_is_cut_off_or_no_database_is_begun_anew_only_when_somebody_accepts_it() {
    let cut = |path: &Path, len| {
        OpenOptions::new().write(true).open(path).unwrap().set_len(len).unwrap();
    };
    let damages: [(Harm<'_>, bool); 3] = [
        (
            &|path| {
                durable::write_atomic(path, "no database, but a long text ".repeat(400).as_bytes()).unwrap();
            },
            false,
        ),
        (&|path| cut(path, PAGE), false),
        (&|path| cut(path, path.metadata().unwrap().len() / 2 / PAGE * PAGE), true),
    ];
    for (damage, is_of_use) in damages {
        let dir = tempfile::tempdir().unwrap();
        let path = full(dir.path());
        damage(&path);
        let before = std::fs::read(&path).unwrap();
        assert!(matches!(open(&path, false), Err(StoreError::Damaged(_))));
        assert_eq!(std::fs::read(&path).unwrap(), before, "it is not retried");
        assert!(kept(dir.path()).is_empty());
        drop(open(&path, true).unwrap());
        assert_eq!(count(&path, "inbox") > 0, is_of_use);
        assert_eq!(std::fs::read(&kept(dir.path())[0]).unwrap(), before, "the copy is kept");
    }
}

#[test]
fn what_an_operator_decided_is_not_lost_unasked() {
    let dir = tempfile::tempdir().unwrap();
    let path = full(dir.path());
    let db = Connection::open(&path).unwrap();
    let root: u32 = db
        .query_row("SELECT rootpage FROM sqlite_schema WHERE name = 'pause'", [], |row| row.get(0))
        .unwrap();
    drop(db);
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(&DAMAGE, u64::from(root - 1) * PAGE).unwrap();
    assert!(matches!(open(&path, false), Err(StoreError::Damaged(_))));
    drop(open(&path, true).unwrap());
    assert_eq!((count(&path, "pause"), count(&path, "inbox")), (0, 400));
}

#[test]
fn numbers_are_not_given_a_second_time() {
    let dir = tempfile::tempdir().unwrap();
    let path = full(dir.path());
    let db = Connection::open(&path).unwrap();
    db.execute("DELETE FROM inbox WHERE ended_at_s IS NULL", []).unwrap();
    drop(db);
    damage_row(&path, 100);
    drop(open(&path, false).unwrap());
    assert_eq!(count(&path, "sqlite_sequence WHERE name = 'inbox' AND seq = 400"), 1);
}

#[test]
fn an_exchange_that_was_cut_off_is_finished_at_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let path = full(dir.path());
    let salvaged = home::beside_database(&path, "salvaged");
    std::fs::copy(&path, &salvaged).unwrap();
    durable::write_atomic(&home::beside_database(&path, "wal"), b"of the old one").unwrap();
    std::fs::remove_file(&path).unwrap();
    drop(open(&path, false).unwrap());
    assert_eq!(count(&path, "inbox"), 400);
    assert!(!salvaged.exists());
    assert_eq!(kept(dir.path()).len(), 1, "the old log");
}

#[test]
fn a_damaged_file_of_many_gigabytes_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("gateway.db");
    File::create(&path).unwrap().set_len(200 << 30).unwrap();
    for accept_loss in [false, true] {
        let error = open(&path, accept_loss).err().unwrap();
        assert!(matches!(error, StoreError::TooLarge(len) if len == 200 << 30), "{error}");
    }
    assert_eq!(path.metadata().unwrap().len(), 200 << 30);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is made beside it");
}

#[test]
fn a_copy_keeps_the_bytes_and_the_holes() {
    let dir = tempfile::tempdir().unwrap();
    let [from, to] = ["from", "to"].map(|name| dir.path().join(name));
    let file = File::create(&from).unwrap();
    file.write_all_at(b"first", 0).unwrap();
    file.write_all_at(b"last", 40 << 20).unwrap();
    file.set_len(64 << 20).unwrap();
    copy_file(&from, &to).unwrap();
    assert!(std::fs::read(&from).unwrap() == std::fs::read(&to).unwrap());
    let used = to.metadata().unwrap().blocks() * 512;
    assert!(used <= 2 * COPY_BYTES as u64, "{used} bytes are on the disk");
    assert_eq!(to.metadata().unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn what_a_salvage_that_was_cut_off_left_is_removed_at_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let path = full(dir.path());
    let left = ["salvaging", "reading", "reading-wal", "reading-shm"];
    let left = left.map(|ending| home::beside_database(&path, ending));
    for path in &left {
        File::create(path).unwrap();
    }
    drop(open(&path, false).unwrap());
    for path in &left {
        assert!(!path.exists(), "{}", path.display());
    }
    assert_eq!(count(&path, "inbox"), 400);
}
