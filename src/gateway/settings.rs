//! The settings in force. They are read again before each attempt to connect, so that what the wizard writes in another
//! terminal holds without a restart.

use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use crate::config::Config;
use crate::gateway::flow::MessageFlow;
use crate::gateway::platforms::build::is_enabled;
use crate::home::HermesHome;
use crate::platform::Platform;
use crate::world::World;

/// Where settings come from, and what they were when last read.
pub struct Settings {
    /// The surroundings.
    pub world: World,
    /// The home folder.
    pub home: HermesHome,
    current: Mutex<Current>,
    flow: OnceLock<Weak<dyn MessageFlow>>,
}

struct Current {
    config: Arc<Config>,
    /// The files are broken at the moment, and that was told.
    is_broken: bool,
}

impl Settings {
    /// With what was read at the start.
    pub fn new(world: World, home: HermesHome, config: Config) -> Arc<Self> {
        let current = Mutex::new(Current { config: Arc::new(config), is_broken: false });
        Arc::new(Self { world, home, current, flow: OnceLock::new() })
    }

    /// From now on the message path hears of changes.
    pub fn follow(&self, flow: &Arc<dyn MessageFlow>) {
        // A second path would be a second gateway in one process.
        drop(self.flow.set(Arc::downgrade(flow)));
    }

    /// The settings in force.
    pub fn current(&self) -> Arc<Config> {
        Arc::clone(&self.current.lock().unwrap_or_else(PoisonError::into_inner).config)
    }

    /// Reads the files; blocks for about a millisecond. While they are broken, the last good settings stay in force.
    pub fn reload(&self) -> Arc<Config> {
        let read = Config::load(&self.world, &self.home);
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        match read {
            Ok(config) => {
                current.is_broken = false;
                if config != *current.config {
                    tell_restart(&config, &current.config);
                    current.config = Arc::new(config);
                    tracing::info!(code = "settings_read", "settings were read again");
                    if let Some(flow) = self.flow.get().and_then(Weak::upgrade) {
                        flow.configure(&current.config);
                    }
                }
            }
            Err(error) => {
                if !current.is_broken {
                    tracing::warn!(code = "config_stale", "{error}; the settings from before stay in force");
                }
                current.is_broken = true;
            }
        }
        Arc::clone(&current.config)
    }
}

/// Which platforms there are is decided at the start.
fn tell_restart(new: &Config, old: &Config) {
    for platform in Platform::ALL {
        if is_enabled(platform, new) != is_enabled(platform, old) {
            let title = platform.spec().title;
            let verb = if is_enabled(platform, new) { "enabled" } else { "disabled" };
            tracing::warn!(code = "restart_needed", %platform, "{title} was {verb}; restart the gateway to make it so");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;
    use crate::config::AllowList;
    use crate::durable::write_atomic;
    use crate::gateway::platforms::scripted::CountingFlow;

    #[test]
    fn changed_settings_reach_the_message_path_and_broken_ones_do_not() {
        let dir = tempfile::tempdir().unwrap();
        let home = HermesHome::at(dir.path());
        let world = World::of_env([("WHATSAPP_ENABLED", "true")]);
        let config = Config::load(&world, &home).unwrap();
        let settings = Settings::new(world, home.clone(), config);
        let counting = Arc::new(CountingFlow::default());
        let flow: Arc<dyn MessageFlow> = Arc::clone(&counting) as Arc<dyn MessageFlow>;
        settings.follow(&flow);
        settings.reload();
        assert_eq!(counting.configured.load(Ordering::SeqCst), 0, "nothing has changed");

        write_atomic(&home.env_file(), b"WHATSAPP_MODE=bot\nWHATSAPP_ALLOWED_USERS=15550001111\n").unwrap();
        let read = settings.reload();
        assert_eq!(read.whatsapp.allowed, AllowList::Only(vec!["15550001111".to_owned()]));
        assert_eq!(counting.configured.load(Ordering::SeqCst), 1);

        write_atomic(&home.config_file(), b"[gateway\n").unwrap();
        assert_eq!(settings.reload(), read, "the last good ones stay in force");
        assert_eq!(counting.configured.load(Ordering::SeqCst), 1);
    }
}
