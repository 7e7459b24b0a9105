//! A platform for tests, which follows a script.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use async_trait::async_trait;
use tokio::sync::watch;

use crate::clock::Now;
use crate::gateway::model::adapter::{Adapter, Inbox, Link};
use crate::gateway::model::failure::{AdapterError, SendError};
use crate::gateway::model::message::{ChatId, MessageId, OutboundMessage};
use crate::platforms::Platform;

/// The outcome of the next attempt.
#[derive(Debug, Clone)]
pub enum Step {
    /// It fails.
    Fail(AdapterError),
    /// It never ends.
    Hang,
    /// It panics.
    Panic,
    /// It connects.
    Up,
}

/// An account that follows a script; when that is used up, it connects.
#[derive(Debug)]
pub struct Scripted {
    steps: Mutex<VecDeque<Step>>,
    check: Mutex<Result<(), AdapterError>>,
    links: Mutex<Vec<Arc<ScriptedLink>>>,
    /// Attempts so far.
    pub connects: AtomicU32,
}

impl Scripted {
    /// An account with this script.
    pub fn new(steps: impl IntoIterator<Item = Step>) -> Arc<Self> {
        Arc::new(Self {
            steps: Mutex::new(steps.into_iter().collect()),
            check: Mutex::new(Ok(())),
            links: Mutex::new(Vec::new()),
            connects: AtomicU32::new(0),
        })
    }

    /// Sets the result of the check.
    pub fn check_says(&self, result: Result<(), AdapterError>) {
        *self.check.lock().unwrap() = result;
    }

    /// Sets the script of the next attempts.
    pub fn script(&self, steps: impl IntoIterator<Item = Step>) {
        *self.steps.lock().unwrap() = steps.into_iter().collect();
    }

    /// Returns the number of links that were not closed. Forgets those that were.
    pub fn open_links(&self) -> usize {
        let mut links = self.links.lock().unwrap();
        links.retain(|link| !link.closed.load(Ordering::SeqCst));
        links.len()
    }

    /// Returns the last link.
    pub fn link(&self) -> Arc<ScriptedLink> {
        Arc::clone(self.links.lock().unwrap().last().expect("it has connected"))
    }
}

#[async_trait]
impl Adapter for Scripted {
    fn platform(&self) -> Platform {
        Platform::Whatsapp
    }

    fn check(&self) -> Result<(), AdapterError> {
        self.check.lock().unwrap().clone()
    }

    async fn connect(&self, _inbox: Arc<dyn Inbox>) -> Result<Arc<dyn Link>, AdapterError> {
        self.connects.fetch_add(1, Ordering::SeqCst);
        let step = self.steps.lock().unwrap().pop_front().unwrap_or(Step::Up);
        match step {
            Step::Fail(error) => Err(error),
            Step::Hang => std::future::pending().await,
            Step::Panic => panic!("scripted"),
            Step::Up => {
                let link = Arc::new(ScriptedLink::default());
                self.links.lock().unwrap().push(Arc::clone(&link));
                Ok(link)
            }
        }
    }
}

/// A link that follows a script.
#[derive(Debug, Default)]
pub struct ScriptedLink {
    /// Chat and text of each sent message.
    pub sent: watch::Sender<Vec<(String, String)>>,
    ended: watch::Sender<Option<AdapterError>>,
    frozen: Mutex<Option<Instant>>,
    /// True when closing it never returns.
    pub close_hangs: AtomicBool,
    /// True when it was closed.
    pub closed: AtomicBool,
}

impl ScriptedLink {
    /// Ends the connection.
    pub fn lose(&self, error: AdapterError) {
        self.ended.send_replace(Some(error));
    }

    /// True when it has ended, or was closed.
    pub fn is_gone(&self) -> bool {
        self.closed.load(Ordering::SeqCst) || self.ended.borrow().is_some()
    }

    /// Stops the proofs of the connection.
    pub fn freeze(&self) {
        self.frozen.lock().unwrap().get_or_insert(Now::read().mono);
    }

    /// Resumes the proofs.
    pub fn thaw(&self) {
        *self.frozen.lock().unwrap() = None;
    }
}

#[async_trait]
impl Link for ScriptedLink {
    async fn send(&self, message: &OutboundMessage) -> Result<MessageId, SendError> {
        self.sent.send_modify(|sent| sent.push((message.chat.0.clone(), message.text.0.clone())));
        Ok(MessageId(message.handle.clone()))
    }

    async fn typing(&self, _chat: &ChatId, _on: bool) {}

    async fn closed(&self) -> AdapterError {
        let mut ended = self.ended.subscribe();
        let error = ended.wait_for(Option::is_some).await.expect("the sender lives in self");
        error.clone().expect("it is some")
    }

    fn proof(&self) -> Instant {
        self.frozen.lock().unwrap().unwrap_or_else(|| Now::read().mono)
    }

    async fn close(&self) {
        if self.close_hangs.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        self.closed.store(true, Ordering::SeqCst);
    }
}
