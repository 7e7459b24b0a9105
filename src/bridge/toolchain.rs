//! Finds Node and npm, and asks Node for its version.

use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::mpsc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::durable;
use crate::file;
use crate::home::HermesHome;
use crate::preflight::{NODE_MAJOR_MIN, NodeFact};
use crate::process::child;
use crate::process::child_env;
use crate::world::World;

/// Limit for `node --version`.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// Most programs that are tried.
const CANDIDATES_MAX: usize = 32;

/// Versions of one version manager that are tried, the newest first.
const VERSIONS_MAX: usize = 3;

/// Finds Node: `HERMES_NODE`, else the first `node` that is new enough on `PATH` and in the folders of installers and version
/// managers, those used before ahead of them; without one, the newest of those found. A good answer is cached for this file
/// (path, inode, size, mtime); any other is asked again, because a version manager changes what its `node` starts without
/// changing the file.
///
/// With each answer the resolved file is kept: version managers give each shell its own links, which go with the shell, while
/// a gateway that was started there goes on.
pub fn find_node(world: &World, home: &HermesHome, config: &Config) -> NodeFact {
    let mut cache = Cache::load(home);
    let candidates = match &config.whatsapp.node {
        Some(node) => std::iter::once(node.clone()).chain(cache.behind(node)).collect(),
        None => candidates(world, &cache),
    };
    let mut best: Option<(PathBuf, (u32, u32, u32))> = None;
    let mut broken = None;
    for path in candidates {
        match version_of(world, &path, &mut cache) {
            Ok(version) if version.0 >= NODE_MAJOR_MIN => {
                cache.save(home);
                return NodeFact::Found { path, version };
            }
            Ok(version) if best.as_ref().is_none_or(|(_, known)| version > *known) => {
                best = Some((path, version));
            }
            Ok(_) => {}
            Err(why) => broken = broken.or(Some(NodeFact::Broken { path, why })),
        }
    }
    match best {
        Some((path, version)) => NodeFact::Found { path, version },
        None => broken.unwrap_or(NodeFact::Missing),
    }
}

/// Finds npm: beside that Node, else on `PATH`.
pub fn find_npm(world: &World, node: &Path) -> Option<PathBuf> {
    let real = node.canonicalize().ok();
    let beside = [Some(node), real.as_deref()].into_iter().flatten().filter_map(Path::parent);
    let beside = beside.map(|dir| dir.join("npm")).find(|npm| which::which(npm).is_ok());
    beside.or_else(|| on_path(world, "npm").into_iter().next())
}

fn on_path(world: &World, name: &str) -> Vec<PathBuf> {
    // Without a folder to start from, relative entries of PATH find nothing, which is as well.
    which::which_in_all(name, world.var_path("PATH"), "/").map(Iterator::collect).unwrap_or_default()
}

fn candidates(world: &World, cache: &Cache) -> Vec<PathBuf> {
    let mut found = on_path(world, "node");
    found.extend(cache.files().take(VERSIONS_MAX));
    let home = world.var_path("HOME");
    let below_home = |path: &str| home.as_ref().map(|home| home.join(path));
    for (variable, usual, versions, node) in VERSION_MANAGERS {
        let roots =
            world.var_path(variable).into_iter().chain(usual.iter().filter_map(|path| below_home(path)));
        found.extend(roots.flat_map(|root| newest_first(&root.join(versions), node)));
    }
    let dirs = [
        below_home(".volta/bin"),
        below_home(".local/bin"),
        below_home("n/bin"),
        below_home(".nix-profile/bin"),
        world.var_path("N_PREFIX").map(|prefix| prefix.join("bin")),
        Some("/usr/local/bin".into()),
    ];
    let homebrew =
        [Path::new("/opt/homebrew"), Path::new("/home/linuxbrew/.linuxbrew"), Path::new("/usr/local")];
    // Older versions are installed beside the newest, and on no PATH.
    let kegs = homebrew.iter().flat_map(|prefix| {
        let kegs = ["node@24", "node@22", "node@20"].map(|keg| prefix.join("opt").join(keg).join("bin"));
        std::iter::once(prefix.join("bin")).chain(kegs)
    });
    let system = ["/usr/bin", "/snap/bin", "/run/current-system/sw/bin"].map(PathBuf::from);
    let dirs = dirs.into_iter().flatten().chain(kegs).chain(system);
    found.extend(dirs.map(|dir| dir.join("node")).filter(|node| node.is_file()));
    let mut once: Vec<PathBuf> = Vec::new();
    for path in found {
        if !once.contains(&path) && once.len() < CANDIDATES_MAX {
            once.push(path);
        }
    }
    once
}

/// Version managers: the variable that names the folder of Nodes, its usual places below the user's home, the folder of the
/// versions there, and the program in each.
const VERSION_MANAGERS: [(&str, &[&str], &str, &str); 7] = [
    ("NVM_DIR", &[".nvm"], "versions/node", "bin/node"),
    (
        "FNM_DIR",
        &[".local/share/fnm", ".fnm", "Library/Application Support/fnm"],
        "node-versions",
        "installation/bin/node",
    ),
    ("VOLTA_HOME", &[".volta"], "tools/image/node", "bin/node"),
    ("ASDF_DATA_DIR", &[".asdf"], "installs/nodejs", "bin/node"),
    ("MISE_DATA_DIR", &[".local/share/mise"], "installs/node", "bin/node"),
    ("NODENV_ROOT", &[".nodenv"], "versions", "bin/node"),
    ("N_PREFIX", &["n"], "n/versions/node", "bin/node"),
];

/// Returns the Nodes of a version manager, whose folders are named by version.
fn newest_first(versions: &Path, node: &str) -> Vec<PathBuf> {
    let Ok(folders) = std::fs::read_dir(versions) else { return Vec::new() };
    let mut nodes: Vec<((u32, u32, u32), PathBuf)> = folders
        .flatten()
        .filter_map(|folder| {
            let name = folder.file_name();
            let name = name.to_str()?;
            let version = parse_version(name).or_else(|| parse_version(&format!("v{name}")))?;
            Some((version, folder.path().join(node)))
        })
        .filter(|(_, node)| node.is_file())
        .collect();
    nodes.sort();
    nodes.into_iter().rev().map(|(_, node)| node).take(VERSIONS_MAX).collect()
}

fn version_of(world: &World, path: &Path, cache: &mut Cache) -> Result<(u32, u32, u32), String> {
    let identity = Identity::of(path).map_err(|error| reason(&error))?;
    if let Some(known) = cache.answers.get(path).filter(|known| known.identity == identity) {
        return Ok(known.version);
    }
    let version = ask(world, path)?;
    if version.0 >= NODE_MAJOR_MIN {
        // By another name it may be another program: the `node` of some managers is a link to a program for all their names.
        let file = path.canonicalize().ok().filter(|file| file.file_name() == path.file_name());
        cache.answers.insert(path.to_owned(), Answer { identity, version, file });
        cache.is_changed = true;
    }
    Ok(version)
}

fn ask(world: &World, path: &Path) -> Result<(u32, u32, u32), String> {
    const ANSWER_LEN_MAX: u64 = 4096;
    let (output, input) = std::io::pipe().map_err(|error| reason(&error))?;
    let mut command = child::confined(path, child_env::for_npm(world));
    command.arg("--version");
    command.stdin(Stdio::null()).stderr(input.try_clone().map_err(|error| reason(&error))?).stdout(input);
    let mut child = child::spawn(&mut command).map_err(|error| reason(&error))?;
    // The command holds our ends of the pipe; without them the reader sees the end when the child's are closed.
    drop(command);
    let (sender, answer) = mpsc::sync_channel(1);
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let read = output.take(ANSWER_LEN_MAX).read_to_end(&mut bytes);
        // The receiver is gone after the limit.
        drop(sender.send(read.map(|_| bytes)));
    });
    let answer = answer.recv_timeout(ANSWER_LIMIT);
    // The child has answered or has had its time. It is not reaped yet, so the group is still ours to end.
    if let Some(group) = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw) {
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
    child.wait().map_err(|error| reason(&error))?;
    let Ok(bytes) = answer else {
        return Err(format!("it did not answer within {} seconds", ANSWER_LIMIT.as_secs()));
    };
    let bytes = bytes.map_err(|error| reason(&error))?;
    let text = String::from_utf8_lossy(&bytes);
    text.lines().find_map(|line| parse_version(line.trim())).ok_or_else(|| {
        match text.lines().map(str::trim).find(|line| !line.is_empty()) {
            Some(line) => line.chars().take(200).filter(|sign| !sign.is_control()).collect(),
            None => "it printed no version".to_owned(),
        }
    })
}

#[expect(clippy::wildcard_enum_match_arm, reason = "of a foreign enum, which grows")]
fn reason(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "the file does not exist".to_owned(),
        std::io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    }
}

/// Parses `v20.1.2`.
fn parse_version(text: &str) -> Option<(u32, u32, u32)> {
    let numbers: Vec<u32> =
        text.strip_prefix('v')?.split('.').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    let [major, minor, patch] = numbers.try_into().ok()?;
    Some((major, minor, patch))
}

/// The identity of a file at the time when it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Identity {
    device: u64,
    inode: u64,
    bytes: u64,
    /// Without the right to run it, its earlier answer is worth nothing.
    #[serde(default)]
    mode: u32,
    modified_s: i64,
    modified_ns: i64,
}

impl Identity {
    fn of(path: &Path) -> std::io::Result<Self> {
        let metadata = path.metadata()?;
        Ok(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            bytes: metadata.size(),
            mode: metadata.mode(),
            modified_s: metadata.mtime(),
            modified_ns: metadata.mtime_nsec(),
        })
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Answer {
    #[serde(flatten)]
    identity: Identity,
    version: (u32, u32, u32),
    /// The target of the path, where that has the same name.
    #[serde(default)]
    file: Option<PathBuf>,
}

/// A cache of the answers of Nodes. Losing it costs a moment, so its failures are not reported.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
struct Cache {
    answers: BTreeMap<PathBuf, Answer>,
    #[serde(skip)]
    is_changed: bool,
}

impl Cache {
    fn load(home: &HermesHome) -> Self {
        let bytes = file::read(home.whatsapp().node_cache(), file::OWN_LEN_MAX).unwrap_or_default();
        serde_json::from_slice(&bytes).unwrap_or_default()
    }

    /// Returns the files that were used before and are still there.
    fn files(&self) -> impl Iterator<Item = PathBuf> {
        self.answers.values().filter_map(|answer| answer.file.clone()).filter(|file| file.is_file())
    }

    /// Returns the target of this path when it was still there.
    fn behind(&self, path: &Path) -> Option<PathBuf> {
        self.answers.get(path)?.file.clone().filter(|file| !path.exists() && file.is_file())
    }

    /// Saves the cache where the folder is already there: a search changes nothing else on the disk.
    fn save(&mut self, home: &HermesHome) {
        if !std::mem::take(&mut self.is_changed) {
            return;
        }
        self.answers.retain(|path, answer| {
            let path = answer.file.as_deref().unwrap_or(path);
            Identity::of(path).is_ok_and(|now| now == answer.identity)
        });
        if let Ok(bytes) = serde_json::to_vec(self) {
            drop(durable::write_atomic(&home.whatsapp().node_cache(), &bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A program that answers with this shell script.
    fn program(dir: &Path, name: &str, script: &str) -> PathBuf {
        let path = dir.join(name);
        durable::create_private_dir(path.parent().unwrap()).unwrap();
        // Another process writes it: while a child of any test has our handle for writing, it could not be started.
        let write = r#"rm -f "$0"; printf '#!/bin/sh\n%s\n' "$1" > "$0"; chmod 700 "$0""#;
        let written = std::process::Command::new("/bin/sh")
            .args(["-c", write])
            .arg(&path)
            .arg(script)
            .status()
            .unwrap();
        assert!(written.success());
        path
    }

    struct Fixture {
        dir: tempfile::TempDir,
        home: HermesHome,
    }

    impl Fixture {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let home = HermesHome::at(dir.path().join("home"));
            durable::create_private_dir(&dir.path().join("home/whatsapp")).unwrap();
            Self { dir, home }
        }

        fn find(&self, env: &[(&str, String)]) -> NodeFact {
            let config = Config::default();
            find_node(
                &World::of_env(env.iter().map(|(name, value)| (*name, value.clone()))),
                &self.home,
                &config,
            )
        }

        fn found_version(&self, env: &[(&str, String)]) -> (u32, u32, u32) {
            let NodeFact::Found { version, .. } = self.find(env) else { panic!("not found") };
            version
        }
    }

    #[test]
    fn the_named_node_is_asked_and_no_other() {
        let fixture = Fixture::new();
        let mut config = Config::default();
        let world = World::of_env([("PATH", "/usr/bin:/bin")]);
        config.whatsapp.node = Some(program(fixture.dir.path(), "old", "echo v18.2.1"));
        let NodeFact::Found { version, .. } = find_node(&world, &fixture.home, &config) else { panic!() };
        assert_eq!(version, (18, 2, 1), "although a newer one may be on the PATH");
        for (script, expected) in
            [("echo no such library >&2; exit 127", "no such library"), ("exit 0", "it printed no version")]
        {
            config.whatsapp.node = Some(program(fixture.dir.path(), "broken", script));
            let NodeFact::Broken { why, .. } = find_node(&world, &fixture.home, &config) else { panic!() };
            assert_eq!(why, expected);
        }
        config.whatsapp.node = Some("/nowhere/node".into());
        let NodeFact::Broken { why, .. } = find_node(&world, &fixture.home, &config) else { panic!() };
        assert_eq!(why, "the file does not exist");
    }

    #[test]
    fn the_first_that_is_new_enough_is_taken_and_remembered_until_it_changes() {
        let fixture = Fixture::new();
        let dir = fixture.dir.path();
        program(dir, "a/node", "echo v18.0.0");
        let path = format!("{0}/a:{0}/b:{0}/c", dir.display());
        let asked = dir.join("asked");
        let count = || std::fs::read_to_string(&asked).map_or(0, |text| text.lines().count());
        let env = [("PATH", path)];
        program(dir, "b/node", &format!("echo x >> {}; echo v21.0.0", asked.display()));
        program(dir, "c/node", "echo v24.0.0");
        assert_eq!(fixture.found_version(&env), (21, 0, 0));
        assert_eq!(fixture.found_version(&env), (21, 0, 0));
        assert_eq!(count(), 1, "the second time it was known");
        program(dir, "b/node", &format!("echo x >> {}; echo v20.1.0", asked.display()));
        assert_eq!(fixture.found_version(&env), (20, 1, 0));
        assert_eq!(count(), 2);
    }

    #[test]
    fn a_link_of_a_shell_that_is_gone_leaves_the_node_behind_it() {
        let fixture = Fixture::new();
        let dir = fixture.dir.path();
        // A place that is not searched, so that only the cache can lead there.
        let node = program(dir, "store/v20/bin/node", "echo v20.9.0");
        let (shell, named) = (dir.join("run/fnm_multishells/1_2"), dir.join("current"));
        durable::create_private_dir(shell.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(dir.join("store/v20"), &shell).unwrap();
        std::os::unix::fs::symlink(dir.join("store/v20"), &named).unwrap();
        let env = [("PATH", shell.join("bin").display().to_string())];
        let found = |path: PathBuf| NodeFact::Found { path, version: (20, 9, 0) };
        assert_eq!(
            fixture.find(&env),
            found(shell.join("bin/node")),
            "as long as it is there, the path that was given"
        );
        let mut config = Config::default();
        config.whatsapp.node = Some(named.join("bin/node"));
        let by_name = |fixture: &Fixture| find_node(&World::of_env([("A", "b")]), &fixture.home, &config);
        assert_eq!(by_name(&fixture), found(named.join("bin/node")));
        std::fs::remove_file(&shell).unwrap();
        std::fs::remove_file(&named).unwrap();
        for _ in 0..2 {
            assert_eq!(fixture.find(&env), found(node.clone()));
            assert_eq!(by_name(&fixture), found(node.clone()));
        }
    }

    #[test]
    fn the_nodes_of_version_managers_are_found_without_a_path() {
        for (variable, usual, versions, node) in VERSION_MANAGERS {
            for (root, by_variable) in usual.iter().map(|usual| (*usual, false)).chain([("elsewhere", true)])
            {
                let fixture = Fixture::new();
                let home = fixture.dir.path().join("user");
                for version in ["20.9.0", "v20.10.0", "9.9.9"] {
                    let path = format!("user/{root}/{versions}/{version}/{node}");
                    program(fixture.dir.path(), &path, &format!("echo v{}", version.trim_start_matches('v')));
                }
                let mut env = vec![("HOME", home.display().to_string())];
                if by_variable {
                    env.push((variable, home.join(root).display().to_string()));
                }
                assert_eq!(fixture.found_version(&env), (20, 10, 0), "{variable} {root}");
            }
        }
    }

    #[test]
    fn nvms_newest_is_found_without_a_path() {
        let fixture = Fixture::new();
        for version in ["v9.9.9", "v20.9.0", "v20.10.0"] {
            program(
                fixture.dir.path(),
                &format!("nvm/versions/node/{version}/bin/node"),
                &format!("echo {version}"),
            );
        }
        let nvm = fixture.dir.path().join("nvm").display().to_string();
        assert_eq!(fixture.found_version(&[("NVM_DIR", nvm)]), (20, 10, 0));
    }

    #[test]
    fn npm_is_found_beside_node_first() {
        let dir = tempfile::tempdir().unwrap();
        let node = program(dir.path(), "a/node", "");
        let other = program(dir.path(), "b/npm", "");
        let world = World::of_env([("PATH", dir.path().join("b"))]);
        assert_eq!(find_npm(&world, &node), Some(other));
        let beside = program(dir.path(), "a/npm", "");
        assert_eq!(find_npm(&world, &node), Some(beside));
        assert_eq!(find_npm(&World::of_env([("PATH", "/nowhere")]), Path::new("/nowhere/node")), None);
    }

    #[test]
    fn versions_are_three_numbers() {
        assert_eq!(parse_version("v20.1.2"), Some((20, 1, 2)));
        for text in ["", "20.1.2", "v20.1", "v20.1.2-nightly", "v1.2.3.4"] {
            assert_eq!(parse_version(text), None, "{text}");
        }
    }
}
