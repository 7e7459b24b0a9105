//! Writes what the plan takes: every file whole beside its place first, then all of them put in place. What fails before that leaves
//! everything as it was; what fails there is taken back.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::found::Found;
use super::plan::{Outcome, Plan};
use super::toml_text;
use crate::durable::{self, Staged};
use crate::error::CliError;
use crate::file;
use crate::home::HermesHome;

/// A session has thousands of small files, at most.
const SESSION_FILES_MAX: usize = 100_000;

/// Files that are written and not in their places.
#[derive(Debug)]
pub struct Prepared {
    files: Vec<Piece>,
    /// A copied session, and its place.
    session: Option<(CopiedFolder, PathBuf)>,
}

/// One file.
#[derive(Debug)]
struct Piece {
    path: PathBuf,
    staged: Staged,
    /// The content before.
    before: Option<Vec<u8>>,
}

/// A folder that goes away unless it is put in its place.
#[derive(Debug)]
struct CopiedFolder(PathBuf);

impl Drop for CopiedFolder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// Writes everything beside its place.
///
/// # Errors
/// When something cannot be written, or `cancel` says to stop. Nothing is changed then.
pub fn prepare(
    home: &HermesHome,
    found: &Found,
    plan: &Plan,
    cancel: &CancellationToken,
) -> Result<Prepared, CliError> {
    durable::create_private_dir(home.root()).map_err(|error| unwritable(home.root(), error))?;
    let session = match &plan.session {
        Some(from) => Some(copy_session(home, from, cancel)?),
        None => None,
    };
    let mut prepared = Prepared { files: Vec::new(), session };
    if !plan.toml.is_empty() {
        let text = toml_text::with(&found.own_toml, &plan.toml).expect("the plan was made for this text");
        prepared.stage(home.config_file(), text.as_bytes())?;
    }
    if !plan.env.is_empty() {
        let mut env = found.own_env.clone();
        for (name, value) in &plan.env {
            env.set(name, &value.0).map_err(|error| {
                CliError::config(format!("{} cannot be written: {error}", home.env_file().display()))
                    .hint("Correct the line, and run `hermes migrate --apply` again.")
            })?;
        }
        prepared.stage(home.env_file(), env.bytes())?;
    }
    let record = record(found, plan);
    if file::read(home.migration_file(), file::OWN_LEN_MAX).ok().as_deref() != Some(record.as_bytes()) {
        prepared.stage(home.migration_file(), record.as_bytes())?;
    }
    if cancel.is_cancelled() { Err(CliError::interrupted()) } else { Ok(prepared) }
}

/// Facts that no settings show: who was admitted, so that they are not admitted again once they are revoked; and what a person was told of.
fn record(found: &Found, plan: &Plan) -> String {
    let mut people = found.taken_people.clone();
    people.extend(plan.people.iter().map(|person| person.mark.clone()));
    let told = [Outcome::Decision, Outcome::NotSupported].into_iter().flat_map(|outcome| plan.of(outcome));
    let told: BTreeSet<&str> =
        told.map(|item| item.what.as_str()).chain(found.told.iter().map(String::as_str)).collect();
    let document = json!({ "kind": "hermes-migration", "schema": 1, "people": people, "told": told });
    format!("{document:#}\n")
}

impl Prepared {
    fn stage(&mut self, path: PathBuf, bytes: &[u8]) -> Result<(), CliError> {
        let before = match file::read(&path, file::OWN_LEN_MAX) {
            Ok(before) => Some(before),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(unwritable(&path, error)),
        };
        let staged = durable::stage_through(&path, bytes).map_err(|error| unwritable(&path, error))?;
        self.files.push(Piece { path, staged, before });
        Ok(())
    }

    /// Puts everything in its place.
    ///
    /// # Errors
    /// When a file cannot be put in its place; those that were are taken back.
    pub fn commit(self) -> Result<(), CliError> {
        let Self { files, session } = self;
        let mut done: Vec<(PathBuf, Option<Vec<u8>>)> = Vec::new();
        for Piece { path, staged, before } in files {
            let result = staged.commit();
            done.push((path, before));
            if let Err(error) = result {
                let path = done.last().map(|(path, _)| path.clone()).unwrap_or_default();
                take_back(done);
                return Err(unwritable(&path, error));
            }
        }
        if let Some((copy, place)) = session
            && let Err(error) = durable::rename(&copy.0, &place)
        {
            take_back(done);
            return Err(unwritable(&place, error));
        }
        Ok(())
    }
}

fn take_back(done: Vec<(PathBuf, Option<Vec<u8>>)>) {
    for (path, before) in done.into_iter().rev() {
        match before {
            Some(bytes) => drop(durable::write_through(&path, &bytes)),
            None => drop(std::fs::remove_file(&path)),
        }
    }
}

/// The files of a session, and no folder in it: WhatsApp's library makes none.
fn copy_session(
    home: &HermesHome,
    from: &Path,
    cancel: &CancellationToken,
) -> Result<(CopiedFolder, PathBuf), CliError> {
    let place = home.whatsapp().session_dir().to_owned();
    let copy = CopiedFolder(place.with_extension("migrating"));
    match std::fs::remove_dir_all(&copy.0) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(unwritable(&copy.0, error)),
        Ok(()) | Err(_) => {}
    }
    durable::create_private_dir(&copy.0).map_err(|error| unwritable(&copy.0, error))?;
    let unreadable = |error| CliError::file(format!("cannot read {}", from.display()), from, error);
    for (count, entry) in std::fs::read_dir(from).map_err(unreadable)?.enumerate() {
        if cancel.is_cancelled() {
            return Err(CliError::interrupted());
        }
        if count >= SESSION_FILES_MAX {
            return Err(CliError::failed(format!("{} holds too many files for a session", from.display())));
        }
        let entry = entry.map_err(unreadable)?;
        if !entry.file_type().map_err(unreadable)?.is_file() {
            continue;
        }
        let bytes = file::read(entry.path(), file::OWN_LEN_MAX).map_err(unreadable)?;
        let target = copy.0.join(entry.file_name());
        durable::write_atomic(&target, &bytes).map_err(|error| unwritable(&target, error))?;
    }
    Ok((copy, place))
}

fn unwritable(path: &Path, error: io::Error) -> CliError {
    CliError::file(format!("cannot write {}", path.display()), path, error)
}
