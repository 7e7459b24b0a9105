//! Counters for the metrics, while the gateway runs: the fates of messages, and the durations of turns.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;

use crate::clock::Now;
use crate::gateway::agent::api::{About, Agent, AgentError, Turn};
use crate::gateway::agent::draft::Draft;
use crate::gateway::model::message::{ChatKey, InboundMessage};
use crate::platforms::Platform;

/// The bounds of the histogram of turns, in seconds; above the last there is one more bucket.
pub const BOUNDS_S: [f64; 10] = [0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0];

/// A counter: the fate of a message, or of one attempt to send it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counter {
    /// In: it is on disk and will be answered.
    Accepted,
    /// In: it was there before.
    Duplicate,
    /// In: the sender may not write there.
    Denied,
    /// In: it could not be taken; the platform offers it again.
    Refused,
    /// In: it is given up.
    GivenUp,
    /// Out: the platform has taken it.
    Sent,
    /// Out: its fate is unknown; it is sent again.
    Unknown,
    /// Out: it did not leave; it is sent again.
    Failed,
    /// Out: it is given up.
    Dead,
    /// Out: it is given up, since it could not be sent in time.
    Expired,
}

impl Counter {
    /// All counters, as they are declared.
    pub const ALL: [Self; 10] = [
        Self::Accepted,
        Self::Duplicate,
        Self::Denied,
        Self::Refused,
        Self::GivenUp,
        Self::Sent,
        Self::Unknown,
        Self::Failed,
        Self::Dead,
        Self::Expired,
    ];

    /// Returns the direction and the outcome, as the metrics name them.
    pub fn labels(self) -> (&'static str, &'static str) {
        match self {
            Self::Accepted => ("in", "accepted"),
            Self::Duplicate => ("in", "duplicate"),
            Self::Denied => ("in", "denied"),
            Self::Refused => ("in", "refused"),
            Self::GivenUp => ("in", "dead"),
            Self::Sent => ("out", "sent"),
            Self::Unknown => ("out", "unknown"),
            Self::Failed => ("out", "failed"),
            Self::Dead => ("out", "dead"),
            Self::Expired => ("out", "expired"),
        }
    }
}

/// The counters, for use from many threads. They begin at zero with each start.
#[derive(Debug)]
pub struct Metrics {
    messages: BTreeMap<Platform, [AtomicU64; Counter::ALL.len()]>,
    turns: [AtomicU64; BOUNDS_S.len() + 1],
    turns_us: AtomicU64,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            messages: Platform::every().map(|platform| (platform, Default::default())).collect(),
            turns: Default::default(),
            turns_us: AtomicU64::new(0),
        }
    }
}

impl Metrics {
    /// Counts one more message.
    pub fn count(&self, platform: Platform, stroke: Counter) {
        self.count_many(platform, stroke, 1);
    }

    /// Counts so many more messages.
    pub fn count_many(&self, platform: Platform, stroke: Counter, number: u64) {
        if let Some(counts) = self.messages.get(&platform) {
            counts[stroke as usize].fetch_add(number, Ordering::Relaxed);
        }
    }

    /// Counts a turn that has ended, however.
    pub fn turn(&self, took: Duration) {
        let seconds = took.as_secs_f64();
        let bucket = BOUNDS_S.iter().position(|bound| seconds <= *bound).unwrap_or(BOUNDS_S.len());
        self.turns[bucket].fetch_add(1, Ordering::Relaxed);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.turns_us.fetch_add(micros, Ordering::Relaxed);
    }

    /// Returns all counters as they are now.
    pub fn counts(&self) -> Counts {
        let read = |number: &AtomicU64| number.load(Ordering::Relaxed);
        Counts {
            messages: self
                .messages
                .iter()
                .map(|(platform, counts)| {
                    (*platform, Counter::ALL.map(|stroke| read(&counts[stroke as usize])))
                })
                .collect(),
            turns: self.turns.each_ref().map(read),
            turns_took: Duration::from_micros(read(&self.turns_us)),
        }
    }
}

/// The values of a [`Metrics`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Counts {
    /// Messages, in the order of [`Counter::ALL`].
    pub messages: BTreeMap<Platform, [u64; Counter::ALL.len()]>,
    /// Turns by the bucket that they fell into; the last has no bound.
    pub turns: [u64; BOUNDS_S.len() + 1],
    /// Duration of all turns together.
    pub turns_took: Duration,
}

/// An agent whose turns are timed.
pub struct Timed {
    /// The agent.
    pub agent: Arc<dyn Agent>,
    /// The counters.
    pub tally: Arc<Metrics>,
}

#[async_trait]
impl Agent for Timed {
    async fn answer(&self, turn: Turn, draft: &Draft) -> Result<String, AgentError> {
        let _timer = Timer { since: Now::read().mono, tally: &self.tally };
        self.agent.answer(turn, draft).await
    }

    fn wait(&self) -> Option<Duration> {
        self.agent.wait()
    }

    fn about(&self) -> About {
        self.agent.about()
    }

    fn steer(&self, key: &ChatKey, message: &InboundMessage) -> bool {
        self.agent.steer(key, message)
    }
}

/// A timer that counts a turn when it is dropped: also one that was cut short.
struct Timer<'a> {
    since: Instant,
    tally: &'a Metrics,
}

impl Drop for Timer<'_> {
    fn drop(&mut self) {
        self.tally.turn(Now::read().mono.saturating_duration_since(self.since));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_stroke_has_its_own_place_and_each_turn_its_bucket() {
        let tally = Metrics::default();
        for (place, stroke) in Counter::ALL.into_iter().enumerate() {
            assert_eq!(stroke as usize, place);
            tally.count_many(Platform::Whatsapp, stroke, place as u64 + 1);
        }
        for millis in [0, 500, 501, 600_000, 600_001, 10_000_000] {
            tally.turn(Duration::from_millis(millis));
        }
        let counts = tally.counts();
        assert_eq!(counts.messages[&Platform::Whatsapp], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
        assert_eq!(counts.turns, [2, 1, 0, 0, 0, 0, 0, 0, 0, 1, 2]);
        assert_eq!(counts.turns_took, Duration::from_millis(11_201_002));
    }
}
