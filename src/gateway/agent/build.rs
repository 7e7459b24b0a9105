//! The agent that the settings name.

use std::sync::Arc;

use super::api::Agent;
use super::echo::Echo;
use super::openai::Openai;
use super::program::Program;
use crate::config::AgentConfig;
use crate::error::CliError;
use crate::facts;
use crate::preflight::trust;
use crate::world::World;

/// Builds it; nothing is contacted yet.
///
/// # Errors
/// When a setting is unusable, or the environment names trusted certificates of which none can be used.
pub fn build(config: &AgentConfig, world: &World) -> Result<Arc<dyn Agent>, CliError> {
    Ok(match config {
        AgentConfig::Echo => Arc::new(Echo),
        AgentConfig::Openai(config) => {
            trust::check(&facts::trust(world))?;
            Arc::new(Openai::new(config)?)
        }
        AgentConfig::Command(config) => Arc::new(Program::new(config, world)),
    })
}
