//! Messages that arrive while a chat is busy: answered together, one after the other or handed to the turn, and never lost.

use proptest::prelude::*;

use super::*;
use crate::config::Busy;
use crate::gateway::pipeline::asking::TOOK_TOO_LONG;
use crate::gateway::pipeline::busy::BACKS_MAX;
use crate::gateway::store::api::sessions::SessionKey;

/// Long enough that a slow machine accepts two messages within it.
const WINDOW: Duration = Duration::from_millis(1500);

fn terms(busy: Busy, join_window: Duration) -> TurnConfig {
    TurnConfig { busy, join_window, ..TurnConfig::default() }
}

async fn write(path: &MessagePath, id: &str, text: &str) {
    path.accept(W, message(id, &chat(1), text)).await.unwrap();
}

fn texts(delivered: &[Delivered]) -> Vec<&str> {
    delivered.iter().map(|sent| sent.text.as_str()).collect()
}

/// The exchanges that the chat's conversation remembers.
async fn remembered(path: &MessagePath) -> Vec<(String, String)> {
    let key = SessionKey { chat: key_of(1), person: None };
    let (_, history) = path.store.conversation(&key, 10).await.unwrap().expect("a conversation");
    history.into_iter().map(|exchange| (exchange.said, exchange.answered)).collect()
}

async fn settled(store: &dyn Store) -> Depths {
    let settled = async {
        loop {
            let depths = store.depths().await.unwrap();
            if (depths.inbox, depths.outbox) == (0, 0) {
                return depths;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LIMIT, settled).await.expect("everything ends")
}

#[tokio::test]
async fn a_first_message_does_not_wait_and_what_follows_at_once_is_answered_with_it() {
    let house = House::with(terms(Busy::Queue, WINDOW));
    let agent = ScriptedAgent::new(0);
    let path = house.start(&agent);
    let link = ScriptedLink::new(Vec::new());
    up(&path, &link);
    write(&path, "A", "one").await;
    assert_eq!(agent.wait(1).await, ["one"]);
    write(&path, "B", "two").await;
    write(&path, "C", "three").await;
    write(&path, "D", "/of the agent's").await;
    // On a slow machine the second may be asked with the first before the third is there.
    agent.wait_for("one\ntwo\nthree").await;
    agent.permits.add_permits(10);
    assert_eq!(texts(&link.wait(2).await), ["re: one\ntwo\nthree", "re: /of the agent's"]);
    assert_eq!(settled(&*path.store).await.dead, 0);
    let remembered = remembered(&path).await;
    assert_eq!(remembered[0], ("one\ntwo\nthree".into(), "re: one\ntwo\nthree".into()));
    assert_eq!(remembered.len(), 2, "one exchange for all that was asked together");
}

#[tokio::test]
async fn an_album_is_one_turn_with_all_its_parts_though_nothing_else_is_joined() {
    let house = House::with(terms(Busy::Queue, Duration::ZERO));
    let agent = ScriptedAgent::new(10);
    let path = house.start(&agent);
    let link = ScriptedLink::new(Vec::new());
    up(&path, &link);
    for (id, text) in [("A", "look"), ("B", "at"), ("C", "these")] {
        let part = InboundMessage { album: Some("1".into()), ..message(id, &chat(1), text) };
        path.accept(W, part).await.unwrap();
    }
    assert_eq!(texts(&link.wait(1).await), ["re: look\nat\nthese"]);
    write(&path, "D", "alone").await;
    assert_eq!(texts(&link.wait(2).await)[1], "re: alone");
}

#[tokio::test]
async fn while_a_turn_runs_the_next_waits_and_is_answered_by_itself() {
    let house = House::with(terms(Busy::Queue, Duration::ZERO));
    let agent = ScriptedAgent::new(0);
    let path = house.start(&agent);
    let link = ScriptedLink::new(Vec::new());
    up(&path, &link);
    for text in ["one", "two", "three"] {
        write(&path, text, text).await;
    }
    assert_eq!(agent.wait(1).await, ["one"]);
    agent.permits.add_permits(10);
    assert_eq!(texts(&link.wait(3).await), ["re: one", "re: two", "re: three"]);
}

#[tokio::test]
async fn an_interruption_joins_all_and_whoever_goes_on_writing_is_answered_too() {
    let house = House::with(terms(Busy::Interrupt, Duration::ZERO));
    let agent = ScriptedAgent::new(0);
    let path = house.start(&agent);
    let link = ScriptedLink::new(Vec::new());
    up(&path, &link);
    let mut all = String::from("0");
    write(&path, "0", "0").await;
    for n in 1..=BACKS_MAX {
        agent.wait(n as usize).await;
        write(&path, &n.to_string(), &n.to_string()).await;
        all = format!("{all}\n{n}");
    }
    assert_eq!(*agent.wait(BACKS_MAX as usize + 1).await.last().unwrap(), all);
    write(&path, "late", "late").await;
    agent.permits.add_permits(10);
    assert_eq!(texts(&link.wait(2).await), [format!("re: {all}").as_str(), "re: late"]);
    assert_eq!(settled(&*path.store).await.dead, 0, "no interruption counts as a crash");
}

#[tokio::test]
async fn what_is_steered_into_a_turn_is_done_with_it_and_what_is_not_taken_waits() {
    let house = House::with(terms(Busy::Steer, Duration::ZERO));
    let agent = ScriptedAgent::steerable(0);
    let path = house.start(&agent);
    let link = ScriptedLink::new(Vec::new());
    up(&path, &link);
    write(&path, "A", "one").await;
    agent.wait(1).await;
    write(&path, "B", "two").await;
    let added = async {
        while agent.adding(|added| added.values().map(Vec::len).sum::<usize>()) != Some(1) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LIMIT, added).await.unwrap();
    agent.permits.add_permits(10);
    assert_eq!(texts(&link.wait(1).await), ["re: one\ntwo"]);
    settled(&*path.store).await;
    assert_eq!(agent.begun.borrow().len(), 1);
    assert_eq!(remembered(&path).await, [("one\ntwo".into(), "re: one\ntwo".into())]);
    drop(path);

    let stubborn = ScriptedAgent::new(0);
    let path = house.start(&stubborn);
    up(&path, &link);
    write(&path, "C", "three").await;
    stubborn.wait(1).await;
    write(&path, "D", "four").await;
    stubborn.permits.add_permits(10);
    assert_eq!(texts(&link.wait(3).await)[1..], ["re: three", "re: four"]);
}

#[tokio::test]
async fn a_window_that_is_open_at_a_stop_is_no_more_than_messages_that_wait() {
    let house = House::with(terms(Busy::Queue, WINDOW));
    let agent = ScriptedAgent::new(0);
    let path = house.start(&agent);
    write(&path, "A", "one").await;
    agent.wait(1).await;
    write(&path, "B", "two").await;
    path.drain(soon()).await;
    drop(path);
    assert_eq!(put_back(&house.store(), &key_of(1)).await, 0, "no attempt is counted");
    let path = house.start(&agent);
    let link = ScriptedLink::new(Vec::new());
    up(&path, &link);
    agent.permits.add_permits(10);
    assert_eq!(texts(&link.wait(1).await), ["re: one\ntwo"]);
}

#[tokio::test]
async fn a_flood_is_kept_whole_told_once_and_answered_in_few_turns() {
    let house = House::new();
    let agent = ScriptedAgent::new(0);
    let path = house.start(&agent);
    let link = ScriptedLink::new(Vec::new());
    up(&path, &link);
    write(&path, "0", "0").await;
    agent.wait(1).await;
    let all: Vec<_> = (1..=200).map(|n| n.to_string()).collect();
    for text in &all {
        write(&path, text, text).await;
    }
    assert_eq!(path.store.depths().await.unwrap().inbox, 201, "all of it is on disk");
    agent.permits.add_permits(10);
    let joined = format!("re: {}", all.join("\n"));
    assert_eq!(texts(&link.wait(3).await), [MANY_WAIT, "re: 0", joined.as_str()]);
    settled(&*path.store).await;
    assert_eq!(agent.begun.borrow().len(), 2);
}

/// An agent that is not there.
struct Away;

#[async_trait]
impl Agent for Away {
    async fn answer(&self, _: Turn, _: &Draft) -> Result<String, AgentError> {
        let again = Again::After(Duration::from_secs(3600));
        Err(AgentError { code: "scripted", told: "I am away.".into(), detail: String::new(), again })
    }

    fn about(&self) -> About {
        About { kind: "scripted", ..About::default() }
    }
}

#[tokio::test]
async fn a_flood_that_waits_for_the_agent_is_told_of_between_two_tries_as_well() {
    let house = House::new();
    let gate = Gate::new(&settings(AllowList::Everybody));
    let path = MessagePath::start(house.store(), Arc::new(Away), gate, house.terms);
    path.open();
    let link = ScriptedLink::new(Vec::new());
    up(&path, &link);
    write(&path, "0", "0").await;
    link.wait(1).await;
    for text in (1..=100).map(|n| n.to_string()) {
        write(&path, &text, &text).await;
    }
    assert_eq!(texts(&link.wait(2).await)[1], MANY_WAIT);
    assert_eq!(path.store.depths().await.unwrap().inbox, 101, "all of it is on disk");
}

#[tokio::test]
async fn more_turns_than_a_chat_may_have_wait_and_none_is_dropped() {
    let mut house = House::with(TurnConfig { per_minute_max: 2, ..terms(Busy::Queue, Duration::ZERO) });
    let agent = ScriptedAgent::new(10);
    let path = house.start(&agent);
    let link = ScriptedLink::new(Vec::new());
    up(&path, &link);
    for text in ["one", "two", "three"] {
        write(&path, text, text).await;
        path.accept(W, message(text, &chat(2), &format!("other {text}"))).await.unwrap();
    }
    link.wait(4).await;
    path.drain(Now::read().mono + LIMIT).await;
    assert_eq!(agent.begun.borrow().len(), 4);
    drop(path);
    house.terms.per_minute_max = 0;
    let path = house.start(&agent);
    up(&path, &link);
    let delivered = link.wait(6).await;
    assert_eq!(delivered.iter().filter(|sent| sent.text.ends_with("three")).count(), 2);
}

#[tokio::test]
async fn an_agent_that_said_nothing_is_asked_once_more_and_then_its_person_is_told() {
    let house = House::with(terms(Busy::Queue, Duration::ZERO));
    let agent = ScriptedAgent::new(10);
    let path = house.start(&agent);
    let link = ScriptedLink::new(Vec::new());
    up(&path, &link);
    write(&path, "A", "hesitate").await;
    link.wait(1).await;
    write(&path, "B", "silent").await;
    assert_eq!(texts(&link.wait(2).await), ["re: hesitate", "I cannot."]);
    assert_eq!(*agent.begun.borrow(), ["hesitate", "hesitate", "silent", "silent"]);
    assert_eq!(settled(&*path.store).await.dead, 0);
}

#[tokio::test]
async fn a_turn_without_an_end_is_cancelled_and_told() {
    let house =
        House::with(TurnConfig { timeout: Duration::from_millis(50), ..terms(Busy::Queue, Duration::ZERO) });
    let agent = ScriptedAgent::new(0);
    let path = house.start(&agent);
    let link = ScriptedLink::new(Vec::new());
    up(&path, &link);
    write(&path, "A", "one").await;
    assert_eq!(texts(&link.wait(1).await), [TOOK_TOO_LONG]);
    settled(&*path.store).await;
}

/// One step of the scenario.
#[derive(Debug, Clone)]
enum Step {
    /// A person writes `count` messages in this chat.
    Write { chat: usize, count: usize },
    /// The agent answers one turn.
    Answer,
    /// Every other task runs once.
    Yield,
    /// The gateway dies without notice and starts again.
    Crash,
    /// The gateway stops and starts again.
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..3_usize, 1..4_usize).prop_map(|(chat, count)| Step::Write { chat, count }),
        4 => Just(Step::Answer),
        3 => Just(Step::Yield),
        1 => Just(Step::Crash),
        1 => Just(Step::Restart),
    ];
    proptest::collection::vec(step, 1..40)
}

/// Simulates a crash: writes that the store has begun are done, and nothing follows them.
async fn die(path: Arc<MessagePath>) {
    let store = Arc::downgrade(&path.store);
    drop(path);
    let gone = async {
        while store.strong_count() > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LIMIT, gone).await.expect("nobody keeps it");
}

/// Runs the steps, and returns each chat's messages and answers, in order.
async fn live(busy: Busy, window: Duration, steps: Vec<Step>) -> Vec<(Vec<String>, Vec<String>)> {
    let house = House::with(terms(busy, window));
    let link = ScriptedLink::new(Vec::new());
    let mut wrote = vec![Vec::new(); 3];
    let agent = ScriptedAgent::steerable(0);
    let mut path = house.start(&agent);
    up(&path, &link);
    let mut crashes = 0;
    for step in steps {
        crashes += usize::from(matches!(step, Step::Crash));
        match step {
            Step::Write { chat: n, count } => {
                for _ in 0..count {
                    let text = format!("{n}-{}", wrote[n].len());
                    path.accept(W, message(&text, &chat(n), &text)).await.unwrap();
                    wrote[n].push(text);
                }
            }
            Step::Answer => agent.permits.add_permits(1),
            Step::Yield => {
                for _ in 0..50 {
                    tokio::task::yield_now().await;
                }
                path.store.depths().await.unwrap();
            }
            Step::Crash | Step::Restart => {
                // A third crash in the same message would give it up, as it should.
                if matches!(step, Step::Restart) || crashes > 2 {
                    path.drain(Now::read().mono + Duration::from_millis(20)).await;
                }
                die(path).await;
                path = house.start(&agent);
                up(&path, &link);
            }
        }
    }
    agent.permits.add_permits(1000);
    settled(&*path.store).await;
    let delivered = link.delivered.borrow().clone();
    let mut seen = BTreeSet::new();
    let mut answered = vec![Vec::new(); 3];
    // As the person sees it: a handle counts once.
    for sent in delivered.into_iter().filter(|sent| seen.insert(sent.handle.clone())) {
        let n = (0..3).find(|n| sent.chat == chat(*n)).unwrap();
        let text = sent.text.strip_prefix("re: ").expect("no message is given up").to_owned();
        answered[n].extend(text.lines().map(str::to_owned));
    }
    wrote.into_iter().zip(answered).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// In any order of steps, each message is answered once, in order, in its chat.
    #[test]
    fn nothing_is_lost_swapped_or_answered_twice(
        steps in steps(),
        busy in prop_oneof![Just(Busy::Queue), Just(Busy::Interrupt), Just(Busy::Steer)],
        window_ms in prop_oneof![Just(0_u64), Just(20)],
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let chats = runtime.block_on(live(busy, Duration::from_millis(window_ms), steps));
        for (wrote, answered) in chats {
            prop_assert_eq!(wrote, answered);
        }
    }
}
