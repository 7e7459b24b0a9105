//! Saves the readable part of a damaged database into a new one; the damaged file is kept beside it.
//!
//! This happens automatically only when nothing is lost that waits for an answer or for its sending: their table was read
//! to its end, or an index names all of them and each was read. Else a person decides (`--accept-loss`). The exchange of
//! the files can be interrupted at any point and is finished at the next start.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags, Statement, params};

use super::api::StoreError;
use super::health::Fault;
use super::schema;
use super::writer::store_error;
use crate::gateway::store::disk_space;
use crate::{durable, home};

/// Limit for a run of unreadable rows that is skipped.
const SKIP_MAX: i64 = 1 << 32;

/// The highest valid number: so many rows are never made, and after it the next row would have no number left.
const NUMBER_MAX: i64 = 1 << 53;

/// Limit for a database and its log: a gateway's has some megabytes, and to read more takes minutes.
const LEN_MAX: u64 = 8 << 30;

/// The bytes that are copied at once.
const COPY_BYTES: usize = 1 << 20;

/// The page sizes that SQLite chooses by itself, the usual one first.
const PAGE_LENS: [u16; 2] = [4096, 8192];

/// The outcome for one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Saved {
    table: String,
    saved: usize,
    /// Rows that are known to be gone; `None` where that is not known.
    lost: Option<usize>,
    /// True when no row is lost that was not yet in a final state.
    is_safe: bool,
}

/// The outcome for a damaged database.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Report(pub(super) Vec<Saved>);

impl Report {
    fn is_safe(&self) -> bool {
        !self.0.is_empty() && self.0.iter().all(|table| table.is_safe)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("nothing can be read");
        }
        for (at, Saved { table, saved, lost, .. }) in self.0.iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            let lost = lost.map_or("an unknown number".to_owned(), |lost| lost.to_string());
            write!(f, "{comma}{table}: {saved} can be read and {lost} cannot")?;
        }
        Ok(())
    }
}

/// Puts a new database in the place of a damaged one.
///
/// # Errors
/// [`StoreError::Damaged`] when that would lose waiting messages and the loss was not accepted, [`StoreError::TooLarge`],
/// [`StoreError::Full`] when the disk has too little space for it, and the disk's errors while the new one is written; the
/// file is left alone then.
pub(super) fn mend(path: &Path, why: &str, accept_loss: bool) -> Result<Report, StoreError> {
    let Size { len, used } = Size::of(path);
    if len > LEN_MAX {
        return Err(StoreError::TooLarge(len));
    }
    let shown = path.display();
    tracing::warn!(
        code = "store_salvaging",
        "{shown} is damaged ({why}); recovering readable data from its {len} bytes"
    );
    check_room(path, used)?;
    let making = home::beside_database(path, "salvaging");
    remove(&making)?;
    // An empty file of private mode, before anything is in it.
    durable::write_atomic(&making, b"").map_err(|error| disk_error(&making, &error))?;
    let mut saved = save(path, &making);
    if saved.as_ref().is_ok_and(|report| report.0.is_empty()) {
        saved = save_headless(path, &making, used);
    }
    let report = match saved {
        Ok(report) if report.is_safe() || accept_loss => report,
        Ok(report) => {
            remove(&making)?;
            return Err(StoreError::Damaged(format!("{why}; {report}")));
        }
        Err(error) => {
            remove(&making)?;
            return Err(error);
        }
    };
    durable::rename(&making, &home::beside_database(path, "salvaged"))
        .map_err(|error| disk_error(&making, &error))?;
    let kept = finish(path)?;
    tracing::error!(
        code = "store_salvaged",
        "The database was damaged ({why}) and was replaced; {report}. The damaged file is kept: {}",
        kept.map(|kept| kept.display().to_string()).unwrap_or_default()
    );
    Ok(report)
}

/// Finishes an exchange that was begun. Returns the path of the damaged file.
pub(super) fn finish(path: &Path) -> Result<Option<PathBuf>, StoreError> {
    let salvaged = home::beside_database(path, "salvaged");
    let Ok(meta) = salvaged.metadata() else { return Ok(None) };
    let failed = |error: io::Error| disk_error(path, &error);
    // The same name again when it was interrupted half-way.
    let made = meta.modified().ok().and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
    let kept = home::beside_database(path, &format!("damaged-{}", made.unwrap_or_default().as_secs()));
    // The log goes first: it must never be taken for one of the new file.
    let log = home::beside_database(path, "wal");
    if log.exists() {
        durable::rename(&log, &home::beside_database(&kept, "wal")).map_err(failed)?;
    }
    drop(std::fs::remove_file(home::beside_database(path, "shm")));
    if path.exists() {
        durable::rename(path, &kept).map_err(failed)?;
    }
    durable::rename(&salvaged, path).map_err(failed)?;
    Ok(Some(kept))
}

/// Removes the files that an interrupted salvage has left beside the database.
pub(super) fn clear(path: &Path) -> Result<(), StoreError> {
    remove(&home::beside_database(path, "salvaging"))?;
    clear_copy(&home::beside_database(path, "reading"))
}

fn clear_copy(copy: &Path) -> Result<(), StoreError> {
    let [log, shared] = ["wal", "shm"].map(|ending| home::beside_database(copy, ending));
    [copy, &log, &shared].into_iter().try_for_each(remove)
}

/// The size of a database and its log together.
struct Size {
    len: u64,
    /// Bytes on the disk: holes take none.
    used: u64,
}

impl Size {
    fn of(path: &Path) -> Self {
        let files = [path.metadata(), home::beside_database(path, "wal").metadata()];
        files.iter().flatten().fold(Self { len: 0, used: 0 }, |Self { len, used }, file| Self {
            len: len.saturating_add(file.len()),
            used: used.saturating_add(file.blocks().saturating_mul(512)),
        })
    }
}

fn check_room(path: &Path, bytes: u64) -> Result<(), StoreError> {
    let dir = path.parent().unwrap_or(Path::new("."));
    if disk_space::fits(dir, bytes) { Ok(()) } else { Err(StoreError::Full) }
}

/// Copies a file with its holes, so that the copy takes no more room on the disk.
fn copy_file(from: &Path, to: &Path) -> io::Result<()> {
    let mut from = File::open(from)?;
    let to = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to)?;
    let (mut bytes, zeros) = (vec![0; COPY_BYTES], vec![0; COPY_BYTES]);
    let mut at = 0;
    loop {
        let len = from.read(&mut bytes)?;
        if len == 0 {
            return to.set_len(at);
        }
        if bytes[..len] != zeros[..len] {
            to.write_all_at(&bytes[..len], at)?;
        }
        at += len as u64;
    }
}

fn remove(path: &Path) -> Result<(), StoreError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(disk_error(path, &error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// The system's error about a file, as the store's.
pub(super) fn disk_error(path: &Path, error: &io::Error) -> StoreError {
    if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
        return StoreError::Full;
    }
    if error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) {
        return StoreError::Fault(format!("{}: {error}", path.display()));
    }
    StoreError::Failed(format!("{}: {error}", path.display()))
}

/// Saves from a file whose first bytes are lost, or that was cut off: from a copy that begins with first bytes like ours.
fn save_headless(from: &Path, to: &Path, used: u64) -> Result<Report, StoreError> {
    // The copy, and what is saved from it.
    check_room(from, used.saturating_mul(2))?;
    let copy = home::beside_database(from, "reading");
    let [log, from_log] = [&copy, from].map(|path| home::beside_database(path, "wal"));
    let attempt = |page_len: u16| {
        let failed = |error: io::Error| disk_error(&copy, &error);
        clear_copy(&copy)?;
        copy_file(from, &copy).map_err(failed)?;
        if from_log.exists() {
            copy_file(&from_log, &log).map_err(failed)?;
        }
        let file = OpenOptions::new().write(true).open(&copy).map_err(failed)?;
        let pages = file.metadata().map_err(failed)?.len() / u64::from(page_len);
        file.write_all_at(&head(page_len, u32::try_from(pages).unwrap_or(u32::MAX)), 0).map_err(failed)?;
        save(&copy, to)
    };
    let is_of_use =
        |saved: &Result<Report, StoreError>| saved.as_ref().map_or(true, |report| !report.0.is_empty());
    let saved = PAGE_LENS.into_iter().map(attempt).find(is_of_use);
    clear_copy(&copy)?;
    saved.unwrap_or_else(|| Ok(Report::default()))
}

/// The first bytes of a database of ours: <https://www.sqlite.org/fileformat2.html#the_database_header>. It has no free
/// pages then, which does not matter for reading.
fn head(page_len: u16, pages: u32) -> [u8; 100] {
    let mut head = [0; 100];
    let mut put = |at: usize, bytes: &[u8]| head[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"SQLite format 3\0");
    put(16, &page_len.to_be_bytes());
    // A write-ahead log, nothing reserved, and the three fixed fractions.
    put(18, &[2, 2, 0, 64, 32, 32]);
    put(28, &pages.to_be_bytes());
    // Schema cookie, schema format and text encoding; the counters at 24 and 92 agree.
    for (at, number) in [(24, 1_u32), (40, 1), (44, 4), (56, 1), (92, 1)] {
        put(at, &number.to_be_bytes());
    }
    head
}

/// An empty report: nothing can be read.
fn save(from: &Path, to: &Path) -> Result<Report, StoreError> {
    // Reading only: the damaged file and its log stay as they are.
    let old = Connection::open_with_flags(from, OpenFlags::SQLITE_OPEN_READ_ONLY).and_then(|old| {
        old.pragma_update(None, "trusted_schema", false)?;
        old.pragma_update(None, "cell_size_check", true)?;
        let tables = texts(&old, "SELECT name FROM sqlite_schema WHERE type = 'table'", "")?;
        Ok((!tables.is_empty()).then_some(old))
    });
    let Ok(Some(old)) = old else { return Ok(Report::default()) };
    save_tables(&old, to).map_err(|error| store_error(&error))
}

/// Copies all tables. Fails only where the new file cannot be written.
fn save_tables(old: &Connection, to: &Path) -> rusqlite::Result<Report> {
    let mut new = Connection::open(to)?;
    // An interrupted file is made again from the start.
    new.pragma_update(None, "journal_mode", "MEMORY")?;
    schema::migrate(&mut new)?;
    let tables = texts(
        &new,
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'",
        "",
    )?;
    let step = new.transaction()?;
    let report = tables.iter().map(|table| save_table(old, &step, table)).collect::<rusqlite::Result<_>>()?;
    // Numbers are not given a second time.
    for table in &tables {
        let last =
            old.query_row("SELECT seq FROM sqlite_sequence WHERE name = ?1", [table], |row| row.get(0));
        if let Ok(last @ 1..=NUMBER_MAX) = last
            && step.execute(
                "UPDATE sqlite_sequence SET seq = MAX(seq, ?2) WHERE name = ?1",
                params![table, last],
            )? == 0
        {
            step.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?1, ?2)", params![table, last])?;
        }
    }
    step.commit()?;
    Ok(Report(report))
}

fn save_table(old: &Connection, new: &Connection, table: &str) -> rusqlite::Result<Saved> {
    const COLUMNS: &str = "SELECT name FROM pragma_table_info(?1)";
    let known = texts(old, COLUMNS, table).unwrap_or_default();
    let columns: Vec<String> =
        texts(new, COLUMNS, table)?.into_iter().filter(|name| known.contains(name)).collect();
    let none = Saved { table: table.to_owned(), saved: 0, lost: None, is_safe: false };
    if columns.is_empty() {
        // An older program did not have it, or the list of tables has lost it.
        let had = texts(old, "SELECT name FROM sqlite_schema WHERE type = 'table' AND name = ?1", table);
        let is_new = had.is_ok_and(|had| had.is_empty());
        return Ok(Saved { is_safe: is_new, lost: is_new.then_some(0), ..none });
    }
    let list = columns.join(", ");
    let marks = vec!["?"; columns.len()].join(", ");
    let put = new.prepare(&format!("INSERT OR IGNORE INTO {table} ({list}) VALUES ({marks})"))?;
    let mut copy = Copy { put, width: columns.len(), saved: BTreeSet::new(), is_whole: true };
    if !columns.iter().any(|name| name == "id") {
        // People's decisions: all of them, or a person decides again.
        let select = format!("SELECT row_number() OVER (), {list} FROM {table}");
        let Ok(mut rows) = old.prepare(&select) else { return Ok(none) };
        copy.is_whole = copy.take(&mut rows, None)?.1 && copy.is_whole;
        let (saved, is_safe) = (copy.saved.len(), copy.is_whole);
        return Ok(Saved { saved, lost: is_safe.then_some(0), is_safe, ..none });
    }
    let select = |order: &str| {
        format!("SELECT id, {list} FROM {table} NOT INDEXED WHERE id > ?1 AND id < ?2 ORDER BY id {order}")
    };
    let (Ok(mut up), Ok(mut down)) = (old.prepare(&select("ASC")), old.prepare(&select("DESC"))) else {
        return Ok(none);
    };
    let mut floor = 0;
    loop {
        let (last, is_end) = copy.take(&mut up, Some([floor, i64::MAX]))?;
        floor = last.map_or(floor, |last| floor.max(last));
        if is_end {
            break;
        }
        copy.is_whole = false;
        let next = beyond(&mut up, floor);
        copy.take(&mut down, Some([floor, next.unwrap_or(i64::MAX)]))?;
        match next {
            // One below, so that the row itself is read.
            Some(next) if next - 1 > floor => floor = next - 1,
            Some(_) | None => break,
        }
    }
    let all = numbers(old, table, "sql IS NULL OR sql NOT LIKE '% WHERE %'", "");
    let open = numbers(old, table, "sql LIKE '%ended_at_s IS NULL%'", "WHERE ended_at_s IS NULL");
    // Between two places that cannot be read there may be rows that only an index finds.
    let named: BTreeSet<i64> = all.iter().chain(&open).flatten().copied().collect();
    for id in named {
        if !copy.saved.contains(&id) {
            copy.take(&mut up, Some([id - 1, id + 1]))?;
        }
    }
    let gone = |ids: &BTreeSet<i64>| ids.difference(&copy.saved).count();
    let has_open = known.iter().any(|name| name == "ended_at_s");
    let is_safe = !has_open || open.as_ref().map_or(copy.is_whole, |open| gone(open) == 0);
    let lost = all.as_ref().map(gone).or_else(|| copy.is_whole.then_some(0));
    Ok(Saved { saved: copy.saved.len(), lost, is_safe, ..none })
}

/// The copying of rows into one table.
struct Copy<'a> {
    put: Statement<'a>,
    width: usize,
    /// Their numbers.
    saved: BTreeSet<i64>,
    /// True when none was left behind.
    is_whole: bool,
}

impl Copy<'_> {
    /// Copies rows of these numbers until the end or the first that cannot be read. Returns the last number, and true at
    /// the end. Fails only where the new file cannot be written.
    fn take(
        &mut self,
        rows: &mut Statement<'_>,
        between: Option<[i64; 2]>,
    ) -> rusqlite::Result<(Option<i64>, bool)> {
        let mut last = None;
        let Ok(mut rows) = rows.query(rusqlite::params_from_iter(between.iter().flatten())) else {
            return Ok((None, false));
        };
        loop {
            let row = match rows.next() {
                Ok(Some(row)) => row,
                Ok(None) => return Ok((last, true)),
                Err(_) => return Ok((last, false)),
            };
            let values: rusqlite::Result<Vec<Value>> =
                (1..=self.width).map(|column| row.get(column)).collect();
            let (Ok(id @ 1..=NUMBER_MAX), Ok(values)) = (row.get(0), values) else {
                return Ok((last, false));
            };
            let is_put = match self.put.execute(rusqlite::params_from_iter(values)) {
                Ok(count) => count == 1,
                Err(error) if Fault::of(&error).is_some() => return Err(error),
                Err(_) => false,
            };
            if is_put {
                self.saved.insert(id);
            } else if !self.saved.contains(&id) {
                // A row that does not fit into the table is invalid; it counts as lost.
                self.is_whole = false;
            }
            last = Some(id);
        }
    }
}

/// The first number that can be read beyond an unreadable place.
fn beyond(up: &mut Statement<'_>, floor: i64) -> Option<i64> {
    let mut skip = 1;
    while skip < SKIP_MAX {
        if let Ok(id) = up.query_row([floor.saturating_add(skip), i64::MAX], |row| row.get(0)) {
            return Some(id);
        }
        skip *= 2;
    }
    None
}

/// All numbers that an index of this kind holds; `None` when there is none that can be read.
fn numbers(old: &Connection, table: &str, kind: &str, which: &str) -> Option<BTreeSet<i64>> {
    let find = format!("SELECT name FROM sqlite_schema WHERE type = 'index' AND tbl_name = ?1 AND ({kind})");
    texts(old, &find, table).ok()?.into_iter().find_map(|index| {
        let mut ids = old.prepare(&format!("SELECT id FROM {table} INDEXED BY {index} {which}")).ok()?;
        ids.query_map([], |row| row.get(0)).ok()?.collect::<rusqlite::Result<_>>().ok()
    })
}

fn texts(db: &Connection, query: &str, of: &str) -> rusqlite::Result<Vec<String>> {
    let mut names = db.prepare(query)?;
    let of: &[&str] = if names.parameter_count() == 0 { &[] } else { &[of] };
    names.query_map(rusqlite::params_from_iter(of), |row| row.get(0))?.collect()
}

#[cfg(test)]
#[path = "salvage_tests.rs"]
mod tests;
