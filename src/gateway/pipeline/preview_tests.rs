//! An answer that is shown as it grows: one message in the end, whatever happens meanwhile.

use super::*;
use crate::gateway::pipeline::preview::{GOES_ON, STOPPED, UNFINISHED};

/// Short enough that no test waits for long.
const EVERY: Duration = Duration::from_millis(100);

/// A text that is long enough for a preview.
const LONG: &str = "tell me of the sea, and of all that lives in it";

/// A platform whose messages can be changed, and on which people see repeats.
fn platform() -> Platform {
    Platform::scripted(7).unwrap()
}

fn config(every: Option<Duration>) -> Config {
    let mut config = settings(AllowList::Everybody);
    let everybody = AccessConfig { allowed: AllowList::Everybody, ..AccessConfig::default() };
    config.platform_mut(platform()).access = everybody;
    let stream_every = &mut config.platform_mut(platform()).stream_every;
    *stream_every = every.or(*stream_every);
    config.gateway.turn = House::new().terms;
    config
}

fn start(house: &House, agent: &Arc<ScriptedAgent>, every: Option<Duration>) -> Arc<MessagePath> {
    let config = config(every);
    let agent: Arc<dyn Agent> = Arc::<ScriptedAgent>::clone(agent);
    let path = MessagePath::start(house.store(), agent, Gate::new(&config), house.terms);
    path.configure(&config);
    path.open();
    path
}

fn connect(path: &MessagePath, link: &Arc<ScriptedLink>) {
    path.link_up(platform(), Arc::<ScriptedLink>::clone(link) as Arc<dyn Link>);
}

/// A message whose answer is long enough for a preview, over a scripted link.
struct Asked {
    agent: Arc<ScriptedAgent>,
    path: Arc<MessagePath>,
    link: Arc<ScriptedLink>,
    /// The database.
    _house: House,
}

impl Asked {
    async fn set(script: Vec<SendError>) -> Self {
        let (house, agent, link) = (House::new(), ScriptedAgent::new(0), ScriptedLink::new(script));
        let path = start(&house, &agent, Some(EVERY));
        connect(&path, &link);
        ask(&path, "A", LONG).await;
        Self { agent, path, link, _house: house }
    }
}

async fn ask(path: &MessagePath, id: &str, text: &str) {
    path.accept(platform(), message(id, &chat(1), text)).await.unwrap();
}

async fn wait_changed(link: &ScriptedLink, text: &str) -> (String, String) {
    let mut seen = link.changed.subscribe();
    let is_there = |changed: &Vec<(String, String)>| changed.iter().any(|(_, to)| to == text);
    let seen = tokio::time::timeout(LIMIT, seen.wait_for(is_there)).await;
    let seen = seen.unwrap_or_else(|_| panic!("no {text:?} in {:?}", link.changed.borrow())).unwrap();
    seen.iter().find(|(_, to)| to == text).cloned().expect("it is there")
}

#[tokio::test]
async fn an_answer_is_shown_as_it_grows_and_put_in_the_place_of_what_was_shown() {
    let Asked { agent, path, link, _house } = Asked::set(Vec::new()).await;
    let shown = link.wait(1).await.remove(0);
    assert_eq!(shown.text, format!("re: {LONG}{GOES_ON}"));
    agent.permits.add_permits(1);
    let (id, _) = wait_changed(&link, &format!("re: {LONG}")).await;
    assert_eq!(id, shown.handle);
    path.drain(Now::read().mono + LIMIT).await;
    assert_eq!(link.delivered.borrow().len(), 1, "one message in all");
    assert!(path.store.is_ours(platform(), &MessageId(id)).await.unwrap());
}

#[tokio::test]
async fn a_message_from_before_the_start_is_answered_by_the_settings() {
    let (house, agent, link) = (House::new(), ScriptedAgent::new(0), ScriptedLink::new(Vec::new()));
    let config = config(Some(EVERY));
    let asking: Arc<dyn Agent> = Arc::<ScriptedAgent>::clone(&agent);
    let path = MessagePath::start(house.store(), asking, Gate::new(&config), house.terms);
    connect(&path, &link);
    ask(&path, "A", LONG).await;
    assert!(tokio::time::timeout(EVERY, agent.wait(1)).await.is_err(), "no turn begins before the settings");
    path.configure(&config);
    path.open();
    assert_eq!(link.wait(1).await[0].text, format!("re: {LONG}{GOES_ON}"));
}

#[tokio::test]
async fn nothing_is_shown_where_it_is_off_or_too_short_or_the_platform_is_away() {
    for (every, text, is_there) in
        [(None, LONG, true), (Some(EVERY), "tell me", true), (Some(EVERY), LONG, false)]
    {
        let house = House::new();
        let agent = ScriptedAgent::new(0);
        let path = start(&house, &agent, every);
        let link = ScriptedLink::new(Vec::new());
        if is_there {
            connect(&path, &link);
        }
        ask(&path, "A", text).await;
        agent.wait(1).await;
        // Three times as long as a preview would take.
        assert!(tokio::time::timeout(3 * EVERY, link.wait(1)).await.is_err(), "{text:?}");
        agent.permits.add_permits(1);
        connect(&path, &link);
        assert_eq!(link.wait(1).await[0].text, format!("re: {text}"));
        assert!(link.changed.borrow().is_empty());
    }
}

#[tokio::test]
async fn of_an_answer_that_is_longer_than_a_message_the_beginning_is_shown_once() {
    let house = House::new();
    let agent = ScriptedAgent::new(0);
    let path = start(&house, &agent, Some(EVERY));
    let link = ScriptedLink::new(Vec::new());
    connect(&path, &link);
    ask(&path, "A", &"word ".repeat(2000)).await;
    let shown = link.wait(1).await.remove(0);
    assert!(shown.text.ends_with(GOES_ON) && shown.text.len() > 4000);
    assert!(tokio::time::timeout(3 * EVERY, link.wait(2)).await.is_err(), "there is nothing more to show");
    assert!(link.changed.borrow().is_empty());
    agent.permits.add_permits(1);
    let parts = link.wait(3).await;
    assert!(parts.len() >= 3, "the others are messages of their own");
    let first = link.changed.borrow()[0].clone();
    assert!(first.0 == shown.handle && first.1.starts_with("re: word word"));
}

#[tokio::test]
async fn a_turn_that_is_begun_anew_goes_on_in_the_same_message() {
    let house = House::new();
    let agent = ScriptedAgent::new(0);
    let link = ScriptedLink::new(Vec::new());
    for life in 0..3 {
        let path = start(&house, &agent, Some(EVERY));
        connect(&path, &link);
        if life == 0 {
            ask(&path, "A", LONG).await;
        }
        let shown = link.wait(1).await.remove(0);
        if life == 2 {
            agent.permits.add_permits(1);
            assert_eq!(wait_changed(&link, &format!("re: {LONG}")).await.0, shown.handle);
        } else {
            // The id is stored before anything is changed.
            let store = Arc::clone(&path.store);
            let key = ChatKey { platform: platform(), chat: ChatId(chat(1)) };
            let kept = async {
                while store.next_in(&key).await.unwrap().unwrap().preview.is_none() {
                    tokio::task::yield_now().await;
                }
            };
            tokio::time::timeout(LIMIT, kept).await.unwrap();
        }
        path.drain(soon()).await;
    }
    assert_eq!(link.delivered.borrow().len(), 1);
}

#[tokio::test]
async fn a_change_of_unknown_fate_is_made_again_and_a_refused_one_becomes_a_message() {
    for (certainty, retry, delivered) in [
        (Certainty::MaybeSent, Retry::After(Duration::from_millis(1)), 1),
        (Certainty::NotSent, Retry::Never, 2),
    ] {
        let Asked { agent, path, link, _house } = Asked::set(Vec::new()).await;
        link.wait(1).await;
        link.script.lock().unwrap().push(failure(certainty, retry));
        agent.permits.add_permits(1);
        let answer = format!("re: {LONG}");
        if delivered == 1 {
            let mut seen = link.changed.subscribe();
            let is_there = |changed: &Vec<(String, String)>| {
                changed.iter().filter(|(_, text)| *text == answer).count() == 2
            };
            tokio::time::timeout(LIMIT, seen.wait_for(is_there)).await.unwrap().unwrap();
        }
        assert_eq!(link.wait(delivered).await.len(), delivered);
        path.drain(Now::read().mono + LIMIT).await;
        let (messages, changes) = (link.delivered.borrow().clone(), link.changed.borrow().clone());
        let whole = changes.iter().filter(|(_, text)| *text == answer).count();
        match certainty {
            Certainty::MaybeSent => assert_eq!((messages.len(), whole), (1, 2), "unmarked, in one place"),
            Certainty::NotSent => assert_eq!((messages[1].text.clone(), whole), (answer, 0)),
        }
    }
}

#[tokio::test]
async fn with_its_first_failure_the_showing_ends_and_the_answer_is_sent_as_ever() {
    for certainty in [Certainty::NotSent, Certainty::MaybeSent] {
        let script = vec![failure(certainty, Retry::Backoff)];
        let Asked { agent, path, link, _house } = Asked::set(script).await;
        let tried = async {
            while !link.script.lock().unwrap().is_empty() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(LIMIT, tried).await.unwrap();
        assert!(tokio::time::timeout(3 * EVERY, link.wait(2)).await.is_err(), "it is not tried again");
        agent.permits.add_permits(1);
        path.drain(Now::read().mono + LIMIT).await;
        let last = link.delivered.borrow().last().cloned().unwrap();
        assert_eq!(last.text, format!("re: {LONG}"));
        assert!(link.changed.borrow().is_empty());
    }
}

#[tokio::test]
async fn a_turn_that_is_stopped_leaves_what_was_shown_and_says_so() {
    let Asked { agent: _agent, path, link, _house } = Asked::set(Vec::new()).await;
    let shown = link.wait(1).await.remove(0);
    ask(&path, "B", "/stop").await;
    assert_eq!(wait_changed(&link, &format!("re: {LONG}{STOPPED}")).await.0, shown.handle);
    assert!(link.wait(2).await[1].text.contains("topped"), "the command is answered by itself");
}

#[tokio::test]
async fn what_an_earlier_run_has_shown_is_told_to_be_unfinished_when_its_turn_is_stopped() {
    let house = House::new();
    let agent = ScriptedAgent::new(0);
    let link = ScriptedLink::new(Vec::new());
    let path = start(&house, &agent, Some(EVERY));
    connect(&path, &link);
    ask(&path, "A", LONG).await;
    let shown = link.wait(1).await.remove(0);
    path.drain(soon()).await;
    // Nothing is shown any more.
    let path = start(&house, &agent, None);
    connect(&path, &link);
    agent.wait(2).await;
    ask(&path, "B", "/stop").await;
    assert_eq!(wait_changed(&link, UNFINISHED).await.0, shown.handle);
}

#[tokio::test]
async fn what_waits_for_its_chat_goes_before_what_is_only_shown() {
    let house = House::new();
    let agent = ScriptedAgent::new(0);
    let path = start(&house, &agent, Some(EVERY));
    let key = ChatKey { platform: platform(), chat: ChatId(chat(1)) };
    let link = ScriptedLink::new(vec![failure(Certainty::NotSent, Retry::After(3 * EVERY))]);
    let notice = reply::parts(&key, &message("N", &chat(1), ""), "notice", "a notice");
    path.say(&key, notice).await.unwrap();
    connect(&path, &link);
    ask(&path, "A", LONG).await;
    let texts: Vec<_> = link.wait(2).await.into_iter().map(|sent| sent.text).collect();
    assert_eq!(texts, ["a notice".to_owned(), format!("re: {LONG}{GOES_ON}")]);
}
