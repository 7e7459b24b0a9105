//! Pure. The rules by which messages become turns of the agent.

use std::time::Duration;

use crate::setting::table;
use crate::setting::value::{HOUR, SECOND, number, time, word};

/// The most turns at once that can be set.
pub const AT_ONCE_MAX: u32 = 256;

/// No person writes that fast; 0 says that there is no limit.
const PER_MINUTE_MAX: u32 = 6000;

const BUSY: [(&str, Busy); 3] =
    [("queue", Busy::Queue), ("interrupt", Busy::Interrupt), ("steer", Busy::Steer)];

table! {
    /// The rules by which messages become turns of the agent.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct TurnConfig {
        /// Turns that an agent works on at once, over all chats.
        pub at_once_max: u32 = 32, number(1..=AT_ONCE_MAX).named("turns_max");
        /// The longest turn.
        pub timeout: Duration = 660 * SECOND, time(SECOND..=HOUR).named("turn_timeout");
        /// Messages of one sender that come this close after each other are answered together; zero: each by itself.
        pub join_window: Duration = Duration::from_millis(600), time(Duration::ZERO..=30 * SECOND);
        /// The effect of a message on the turn that its chat is in.
        pub busy: Busy = Busy::Queue, word(&BUSY);
        /// Turns of one chat in a minute, beyond which its messages wait; 0: as many as there are.
        pub per_minute_max: u32 = 120, number(0..=PER_MINUTE_MAX).named("chat_turns_per_minute");
    }
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
