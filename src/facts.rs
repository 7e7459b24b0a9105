//! Gathers the [`Facts`] that preflight judges: no network, and no child but a cached `node --version`. It changes nothing.

use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::bridge::session_lock;
use crate::bridge::{install, toolchain};
use crate::config::{AgentConfig, Config};
use crate::file;
use crate::home::{HermesHome, WhatsAppPaths};
use crate::pairing::{self, Pairing};
use crate::platforms::Platform;
use crate::preflight::agent::ProgramFact;
use crate::preflight::time::{self, ZoneFact};
use crate::preflight::trust::{self, TrustFact, TrustFault};
use crate::preflight::{Facts, Finding, SessionFact};
use crate::world::World;

/// Gathers all facts once. Takes under 50 ms when the Node version is cached.
pub fn gather(world: &World, home: &HermesHome, config: &Config) -> Facts {
    let paths = home.whatsapp();
    let access = config.access(Platform::Whatsapp);
    Facts {
        enabled: config.whatsapp.enabled,
        node: toolchain::find_node(world, home, config),
        bridge: install::check(home),
        session_dir: paths.session_dir().to_owned(),
        session: session(&paths),
        lock: session_lock(&paths),
        session_refused: session_refused(home, &paths),
        passkey_required: paths.passkey_mark().exists(),
        mode: config.whatsapp.mode,
        allowed: access.allowed.clone(),
        allowed_rejects: access.allowed_rejects.clone(),
    }
}

/// Checks that this program can be started: by its path, or by its name on the `PATH`.
pub fn program(world: &World, name: &str) -> ProgramFact {
    let mut found = which::which_in_global(name, world.var("PATH")).into_iter().flatten();
    let path = Path::new(name);
    match found.next() {
        Some(_) => ProgramFact::Found,
        None if path.is_absolute() && path.is_file() => ProgramFact::NotExecutable,
        None => ProgramFact::Missing,
    }
}

/// Returns the findings about the environment of this process.
pub fn environment(world: &World, config: &Config) -> Vec<Finding> {
    let zone = time::finding(config, &zone(world));
    let needs_trust = config.telegram.enabled || matches!(config.agent, AgentConfig::Openai(_));
    zone.into_iter().chain(trust::findings(&trust(world), needs_trust)).collect()
}

/// Returns the certificates that the environment names, as the TLS of this process and of Node reads them.
pub fn trust(world: &World) -> TrustFact {
    // An empty value is a path, too, and not the same as none.
    let named = |name: &str| world.vars().find(|(key, _)| *key == name).map(|(_, value)| value.to_owned());
    let fault = |variable, path: &Path, why| TrustFault { variable, path: path.to_owned(), why };
    let dirs = named("SSL_CERT_DIR").unwrap_or_default();
    let dirs = dirs.as_bytes().split(|byte| *byte == b':').filter(|dir| !dir.is_empty());
    let dirs = dirs.map(|dir| PathBuf::from(OsStr::from_bytes(dir)));
    let file = named("SSL_CERT_FILE").map(PathBuf::from);
    let looks = file
        .map(|file| ("SSL_CERT_FILE", certificates(&file), file))
        .into_iter()
        .chain(dirs.map(|dir| ("SSL_CERT_DIR", certificates_in(&dir), dir)));
    let mut fact = TrustFact::default();
    for (variable, look, path) in looks {
        match look {
            Ok(()) => fact.has_any = true,
            Err(why) => fact.faults.push(fault(variable, &path, why)),
        }
    }
    // Node takes an empty value for none.
    let further = named("NODE_EXTRA_CA_CERTS").filter(|value| !value.is_empty()).map(PathBuf::from);
    fact.node = further.and_then(|file| {
        let why = certificates(&file).err()?;
        Some(fault("NODE_EXTRA_CA_CERTS", &file, why))
    });
    fact
}

/// The longest file of certificates; that of a system has some hundred kilobytes.
const CERTIFICATES_LEN_MAX: u64 = 64 << 20;

/// Checks that this file holds a certificate.
fn certificates(path: &Path) -> Result<(), String> {
    let bytes = file::read(path, CERTIFICATES_LEN_MAX).map_err(|error| error.to_string())?;
    if CertificateDer::pem_slice_iter(&bytes).any(|certificate| certificate.is_ok()) {
        Ok(())
    } else {
        Err("it holds no certificate in PEM format".to_owned())
    }
}

/// Checks that a file of this folder does.
fn certificates_in(dir: &Path) -> Result<(), String> {
    let mut entries = std::fs::read_dir(dir).map_err(|error| error.to_string())?.flatten();
    if entries.any(|entry| entry.path().is_file() && certificates(&entry.path()).is_ok()) {
        Ok(())
    } else {
        Err("no file in it holds a certificate in PEM format".to_owned())
    }
}

/// Returns the time zone that this process follows.
pub fn zone(world: &World) -> ZoneFact {
    match (jiff::tz::TimeZone::try_system(), world.var("TZ")) {
        (Ok(zone), Some(name)) if time::is_reversed(name) => {
            let offset_s = zone.to_offset(jiff::Timestamp::UNIX_EPOCH).seconds();
            ZoneFact::Reversed { name: name.to_owned(), offset_s }
        }
        (Ok(_), _) => ZoneFact::Known,
        (Err(_), Some(name)) => ZoneFact::Unknown { name: name.to_owned() },
        (Err(_), None) => ZoneFact::NotSet,
    }
}

/// Returns the state of the session folder: the verdict on its credentials, and whether they can be read and replaced.
pub fn session(paths: &WhatsAppPaths) -> SessionFact {
    let dir = paths.session_dir();
    if let Err(why) = writable(dir) {
        return SessionFact::Unreadable { why, obstacle: None };
    }
    if let Some(unreadable) = unreadable_file(dir) {
        return unreadable;
    }
    let creds = match read(&paths.creds()) {
        Ok(creds) => creds,
        Err(error) => {
            return SessionFact::Unreadable { why: format!("creds.json: {error}"), obstacle: None };
        }
    };
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

/// Most files of a session that are checked. A folder with a thousand contacts has about four thousand.
const FILES_MAX: usize = 20_000;

/// Returns the first file that the bridge could not read. It would end at the message that needs it, and at each start again.
fn unreadable_file(dir: &Path) -> Option<SessionFact> {
    // A folder that is not there yet has no such file.
    let entries = std::fs::read_dir(dir).ok()?;
    entries.take(FILES_MAX).filter_map(Result::ok).find_map(|entry| {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if ![".json", ".json.bak"].iter().any(|end| name.ends_with(end)) {
            return None;
        }
        let kind = entry.file_type().ok()?;
        // A link that leads nowhere is read as a missing file.
        let kind = if kind.is_symlink() { path.metadata().ok()?.file_type() } else { kind };
        if !kind.is_file() {
            let what = if kind.is_dir() { "a directory" } else { "not a regular file" };
            return Some(SessionFact::Unreadable { why: format!("{name} is {what}"), obstacle: Some(path) });
        }
        let error = rustix::fs::access(&path, rustix::fs::Access::READ_OK).err()?;
        let why = format!("{name}: {}", io::Error::from(error));
        Some(SessionFact::Unreadable { why, obstacle: None })
    })
}

/// Reads a file; `None` when it does not exist. Credentials have some kilobytes; a longer file is read as cut off.
fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    const CREDS_BYTES_MAX: u64 = 1 << 20;
    let file = match file::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    file.take(CREDS_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// Checks that the bridge can replace files in the folder; a folder that is not there yet is made when it is needed.
fn writable(dir: &Path) -> Result<(), String> {
    use rustix::fs::Access;
    if !dir.exists() {
        return Ok(());
    }
    rustix::fs::access(dir, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK)
        .map_err(|error| format!("its folder: {}", io::Error::from(error)))
}

/// True when the gateway last saw WhatsApp refuse this session, as its status says; a session written later is another.
fn session_refused(home: &HermesHome, paths: &WhatsAppPaths) -> bool {
    let changed = |path: &Path| path.metadata().and_then(|data| data.modified()).ok();
    let path = home.state_file();
    let (Some(told), Some(written)) = (changed(&path), changed(&paths.creds())) else { return false };
    let status: serde_json::Value = match read(&path) {
        Ok(Some(bytes)) => serde_json::from_slice(&bytes).unwrap_or_default(),
        Ok(None) | Err(_) => return false,
    };
    let refused = ["whatsapp_logged_out", "whatsapp_forbidden"];
    let code = status["platforms"]["whatsapp"]["error_code"].as_str();
    written <= told && code.is_some_and(|code| refused.contains(&code))
}

/// True when it was set up, enabled or not.
pub fn is_set_up(platform: Platform, home: &HermesHome, config: &Config) -> bool {
    match platform {
        Platform::Whatsapp => match session(&home.whatsapp()) {
            SessionFact::Judged(Pairing::Paired { .. }) | SessionFact::Restorable { .. } => true,
            SessionFact::Judged(Pairing::Unpaired | Pairing::HalfPaired | Pairing::Corrupt { .. })
            | SessionFact::Unreadable { .. } => false,
        },
        Platform::Telegram => config.telegram.token.is_some(),
        Platform::Scripted(_) => true,
    }
}

/// Returns the step that turns a platform on; a sentence.
pub fn way_on(platform: Platform, home: &HermesHome, config: &Config) -> String {
    let spec = platform.spec();
    if !is_set_up(platform, home, config) {
        format!("Run `{}`.", spec.setup)
    } else if config.platform(platform).is_turned_off() {
        format!("Remove `enabled = false` from `[platforms.{}]` in gateway.toml.", spec.name)
    } else {
        format!("Run `{} enable`.", spec.setup)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::durable::{Lock, create_private_dir, write_atomic};
    use crate::preflight::LockFact;

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
    fn a_session_that_whatsapp_refused_is_known_by_the_gateways_status_until_it_is_written_again() {
        let dir = tempfile::tempdir().unwrap();
        let home = HermesHome::at(dir.path());
        let paths = home.whatsapp();
        let tell = |code: &str| {
            let status = serde_json::json!({ "platforms": { "whatsapp": { "error_code": code } } });
            write_atomic(&home.state_file(), status.to_string().as_bytes()).unwrap();
        };
        create_private_dir(paths.session_dir()).unwrap();
        write_atomic(&paths.creds(), paired().as_bytes()).unwrap();
        assert!(!session_refused(&home, &paths));
        tell("whatsapp_bridge_exited");
        assert!(!session_refused(&home, &paths));
        tell("whatsapp_logged_out");
        assert!(session_refused(&home, &paths));
        let told = home.state_file().metadata().unwrap().modified().unwrap();
        let later = told + std::time::Duration::from_mins(1);
        std::fs::File::options().append(true).open(paths.creds()).unwrap().set_modified(later).unwrap();
        assert!(!session_refused(&home, &paths), "it was paired again since");
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
    fn a_key_that_cannot_be_read_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let paths = HermesHome::at(dir.path()).whatsapp();
        create_private_dir(paths.session_dir()).unwrap();
        write_atomic(&paths.creds(), paired().as_bytes()).unwrap();
        write_atomic(&paths.session_dir().join("pre-key-1.json"), b"{}").unwrap();
        // A folder that is not the bridge's does no harm.
        create_private_dir(&paths.session_dir().join("backup")).unwrap();
        std::os::unix::fs::symlink("nowhere", paths.session_dir().join("session-1.0.json")).unwrap();
        assert!(matches!(session(&paths), SessionFact::Judged(Pairing::Paired { .. })));

        let key = paths.session_dir().join("lid-mapping-15550002222.json");
        create_private_dir(&key).unwrap();
        let why = "lid-mapping-15550002222.json is a directory".to_owned();
        assert_eq!(session(&paths), SessionFact::Unreadable { why, obstacle: Some(key.clone()) });

        std::fs::remove_dir(&key).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, &key, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        let why = "lid-mapping-15550002222.json is not a regular file".to_owned();
        assert_eq!(session(&paths), SessionFact::Unreadable { why, obstacle: Some(key) });
    }

    #[test]
    fn a_used_session_names_its_user() {
        let dir = tempfile::tempdir().unwrap();
        let paths = HermesHome::at(dir.path()).whatsapp();
        create_private_dir(&dir.path().join("whatsapp")).unwrap();
        assert_eq!(session_lock(&paths), LockFact::Free);
        let held = Lock::acquire(&paths.session_lock()).unwrap();
        assert_eq!(session_lock(&paths), LockFact::Held { pid: Some(std::process::id()) });
        drop(held);
        assert_eq!(session_lock(&paths), LockFact::Free);
    }

    #[test]
    fn looking_creates_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let home = HermesHome::at(dir.path().join("none"));
        gather(&World::of_env([("PATH", "/usr/bin:/bin")]), &home, &Config::default());
        assert!(!home.root().exists());
    }
}
