//! The figures that people feel: how fast things start and answer, and how much memory they hold. Each is printed beside a
//! floor measured in the same run: starting `true`, or this disk's own fsync. Run by `just bench`.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    dead_code,
    reason = "a benchmark asks the time and prints, fails where something is missing, and uses a part of the tests' support"
)]

use std::time::{Duration, Instant};

use serde_json::json;

mod measure;
#[path = "../tests/suite/support/mod.rs"]
mod support;

use measure::{float, fsyncs, memory_mb, ms};
use support::fake::FakeWhatsApp;
use support::home::TestHome;
use support::pairing::{FRIEND, Wizard, paired};
use support::process::Gateway;
use support::screen::Terminal;
use support::wait;

const ROUNDS: usize = 20;

fn main() {
    println!("{:<46} {:>9} {:>9} {:>9}", "", "median", "worst", "floor");
    let floor = spawns(|| std::process::Command::new("true"));
    started(&floor);
    let fsync = Times(fsyncs());
    conversation(&floor, &fsync);
    let program = std::fs::metadata(env!("CARGO_BIN_EXE_hermes")).unwrap().len();
    println!("{:<46} {:>6.1} MB", "program", float(program) / (1024.0 * 1024.0));
}

/// What needs no phone.
fn started(floor: &Times) {
    let home = TestHome::with_bridge();
    row("`hermes --version`", &spawns(|| home.command(["--version"])), floor);
    row("`hermes platform status`, no gateway", &spawns(|| home.command(["platform", "status"])), floor);
    row("`hermes doctor`", &spawns(|| home.command(["doctor"])), floor);
    let mut prompts = Times::default();
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        let terminal = Terminal::start(&home, &["whatsapp"], 50, 100);
        spin(|| terminal.text().contains("Which WhatsApp number"));
        prompts.0.push(begun.elapsed());
    }
    row("`hermes whatsapp` until its first question", &prompts, floor);
}

/// What needs one: a pairing, a gateway, messages.
fn conversation(floor: &Times, fsync: &Times) {
    let mut home = TestHome::with_bridge();
    let fake = FakeWhatsApp::start();
    fake.serve(&mut home);
    let mut codes = Times::default();
    for _ in 0..5 {
        let begun = Instant::now();
        let mut wizard = Wizard::start(&home, &[]);
        spin(|| wizard.names().contains(&"qr".to_owned()));
        codes.0.push(begun.elapsed());
        wizard.signal(rustix::process::Signal::INT);
        wizard.exit_code();
    }
    row("start until the first code is shown", &codes, floor);
    drop((home, fake));

    let (home, mut fake) = paired();
    // More is written than WhatsApp's pace lets through at once.
    let address = &fake.url;
    home.write(
        "gateway.toml",
        format!("[platforms.whatsapp]\nrates = \"off\"\nweb_socket_url = \"{address}\"\n"),
    );
    let gateway = Gateway::start(&home);
    let begun = Instant::now();
    gateway.wait_for_state("connected");
    println!("{:<46} {:>6} ms", "gateway start until connected", begun.elapsed().as_millis());
    row("`hermes platform status`, live", &spawns(|| home.command(["platform", "status"])), floor);
    let mut answers = Times::default();
    for round in 0..50 {
        let text = format!("question {round}.");
        let begun = Instant::now();
        fake.tell(json!({ "cmd": "message", "from": FRIEND, "text": text }));
        spin(|| fake.received().iter().any(|(_, answer)| answer.contains(&text)));
        answers.0.push(begun.elapsed());
    }
    row("message written until the answer is read", &answers, fsync);
    let bridge = gateway.children().into_iter().max().unwrap();
    println!("{:<46} {:>6.1} MB", "gateway, resident", memory_mb(gateway.pid(), "VmRSS:"));
    println!("{:<46} {:>6.1} MB", "bridge, resident", memory_mb(bridge, "VmRSS:"));
}

#[derive(Default)]
struct Times(Vec<Duration>);

impl Times {
    fn median_and_worst(&self) -> (f64, f64) {
        let mut times = self.0.clone();
        times.sort();
        (ms(times[times.len() / 2]), ms(*times.last().unwrap()))
    }
}

fn row(name: &str, times: &Times, floor: &Times) {
    let ((median, worst), (floor, _)) = (times.median_and_worst(), floor.median_and_worst());
    println!("{name:<46} {median:>6.1} ms {worst:>6.1} ms {floor:>6.1} ms");
}

/// From start to end of a command.
fn spawns(command: impl Fn() -> std::process::Command) -> Times {
    let run = || {
        let begun = Instant::now();
        command().output().unwrap();
        begun.elapsed()
    };
    run();
    Times((0..ROUNDS).map(|_| run()).collect())
}

/// Asks every millisecond: finer than the tests need.
fn spin(mut seen: impl FnMut() -> bool) {
    let deadline = Instant::now() + wait::LIMIT;
    while !seen() {
        assert!(Instant::now() < deadline, "it never came");
        std::thread::sleep(Duration::from_millis(1));
    }
}
