//! Gathers the [`Facts`] that preflight judges: no network, and no child but a cached `node --version`. It changes nothing.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::bridge::{install, toolchain};
use crate::config::Config;
use crate::durable::Lock;
use crate::home::{HermesHome, WhatsAppPaths};
use crate::pairing::{self, Pairing};
use crate::platform::Platform;
use crate::preflight::agent::ProgramFact;
use crate::preflight::time::ZoneFact;
use crate::preflight::{Facts, LockFact, SessionFact};
use crate::world::World;

/// Looks at everything once. Takes under 50 ms when the Node version is cached.
pub fn gather(world: &World, home: &HermesHome, config: &Config) -> Facts {
    let paths = home.whatsapp();
    let access = config.access(Platform::Whatsapp);
    Facts {
        enabled: config.whatsapp.enabled,
        node: toolchain::find_node(world, home, config),
        bridge: install::check(home),
        session_dir: paths.session_dir().to_owned(),
        session: session(&paths),
        lock: lock(&paths),
        mode: config.whatsapp.mode,
        allowed: access.allowed.clone(),
        allowed_rejects: access.allowed_rejects.clone(),
    }
}

/// Whether this program can be started: by its path, or by its name on the `PATH`.
pub fn program(world: &World, name: &str) -> ProgramFact {
    let mut found = which::which_in_global(name, world.var("PATH")).into_iter().flatten();
    let path = Path::new(name);
    match found.next() {
        Some(_) => ProgramFact::Found,
        None if path.is_absolute() && path.is_file() => ProgramFact::NotExecutable,
        None => ProgramFact::Missing,
    }
}

/// The time zone that this process follows.
pub fn zone(world: &World) -> ZoneFact {
    match (jiff::tz::TimeZone::try_system(), world.var("TZ")) {
        (Ok(_), _) => ZoneFact::Known,
        (Err(_), Some(name)) => ZoneFact::Unknown { name: name.to_owned() },
        (Err(_), None) => ZoneFact::NotSet,
    }
}

/// The state of the session folder: what its credentials say, and whether they can be read and replaced.
pub fn session(paths: &WhatsAppPaths) -> SessionFact {
    let dir = paths.session_dir();
    let creds = match read(&paths.creds()) {
        Ok(creds) => creds,
        Err(error) => return SessionFact::Unreadable { why: format!("creds.json: {error}") },
    };
    if let Err(why) = writable(dir) {
        return SessionFact::Unreadable { why };
    }
    let verdict = pairing::verdict(creds.as_deref());
    let why = match &verdict {
        Pairing::Corrupt { why } => why.clone(),
        Pairing::Unpaired if creds.is_none() => "creds.json is missing".to_owned(),
        Pairing::Paired { .. } | Pairing::Unpaired | Pairing::HalfPaired => {
            return SessionFact::Judged(verdict);
        }
    };
    // The bridge restores this copy when it starts, and only when there is nothing better.
    let copy = read(&paths.creds_backup()).ok().flatten();
    match pairing::verdict(copy.as_deref()) {
        Pairing::Paired { me } => SessionFact::Restorable { why, me },
        Pairing::HalfPaired if creds.is_none() => SessionFact::Judged(Pairing::HalfPaired),
        Pairing::HalfPaired | Pairing::Unpaired | Pairing::Corrupt { .. } => SessionFact::Judged(verdict),
    }
}

/// `None` when there is no such file. Credentials have some kilobytes; more than the limit is read as cut off.
fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    const CREDS_BYTES_MAX: u64 = 1 << 20;
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    file.take(CREDS_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// Whether the bridge can replace files in the folder; a folder that is not there yet is made when it is needed.
fn writable(dir: &Path) -> Result<(), String> {
    use rustix::fs::Access;
    if !dir.exists() {
        return Ok(());
    }
    rustix::fs::access(dir, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK)
        .map_err(|error| format!("its folder: {}", io::Error::from(error)))
}

/// Who uses the session.
pub fn lock(paths: &WhatsAppPaths) -> LockFact {
    match Lock::holder(&paths.session_lock()) {
        Ok(Some(holder)) => LockFact::Held { pid: holder.pid },
        // A lock file that cannot be opened is told when the bridge wants it, by the launcher.
        Ok(None) | Err(_) => LockFact::Free,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::durable::{create_private_dir, write_atomic};

    const KEYS: &str = r#""noiseKey":{"private":""},"signedIdentityKey":{"private":""},"signedPreKey":{"keyPair":
        {"private":""}},"registrationId":7,"advSecretKey":"","registered":true"#;
    const ACCOUNT: &str =
        r#""account":{"details":"CgQ=","accountSignature":"AA==","deviceSignature":"AA=="}"#;

    fn paired() -> String {
        format!(r#"{{{KEYS},{ACCOUNT},"me":{{"id":"15550001111:7@s.whatsapp.net"}}}}"#)
    }

    fn half() -> String {
        format!(r#"{{{KEYS},"me":{{"id":"15550001111@s.whatsapp.net"}}}}"#)
    }

    fn judge(creds: Option<&str>, backup: Option<&str>) -> SessionFact {
        let dir = tempfile::tempdir().unwrap();
        let paths = HermesHome::at(dir.path()).whatsapp();
        create_private_dir(paths.session_dir()).unwrap();
        for (path, text) in [(paths.creds(), creds), (paths.creds_backup(), backup)] {
            if let Some(text) = text {
                write_atomic(&path, text.as_bytes()).unwrap();
            }
        }
        session(&paths)
    }

    #[test]
    fn the_session_is_judged_with_its_copy() {
        use SessionFact::{Judged, Restorable};
        let (paired, half) = (paired(), half());
        assert_eq!(judge(None, None), Judged(Pairing::Unpaired));
        assert!(matches!(judge(Some(&paired), None), Judged(Pairing::Paired { .. })));
        assert!(matches!(judge(Some(&paired), Some("")), Judged(Pairing::Paired { .. })));
        assert_eq!(judge(Some(&half), Some(&paired)), Judged(Pairing::HalfPaired));
        assert!(matches!(judge(Some(""), None), Judged(Pairing::Corrupt { .. })));
        assert!(matches!(judge(Some(""), Some(&half)), Judged(Pairing::Corrupt { .. })));
        assert!(matches!(judge(Some("{\"me"), Some("{")), Judged(Pairing::Corrupt { .. })));
        assert!(matches!(judge(Some(""), Some(&paired)), Restorable { .. }));
        assert!(matches!(judge(None, Some(&paired)), Restorable { .. }));
        assert_eq!(judge(None, Some(&half)), Judged(Pairing::HalfPaired));
    }

    #[test]
    fn what_cannot_be_read_is_not_taken_for_missing() {
        let dir = tempfile::tempdir().unwrap();
        let paths = HermesHome::at(dir.path()).whatsapp();
        assert_eq!(session(&paths), SessionFact::Judged(Pairing::Unpaired), "no folder at all");
        create_private_dir(&paths.creds()).unwrap();
        assert!(matches!(session(&paths), SessionFact::Unreadable { .. }));
    }

    #[test]
    fn a_used_session_names_its_user() {
        let dir = tempfile::tempdir().unwrap();
        let paths = HermesHome::at(dir.path()).whatsapp();
        create_private_dir(&dir.path().join("whatsapp")).unwrap();
        assert_eq!(lock(&paths), LockFact::Free);
        let held = Lock::acquire(&paths.session_lock()).unwrap();
        assert_eq!(lock(&paths), LockFact::Held { pid: Some(std::process::id()) });
        drop(held);
        assert_eq!(lock(&paths), LockFact::Free);
    }

    #[test]
    fn looking_creates_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let home = HermesHome::at(dir.path().join("none"));
        gather(&World::of_env([("PATH", "/usr/bin:/bin")]), &home, &Config::default());
        assert!(!home.root().exists());
    }
}
