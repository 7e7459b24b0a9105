//! Pure. Chooses the log lines: each change once, repeats in sum.

use std::time::{Duration, Instant};

use crate::gateway::model::failure::{AdapterError, Degraded};
use crate::gateway::supervisor::types::News;

/// The pause between two summaries of the same failure.
const TELL_AGAIN_AFTER: Duration = Duration::from_secs(900);

/// The last report, so that it is not repeated.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Told {
    Nothing,
    Connected,
    Retrying { code: &'static str, at: Instant, untold: u32 },
    Blocked { code: &'static str },
    Paused,
}

/// Remembers the reports.
#[derive(Debug)]
pub(super) struct Notifier {
    told: Told,
    limited_at: Option<Instant>,
    degraded: Option<(&'static str, Instant)>,
}

impl Notifier {
    pub(super) fn new() -> Self {
        Self { told: Told::Nothing, limited_at: None, degraded: None }
    }

    pub(super) fn connected(&mut self) -> Option<News> {
        let is_new = self.told != Told::Connected;
        self.told = Told::Connected;
        is_new.then_some(News::Connected)
    }

    /// `silent`: the cause was reported for all platforms at once.
    pub(super) fn retrying(
        &mut self,
        now: Instant,
        error: &AdapterError,
        wait: Duration,
        silent: bool,
    ) -> Option<News> {
        match &mut self.told {
            Told::Retrying { code, at, untold } if *code == error.code => {
                *untold = untold.saturating_add(1);
                if now.duration_since(*at) < TELL_AGAIN_AFTER || silent {
                    return None;
                }
                let untold = std::mem::take(untold);
                *at = now;
                Some(News::StillRetrying { error: error.clone(), untold })
            }
            Told::Nothing | Told::Connected | Told::Retrying { .. } | Told::Blocked { .. } | Told::Paused => {
                self.told = Told::Retrying { code: error.code, at: now, untold: 0 };
                (!silent).then(|| News::Retrying { error: error.clone(), wait })
            }
        }
    }

    pub(super) fn limited(&mut self, now: Instant, wait: Duration) -> Option<News> {
        let is_new = self.limited_at.is_none_or(|at| now.duration_since(at) >= TELL_AGAIN_AFTER);
        if is_new {
            self.limited_at = Some(now);
        }
        is_new.then_some(News::Limited { wait })
    }

    /// Reports a failure in the live connection. A recurring one is reported rarely.
    pub(super) fn degraded(&mut self, now: Instant, degraded: Degraded) -> Option<News> {
        let code = degraded.error.code;
        let is_new =
            self.degraded.is_none_or(|(told, at)| told != code || now.duration_since(at) >= TELL_AGAIN_AFTER);
        if !is_new {
            return None;
        }
        self.degraded = Some((code, now));
        self.told = Told::Retrying { code, at: now, untold: 0 };
        let wait = degraded.next_at.saturating_duration_since(now);
        Some(News::Degraded { degraded, wait })
    }

    pub(super) fn blocked(&mut self, error: &AdapterError) -> Option<News> {
        let is_new = self.told != (Told::Blocked { code: error.code });
        self.told = Told::Blocked { code: error.code };
        is_new.then(|| News::Blocked { error: error.clone() })
    }

    /// Reports that the breaker opened. A failed probe is not reported.
    pub(super) fn opened(
        &mut self,
        error: &AdapterError,
        failures: u32,
        probe_in: Option<Duration>,
    ) -> Option<News> {
        let is_new = self.told != Told::Paused;
        self.told = Told::Paused;
        is_new.then(|| News::Opened { error: error.clone(), failures, probe_in })
    }

    pub(super) fn paused(&mut self) -> News {
        self.told = Told::Paused;
        News::Paused
    }
}
