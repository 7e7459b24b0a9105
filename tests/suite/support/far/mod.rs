//! The far end of a platform, as the contract suite sees each of them: its faults, and its knowledge.
//!
//! - [`scripted`], [`telegram`], [`whatsapp`]: the platforms. A further one needs a file here and a line in `contract.rs`.

pub(crate) mod scripted;
pub(crate) mod telegram;
pub(crate) mod whatsapp;

use std::time::Duration;

use super::home::TestHome;

/// A fault at the far end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blow {
    /// The connection is cut.
    Drop,
    /// Connections are refused, and open ones are cut.
    Away,
    /// Connections are accepted, and there is never an answer: also on those that are open.
    Silence,
    /// Our account is refused, now and at each attempt.
    Unwelcome,
    /// The service fails in its own ways, at each attempt.
    Failing,
    /// The answers are not messages of the protocol.
    Garbage,
    /// The answers have no end.
    Endless,
}

/// The result that a blow must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expected {
    /// This platform cannot have this fault.
    Impossible,
    /// It is over sooner than a test can look.
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

    /// Number of new connections for the search for leaks: a process for each connection takes its time.
    const RECONNECTS: usize;

    /// Makes a far end, and a home whose gateway talks to it.
    fn open() -> (Self, TestHome)
    where
        Self: Sized;

    /// Does its own work: answers requests that wait. Called while a test waits.
    fn turn(&mut self) {}

    /// Returns the result that a blow must have.
    fn expected(&self, blow: Blow) -> Expected;

    /// Causes a fault.
    fn strike(&mut self, blow: Blow);

    /// Ends the fault. Where only a person can repair it, that person has.
    fn heal(&mut self, home: &TestHome);

    /// True when [`FarEnd::heal`] can end the refusal of our account.
    const FORGIVES: bool = true;

    /// Returns the number of connections that worked so far.
    fn connections(&mut self) -> usize;

    /// Writes a text as a person who may write; the same number is the same message.
    fn write(&mut self, number: u32, text: &str);

    /// Returns the number of different messages with this text that have arrived.
    fn arrived(&mut self, text: &str) -> usize;

    /// Refuses the next message to people for so long. False: this service has no such answer.
    fn limit(&mut self, _wait: Duration) -> bool {
        false
    }

    /// Returns the number of times that a message with this text was offered, whatever its fate.
    fn offered(&mut self, text: &str) -> usize {
        self.arrived(text)
    }

    /// Returns the number of messages to us that the service keeps.
    fn unacknowledged(&mut self) -> usize;

    /// True when this message is still kept outside the gateway: by the service, or in the platform's spool on our disk.
    fn keeps(&mut self, _text: &str) -> bool {
        self.unacknowledged() > 0
    }
}
