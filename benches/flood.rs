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
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

#[path = "../tests/suite/support/mod.rs"]
mod support;

use support::home::TestHome;
use support::process::Gateway;
use support::wait;

/// Strangers' messages in a second.
const RATE: u32 = 10_000;

/// Their messages come so often, a hundredth of them each time.
const TICK: Duration = Duration::from_millis(10);

/// Rounds of each kind.
const ROUNDS: usize = 20;

/// Questions in a round, one after the other.
const QUESTIONS: usize = 50;

/// The service of one scripted platform, as lean as it can be: what is measured is the gateway.
struct Service {
    stream: Arc<Mutex<UnixStream>>,
    answers: Receiver<()>,
    turned_away: Arc<AtomicU64>,
}

impl Service {
    fn accept(listener: &UnixListener) -> Self {
        let (stream, _) = listener.accept().unwrap();
        let lines = BufReader::new(stream.try_clone().unwrap()).lines();
        let stream = Arc::new(Mutex::new(stream));
        let (told, answers) = channel();
        let turned_away = Arc::new(AtomicU64::new(0));
        let (replies, strangers) = (Arc::clone(&stream), Arc::clone(&turned_away));
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                // Most lines are of strangers: they are not worth parsing.
                if line.contains(r#""id":"s"#) {
                    strangers.fetch_add(1, Ordering::Relaxed);
                    continue;
                }
                let said: Value = serde_json::from_str(&line).unwrap();
                match said["say"].as_str() {
                    Some("connect") => say(&replies, &json!({ "do": "ready" }).to_string()),
                    Some("send") => {
                        assert_eq!(said["chat"], "friend", "a stranger is answered");
                        told.send(()).ok();
                        say(&replies, &json!({ "do": "sent", "handle": said["handle"] }).to_string());
                    }
                    _ => {}
                }
            }
        });
        Self { stream, answers, turned_away }
    }

    /// From a question until its answer is here.
    fn ask(&self, number: usize) -> Duration {
        let begun = Instant::now();
        say(&self.stream, &message(&format!("q{number}"), "friend"));
        self.answers.recv_timeout(wait::LIMIT).expect("an answer");
        begun.elapsed()
    }
}

fn say(stream: &Mutex<UnixStream>, line: &str) {
    stream.lock().unwrap().write_all(format!("{line}\n").as_bytes()).unwrap();
}

fn message(id: &str, from: &str) -> String {
    json!({ "do": "message", "id": id, "chat": from, "from": from, "text": "how are you today" }).to_string()
}

/// Writes strangers' messages at their rate while it is on. Returns when it is over.
fn flood(stream: &Mutex<UnixStream>, is_on: &AtomicBool, is_over: &AtomicBool, written: &AtomicU64) {
    let count = RATE / 100;
    let lines: String =
        (0..count).map(|number| message(&format!("s{number}"), &format!("eve{number}")) + "\n").collect();
    let mut next = Instant::now();
    while !is_over.load(Ordering::Relaxed) {
        next += TICK;
        if is_on.load(Ordering::Relaxed) {
            stream.lock().unwrap().write_all(lines.as_bytes()).unwrap();
            written.fetch_add(u64::from(count), Ordering::Relaxed);
        }
        // Beyond its rate nothing is made up for.
        next = next.max(Instant::now());
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
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
    let (is_on, is_over, written) = (AtomicBool::new(false), AtomicBool::new(false), AtomicU64::new(0));
    let mut flooded = Duration::ZERO;
    std::thread::scope(|scope| {
        scope.spawn(|| flood(&service.stream, &is_on, &is_over, &written));
        for round in 0..2 * ROUNDS {
            let is_flooded = round % 2 == 1;
            is_on.store(is_flooded, Ordering::Relaxed);
            let begun = Instant::now();
            // The first answers of a round still see the other one's state.
            let round: Vec<_> =
                (0..QUESTIONS).map(|number| service.ask(round * QUESTIONS + number)).collect();
            times[usize::from(is_flooded)].extend(round.into_iter().skip(QUESTIONS / 10));
            if is_flooded {
                flooded += begun.elapsed();
            }
        }
        is_over.store(true, Ordering::Relaxed);
    });
    let status = std::fs::read_to_string(format!("/proc/{}/status", gateway.pid())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap().trim().to_owned();
    assert_eq!(gateway.stop(), Some(0));
    let away = service.turned_away.load(Ordering::Relaxed);
    let (offered, rate) = (written.load(Ordering::Relaxed), per_second(away, flooded));
    println!(
        "strangers: {offered} written, {away} turned away, {rate:.0} a second while they write; peak {peak}"
    );
    println!("{:<32} {:>8} {:>8}", "question until its answer", "p50", "p99");
    let [quiet, loud] = times.map(|mut times| {
        times.sort();
        (ms(times[times.len() / 2]), ms(times[times.len() * 99 / 100]))
    });
    for (name, (p50, p99)) in [("without strangers", quiet), ("during their flood", loud)] {
        println!("{name:<32} {p50:>5.2} ms {p99:>5.2} ms");
    }
    println!("{:<32} {:>7.0}% {:>7.0}%", "worse by", worse(quiet.0, loud.0), worse(quiet.1, loud.1));
}

fn worse(before: f64, after: f64) -> f64 {
    (after / before - 1.0) * 100.0
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

#[expect(clippy::cast_precision_loss, reason = "a rate in whole messages")]
fn per_second(count: u64, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64()
}
