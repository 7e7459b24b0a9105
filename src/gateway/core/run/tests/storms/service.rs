//! The other side: a service that keeps messages until they are acknowledged, and an agent that takes its time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use async_trait::async_trait;

use super::*;
use crate::gateway::agent::api::{About, Agent, AgentError, Turn};
use crate::gateway::agent::draft::Draft;
use crate::gateway::model::failure::{Certainty, Scope, SendError};
use crate::gateway::model::message::testing::message;
use crate::gateway::model::message::{ChatId, MessageId, OutboundMessage};
use crate::gateway::platforms::testing::ScriptedLink;

/// The time on disk after which a message is not sent twice.
const SETTLED_AFTER: Duration = Duration::from_secs(60);

/// The state of the other side. It outlives the gateway.
pub(super) struct Service {
    dice: Mutex<Dice>,
    book: Mutex<Registry>,
    /// True: attempts and sends fail now and then.
    pub(super) is_rude: AtomicBool,
    link: Mutex<Option<Arc<ServiceLink>>>,
}

#[derive(Default)]
struct Registry {
    written: u64,
    /// Not acknowledged yet, by number, chat and text.
    waiting: VecDeque<(String, String, String)>,
    /// Chat and text of what was delivered, repeats left out.
    received: Vec<(String, String)>,
    handles: BTreeSet<String>,
    /// Sends that we have confirmed in this run, and the time.
    confirmed: BTreeMap<String, Instant>,
    /// Those that a later run has no reason to repeat.
    settled: BTreeSet<String>,
}

impl Service {
    pub(super) fn new(seed: u64) -> Arc<Self> {
        Arc::new(Self {
            dice: Mutex::new(Dice::new(seed)),
            book: Mutex::default(),
            is_rude: AtomicBool::new(false),
            link: Mutex::default(),
        })
    }

    pub(super) fn draw(&self, below: u32) -> u32 {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small number")]
        let drawn = (self.dice.lock().unwrap().roll() * f64::from(below)) as u32;
        drawn
    }

    /// Writes a message.
    pub(super) fn write(&self) {
        let chat = format!("1555{:04}@s.whatsapp.net", self.draw(3));
        let mut book = self.book.lock().unwrap();
        book.written += 1;
        let id = format!("M{}", book.written);
        book.waiting.push_back((id.clone(), chat, id));
    }

    pub(super) fn link(&self) -> Option<Arc<ServiceLink>> {
        self.link.lock().unwrap().clone().filter(|link| !link.line.is_gone())
    }

    /// Applies the death of the gateway. `is_well`: its disk has worked for a while.
    pub(super) fn bury(&self, now: Instant, is_well: bool) {
        let mut book = self.book.lock().unwrap();
        for (handle, at) in std::mem::take(&mut book.confirmed) {
            if is_well && now.duration_since(at) > SETTLED_AFTER {
                book.settled.insert(handle);
            }
        }
        *self.link.lock().unwrap() = None;
    }

    /// True when every message has come back, once and in order within its chat.
    pub(super) fn is_answered(&self) -> bool {
        let book = self.book.lock().unwrap();
        book.waiting.is_empty() && book.received.len() as u64 == book.written
    }

    pub(super) fn check(&self, seed: u64) {
        let book = self.book.lock().unwrap();
        let mut last: BTreeMap<&str, u64> = BTreeMap::new();
        for (chat, text) in &book.received {
            let number: u64 = text.trim_start_matches("re: M").parse().expect("an answer to a number");
            let before = last.insert(chat, number).unwrap_or(0);
            assert!(before < number, "seed {seed}: {number} after {before} in {chat}: {:?}", book.received);
        }
    }

    pub(super) fn tally(&self) -> String {
        let book = self.book.lock().unwrap();
        format!("{} written, {} wait, {} answered", book.written, book.waiting.len(), book.received.len())
    }

    fn deliver(&self, message: &OutboundMessage) {
        let mut book = self.book.lock().unwrap();
        assert!(!book.settled.contains(&message.handle), "{} is said again", message.text.0);
        assert!(!book.confirmed.contains_key(&message.handle), "{} is repeated", message.text.0);
        if book.handles.insert(message.handle.clone()) {
            book.received.push((message.chat.0.clone(), message.text.0.clone()));
        }
    }
}

/// The account of one run.
pub(super) struct Account(pub(super) Arc<Service>);

#[async_trait]
impl Adapter for Account {
    fn platform(&self) -> Platform {
        Platform::Whatsapp
    }

    fn check(&self) -> Result<(), AdapterError> {
        Ok(())
    }

    async fn connect(&self, inbox: Arc<dyn Inbox>) -> Result<Arc<dyn Link>, AdapterError> {
        let service = &self.0;
        if service.is_rude.load(Ordering::SeqCst) {
            match service.draw(4) {
                0 => return Err(refused()),
                1 => std::future::pending().await,
                2 => panic!("as the script says"),
                _ => {}
            }
        }
        let link = Arc::new(ServiceLink { service: Arc::clone(service), line: ScriptedLink::default() });
        *service.link.lock().unwrap() = Some(Arc::clone(&link));
        tokio::spawn(offer(Arc::clone(&link), inbox));
        Ok(link)
    }
}

/// Offers the oldest message until it is taken.
async fn offer(link: Arc<ServiceLink>, inbox: Arc<dyn Inbox>) {
    let service = &link.service;
    while !link.line.is_gone() {
        tokio::time::sleep(Duration::from_secs(2)).await;
        let head = service.book.lock().unwrap().waiting.front().cloned();
        let Some((id, chat, text)) = head else { continue };
        if inbox.accept(Platform::Whatsapp, message(&id, &chat, &text)).await.is_err() {
            continue;
        }
        // Now and then the acknowledgement is lost, and the message is offered again.
        if service.draw(5) > 0 {
            service.book.lock().unwrap().waiting.retain(|(other, _, _)| *other != id);
        }
    }
}

/// Ends, falls silent and is closed as [`ScriptedLink`] does; the service takes or refuses the sends.
pub(super) struct ServiceLink {
    service: Arc<Service>,
    pub(super) line: ScriptedLink,
}

#[async_trait]
impl Link for ServiceLink {
    async fn send(&self, message: &OutboundMessage) -> Result<MessageId, SendError> {
        let error = |certainty| {
            Err(SendError {
                code: "as_told".into(),
                message: "it did not work".into(),
                certainty,
                retry: Retry::Backoff,
                scope: Scope::Message,
            })
        };
        if self.line.is_gone() {
            return error(Certainty::NotSent);
        }
        let is_rude = self.service.is_rude.load(Ordering::SeqCst);
        match if is_rude { self.service.draw(8) } else { 7 } {
            0 => return error(Certainty::NotSent),
            1 => return error(Certainty::MaybeSent),
            2 => {
                self.service.deliver(message);
                return error(Certainty::MaybeSent);
            }
            3 => {
                self.service.deliver(message);
                std::future::pending::<()>().await;
            }
            4 => {
                self.service.deliver(message);
                self.line.lose(refused());
                return error(Certainty::MaybeSent);
            }
            _ => self.service.deliver(message),
        }
        self.service.book.lock().unwrap().confirmed.insert(message.handle.clone(), Now::read().mono);
        Ok(MessageId(message.handle.clone()))
    }

    async fn typing(&self, _chat: &ChatId, _on: bool) {}

    async fn closed(&self) -> AdapterError {
        self.line.closed().await
    }

    fn proof(&self) -> Instant {
        self.line.proof()
    }

    async fn close(&self) {
        self.line.close().await;
    }
}

#[async_trait]
impl Agent for Service {
    async fn answer(&self, turn: Turn, _draft: &Draft) -> Result<String, AgentError> {
        let takes = Duration::from_secs(self.draw(40).into());
        tokio::time::sleep(takes).await;
        Ok(format!("re: {}", turn.message.text.0))
    }

    fn about(&self) -> About {
        About { kind: "played", ..About::default() }
    }
}
