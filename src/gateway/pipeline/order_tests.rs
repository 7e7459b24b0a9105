//! A message at which the agent always fails, and the messages behind it in the same chat.

use super::*;
use crate::gateway::pipeline::waits::HOLDS;

/// An agent that fails at texts with one of these words.
struct Failing {
    words: Mutex<Vec<&'static str>>,
    asked: watch::Sender<Vec<String>>,
}

#[async_trait]
impl Agent for Failing {
    async fn answer(&self, turn: Turn, _draft: &Draft) -> Result<String, AgentError> {
        let text = turn.message.text.0;
        self.asked.send_modify(|asked| asked.push(text.clone()));
        if self.words.lock().unwrap().iter().any(|word| text.contains(word)) {
            let again = Again::Briefly(Duration::from_millis(100));
            let told = "It failed. Send /retry to ask again.".to_owned();
            return Err(AgentError { code: "agent_failed", told, detail: "as told".to_owned(), again });
        }
        Ok(format!("re: {text}"))
    }

    fn about(&self) -> About {
        About { kind: "failing", ..About::default() }
    }
}

struct Scene {
    path: Arc<MessagePath>,
    agent: Arc<Failing>,
    link: Arc<ScriptedLink>,
    _house: House,
}

impl Scene {
    fn set(words: &[&'static str], window: Duration) -> Self {
        let terms = TurnConfig { join_window: window, per_minute_max: 0, ..TurnConfig::default() };
        let agent = Arc::new(Failing { words: Mutex::new(words.to_vec()), asked: watch::Sender::default() });
        let mut config = settings(AllowList::Everybody);
        config.gateway.turn = terms;
        config.platform_mut(W).is_paced = false;
        let house = House::with(terms);
        let asking: Arc<dyn Agent> = Arc::<Failing>::clone(&agent);
        let path = MessagePath::start(house.store(), asking, Gate::new(&config), terms);
        path.configure(&config);
        path.open();
        let link = ScriptedLink::new(Vec::new());
        up(&path, &link);
        Self { path, agent, link, _house: house }
    }

    async fn write(&self, id: &str, text: &str) {
        self.path.accept(W, message(id, &chat(0), text)).await.unwrap();
    }

    /// Returns when a text with this word was asked this often from now on.
    async fn asked(&self, word: &str, count: usize) {
        let count_of = |asked: &Vec<String>| asked.iter().filter(|text| text.contains(word)).count();
        let mut asked = self.agent.asked.subscribe();
        let before = count_of(&asked.borrow());
        let more = asked.wait_for(|asked| count_of(asked) >= before + count);
        drop(
            tokio::time::timeout(LIMIT, more).await.unwrap_or_else(|_| panic!("{word}: not asked")).unwrap(),
        );
    }

    fn told(&self) -> Vec<String> {
        self.link.delivered.borrow().iter().map(|told| told.text.clone()).collect()
    }
}

async fn later(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

#[tokio::test]
async fn what_is_behind_a_poisoned_message_waits_a_minute_and_is_answered_first_then() {
    let scene = Scene::set(&["poison"], Duration::ZERO);
    scene.write("A", "poison").await;
    scene.write("B", "hello").await;
    scene.asked("poison", 5).await;
    assert!(scene.told().is_empty() && !scene.agent.asked.borrow().contains(&"hello".to_owned()), "in order");
    later(HOLDS).await;
    assert_eq!(scene.link.wait(1).await[0].text, "re: hello");
    scene.write("C", "and on").await;
    assert_eq!(scene.link.wait(2).await[1].text, "re: and on", "the next need not wait for that");
    scene.asked("poison", 3).await;
    later(Duration::from_secs(600)).await;
    let told = scene.link.wait(3).await[2].text.clone();
    assert!(told.contains("Send it again") && !told.contains("/retry"), "{told}");
    scene.write("D", "as ever").await;
    assert_eq!(scene.link.wait(4).await[3].text, "re: as ever");
}

#[tokio::test]
async fn where_the_agent_fails_at_those_behind_it_too_the_order_stays() {
    let scene = Scene::set(&["one", "two"], Duration::ZERO);
    scene.write("A", "one").await;
    scene.write("B", "two").await;
    scene.asked("one", 2).await;
    later(HOLDS).await;
    scene.asked("two", 1).await;
    // The failure was not caused by a message: the first is asked again, and only it.
    scene.asked("one", 3).await;
    let twos = |scene: &Scene| scene.agent.asked.borrow().iter().filter(|text| *text == "two").count();
    assert_eq!(twos(&scene), 1);
    scene.agent.words.lock().unwrap().clear();
    scene.link.wait(2).await;
    assert_eq!(scene.told(), ["re: one", "re: two"]);
}

#[tokio::test]
async fn a_message_that_was_joined_with_a_poisoned_one_is_answered_without_it() {
    for (first, second) in [("poison", "hello"), ("hello", "poison")] {
        let scene = Scene::set(&["poison"], Duration::from_secs(30));
        scene.path.accept(W, message("A", &chat(0), first)).await.unwrap();
        scene.path.accept(W, message("B", &chat(0), second)).await.unwrap();
        scene.asked("poison", 2).await;
        for _ in 0..3 {
            later(HOLDS).await;
            scene.asked("poison", 1).await;
        }
        assert_eq!(scene.link.wait(1).await[0].text, "re: hello", "{first}");
    }
}
