//! The far end of a platform, as the contract suite sees every one of them: what can happen there, and what it knows.
//!
//! - [`scripted`], [`telegram`], [`whatsapp`]: the platforms. A further one needs a file here and a line in `contract.rs`.

pub(crate) mod scripted;
pub(crate) mod telegram;
pub(crate) mod whatsapp;

use std::time::Duration;

use super::home::TestHome;

/// What happens at the far end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blow {
    /// The connection is cut.
    Drop,
    /// Nobody takes a connection, and what is open is cut.
    Away,
    /// Connections are taken, and nothing is ever said: also on those that are open.
    Silence,
    /// Whoever we are is no longer welcome, now and at each attempt.
    Unwelcome,
    /// The service fails in its own ways, at each attempt.
    Failing,
    /// What comes is no message of the protocol.
    Garbage,
    /// What comes has no end.
    Endless,
}

/// What a blow must lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expected {
    /// This platform cannot be hit so.
    Impossible,
    /// It is over sooner than anybody can look.
    Over,
    /// `retrying`, with one of these codes.
    Retrying(&'static [&'static str]),
    /// `fatal`, with one of these codes.
    Fatal(&'static [&'static str]),
}

/// The far end of one platform.
pub(crate) trait FarEnd {
    /// The platform's name.
    const PLATFORM: &'static str;

    /// How often it is worth connecting anew to look for leaks: a process for each connection takes its time.
    const RECONNECTS: usize;

    /// A far end, and a home whose gateway talks to it.
    fn open() -> (Self, TestHome)
    where
        Self: Sized;

    /// Has its own turn: answers what waits for an answer. Called while something is waited for.
    fn turn(&mut self) {}

    /// What a blow must lead to.
    fn expected(&self, blow: Blow) -> Expected;

    /// It happens.
    fn strike(&mut self, blow: Blow);

    /// All is well again. Where only a person can mend it, that person has.
    fn heal(&mut self, home: &TestHome);

    /// Whether [`FarEnd::heal`] can mend what made us unwelcome.
    const FORGIVES: bool = true;

    /// How many connections came to work so far.
    fn connections(&mut self) -> usize;

    /// Somebody who may speak writes this; the same number is the same message.
    fn write(&mut self, number: u32, text: &str);

    /// How many different messages with this text have arrived.
    fn arrived(&mut self, text: &str) -> usize;

    /// The next message to people is refused for so long. False: this service has no such answer.
    fn limit(&mut self, _wait: Duration) -> bool {
        false
    }

    /// How often a message with this text was offered, whatever became of it.
    fn offered(&mut self, text: &str) -> usize {
        self.arrived(text)
    }

    /// How many messages to us the service keeps.
    fn unacknowledged(&mut self) -> usize;

    /// Whether this message is still kept outside the gateway: by the service, or where the platform has a spool of its own
    /// on our disk, there.
    fn keeps(&mut self, _text: &str) -> bool {
        self.unacknowledged() > 0
    }
}
