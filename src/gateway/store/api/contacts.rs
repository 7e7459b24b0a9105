//! When accounts were last connected.

use async_trait::async_trait;
use jiff::Timestamp;

use super::StoreError;
use crate::clock::Uptime;
use crate::platforms::Platform;

/// Whose messages are kept by the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// On this platform.
    pub platform: Platform,
    /// See [`crate::config::Config::account`].
    pub name: String,
}

/// A moment at which an account was connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contact {
    /// By the clock on the wall.
    pub at: Timestamp,
    /// By the machine's own, where it has one.
    pub uptime: Option<Uptime>,
}

/// Where the last contacts are kept.
#[async_trait]
pub trait Contacts: Send + Sync {
    /// The last one with this account; `None`: there never was one.
    async fn last(&self, account: &Account) -> Result<Option<Contact>, StoreError>;

    /// Takes the place of the last one. Returns when it is on disk.
    async fn record(&self, account: &Account, contact: Contact) -> Result<(), StoreError>;
}
