//! The agent that the settings name at the moment: a changed key, model or kind holds from the next turn on.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use super::api::{About, Agent, AgentError, Turn};
use super::build::build;
use super::draft::Draft;
use super::lateness;
use crate::clock::Now;
use crate::config::AgentConfig;
use crate::error::CliError;
use crate::gateway::model::message::{ChatKey, InboundMessage};
use crate::gateway::settings::Settings;

/// Follows the settings.
pub struct Following {
    settings: Arc<Settings>,
    built: Mutex<Built>,
}

struct Built {
    /// What the settings said when it was built, or when that last failed.
    config: AgentConfig,
    agent: Arc<dyn Agent>,
}

impl Following {
    /// Begins with what the settings name now.
    ///
    /// # Errors
    /// When a setting is unusable.
    pub fn new(settings: Arc<Settings>) -> Result<Self, CliError> {
        let config = settings.current().agent.clone();
        let agent = build(&config, &settings.world)?;
        Ok(Self { settings, built: Mutex::new(Built { config, agent }) })
    }

    fn newest(&self) -> Arc<dyn Agent> {
        let config = &self.settings.current().agent;
        let mut built = self.built.lock().unwrap_or_else(PoisonError::into_inner);
        if *config != built.config {
            match build(config, &self.settings.world) {
                Ok(agent) => {
                    built.agent = agent;
                    tracing::info!(code = "agent_changed", "The agent was changed");
                }
                Err(error) => {
                    tracing::warn!(code = "agent_unusable", "{error}; the previous agent stays in use");
                }
            }
            built.config = config.clone();
        }
        Arc::clone(&built.agent)
    }
}

#[async_trait]
impl Agent for Following {
    async fn answer(&self, mut turn: Turn, draft: &Draft) -> Result<String, AgentError> {
        if let Some(after) = self.settings.current().session.late_after {
            lateness::mark(&mut turn.message, Now::read().wall, after);
        }
        self.newest().answer(turn, draft).await
    }

    fn wait(&self) -> Option<Duration> {
        self.newest().wait()
    }

    fn about(&self) -> About {
        self.newest().about()
    }

    fn steer(&self, key: &ChatKey, message: &InboundMessage) -> bool {
        self.newest().steer(key, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::durable::write_atomic;
    use crate::home::HermesHome;
    use crate::world::World;

    #[test]
    fn another_agent_answers_once_the_settings_name_another() {
        let dir = tempfile::tempdir().unwrap();
        let home = HermesHome::at(dir.path());
        let world = World::of_env([("NO_PROXY", "*")]);
        let config = Config::load(&world, &home).unwrap();
        let settings = Settings::new(world, home.clone(), config);
        let following = Following::new(Arc::clone(&settings)).unwrap();
        let first = following.newest();
        assert!(Arc::ptr_eq(&first, &following.newest()), "nothing has changed");
        write_atomic(&home.config_file(), b"[agent]\nkind = \"openai\"\n").unwrap();
        settings.reload();
        let second = following.newest();
        assert!(!Arc::ptr_eq(&first, &second));
        write_atomic(&home.env_file(), b"OPENAI_API_KEY=another\n").unwrap();
        settings.reload();
        let third = following.newest();
        assert!(!Arc::ptr_eq(&second, &third), "a new key is a new agent");
        assert!(Arc::ptr_eq(&third, &following.newest()));
    }
}
