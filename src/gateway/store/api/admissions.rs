//! The part of the admission registry that outlives the process, and its storage.

use async_trait::async_trait;

use crate::gateway::store::api::StoreError;
use crate::platforms::Platform;

/// A person who waits, as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeRow {
    /// The platform.
    pub platform: Platform,
    /// The person.
    pub person: String,
    /// Their other name, where the platform has two.
    pub alt: Option<String>,
    /// Salt of the code's hash.
    pub salt: [u8; 16],
    /// Hash of the code.
    pub hash: [u8; 32],
    /// The time when it was given, seconds since 1970.
    pub made_at_s: i64,
}

/// A person who was admitted, as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdmittedRow {
    /// The platform.
    pub platform: Platform,
    /// The person.
    pub person: String,
    /// Their other name, where the platform has two.
    pub alt: Option<String>,
    /// The time of the admission, seconds since 1970.
    pub since_s: i64,
}

/// Wrong codes that were typed, as stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TriesRow {
    /// The platform.
    pub platform: Platform,
    /// Their number since the last right one.
    pub failures: u32,
    /// The time since which no code is taken, where that is so; seconds since 1970.
    pub locked_at_s: Option<i64>,
}

/// Everything that is stored.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Kept {
    /// People who wait.
    pub codes: Vec<CodeRow>,
    /// People who have access.
    pub admitted: Vec<AdmittedRow>,
    /// Codes that were tried.
    pub tries: Vec<TriesRow>,
}

/// One change of the stored registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A code was given; one that this person had is void.
    Give(CodeRow),
    /// A code is void.
    Void(Platform, String),
    /// A person has access.
    Admit(AdmittedRow),
    /// A person no longer has access.
    Revoke(Platform, String),
    /// A code was tried.
    Try(TriesRow),
}

/// The storage of the registry.
#[async_trait]
pub trait Records: Send + Sync {
    /// Everything that was stored.
    async fn load(&self) -> Result<Kept, StoreError>;

    /// Stores all of these, or none. Returns when they are on disk.
    async fn keep(&self, changes: Vec<Change>) -> Result<(), StoreError>;
}
