//! The gateway dies at every boundary and at random moments, with messages in flight. Ledgers at both ends show the fate of
//! each: none lost, none out of order, and repeated only where the outcome could not be known.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use hermes::failpoint;
use hermes::platforms::{Platform, Repeat};
use rustix::process::Signal;
use serde_json::Value;

use crate::support::home::TestHome;
use crate::support::house::QUICK;
use crate::support::ledger::{
    AskedAgent, Dice, Entry, Excuses, FarEnd, MARK, ORDERS, ScriptedEnd, TelegramEnd, Trouble, judge, number,
    text,
};
use crate::support::wait;

/// Number of kills at random moments, over both services, unless `HERMES_KILLS` says otherwise.
const KILLS: u32 = 200;

/// The longest that a gateway lives on after its first answer, where the agent answers at once.
const QUICK_LIFE_MAX: Duration = Duration::from_millis(150);

/// Number of chats that write at once.
const CHATS: u32 = 20;

/// Places that no message of these services passes.
const ELSEWHERE: [(&str, &str); 2] = [
    ("loop.", "is no boundary of a message; life.rs has it hang"),
    ("rename.", "moves a session or the bridge's folder aside; a message moves nothing"),
];

/// One run of the gateway: only a process, since thousands of them are started.
struct Life {
    child: Child,
}

impl Life {
    fn start(home: &TestHome, log: &Path, failpoint: Option<&str>) -> Self {
        let log = |options: &mut OpenOptions| -> File { options.create(true).write(true).open(log).unwrap() };
        let stderr = log(OpenOptions::new().truncate(true));
        let mut command = home.command(["gateway", "run", "-v"]);
        command.envs(failpoint.map(|wanted| ("HERMES_FAILPOINT", wanted)));
        // Three deaths within two minutes are a crash loop, which another test covers; here each stands alone.
        drop(std::fs::remove_file(home.root().join("gateway.boots")));
        Self { child: command.stdout(Stdio::null()).stderr(stderr).spawn().unwrap() }
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Returns the status file, once it is this run's own.
    fn state(&self, home: &TestHome) -> Value {
        let state = std::fs::read(home.paths().state_file()).unwrap_or_default();
        let state: Value = serde_json::from_slice(&state).unwrap_or_default();
        if state["pid"] == self.child.id() { state } else { Value::Null }
    }

    /// True when it has ended.
    fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Asks it to stop, once it listens to that.
    fn stop(mut self, home: &TestHome) -> Option<i32> {
        let is_up = || (!self.state(home).is_null()).then_some(());
        wait::until(wait::LIMIT, is_up)?;
        let pid = rustix::process::Pid::from_raw(self.child.id().cast_signed()).unwrap();
        rustix::process::kill_process(pid, Signal::TERM).unwrap();
        wait::until(wait::LIMIT, || self.child.try_wait().unwrap()).and_then(|status| status.code())
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A home between the two ends.
struct Scene<F> {
    far: F,
    agent: AskedAgent,
    home: TestHome,
    log: PathBuf,
    written: BTreeMap<u32, u32>,
    excuses: Excuses,
}

/// The counts of the two judges.
struct Figures {
    messages: usize,
    repeats: usize,
    unfinished: usize,
    asked_again: usize,
    given_up: usize,
}

impl<F: FarEnd> Scene<F> {
    fn set() -> Self {
        Self::set_in(TestHome::empty())
    }

    fn set_in(mut home: TestHome) -> Self {
        let (far, agent) = (F::start(), AskedAgent::start());
        let platform = far.furnish(&mut home);
        home.write("gateway.toml", format!("{}{QUICK}{platform}", agent.table()));
        std::fs::set_permissions(home.root(), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
        let log = home.root().with_extension("log");
        Self { far, agent, home, log, written: BTreeMap::new(), excuses: Excuses::default() }
    }

    /// Makes a scene whose agent is slow, and whose answers are shown as they grow.
    fn set_slow() -> Self {
        let scene = Self::set();
        scene.agent.dawdle();
        let path = scene.home.paths().config_file();
        let toml = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{toml}stream_every = \"100ms\"\n")).unwrap();
        scene
    }

    fn start(&self, failpoint: Option<&str>) -> Life {
        Life::start(&self.home, &self.log, failpoint)
    }

    /// Kills it, and waits until its earlier output is read.
    fn kill(&mut self, life: Life) {
        life.kill();
        self.far.hush();
        self.agent.hush();
        self.excuses.deaths.push(Instant::now());
    }

    /// Returns the excuses at this moment.
    fn excuses(&self) -> Excuses {
        let refused = self.far.refused().iter().filter_map(|(_, text)| number(text)).collect();
        Excuses { refused, ..self.excuses.clone() }
    }

    /// Writes the next message of each of these chats.
    fn write(&mut self, chats: impl IntoIterator<Item = u32>) {
        let next = |chat: u32| {
            let count = self.written.entry(chat).or_default();
            *count += 1;
            (chat, text(chat, *count))
        };
        let messages: Vec<_> = chats.into_iter().map(next).collect();
        self.far.write(&messages);
    }

    fn wait_until(&self, limit: Duration, fits: impl Fn(&[Entry]) -> bool) -> bool {
        let deadline = Instant::now() + limit;
        loop {
            let delivered = self.far.delivered();
            if fits(&delivered) {
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            self.far.wait(delivered.len() + 1, left.min(Duration::from_millis(50)));
        }
    }

    /// True when everything is acknowledged, and answered or reported.
    fn is_settled(&self, delivered: &[Entry]) -> bool {
        let verdict = judge(&self.written, delivered, &self.excuses());
        self.far.offered() == 0 && !verdict.wrongs.iter().any(|wrong| wrong.starts_with("lost"))
    }

    /// True when the gateway has nothing more to do, by its own status.
    fn is_idle(&self, life: &Life) -> bool {
        let queues = &life.state(&self.home)["queues"];
        queues["inbox"] == 0 && queues["outbox"] == 0
    }

    /// Runs a gateway until all is done, and judges both ends. The message says where it went wrong.
    fn settle(mut self, life: Life, about: &str) -> Figures {
        let settled =
            self.wait_until(wait::LIMIT, |delivered| self.is_settled(delivered) && self.is_idle(&life));
        let code = life.stop(&self.home);
        self.excuses.is_marked = F::NAME.parse::<Platform>().unwrap().spec().repeat == Repeat::Marked;
        let out = judge(&self.written, &self.far.delivered(), &self.excuses());
        // The agent may never have been asked about messages that were given up.
        let (given_up, deaths) = (out.given_up.clone(), self.excuses.deaths.clone());
        let excuses = Excuses { given_up, deaths, unknown: self.excuses.unknown, ..Excuses::default() };
        let asked = judge(&self.written, &self.agent.asked(), &excuses);
        let [heard, said] = [("out", &out), ("in", &asked)]
            .map(|(side, verdict)| verdict.wrongs.iter().map(move |wrong| format!("{side}: {wrong}")));
        let wrongs: Vec<_> = heard.chain(said).collect();
        assert!(
            settled && wrongs.is_empty() && code == Some(0),
            "{} {about}: {} wrongs, settled {settled}, exit {code:?}, {} not acknowledged:\n{}\n{}",
            F::NAME,
            wrongs.len(),
            self.far.offered(),
            wrongs.iter().take(40).cloned().collect::<Vec<_>>().join("\n"),
            std::fs::read_to_string(&self.log).unwrap_or_default()
        );
        Figures {
            messages: out.seen,
            repeats: out.repeats,
            unfinished: out.unfinished,
            asked_again: asked.repeats,
            given_up: out.given_up.len(),
        }
    }
}

/// Does what else is needed so that the gateway passes a place.
fn stir<F: FarEnd>(scene: &mut Scene<F>, name: &str) {
    match name.split('.').next().unwrap_or_default() {
        // If a whole batch is acknowledged at once, there are several.
        "ack" => scene.far.portion(2),
        // Most messages enter the store as being sent already; one that failed before does not.
        "unsent" | "sending" => {
            scene.far.trouble(&[Trouble::Unknown]);
            scene.excuses.unknown += 1;
        }
        "bury" => scene.far.trouble(&[Trouble::Never]),
        "detach" => {
            // The first may hit a message that only shows progress.
            scene.far.trouble(&[Trouble::Gone; 3]);
            scene.excuses.unknown += 3;
        }
        // A message to an idle chat is begun with its acceptance; one that waited for the agent is not.
        "begin" | "release" => {
            scene.agent.trouble("503 Busy", "");
            scene.excuses.unknown += 1;
        }
        // Several chats that fail, with no success between, get the notice that the agent is away.
        "queue" => {
            (0..3).for_each(|_| scene.agent.trouble("503 Busy", ""));
            scene.excuses.unknown += 3;
        }
        "revive" | "drop" => {
            let life = scene.start(None);
            scene.far.trouble(&[Trouble::Never]);
            scene.far.write(&[(ORDERS, "hello".to_owned())]);
            let is_dead = || (life.state(&scene.home)["queues"]["dead"] == 1).then_some(());
            assert!(wait::until(wait::LIMIT, is_dead).is_some());
            assert_eq!(life.stop(&scene.home), Some(0));
        }
        "order" | "retry" => scene.far.write(&[(ORDERS, "hello".to_owned()), (ORDERS, "/retry".to_owned())]),
        "session" => {
            // A conversation that ended long ago.
            let life = scene.start(None);
            scene.write([CHATS]);
            assert!(scene.wait_until(wait::LIMIT, |delivered| scene.is_settled(delivered)));
            assert_eq!(life.stop(&scene.home), Some(0));
            let db = rusqlite::Connection::open(scene.home.paths().database()).unwrap();
            db.execute("UPDATE session SET last_at_s = 0", []).unwrap();
            let path = scene.home.paths().config_file();
            let toml = std::fs::read_to_string(&path).unwrap();
            std::fs::write(&path, format!("{toml}[session]\nreset = \"daily\"\nnotify = false\n")).unwrap();
        }
        _ => {}
    }
}

/// True for the places of showing an answer as it grows.
fn is_of_previews(name: &str) -> bool {
    name.starts_with("preview.") || name.starts_with("detach.")
}

/// Dies at this place when it is passed for this time, with messages in flight. `false`: it was never passed.
fn dies_at<F: FarEnd>(name: &str, time: u32) -> bool {
    let mut scene = if is_of_previews(name) { Scene::<F>::set_slow() } else { Scene::<F>::set() };
    stir(&mut scene, name);
    for _ in 0..4 {
        scene.write(1..=3);
    }
    let mut life = scene.start(Some(&format!("{name}:{time}")));
    let asked: Option<&[&str]> = match name.split('.').next().unwrap_or_default() {
        "pause" => Some(&["platform", "pause", F::NAME]),
        "revive" => Some(&["dead", "retry", "all"]),
        "drop" => Some(&["dead", "drop", "all"]),
        _ => None,
    };
    if let Some(asked) = asked {
        let is_up = wait::until(wait::LIMIT, || (!life.state(&scene.home).is_null()).then_some(()));
        assert!(is_up.is_some(), "{name}");
        drop(scene.home.run(asked));
    }
    let died = wait::until(wait::LIMIT, || {
        let died = life.has_ended();
        (died || scene.is_settled(&scene.far.delivered())).then_some(died)
    });
    // The last boundaries are behind the last answer.
    let died = died == Some(true)
        || wait::until(Duration::from_secs(10), || life.has_ended().then_some(())).is_some();
    scene.kill(life);
    let life = scene.start(None);
    if name.starts_with("pause") {
        let resumed = wait::until(wait::LIMIT, || {
            (scene.home.run(["platform", "resume", F::NAME]).code == Some(0)).then_some(())
        });
        assert!(resumed.is_some(), "it cannot be resumed");
    }
    scene.settle(life, &format!("{name}:{time}"));
    died
}

fn dies_everywhere<F: FarEnd>() {
    let mut missed = Vec::new();
    for name in failpoint::NAMES {
        // Each platform acknowledges in another place.
        let is_other = name.strip_prefix("ack.").is_some_and(|place| !place.starts_with(F::ACKNOWLEDGES));
        let is_whole = F::NAME.parse::<Platform>().unwrap().spec().stream_every.is_none();
        if is_other
            || is_whole && is_of_previews(name)
            || ELSEWHERE.iter().any(|(place, _)| name.starts_with(place))
        {
            continue;
        }
        let is_each_time = ["accept", "ack", "begin", "commit", "finish", "send", "sent"]
            .contains(&name.split('.').next().unwrap_or_default());
        let times: &[u32] = if is_each_time { &[1, 5] } else { &[1] };
        for &time in times {
            if !dies_at::<F>(name, time) {
                missed.push(format!("{name}:{time}"));
            }
        }
    }
    assert!(missed.is_empty(), "{}: it never came by {missed:?}", F::NAME);
}

#[test]
fn a_death_at_any_boundary_loses_nothing_over_the_scripted_platform() {
    dies_everywhere::<ScriptedEnd>();
}

#[test]
fn a_death_at_any_boundary_loses_nothing_over_telegram() {
    dies_everywhere::<TelegramEnd>();
}

fn wanted(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Dies so often at random moments, with 50 to 200 messages in flight, and lives no longer than this after its first answer.
#[expect(clippy::print_stdout, reason = "whoever asks for many deaths wants to know what they did")]
fn dies_at_random<F: FarEnd>(mut scene: Scene<F>, kills: u32, life_max: Duration) {
    let seed = wanted("HERMES_SEED").unwrap_or_else(|| u64::from(std::process::id()) << 8);
    let mut dice = Dice::new(seed);
    let begun = Instant::now();
    for _ in 0..kills {
        let delivered = scene.far.delivered();
        // A message that came twice counts once.
        let done = judge(&scene.written, &delivered, &scene.excuses());
        let delivered = delivered.len();
        let written: u32 = scene.written.values().sum();
        let open = written.saturating_sub(u32::try_from(done.seen + done.given_up.len()).unwrap());
        let wanted = dice.range(50, 200);
        let chats: Vec<_> = (open..wanted).map(|_| dice.range(1, CHATS)).collect();
        scene.write(chats);
        let life = scene.start(None);
        // One in five dies while it starts; the others once they are ready.
        if dice.range(1, 5) > 1 {
            scene.far.wait(delivered + 1, wait::LIMIT);
        }
        let more = usize::try_from(dice.range(1, 60)).unwrap();
        scene.far.wait(delivered + more, life_max * dice.range(0, 1000) / 1000);
        scene.kill(life);
    }
    let life = scene.start(None);
    let figures = scene.settle(life, &format!("killed {kills} times, HERMES_SEED={seed}"));
    println!(
        "{}: {kills} kills in {:.1} s, {} messages, {} repeated to people, {} left unfinished, {} asked again, {} given up and told of; HERMES_SEED={seed}",
        F::NAME,
        begun.elapsed().as_secs_f64(),
        figures.messages,
        figures.repeats,
        figures.unfinished,
        figures.asked_again,
        figures.given_up
    );
}

fn kills() -> u32 {
    wanted("HERMES_KILLS").map_or(KILLS, |kills| kills.try_into().unwrap())
}

#[test]
fn deaths_at_random_moments_lose_nothing_over_the_scripted_platform() {
    dies_at_random(Scene::<ScriptedEnd>::set(), kills().div_ceil(2), QUICK_LIFE_MAX);
}

#[test]
fn deaths_at_random_moments_lose_nothing_over_telegram() {
    let (on_disk, in_memory) = (kills().div_ceil(2), kills() / 2);
    dies_at_random(Scene::<TelegramEnd>::set(), on_disk, QUICK_LIFE_MAX);
    // Steps that wait for the disk come in another order where that takes no time.
    dies_at_random(Scene::<TelegramEnd>::set_in(TestHome::in_memory()), in_memory, QUICK_LIFE_MAX);
}

#[test]
fn deaths_at_random_moments_leave_one_message_of_an_answer_that_was_shown_as_it_grew() {
    // Long enough for most to be answered before their third attempt.
    dies_at_random(Scene::<TelegramEnd>::set_slow(), kills().div_ceil(4), 10 * QUICK_LIFE_MAX);
}

#[test]
fn five_hundred_messages_at_once_over_fifty_chats_are_answered_once_and_in_order() {
    let mut scene = Scene::<ScriptedEnd>::set();
    for _ in 0..10 {
        scene.write(1..=50);
    }
    let life = scene.start(None);
    let Figures { messages, repeats, unfinished: _, asked_again, given_up } =
        scene.settle(life, "in one burst");
    assert_eq!((messages, repeats, asked_again, given_up), (500, 0, 0, 0));
}

#[test]
fn the_judge_finds_each_kind_of_wrong_and_takes_an_excuse() {
    let start = Instant::now();
    let entry = |at_s: u64, (text, replies_to): (&str, Option<u32>)| Entry {
        at: start + Duration::from_secs(at_s),
        chat: 1,
        text: text.to_owned(),
        handle: None,
        replies_to: replies_to.map(|number| (1, number)),
    };
    let written = BTreeMap::from([(1, 3)]);
    let kinds_of = |texts: &[(&str, Option<u32>)], excuses: &Excuses| -> Vec<String> {
        let entries: Vec<_> = (0..).zip(texts).map(|(at, text)| entry(at, *text)).collect();
        let wrongs = judge(&written, &entries, excuses).wrongs;
        let kind = |wrong: &String| wrong.split([':', '[']).next().unwrap_or_default().trim().to_owned();
        wrongs.iter().map(kind).collect()
    };
    let kinds = |texts: &[&str], excuses: &Excuses| {
        kinds_of(&texts.iter().map(|text| (*text, None)).collect::<Vec<_>>(), excuses)
    };
    let (one, two, three) = (&*text(1, 1), &*text(1, 2), &*text(1, 3));
    let none = Excuses::default();
    assert_eq!(kinds(&[one, two, three], &none), [""; 0]);
    assert_eq!(kinds(&[one, three], &none), ["lost"]);
    assert_eq!(kinds(&[one, three, two], &none), ["reordered", "lost"]);
    assert_eq!(kinds(&[one, two, one, three], &none), ["duplicated late"]);
    assert_eq!(kinds(&[one, two, three, "c1 m4."], &none), ["unexpected"]);
    assert_eq!(kinds(&[one, two, three, "c2 m1."], &none), ["unexpected"]);
    assert_eq!(kinds(&[one, one, two, three], &none), ["duplicated"]);
    // A notice excuses the message that it is about, and no other.
    let given_up = "I could not process this message: it failed three times.";
    let with = |second: (&str, Option<u32>)| kinds_of(&[(one, None), second, (three, None)], &none);
    assert_eq!(with((given_up, Some(2))), [""; 0]);
    assert_eq!(with((given_up, Some(1))), ["lost", "answered and given up"]);
    assert_eq!(with((given_up, None)), ["about no message", "lost"]);
    assert_eq!(with(("The agent is not available right now.", Some(2))), ["lost"]);
    let undelivered = "An answer of 2026-02-03 04:05 UTC could not be delivered to you.";
    assert_eq!(kinds(&[one, undelivered, three], &none), ["told of 1 losses in chat 1, which had 0", "lost"]);
    let refused = Excuses { refused: [(1, 2)].into(), ..Excuses::default() };
    assert_eq!(kinds(&[one, undelivered, three], &refused), [""; 0]);
    assert_eq!(kinds(&[one, three], &refused), [""; 0]);
    assert_eq!(
        kinds(&[one, "2 messages to you could not be delivered", three], &refused),
        ["told of 2 losses in chat 1, which had 1"]
    );
    assert_eq!(kinds(&[one], &refused), ["lost"]);
    let unsure = "An answer of 2026-02-03 04:05 UTC may not have reached you.";
    assert_eq!(kinds(&[one, unsure, three], &none), [""; 0]);
    assert_eq!(kinds(&[unsure, three], &none), ["lost"]);
    let both = "1 messages to you could not be delivered and 1 may not have reached you, the first of then.";
    assert_eq!(kinds(&[both, three], &refused), [""; 0]);
    let died = |is_marked| Excuses {
        deaths: vec![start + Duration::from_millis(500)],
        is_marked,
        ..Excuses::default()
    };
    assert_eq!(kinds(&[one, one, two, three], &died(false)), [""; 0]);
    // A text that shows only a beginning is not an answer, and only a death leaves it so.
    let unfinished = &*format!("{one} And \u{2589}");
    assert_eq!(kinds(&[unfinished, one, two, three], &died(true)), [""; 0]);
    assert_eq!(kinds(&[unfinished, one, two, three], &none), ["unfinished"]);
    assert_eq!(kinds(&[unfinished, two, three], &died(true)), ["lost"]);
    assert_eq!(kinds(&[one, one, two, three], &died(true)), ["duplicated without a mark"]);
    assert_eq!(kinds(&[one, &format!("{MARK}\n{one}"), two, three], &died(true)), [""; 0]);
    assert_eq!(kinds(&[one, two, three, three], &died(false)), ["duplicated"]);
    assert_eq!(kinds(&[one, two, three, three], &Excuses { unknown: 1, ..Excuses::default() }), [""; 0]);
}
