//! The times when accounts were last connected.

use async_trait::async_trait;
use jiff::Timestamp;

use super::StoreError;
use crate::clock::Uptime;
use crate::platforms::Platform;

/// An account whose messages the service keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its platform.
    pub platform: Platform,
    /// See [`crate::config::Config::account`].
    pub name: String,
}

/// A moment at which an account was connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contact {
    /// By the wall clock.
    pub at: Timestamp,
    /// By the machine's own, where it has one.
    pub uptime: Option<Uptime>,
}

/// The storage of the last contacts.
#[async_trait]
pub trait Contacts: Send + Sync {
    /// The last contact of this account; `None`: there never was one.
    async fn last(&self, account: &Account) -> Result<Option<Contact>, StoreError>;

    /// Replaces the last one. Returns when it is on disk.
    async fn record(&self, account: &Account, contact: Contact) -> Result<(), StoreError>;
}
