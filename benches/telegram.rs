//! What Telegram costs end to end: the real program over loopback HTTP, from an update that becomes available until its
//! answer is with the service; the agent is the echo. Each figure stands beside a floor from the same run: a program that makes
//! the same calls with no durability and no decisions; and beside this disk's own fsync. Of several runs the best is shown,
//! since whatever else this machine does only makes them worse. Telegram's own limits (30 messages a second) are off here, or
//! they would be all that is seen. Run by `just bench`.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    dead_code,
    reason = "a benchmark asks the time and prints, fails where something is missing, and uses a part of the tests' support"
)]

use std::collections::{BTreeMap, HashMap};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::sync::{Mutex, Semaphore};

mod measure;
#[path = "../tests/suite/support/mod.rs"]
mod support;

use measure::{Running, cpu_s, fsyncs, memory_mb, ms, quantiles, read_body, target};
use support::home::TestHome;
use support::telegram::TelegramService;
use support::telegram::service::TOKEN;

/// Nothing takes longer.
const LIMIT: Duration = Duration::from_secs(300);

/// Runs of each scene, of the gateway and of the floor in turns.
const ROUNDS: usize = 5;

/// Messages that the floor sends at once, as the gateway does.
const SENDS: usize = 16;

/// Chats have numbers from here on; the first of them only warms up.
const PEOPLE: i64 = 4_000_000;

/// Processor time of a thousand messages, in seconds.
const CPU_S_MAX: f64 = 0.5;

/// Memory with 2,000 messages under way.
const PEAK_MB_MAX: f64 = 40.0;

/// Messages in a second, where 2,000 come at once.
const PACE_MIN: f64 = 1000.0;

/// From the start of the program until its first question for messages, once it has run before.
const START_MS_MAX: f64 = 30.0;

/// Memory while nothing happens.
const IDLE_MB_MAX: f64 = 12.0;

/// So many messages in so many chats, so many of them unanswered at once.
struct Scene {
    name: &'static str,
    chats: u32,
    messages: u32,
    open_max: u32,
}

const SCENES: [Scene; 4] = [
    Scene { name: "1 chat, one after the other", chats: 1, messages: 200, open_max: 1 },
    Scene { name: "200 over 50 chats", chats: 50, messages: 200, open_max: 200 },
    Scene { name: "2,000 over 200 chats", chats: 200, messages: 2000, open_max: 2000 },
    Scene { name: "2,000 in one burst, a chat each", chats: 2000, messages: 2000, open_max: 2000 },
];

/// What one run has shown.
#[derive(Clone, Copy)]
struct Figures {
    answer_ms: [f64; 2],
    per_second: f64,
    cpu_s: f64,
    peak_mb: f64,
    lost: u32,
    reordered: u32,
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(at) = arguments.iter().position(|argument| argument == "--floor") {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        return runtime.block_on(floor(&arguments[at + 1]));
    }
    let flush = quantiles(fsyncs());
    println!(
        "fsync of this disk: {:.2} ms (p50), {:.2} ms (p99); rates off, the best of {ROUNDS} runs",
        flush[0], flush[1]
    );
    start();
    print(["", "answer p50/p99 ms", "per s", "CPU s/1k", "peak MB", "lost, swapped"].map(str::to_owned));
    for scene in &SCENES {
        let runs: Vec<_> = (0..ROUNDS).map(|_| (run(scene, gateway), run(scene, bare))).collect();
        let (ours, floor) = (best(runs.iter().map(|run| run.0)), best(runs.iter().map(|run| run.1)));
        print(shown(scene.name, &ours));
        print(shown("  floor", &floor));
        print(compared(&ours, &floor));
        print(judged(scene, &ours, &floor, flush[0]));
    }
}

fn print([name, answer, pace, cpu, peak, wrong]: [String; 6]) {
    println!("{name:<32} {answer:>17} {pace:>12} {cpu:>12} {peak:>11} {wrong:>14}");
}

fn shown(name: &str, figures: &Figures) -> [String; 6] {
    let [p50, p99] = figures.answer_ms;
    [
        name.to_owned(),
        format!("{p50:.2}/{p99:.2}"),
        format!("{:.0}", figures.per_second),
        format!("{:.3}", figures.cpu_s),
        format!("{:.1}", figures.peak_mb),
        format!("{}, {}", figures.lost, figures.reordered),
    ]
}

/// What is added to the floor, and how many times the floor it is.
fn compared(ours: &Figures, floor: &Figures) -> [String; 6] {
    let [p50, p99] = [0, 1].map(|at| ours.answer_ms[at] - floor.answer_ms[at]);
    [
        "  added; times the floor".to_owned(),
        format!("{p50:+.2}/{p99:+.2}"),
        format!("{:.2}x", ours.per_second / floor.per_second),
        format!("{:.1}x", ours.cpu_s / floor.cpu_s),
        format!("{:.1}x", ours.peak_mb / floor.peak_mb),
        String::new(),
    ]
}

fn judged(scene: &Scene, ours: &Figures, floor: &Figures, flush_ms: f64) -> [String; 6] {
    let added = ours.answer_ms[0] - floor.answer_ms[0];
    let added_max = 2.0 * flush_ms + 2.0;
    let of = |is_meant: bool, target: String| if is_meant { target } else { String::new() };
    [
        "  target".to_owned(),
        of(scene.open_max == 1, target(added <= added_max, format!("{added_max:+.2}"))),
        of(scene.chats == 200, target(ours.per_second >= PACE_MIN, format!("{PACE_MIN}"))),
        target(ours.cpu_s <= CPU_S_MAX, format!("{CPU_S_MAX}")),
        target(ours.peak_mb <= PEAK_MB_MAX, format!("{PEAK_MB_MAX}")),
        target(ours.lost + ours.reordered == 0, "0, 0".to_owned()),
    ]
}

/// The quickest run; but what any run lost or swapped counts.
fn best(runs: impl Iterator<Item = Figures>) -> Figures {
    let runs: Vec<_> = runs.collect();
    let best = runs.iter().max_by(|a, b| a.per_second.total_cmp(&b.per_second)).unwrap();
    let [lost, reordered] =
        [|run: &Figures| run.lost, |run: &Figures| run.reordered].map(|count| runs.iter().map(count).sum());
    Figures { lost, reordered, ..*best }
}

/// A program that plays the bot, in this home.
type Program = fn(&TestHome, &TelegramService) -> Command;

/// How long the program takes until its first question for messages, and its memory while it waits.
fn start() {
    let home = TestHome::empty();
    let starts = |program: Program| {
        let (mut times, mut idle_mb, mut own_mb) = (Vec::new(), f64::MAX, f64::MAX);
        for round in 0..=2 * ROUNDS {
            let service = TelegramService::start();
            let mut command = program(&home, &service);
            let begun = Instant::now();
            let child = Running(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
            while service.count_asked(|asked| asked.method == "getUpdates") == 0 {
                assert!(begun.elapsed() < LIMIT, "it never asked");
                std::thread::sleep(Duration::from_micros(200));
            }
            let first = begun.elapsed();
            // The first start finds nothing in memory, and makes the database.
            if round > 0 {
                times.push(first);
            }
            std::thread::sleep(Duration::from_millis(if round == 1 { 2000 } else { 300 }));
            idle_mb = idle_mb.min(memory_mb(child.0.id(), "VmRSS:"));
            own_mb = own_mb.min(memory_mb(child.0.id(), "RssAnon:"));
        }
        times.sort();
        (ms(times[0]), ms(times[times.len() / 2]), [idle_mb, own_mb])
    };
    let ((best, median, [idle, own]), (floor, floor_median, [floor_idle, floor_own])) =
        (starts(gateway), starts(bare));
    println!(
        "start until the first getUpdates: {best:.1} ms, median {median:.1} (floor {floor:.1}, {floor_median:.1}; target {})",
        target(best <= START_MS_MAX, format!("{START_MS_MAX}"))
    );
    println!(
        "memory while nothing happens: {idle:.1} MB, {own:.1} of it its own and the rest its program's file (floor {floor_idle:.1}, \
         {floor_own:.1}; target {})",
        target(idle <= IDLE_MB_MAX, format!("{IDLE_MB_MAX}"))
    );
}

/// The real program in its home.
fn gateway(home: &TestHome, service: &TelegramService) -> Command {
    home.write(
        ".env",
        format!("TELEGRAM_BOT_TOKEN={TOKEN}\nTELEGRAM_ALLOWED_USERS=*\nTELEGRAM_ALLOW_ALL_USERS=true\n"),
    );
    let gateway = "[gateway]\njoin_window = \"0s\"\nchat_turns_per_minute = 0\n";
    home.write("gateway.toml", format!("{gateway}{}", service.table()));
    let mut command = home.command(["gateway", "run"]);
    command.env("HERMES_GATEWAY_LOCK_DIR", home.root().join("locks"));
    command
}

/// The floor, as a program of its own.
fn bare(_home: &TestHome, service: &TelegramService) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--floor", &service.base()]);
    command
}

/// Plays the service: messages become available, and answers are taken.
fn run(scene: &Scene, program: Program) -> Figures {
    let (home, service) = (TestHome::empty(), TelegramService::start());
    service.forget_requests();
    let mut command = program(&home, &service);
    let child = Running(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    let pid = child.0.id();
    service.write(PEOPLE, PEOPLE, "m0");
    service.wait_sent(PEOPLE, "m0");
    let cpu = cpu_s(pid);
    let begun = Instant::now();
    let mut written = Vec::new();
    let mut answered = 0;
    while answered < scene.messages {
        let open = scene.open_max.min(scene.messages - answered);
        let next = u32::try_from(written.len()).unwrap()..answered + open;
        written.resize(next.end.try_into().unwrap(), Instant::now());
        service.write_all(next.map(|number| (chat(scene, number), format!("m{number}"))));
        answered += open;
        assert!(service.wait_count(usize::try_from(answered + 1).unwrap(), LIMIT), "it never answered");
    }
    // What is written down after the last answer is a part of the cost.
    std::thread::sleep(Duration::from_millis(200));
    let cpu_s = (cpu_s(pid) - cpu) / f64::from(scene.messages) * 1000.0;
    let peak_mb = memory_mb(pid, "VmHWM:");
    let sent = service.sent();
    let last = sent.iter().map(|sent| sent.at).max().unwrap();
    let mut answers = HashMap::new();
    let (mut newest, mut reordered) = (BTreeMap::new(), 0);
    for sent in sent.iter().filter(|sent| sent.chat != PEOPLE) {
        let number: u32 = sent.text.rsplit_once('m').unwrap().1.parse().unwrap();
        if newest.insert(sent.chat, number).is_some_and(|before| before > number) {
            reordered += 1;
        }
        answers.entry(number).or_insert(sent.at - written[usize::try_from(number).unwrap()]);
    }
    Figures {
        lost: scene.messages - u32::try_from(answers.len()).unwrap(),
        answer_ms: quantiles(answers.into_values().collect()),
        per_second: f64::from(scene.messages) / (last - begun).as_secs_f64(),
        cpu_s,
        peak_mb,
        reordered,
    }
}

fn chat(scene: &Scene, number: u32) -> i64 {
    PEOPLE + 1 + i64::from(number % scene.chats)
}

/// The same calls, with nothing kept and nothing decided.
async fn floor(base: &str) {
    let address = base.trim_start_matches("http://").to_owned();
    let mut polls = Caller::connect(&address).await;
    polls.ask("getMe", &json!({})).await;
    polls.ask("getWebhookInfo", &json!({})).await;
    let mut offset = Value::Null;
    let mut timeout = 0;
    let idle = Arc::new(Mutex::new(Vec::new()));
    let sends = Arc::new(Semaphore::new(SENDS));
    loop {
        let question = json!({ "offset": offset, "limit": 100, "timeout": timeout });
        let Some(updates) = polls.ask("getUpdates", &question).await else { return };
        timeout = 30;
        for update in updates.as_array().unwrap() {
            offset = json!(update["update_id"].as_i64().unwrap() + 1);
            let (idle, sends, address, message) =
                (Arc::clone(&idle), Arc::clone(&sends), address.clone(), update["message"].clone());
            tokio::spawn(async move {
                let _place = sends.acquire().await.unwrap();
                let kept = idle.lock().await.pop();
                let mut caller = match kept {
                    Some(caller) => caller,
                    None => Caller::connect(&address).await,
                };
                let text = format!("Echo: {}", message["text"].as_str().unwrap());
                let send = json!({ "chat_id": message["chat"]["id"], "text": text, "parse_mode": "HTML" });
                caller.ask("sendMessage", &send).await;
                idle.lock().await.push(caller);
            });
        }
    }
}

/// One connection of the floor.
struct Caller {
    stream: BufReader<TcpStream>,
    address: String,
}

impl Caller {
    async fn connect(address: &str) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream: BufReader::new(stream), address: address.to_owned() }
    }

    async fn ask(&mut self, method: &str, question: &Value) -> Option<Value> {
        let body = question.to_string();
        let (address, length) = (&self.address, body.len());
        let request = format!(
            "POST /bot{TOKEN}/{method} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n\
             content-length: {length}\r\n\r\n{body}"
        );
        self.stream.get_mut().write_all(request.as_bytes()).await.ok()?;
        let body = read_body(&mut self.stream).await?;
        let mut answer: Value = serde_json::from_slice(&body).ok()?;
        Some(answer["result"].take())
    }
}
