//! Closes secrets that other users could read, at the start: a file written by hand often has open permissions.

use std::borrow::Cow;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::home::HermesHome;
use crate::ownership::{Owned, Standing, Us};
use crate::{file, redact};

/// Closes our files, and reports it in one line. Files of another user are left as they are, and reported as well. A home of
/// a group stays open to that group.
pub fn tighten(home: &HermesHome) {
    let us = Us::now();
    let (mut closed, mut left, mut is_harmless) = (Vec::new(), Vec::new(), true);
    let Ok(folder) = home.root().metadata().map(|metadata| Owned::from(&metadata)) else { return };
    if us.standing(folder) == Standing::OfGroup {
        tracing::info!(
            code = "home_of_group",
            "The home folder belongs to a group of this user and is shared with it"
        );
    }
    for (path, mode) in home.private_paths() {
        // Where the database is a symbolic link, its target may be any file. The store closes it once it knows that it is a
        // database.
        if path == home.database() && path.is_symlink() {
            continue;
        }
        let Some(metadata) = path.metadata().ok().filter(|found| HermesHome::is_of_kind(found, mode)) else {
            continue;
        };
        let (name, file) = (path.display(), Owned::from(&metadata));
        let open = us.open_bits(folder, file);
        if file.uid != us.uid {
            // A home that is closed to all but us is meant for us.
            if open != 0 {
                left.push(format!("{name} (of another user, {:o})", file.mode & 0o777));
            }
        } else if open != 0 {
            let was = file.mode & 0o777;
            // Permissions that its owner does not have stay off.
            match std::fs::set_permissions(&path, Permissions::from_mode(was & !open)) {
                Ok(()) => {
                    closed.push(format!("{name} (was {was:o})"));
                    is_harmless &= was_harmless(home, &path, open);
                }
                Err(error) => left.push(format!("{name} ({error})")),
            }
        }
    }
    if !closed.is_empty() && is_harmless {
        tracing::info!(code = "modes_tightened", "Restricted permissions on {}", closed.join(", "));
    } else if !closed.is_empty() {
        tracing::warn!(code = "modes_tightened", "Restricted permissions on {}", closed.join(", "));
    }
    if !left.is_empty() {
        tracing::warn!(
            code = "modes_open",
            "Other users may be able to read private files: {}. Run `hermes doctor`",
            left.join(", ")
        );
    }
}

/// True of settings without a secret that others could read but not write, as an editor makes them.
pub fn was_harmless(home: &HermesHome, path: &Path, open: u32) -> bool {
    const WRITE: u32 = 0o022;
    let has_no_secret = || {
        let text = file::read_text(path, file::SETTINGS_LEN_MAX);
        text.is_ok_and(|text| matches!(redact::shapes(&text), Cow::Borrowed(_)))
    };
    open & WRITE == 0 && path == home.config_file() && has_no_secret()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn settings_that_others_could_only_read_are_worth_no_warning_unless_they_hold_a_secret() {
        let dir = tempfile::tempdir().unwrap();
        let home = HermesHome::at(dir.path());
        let harmless = |text: &str, path: std::path::PathBuf, open: u32| {
            crate::durable::write_atomic(&path, text.as_bytes()).unwrap();
            was_harmless(&home, &path, open)
        };
        let settings = "[agent]\nkind = \"echo\"\n";
        assert!(harmless(settings, home.config_file(), 0o044));
        assert!(!harmless(settings, home.config_file(), 0o064));
        assert!(!harmless(settings, home.env_file(), 0o044));
        let secret = format!("key = \"sk-{}\"\n", "abcd1234".repeat(5));
        assert!(!harmless(&secret, home.config_file(), 0o044));
    }

    #[test]
    fn what_is_ours_and_open_is_closed_and_nothing_else_is_touched() {
        let dir = tempfile::tempdir().unwrap();
        let home = HermesHome::at(dir.path());
        let mode = |name: &str| dir.path().join(name).metadata().unwrap().mode() & 0o777;
        let write = |name: &str, mode: u32| {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            crate::durable::write_atomic(&path, b"x").unwrap();
            std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        };
        write(".env", 0o644);
        write("gateway.toml", 0o400);
        write("whatsapp/session/creds.json", 0o660);
        write("notes.txt", 0o644);
        std::os::unix::fs::symlink("notes.txt", home.database()).unwrap();
        std::fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
        std::fs::set_permissions(dir.path().join("whatsapp/session"), Permissions::from_mode(0o750)).unwrap();
        tighten(&home);
        assert_eq!(dir.path().metadata().unwrap().mode() & 0o777, 0o700);
        let seen = [".env", "gateway.toml", "whatsapp/session", "whatsapp/session/creds.json", "notes.txt"];
        assert_eq!(seen.map(mode), [0o600, 0o400, 0o700, 0o600, 0o644]);
    }
}
