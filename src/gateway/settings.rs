//! The settings in force. They are read again before each attempt to connect, so that what the wizard writes in another
//! terminal holds without a restart.

use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use crate::config::Config;
use crate::gateway::flow::MessageFlow;
use crate::home::HermesHome;
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

    /// Reads the files; blocks for about a millisecond. While they are broken, the last good settings stay in force.
    pub fn reload(&self) -> Arc<Config> {
        let read = Config::load(&self.world, &self.home);
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        match read {
            Ok(config) => {
                current.is_broken = false;
                if config != *current.config {
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
