//! The program's source, as tests about it read it.

use std::fs;
use std::path::Path;

/// The repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file below this folder of the repository that is not of tests only, with its code before the unit tests.
pub(crate) fn before_tests(dir: &str) -> Vec<(String, String)> {
    let code = |text: String| text.split("#[cfg(test)]").next().unwrap_or_default().to_owned();
    whole(dir).into_iter().map(|(name, text)| (name, code(text))).collect()
}

/// Every file below this folder of the repository that is not of tests only.
pub(crate) fn whole(dir: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(dir)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("the folder is there").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(root()).expect("below it").to_string_lossy().into_owned();
            if name.ends_with(".rs") && !is_of_tests(&name) {
                let text = fs::read_to_string(&path).expect("it is there");
                found.push((name, text));
            }
        }
    }
    found.sort();
    found
}

/// A file of unit tests, or of what only tests use.
fn is_of_tests(name: &str) -> bool {
    let only_tests = ["tests.rs", "scenarios.rs", "stage.rs", "scripted.rs", "script_ui.rs"];
    name.contains("/tests/") || name.contains("/played/") || only_tests.iter().any(|end| name.ends_with(end))
}
