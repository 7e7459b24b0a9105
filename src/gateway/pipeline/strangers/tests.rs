//! Strangers of every kind, against the whole path with a real database.

use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use proptest::prelude::*;
use rusqlite::Connection;

use super::*;
use crate::config::{AccessConfig, AllowList, Config, DirectPolicy, WhatsAppMode};
use crate::gateway::agent::api::{About, Agent, AgentError, Turn};
use crate::gateway::agent::draft::Draft;
use crate::gateway::inbound::gate::Gate;
use crate::gateway::model::adapter::Inbox as _;
use crate::gateway::model::message::testing::message;
use crate::gateway::model::message::{Attachment, ChatId, MessageId, UserId};
use crate::gateway::pipeline::MessagePath;
use crate::gateway::pipeline::admission::service::Request;
use crate::gateway::pipeline::flow::MessageFlow as _;
use crate::gateway::platforms::testing::ScriptedLink;
use crate::gateway::store::SqliteStore;
use crate::gateway::store::api::admissions::Kept;

const CANARY: &str = "CANARY";
const LIMIT: Duration = Duration::from_secs(20);

#[derive(Default)]
struct CountingAgent(AtomicU32);

#[async_trait]
impl Agent for CountingAgent {
    async fn answer(&self, _turn: Turn, _draft: &Draft) -> Result<String, AgentError> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Ok("answered".into())
    }

    fn about(&self) -> About {
        About { kind: "counting", ..About::default() }
    }
}

struct House {
    dir: tempfile::TempDir,
    agent: Arc<CountingAgent>,
    link: Arc<ScriptedLink>,
    path: Arc<MessagePath>,
    desk: Arc<Desk>,
}

fn played() -> Platform {
    Platform::scripted(1).unwrap()
}

impl House {
    fn new(direct: DirectPolicy) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(SqliteStore::open(&dir.path().join("gateway.db")).unwrap());
        let mut config = Config::default();
        config.whatsapp.mode = Some(WhatsAppMode::Bot);
        for (platform, person, group) in
            [(Platform::Whatsapp, "15550001", "1203630@g.us"), (played(), "friend", "room")]
        {
            let access = AccessConfig {
                allowed: AllowList::Only(vec![person.into()]),
                groups: vec![group.into()],
                direct,
                ..AccessConfig::default()
            };
            config.platform_mut(platform).access = access;
        }
        let agent = Arc::new(CountingAgent::default());
        let path = MessagePath::start(
            Arc::<SqliteStore>::clone(&store),
            Arc::<CountingAgent>::clone(&agent),
            Gate::new(&config),
            config.gateway.turn,
        );
        path.open();
        let desk = path.admit_by(store, Kept::default());
        let link = Arc::new(ScriptedLink::default());
        for platform in [Platform::Whatsapp, played()] {
            path.link_up(platform, Arc::<ScriptedLink>::clone(&link));
        }
        Self { dir, agent, link, path, desk }
    }

    fn count(&self, table: &str) -> i64 {
        let db = Connection::open(self.dir.path().join("gateway.db")).unwrap();
        db.query_row(&format!("SELECT COUNT(*) FROM {table}"), [], |row| row.get(0)).unwrap()
    }

    /// True when the bytes of the database hold this text.
    fn holds(&self, text: &str) -> bool {
        std::fs::read_dir(self.dir.path()).unwrap().flatten().any(|file| {
            let bytes = std::fs::read(file.path()).unwrap_or_default();
            bytes.windows(text.len()).any(|window| window == text.as_bytes())
        })
    }

    async fn sent(&self, count: usize) -> Vec<(String, String)> {
        let mut seen = self.link.sent.subscribe();
        let all = tokio::time::timeout(LIMIT, seen.wait_for(|sent| sent.len() >= count)).await;
        all.expect("it was sent").unwrap().clone()
    }
}

/// A sender who is not listed; some resemble one who is.
fn sender() -> impl Strategy<Value = String> {
    let tricks = [
        "",
        " ",
        "*",
        "friend ",
        " friend",
        "Friend",
        "FRIEND",
        "friend\u{200b}",
        "fri\u{435}nd",
        "friend,friend",
        "friend\0",
        "friend\n",
        "friend@s.whatsapp.net",
        "15550001@evil.example",
        "15550001@g.us",
        "15550001@s.whatsapp.net@evil",
        "15550001@s.whatsapp.net.evil",
        "x15550001@s.whatsapp.net",
        "155500011@s.whatsapp.net",
        "1555000@s.whatsapp.net",
        "15550001x@s.whatsapp.net",
        ":15550001@s.whatsapp.net",
        "_15550001@lid",
        "@s.whatsapp.net",
        "\u{ff11}5550001@s.whatsapp.net",
        "\u{661}\u{665}@s.whatsapp.net",
        "1555 0001@s.whatsapp.net",
        "+15550001@s.whatsapp.net",
        "status@broadcast",
        "15550002@lid",
        "15550002",
        "' OR 1=1 --",
        "../../friend",
        "%66riend",
    ];
    prop_oneof![
        4 => prop::sample::select(tricks.to_vec()).prop_map(ToOwned::to_owned),
        2 => "[0-9]{9,15}@(s\\.whatsapp\\.net|lid|c\\.us|hosted)",
        2 => ".{0,40}".prop_filter("listed", |id| id != "friend"),
        1 => (1000..60_000_usize).prop_map(|len| "friend".repeat(len)),
    ]
}

/// Any event that a platform reports of this writer.
fn event() -> impl Strategy<Value = (Platform, InboundMessage)> {
    let platform = prop_oneof![Just(Platform::Whatsapp), Just(played())];
    (platform, sender(), 0..16_u8, any::<u32>(), any::<bool>()).prop_map(
        |(platform, sender, kind, number, alt)| {
            let chat = if alt { "D02".to_owned() } else { sender.clone() };
            let mut event = message(&format!("M{number}"), &chat, &format!("{CANARY} text"));
            event.sender = UserId(sender);
            event.sender_name = Some(Private("friend".into()));
            let attachment = |kind: &str| Attachment {
                kind: kind.into(),
                path: None,
                mime: None,
                file_name: Some(Private(CANARY.into())),
                error: None,
            };
            let group = if platform == played() { "room" } else { "1203630@g.us" };
            match kind {
                0 => {}
                1 => event.attachments.push(attachment("image")),
                2 => {
                    event.text.0.clear();
                    event.attachments.push(attachment("image"));
                }
                3 => event.attachments.push(attachment("voice")),
                4 => event.reaction = true,
                // An edit of an earlier message comes under its id.
                5 => event.id = MessageId("M".into()),
                6 | 7 => {
                    event.chat = ChatId(group.into());
                    event.is_group = kind == 6;
                }
                8 => event.quoted = Some(Private(CANARY.into())),
                9 => event.text.0 = "/platform pause whatsapp".into(),
                10 => event.text.0 = "/stop".into(),
                11 => event.self_chat = true,
                12 => event.chat = ChatId("120363@newsletter".into()),
                13 => event.chat = ChatId("status@broadcast".into()),
                14 => event.from_me = true,
                _ => event.text.0 = CANARY.repeat(20_000),
            }
            (platform, event)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn whatever_a_stranger_sends_nobody_works_nothing_is_kept_and_at_most_a_code_is_said(
        events in prop::collection::vec(event(), 1..80),
        asks in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let house = House::new(if asks { DirectPolicy::Pairing } else { DirectPolicy::Listed });
            for (platform, event) in events {
                prop_assert!(!house.path.admits(platform, &event), "{:?}", event.sender);
                house.path.accept(platform, event).await.unwrap();
            }
            house.path.drain(Now::read().mono + LIMIT).await;
            // A code that is still being written is on disk when this is answered.
            house.desk.answer(Request::Revoke { platform: "scripted9".into(), user: "x".into() }).await.unwrap_err();
            prop_assert_eq!(house.agent.0.load(Ordering::SeqCst), 0);
            for table in ["inbox", "outbox", "transcript"] {
                prop_assert_eq!(house.count(table), 0, "{}", table);
            }
            prop_assert!(!house.holds(CANARY));
            let said = house.link.sent.borrow().clone();
            prop_assert!(said.iter().all(|(_, text)| asks && text.starts_with("I don't know you yet")));
            prop_assert!(said.len() <= 6 && house.count("pairing_codes") <= 6);
            Ok(())
        })?;
    }
}

#[tokio::test]
async fn a_stranger_gets_one_code_is_let_in_by_it_and_out_again() {
    let house = House::new(DirectPolicy::Pairing);
    let write = async |id: &str, from: &str, text: &str| {
        let event = message(id, from, text);
        house.path.accept(played(), event).await.unwrap();
    };
    write("1", "eve", CANARY).await;
    let (chat, text) = house.sent(1).await[0].clone();
    assert_eq!(chat, "eve");
    let code = text.rsplit(' ').next().unwrap().to_owned();
    assert_eq!(code.len(), 8);
    assert!(!house.holds(&code), "only a hash is kept");
    for number in 0..1000 {
        write(&format!("again {number}"), "eve", CANARY).await;
    }
    write("2", "ann", CANARY).await;
    write("3", "bob", CANARY).await;
    house.sent(2).await;
    let approve = |code: &str| {
        house.desk.answer(Request::Approve { platform: "scripted1".into(), code: code.to_owned() })
    };
    assert_eq!(approve("AAAA2222").await.unwrap_err().code(), "wrong_code");
    let answer = approve(&code).await.unwrap();
    assert_eq!(answer["user"], "eve");
    assert_eq!(approve(&code).await.unwrap_err().code(), "wrong_code", "it was taken");
    write("4", "eve", "hello").await;
    let said = |text: &str| house.link.sent.borrow().iter().filter(|(_, said)| said == text).count();
    tokio::time::timeout(
        LIMIT,
        house.link.sent.subscribe().wait_for(|sent| sent.iter().any(|(_, text)| text == "answered")),
    )
    .await
    .unwrap()
    .unwrap();
    let revoke = Request::Revoke { platform: "scripted1".into(), user: "eve".into() };
    house.desk.answer(revoke).await.unwrap();
    write("5", "eve", CANARY).await;
    house.path.drain(Now::read().mono + LIMIT).await;
    assert_eq!(said("answered"), 1);
    assert_eq!(house.agent.0.load(Ordering::SeqCst), 1);
    assert!(
        house.link.sent.borrow().iter().filter(|(chat, _)| chat == "eve").count() == 2,
        "one code, one answer"
    );
    assert!(!house.holds(CANARY));
}

#[tokio::test]
async fn an_id_is_shown_once_and_a_flood_of_strangers_shows_some() {
    let strangers = Strangers::new(Rules::new(Gate::default()), Arc::default());
    assert!(strangers.may_show(played(), "1") && !strangers.may_show(played(), "1"));
    assert!(strangers.may_show(Platform::Telegram, "1"), "an id is of its platform");
    let shown = (2..10_000).filter(|id| strangers.may_show(played(), &id.to_string())).count();
    assert_eq!(shown, SHOWN_MAX - 2);
    assert_eq!(strangers.shown.lock().unwrap().len(), SHOWN_MAX);
    assert_eq!(printable("A\u{1b}[2Jda O\u{202e}Bri\nen \u{e9}"), "A[2Jda OBrien \u{e9}");
}

#[test]
fn a_sender_is_named_as_the_allow_list_takes_it() {
    let of = |sender: &str, alt: Option<&str>| {
        let mut message = message("A", "1@lid", "hi");
        message.sender = UserId(sender.into());
        message.sender_alt = alt.map(|alt| UserId(alt.into()));
        entry(Platform::Whatsapp, &message)
    };
    let number = Some("+15550001".to_owned());
    assert_eq!(of("200084@lid", Some("15550001:3@s.whatsapp.net")), number);
    assert_eq!(of("15550001@s.whatsapp.net", Some("200084@lid")), number);
    assert_eq!(of("200084:2@lid", None).as_deref(), Some("200084@lid"));
}
