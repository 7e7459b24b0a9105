//! What the message path costs: the real program between a platform whose service is played over its socket and an agent on
//! loopback that answers at once. Each figure stands beside a floor from the same run (a program that makes the same calls
//! with no durability and no decisions) and beside its target. Nothing that is written in one go is joined here: there are
//! as many turns as messages. Run by `just bench`; `-- --all` adds the longest scene.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    dead_code,
    reason = "a benchmark asks the time and prints, fails where something is missing, and uses a part of the tests' support"
)]

use std::collections::{BTreeMap, HashMap};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, BufWriter};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc};

mod measure;
#[path = "../tests/suite/support/mod.rs"]
mod support;

use measure::{Running, cpu_s, float, fsyncs, memory_mb, quantiles, read_body, target};
use support::home::TestHome;

/// Turns at once, in the gateway and in the floor.
const TURNS: usize = 64;

/// Texts of a conversation that the agent is told with each question, by the gateway and by the floor.
const HISTORY: usize = 40;

/// Nothing takes longer.
const LIMIT: Duration = Duration::from_secs(600);

/// Processor time of a thousand messages, in seconds.
const CPU_S_MAX: f64 = 0.5;

/// Memory with 2,000 messages under way.
const PEAK_MB_MAX: f64 = 40.0;

/// Messages in a second, where many come at once.
const PACE_MIN: f64 = 3000.0;

/// One among 100,000 messages costs so many times what one among 1,000 does.
const GROWTH_MAX: f64 = 1.1;

/// So many messages in so many chats, so many of them unanswered at once.
struct Scene {
    name: &'static str,
    chats: usize,
    messages: usize,
    open_max: usize,
    rounds: usize,
}

const SCENES: [Scene; 5] = [
    Scene { name: "1 chat, one after the other", chats: 1, messages: 600, open_max: 1, rounds: 5 },
    Scene { name: "1,000 over 100 chats", chats: 100, messages: 1000, open_max: 1000, rounds: 5 },
    Scene { name: "2,000 over 200 chats", chats: 200, messages: 2000, open_max: 2000, rounds: 5 },
    Scene { name: "2,000 in one burst", chats: 2000, messages: 2000, open_max: 2000, rounds: 5 },
    Scene { name: "100,000 over 10,000 chats", chats: 10_000, messages: 100_000, open_max: 2000, rounds: 1 },
];

/// What one run has shown.
#[derive(Clone, Copy)]
struct Figures {
    ack_ms: [f64; 2],
    answer_ms: [f64; 2],
    per_second: f64,
    cpu_s: f64,
    peak_mb: f64,
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    if let Some(at) = arguments.iter().position(|argument| argument == "--floor") {
        return runtime.block_on(floor(&arguments[at + 1], &arguments[at + 2]));
    }
    let all = arguments.iter().any(|argument| argument == "--all");
    let flushes = quantiles(fsyncs());
    println!("fsync of this disk: {:.2} ms (p50), {:.2} ms (p99)", flushes[0], flushes[1]);
    print(["", "ack p50/p99 ms", "answer p50/p99", "per s", "CPU s/1k", "peak MB"].map(str::to_owned));
    let mut costs = BTreeMap::new();
    for scene in SCENES.iter().filter(|scene| all || scene.messages < 100_000) {
        let runs: Vec<_> = (0..scene.rounds)
            .map(|_| {
                let agent = runtime.block_on(agent());
                (runtime.block_on(gateway(scene, &agent)), runtime.block_on(bare(scene, &agent)))
            })
            .collect();
        let ours = median(runs.iter().map(|run| run.0));
        let floor = median(runs.iter().map(|run| run.1));
        print(shown(scene.name, &ours));
        print(shown("  floor", &floor));
        print(compared(&ours, &floor));
        print(judged(scene, &ours, &floor, flushes[0]));
        costs.insert(scene.messages, ours.cpu_s);
    }
    if let Some(many) = costs.get(&100_000) {
        let growth = many / costs[&1000];
        let target = target(growth <= GROWTH_MAX, format!("{GROWTH_MAX}"));
        println!("one among 100,000 messages costs {growth:.2} times one among 1,000; target {target}");
    }
}

fn print([name, ack, answer, pace, cpu, peak]: [String; 6]) {
    println!("{name:<28} {ack:>17} {answer:>17} {pace:>12} {cpu:>12} {peak:>11}");
}

fn shown(name: &str, figures: &Figures) -> [String; 6] {
    let pair = |[p50, p99]: [f64; 2]| format!("{p50:.2}/{p99:.2}");
    [
        name.to_owned(),
        pair(figures.ack_ms),
        pair(figures.answer_ms),
        format!("{:.0}", figures.per_second),
        format!("{:.3}", figures.cpu_s),
        format!("{:.1}", figures.peak_mb),
    ]
}

/// What is added to the floor, and how many times the floor it is.
fn compared(ours: &Figures, floor: &Figures) -> [String; 6] {
    let added = |ours: [f64; 2], floor: [f64; 2]| {
        let [p50, p99] = [0, 1].map(|at| ours[at] - floor[at]);
        format!("{p50:+.2}/{p99:+.2}")
    };
    [
        "  added; times the floor".to_owned(),
        added(ours.ack_ms, floor.ack_ms),
        added(ours.answer_ms, floor.answer_ms),
        format!("{:.2}x", ours.per_second / floor.per_second),
        format!("{:.1}x", ours.cpu_s / floor.cpu_s),
        format!("{:.1}x", ours.peak_mb / floor.peak_mb),
    ]
}

fn judged(scene: &Scene, ours: &Figures, floor: &Figures, flush_ms: f64) -> [String; 6] {
    let added = ours.answer_ms[0] - floor.answer_ms[0];
    let added_max = 2.0 * flush_ms + 2.0;
    let is_burst = scene.open_max > 1;
    let answer = target(added <= added_max, format!("{added_max:+.2}"));
    let pace = target(ours.per_second >= PACE_MIN, format!("{PACE_MIN}"));
    [
        "  target".to_owned(),
        String::new(),
        if is_burst { String::new() } else { answer },
        if is_burst { pace } else { String::new() },
        target(ours.cpu_s <= CPU_S_MAX, format!("{CPU_S_MAX}")),
        target(ours.peak_mb <= PEAK_MB_MAX, format!("{PEAK_MB_MAX}")),
    ]
}

/// Of the run that is in the middle by its pace.
fn median(runs: impl Iterator<Item = Figures>) -> Figures {
    let mut runs: Vec<_> = runs.collect();
    runs.sort_by(|a, b| a.per_second.total_cmp(&b.per_second));
    runs[runs.len() / 2]
}

/// The real program, in a home of its own.
async fn gateway(scene: &Scene, agent: &str) -> Figures {
    let mut home = TestHome::empty();
    let socket = home.root().with_extension("stage");
    let listener = UnixListener::bind(&socket).unwrap();
    home.env.push(("HERMES_SCRIPTED".to_owned(), format!("1@{}", socket.display())));
    home.write(
        "gateway.toml",
        format!(
            "[gateway]\njoin_window = \"0s\"\nchat_turns_per_minute = 0\nturns_max = {TURNS}\n\
             [agent]\nkind = \"openai\"\nbase_url = \"http://{agent}/v1\"\nmodel = \"bench\"\n"
        ),
    );
    let mut command = home.command(["gateway", "run"]);
    let (figures, answered) =
        drive(scene, &listener, command.stdout(Stdio::null()).stderr(Stdio::null())).await;
    let mut next: Vec<usize> = (0..scene.chats).collect();
    for number in answered {
        let next = &mut next[number % scene.chats];
        assert_eq!(number, *next, "each message of a chat is answered once, after the one before");
        *next += scene.chats;
    }
    figures
}

/// The floor, as a program of its own.
async fn bare(scene: &Scene, agent: &str) -> Figures {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("stage");
    let listener = UnixListener::bind(&socket).unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--floor", socket.to_str().unwrap(), agent]);
    drive(scene, &listener, &mut command).await.0
}

/// Plays the service: writes the messages of the scene, and takes what is answered. Returns also the numbers of the messages
/// in the order of their answers.
async fn drive(scene: &Scene, listener: &UnixListener, command: &mut Command) -> (Figures, Vec<usize>) {
    let child = Running(command.spawn().unwrap());
    let stream = tokio::time::timeout(LIMIT, listener.accept()).await.unwrap().unwrap().0;
    let (reads, writes) = stream.into_split();
    let (cues, to_write) = mpsc::channel::<String>(2 * scene.messages + 2);
    tokio::spawn(write(writes, to_write));
    let mut lines = BufReader::new(reads).lines();
    lines.next_line().await.unwrap().expect("it says who it is");
    cues.try_send("{\"do\":\"ready\"}\n".to_owned()).unwrap();
    let cpu = cpu_s(child.0.id());
    let begun = Instant::now();
    let (mut written, mut answered) = (0, Vec::new());
    let mut at = vec![begun; scene.messages];
    let (mut acks, mut answers) = (Vec::new(), Vec::new());
    while answered.len() < scene.messages {
        while written < scene.messages && written - answered.len() < scene.open_max {
            let chat = written % scene.chats;
            at[written] = Instant::now();
            cues.try_send(format!(
                "{{\"do\":\"message\",\"id\":\"{written}\",\"chat\":\"c{chat}\",\"from\":\"c{chat}\",\"text\":\"m{written}\"}}\n"
            ))
            .unwrap();
            written += 1;
        }
        let line = tokio::time::timeout(LIMIT, lines.next_line()).await.unwrap().unwrap().expect("it lives");
        let said: Value = serde_json::from_str(&line).unwrap();
        match said["say"].as_str().unwrap() {
            "accepted" => acks.push(at[number(&said["id"])].elapsed()),
            "send" => {
                let number = number(&said["text"]);
                answers.push(at[number].elapsed());
                answered.push(number);
                cues.try_send(format!("{{\"do\":\"sent\",\"handle\":{}}}\n", said["handle"])).unwrap();
            }
            other => panic!("{other}: {line}"),
        }
    }
    let took = begun.elapsed().as_secs_f64();
    let messages = float(scene.messages.try_into().unwrap());
    let figures = Figures {
        ack_ms: quantiles(acks),
        answer_ms: quantiles(answers),
        per_second: messages / took,
        cpu_s: (cpu_s(child.0.id()) - cpu) / messages * 1000.0,
        peak_mb: memory_mb(child.0.id(), "VmHWM:"),
    };
    (figures, answered)
}

fn number(text: &Value) -> usize {
    text.as_str().unwrap().trim_start_matches(|letter: char| !letter.is_ascii_digit()).parse().unwrap()
}

async fn write(writes: impl tokio::io::AsyncWrite + Unpin, mut lines: mpsc::Receiver<String>) {
    let mut writes = BufWriter::new(writes);
    while let Some(line) = lines.recv().await {
        let written = writes.write_all(line.as_bytes()).await;
        if written.is_err() || lines.is_empty() && writes.flush().await.is_err() {
            return;
        }
    }
}

/// A service that answers at once with what it was asked. Returns its address.
async fn agent() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            stream.set_nodelay(true).unwrap();
            tokio::spawn(serve(stream));
        }
    });
    address
}

async fn serve(stream: TcpStream) {
    let mut stream = BufReader::new(stream);
    while let Some(body) = read_body(&mut stream).await {
        // It has no list of models, for which the gateway asks once.
        let Ok(asked) = serde_json::from_slice::<Value>(&body) else {
            let missing = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n";
            if stream.get_mut().write_all(missing).await.is_err() {
                return;
            }
            continue;
        };
        let text = asked["messages"].as_array().unwrap().last().unwrap()["content"].clone();
        let event = json!({ "choices": [{ "delta": { "content": text }, "finish_reason": "stop" }] });
        let answer = format!("data: {event}\n\ndata: [DONE]\n\n");
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: ";
        let answer = format!("{head}{}\r\n\r\n{answer}", answer.len());
        if stream.get_mut().write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// The same calls, with nothing on disk and nothing decided; also what it asks is as long.
async fn floor(socket: &str, agent: &str) {
    let (reads, writes) = UnixStream::connect(socket).await.unwrap().into_split();
    let (said, to_write) = mpsc::channel(4096);
    tokio::spawn(write(writes, to_write));
    said.send("{\"say\":\"connect\",\"platform\":\"scripted1\"}\n".to_owned()).await.unwrap();
    let bare = Arc::new(Bare {
        agent: agent.to_owned(),
        said,
        turns: Semaphore::new(TURNS),
        idle: Mutex::default(),
        histories: Mutex::default(),
    });
    let mut lines = BufReader::new(reads).lines();
    while let Some(line) = lines.next_line().await.unwrap() {
        let cue: Value = serde_json::from_str(&line).unwrap();
        if cue["do"] == "message" {
            bare.said.send(format!("{{\"say\":\"accepted\",\"id\":{}}}\n", cue["id"])).await.unwrap();
            let bare = Arc::clone(&bare);
            tokio::spawn(async move { bare.answer(cue).await });
        }
    }
}

/// What the floor works with.
struct Bare {
    agent: String,
    said: mpsc::Sender<String>,
    turns: Semaphore,
    idle: Mutex<Vec<BufReader<TcpStream>>>,
    histories: Mutex<HashMap<String, Vec<Value>>>,
}

impl Bare {
    async fn answer(&self, mut cue: Value) {
        let turn = self.turns.acquire().await.unwrap();
        let chat = cue["chat"].as_str().unwrap().to_owned();
        let asked = json!({ "role": "user", "content": cue["text"].take() });
        let mut messages = self.histories.lock().unwrap().get(&chat).cloned().unwrap_or_default();
        messages.push(asked.clone());
        let body = json!({ "model": "bench", "stream": true, "messages": messages }).to_string();
        let head = "POST /v1/chat/completions HTTP/1.1\r\ncontent-type: application/json\r\nhost: ";
        let request = format!("{head}{}\r\ncontent-length: {}\r\n\r\n{body}", self.agent, body.len());
        let kept = self.idle.lock().unwrap().pop();
        let mut stream = match kept {
            Some(stream) => stream,
            None => BufReader::new(TcpStream::connect(&self.agent).await.unwrap()),
        };
        stream.get_mut().write_all(request.as_bytes()).await.unwrap();
        let answer = String::from_utf8(read_body(&mut stream).await.unwrap()).unwrap();
        self.idle.lock().unwrap().push(stream);
        drop(turn);
        let event = answer.lines().next().unwrap().strip_prefix("data: ").unwrap();
        let mut event: Value = serde_json::from_str(event).unwrap();
        let text = event["choices"][0]["delta"]["content"].take();
        let send = json!({ "say": "send", "handle": cue["id"], "chat": chat, "text": text });
        self.said.send(format!("{send}\n")).await.unwrap();
        let mut histories = self.histories.lock().unwrap();
        let history = histories.entry(chat).or_default();
        history.extend([asked, json!({ "role": "assistant", "content": text })]);
        let old = history.len().saturating_sub(HISTORY);
        history.drain(..old);
    }
}
