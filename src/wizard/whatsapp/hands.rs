//! The machine as a wizard changes it, behind a seam that tests fill with scripts.

use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::bridge::install::{InstallError, Progress, install};
use crate::bridge::process::{BridgeProcess, Launch, Output};
use crate::bridge::protocol::Command;
use crate::config::Config;
use crate::facts;
use crate::home::HermesHome;
use crate::preflight::Facts;
use crate::world::World;

/// A bridge that pairs.
#[async_trait]
pub trait PairingBridge: Send {
    /// The next output; may be dropped without losing anything.
    async fn next(&mut self) -> Option<Output>;

    /// Tells it something; of no consequence once it has ended.
    fn tell(&mut self, command: Command);

    /// Ends it within `grace` or by force.
    async fn stop(self: Box<Self>, grace: Duration);
}

/// The machine.
#[async_trait]
pub trait Hands: Send + Sync {
    /// Looks at everything once.
    async fn facts(&self) -> Facts;

    /// Installs the bridge.
    ///
    /// # Errors
    /// See [`InstallError`].
    async fn install(
        &self,
        node: &Path,
        progress: mpsc::Sender<Progress>,
        cancel: CancellationToken,
    ) -> Result<PathBuf, InstallError>;

    /// Starts a bridge.
    ///
    /// # Errors
    /// When the process cannot be started.
    fn start(&self, launch: &Launch) -> std::io::Result<Box<dyn PairingBridge>>;
}

/// The real machine.
#[derive(Debug, Clone)]
pub struct Machine {
    /// Environment and arguments.
    pub world: World,
    /// Where everything is.
    pub home: HermesHome,
    /// The settings as they were at the start.
    pub config: Config,
}

#[async_trait]
impl Hands for Machine {
    async fn facts(&self) -> Facts {
        // Node may have to be asked for its version, which must not hold up Ctrl-C.
        let machine = self.clone();
        let looking = tokio::task::spawn_blocking(move || {
            facts::gather(&machine.world, &machine.home, &machine.config)
        });
        looking.await.expect("gathering facts does not panic")
    }

    async fn install(
        &self,
        node: &Path,
        progress: mpsc::Sender<Progress>,
        cancel: CancellationToken,
    ) -> Result<PathBuf, InstallError> {
        install(&self.world, &self.home, node, progress, cancel).await
    }

    fn start(&self, launch: &Launch) -> std::io::Result<Box<dyn PairingBridge>> {
        Ok(Box::new(BridgeProcess::spawn(&self.world, launch)?))
    }
}

#[async_trait]
impl PairingBridge for BridgeProcess {
    async fn next(&mut self) -> Option<Output> {
        Self::next(self).await
    }

    fn tell(&mut self, command: Command) {
        drop(self.commands().try_send(command));
    }

    async fn stop(self: Box<Self>, grace: Duration) {
        Self::stop(*self, grace).await;
    }
}
