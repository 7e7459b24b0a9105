//! What a flood of strangers costs those who are let in: the time until a question is answered, in rounds with and without the
//! flood that take turns within one run, so that the machine's moods fall on both alike. Run by `just bench`.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    dead_code,
    reason = "a benchmark asks the time and prints, fails where something is missing, and uses a part of the tests' support"
)]

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

mod measure;
#[path = "../tests/suite/support/mod.rs"]
mod support;

use measure::{float, memory_mb, quantiles};
use support::home::TestHome;
use support::process::Gateway;
use support::wait;

/// Strangers' messages in a second.
const RATE: u32 = 10_000;

/// Their messages come so often, a thousandth of them each time.
const TICK: Duration = Duration::from_millis(1);

/// Strangers' messages that nothing was heard of; beyond that their service waits.
const OPEN_MAX: u64 = 500;

/// The 99th percentile is worse by so many per cent at most.
const WORSE_MAX: f64 = 10.0;

/// Rounds of each kind.
const ROUNDS: usize = 20;

/// Questions in a round, one after the other.
const QUESTIONS: usize = 200;

/// The service of one scripted platform, as lean as it can be: what is measured is the gateway.
struct Service {
    /// To a thread of its own that writes: neither reading nor the flood may wait for the other.
    lines: Sender<String>,
    answers: Receiver<()>,
    turned_away: Arc<AtomicU64>,
}

impl Service {
    fn accept(listener: &UnixListener) -> Self {
        let (mut stream, _) = listener.accept().unwrap();
        let mut said = BufReader::new(stream.try_clone().unwrap()).lines();
        // What is written before it asks is not heard.
        assert!(said.next().unwrap().unwrap().contains("connect"));
        stream.write_all(b"{\"do\":\"ready\"}\n").unwrap();
        let (lines, to_write) = channel::<String>();
        std::thread::spawn(move || {
            while to_write.recv().is_ok_and(|line| stream.write_all(line.as_bytes()).is_ok()) {}
        });
        let (told, answers) = channel();
        let turned_away = Arc::new(AtomicU64::new(0));
        let (replies, strangers) = (lines.clone(), Arc::clone(&turned_away));
        std::thread::spawn(move || {
            for line in said.map_while(Result::ok) {
                // Most lines are of strangers: they are not worth parsing.
                if line.contains(r#""id":"s"#) {
                    strangers.fetch_add(1, Ordering::Relaxed);
                    continue;
                }
                let said: Value = serde_json::from_str(&line).unwrap();
                if said["say"] == "send" {
                    assert_eq!(said["chat"], "friend", "a stranger is answered");
                    told.send(()).ok();
                    say(&replies, &json!({ "do": "sent", "handle": said["handle"] }));
                }
            }
        });
        Self { lines, answers, turned_away }
    }

    /// From a question until its answer is here.
    fn ask(&self, number: usize) -> Duration {
        let begun = Instant::now();
        say(&self.lines, &message(&format!("q{number}"), "friend"));
        self.answers.recv_timeout(wait::LIMIT).expect("an answer");
        begun.elapsed()
    }
}

fn say(lines: &Sender<String>, line: &Value) {
    // Once the gateway has stopped, no one receives it.
    lines.send(format!("{line}\n")).ok();
}

fn message(id: &str, from: &str) -> Value {
    json!({ "do": "message", "id": id, "chat": from, "from": from, "text": "how are you today" })
}

/// Writes strangers' messages.
struct Flood {
    lines: Sender<String>,
    turned_away: Arc<AtomicU64>,
    written: AtomicU64,
    is_on: AtomicBool,
    is_over: AtomicBool,
}

impl Flood {
    /// At their rate while it is on. Returns when it is over.
    fn write(&self) {
        let count = RATE / 1000;
        let line = |number| format!("{}\n", message(&format!("s{number}"), &format!("eve{number}")));
        let lines: String = (0..count).map(line).collect();
        let mut next = Instant::now();
        while !self.is_over.load(Ordering::Relaxed) {
            next += TICK;
            let open = self.written.load(Ordering::Relaxed) - self.turned_away.load(Ordering::Relaxed);
            if self.is_on.load(Ordering::Relaxed) && open < OPEN_MAX {
                self.written.fetch_add(u64::from(count), Ordering::Relaxed);
                self.lines.send(lines.clone()).unwrap();
            }
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
        }
    }
}

/// Ends the flood, also when an answer does not come.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn main() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("stage");
    let listener = UnixListener::bind(&socket).unwrap();
    let mut home = TestHome::empty();
    home.env.push(("HERMES_SCRIPTED".to_owned(), format!("1@{}", socket.display())));
    home.env.push(("SCRIPTED1_ALLOWED_USERS".to_owned(), "friend".to_owned()));
    home.env.push(("SCRIPTED1_ALLOW_ALL_USERS".to_owned(), "false".to_owned()));
    home.write("gateway.toml", "[gateway]\njoin_window = \"0s\"\nchat_turns_per_minute = 0\n");
    std::fs::set_permissions(home.root(), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let mut gateway = Gateway::of(&home, home.command(["gateway", "run"]));
    let service = Service::accept(&listener);
    let mut times = [Vec::new(), Vec::new()];
    let flood = Flood {
        lines: service.lines.clone(),
        turned_away: Arc::clone(&service.turned_away),
        written: AtomicU64::new(0),
        is_on: AtomicBool::new(false),
        is_over: AtomicBool::new(false),
    };
    let mut flooded = Duration::ZERO;
    std::thread::scope(|scope| {
        scope.spawn(|| flood.write());
        let _over = Over(&flood.is_over);
        for round in 0..2 * ROUNDS {
            let is_flooded = round % 2 == 1;
            flood.is_on.store(is_flooded, Ordering::Relaxed);
            let begun = Instant::now();
            // The first answers of a round still see the other one's state.
            let round: Vec<_> =
                (0..QUESTIONS).map(|number| service.ask(round * QUESTIONS + number)).collect();
            times[usize::from(is_flooded)].extend(round.into_iter().skip(QUESTIONS / 10));
            if is_flooded {
                flooded += begun.elapsed();
            }
        }
    });
    let peak = memory_mb(gateway.pid(), "VmHWM:");
    assert_eq!(gateway.stop(), Some(0));
    let away = service.turned_away.load(Ordering::Relaxed);
    let (offered, rate) = (flood.written.load(Ordering::Relaxed), float(away) / flooded.as_secs_f64());
    println!(
        "strangers: {offered} written, {away} turned away, {rate:.0} a second while they write; peak {peak:.1} MB"
    );
    println!("{:<32} {:>8} {:>8}", "question until its answer", "p50", "p99");
    let [quiet, loud] = times.map(quantiles);
    for (name, [p50, p99]) in [("without strangers", quiet), ("during their flood", loud)] {
        println!("{name:<32} {p50:>5.2} ms {p99:>5.2} ms");
    }
    println!("{:<32} {:>7.0}% {:>7.0}%", "worse by", worse(quiet[0], loud[0]), worse(quiet[1], loud[1]));
    println!("{:<32} {:>8} {:>7.0}%", "target", "", WORSE_MAX);
}

fn worse(before: f64, after: f64) -> f64 {
    (after / before - 1.0) * 100.0
}
