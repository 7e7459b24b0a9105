//! Watches every gateway of the suite: its status file is compared with the service's side. `connected` must not be shown for
//! longer than the lease while nothing is connected.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use hermes::platforms::Platform;
use serde_json::Value;

use super::process::is_alive;

/// Interval between two looks at the files.
const EVERY: Duration = Duration::from_millis(50);

/// Limit for a gateway on a slow machine to notice the end of a connection, and to write it down.
const SLACK: Duration = Duration::from_secs(5);

/// Lines of a timeline that are shown.
const LINES_MAX: usize = 60;

/// A service's fact about one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fact {
    /// The connection works.
    Up,
    /// It is open, and proves nothing.
    Silent,
    /// It has ended, and does not come back.
    Gone,
}

/// The notes of a service, oldest first.
#[derive(Debug)]
pub(crate) struct Witness {
    /// The text in the settings of a gateway that uses this service.
    key: String,
    platforms: Vec<String>,
    notes: Mutex<Vec<(Instant, String, u64, Fact)>>,
}

static WITNESSES: Mutex<Vec<Arc<Witness>>> = Mutex::new(Vec::new());

impl Witness {
    /// Makes a witness of the service that settings name by this key, for these platforms.
    pub(crate) fn new(key: String, platforms: Vec<String>) -> Arc<Self> {
        let witness = Arc::new(Self { key, platforms, notes: Mutex::default() });
        WITNESSES.lock().expect("not poisoned").push(Arc::clone(&witness));
        witness
    }

    /// Notes this of one connection, before any code can act on it.
    pub(crate) fn note(&self, platform: &str, connection: u64, fact: Fact) {
        let note = (Instant::now(), platform.to_owned(), connection, fact);
        self.notes.lock().expect("not poisoned").push(note);
    }

    /// Returns the notes so far, by connection.
    pub(crate) fn facts(&self) -> Vec<(u64, Fact)> {
        let notes = self.notes.lock().expect("not poisoned");
        notes.iter().map(|(_, _, connection, fact)| (*connection, *fact)).collect()
    }
}

/// Pure. The shown and the true state, over time.
#[derive(Debug, Default)]
struct Judge {
    platforms: BTreeMap<String, Entry>,
    timeline: Vec<String>,
    ticked_at: Duration,
}

#[derive(Debug, Default)]
struct Entry {
    /// The open connections.
    connections: BTreeMap<u64, Fact>,
    gone: BTreeSet<u64>,
    /// The time since when there is neither a proof nor a connection.
    unproven_since: Duration,
    gone_since: Duration,
    shown_since: Option<Duration>,
    is_told: bool,
}

impl Judge {
    /// Adds a platform.
    fn cover(&mut self, platform: &str) {
        self.platforms.entry(platform.to_owned()).or_default();
    }

    fn fact(&mut self, at: Duration, platform: &str, connection: u64, fact: Fact) {
        let Some(entry) = self.platforms.get_mut(platform) else { return };
        let last = entry.connections.get(&connection).copied();
        if last == Some(fact) || entry.gone.contains(&connection) {
            return;
        }
        self.timeline
            .push(format!("{:8.2} s  {platform}: connection {connection} is {fact:?}", at.as_secs_f64()));
        let any = |entry: &Entry, fact| entry.connections.values().any(|each| *each == fact);
        let (was_up, was_there) = (any(entry, Fact::Up), !entry.connections.is_empty());
        if fact == Fact::Gone {
            entry.connections.remove(&connection);
            entry.gone.insert(connection);
        } else {
            entry.connections.insert(connection, fact);
        }
        let (is_up, is_there) = (any(entry, Fact::Up), !entry.connections.is_empty());
        if was_up && !is_up {
            entry.unproven_since = at;
        }
        if was_there && !is_there {
            entry.gone_since = at;
        }
        if is_up {
            entry.is_told = false;
        }
    }

    fn shown(&mut self, at: Duration, platform: &str, state: &str) {
        let Some(entry) = self.platforms.get_mut(platform) else { return };
        let is_connected = state == "connected";
        if is_connected != entry.shown_since.is_some() {
            self.timeline.push(format!("{:8.2} s  {platform}: shown as {state}", at.as_secs_f64()));
            entry.shown_since = is_connected.then_some(at);
        }
    }

    /// Judges the shown state at this moment. Returns what has been untrue for too long, each once.
    fn tick(&mut self, at: Duration) -> Vec<String> {
        // A machine that stood still was still for the gateway too.
        let stood = at.saturating_sub(self.ticked_at).saturating_sub(EVERY * 4);
        self.ticked_at = at;
        let mut lies = Vec::new();
        for (platform, entry) in &mut self.platforms {
            entry.unproven_since += stood;
            entry.gone_since += stood;
            let Some(shown_since) = entry.shown_since.filter(|_| !entry.is_told) else { continue };
            let any = |fact| entry.connections.values().any(|each| *each == fact);
            let (since, limit) = match (any(Fact::Up), any(Fact::Silent)) {
                (true, _) => continue,
                (false, true) => {
                    let lease =
                        platform.parse::<Platform>().map_or(Duration::ZERO, |known| known.spec().lease);
                    (entry.unproven_since, lease + SLACK)
                }
                (false, false) => (entry.gone_since, SLACK),
            };
            let untrue = at.saturating_sub(since.max(shown_since));
            if untrue > limit {
                entry.is_told = true;
                let what = format!(
                    "{:8.2} s  {platform}: shown as connected for {:.1} s while it is not",
                    at.as_secs_f64(),
                    untrue.as_secs_f64()
                );
                self.timeline.push(what.clone());
                lies.push(what);
            }
        }
        lies
    }
}

/// One gateway that is watched.
#[derive(Debug)]
struct Watched {
    pid: u32,
    state_file: PathBuf,
    config_file: PathBuf,
    variables: String,
    begun: Instant,
    /// The services that it uses, each with the number of notes that were read.
    witnesses: Vec<(Arc<Witness>, usize)>,
    seen: Option<(u64, i64, i64)>,
    /// The time from which no reader believes the file.
    believed_until: SystemTime,
    judge: Judge,
    lies: Vec<String>,
}

impl Watched {
    /// Finds the services that the settings of this moment name.
    fn find_witnesses(&mut self) {
        let settings = std::fs::read_to_string(&self.config_file).unwrap_or_default();
        for witness in WITNESSES.lock().expect("not poisoned").iter() {
            let is_named = settings.contains(&witness.key) || self.variables.contains(&witness.key);
            if is_named && !self.witnesses.iter().any(|(known, _)| Arc::ptr_eq(known, witness)) {
                self.witnesses.push((Arc::clone(witness), 0));
                witness.platforms.iter().for_each(|platform| self.judge.cover(platform));
            }
        }
    }

    fn hear_witnesses(&mut self) {
        for (index, (witness, read)) in self.witnesses.iter_mut().enumerate() {
            let notes = witness.notes.lock().expect("not poisoned");
            for (at, platform, connection, fact) in &notes[*read..] {
                let at = at.saturating_duration_since(self.begun);
                // Two services may count alike.
                let connection = u64::try_from(index).expect("few") * 1_000_000 + connection;
                self.judge.fact(at, platform, connection, *fact);
            }
            *read = notes.len();
        }
    }

    fn look(&mut self) {
        self.hear_witnesses();
        let now = self.begun.elapsed();
        let file = std::fs::metadata(&self.state_file).ok();
        let mark = file.as_ref().map(|file| (file.ino(), file.mtime(), file.mtime_nsec()));
        if mark != self.seen {
            self.seen = mark;
            self.read(now, file.and_then(|file| file.modified().ok()));
        }
        if self.believed_until <= SystemTime::now() {
            self.show(now, |_| "nothing that is believed".to_owned());
        }
        let mut lies = self.judge.tick(now);
        // A stopped or dead process reports nothing, whatever its file says.
        if !lies.is_empty() && (!is_alive(self.pid) || is_stopped(self.pid)) {
            lies.clear();
        }
        self.lies.extend(lies);
    }

    fn read(&mut self, now: Duration, written: Option<SystemTime>) {
        let document = std::fs::read(&self.state_file).unwrap_or_default();
        let document: Value = serde_json::from_slice(&document).unwrap_or_default();
        if document["pid"] != self.pid {
            return;
        }
        self.find_witnesses();
        let ttl = Duration::from_secs(document["ttl_s"].as_u64().unwrap_or_default());
        self.believed_until = written.map_or(SystemTime::UNIX_EPOCH, |written| written + ttl);
        let state = |platform: &str| document["platforms"][platform]["state"].as_str().map(str::to_owned);
        self.show(now, |platform| state(platform).unwrap_or_else(|| "absent".to_owned()));
    }

    fn show(&mut self, now: Duration, state: impl Fn(&str) -> String) {
        let known: Vec<String> = self.judge.platforms.keys().cloned().collect();
        for platform in known {
            self.judge.shown(now, &platform, &state(&platform));
        }
    }
}

fn is_stopped(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with(['T', 't'])))
}

type Gateways = Arc<Mutex<Vec<Watched>>>;

/// Returns all gateways that run; one thread looks at them.
fn gateways() -> &'static Gateways {
    static ALL: OnceLock<Gateways> = OnceLock::new();
    ALL.get_or_init(|| {
        let all = Gateways::default();
        let watched = Arc::clone(&all);
        let look = move || {
            loop {
                watched.lock().expect("not poisoned").iter_mut().for_each(Watched::look);
                std::thread::sleep(EVERY);
            }
        };
        std::thread::Builder::new().name("truth".to_owned()).spawn(look).expect("a thread");
        all
    })
}

/// Watches this gateway until [`verdict`] is asked for.
pub(crate) fn watch(pid: u32, state_file: PathBuf, config_file: PathBuf, variables: &[(String, String)]) {
    let variables = variables.iter().fold(String::new(), |mut text, (name, value)| {
        writeln!(text, "{name}={value}").expect("a String takes everything");
        text
    });
    gateways().lock().expect("not poisoned").push(Watched {
        pid,
        state_file,
        config_file,
        variables,
        begun: Instant::now(),
        witnesses: Vec::new(),
        seen: None,
        believed_until: SystemTime::UNIX_EPOCH,
        judge: Judge::default(),
        lies: Vec::new(),
    });
}

/// Ends the watch. Returns the untrue states, with all that was seen.
pub(crate) fn verdict(pid: u32) -> Result<(), String> {
    let mut all = gateways().lock().expect("not poisoned");
    let Some(at) = all.iter().position(|watched| watched.pid == pid) else { return Ok(()) };
    let watched = all.swap_remove(at);
    drop(all);
    if watched.lies.is_empty() {
        return Ok(());
    }
    let timeline = watched.judge.timeline;
    let from = timeline.len().saturating_sub(LINES_MAX);
    Err(format!(
        "the status file was untrue:\n{}\n\nall that was seen:\n{}",
        watched.lies.join("\n"),
        timeline[from..].join("\n")
    ))
}

/// Made-up timelines: the judge must be able to say no, and not too early.
mod tests {
    use super::*;

    enum Step {
        Fact(u64, Fact),
        Shown(&'static str),
    }

    /// Ticks every 50 ms up to this time, and returns the time of the first complaint.
    fn judged(steps: &[(f64, Step)], until_s: f64) -> Option<f64> {
        let mut judge = Judge::default();
        judge.cover("scripted1");
        let mut steps = steps.iter().peekable();
        let mut at = Duration::ZERO;
        while at.as_secs_f64() <= until_s {
            while let Some((_, step)) = steps.next_if(|(due, _)| *due <= at.as_secs_f64()) {
                match step {
                    Step::Fact(connection, fact) => judge.fact(at, "scripted1", *connection, *fact),
                    Step::Shown(state) => judge.shown(at, "scripted1", state),
                }
            }
            if !judge.tick(at).is_empty() {
                assert!(judge.timeline.iter().any(|line| line.contains("shown as connected")));
                assert!(judge.tick(at + EVERY).is_empty(), "each lie is told once");
                return Some(at.as_secs_f64());
            }
            at += EVERY;
        }
        None
    }

    #[test]
    fn the_judge_of_the_status_file_tells_a_lie_from_what_is_only_a_little_late() {
        use Fact::{Gone, Silent, Up};
        use Step::{Fact as Of, Shown};
        let slack = SLACK.as_secs_f64();
        let lease = Platform::scripted(1).expect("there is one").spec().lease.as_secs_f64();
        let is_about =
            |found: Option<f64>, expected: f64| found.is_some_and(|at| (at - expected).abs() < 0.2);

        let well = [(0.0, Of(1, Up)), (0.1, Shown("connected"))];
        assert_eq!(judged(&well, 60.0), None);
        let in_time =
            [(0.0, Of(1, Up)), (0.1, Shown("connected")), (9.0, Of(1, Gone)), (9.5, Shown("retrying"))];
        assert_eq!(judged(&in_time, 60.0), None);
        let lie =
            [(0.0, Of(1, Up)), (0.1, Shown("connected")), (9.0, Of(1, Gone)), (30.0, Shown("retrying"))];
        assert!(is_about(judged(&lie, 60.0), 9.0 + slack), "{:?}", judged(&lie, 60.0));
        let never = [(0.0, Shown("connecting")), (2.0, Shown("connected"))];
        assert!(is_about(judged(&never, 60.0), 2.0 + slack), "{:?}", judged(&never, 60.0));
        let silent = [(0.0, Of(1, Up)), (0.1, Shown("connected")), (9.0, Of(1, Silent))];
        assert!(is_about(judged(&silent, 60.0), 9.0 + lease + slack), "{:?}", judged(&silent, 60.0));
        let proves_again =
            [(0.0, Of(1, Up)), (0.1, Shown("connected")), (9.0, Of(1, Silent)), (12.0, Of(1, Up))];
        assert_eq!(judged(&proves_again, 60.0), None);
        let a_second_one = [
            (0.0, Of(1, Up)),
            (0.1, Shown("connected")),
            (5.0, Of(2, Up)),
            (6.0, Of(1, Gone)),
            (7.0, Of(1, Up)),
            (20.0, Of(2, Gone)),
        ];
        let found = judged(&a_second_one, 60.0);
        assert!(is_about(found, 20.0 + slack), "what is gone does not come back: {found:?}");
    }

    #[test]
    fn a_machine_that_stood_still_is_no_lie() {
        let mut judge = Judge::default();
        judge.cover("scripted1");
        judge.fact(Duration::ZERO, "scripted1", 1, Fact::Up);
        judge.shown(Duration::ZERO, "scripted1", "connected");
        judge.fact(Duration::from_secs(1), "scripted1", 1, Fact::Gone);
        assert!(judge.tick(Duration::from_secs(1)).is_empty());
        assert!(judge.tick(Duration::from_secs(60)).is_empty(), "nobody ran meanwhile");
        assert!(judge.tick(Duration::from_secs(61)).is_empty());
        let told = (0..400).any(|n| !judge.tick(Duration::from_secs(61) + EVERY * n).is_empty());
        assert!(told, "but it must not stay so");
    }
}
