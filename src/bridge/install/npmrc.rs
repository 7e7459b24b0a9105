//! The variables that a person's `.npmrc` files name (`//registry.example/:_authToken=${NPM_TOKEN}`): npm reads them from its
//! environment, which is an allow-list, and sends the text as it stands where one is missing.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::file;
use crate::world::World;

/// Longest `.npmrc` that is read.
const FILE_BYTES_MAX: u64 = 256 << 10;

/// Variables that change what a program is or does. npm never gets these, even if a file names them.
const NEVER: [&str; 6] =
    ["NODE_OPTIONS", "NODE_PATH", "LD_PRELOAD", "LD_LIBRARY_PATH", "DYLD_INSERT_LIBRARIES", "PATH"];

/// The variables that the files name.
#[derive(Debug, Default)]
pub(super) struct Variables {
    /// Variables that are set, for npm's environment.
    pub(super) set: Vec<(String, OsString)>,
    /// Variables that are not set, with the first file that names each.
    unset: Vec<(String, PathBuf)>,
}

impl Variables {
    /// Reads the person's file, the machine's and the one that npm came with.
    pub(super) fn of(world: &World, node: &Path, npm: &Path) -> Self {
        let mut variables = Self::default();
        let mut known = BTreeSet::new();
        for file in files(world, node, npm) {
            for (name, is_needed) in names(&read(&file)) {
                if !known.insert(name.clone()) || NEVER.contains(&name.as_str()) {
                    continue;
                }
                match world.var_os(&name) {
                    Some(value) => variables.set.push((name, value.to_owned())),
                    None if is_needed => variables.unset.push((name, file.clone())),
                    None => {}
                }
            }
        }
        variables
    }

    /// Returns the remedy for a missing variable.
    pub(super) fn unset_hint(&self) -> Option<String> {
        let (name, file) = self.unset.first()?;
        Some(format!("{} names ${{{name}}}, and {name} is not set: set it, and try again.", file.display()))
    }
}

/// Returns the places where npm looks for settings besides the folder in which it works.
fn files(world: &World, node: &Path, npm: &Path) -> Vec<PathBuf> {
    let named = |wanted: &str| {
        let mut names = world.vars().filter_map(|(name, _)| name.to_str());
        world.var_path(names.find(|name| name.eq_ignore_ascii_case(wanted))?)
    };
    let user = named("npm_config_userconfig").or_else(|| Some(world.var_path("HOME")?.join(".npmrc")));
    let prefix = node.canonicalize().ok().and_then(|node| Some(node.parent()?.parent()?.to_owned()));
    let global = named("npm_config_globalconfig").or_else(|| Some(prefix?.join("etc/npmrc")));
    // `npm` is a link to `…/npm/bin/npm-cli.js`.
    let builtin = npm.canonicalize().ok().and_then(|npm| Some(npm.parent()?.parent()?.join("npmrc")));
    [user, global, builtin].into_iter().flatten().collect()
}

/// Returns the text of a file; one that cannot be read counts as empty, and npm itself reports it.
fn read(path: &Path) -> String {
    let bytes = file::read(path, FILE_BYTES_MAX).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Returns the names in `${NAME}` and `${NAME?}`, each with whether npm keeps the text where it is not set. Comments are
/// skipped.
fn names(text: &str) -> Vec<(String, bool)> {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with([';', '#']));
    let mut found = Vec::new();
    for line in lines {
        for (at, _) in line.match_indices("${") {
            let is_escaped = line[..at].bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1;
            let Some((name, _)) = line[at + 2..].split_once('}') else { continue };
            let needed = name.strip_suffix('?').is_none();
            let name = name.trim_end_matches('?');
            if !is_escaped && !name.is_empty() && !name.contains(['$', '{', '?']) {
                found.push((name.to_owned(), needed));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_variables_are_passed_and_missing_ones_are_told() {
        let dir = tempfile::tempdir().unwrap();
        let text = "# ${COMMENTED}\n//a.test/:_authToken=${TOKEN}\n//b.test/:_password=${MISSING}\n\
                    user=${MAYBE?}\nx=\\${ESCAPED}\nnode-options=${NODE_OPTIONS}\n";
        crate::durable::write_atomic(&dir.path().join(".npmrc"), text.as_bytes()).unwrap();
        let nowhere = Path::new("/nowhere/bin/x");
        let home = dir.path().to_owned().into_os_string();
        let set = |name: &str| (name.to_owned(), OsString::from("x"));
        let world = World::of_env([
            ("HOME".to_owned(), home.clone()),
            set("TOKEN"),
            set("COMMENTED"),
            set("ESCAPED"),
            set("NODE_OPTIONS"),
            set("OTHER"),
        ]);
        let variables = Variables::of(&world, nowhere, nowhere);
        assert_eq!(variables.set, [("TOKEN".to_owned(), OsString::from("x"))]);
        let hint = variables.unset_hint().unwrap();
        assert!(hint.contains(".npmrc names ${MISSING}, and MISSING is not set"), "{hint}");
        let elsewhere = World::of_env([
            ("NPM_CONFIG_USERCONFIG".to_owned(), dir.path().join("none").into_os_string()),
            ("HOME".to_owned(), home),
        ]);
        assert!(Variables::of(&elsewhere, nowhere, nowhere).unset_hint().is_none());
    }
}
