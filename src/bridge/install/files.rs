//! Pure. The bridge's own files, carried in this program, and the hash that names their version.

use sha2::{Digest, Sha256};

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_bytes!(concat!("../../../assets/bridge/", $name)))),*]
    };
}

/// Name and content of each, sorted by name.
pub(super) const FILES: &[(&str, &[u8])] = files![
    ".npmrc",
    "assertion.mjs",
    "auth.mjs",
    "bridge.mjs",
    "commit.mjs",
    "connection.mjs",
    "console.mjs",
    "content.mjs",
    "creds.mjs",
    "exits.mjs",
    "files.mjs",
    "inbox.mjs",
    "media.mjs",
    "package-lock.json",
    "package.json",
    "pair.mjs",
    "passkey.mjs",
    "protocol.mjs",
    "proxy.mjs",
    "ratchet.mjs",
    "run.mjs",
    "send.mjs",
    "sent.mjs",
    "session.mjs",
    "signal.mjs",
    "spool.mjs",
    "timers.mjs",
    "translate.mjs",
    "version.mjs",
    "web.mjs",
];

/// The first 16 hex digits of SHA-256 over names, lengths and contents.
pub(super) fn content_hash() -> String {
    let mut hasher = Sha256::new();
    for (name, bytes) in FILES {
        hasher.update(format!("{name}\n{}\n", bytes.len()));
        hasher.update(bytes);
    }
    hex(&hasher.finalize()[..8])
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The folders (`node_modules/…`) of the packages that npm will install from the lockfile: all but the optional, peer and
/// development ones.
pub(super) fn packages() -> Vec<String> {
    let lock =
        FILES.iter().find(|(name, _)| *name == "package-lock.json").map_or(&[][..], |(_, bytes)| bytes);
    let lock: serde_json::Value = serde_json::from_slice(lock).unwrap_or_default();
    let Some(packages) = lock["packages"].as_object() else { return Vec::new() };
    let is_left_out = |package: &serde_json::Value| {
        ["dev", "devOptional", "optional", "peer"].iter().any(|kind| package[*kind] == true)
    };
    packages
        .iter()
        .filter(|(folder, package)| !folder.is_empty() && !is_left_out(package))
        .map(|(folder, _)| folder.clone())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_bridge_is_carried() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/bridge");
        let mut there: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .filter(|name| !["README.md", "node_modules", "test"].contains(&name.as_str()))
            .collect();
        there.sort();
        let carried: Vec<&str> = FILES.iter().map(|(name, _)| *name).collect();
        assert_eq!(carried, there, "FILES in src/bridge/install/files.rs lists what assets/bridge ships");
    }

    #[test]
    fn the_hash_names_a_folder_and_the_lockfile_names_its_packages() {
        let hash = content_hash();
        assert!(hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()), "{hash}");
        let packages = packages();
        assert!(packages.contains(&"node_modules/baileys".to_owned()));
        assert!(!packages.contains(&"node_modules/sharp".to_owned()), "a peer that is left out");
    }
}
