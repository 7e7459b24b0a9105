//! Tests of the link and its pump with a scripted bridge, in virtual time.

use std::sync::Mutex;

use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::*;
use crate::bridge::protocol::decode;
use crate::clock::Now;
use crate::gateway::model::adapter::{InboxError, Link};
use crate::gateway::model::failure::{Certainty, SendError};
use crate::gateway::model::message::{ChatId, MessageId, OutboundMessage};
use crate::gateway::platforms::whatsapp::exits::History;
use crate::gateway::platforms::whatsapp::link::WhatsAppLink;
use crate::sensitive::Private;

struct FakeBridge {
    commands: mpsc::Sender<Command>,
    outputs: mpsc::Receiver<Output>,
    stopped: Arc<Mutex<bool>>,
}

#[async_trait]
impl Bridge for FakeBridge {
    fn commands(&self) -> mpsc::Sender<Command> {
        self.commands.clone()
    }

    async fn next(&mut self) -> Option<Output> {
        self.outputs.recv().await
    }

    async fn stop(self: Box<Self>, _grace: Duration) -> Exit {
        *self.stopped.lock().unwrap() = true;
        Exit::Done
    }
}

struct Table;

impl Judge for Table {
    fn judge(&self, end: End) -> AdapterError {
        History::default().judge(Now::read().mono, end)
    }

    fn keep(&self, seq: u64, _line: &str) -> bool {
        seq != UNKEPT
    }
}

/// The number of a message that does not fit on the disk.
const UNKEPT: u64 = 99;

/// An inbox that records what it takes, and fails or waits on request.
#[derive(Default)]
struct Notes {
    taken: Mutex<Vec<InboundMessage>>,
    offers: Mutex<u32>,
    failures_left: Mutex<u32>,
    refuses: bool,
    slow_chat: Option<&'static str>,
}

#[async_trait]
impl Inbox for Notes {
    fn admits(&self, _platform: Platform, _message: &InboundMessage) -> bool {
        !self.refuses
    }

    async fn accept(&self, _platform: Platform, message: InboundMessage) -> Result<(), InboxError> {
        *self.offers.lock().unwrap() += 1;
        if self.slow_chat == Some(&message.chat.0) {
            tokio::time::sleep(Duration::from_secs(100)).await;
        }
        {
            let mut failures = self.failures_left.lock().unwrap();
            if *failures > 0 {
                *failures -= 1;
                return Err(InboxError("the disk is full".to_owned()));
            }
        }
        self.taken.lock().unwrap().push(message);
        Ok(())
    }
}

struct Stage {
    link: Arc<WhatsAppLink>,
    outputs: mpsc::Sender<Output>,
    commands: mpsc::Receiver<Command>,
    inbox: Arc<Notes>,
    stopped: Arc<Mutex<bool>>,
}

impl Stage {
    fn new(inbox: Notes) -> Self {
        let (commands, given) = mpsc::channel(64);
        let (outputs, taken) = mpsc::channel(64);
        let stopped = Arc::new(Mutex::new(false));
        let bridge = FakeBridge { commands, outputs: taken, stopped: Arc::clone(&stopped) };
        let inbox = Arc::new(inbox);
        let me = Me { id: "15550001111:7@s.whatsapp.net".into(), lid: None, name: None };
        let link = WhatsAppLink::start(
            Box::new(bridge),
            std::env::temp_dir(),
            me,
            Arc::clone(&inbox) as Arc<dyn Inbox>,
            Arc::new(Table) as Arc<dyn Judge>,
        );
        Self { link: Arc::new(link), outputs, commands: given, inbox, stopped }
    }

    async fn says(&self, event: Value) {
        let mut line = event;
        line["v"] = json!(1);
        self.outputs.send(Output::Event(decode(&line.to_string()).unwrap())).await.unwrap();
    }

    async fn open(&self) {
        self.says(json!({"event": "open", "me": {"id": "15550001111:7@s.whatsapp.net"}})).await;
        self.link.opened().await.unwrap();
    }

    async fn message(&self, seq: u64, chat: &str, more: Value) {
        let mut event = json!({"event": "message", "seq": seq, "id": format!("M{seq}"), "chat": chat, "sender": chat,
            "kind": "text", "text": "hi"});
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.says(event).await;
    }

    async fn exits(&self, exit: Exit) {
        self.outputs.send(Output::Exited { exit, stderr_tail: Vec::new() }).await.unwrap();
    }

    /// Returns the next command, within some virtual minutes.
    async fn command(&mut self) -> Command {
        tokio::time::timeout(Duration::from_secs(300), self.commands.recv()).await.unwrap().unwrap()
    }

    fn sends(&self, handle: &str) -> JoinHandle<Result<MessageId, SendError>> {
        let link = Arc::clone(&self.link);
        let message = OutboundMessage {
            chat: ChatId("15550002222@s.whatsapp.net".into()),
            handle: handle.to_owned(),
            text: Private("hello".into()),
            is_markup: false,
            reply_to: None,
            fleeting: false,
            replaces: None,
        };
        tokio::spawn(async move { link.send(&message).await })
    }
}

#[tokio::test(start_paused = true)]
async fn a_link_opens_proves_itself_and_ends_with_the_reason() {
    let stage = Stage::new(Notes::default());
    stage.open().await;
    tokio::time::sleep(Duration::from_secs(50)).await;
    let before = stage.link.proof();
    stage.says(json!({"event": "alive", "rtt_ms": 5})).await;
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(stage.link.proof().duration_since(before), Duration::from_secs(50));
    stage.says(json!({"event": "closed", "code": 503, "reason": "x", "was_open": true})).await;
    stage.exits(Exit::ConnectionLost).await;
    let error = stage.link.closed().await;
    assert_eq!((error.code, error.retry), ("whatsapp_bridge_exited", Retry::Backoff));
    assert!(error.message.contains("503"));
    assert_eq!(stage.link.closed().await, error, "it can be asked again");
}

#[tokio::test(start_paused = true)]
async fn an_end_before_the_ready_signal_is_a_failed_attempt() {
    let stage = Stage::new(Notes::default());
    stage.exits(Exit::LoggedOut).await;
    assert_eq!(stage.link.opened().await.unwrap_err().code, "whatsapp_logged_out");
}

#[tokio::test(start_paused = true)]
async fn a_node_that_cannot_be_executed_is_told_in_the_launchers_words() {
    let stage = Stage::new(Notes::default());
    let why = "/opt/node cannot be started: Permission denied (os error 13)";
    stage.says(json!({"event": "error", "code": "exec", "message": why})).await;
    stage.exits(Exit::Crashed(Some(126))).await;
    let error = stage.link.opened().await.unwrap_err();
    assert_eq!((error.code, error.message.as_str()), ("whatsapp_bridge_exec", why));
}

#[tokio::test(start_paused = true)]
async fn a_message_is_acknowledged_only_when_it_is_durable() {
    let mut stage = Stage::new(Notes { failures_left: Mutex::new(3), ..Notes::default() });
    stage.open().await;
    let begin = Now::read().mono;
    stage.message(7, "15550002222@s.whatsapp.net", json!({})).await;
    assert_eq!(stage.command().await, Command::Ack { seq: 7 });
    assert_eq!(Now::read().mono.duration_since(begin).as_secs(), 3, "offered again every second");
    assert_eq!(stage.inbox.taken.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_slow_chat_keeps_its_order_and_does_not_hold_up_the_others() {
    let mut stage = Stage::new(Notes { slow_chat: Some("slow@lid"), ..Notes::default() });
    stage.message(1, "slow@lid", json!({})).await;
    stage.message(2, "slow@lid", json!({})).await;
    stage.message(3, "quick@lid", json!({})).await;
    let mut acks = Vec::new();
    for _ in 0..3 {
        acks.push(stage.command().await);
    }
    assert_eq!(acks, [3, 1, 2].map(|seq| Command::Ack { seq }), "also before the ready signal");
}

#[tokio::test(start_paused = true)]
async fn an_attachment_is_fetched_before_the_message_is_handed_over() {
    let mut stage = Stage::new(Notes::default());
    let image = json!({"kind": "image", "media": {"mime": "image/png", "bytes": 3}});
    stage.message(1, "a@lid", image.clone()).await;
    let Command::Download { id, seq: 1 } = stage.command().await else { panic!("no download") };
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().canonicalize().unwrap();
    stage.says(json!({"event": "downloaded", "id": id, "path": path, "bytes": 3, "mime": null})).await;
    assert_eq!(stage.command().await, Command::Ack { seq: 1 });

    stage.message(2, "a@lid", image.clone()).await;
    let Command::Download { id, seq: 2 } = stage.command().await else { panic!("no download") };
    stage.says(json!({"event": "download_failed", "id": id, "code": "too_large"})).await;
    assert_eq!(stage.command().await, Command::Ack { seq: 2 });

    stage.message(3, "a@lid", image).await;
    let Command::Download { .. } = stage.command().await else { panic!("no download") };
    assert_eq!(
        stage.command().await,
        Command::Ack { seq: 3 },
        "an answer that never comes is not waited for"
    );

    stage.message(4, "a@lid", json!({"kind": "image", "media": {"mime": "image/png", "bytes": 3}})).await;
    let Command::Download { id, .. } = stage.command().await else { panic!("no download") };
    let elsewhere = json!({"event": "downloaded", "id": id, "path": "/etc/passwd", "bytes": 3, "mime": null});
    stage.says(elsewhere).await;
    assert_eq!(stage.command().await, Command::Ack { seq: 4 });

    let taken = stage.inbox.taken.lock().unwrap();
    let attachments: Vec<_> = taken.iter().map(|message| &message.attachments[0]).collect();
    assert_eq!(attachments[0].path.as_deref(), Some(path.as_path()));
    assert_eq!(attachments[0].mime.as_deref(), Some("image/png"));
    assert!(attachments[1].error.as_deref().unwrap().contains("larger"));
    assert!(attachments[2].error.as_deref().unwrap().contains("too long"));
    assert!(attachments[3].path.is_none() && attachments[3].error.is_some(), "a path outside the folder");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_fetched_for_strangers() {
    let mut stage = Stage::new(Notes { refuses: true, ..Notes::default() });
    stage.message(1, "a@lid", json!({"kind": "image", "media": {}})).await;
    assert_eq!(stage.command().await, Command::Ack { seq: 1 });
}

#[tokio::test(start_paused = true)]
async fn a_send_ends_as_the_bridge_says_and_says_whether_it_may_have_left() {
    let mut stage = Stage::new(Notes::default());
    stage.open().await;

    let sending = stage.sends("3EB0AA");
    let Command::Send(send) = stage.command().await else { panic!("no send") };
    assert_eq!((send.id.as_str(), send.message_id.as_str()), ("3EB0AA", "3EB0AA"));
    stage.says(json!({"event": "sent", "id": "3EB0AA", "message_id": "3EB0AA", "timestamp_s": 1})).await;
    assert_eq!(sending.await.unwrap().unwrap().0, "3EB0AA");

    let sending = stage.sends("3EB0BB");
    stage.command().await;
    stage
        .says(json!({"event": "send_failed", "id": "3EB0BB", "message_id": "3EB0BB", "code": "refused",
            "message": "no", "certainty": "not_sent", "permanent": true}))
        .await;
    let error = sending.await.unwrap().unwrap_err();
    assert_eq!((error.certainty, error.retry), (Certainty::NotSent, Retry::Never));

    let sending = stage.sends("3EB0CC");
    stage.command().await;
    let error = sending.await.unwrap().unwrap_err();
    assert_eq!((error.code.as_str(), error.certainty), ("timeout", Certainty::MaybeSent));

    let sending = stage.sends("3EB0DD");
    stage.command().await;
    stage.exits(Exit::Signalled(9)).await;
    let error = sending.await.unwrap().unwrap_err();
    assert_eq!((error.code.as_str(), error.certainty), ("connection_lost", Certainty::MaybeSent));

    let error = stage.sends("3EB0EE").await.unwrap().unwrap_err();
    assert_eq!((error.code.as_str(), error.certainty), ("not_connected", Certainty::NotSent));
}

#[tokio::test(start_paused = true)]
async fn an_answer_in_a_group_quotes_what_it_answers() {
    let mut stage = Stage::new(Notes::default());
    stage.open().await;
    stage.message(1, "1203630@g.us", json!({"is_group": true, "sender": "a@lid"})).await;
    stage.command().await;
    let message = OutboundMessage {
        chat: ChatId("1203630@g.us".into()),
        handle: "3EB0AA".to_owned(),
        text: Private("hello".into()),
        is_markup: false,
        reply_to: Some(MessageId("M1".into())),
        fleeting: false,
        replaces: None,
    };
    let link = Arc::clone(&stage.link);
    tokio::spawn(async move { link.send(&message).await });
    let Command::Send(send) = stage.command().await else { panic!("no send") };
    let quoted = send.quoted.unwrap();
    assert_eq!((quoted.id.as_str(), quoted.participant.as_deref()), ("M1", Some("a@lid")));
}

#[tokio::test(start_paused = true)]
async fn garbage_ends_the_bridge_and_is_tried_again() {
    let stage = Stage::new(Notes::default());
    stage.open().await;
    stage.outputs.send(Output::Garbage("column 3".to_owned())).await.unwrap();
    let error = stage.link.closed().await;
    assert_eq!((error.code, error.retry), ("whatsapp_bridge_exited", Retry::Backoff));
    stage.link.close().await;
    assert!(*stage.stopped.lock().unwrap());
}

#[tokio::test(start_paused = true)]
async fn row_20_where_no_message_can_be_read_the_bridge_is_tried_again_and_each_is_kept_first() {
    let mut stage = Stage::new(Notes::default());
    stage.open().await;
    for seq in 1..20 {
        stage.message(seq, "1@lid", json!({ "id": {} })).await;
        assert_eq!(stage.command().await, Command::Ack { seq });
    }
    stage.message(20, "1@lid", json!({ "id": {} })).await;
    let error = stage.link.closed().await;
    assert_eq!((error.code, error.retry), ("whatsapp_protocol", Retry::Backoff));
    assert_eq!(stage.command().await, Command::Ack { seq: 20 });
    assert!(stage.inbox.taken.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn closing_stops_the_bridge_and_may_be_repeated() {
    let stage = Stage::new(Notes::default());
    stage.open().await;
    stage.link.close().await;
    assert!(*stage.stopped.lock().unwrap());
    stage.link.close().await;
    stage.link.closed().await;
}

#[tokio::test(start_paused = true)]
async fn what_does_not_fit_is_fetched_again_once_the_rest_is_done() {
    let mut stage = Stage::new(Notes { slow_chat: Some("slow@lid"), ..Notes::default() });
    stage.open().await;
    let fits = LIMITS.count_max + 1;
    for seq in 1..=fits + 10 {
        stage.message(u64::try_from(seq).unwrap(), "slow@lid", json!({})).await;
    }
    let mut acked = 0;
    let error = loop {
        tokio::select! {
            error = stage.link.closed() => break error,
            Some(Command::Ack { .. }) = stage.commands.recv() => acked += 1,
        }
    };
    while let Ok(Command::Ack { .. }) = stage.commands.try_recv() {
        acked += 1;
    }
    assert_eq!(acked, fits, "all that was taken was handed over first");
    assert!(matches!(error.retry, Retry::After(_)), "and that is no failure");
}

#[tokio::test(start_paused = true)]
async fn a_message_that_cannot_be_read_is_acknowledged_once_kept_and_stands_in_nobodys_way() {
    let mut stage = Stage::new(Notes::default());
    stage.open().await;
    stage.message(UNKEPT, "1@lid", json!({ "id": {} })).await;
    stage.message(1, "1@lid", json!({ "id": {} })).await;
    stage.message(2, "1@lid", json!({})).await;
    assert_eq!(stage.command().await, Command::Ack { seq: 1 });
    assert_eq!(stage.command().await, Command::Ack { seq: 2 });
    assert_eq!(stage.inbox.taken.lock().unwrap().len(), 1);
}
