//! The agent that the settings name.

use std::sync::Arc;

use super::api::Agent;
use super::echo::Echo;
use super::openai::Openai;
use crate::config::AgentConfig;
use crate::error::CliError;

/// Builds it; nothing is contacted yet.
///
/// # Errors
/// When a setting is unusable.
pub fn build(config: &AgentConfig) -> Result<Arc<dyn Agent>, CliError> {
    Ok(match config {
        AgentConfig::Echo => Arc::new(Echo),
        AgentConfig::Openai(config) => Arc::new(Openai::new(config)?),
    })
}
