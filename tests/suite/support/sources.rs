//! The program's source, as tests about it read it.

use std::fs;
use std::path::{Path, PathBuf};

/// The repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file below `dir` with one of these endings, without what npm installs.
pub(crate) fn files(dir: &str, endings: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(dir)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("the folder is there").flatten() {
            let path = entry.path();
            if path.is_dir() {
                if !path.ends_with("node_modules") {
                    folders.push(path);
                }
            } else if endings.iter().any(|ending| path.to_string_lossy().ends_with(ending)) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The path of a file below the repository.
pub(crate) fn name(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).to_string_lossy().into_owned()
}

/// Every file below this folder of the repository that is not of tests only, with its code before the unit tests.
pub(crate) fn before_tests(dir: &str) -> Vec<(String, String)> {
    let code = |text: String| text.split("#[cfg(test)]").next().unwrap_or_default().to_owned();
    whole(dir).into_iter().map(|(name, text)| (name, code(text))).collect()
}

/// Every file below this folder of the repository that is not of tests only.
pub(crate) fn whole(dir: &str) -> Vec<(String, String)> {
    let named = files(dir, &[".rs"]).into_iter().map(|path| (name(&path), path));
    let read = |path: PathBuf| fs::read_to_string(path).expect("it is there");
    let mut found: Vec<_> =
        named.filter(|(name, _)| !is_of_tests(name)).map(|(name, path)| (name, read(path))).collect();
    found.sort();
    found
}

/// A file of unit tests, or of what only tests use.
fn is_of_tests(name: &str) -> bool {
    let only_tests =
        ["tests.rs", "scenarios.rs", "stage.rs", "testing.rs", "counting_flow.rs", "ui/script.rs"];
    name.contains("/tests/")
        || name.contains("gateway/platforms/scripted/")
        || only_tests.iter().any(|end| name.ends_with(end))
}
