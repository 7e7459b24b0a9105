//! Messages that are sent, given up, and put in the place of previews.

use super::*;

#[tokio::test]
async fn a_chat_that_takes_nothing_gets_nothing_until_it_speaks_and_is_then_told() {
    let mut crashing = Crashing::new();
    let store = crashing.open();
    let mut ids = Vec::new();
    for id in ["A", "B", "C"] {
        let Accepted::New(id) = store.accept(W, message(id, CHAT, "hi")).await.unwrap() else { panic!() };
        ids.push(id);
    }
    store.finish(ids[0], answered(&["H1", "H2"])).await.unwrap();
    let row = store.next_out(&key()).await.unwrap().unwrap();
    store.unsent(row.id, true, "cut off".into()).await.unwrap();
    store.bury(row.id, "forbidden".into(), GivenUp::Chat).await.unwrap();
    assert_eq!(store.depths().await.unwrap().dead, 2, "what waits for it goes too");
    let direct = Finish { direct: true, ..answered(&["H3"]) };
    assert_eq!(crashing.open().finish(ids[1], direct).await.unwrap(), None);
    let store = crashing.open();
    assert_eq!(store.next_out(&key()).await.unwrap().map(|row| row.message.handle), None, "the notice too");

    let Accepted::New(next) = store.accept(W, message("D", CHAT, "hi")).await.unwrap() else { panic!() };
    store.finish(next, answered(&["H4"])).await.unwrap();
    store.finish(ids[2], answered(&["H5"])).await.unwrap();
    let mut said = Vec::new();
    while let Some(row) = store.next_out(&key()).await.unwrap() {
        said.push(row.message.text.0.clone());
        store.sent(row.id, MessageId(row.message.handle)).await.unwrap();
    }
    assert!(said.len() == 3 && said[0].contains("be delivered and 1 may"), "told once: {said:?}");
    let keys =
        store.retry_letters(Pick { direction: Some(Direction::Out), ..Pick::default() }).await.unwrap();
    assert!(!keys.is_empty() && store.depths().await.unwrap().dead == 0);
    assert_eq!(store.next_out(&key()).await.unwrap().unwrap().message.handle, "H1", "in their old order");
}

#[tokio::test]
async fn a_message_of_unknown_fate_holds_up_its_chat_for_a_minute_and_no_longer() {
    let mut crashing = Crashing::new();
    let store = crashing.open();
    for handle in ["H1", "H2"] {
        store.queue(&key(), vec![reply(handle)]).await.unwrap();
    }
    let first = store.next_out(&key()).await.unwrap().unwrap();
    let unsent =
        |at_s: i64| store.writer.call(move |db| queries::unsent(db, first.id, true, "timeout", at_s));
    let next = |at_s: i64| {
        store.reader.call(move |db| {
            Ok(match queries::next_out(db, &key(), at_s)? {
                Some(Next::Row(row)) => (row.message.handle, row.due_in.as_secs()),
                Some(Next::Unreadable(_)) | None => panic!("it is there"),
            })
        })
    };
    unsent(1000).await.unwrap();
    assert_eq!(next(1000).await.unwrap(), ("H1".to_owned(), 0));
    unsent(1059).await.unwrap();
    assert_eq!(next(1059).await.unwrap(), ("H1".to_owned(), 0));
    unsent(1060).await.unwrap();
    assert_eq!(next(1060).await.unwrap(), ("H2".to_owned(), 0), "the next one goes");
    assert_eq!(next(1120).await.unwrap(), ("H1".to_owned(), 0), "and it is tried again");
    unsent(1120).await.unwrap();
    store.sent(OutboxId(first.id.0 + 1), MessageId("H2".into())).await.unwrap();
    assert_eq!(next(1130).await.unwrap(), ("H1".to_owned(), 50), "nothing else waits");
}

#[tokio::test]
async fn dead_letters_are_retried_with_a_clean_slate_or_dropped_for_good() {
    let mut crashing = Crashing::new();
    let store = crashing.open();
    let Accepted::New(id) = store.accept(W, message("A", CHAT, "a canary")).await.unwrap() else { panic!() };
    claim(store).await;
    store.finish(id, Finish { dead: Some("it failed".into()), ..Finish::default() }).await.unwrap();
    store.queue(&key(), vec![reply("H1")]).await.unwrap();
    let at = |in_s| Timestamp::from_second(now_s() + in_s).unwrap();
    assert_eq!(store.expire(at(-60)).await.unwrap(), BTreeMap::new(), "it is not that old");
    assert_eq!(store.expire(at(60)).await.unwrap(), BTreeMap::from([(W, 1)]));
    assert_eq!(store.depths().await.unwrap(), Depths { inbox: 0, outbox: 0, dead: 2 });

    let letters = store.letters(Pick::default(), false).await.unwrap();
    assert!(letters.len() == 2 && letters.iter().all(|letter| letter.text.is_none()));
    let one = Pick { ids: vec![LetterId { direction: Direction::In, number: id.0 }], ..Pick::default() };
    let shown = store.letters(one.clone(), true).await.unwrap();
    assert_eq!(shown[0].text.as_ref().unwrap().0, "a canary");
    assert_eq!(store.retry_letters(one).await.unwrap(), [key()]);
    assert_eq!(crashing.open().next_in(&key()).await.unwrap().unwrap().attempts, 0);

    let store = crashing.open();
    let nobody = Pick { platform: Platform::scripted(1), ..Pick::default() };
    assert_eq!(store.drop_letters(nobody).await.unwrap(), 0);
    assert_eq!(store.drop_letters(Pick::default()).await.unwrap(), 1);
    assert_eq!(store.retry_letters(Pick::default()).await.unwrap(), []);
    assert_eq!(store.depths().await.unwrap(), Depths { inbox: 1, outbox: 0, dead: 0 });
    store.queue(&key(), vec![reply("H1")]).await.unwrap();
    assert_eq!(store.depths().await.unwrap().outbox, 0, "its handle stays known");
}

#[tokio::test]
async fn an_answer_takes_the_place_of_what_showed_it_once_and_where_that_is_gone_it_is_a_message() {
    let mut crashing = Crashing::new();
    let store = crashing.open();
    let Accepted::Begun(row) = store.begin_new(W, message("A", CHAT, "hi")).await.unwrap() else { panic!() };
    let shown = MessageId("shown".into());
    store.previewed(row.id, shown.clone()).await.unwrap();

    let row = claim(crashing.open()).await.remove(0);
    assert_eq!((row.attempts, row.preview), (2, Some(shown.clone())), "a new turn goes on in it");
    let finish = Finish { direct: true, ..answered(&["H1", "H2"]) };
    let direct = crashing.open().finish(row.id, finish.clone()).await.unwrap().unwrap();
    assert_eq!(direct.message.replaces, Some(shown.clone()));
    assert_eq!(crashing.open().finish(row.id, finish).await.unwrap(), None);
    // A later preview changes nothing.
    crashing.open().previewed(row.id, MessageId("late".into())).await.unwrap();

    let store = crashing.open();
    let first = store.next_out(&key()).await.unwrap().unwrap();
    assert_eq!((first.maybe_sent, first.message.replaces), (true, Some(shown)));
    store.detach(first.id, "gone".into()).await.unwrap();
    let again = crashing.open().next_out(&key()).await.unwrap().unwrap();
    assert_eq!((again.maybe_sent, again.attempts), (true, 0), "people may see it twice now");
    assert_eq!(again.message, reply("H1"));
    let store = crashing.open();
    store.sent(again.id, MessageId("R1".into())).await.unwrap();
    store.detach(again.id, "gone".into()).await.unwrap_err();
    assert_eq!(store.next_out(&key()).await.unwrap().unwrap().message, reply("H2"), "only the first part");
}

#[tokio::test]
async fn what_is_retried_by_hand_is_a_new_message_whatever_was_shown() {
    let mut crashing = Crashing::new();
    let store = crashing.open();
    let Accepted::Begun(row) = store.begin_new(W, message("A", CHAT, "hi")).await.unwrap() else { panic!() };
    store.previewed(row.id, MessageId("shown".into())).await.unwrap();
    store.finish(row.id, Finish { dead: Some("it failed".into()), ..answered(&["H1"]) }).await.unwrap();
    let out = store.next_out(&key()).await.unwrap().unwrap();
    store.bury(out.id, "refused".into(), GivenUp::Message).await.unwrap();
    assert_eq!(store.retry_letters(Pick::default()).await.unwrap().len(), 2);
    let store = crashing.open();
    assert_eq!(store.next_out(&key()).await.unwrap().unwrap().message, reply("H1"));
    assert_eq!(store.next_in(&key()).await.unwrap().unwrap().preview, None);
}

#[tokio::test]
async fn a_dead_letter_is_shown_without_tags_and_a_row_without_a_mark_is_markdown() {
    let mut crashing = Crashing::new();
    let store = crashing.open();
    let key = ChatKey { platform: Platform::Telegram, chat: ChatId("1".into()) };
    let html = OutboundMessage { text: Private("<b>a</b> &lt;".into()), is_markup: true, ..reply("H1") };
    store.queue(&key, vec![html.clone()]).await.unwrap();
    let row = store.next_out(&key).await.unwrap().unwrap();
    store.bury(row.id, "refused".into(), GivenUp::Message).await.unwrap();
    let shown = store.letters(Pick::default(), true).await.unwrap();
    assert_eq!(shown[0].text.as_ref().unwrap().0, "**a** <");
    store.retry_letters(Pick::default()).await.unwrap();
    assert_eq!(store.next_out(&key).await.unwrap().unwrap().message, html);

    let unmark = "UPDATE outbox SET body = json_remove(body, '$.is_markup')";
    store.writer.call(|db| db.execute(unmark, []).map(drop)).await.unwrap();
    let old = store.next_out(&key).await.unwrap().unwrap().message;
    assert_eq!(old, OutboundMessage { is_markup: false, ..html });
}
