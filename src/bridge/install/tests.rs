//! Tests with shell scripts for Node and npm: npm's effect on the folder, without a network.

use super::*;
use crate::durable::create_private_dir;

struct Fixture {
    dir: tempfile::TempDir,
    home: HermesHome,
    world: World,
}

/// An npm that "installs" and leaves a mark that it ran.
const GOOD: &str = "for p in $(sed -n 's,^    \"\\(node_modules/[^\"]*\\)\".*,\\1,p' package-lock.json); do mkdir -p $p; \
     echo {} > $p/package.json; done; echo $* >> \"$TMPDIR/ran\"";

impl Fixture {
    fn new(npm: &str, node: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let home = HermesHome::at(dir.path().join("home"));
        let world = World::of_env([("PATH", "/usr/bin:/bin".into()), ("TMPDIR", dir.path().to_owned())]);
        let fixture = Self { dir, home, world };
        fixture.program("npm", npm);
        fixture.program("node", node);
        fixture
    }

    fn program(&self, name: &str, script: &str) {
        let path = self.dir.path().join("bin").join(name);
        create_private_dir(path.parent().unwrap()).unwrap();
        // Another process writes it: while a child of any test has our handle for writing, it could not be started.
        let write = r#"printf '#!/bin/sh\n%s\n' "$1" > "$0"; chmod 700 "$0""#;
        let written =
            std::process::Command::new("/bin/sh").args(["-c", write]).arg(&path).arg(script).status();
        assert!(written.unwrap().success());
    }

    fn node(&self) -> PathBuf {
        self.dir.path().join("bin/node")
    }

    fn root(&self) -> PathBuf {
        self.home.whatsapp().bridge_root()
    }

    fn runs(&self) -> usize {
        std::fs::read_to_string(self.dir.path().join("ran")).map_or(0, |text| text.lines().count())
    }

    async fn install(&self) -> (Result<PathBuf, InstallError>, Vec<Phase>) {
        let (progress, mut reports) = mpsc::channel(1000);
        let cancel = CancellationToken::new();
        let result = install(&self.world, &self.home, &self.node(), progress, cancel).await;
        let mut phases = Vec::new();
        while let Some(report) = reports.recv().await {
            if phases.last() != Some(&report.phase) {
                phases.push(report.phase);
            }
        }
        (result, phases)
    }

    /// The folders below the root, without the lock.
    fn folders(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.root()).unwrap().flatten();
        entries
            .map(|entry| entry.file_name().into_string().unwrap())
            .filter(|name| name != "install.lock")
            .collect()
    }
}

#[tokio::test]
async fn an_installation_is_whole_used_again_and_mended_when_damaged() {
    let fixture = Fixture::new(GOOD, "");
    assert_eq!(check(&fixture.home), BridgeFact::Missing);
    create_private_dir(&fixture.root().join("0123456789abcdef")).unwrap();
    create_private_dir(&fixture.root().join(".staged-left/node_modules")).unwrap();
    create_private_dir(&fixture.root().join("not-ours")).unwrap();
    let (result, phases) = fixture.install().await;
    let dir = result.unwrap();
    assert_eq!(phases, [Phase::Unpack, Phase::Download, Phase::Verify, Phase::Finish]);
    assert_eq!(check(&fixture.home), BridgeFact::Installed { dir: dir.clone() });
    let mut folders = fixture.folders();
    folders.sort();
    let mut expected = [content_hash(), "not-ours".to_owned()];
    expected.sort();
    assert_eq!(folders, expected, "old versions and left-over folders are gone");

    fixture.install().await.0.unwrap();
    assert_eq!(fixture.runs(), 1, "what is whole is left alone");
    std::fs::remove_file(dir.join("node_modules/baileys/package.json")).unwrap();
    assert!(matches!(check(&fixture.home), BridgeFact::Damaged { .. }));
    fixture.install().await.0.unwrap();
    assert!(matches!(check(&fixture.home), BridgeFact::Installed { .. }));
    assert_eq!((fixture.runs(), fixture.folders().len()), (2, 2));
}

#[tokio::test]
async fn old_versions_stay_while_a_bridge_runs() {
    let fixture = Fixture::new(GOOD, "");
    create_private_dir(&fixture.root().join("0123456789abcdef")).unwrap();
    let _running = Lock::acquire(&fixture.home.whatsapp().session_lock()).unwrap();
    fixture.install().await.0.unwrap();
    assert!(fixture.root().join("0123456789abcdef").exists());
}

#[tokio::test]
async fn a_failure_tells_its_cause_and_leaves_nothing() {
    let npm = "echo 'npm error code ENOTFOUND'; echo 'npm error network' >&2; exit 1";
    let trial = format!("{GOOD}; :");
    for (npm, node, expected, last) in [
        (npm, "", "cannot be reached", "npm error network"),
        (&trial, "echo boom >&2; exit 1", "does not load", "boom"),
    ] {
        let fixture = Fixture::new(npm, node);
        let (Err(InstallError::Failed { message, tail, .. }), _) = fixture.install().await else { panic!() };
        assert!(message.contains(expected), "{message}");
        assert_eq!(tail.last().map(String::as_str), Some(last));
        assert_eq!(fixture.folders(), Vec::<String>::new());
        assert_eq!(check(&fixture.home), BridgeFact::Missing);
    }
}

#[tokio::test]
async fn cancelling_ends_npm_and_leaves_nothing() {
    let fixture = Fixture::new("touch \"$TMPDIR/begun\"; sleep 600 & sleep 600", "");
    let (progress, _reports) = mpsc::channel(1);
    let cancel = CancellationToken::new();
    let begun = fixture.dir.path().join("begun");
    let when_begun = async {
        while !begun.exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        cancel.cancel();
    };
    let node = fixture.node();
    let installing = install(&fixture.world, &fixture.home, &node, progress, cancel.clone());
    let both = async { tokio::join!(installing, when_begun).0 };
    let result = tokio::time::timeout(Duration::from_secs(60), both).await.expect("it ends when cancelled");
    assert!(matches!(result, Err(InstallError::Cancelled)));
    assert_eq!(fixture.folders(), Vec::<String>::new());
}

#[tokio::test]
async fn only_one_installs_and_the_other_uses_what_it_made() {
    let fixture = Fixture::new(GOOD, "");
    let ((first, _), (second, phases)) = tokio::join!(fixture.install(), fixture.install());
    assert_eq!(first.unwrap(), second.unwrap());
    assert_eq!(phases, [Phase::Wait]);
    assert_eq!(fixture.runs(), 1);
}

#[tokio::test]
async fn without_npm_nothing_is_begun() {
    let fixture = Fixture::new("", "");
    std::fs::remove_file(fixture.dir.path().join("bin/npm")).unwrap();
    let world = World::of_env([("PATH", "/nowhere")]);
    let (progress, _reports) = mpsc::channel(1);
    let result = install(&world, &fixture.home, &fixture.node(), progress, CancellationToken::new()).await;
    assert!(matches!(result, Err(InstallError::NoNpm)));
    assert!(!fixture.home.root().exists());
}

#[tokio::test]
async fn an_npm_that_installs_nothing_is_found_out() {
    let fixture = Fixture::new("echo 'added 0 packages'", "");
    let (Err(InstallError::Failed { message, hint, tail }), _) = fixture.install().await else { panic!() };
    assert!(message.contains("did not install") && hint.contains("npm config list"), "{message} {hint}");
    assert_eq!(tail, ["added 0 packages"]);
}

#[tokio::test]
async fn a_token_that_an_npmrc_names_reaches_npm_and_a_missing_one_is_the_cause() {
    let npm = r#"test -n "$MY_TOKEN" && echo "npm error code E404" || echo "npm error code E401"; exit 1"#;
    let mut fixture = Fixture::new(npm, "");
    let home = fixture.dir.path().to_owned();
    durable::write_atomic(&home.join(".npmrc"), b"//r.test/:_authToken=${MY_TOKEN}\n").unwrap();
    for (token, message, hint) in [
        ("x", "does not have a package", "mirror"),
        ("", "registry refused", "names ${MY_TOKEN}, and MY_TOKEN is not set"),
    ] {
        let env = [
            ("PATH", "/usr/bin:/bin".into()),
            ("HOME", home.clone().into_os_string()),
            ("MY_TOKEN", token.into()),
        ];
        fixture.world = World::of_env(env);
        let (Err(InstallError::Failed { message: said, hint: help, .. }), _) = fixture.install().await else {
            panic!()
        };
        assert!(said.contains(message) && help.contains(hint), "{said} {help}");
    }
}
