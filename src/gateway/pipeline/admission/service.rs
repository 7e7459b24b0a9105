//! Keeps the admission registry: one change at a time, each on disk before it takes effect.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::clock::Now;
use crate::gateway::inbound::gate::Asker;
use crate::gateway::inbound::rules::Rules;
use crate::gateway::pipeline::admission::code::CHANCE_BYTES;
use crate::gateway::pipeline::admission::registry::{Approval, Registry};
use crate::gateway::store::api::StoreError;
use crate::gateway::store::api::admissions::{Change, Kept, Records};
use crate::platforms::{Platform, UnknownPlatform};
use crate::visible;

/// The admission service.
pub struct Desk {
    book: Mutex<Registry>,
    /// Held during each change of the registry.
    turn: Semaphore,
    records: Arc<dyn Records>,
    rules: Arc<Rules>,
}

/// A request of the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// The people who wait, and those who have access.
    List,
    /// Approve the person who has this code.
    Approve {
        /// The platform's name.
        platform: String,
        /// The code as it was typed.
        code: String,
    },
    /// Take back the access of this person.
    Revoke {
        /// The platform's name.
        platform: String,
        /// The person as they were typed.
        user: String,
    },
}

/// The reason why a request was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Unknown platform.
    #[error("{0}")]
    UnknownPlatform(#[from] UnknownPlatform),
    /// No person has this code.
    #[error("no request with that code on {title}; {left} attempts left, then codes are locked for an hour")]
    WrongCode {
        /// The platform as people write it.
        title: &'static str,
        /// Tries that are left.
        left: u32,
    },
    /// Too many wrong codes were typed.
    #[error("too many wrong codes; codes are locked for {minutes} more minutes")]
    Locked {
        /// Minutes until one is taken.
        minutes: u64,
    },
    /// No person has access under this name.
    #[error("no one with this ID has access")]
    NotAdmitted,
    /// It could not be written to disk.
    #[error("it could not be stored: {0}")]
    Store(#[from] StoreError),
}

impl Refusal {
    /// The stable code, in `snake_case`, for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownPlatform(_) => "unknown_platform",
            Self::WrongCode { .. } => "wrong_code",
            Self::Locked { .. } => "pairing_locked",
            Self::NotAdmitted => "not_admitted",
            Self::Store(_) => "store_unusable",
        }
    }
}

impl Desk {
    /// A service with the kept registry. From now on the rules admit everyone in it.
    pub fn new(records: Arc<dyn Records>, rules: Arc<Rules>, kept: Kept) -> Arc<Self> {
        let book = Registry::of(kept, Now::read());
        rules.admit(book.names());
        Arc::new(Self { book: Mutex::new(book), turn: Semaphore::new(1), records, rules })
    }

    fn book<T>(&self, look: impl FnOnce(&mut Registry) -> T) -> T {
        look(&mut self.book.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// True when this person would get a code now. It is quick and does not use the disk: it is called for each message of
    /// a stranger.
    pub fn would_give(&self, platform: Platform, asker: &Asker) -> bool {
        self.turn.available_permits() > 0 && self.book(|book| book.would_give(Now::read(), platform, asker))
    }

    /// A code for this person; `None` when they get none, or it could not be kept.
    pub async fn give(&self, platform: Platform, asker: &Asker) -> Option<String> {
        let _turn = self.turn.acquire().await.ok()?;
        let mut chance = [0; CHANCE_BYTES];
        getrandom::fill(&mut chance).ok()?;
        let mut next = self.book(|book| book.clone());
        let (code, changes) = next.give(Now::read(), platform, asker, &chance)?;
        // Also when it cannot be kept: a person who asks repeatedly must not keep the disk busy.
        self.book(|book| *book = next);
        match self.records.keep(changes).await {
            Ok(()) => Some(code),
            Err(error) => {
                tracing::warn!(code = "pairing_not_kept", %platform, %error, "a pairing code could not be stored and was not sent");
                self.book(|book| book.revoke(platform, &asker.person));
                None
            }
        }
    }

    /// Carries out the operator's request, to its end, also when they no longer wait. The answer is for programs, with a
    /// `message` for people.
    ///
    /// # Errors
    /// The reason for the refusal.
    pub async fn answer(self: &Arc<Self>, request: Request) -> Result<Value, Refusal> {
        let desk = Arc::clone(self);
        let work = async move {
            match request {
                Request::List => Ok(desk.list()),
                Request::Approve { platform, code } => desk.approve(platform.parse()?, &code).await,
                Request::Revoke { platform, user } => desk.revoke(platform.parse()?, user.trim()).await,
            }
        };
        let gone = || StoreError::Failed("the operation was interrupted".to_owned());
        tokio::spawn(work).await.unwrap_or_else(|_| Err(gone().into()))
    }

    /// The people of this platform who were approved by a code.
    pub fn admitted(&self, platform: Platform) -> Vec<String> {
        self.book(|book| {
            let rows = book.admitted().iter().filter(|row| row.platform == platform);
            rows.map(|row| row.person.clone()).collect()
        })
    }

    fn list(&self) -> Value {
        let now = Now::read();
        self.book(|book| {
            let waiting = book.waiting(now).map(|(one, left)| {
                json!({ "platform": one.platform.spec().name, "user": one.person, "expires_in_s": left.as_secs() })
            });
            let admitted = book.admitted().iter().map(|row| {
                let since = jiff::Timestamp::from_second(row.since_s).ok();
                json!({ "platform": row.platform.spec().name, "user": row.person, "since": since })
            });
            json!({ "waiting": waiting.collect::<Vec<_>>(), "admitted": admitted.collect::<Vec<_>>() })
        })
    }

    async fn approve(&self, platform: Platform, code: &str) -> Result<Value, Refusal> {
        let _turn = self.turn.acquire().await.expect("it is never closed");
        let mut next = self.book(|book| book.clone());
        let (approval, changes) = next.approve(Now::read(), platform, code);
        let kept = self.keep(changes).await;
        let title = platform.spec().title;
        match approval {
            Approval::Admitted(person) => {
                kept?;
                self.turn_to(next);
                tracing::info!(code = "pairing_approved", %platform, "Approved a sender by pairing code");
                let message = format!("{} can now write to hermes on {title}.", shown(&person));
                Ok(json!({ "message": message, "platform": platform.spec().name, "user": person }))
            }
            // A full disk must not make guessing free.
            Approval::Wrong { left } => {
                self.turn_to(next);
                kept.and(Err(Refusal::WrongCode { title, left }))
            }
            Approval::Locked(wait) => {
                self.turn_to(next);
                kept.and(Err(Refusal::Locked { minutes: wait.as_secs().div_ceil(60) }))
            }
        }
    }

    async fn revoke(&self, platform: Platform, user: &str) -> Result<Value, Refusal> {
        let _turn = self.turn.acquire().await.expect("it is never closed");
        let mut next = self.book(|book| book.clone());
        let (gone, changes) = next.revoke(platform, user);
        // At once, whether or not it could be written to disk.
        self.turn_to(next);
        self.keep(changes).await?;
        if gone.is_empty() {
            return Err(Refusal::NotAdmitted);
        }
        tracing::info!(code = "pairing_revoked", %platform, "Revoked access for a sender approved by code");
        let names: Vec<String> = gone.iter().map(|name| shown(name)).collect();
        let message = format!("Revoked access for {} on {}.", names.join(", "), platform.spec().title);
        Ok(json!({ "message": message, "platform": platform.spec().name, "users": gone }))
    }

    async fn keep(&self, changes: Vec<Change>) -> Result<(), Refusal> {
        if changes.is_empty() { Ok(()) } else { Ok(self.records.keep(changes).await?) }
    }

    fn turn_to(&self, next: Registry) {
        self.rules.admit(next.names());
        self.book(|book| *book = next);
    }
}

/// A name that is safe to show on a terminal.
pub(crate) fn shown(name: &str) -> String {
    visible::line(name).into_owned()
}
