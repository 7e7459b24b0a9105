//! `HERMES_HOME`: all paths below it are made here and nowhere else.

use std::path::{Path, PathBuf};

use crate::error::CliError;
use crate::world::World;

/// The home folder of one hermes installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HermesHome {
    root: PathBuf,
}

impl HermesHome {
    /// Finds the home: `$HERMES_HOME`, else `~/.hermes`. The folder need not exist yet.
    ///
    /// # Errors
    /// When neither `HERMES_HOME` nor `HOME` is set, or the one that counts is not a whole path.
    pub fn find(world: &World) -> Result<Self, CliError> {
        let (name, root) = match (world.var_path("HERMES_HOME"), world.var_path("HOME")) {
            (Some(root), _) => ("HERMES_HOME", root),
            (None, Some(user)) => ("HOME", user.join(".hermes")),
            (None, None) => {
                return Err(CliError::config(
                    "the home folder is not known: neither HERMES_HOME nor HOME is set",
                )
                .hint("Set HERMES_HOME to a folder of yours."));
            }
        };
        let shown = root.display().to_string();
        if root.is_absolute() && !shown.contains(char::is_control) {
            return Ok(Self { root });
        }
        // Elsewhere it would be another folder: in a service, in a terminal, after `cd`.
        Err(CliError::config(format!(
            "{name} is `{}`, which is not an absolute path",
            shown.escape_debug()
        ))
        .code("home_not_absolute")
        .hint(
            "Use an absolute path, such as HERMES_HOME=/home/you/.hermes. `~/.hermes` works, too; other abbreviations \
             (`~user`, `$HOME`, `%h`) are not expanded inside quotes and environment files.",
        ))
    }

    /// Makes a home at this folder.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// True when a hermes-agent has used this home: it leaves files that we never make.
    pub fn has_hermes_agent(&self) -> bool {
        const SIGNS: [&str; 7] = [
            "config.yaml",
            "gateway.json",
            "SOUL.md",
            "state.db",
            "cron/jobs.json",
            "pairing",
            "platforms/pairing",
        ];
        SIGNS.iter().any(|sign| self.root.join(sign).exists())
    }

    /// The file of settings as `NAME=value`, shared with hermes-agent.
    pub fn env_file(&self) -> PathBuf {
        self.root.join(".env")
    }

    /// The file of our own settings.
    pub fn config_file(&self) -> PathBuf {
        self.root.join("gateway.toml")
    }

    /// The file of the gateway's published state.
    pub fn state_file(&self) -> PathBuf {
        self.root.join("gateway_state.json")
    }

    /// The file with the pid of the running gateway, for people. Only the lock decides.
    pub fn pid_file(&self) -> PathBuf {
        self.root.join("gateway.pid")
    }

    /// The lock file, held (flock) by the running gateway until it ends.
    pub fn lock_file(&self) -> PathBuf {
        self.root.join("gateway.lock")
    }

    /// The control socket of a running gateway.
    pub fn control_socket(&self) -> PathBuf {
        self.root.join("gateway.sock")
    }

    /// The store.
    pub fn database(&self) -> PathBuf {
        self.root.join("gateway.db")
    }

    /// The record of recent starts without an orderly end.
    pub fn boots_file(&self) -> PathBuf {
        self.root.join("gateway.boots")
    }

    /// Record of `hermes migrate`: what it took over that no settings show.
    pub fn migration_file(&self) -> PathBuf {
        self.root.join("migration.json")
    }

    /// The folder of log files.
    pub fn logs_dir(&self) -> PathBuf {
        self.root.join("logs")
    }

    /// The private paths, which only their owner may read, with the mode that each should have.
    pub fn private_paths(&self) -> Vec<(PathBuf, u32)> {
        let whatsapp = self.whatsapp();
        vec![
            (self.root.clone(), 0o700),
            (self.env_file(), 0o600),
            (self.config_file(), 0o600),
            (self.migration_file(), 0o600),
            (self.database(), 0o600),
            (whatsapp.session_dir().to_owned(), 0o700),
            (whatsapp.creds(), 0o600),
            (whatsapp.creds_backup(), 0o600),
        ]
    }

    /// True when the file found at one of the [`HermesHome::private_paths`], with its mode there, is of the kind that belongs
    /// there: no other is ours.
    pub fn is_of_kind(found: &std::fs::Metadata, mode: u32) -> bool {
        if mode == 0o700 { found.is_dir() } else { found.is_file() }
    }

    /// Telegram's paths.
    pub fn telegram(&self) -> TelegramPaths {
        TelegramPaths { root: self.root.join("telegram") }
    }

    /// WhatsApp's paths.
    pub fn whatsapp(&self) -> WhatsAppPaths {
        let old = self.root.join("whatsapp").join("session");
        let new = self.root.join("platforms").join("whatsapp").join("session");
        let session = if !holds_session(&old) && holds_session(&new) { new } else { old };
        WhatsAppPaths { root: self.root.join("whatsapp"), session }
    }
}

/// The folder of the token locks, one for all homes of a user: `$HERMES_GATEWAY_LOCK_DIR`, else
/// `${XDG_STATE_HOME:-~/.local/state}/hermes/gateway-locks`. `None` when no variable gives its place.
pub fn token_locks_dir(world: &World) -> Option<PathBuf> {
    // The standard wants a relative path to be ignored.
    let state = || world.var_path("XDG_STATE_HOME").filter(|path| path.is_absolute());
    let ours = || Some(world.var_path("HOME")?.join(".local").join("state"));
    let below = |state: PathBuf| state.join("hermes").join("gateway-locks");
    let named = || world.var_path("HERMES_GATEWAY_LOCK_DIR").filter(|path| path.is_absolute());
    named().or_else(|| state().or_else(ours).map(below))
}

/// Returns a file that belongs to a database and stands beside it: `wal` is SQLite's own, the others are ours.
pub fn beside_database(database: &Path, ending: &str) -> PathBuf {
    let separator = if matches!(ending, "wal" | "shm") { "-" } else { "." };
    let mut name = database.as_os_str().to_owned();
    name.push(separator);
    name.push(ending);
    name.into()
}

/// Telegram's paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TelegramPaths {
    root: PathBuf,
}

impl TelegramPaths {
    /// The folder of downloaded attachments.
    pub fn media_dir(&self) -> PathBuf {
        self.root.join("media")
    }

    /// The folder of unreadable updates, set aside for people to look at.
    pub fn unreadable_dir(&self) -> PathBuf {
        self.root.join("unreadable")
    }
}

/// WhatsApp's paths. Every part asks here for the session folder, so that the wizard cannot pair into a folder that the
/// gateway does not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WhatsAppPaths {
    root: PathBuf,
    session: PathBuf,
}

impl WhatsAppPaths {
    /// The folder of Baileys' multi-file state: `whatsapp/session`, or hermes-agent's newer
    /// `platforms/whatsapp/session` when only that one holds a session.
    pub fn session_dir(&self) -> &Path {
        &self.session
    }

    /// True when there is a session, usable or not.
    pub fn has_session(&self) -> bool {
        holds_session(&self.session)
    }

    /// The credentials file: its content decides what "paired" means (see [`crate::pairing`]).
    pub fn creds(&self) -> PathBuf {
        self.session.join("creds.json")
    }

    /// The last good copy of the credentials.
    pub fn creds_backup(&self) -> PathBuf {
        self.session.join("creds.json.bak")
    }

    /// Returns the place for a session folder that is no longer used; `copy` counts from 1 and separates equal names.
    pub fn session_aside(&self, word: &str, stamp: &str, copy: u32) -> PathBuf {
        let copy = if copy > 1 { format!("-{copy}") } else { String::new() };
        self.session.with_extension(format!("{word}-{stamp}{copy}"))
    }

    /// The picture of a code, while a phone is being linked.
    pub fn qr_picture(&self) -> PathBuf {
        self.root.join("qr.png")
    }

    /// The mark that the last attempt to link ended because WhatsApp asked for a passkey.
    pub fn passkey_mark(&self) -> PathBuf {
        self.root.join("passkey-required")
    }

    /// The lock file of the session, held (flock) by the bridge process that uses it.
    pub fn session_lock(&self) -> PathBuf {
        self.session.with_extension("lock")
    }

    /// The folder with one folder per installed version of the bridge, named by its content's hash.
    pub fn bridge_root(&self) -> PathBuf {
        self.root.join("bridge")
    }

    /// The folder of inbound events that the gateway has not yet made durable.
    pub fn spool_dir(&self) -> PathBuf {
        self.root.join("spool")
    }

    /// The folder of downloaded attachments.
    pub fn media_dir(&self) -> PathBuf {
        self.root.join("media")
    }

    /// The folder of unreadable messages, set aside for people to look at.
    pub fn unreadable_dir(&self) -> PathBuf {
        self.root.join("unreadable")
    }

    /// The cached answer of `node --version`, with the identity of the program that was asked.
    pub fn node_cache(&self) -> PathBuf {
        self.root.join("node.json")
    }
}

fn holds_session(dir: &Path) -> bool {
    dir.join("creds.json").exists() || dir.join("creds.json.bak").exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_locks_are_where_the_user_wants_them_or_in_the_users_state() {
        let dir = |env: &[(&str, &str)]| token_locks_dir(&World::of_env(env.iter().copied()));
        let (lock, state, home) =
            (("HERMES_GATEWAY_LOCK_DIR", "/l"), ("XDG_STATE_HOME", "/s"), ("HOME", "/h"));
        assert_eq!(dir(&[lock, state, home]), Some("/l".into()));
        assert_eq!(dir(&[state, home]), Some("/s/hermes/gateway-locks".into()));
        let of_user = Some("/h/.local/state/hermes/gateway-locks".into());
        assert_eq!(dir(&[("XDG_STATE_HOME", "relative"), home]), of_user);
        assert_eq!(dir(&[("HERMES_GATEWAY_LOCK_DIR", "relative"), home]), of_user);
        assert_eq!(dir(&[("HERMES_GATEWAY_LOCK_DIR", "'~/l'"), home]), Some("/h/l".into()));
        assert_eq!(dir(&[]), None);
    }

    #[test]
    fn a_home_is_a_whole_path_and_a_tilde_is_the_users_home() {
        let find = |home: &str| HermesHome::find(&World::of_env([("HOME", "/h"), ("HERMES_HOME", home)]));
        for (text, expected) in
            [("", "/h/.hermes"), ("~/.hermes", "/h/.hermes"), ("'/srv/h' ", "/srv/h"), ("\"~\"", "/h")]
        {
            assert_eq!(find(text).unwrap().root(), Path::new(expected), "{text:?}");
        }
        for text in ["hermes", "./h", "~other/.hermes", "$HOME/.hermes", "%h/.hermes", "/a\nb"] {
            let error = find(text).unwrap_err();
            assert_eq!(error.exit(), crate::error::ExitCode::Config, "{text:?}");
            assert!(error.message.contains(&text.escape_debug().to_string()), "{}", error.message);
        }
        assert!(HermesHome::find(&World::of_env([("HOME", "relative")])).is_err());
    }

    #[test]
    fn hermes_agents_newer_session_folder_is_used_only_when_it_alone_holds_a_session() {
        let dir = tempfile::tempdir().unwrap();
        let home = HermesHome::at(dir.path());
        let old = dir.path().join("whatsapp/session");
        let new = dir.path().join("platforms/whatsapp/session");
        assert_eq!(home.whatsapp().session_dir(), old);
        std::fs::create_dir_all(&new).unwrap();
        assert_eq!(home.whatsapp().session_dir(), old, "an empty folder is no session");
        std::fs::File::create(new.join("creds.json")).unwrap();
        assert_eq!(home.whatsapp().session_dir(), new);
        std::fs::create_dir_all(&old).unwrap();
        std::fs::File::create(old.join("creds.json")).unwrap();
        assert_eq!(home.whatsapp().session_dir(), old);
    }
}
