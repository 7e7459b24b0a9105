//! One real installation of the bridge for all tests that do not test the installation itself.

use std::path::PathBuf;
use std::sync::OnceLock;

use hermes::bridge::install;
use hermes::home::HermesHome;
use hermes::preflight::BridgeFact;
use hermes::world::World;
use tokio_util::sync::CancellationToken;

static ROOT: OnceLock<PathBuf> = OnceLock::new();

/// Returns the folder that holds the installed bridge under its hash. Installs it with the real npm when it is not there yet.
pub(crate) fn installed_root() -> PathBuf {
    ROOT.get_or_init(|| {
        let home = HermesHome::at(PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("bridge-home"));
        if !matches!(install::check(&home), BridgeFact::Installed { .. }) {
            let runtime = tokio::runtime::Runtime::new().expect("a runtime");
            runtime.block_on(async {
                let (progress, mut seen) = tokio::sync::mpsc::channel(16);
                let watch = tokio::spawn(async move { while seen.recv().await.is_some() {} });
                let node = which::which("node").expect("Node is installed");
                install::install(&World::from_process(), &home, &node, progress, CancellationToken::new())
                    .await
                    .expect("npm ci succeeds");
                watch.await.expect("the watcher ends with the installation");
            });
        }
        home.whatsapp().bridge_root()
    })
    .clone()
}

/// Returns the installed bridge itself.
pub(crate) fn installed_dir() -> PathBuf {
    installed_root().join(install::content_hash())
}
