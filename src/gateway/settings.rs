//! The settings in force. They are read again when their files change ([`crate::gateway::host::watch`]) and before each
//! attempt to connect, so that a change by the wizard in another terminal takes effect without a restart. Every change is
//! published to the subscribers; the loop is one of them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use tokio::sync::watch;

use crate::config::Config;
use crate::error::CliError;
use crate::home::HermesHome;
use crate::logging::Log;
use crate::world::World;

/// The source of the settings, and their last values.
pub struct Settings {
    /// The process environment.
    pub world: World,
    /// The home folder.
    pub home: HermesHome,
    newest: watch::Sender<Reading>,
    /// True when there was a `.env` at the last change: that it is not there any more is a fault, not a choice.
    had_env: AtomicBool,
    changed: OnceLock<OnChange>,
    log: OnceLock<Log>,
}

/// Called with each change.
type OnChange = Box<dyn Fn(&Config) + Send + Sync>;

/// The result of reading the files.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Reading {
    /// The settings in force: the last good ones.
    pub config: Arc<Config>,
    /// The fault of the files, while they are broken.
    pub stale: Option<String>,
}

impl Settings {
    /// Begins with the settings that were read at the start.
    pub fn new(world: World, home: HermesHome, config: Config) -> Arc<Self> {
        let newest = watch::Sender::new(Reading { config: Arc::new(config), stale: None });
        let had_env = AtomicBool::new(home.env_file().exists());
        Arc::new(Self { world, home, newest, had_env, changed: OnceLock::new(), log: OnceLock::new() })
    }

    /// Calls this with each change, before the subscribers see it. The first of several stays.
    pub fn on_change(&self, changed: impl Fn(&Config) + Send + Sync + 'static) {
        drop(self.changed.set(Box::new(changed)));
    }

    /// Has the log leave out the secrets of each reading from now on, and still those of the one before.
    pub fn hide_in(&self, log: Log) {
        drop(self.log.set(log));
    }

    /// Returns the settings in force.
    pub fn current(&self) -> Arc<Config> {
        Arc::clone(&self.newest.borrow().config)
    }

    /// Returns the settings in force, and the fault of the files.
    pub fn reading(&self) -> Reading {
        self.newest.borrow().clone()
    }

    /// Subscribes to the changes.
    pub fn subscribe(&self) -> watch::Receiver<Reading> {
        self.newest.subscribe()
    }

    /// Reads the files; blocks for about a millisecond. While they are broken, the last good settings stay in force.
    pub fn reload(&self) -> Arc<Config> {
        let read = self.read();
        self.newest.send_if_modified(|newest| match read {
            Ok(config) => self.take(newest, config),
            Err(error) => {
                let stale = Some(error.to_string());
                if newest.stale == stale {
                    return false;
                }
                tracing::warn!(code = "config_stale", "{error}; the previous settings stay in use");
                newest.stale = stale;
                true
            }
        });
        self.current()
    }

    /// Reads the files. A `.env` that is gone since the last time (removed, or a link to nothing) is not an empty one.
    fn read(&self) -> Result<Config, CliError> {
        let path = self.home.env_file();
        let is_before = path.exists();
        let config = Config::load(&self.world, &self.home)?;
        // Looked for twice: a program may remove or replace it meanwhile.
        let is_there = is_before && path.exists();
        if !is_there && self.had_env.load(Ordering::Relaxed) {
            let what = if path.is_symlink() { "is a link to nothing" } else { "was removed" };
            return Err(CliError::config(format!("{} {what}", path.display())));
        }
        self.had_env.store(is_there, Ordering::Relaxed);
        Ok(config)
    }

    /// Takes good settings over. Returns true when any differs.
    fn take(&self, newest: &mut Reading, config: Config) -> bool {
        let was_stale = newest.stale.take().is_some();
        if config == *newest.config {
            if was_stale {
                tracing::info!(code = "settings_read", "The settings can be read again; nothing changed");
            }
            return was_stale;
        }
        if let Some(log) = self.log.get() {
            log.replace_secrets(newest.config.secrets().into_iter().chain(config.secrets()));
        }
        tracing::info!(code = "settings_read", "Read the changed settings");
        let known: Vec<String> = newest.config.notices().collect();
        for warning in config.notices().filter(|warning| !known.contains(warning)) {
            tracing::warn!(code = "config_warning", "{warning}");
        }
        newest.config = Arc::new(config);
        if let Some(changed) = self.changed.get() {
            changed(&newest.config);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::config::AllowList;
    use crate::durable::write_atomic;
    use crate::platforms::Platform;

    #[test]
    fn changed_settings_reach_the_message_path_and_broken_ones_do_not() {
        let dir = tempfile::tempdir().unwrap();
        let home = HermesHome::at(dir.path());
        let world = World::of_env([("WHATSAPP_ENABLED", "true")]);
        let config = Config::load(&world, &home).unwrap();
        let settings = Settings::new(world, home.clone(), config);
        let calls = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&calls);
        settings.on_change(move |_| {
            counted.fetch_add(1, Ordering::SeqCst);
        });
        settings.reload();
        assert_eq!(calls.load(Ordering::SeqCst), 0, "nothing has changed");

        write_atomic(&home.env_file(), b"WHATSAPP_MODE=bot\nWHATSAPP_ALLOWED_USERS=15550001111\n").unwrap();
        let read = settings.reload();
        assert_eq!(read.access(Platform::Whatsapp).allowed, AllowList::Only(vec!["15550001111".to_owned()]));
        assert_eq!(calls.load(Ordering::SeqCst), 1);

        write_atomic(&home.config_file(), b"[gateway\n").unwrap();
        assert_eq!(settings.reload(), read, "the last good ones stay in force");
        assert_eq!(calls.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn an_env_file_that_is_gone_or_not_text_changes_nothing_until_it_is_back() {
        let dir = tempfile::tempdir().unwrap();
        let home = HermesHome::at(dir.path());
        let path = home.env_file();
        let good = b"WHATSAPP_ENABLED=true\n";
        let world = World::of_env([("A", "b")]);
        let config = Config::load(&world, &home).unwrap();
        let settings = Settings::new(world, home, config);
        settings.reload();
        assert_eq!(settings.reading().stale, None, "there never was one");
        let breaks: [(&str, &dyn Fn()); 6] = [
            ("was removed", &|| {}),
            ("is a link to nothing", &|| std::os::unix::fs::symlink("/nowhere/env", &path).unwrap()),
            ("not UTF-8", &|| write_atomic(&path, b"\xff\xfeW\0H\0").unwrap()),
            ("NUL", &|| write_atomic(&path, b"W\0H\0").unwrap()),
            ("directory", &|| std::fs::create_dir(&path).unwrap()),
            ("a pipe", &|| {
                let fifo = rustix::fs::FileType::Fifo;
                rustix::fs::mknodat(rustix::fs::CWD, &path, fifo, 0o600.into(), 0).unwrap();
            }),
        ];
        for (why, breaks) in breaks {
            write_atomic(&path, good).unwrap();
            assert!(settings.reload().whatsapp.enabled, "{why}");
            assert_eq!(settings.reading().stale, None, "{why}");
            std::fs::remove_file(&path).unwrap();
            breaks();
            assert!(settings.reload().whatsapp.enabled, "{why}: what was in force stays");
            let stale = settings.reading().stale.unwrap();
            assert!(stale.contains(why), "{why}: {stale}");
            drop(std::fs::remove_dir(&path));
            drop(std::fs::remove_file(&path));
        }
    }
}
