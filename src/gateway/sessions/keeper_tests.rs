//! Against a real store.

use super::*;
use crate::config::ResetConfig;
use crate::gateway::inbound::join::Join;
use crate::gateway::model::identity::chat_key;
use crate::gateway::model::message::UserId;
use crate::gateway::model::message::testing::message;
use crate::gateway::store::SqliteStore;
use crate::gateway::store::api::sessions::{Retried, SessionStore};
use crate::gateway::store::api::{Accepted, Finish};

const W: Platform = Platform::Whatsapp;
const CHAT: &str = "15550001@s.whatsapp.net";

struct House {
    _dir: tempfile::TempDir,
    store: Arc<SqliteStore>,
    keeper: Keeper,
}

impl House {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(SqliteStore::open(&dir.path().join("gateway.db")).unwrap());
        let keeper = Keeper::new(Arc::<SqliteStore>::clone(&store));
        Self { _dir: dir, store, keeper }
    }

    async fn accept(&self, message: InboundMessage) -> InboxId {
        let Accepted::New(id) = self.store.accept(W, message).await.unwrap() else { panic!("it is new") };
        id
    }

    /// Runs a turn from beginning to end; returns the agent's history, and the rule of a notice.
    async fn turn(&self, id: &str, text: &str) -> (Vec<String>, Option<Reset>) {
        self.turn_of(message(id, CHAT, text)).await
    }

    async fn turn_of(&self, message: InboundMessage) -> (Vec<String>, Option<Reset>) {
        let chat = chat_key(W, &message);
        let said = message.text.0.clone();
        let id = self.accept(message.clone()).await;
        let context = self.keeper.context(self.keeper.key(&chat, &message), id).await.unwrap();
        let exchange = Some(Exchange { said, answered: "yes".into() });
        let finish = Finish { belongs: Some(context.belongs), exchange, ..Finish::default() };
        self.store.finish(id, finish).await.unwrap();
        (context.history.into_iter().map(|exchange| exchange.said).collect(), context.told)
    }

    fn rule(&self, reset: Reset, idle_after: Duration) {
        let reset = ResetConfig { reset, idle_after, ..ResetConfig::default() };
        self.keeper.configure(&SessionConfig { reset, ..SessionConfig::default() });
    }

    async fn open(&self) -> Option<Session> {
        self.keeper
            .open(&SessionKey { chat: chat_key(W, &message("x", CHAT, "")), person: None })
            .await
            .unwrap()
    }
}

#[tokio::test]
async fn the_agent_is_reminded_of_this_conversation_until_somebody_begins_another() {
    let house = House::new();
    assert_eq!(house.turn("A", "one").await, (vec![], None));
    assert_eq!(house.turn("B", "two").await, (vec!["one".into()], None));
    assert_eq!(house.open().await.unwrap().exchanges, 2);
    let new = house.accept(message("C", CHAT, "/new")).await;
    assert_eq!(house.store.ended_by(new).await.unwrap().exchanges, Some(2));
    assert_eq!(house.open().await, None);
    assert_eq!(house.turn("D", "three").await, (vec![], None), "nobody is told what they said themselves");
}

#[tokio::test]
async fn a_rule_ends_a_conversation_and_that_is_told_once() {
    let house = House::new();
    house.turn("A", "one").await;
    // A message of the current second is older than a bound in the future.
    let future = Now::read().wall + SignedDuration::from_secs(5);
    let id = house.open().await.unwrap().id;
    assert!(!house.store.end_session(id, Timestamp::UNIX_EPOCH, Reset::Idle).await.unwrap());
    let idle = house.store.idle_sessions(W, future, SessionId(0), 10).await.unwrap();
    assert_eq!(idle.len(), 1);
    assert!(house.store.idle_sessions(W, future, id, 10).await.unwrap().is_empty());
    assert!(house.store.end_session(id, future, Reset::Idle).await.unwrap());
    assert_eq!(house.open().await, None, "what is said of it is true without another message");
    assert_eq!(house.turn("B", "two").await, (vec![], Some(Reset::Idle)));
    assert_eq!(house.turn("C", "three").await, (vec!["two".into()], None), "once");
}

#[tokio::test]
async fn the_watch_ends_what_is_idle_unless_its_chat_is_busy_and_forgets_what_is_old() {
    let house = House::new();
    house.turn("A", "one").await;
    house.rule(Reset::Idle, Duration::ZERO);
    // A second must pass: the store's times have this precision.
    let passed = async {
        while house.open().await.is_some() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), passed).await.unwrap();
    let key = SessionKey { chat: chat_key(W, &message("x", CHAT, "")), person: None };
    let newest = async || house.store.session(&key).await.unwrap();
    house.keeper.look(&|_: &ChatKey| true).await.unwrap();
    assert_eq!(newest().await.unwrap().ended, None);
    house.keeper.look(&|_: &ChatKey| false).await.unwrap();
    assert_eq!(newest().await.unwrap().ended, Some(End::Rule(Reset::Idle)));
    assert!(!house.store.forget_sessions(Now::read().wall + SignedDuration::from_secs(5)).await.unwrap());
    assert_eq!(newest().await, None);
}

#[tokio::test]
async fn each_person_in_a_group_has_a_conversation_of_their_own_where_the_settings_say_so() {
    let house = House::new();
    let config = SessionConfig { per_user_in_groups: true, ..SessionConfig::default() };
    let said = |id: &str, who: &str, text: &str| {
        let mut message = message(id, "1@g.us", text);
        message.is_group = true;
        message.sender = UserId(who.into());
        message
    };
    house.turn_of(said("A", "1@lid", "one")).await;
    assert_eq!(house.turn_of(said("B", "2@lid", "two")).await.0, ["one"], "one for all");
    house.keeper.configure(&config);
    house.turn_of(said("C", "1@lid", "three")).await;
    assert!(house.turn_of(said("D", "2@lid", "four")).await.0.is_empty());
    house.accept(said("E", "1@lid", "/new")).await;
    assert!(house.turn_of(said("F", "1@lid", "five")).await.0.is_empty());
    assert_eq!(house.turn_of(said("G", "2@lid", "six")).await.0, ["four"], "the others go on");
}

#[tokio::test]
async fn a_retry_becomes_the_last_message_and_its_exchange_is_taken_out() {
    let house = House::new();
    let key = SessionKey { chat: chat_key(W, &message("x", CHAT, "")), person: None };
    let retry = async |id: &str| {
        let order = house.accept(message(id, CHAT, "/retry")).await;
        (order, house.store.retry(order, &key).await.unwrap())
    };
    let (order, nothing) = retry("R0").await;
    assert_eq!(nothing, Retried::Nothing);
    house.store.finish(order, Finish::default()).await.unwrap();
    house.turn("A", "one").await;
    house.turn("B", "two").await;
    let (order, queued) = retry("R1").await;
    assert_eq!(queued, Retried::Queued);
    let row = house.store.claim(&key.chat, Join::default()).await.unwrap().rows.remove(0);
    assert_eq!((row.id, row.message.id.0.as_str(), row.message.text.0.as_str()), (order, "R1", "two"));
    let context = house.keeper.context(key.clone(), row.id).await.unwrap();
    assert_eq!(context.history.len(), 1);
    assert_eq!(house.open().await.unwrap().exchanges, 1);
    assert_eq!(retry("R2").await.1, Retried::Open);

    // Retried after it was given up, it is no longer a dead letter.
    house.store.finish(row.id, Finish { dead: Some("x".into()), ..Finish::default() }).await.unwrap();
    let open = house.store.claim(&key.chat, Join::default()).await.unwrap().rows.remove(0);
    assert_eq!(house.store.retry(open.id, &key).await.unwrap(), Retried::Queued);
    assert_eq!(house.store.depths().await.unwrap().dead, 0);
}
