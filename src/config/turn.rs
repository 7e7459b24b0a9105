//! The rules by which messages become turns of the agent.

use std::time::Duration;

/// The rules by which messages become turns of the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TurnConfig {
    /// Turns that an agent works on at once, over all chats.
    pub at_once_max: u32,
    /// The longest turn.
    pub timeout: Duration,
    /// Messages of one sender that come this close after each other are answered together; zero: each by itself.
    pub join_window: Duration,
    /// The effect of a message on the turn that its chat is in.
    pub busy: Busy,
    /// Turns of one chat in a minute, beyond which its messages wait; 0: as many as there are.
    pub per_minute_max: u32,
}

/// The effect of a message on the turn that its chat is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Busy {
    /// It waits for its own turn.
    #[default]
    Queue,
    /// The turn is taken back, and all that was written is answered together.
    Interrupt,
    /// It is handed to the agent that works on the turn; where the agent cannot take it, it waits.
    Steer,
}

/// The most turns at once that can be set.
pub const AT_ONCE_MAX: u32 = 256;

impl Default for TurnConfig {
    fn default() -> Self {
        Self {
            at_once_max: 32,
            timeout: Duration::from_secs(660),
            join_window: Duration::from_millis(600),
            busy: Busy::Queue,
            per_minute_max: 120,
        }
    }
}
