//! The message path with a scripted link and a scripted agent, tested from outside.

use std::collections::BTreeSet;

use tokio::sync::{Semaphore, watch};

use super::*;
use crate::config::{AccessConfig, AllowList, WhatsAppMode};
use crate::gateway::agent::api::{About, Again, AgentError, Turn};
use crate::gateway::agent::draft::Draft;
use crate::gateway::inbound::join::Join;
use crate::gateway::model::command::{Command, Commands};
use crate::gateway::model::event::Event;
use crate::gateway::model::failure::{AdapterError, Certainty, Retry, Scope, SendError};
use crate::gateway::model::message::testing::message;
use crate::gateway::model::message::{ChatId, ChatKey, MessageId, OutboundMessage};
use crate::gateway::store::SqliteStore;

const W: Platform = Platform::Whatsapp;
const LIMIT: Duration = Duration::from_secs(20);

/// The messages that were sent, as the other side saw them.
#[derive(Debug, Clone, PartialEq)]
struct Delivered {
    chat: String,
    handle: String,
    text: String,
}

/// A link that follows a script.
struct ScriptedLink {
    delivered: watch::Sender<Vec<Delivered>>,
    /// The replaced messages, and the texts that replaced them.
    changed: watch::Sender<Vec<(String, String)>>,
    /// Outcomes of the next sends and changes; then all succeed.
    script: Mutex<Vec<SendError>>,
    /// Chats in which "typing…" was shown.
    typed: watch::Sender<Vec<String>>,
}

impl ScriptedLink {
    fn new(script: Vec<SendError>) -> Arc<Self> {
        let (delivered, changed, typed) = Default::default();
        Arc::new(Self { delivered, changed, script: Mutex::new(script), typed })
    }

    fn next(&self) -> Option<SendError> {
        let mut script = self.script.lock().unwrap();
        if script.is_empty() { None } else { Some(script.remove(0)) }
    }

    async fn wait(&self, count: usize) -> Vec<Delivered> {
        let mut seen = self.delivered.subscribe();
        let all = tokio::time::timeout(LIMIT, seen.wait_for(|delivered| delivered.len() >= count)).await;
        all.unwrap_or_else(|_| panic!("{} of {count} came", self.delivered.borrow().len())).unwrap().clone()
    }
}

#[async_trait]
impl Link for ScriptedLink {
    async fn send(&self, message: &OutboundMessage) -> Result<MessageId, SendError> {
        let failure = self.next();
        if failure.as_ref().is_none_or(|error| error.certainty == Certainty::MaybeSent) {
            self.delivered.send_modify(|delivered| {
                delivered.push(Delivered {
                    chat: message.chat.0.clone(),
                    handle: message.handle.clone(),
                    text: message.text.0.clone(),
                });
            });
        }
        failure.map_or_else(|| Ok(MessageId(message.handle.clone())), Err)
    }

    async fn edit(&self, id: &MessageId, message: &OutboundMessage) -> Result<(), SendError> {
        let failure = self.next();
        if failure.as_ref().is_none_or(|error| error.certainty == Certainty::MaybeSent) {
            self.changed.send_modify(|changed| changed.push((id.0.clone(), message.text.0.clone())));
        }
        failure.map_or(Ok(()), Err)
    }

    async fn typing(&self, chat: &ChatId, _on: bool) {
        self.typed.send_modify(|typed| typed.push(chat.0.clone()));
    }

    async fn closed(&self) -> AdapterError {
        std::future::pending().await
    }

    fn proof(&self) -> Instant {
        Now::read().mono
    }

    async fn close(&self) {}
}

fn failure(certainty: Certainty, retry: Retry) -> SendError {
    SendError { code: "scripted".into(), message: "as told".into(), certainty, retry, scope: Scope::Message }
}

/// An agent that answers "re: …", when the test permits.
struct ScriptedAgent {
    permits: Semaphore,
    begun: watch::Sender<Vec<String>>,
    /// Panics at texts that begin with "boom".
    panics: bool,
    /// Messages added to the running turns, by chat; `None` where the agent takes none.
    added: Option<Mutex<BTreeMap<ChatKey, Vec<String>>>>,
}

impl ScriptedAgent {
    fn new(permits: usize) -> Arc<Self> {
        Arc::new(Self {
            permits: Semaphore::new(permits),
            begun: watch::Sender::new(Vec::new()),
            panics: true,
            added: None,
        })
    }

    fn steerable(permits: usize) -> Arc<Self> {
        let agent = Arc::into_inner(Self::new(permits)).expect("nobody has it yet");
        Arc::new(Self { added: Some(Mutex::default()), ..agent })
    }

    fn adding<T>(&self, look: impl FnOnce(&mut BTreeMap<ChatKey, Vec<String>>) -> T) -> Option<T> {
        self.added.as_ref().map(|added| look(&mut added.lock().unwrap()))
    }

    /// Waits until it was asked this last.
    async fn wait_for(&self, text: &str) {
        let mut begun = self.begun.subscribe();
        let is_last = |begun: &Vec<String>| begun.last().is_some_and(|last| last == text);
        drop(tokio::time::timeout(LIMIT, begun.wait_for(is_last)).await.unwrap().unwrap());
    }

    async fn wait(&self, count: usize) -> Vec<String> {
        let mut begun = self.begun.subscribe();
        tokio::time::timeout(LIMIT, begun.wait_for(|begun| begun.len() >= count))
            .await
            .unwrap()
            .unwrap()
            .clone()
    }
}

#[async_trait]
impl Agent for ScriptedAgent {
    async fn answer(&self, turn: Turn, draft: &Draft) -> Result<String, AgentError> {
        let mut text = turn.message.text.0;
        self.adding(|added| added.insert(turn.key.clone(), Vec::new()));
        self.begun.send_modify(|begun| begun.push(text.clone()));
        assert!(!(self.panics && text.starts_with("boom")), "as told");
        draft.grow(&format!("re: {text}"));
        self.permits.acquire().await.unwrap().forget();
        let asked = self.begun.borrow().iter().filter(|begun| **begun == text).count();
        let is_silent = text.starts_with("silent") || text.starts_with("hesitate") && asked == 1;
        if text.starts_with("fail") || is_silent {
            return Err(AgentError {
                code: "scripted",
                told: "I cannot.".into(),
                detail: String::new(),
                again: if is_silent { Again::Once } else { Again::Never },
            });
        }
        for more in self.adding(|added| added.remove(&turn.key)).flatten().unwrap_or_default() {
            text = format!("{text}\n{more}");
        }
        Ok(format!("re: {text}"))
    }

    fn about(&self) -> About {
        About { kind: "scripted", ..About::default() }
    }

    fn steer(&self, key: &ChatKey, message: &InboundMessage) -> bool {
        let add = |added: &mut BTreeMap<ChatKey, Vec<String>>| {
            added.get_mut(key).map(|added| added.push(message.text.0.clone()))
        };
        self.adding(add).flatten().is_some()
    }
}

fn settings(allowed: AllowList) -> Config {
    let mut config = Config::default();
    config.whatsapp.mode = Some(WhatsAppMode::Bot);
    config.platform_mut(W).access = AccessConfig { allowed, ..AccessConfig::default() };
    config
}

struct House {
    dir: tempfile::TempDir,
    terms: TurnConfig,
}

impl House {
    fn new() -> Self {
        // Each message in its own turn, so that answers can be counted.
        Self::with(TurnConfig { join_window: Duration::ZERO, at_once_max: 8, ..TurnConfig::default() })
    }

    fn with(terms: TurnConfig) -> Self {
        Self { dir: tempfile::tempdir().unwrap(), terms }
    }

    /// On a file system in memory, whose flushes take no time; `None` where this machine has none.
    fn in_memory(terms: TurnConfig) -> Option<Self> {
        Some(Self { dir: tempfile::tempdir_in("/dev/shm").ok()?, terms })
    }

    fn store(&self) -> Arc<SqliteStore> {
        Arc::new(SqliteStore::open(&self.dir.path().join("gateway.db")).unwrap())
    }

    fn start(&self, agent: &Arc<ScriptedAgent>) -> Arc<MessagePath> {
        let agent: Arc<dyn Agent> = Arc::<ScriptedAgent>::clone(agent);
        let gate = Gate::new(&settings(AllowList::Everybody));
        let path = MessagePath::start(self.store(), agent, gate, self.terms);
        path.open();
        path
    }
}

fn up(path: &MessagePath, link: &Arc<ScriptedLink>) {
    let link: Arc<dyn Link> = Arc::<ScriptedLink>::clone(link);
    path.link_up(W, link);
}

fn chat(n: usize) -> String {
    format!("1555{n:04}@s.whatsapp.net")
}

fn key_of(n: usize) -> ChatKey {
    ChatKey { platform: W, chat: ChatId(chat(n)) }
}

/// The number of attempts counted for the chat's next message.
async fn put_back(store: &SqliteStore, key: &ChatKey) -> u32 {
    let row = store.claim(key, Join::default()).await.unwrap().rows.remove(0);
    store.release(vec![row.id]).await.unwrap();
    row.attempts - 1
}

fn soon() -> Instant {
    Now::read().mono + Duration::from_millis(200)
}

#[tokio::test]
async fn answers_come_in_order_in_each_chat_and_go_to_the_right_one() {
    let house = House::new();
    let agent = ScriptedAgent::new(1000);
    let path = house.start(&agent);
    let link = ScriptedLink::new(Vec::new());
    up(&path, &link);
    for n in 0..100 {
        path.accept(W, message(&format!("M{n}"), &chat(n % 7), &format!("{n}"))).await.unwrap();
        path.accept(W, message(&format!("M{n}"), &chat(n % 7), &format!("{n}"))).await.unwrap();
    }
    let delivered = link.wait(100).await;
    for n in 0..7 {
        let texts: Vec<_> =
            delivered.iter().filter(|sent| sent.chat == chat(n)).map(|sent| sent.text.clone()).collect();
        let expected: Vec<_> = (0..100).filter(|m| m % 7 == n).map(|m| format!("re: {m}")).collect();
        assert_eq!(texts, expected);
    }
    path.drain(Now::read().mono + LIMIT).await;
    assert_eq!(link.delivered.borrow().len(), 100, "a repeat is answered once");
    assert!(path.last_inbound(W).is_some() && path.last_outbound(W).is_some());
}

#[tokio::test]
async fn a_slow_chat_holds_up_no_other_and_turns_have_a_bound() {
    let house = House::new();
    let agent = ScriptedAgent::new(0);
    let path = house.start(&agent);
    let link = ScriptedLink::new(Vec::new());
    up(&path, &link);
    for n in 0..20 {
        path.accept(W, message("A", &chat(n), "one")).await.unwrap();
        path.accept(W, message("B", &chat(n), "two")).await.unwrap();
    }
    let begun = agent.wait(8).await;
    assert_eq!(begun, vec!["one"; 8], "one turn in a chat");
    assert_eq!(path.active_turns(), 8);
    agent.permits.add_permits(1000);
    assert_eq!(link.wait(40).await.len(), 40);
}

#[tokio::test]
async fn nothing_is_lost_or_said_twice_when_it_dies_at_any_moment() {
    let house = House::new();
    let mut known = BTreeSet::new();
    let link = ScriptedLink::new(Vec::new());
    for round in 0..12 {
        let agent = ScriptedAgent::new(1000);
        let path = house.start(&agent);
        if round % 3 != 0 {
            up(&path, &link);
        }
        let before = link.delivered.borrow().len();
        for n in 0..10 {
            path.accept(W, message(&format!("M{round}-{n}"), &chat(n % 3), &format!("{round}-{n}")))
                .await
                .unwrap();
        }
        // Dies while work is under way: nothing is drained, all tasks are dropped where they are.
        if round % 3 != 0 {
            link.wait(before + 1 + round % 4).await;
        } else {
            agent.wait(1 + round % 5).await;
        }
        known.extend((0..10).map(|n| format!("re: {round}-{n}")));
        drop(path);
    }
    let agent = ScriptedAgent::new(1000);
    let path = house.start(&agent);
    up(&path, &link);
    let waited = async {
        loop {
            let texts: BTreeSet<_> = link.delivered.borrow().iter().map(|sent| sent.text.clone()).collect();
            if texts == known && path.store.depths().await.unwrap() == Depths::default() {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LIMIT, waited).await.expect("everything is answered in the end");
    let delivered = link.delivered.borrow().clone();
    for text in &known {
        let handles: BTreeSet<_> =
            delivered.iter().filter(|sent| sent.text == *text).map(|sent| sent.handle.clone()).collect();
        assert_eq!(handles.len(), 1, "{text} is one message to WhatsApp, however often it was sent");
    }
    // As the person sees it: a handle counts once.
    let mut seen = BTreeSet::new();
    for n in 0..3 {
        let mine: Vec<_> = delivered
            .iter()
            .filter(|sent| sent.chat == chat(n) && seen.insert(sent.handle.clone()))
            .map(|sent| sent.text.clone())
            .collect();
        let expected: Vec<_> = (0..12)
            .flat_map(|round| (0..10).filter(|m| m % 3 == n).map(move |m| format!("re: {round}-{m}")))
            .collect();
        assert_eq!(mine, expected, "in order");
    }
}

#[tokio::test]
async fn while_the_platform_is_away_answers_wait_and_failures_are_tried_again_in_order() {
    let house = House::new();
    let agent = ScriptedAgent::new(1000);
    let path = house.start(&agent);
    for n in 0..3 {
        path.accept(W, message(&format!("M{n}"), &chat(1), &format!("{n}"))).await.unwrap();
    }
    agent.wait(3).await;
    let link = ScriptedLink::new(vec![
        failure(Certainty::NotSent, Retry::After(Duration::from_millis(1))),
        failure(Certainty::MaybeSent, Retry::After(Duration::from_millis(1))),
    ]);
    up(&path, &link);
    let delivered = link.wait(4).await;
    let texts: Vec<_> = delivered.iter().map(|sent| sent.text.as_str()).collect();
    assert_eq!(texts, ["re: 0", "re: 0", "re: 1", "re: 2"]);
    assert_eq!(delivered[0].handle, delivered[1].handle, "the same message again");

    path.link_down(W);
    path.accept(W, message("M3", &chat(1), "3")).await.unwrap();
    agent.wait(4).await;
    let next = ScriptedLink::new(vec![failure(Certainty::NotSent, Retry::Backoff)]);
    up(&path, &next);
    let emptied = async {
        while !next.script.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LIMIT, emptied).await.unwrap();
    path.link_down(W);
    let last = ScriptedLink::new(Vec::new());
    // The failure of the earlier connection does not hold up the next.
    up(&path, &last);
    assert_eq!(last.wait(1).await[0].text, "re: 3");
}

#[tokio::test]
async fn what_cannot_be_sent_ever_is_buried_and_the_next_one_goes() {
    let house = House::new();
    let agent = ScriptedAgent::new(1000);
    let path = house.start(&agent);
    let link = ScriptedLink::new(vec![failure(Certainty::NotSent, Retry::Never)]);
    up(&path, &link);
    path.accept(W, message("A", &chat(1), "one")).await.unwrap();
    let buried = async {
        while path.store.depths().await.unwrap().dead == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LIMIT, buried).await.unwrap();
    path.accept(W, message("B", &chat(1), "fail two")).await.unwrap();
    let delivered = link.wait(2).await;
    assert!(delivered[0].text.contains("could not be delivered"), "the loss is told: {delivered:?}");
    assert_eq!(delivered[1].text, "I cannot.", "a failed turn is told to the person");
    path.drain(Now::read().mono + LIMIT).await;
    assert_eq!(path.store.depths().await.unwrap(), Depths { inbox: 0, outbox: 0, dead: 1 });
}

#[tokio::test]
async fn a_message_that_breaks_its_turn_is_given_up_with_a_notice_and_the_chat_goes_on() {
    let house = House::new();
    let agent = ScriptedAgent::new(1000);
    let path = house.start(&agent);
    let link = ScriptedLink::new(Vec::new());
    up(&path, &link);
    path.accept(W, message("A", &chat(1), "boom")).await.unwrap();
    path.accept(W, message("B", &chat(1), "hello")).await.unwrap();
    path.accept(W, message("C", &chat(2), "beside")).await.unwrap();
    let delivered = link.wait(3).await;
    let texts: Vec<_> = delivered.iter().map(|sent| sent.text.as_str()).collect();
    assert_eq!(texts, ["re: beside", crate::gateway::pipeline::turns::GIVEN_UP, "re: hello"]);
    assert_eq!(agent.begun.borrow().iter().filter(|text| *text == "boom").count(), 3);
}

#[tokio::test]
async fn a_stop_waits_for_turns_and_puts_back_what_does_not_end_without_counting_it() {
    let house = House::new();
    let agent = ScriptedAgent::new(0);
    for _ in 0..5 {
        let path = house.start(&agent);
        if path.accept(W, message("A", &chat(1), "hello")).await.is_err() {
            panic!("accepted before the stop");
        }
        let begun = agent.begun.borrow().len();
        agent.wait(begun.max(1)).await;
        path.drain(soon()).await;
        assert!(
            path.accept(W, message("B", &chat(1), "late")).await.is_err(),
            "not taken over, so not acknowledged"
        );
        assert_eq!(path.active_turns(), 0);
    }
    let key = ChatKey { platform: W, chat: ChatId(chat(1)) };
    assert_eq!(put_back(&house.store(), &key).await, 0);
    agent.permits.add_permits(1);
    let path = house.start(&agent);
    let link = ScriptedLink::new(Vec::new());
    up(&path, &link);
    assert_eq!(link.wait(1).await[0].text, "re: hello");
}

#[tokio::test]
async fn strangers_leave_no_trace_and_new_settings_hold_at_once() {
    let house = House::new();
    let agent = ScriptedAgent::new(1000);
    let store = house.store();
    let path = MessagePath::start(
        Arc::<SqliteStore>::clone(&store),
        Arc::<ScriptedAgent>::clone(&agent),
        Gate::new(&settings(AllowList::Only(vec!["15550001".into()]))),
        house.terms,
    );
    path.open();
    let link = ScriptedLink::new(Vec::new());
    up(&path, &link);
    let stranger = message("A", &chat(2), "hello");
    assert!(!path.admits(W, &stranger));
    path.accept(W, stranger.clone()).await.unwrap();
    path.accept(W, message("B", &chat(1), "hello")).await.unwrap();
    assert_eq!(link.wait(1).await[0].chat, chat(1));
    let is_new = matches!(store.accept(W, stranger).await.unwrap(), Accepted::New(_));
    assert!(is_new, "it was not stored before");
    assert_eq!(agent.begun.borrow().len(), 1);
}

#[tokio::test]
async fn what_somebody_wrote_who_may_no_longer_speak_is_not_answered() {
    let house = House::new();
    let agent = ScriptedAgent::new(0);
    let store = house.store();
    let both = AllowList::Only(vec![chat(1), chat(2)]);
    let path = MessagePath::start(
        Arc::<SqliteStore>::clone(&store),
        Arc::<ScriptedAgent>::clone(&agent),
        Gate::new(&settings(both)),
        house.terms,
    );
    path.open();
    let link = ScriptedLink::new(Vec::new());
    up(&path, &link);
    path.accept(W, message("A", &chat(1), "one")).await.unwrap();
    agent.wait(1).await;
    path.accept(W, message("B", &chat(1), "two")).await.unwrap();
    path.accept(W, message("C", &chat(2), "three")).await.unwrap();
    agent.wait(2).await;
    path.configure(&settings(AllowList::Only(vec![chat(2)])));
    agent.permits.add_permits(1000);
    assert_eq!(link.wait(2).await.len(), 2, "what is under way is answered");
    let seen = tokio::time::timeout(LIMIT, async {
        while store.depths().await.unwrap().inbox > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        store.depths().await.unwrap()
    });
    assert_eq!(seen.await.unwrap().dead, 1, "the status tells");
    assert_eq!(agent.begun.borrow().len(), 2);
    assert_eq!(link.delivered.borrow().len(), 2, "and the sender hears nothing");
}

#[tokio::test]
async fn in_the_chat_with_oneself_our_own_words_are_not_answered() {
    let house = House::new();
    let agent = ScriptedAgent::new(1000);
    let mut config = settings(AllowList::Nobody);
    config.whatsapp.mode = Some(WhatsAppMode::SelfChat);
    let gate = Gate::new(&config);
    let link = ScriptedLink::new(Vec::new());
    let note = |id: &str, text: &str| {
        let mut note = message(id, &chat(0), text);
        note.self_chat = true;
        note.from_me = true;
        note
    };
    let path =
        MessagePath::start(house.store(), Arc::<ScriptedAgent>::clone(&agent), gate.clone(), house.terms);
    path.open();
    up(&path, &link);
    path.accept(W, note("A", "hello")).await.unwrap();
    let sent = link.wait(1).await.remove(0);
    drop(path);
    let path = MessagePath::start(house.store(), Arc::<ScriptedAgent>::clone(&agent), gate, house.terms);
    path.open();
    up(&path, &link);
    path.accept(W, note(&sent.handle, &sent.text)).await.unwrap();
    path.accept(W, note("B", "again")).await.unwrap();
    assert_eq!(link.wait(2).await[1].text, "re: again");
    assert_eq!(*agent.begun.borrow(), ["hello", "again"]);
}

#[tokio::test]
async fn a_long_answer_goes_out_in_parts_in_order_each_with_its_own_handle() {
    let house = House::new();
    let agent = ScriptedAgent::new(1000);
    let path = house.start(&agent);
    let link = ScriptedLink::new(vec![failure(Certainty::MaybeSent, Retry::After(Duration::from_millis(1)))]);
    up(&path, &link);
    let words: Vec<String> = (0..2000).map(|n| format!("word{n}")).collect();
    path.accept(W, message("A", &chat(1), &words.join(" "))).await.unwrap();
    let delivered = link.wait(6).await;
    assert_eq!(delivered[0], delivered[1], "the part of unknown fate again");
    let said: Vec<_> = delivered[1..].iter().map(|sent| sent.text.as_str()).collect();
    assert_eq!(said.join(" "), format!("re: {}", words.join(" ")));
    assert_eq!(delivered.iter().map(|sent| &sent.handle).collect::<BTreeSet<_>>().len(), 5);
}

#[path = "attempts_tests.rs"]
mod attempts;

#[path = "joining_tests.rs"]
mod joining;

#[path = "order_tests.rs"]
mod order;

#[path = "orders_tests.rs"]
mod orders;

#[path = "poison_tests.rs"]
mod poison;

#[path = "preview_tests.rs"]
mod preview;

#[path = "sending_tests.rs"]
mod sending;

#[path = "wakeups_tests.rs"]
mod wakeups;
