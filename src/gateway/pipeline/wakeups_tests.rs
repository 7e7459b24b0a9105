//! Several messages within milliseconds, in many chats at once: each is answered, on storage whose flushes take no time as well as
//! on a disk. `HERMES_PAIRS=10000` writes as many pairs as one measurement needs.

use std::collections::BTreeMap;

use futures_util::future::join_all;

use super::*;
use crate::world::World;

const CHATS: usize = 200;

/// Bursts in total, unless `HERMES_PAIRS` says otherwise.
const BURSTS: usize = 1000;

/// The longest pause between two messages of a burst.
const GAP_MAX_MS: u64 = 20;

/// Limit for all answers on a busy machine. The lanes' own search for forgotten chats is counted, so it hides nothing.
const ANSWERED_WITHIN: Duration = Duration::from_secs(300);

/// The messages of one burst, in this order.
#[derive(Debug, Clone, Copy)]
struct Burst {
    texts: &'static [&'static str],
    is_paused: bool,
    terms: TurnConfig,
}

/// An agent that answers at once.
struct QuickAgent;

#[async_trait]
impl Agent for QuickAgent {
    async fn answer(&self, turn: Turn, _draft: &Draft) -> Result<String, AgentError> {
        Ok(turn.message.text.0)
    }

    fn about(&self) -> About {
        About { kind: "quick", ..About::default() }
    }
}

fn terms() -> TurnConfig {
    TurnConfig { join_window: Duration::ZERO, per_minute_max: 0, ..TurnConfig::default() }
}

/// Writes the bursts, and returns the unanswered messages and the number of chats that had to be searched for.
async fn unanswered(house: House, burst: Burst) -> (Vec<String>, u64) {
    let count = World::from_process().var("HERMES_PAIRS").map_or(BURSTS, |count| count.parse().unwrap());
    let mut config = settings(AllowList::Everybody);
    config.gateway.turn = burst.terms;
    config.platform_mut(W).is_paced = false;
    let path = MessagePath::start(house.store(), Arc::new(QuickAgent), Gate::new(&config), burst.terms);
    path.configure(&config);
    path.open();
    let link = ScriptedLink::new(Vec::new());
    if !burst.is_paused {
        up(&path, &link);
    }
    let writers = (0..CHATS).map(|n| {
        let path = Arc::clone(&path);
        tokio::spawn(async move {
            for round in 0..count / CHATS {
                let accepts = burst.texts.iter().enumerate().map(|(part, text)| {
                    let id = format!("{n}-{round}-{part}");
                    let text = if text.is_empty() { &id } else { *text };
                    let message = message(&id, &chat(n), text);
                    let path = Arc::clone(&path);
                    async move { path.accept(W, message).await.unwrap() }
                });
                if round % 2 == 0 {
                    // Without a gap they are committed together.
                    join_all(accepts).await;
                } else {
                    for (part, accept) in accepts.enumerate() {
                        accept.await;
                        let gap_ms = (n * 7 + round * 11 + part * 5) as u64 % (GAP_MAX_MS + 1);
                        tokio::time::sleep(Duration::from_millis(gap_ms)).await;
                    }
                }
                // A later burst would wake the chat: each is answered before the next.
                while path.store.waiting(&key_of(n), 1).await.unwrap() > 0 {
                    tokio::time::sleep(Duration::from_millis(GAP_MAX_MS)).await;
                }
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    if burst.is_paused {
        up(&path, &link);
    }
    let is_settled = async {
        while path.store.depths().await.unwrap().inbox > 0 || path.store.depths().await.unwrap().outbox > 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    drop(tokio::time::timeout(ANSWERED_WITHIN, is_settled).await);
    // Answers to commands hold no id.
    let mut answers: BTreeMap<String, usize> = BTreeMap::new();
    for sent in link.delivered.borrow().iter() {
        sent.text.lines().for_each(|line| *answers.entry(line.to_owned()).or_default() += 1);
    }
    let ids = (0..CHATS).flat_map(|n| {
        (0..count / CHATS).flat_map(move |round| {
            let parts = burst.texts.iter().enumerate().filter(|(_, text)| text.is_empty());
            parts.map(move |(part, _)| format!("{n}-{round}-{part}"))
        })
    });
    let wrong = ids.filter(|id| answers.get(id).copied() != Some(1)).collect();
    (wrong, path.turns.forgotten())
}

async fn none_is_forgotten(burst: Burst) {
    for house in [House::in_memory(burst.terms), Some(House::with(burst.terms))].into_iter().flatten() {
        assert_eq!(unanswered(house, burst).await, (Vec::new(), 0), "{burst:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_messages_within_milliseconds_are_both_answered() {
    none_is_forgotten(Burst { texts: &["", ""], is_paused: false, terms: terms() }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_messages_within_milliseconds_are_all_answered_together_or_alone() {
    let joined = TurnConfig { join_window: Duration::from_millis(5), ..terms() };
    none_is_forgotten(Burst { texts: &["", "", ""], is_paused: false, terms: joined }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_between_two_messages_holds_up_neither() {
    none_is_forgotten(Burst { texts: &["", "/whoami", ""], is_paused: false, terms: terms() }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_written_while_the_platform_is_paused_is_all_sent_when_it_is_back() {
    none_is_forgotten(Burst { texts: &["", ""], is_paused: true, terms: terms() }).await;
}
