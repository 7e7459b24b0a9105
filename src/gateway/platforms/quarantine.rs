//! Quarantine for unreadable messages of a platform: kept for people to look at, with limits on the size and the number.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use crate::durable;
use crate::gateway::problems::Problems;
use crate::platforms::Platform;

/// Most bytes kept of one.
const LEN_MAX: usize = 64 << 10;

/// Most that are kept; for a further one the oldest goes.
const COUNT_MAX: usize = 1000;

/// The problem while nothing can be kept.
const UNWRITABLE: &str = "unreadable_folder_unwritable";

/// The pause between two tries of the folder while the problem stands.
const TRY_EVERY: Duration = Duration::from_secs(2);

/// The quarantine of one platform: its folder, and the problem while that cannot be written. Clones share it.
#[derive(Debug, Clone)]
pub struct Quarantine {
    /// The folder.
    pub aside: Aside,
    platform: Platform,
    problems: Problems,
    is_failing: Arc<AtomicBool>,
}

impl Quarantine {
    /// Makes one that keeps messages of this platform in this folder.
    pub fn new(dir: PathBuf, platform: Platform, problems: Problems) -> Self {
        Self { aside: Aside { dir }, platform, problems, is_failing: Arc::default() }
    }

    /// True while the last message could not be kept, and no try has shown since that another could.
    pub fn is_failing(&self) -> bool {
        self.is_failing.load(Ordering::Relaxed)
    }

    /// Reports that a message could not be kept, until the folder can be written again. Needs a tokio runtime.
    pub fn report(&self, error: &io::Error) {
        self.show(error);
        if !self.is_failing.swap(true, Ordering::Relaxed) {
            tokio::spawn(self.clone().follow());
        }
    }

    fn show(&self, error: &io::Error) {
        let (dir, platform) = (self.aside.dir.display(), self.platform.spec().title);
        self.problems.set(
            UNWRITABLE,
            &format!(
                "{dir} cannot be written ({error}): a message from {platform} that cannot be read is not kept"
            ),
            "Move away what stands at that path, or correct its owner and mode.",
            false,
        );
    }

    /// Tries the folder until the problem is over. The problem of another platform, which ends by itself, may stand in its
    /// place meanwhile.
    async fn follow(self) {
        loop {
            tokio::time::sleep(TRY_EVERY).await;
            let aside = self.aside.clone();
            match blocking(move || aside.try_out()).await {
                Ok(()) => break,
                Err(error) => self.show(&error),
            }
        }
        self.is_failing.store(false, Ordering::Relaxed);
        self.problems.clear(UNWRITABLE, &format!("{} can be written again", self.aside.dir.display()));
    }
}

/// Does this work of the disk on a thread for it.
///
/// # Errors
/// Those of the work, and its panic.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error)))
}

/// A folder of unreadable messages.
#[derive(Debug, Clone)]
pub struct Aside {
    /// Its path.
    pub dir: PathBuf,
}

impl Aside {
    /// Keeps these bytes, up to the limit, under this name and with mode 0600. A second one of the same name replaces the
    /// first. Blocks until they are on the disk.
    ///
    /// # Errors
    /// When the disk does not take them: then they must not be acknowledged.
    pub fn keep(&self, name: &str, bytes: &[u8]) -> io::Result<PathBuf> {
        durable::create_private_dir(&self.dir)?;
        self.make_room();
        let path = self.dir.join(format!("{name}.json"));
        // A folder of that name is not ours to remove.
        let path = if path.is_dir() { self.dir.join(format!("{name}-kept.json")) } else { path };
        durable::write_atomic(&path, &bytes[..bytes.len().min(LEN_MAX)])?;
        Ok(path)
    }

    /// Tries whether anything can be kept now. Blocks.
    ///
    /// # Errors
    /// Why not.
    pub fn try_out(&self) -> io::Result<()> {
        durable::create_private_dir(&self.dir)?;
        let mut file = tempfile::tempfile_in(&self.dir)?;
        file.write_all(b"{}")?;
        file.sync_all()
    }

    /// Removes the oldest files. What cannot be removed stays: it must not keep the next one out.
    fn make_room(&self) {
        let Ok(entries) = std::fs::read_dir(&self.dir) else { return };
        let mut files: Vec<(SystemTime, PathBuf)> = entries
            .flatten()
            .filter_map(|entry| Some((entry.metadata().ok().filter(|meta| !meta.is_dir())?, entry.path())))
            .filter_map(|(meta, path)| Some((meta.modified().ok()?, path)))
            .collect();
        files.sort();
        for (_, path) in files.iter().take((files.len() + 1).saturating_sub(COUNT_MAX)) {
            drop(std::fs::remove_file(path));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::gateway::model::snapshot::Problem;

    #[test]
    fn what_is_kept_is_private_cut_at_its_limit_and_bounded_in_number() {
        let dir = tempfile::tempdir().unwrap();
        let aside = Aside { dir: dir.path().join("unreadable") };
        let path = aside.keep("long", &vec![b'x'; LEN_MAX + 1]).unwrap();
        let meta = path.metadata().unwrap();
        assert_eq!((meta.len(), meta.permissions().mode() & 0o777), (LEN_MAX as u64, 0o600));
        assert_eq!(aside.dir.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        for number in 2..=COUNT_MAX {
            File::create(aside.dir.join(format!("{number}.json"))).unwrap();
        }
        File::open(&path).unwrap().set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1)).unwrap();
        aside.keep("last", b"{}").unwrap();
        assert_eq!(std::fs::read_dir(&aside.dir).unwrap().count(), COUNT_MAX);
        assert!(!path.exists(), "the oldest goes");
        assert!(aside.dir.join("last.json").exists() && aside.dir.join("2.json").exists());
    }

    #[test]
    fn what_the_disk_does_not_take_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let aside = Aside { dir: dir.path().join("unreadable") };
        File::create(&aside.dir).unwrap();
        assert!(aside.keep("1", b"{}").is_err() && aside.try_out().is_err());
        std::fs::remove_file(&aside.dir).unwrap();
        aside.try_out().unwrap();
        assert_eq!(std::fs::read_dir(&aside.dir).unwrap().count(), 0, "a try leaves nothing");
    }

    #[tokio::test]
    async fn the_problem_stands_until_the_folder_of_each_platform_can_be_written() {
        let root = tempfile::tempdir().unwrap();
        let problems = Problems::default();
        let [first, second] = [Platform::Telegram, Platform::Whatsapp].map(|platform| {
            let dir = root.path().join(platform.spec().name);
            File::create(&dir).unwrap();
            Quarantine::new(dir, platform, problems.clone())
        });
        for quarantine in [&first, &second] {
            quarantine.report(&quarantine.aside.keep("1", b"{}").unwrap_err());
        }
        let mut standing = problems.subscribe();
        let shown = |standing: &[Problem]| match standing {
            [one] if one.code == UNWRITABLE => one.message.clone(),
            _ => String::new(),
        };
        assert!(shown(&standing.borrow()).contains("message from Telegram"));
        std::fs::remove_file(&first.aside.dir).unwrap();
        standing.wait_for(|standing| shown(standing).contains("message from WhatsApp")).await.unwrap();
        assert!(!first.is_failing() && second.is_failing());
        std::fs::remove_file(&second.aside.dir).unwrap();
        standing.wait_for(Vec::is_empty).await.unwrap();
        assert!(!second.is_failing());
    }

    #[test]
    fn folders_among_the_files_keep_nothing_out() {
        let dir = tempfile::tempdir().unwrap();
        let aside = Aside { dir: dir.path().to_owned() };
        for number in 0..=COUNT_MAX {
            std::fs::create_dir(aside.dir.join(format!("{number}.json"))).unwrap();
        }
        let path = aside.keep("5", b"{}").unwrap();
        assert_eq!(path, aside.dir.join("5-kept.json"));
        assert_eq!(aside.keep("5", b"{}").unwrap(), path, "twice is once");
    }
}
