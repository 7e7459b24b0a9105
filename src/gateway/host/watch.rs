//! Watches the files of the settings, and has them read again: when the system reports a change, on request, and every
//! minute, because no system reports every change (network file systems, overlays, a full table of watches).

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, watch};

use crate::clock::Now;
use crate::gateway::host::kept;
use crate::gateway::model::event::Event;
use crate::gateway::settings::{Reading, Settings};

/// Time without a change after which the files are read: an editor writes in several steps.
const QUIET: Duration = Duration::from_millis(500);

/// Limit after which they are read even if they go on changing: a change of the allow lists is in force within a second.
const QUIET_WAIT_MAX: Duration = Duration::from_millis(800);

/// Interval at which they are read without any reported change.
const POLL_EVERY: Duration = Duration::from_secs(60);

/// Limit for one reading: a file system that hangs holds up nothing but this.
const READ_LIMIT: Duration = Duration::from_secs(30);

/// Reads the settings again whenever there is a reason, and hands every change to the loop. `asked` is a reason, too.
pub fn start(settings: &Arc<Settings>, asked: &Arc<Notify>, events: mpsc::Sender<Event>) {
    let (reading, reasons, answers) = (Arc::clone(settings), Arc::clone(asked), events.clone());
    kept::keep("settings", move || read(Arc::clone(&reading), Arc::clone(&reasons), answers.clone()));
    // From this moment on: a platform's own check may read them before the task below has begun.
    let readings = settings.subscribe();
    kept::keep("settings-changes", move || forward(readings.clone(), events.clone()));
}

/// Forwards the changes; ends with the loop.
async fn forward(mut readings: watch::Receiver<Reading>, events: mpsc::Sender<Event>) {
    loop {
        tokio::select! {
            () = events.closed() => return,
            changed = readings.changed() => if changed.is_err() { return },
        }
        let reading = readings.borrow_and_update().clone();
        if events.send(Event::SettingsRead(reading)).await.is_err() {
            return;
        }
    }
}

async fn read(settings: Arc<Settings>, asked: Arc<Notify>, events: mpsc::Sender<Event>) {
    let files = [settings.home.env_file(), settings.home.config_file()];
    let mut watch = Watch::new(&files);
    let mut is_asked = false;
    loop {
        // First of all, for what has changed between the start of the process and that of the watch.
        let read = Arc::clone(&settings);
        let reading = tokio::task::spawn_blocking(move || drop(read.reload()));
        if tokio::time::timeout(READ_LIMIT, reading).await.is_err() {
            tracing::warn!(
                code = "settings_slow",
                "reading the settings took longer than {} s",
                READ_LIMIT.as_secs()
            );
        }
        // A request is answered, whether the settings changed or not.
        if std::mem::take(&mut is_asked) && events.send(Event::Reloaded(settings.reading())).await.is_err() {
            return;
        }
        tokio::select! {
            () = asked.notified() => is_asked = true,
            () = watch.changed() => settle(&mut watch).await,
            // The folder may be another one by now.
            () = tokio::time::sleep(POLL_EVERY) => watch = Watch::new(&files),
        }
    }
}

/// Waits until nothing has changed for a moment.
async fn settle(watch: &mut Watch) {
    let end = Now::read().mono + QUIET_WAIT_MAX;
    loop {
        let quiet = (Now::read().mono + QUIET).min(end);
        let is_quiet = tokio::time::timeout_at(quiet.into(), watch.changed()).await.is_err();
        if is_quiet || Now::read().mono >= end {
            return;
        }
    }
}

/// Notices changes of some files. It watches their folders, since files are replaced rather than written to, and the folders
/// of their link targets.
#[derive(Debug)]
struct Watch {
    #[cfg(target_os = "linux")]
    inotify: Option<linux::Inotify>,
}

impl Watch {
    #[cfg(target_os = "linux")]
    fn new(files: &[PathBuf]) -> Self {
        Self { inotify: linux::Inotify::new(files).ok() }
    }

    #[cfg(not(target_os = "linux"))]
    fn new(_files: &[PathBuf]) -> Self {
        Self {}
    }

    /// Returns when one of the files may have changed.
    #[cfg(target_os = "linux")]
    fn changed(&mut self) -> impl Future<Output = ()> {
        linux::changed(&mut self.inotify)
    }

    /// Without a watch, returns every second.
    #[cfg(not(target_os = "linux"))]
    fn changed(&mut self) -> impl Future<Output = ()> {
        tokio::time::sleep(Duration::from_secs(1))
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::collections::BTreeSet;
    use std::ffi::OsString;
    use std::io;
    use std::mem::MaybeUninit;
    use std::os::fd::OwnedFd;
    use std::os::unix::ffi::OsStrExt as _;
    use std::path::PathBuf;

    use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
    use tokio::io::unix::AsyncFd;

    /// A queue of changes in some folders.
    #[derive(Debug)]
    pub(super) struct Inotify {
        queue: AsyncFd<OwnedFd>,
        names: BTreeSet<OsString>,
    }

    impl Inotify {
        pub(super) fn new(files: &[PathBuf]) -> io::Result<Self> {
            let queue = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
            let mut names = BTreeSet::new();
            // A file that is a link also changes with its target.
            let targets = files.iter().filter_map(|file| file.canonicalize().ok());
            for file in files.iter().cloned().chain(targets) {
                let (Some(folder), Some(name)) = (file.parent(), file.file_name()) else { continue };
                let flags = WatchFlags::CLOSE_WRITE
                    | WatchFlags::MOVED_TO
                    | WatchFlags::MOVED_FROM
                    | WatchFlags::CREATE
                    | WatchFlags::DELETE
                    | WatchFlags::ATTRIB
                    | WatchFlags::ONLYDIR;
                inotify::add_watch(&queue, folder, flags)?;
                names.insert(name.to_owned());
            }
            #[expect(
                deprecated,
                reason = "an `OwnedFd` is the descriptor that it says, which is all that its successor asks"
            )]
            let queue = AsyncFd::new(queue)?;
            Ok(Self { queue, names })
        }

        /// Takes the events from the queue; returns true when one concerns us.
        fn take(&self) -> io::Result<bool> {
            let mut bytes = [MaybeUninit::uninit(); 4096];
            let mut reader = inotify::Reader::new(self.queue.get_ref(), &mut bytes);
            let mut concerns_us = false;
            loop {
                match reader.next() {
                    Ok(event) => {
                        // After an overflow of the queue the lost events are not known.
                        let is_lost = event.events().contains(ReadFlags::QUEUE_OVERFLOW);
                        let name = event.file_name().map(|name| std::ffi::OsStr::from_bytes(name.to_bytes()));
                        concerns_us |= is_lost || name.is_some_and(|name| self.names.contains(name));
                    }
                    Err(rustix::io::Errno::AGAIN) => return Ok(concerns_us),
                    Err(error) => return Err(error.into()),
                }
            }
        }
    }

    /// Returns when a file may have changed. Without a queue it never returns; the poll is still there.
    pub(super) async fn changed(inotify: &mut Option<Inotify>) {
        loop {
            let Some(queue) = inotify else { return std::future::pending().await };
            let taken = match queue.queue.readable().await {
                Ok(mut ready) => {
                    let taken = queue.take();
                    ready.clear_ready();
                    taken
                }
                Err(error) => Err(error),
            };
            match taken {
                Ok(true) => return,
                Ok(false) => {}
                Err(_) => *inotify = None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{AllowList, Config};
    use crate::durable::write_atomic;
    use crate::home::HermesHome;
    use crate::platforms::Platform;
    use crate::world::World;

    struct Desk {
        home: HermesHome,
        asked: Arc<Notify>,
        inputs: mpsc::Receiver<Event>,
        dir: tempfile::TempDir,
    }

    impl Desk {
        fn new(prepare: impl FnOnce(&HermesHome)) -> Self {
            let dir = tempfile::tempdir().unwrap();
            let home = HermesHome::at(dir.path().join("home"));
            std::fs::create_dir(home.root()).unwrap();
            prepare(&home);
            let world = World::of_env([("WHATSAPP_ENABLED", "true"), ("WHATSAPP_MODE", "bot")]);
            let config = Config::load(&world, &home).unwrap();
            let settings = Settings::new(world, home.clone(), config);
            let asked = Arc::new(Notify::new());
            let (events, inputs) = mpsc::channel(8);
            start(&settings, &asked, events);
            Self { home, asked, inputs, dir }
        }

        async fn next(&mut self) -> Reading {
            let event =
                tokio::time::timeout(Duration::from_secs(30), self.inputs.recv()).await.unwrap().unwrap();
            let Event::SettingsRead(reading) = event else { panic!("{event:?}") };
            reading
        }
    }

    fn allow(number: &str) -> Vec<u8> {
        format!("WHATSAPP_ALLOWED_USERS={number}\n").into_bytes()
    }

    fn only(number: &str) -> AllowList {
        AllowList::Only(vec![number.to_owned()])
    }

    #[tokio::test]
    async fn a_replaced_a_rewritten_and_a_linked_file_are_noticed() {
        let mut desk = Desk::new(|home| {
            std::fs::create_dir(home.root().with_file_name("elsewhere")).unwrap();
            let real = home.root().with_file_name("elsewhere").join("env");
            write_atomic(&real, &allow("15550001111")).unwrap();
            std::os::unix::fs::symlink(real, home.env_file()).unwrap();
        });
        let real = desk.dir.path().join("elsewhere/env");
        write_atomic(&real, &allow("15550002222")).unwrap();
        assert_eq!(desk.next().await.config.access(Platform::Whatsapp).allowed, only("15550002222"));
        let mut file = std::fs::File::create(&real).unwrap();
        std::io::Write::write_all(&mut file, &allow("15550003333")).unwrap();
        drop(file);
        assert_eq!(desk.next().await.config.access(Platform::Whatsapp).allowed, only("15550003333"));
        std::fs::remove_file(desk.home.env_file()).unwrap();
        write_atomic(&desk.home.env_file(), &allow("15550004444")).unwrap();
        assert_eq!(desk.next().await.config.access(Platform::Whatsapp).allowed, only("15550004444"));
    }

    #[tokio::test]
    async fn a_broken_file_is_told_until_it_is_mended() {
        let mut desk = Desk::new(|_| {});
        write_atomic(&desk.home.config_file(), b"[gateway\n").unwrap();
        let reading = desk.next().await;
        assert!(reading.stale.as_ref().is_some_and(|why| why.contains("line 1, column 9")), "{reading:?}");
        assert!(reading.config.whatsapp.enabled, "what was in force stays");
        std::fs::remove_file(desk.home.config_file()).unwrap();
        assert_eq!(desk.next().await.stale, None);
    }

    #[tokio::test]
    async fn somebody_who_asks_is_heard_where_no_watch_works() {
        let mut desk = Desk::new(|_| {});
        let moved = desk.dir.path().join("moved");
        crate::durable::rename(desk.home.root(), &moved).unwrap();
        std::os::unix::fs::symlink(&moved, desk.home.root()).unwrap();
        write_atomic(&moved.join("gateway.toml"), b"[gateway]\ndrain_timeout = \"7s\"\n").unwrap();
        desk.asked.notify_one();
        assert_eq!(desk.next().await.config.gateway.drain_timeout, Duration::from_secs(7));
    }
}
