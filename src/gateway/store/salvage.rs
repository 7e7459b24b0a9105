//! What can still be read of a damaged database is put into a new one; the damaged file is kept beside it.
//!
//! This happens by itself only when nothing is lost that waits for an answer or for its sending: their table was read
//! to its end, or an index names all of them and each was read. Else a person decides (`--accept-loss`). The exchange of
//! the files can be cut off at any point and is finished at the next start.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags, Statement, params};

use super::api::StoreError;
use super::schema;
use crate::{durable, home};

/// The longest run of unreadable rows that is stepped over.
const SKIP_MAX: i64 = 1 << 32;

/// What became of one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Saved {
    table: String,
    saved: usize,
    /// Rows that are known to be gone; `None` where nobody can tell.
    lost: Option<usize>,
    /// Nothing is lost that was not yet in a final state.
    is_safe: bool,
}

/// What became of a damaged database.
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
/// [`StoreError::Damaged`] when that would lose what waits and nobody has accepted that; the file is left alone then.
pub(super) fn mend(path: &Path, why: &str, accept_loss: bool) -> Result<Report, StoreError> {
    let making = home::beside_database(path, "salvaging");
    let failed = |error: std::io::Error| StoreError::Failed(format!("{}: {error}", making.display()));
    remove(&making).map_err(failed)?;
    // An empty file of private mode, before anything is in it.
    durable::write_atomic(&making, b"").map_err(failed)?;
    let report = save(path, &making).unwrap_or_default();
    if !report.is_safe() && !accept_loss {
        remove(&making).map_err(failed)?;
        return Err(StoreError::Damaged(format!("{why}; {report}")));
    }
    if report.0.is_empty() {
        remove(&making).map_err(failed)?;
        durable::write_atomic(&making, b"").map_err(failed)?;
    }
    durable::rename(&making, &home::beside_database(path, "salvaged")).map_err(failed)?;
    let kept = finish(path)?;
    tracing::error!(
        code = "store_salvaged",
        "the database was damaged ({why}) and is replaced; {report}. The damaged file is kept: {}",
        kept.map(|kept| kept.display().to_string()).unwrap_or_default()
    );
    Ok(report)
}

/// Finishes an exchange that was begun. Returns where the damaged file is kept.
pub(super) fn finish(path: &Path) -> Result<Option<PathBuf>, StoreError> {
    let salvaged = home::beside_database(path, "salvaged");
    let Ok(meta) = salvaged.metadata() else { return Ok(None) };
    let failed = |error: std::io::Error| StoreError::Failed(format!("{}: {error}", path.display()));
    // The same name again when it was cut off half-way.
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

fn remove(path: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn save(from: &Path, to: &Path) -> rusqlite::Result<Report> {
    // Reading only: the damaged file and its log stay as they are.
    let old = Connection::open_with_flags(from, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    old.pragma_update(None, "trusted_schema", false)?;
    old.pragma_update(None, "cell_size_check", true)?;
    let mut new = Connection::open(to)?;
    schema::migrate(&mut new)?;
    let tables = texts(
        &new,
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'",
        "",
    )?;
    // Fails where not even the list of tables can be read.
    texts(&old, "SELECT name FROM sqlite_schema WHERE type = 'table'", "")?;
    let step = new.transaction()?;
    let report =
        tables.iter().map(|table| save_table(&old, &step, table)).collect::<rusqlite::Result<_>>()?;
    // Numbers are not given a second time.
    for table in &tables {
        let last =
            old.query_row("SELECT seq FROM sqlite_sequence WHERE name = ?1", [table], |row| row.get(0));
        if let Ok::<i64, _>(last) = last {
            step.execute(
                "UPDATE sqlite_sequence SET seq = MAX(seq, ?2) WHERE name = ?1",
                params![table, last],
            )?;
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
    let is_empty = Saved { table: table.to_owned(), saved: 0, lost: Some(0), is_safe: true };
    if columns.is_empty() {
        // An older program did not have it, or the list of tables has lost it.
        let had = texts(old, "SELECT name FROM sqlite_schema WHERE type = 'table' AND name = ?1", table);
        let is_new = had.is_ok_and(|had| had.is_empty());
        return Ok(Saved { is_safe: is_new, lost: is_new.then_some(0), ..is_empty });
    }
    let list = columns.join(", ");
    let marks = vec!["?"; columns.len()].join(", ");
    let mut put = new.prepare(&format!("INSERT OR IGNORE INTO {table} ({list}) VALUES ({marks})"))?;
    let has_number: bool = columns.iter().any(|name| name == "id");
    if !has_number {
        let mut rows = old.prepare(&format!("SELECT 0, {list} FROM {table}"))?;
        let mut saved = BTreeSet::new();
        let is_whole = copy(&mut rows, [i64::MIN, i64::MAX], &mut put, &mut saved, columns.len()).1;
        let count: i64 = new.query_row(&format!("SELECT COUNT(*) FROM {table}"), [], |row| row.get(0))?;
        return Ok(Saved {
            saved: usize::try_from(count).unwrap_or(0),
            lost: is_whole.then_some(0),
            ..is_empty
        });
    }
    let select = |order: &str| {
        format!("SELECT id, {list} FROM {table} NOT INDEXED WHERE id > ?1 AND id < ?2 ORDER BY id {order}")
    };
    let (mut up, mut down) = (old.prepare(&select("ASC"))?, old.prepare(&select("DESC"))?);
    let mut saved = BTreeSet::new();
    let mut is_whole = true;
    let mut floor = 0;
    loop {
        let (last, is_end) = copy(&mut up, [floor, i64::MAX], &mut put, &mut saved, columns.len());
        floor = last.unwrap_or(floor);
        if is_end {
            break;
        }
        is_whole = false;
        let next = beyond(&mut up, floor);
        copy(&mut down, [floor, next.unwrap_or(i64::MAX)], &mut put, &mut saved, columns.len());
        match next {
            // One below, so that it is read itself; and on, whatever becomes of it.
            Some(next) if next - 1 > floor => floor = next - 1,
            Some(next) => floor = next,
            None => break,
        }
    }
    let all = numbers(old, table, "sql IS NULL OR sql NOT LIKE '% WHERE %'", "");
    let open = numbers(old, table, "sql LIKE '%ended_at_s IS NULL%'", "WHERE ended_at_s IS NULL");
    let gone = |ids: &BTreeSet<i64>| ids.difference(&saved).count();
    let has_open = known.iter().any(|name| name == "ended_at_s");
    let is_safe = !has_open || open.as_ref().map_or(is_whole, |open| gone(open) == 0);
    let lost = all.as_ref().map(gone).or_else(|| is_whole.then_some(0));
    Ok(Saved { saved: saved.len(), lost, is_safe, ..is_empty })
}

/// Copies rows of these numbers until the end or the first that cannot be read. Returns the last number, and whether it was
/// the end.
fn copy(
    rows: &mut Statement<'_>,
    between: [i64; 2],
    put: &mut Statement<'_>,
    saved: &mut BTreeSet<i64>,
    width: usize,
) -> (Option<i64>, bool) {
    let mut last = None;
    let all = if rows.parameter_count() == 0 { rows.query([]) } else { rows.query(between) };
    let Ok(mut rows) = all else { return (None, false) };
    loop {
        let row = match rows.next() {
            Ok(Some(row)) => row,
            Ok(None) => return (last, true),
            Err(_) => return (last, false),
        };
        let values: rusqlite::Result<Vec<Value>> = (1..=width).map(|column| row.get(column)).collect();
        let (Ok(id), Ok(values)) = (row.get(0), values) else { return (last, false) };
        // What does not fit into the table makes no sense; it counts as lost.
        if put.execute(rusqlite::params_from_iter(values)).is_ok_and(|count| count == 1) {
            saved.insert(id);
        }
        last = Some(id);
    }
}

/// The first number that can be read beyond a place that cannot.
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
