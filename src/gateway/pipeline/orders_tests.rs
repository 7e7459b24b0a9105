//! Commands that people write in a chat: carried out beside the turns, once, and durably.

use super::*;

#[tokio::test]
async fn a_command_does_not_wait_for_the_agent_and_its_own_pause_waits_for_the_answer() {
    let house = House::new();
    let agent = ScriptedAgent::new(0);
    let path = house.start(&agent);
    let link = ScriptedLink::new(Vec::new());
    up(&path, &link);
    let (events, mut inputs) = tokio::sync::mpsc::channel(8);
    let snapshots = watch::channel(Some(crate::gateway::model::snapshot::tests::example())).1;
    path.connect(Control { snapshots, commands: Commands::new(events) });
    path.accept(W, message("A", &chat(1), "work")).await.unwrap();
    agent.wait(1).await;

    path.accept(W, message("B", &chat(1), "/platform list")).await.unwrap();
    assert!(link.wait(1).await[0].text.contains("WhatsApp: needs attention"));
    path.accept(W, message("B", &chat(1), "/platform list")).await.unwrap();
    path.accept(W, message("C", &chat(1), "/platform pause WhatsApp")).await.unwrap();
    let event = tokio::time::timeout(LIMIT, inputs.recv()).await.unwrap().unwrap();
    let Event::Command(request) = event else { panic!("{event:?}") };
    assert_eq!(request.command, Command::Pause { platform: "WhatsApp".into() });
    let delivered = link.delivered.borrow().clone();
    assert!(delivered[1].text.contains("is paused after this message"), "{delivered:?}");
    request.reply.send(Ok("It is paused.".into())).unwrap();

    assert_eq!(agent.wait(1).await, ["work"], "no command is the agent's, and none came twice");
    agent.permits.add_permits(1);
    let delivered = link.wait(3).await;
    assert_eq!(delivered[2].text, "re: work");
}

#[tokio::test]
async fn a_command_that_was_interrupted_is_answered_by_the_next_run_and_not_by_the_agent() {
    let house = House::new();
    house.store().accept(W, message("A", &chat(1), "/help")).await.unwrap();
    let agent = ScriptedAgent::new(1000);
    let path = house.start(&agent);
    let link = ScriptedLink::new(Vec::new());
    up(&path, &link);
    path.accept(W, message("B", &chat(1), "/unknown to us")).await.unwrap();
    let delivered = link.wait(2).await;
    assert!(delivered[0].text.contains("/platform list"), "{delivered:?}");
    assert_eq!(delivered[1].text, "re: /unknown to us");
    assert_eq!(agent.wait(1).await.len(), 1);
}

#[tokio::test]
async fn a_stop_ends_the_turn_and_its_message_for_good_and_the_next_one_is_answered() {
    let house = House::new();
    let agent = ScriptedAgent::new(0);
    let path = house.start(&agent);
    let link = ScriptedLink::new(Vec::new());
    up(&path, &link);
    path.accept(W, message("A", &chat(1), "one")).await.unwrap();
    path.accept(W, message("B", &chat(1), "two")).await.unwrap();
    path.accept(W, message("C", &chat(2), "beside")).await.unwrap();
    agent.wait(2).await;
    path.accept(W, message("S", &chat(1), "/stop")).await.unwrap();
    let told = link.wait(1).await;
    assert!(told[0].text.starts_with("Stopped. Your message of "), "{told:?}");
    assert!(told[0].text.contains("One more message waits"), "{told:?}");
    assert_eq!(agent.wait(3).await.iter().filter(|text| *text == "two").count(), 1);
    agent.permits.add_permits(2);
    let texts: BTreeSet<_> = link.wait(3).await.into_iter().skip(1).map(|sent| sent.text).collect();
    assert_eq!(texts, BTreeSet::from(["re: two".into(), "re: beside".into()]));
    path.accept(W, message("T", &chat(1), "/stop")).await.unwrap();
    assert_eq!(link.wait(4).await[3].text, "Nothing to stop.");
}

#[tokio::test]
async fn a_stop_that_was_accepted_holds_though_everything_dies_before_it_is_carried_out() {
    let house = House::new();
    let store = house.store();
    store.accept(W, message("A", &chat(1), "one")).await.unwrap();
    store.claim(&key_of(1), Join::default()).await.unwrap();
    store.accept(W, message("S", &chat(1), "/stop")).await.unwrap();
    drop(store);
    let agent = ScriptedAgent::new(1000);
    let path = house.start(&agent);
    let link = ScriptedLink::new(Vec::new());
    up(&path, &link);
    assert!(link.wait(1).await[0].text.starts_with("Stopped."));
    path.accept(W, message("B", &chat(1), "two")).await.unwrap();
    link.wait(2).await;
    assert_eq!(*agent.begun.borrow(), ["two"]);
}

#[tokio::test]
async fn conversations_are_begun_shown_and_repeated_by_words_in_the_chat() {
    let house = House::new();
    let agent = ScriptedAgent::new(1000);
    let path = house.start(&agent);
    let link = ScriptedLink::new(Vec::new());
    up(&path, &link);
    let mut count = 0;
    let mut say = async |text: &str| {
        count += 1;
        path.accept(W, message(&format!("M{count}"), &chat(1), text)).await.unwrap();
        link.wait(count).await[count - 1].text.clone()
    };
    assert!(say("/status").await.starts_with("No conversation is open"));
    assert_eq!(say("/retry").await, "There is no message to retry.");
    assert_eq!(say("fail one").await, "I cannot.");
    assert_eq!(say("/retry").await, "I cannot.", "also after a failure");
    assert_eq!(say("two").await, "re: two");
    assert_eq!(say("/retry").await, "re: two");
    let status = say("/status").await;
    assert!(status.contains("1 of your messages are answered"), "{status}");
    assert!(status.contains("Agent: scripted.") && status.contains("not working on"), "{status}");
    assert_eq!(say("/new").await, "This is a new conversation; I have forgotten the last one.");
    assert_eq!(say("/reset").await, "This is a new conversation.");
    assert_eq!(*agent.begun.borrow(), ["fail one", "fail one", "two", "two"]);
}

/// Sends a path's commands to the test.
fn heard(path: &MessagePath) -> tokio::sync::mpsc::Receiver<Event> {
    let (events, inputs) = tokio::sync::mpsc::channel(8);
    let snapshots = watch::channel(None).1;
    path.connect(Control { snapshots, commands: Commands::new(events) });
    inputs
}

#[tokio::test]
async fn a_command_is_obeyed_once_whoever_comes_to_it_and_whenever_they_read_it() {
    let house = House::new();
    let path = house.start(&ScriptedAgent::new(0));
    let mut inputs = heard(&path);
    path.accept(W, message("A", &chat(1), "/platform resume telegram")).await.unwrap();
    let event = tokio::time::timeout(LIMIT, inputs.recv()).await.unwrap().unwrap();
    let Event::Command(request) = event else { panic!("{event:?}") };
    // The lane reads the row while it is being carried out, and again when that is over.
    let row = path.store.next_in(&key_of(1)).await.unwrap().expect("it is open");
    let stale = InboxRow { attempts: 0, ..row.clone() };
    let order = || slash::of(&row.message).expect("a command");
    for row in [&row, &stale] {
        assert!(!path.work.obey(&key_of(1), row, order()).await.unwrap(), "it is under way");
    }
    request.reply.send(Ok("It connects.".into())).unwrap();
    let done = async {
        while path.store.next_in(&key_of(1)).await.unwrap().is_some() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LIMIT, done).await.unwrap();
    for row in [&row, &stale] {
        assert!(!path.work.obey(&key_of(1), row, order()).await.unwrap(), "it is done");
    }
    assert!(inputs.try_recv().is_err(), "nothing was given twice");
    assert_eq!(path.store.depths().await.unwrap().outbox, 1, "and it is answered once");
}

#[tokio::test]
async fn a_pause_of_the_own_platform_holds_though_everything_dies_before_its_answer_is_sent() {
    let house = House::new();
    let path = house.start(&ScriptedAgent::new(0));
    let _inputs = heard(&path);
    path.accept(W, message("A", &chat(1), "/platform pause whatsapp")).await.unwrap();
    let answered = async {
        while path.store.depths().await.unwrap().outbox == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LIMIT, answered).await.unwrap();
    drop(path);
    let pauses = house.store().pauses().await.unwrap();
    assert_eq!(pauses.iter().map(|pause| pause.platform.as_str()).collect::<Vec<_>>(), ["whatsapp"]);
}

#[tokio::test]
async fn a_command_that_kills_is_given_up_like_any_message() {
    let house = House::new();
    let store = house.store();
    store.accept(W, message("A", &chat(1), "/platform resume telegram")).await.unwrap();
    let id = store.next_in(&key_of(1)).await.unwrap().unwrap().id;
    for attempts in 0..3 {
        assert!(store.begin_order(id, attempts).await.unwrap());
        assert!(!store.begin_order(id, attempts).await.unwrap(), "that was counted");
    }
    drop(store);
    let path = house.start(&ScriptedAgent::new(0));
    let mut inputs = heard(&path);
    let link = ScriptedLink::new(Vec::new());
    up(&path, &link);
    assert!(link.wait(1).await[0].text.contains("failed three times"));
    assert_eq!(path.tally().counts().messages[&W][Counter::GivenUp as usize], 1);
    assert!(inputs.try_recv().is_err());
}
