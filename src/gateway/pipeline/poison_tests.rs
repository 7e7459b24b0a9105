//! One message at which the model's service always fails, among a thousand: no other is delayed, reordered or mentioned to
//! its chat.

use std::collections::BTreeMap;

use super::*;
use crate::config::OpenaiConfig;
use crate::gateway::agent::openai::Openai;
use crate::gateway::agent::testing::{head, service};

const CHATS: usize = 500;

/// Limit for a busy machine.
const WITHIN: Duration = Duration::from_secs(300);

/// An agent, and its requests in each chat: the message, and whether it was answered.
struct Watched {
    agent: Openai,
    asked: watch::Sender<BTreeMap<String, Vec<(String, bool)>>>,
}

#[async_trait]
impl Agent for Watched {
    async fn answer(&self, turn: Turn, draft: &Draft) -> Result<String, AgentError> {
        let (chat, id) = (turn.key.chat.0.clone(), turn.message.id.0.clone());
        let answer = self.agent.answer(turn, draft).await;
        self.asked.send_modify(|asked| asked.entry(chat).or_default().push((id, answer.is_ok())));
        answer
    }

    fn wait(&self) -> Option<Duration> {
        self.agent.wait()
    }

    fn about(&self) -> About {
        self.agent.about()
    }
}

/// The requests and the answers of each chat but the first, in order.
type Seen = BTreeMap<String, (Vec<(String, bool)>, Vec<String>)>;

/// Two messages in each chat. The first of the first chat is this.
async fn others_beside(first: &str) -> Seen {
    let base = service(|request| {
        let failed = request.contains("poison").then(|| head("503 Busy", "application/json"));
        let answer =
            || head("200 OK", "application/json") + r#"{"choices":[{"message":{"content":"fine"}}]}"#;
        failed.unwrap_or_else(answer).into_bytes()
    });
    let config = OpenaiConfig { base_url: base.await, ..OpenaiConfig::default() };
    let agent = Arc::new(Watched { agent: Openai::new(&config).unwrap(), asked: watch::Sender::default() });
    let asking: Arc<dyn Agent> = Arc::<Watched>::clone(&agent);
    let terms = TurnConfig { join_window: Duration::ZERO, per_minute_max: 0, ..TurnConfig::default() };
    let mut config = settings(AllowList::Everybody);
    config.gateway.turn = terms;
    config.platform_mut(W).is_paced = false;
    let house = House::in_memory(terms).unwrap_or_else(|| House::with(terms));
    let path = MessagePath::start(house.store(), asking, Gate::new(&config), terms);
    path.configure(&config);
    path.open();
    let link = ScriptedLink::new(Vec::new());
    up(&path, &link);
    for part in 0..2 {
        for n in 0..CHATS {
            let text = if (n, part) == (0, 0) { first } else { "hello" };
            path.accept(W, message(&format!("{n}-{part}"), &chat(n), text)).await.unwrap();
        }
    }
    let mut told = link.delivered.subscribe();
    let of_others = |told: &Vec<Delivered>| told.iter().filter(|told| told.chat != chat(0)).count();
    let all = told.wait_for(|told| of_others(told) >= 2 * (CHATS - 1));
    drop(tokio::time::timeout(WITHIN, all).await.expect("all others are answered").unwrap());
    // The poisoned message is asked again, and its failure is still not mentioned to others.
    let mut asked = agent.asked.subscribe();
    let again = asked.wait_for(|asked| asked.get(&chat(0)).is_some_and(|asked| asked.len() >= 2));
    drop(tokio::time::timeout(WITHIN, again).await.expect("it is asked again").unwrap());
    assert!(agent.wait().is_none() && agent.about().trouble.is_none());
    let mut seen = Seen::new();
    for (chat, asked) in agent.asked.borrow().iter() {
        seen.entry(chat.clone()).or_default().0.clone_from(asked);
    }
    for told in link.delivered.borrow().iter() {
        seen.entry(told.chat.clone()).or_default().1.push(told.text.clone());
    }
    seen.remove(&chat(0)).expect("it was asked");
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_poisoned_message_among_a_thousand_changes_nothing_for_the_others() {
    let (without, with) = (others_beside("hello").await, others_beside("poison").await);
    assert_eq!(without.len(), CHATS - 1);
    for (chat, (asked, told)) in &without {
        assert!(asked.len() == 2 && asked.iter().all(|(_, is_answered)| *is_answered), "{chat}: {asked:?}");
        assert_eq!(told[..], ["fine", "fine"], "{chat}");
    }
    assert_eq!(with, without);
}
