//! Pure. The wait after the nth failure: doubling, capped, with jitter so that platforms do not retry at the same moment.

use std::time::Duration;

/// Returns a wait that was doubled this many times, capped.
pub fn doubled(first: Duration, times: u32, cap: Duration) -> Duration {
    first.saturating_mul(1 << times.min(31)).min(cap)
}

/// The waits between attempts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ladder {
    /// The wait after the first failure.
    pub first: Duration,
    /// The longest wait, jitter included.
    pub cap: Duration,
    /// The share around its value from which each wait is drawn, 0 to 0.5.
    pub jitter: f64,
}

impl Ladder {
    /// Returns the wait after this many failures in a row (from 1).
    pub fn wait(&self, failures: u32, dice: &mut Dice) -> Duration {
        let plain = doubled(self.first, failures.saturating_sub(1), self.cap);
        let factor = 1.0 + self.jitter.clamp(0.0, 0.5) * (2.0 * dice.roll() - 1.0);
        plain.mul_f64(factor).min(self.cap)
    }
}

/// A pseudo-random generator (SplitMix64): repeatable from its seed, and never for secrets.
#[derive(Debug, Clone)]
pub struct Dice {
    state: u64,
}

impl Dice {
    /// Makes a generator; the same seed gives the same numbers.
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// Returns the next number, from 0 up to but not including 1.
    pub fn roll(&mut self) -> f64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^= mixed >> 31;
        // The upper half is exact in a double.
        f64::from(u32::try_from(mixed >> 32).expect("32 bits remain")) / (f64::from(u32::MAX) + 1.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seconds(value: u64) -> Duration {
        Duration::from_secs(value)
    }

    #[test]
    fn waits_double_up_to_the_cap() {
        let ladder = Ladder { first: seconds(30), cap: seconds(300), jitter: 0.0 };
        let waits: Vec<u64> =
            (1..=6).map(|failures| ladder.wait(failures, &mut Dice::new(1)).as_secs()).collect();
        assert_eq!(waits, [30, 60, 120, 240, 300, 300]);
    }

    proptest! {
        #[test]
        fn every_wait_is_in_its_window(seed: u64, failures in 1_u32..1000, first in 1_u64..100, cap in 100_u64..1000) {
            let ladder = Ladder { first: seconds(first), cap: seconds(cap), jitter: 0.2 };
            let plain = Ladder { jitter: 0.0, ..ladder }.wait(failures, &mut Dice::new(0));
            let wait = ladder.wait(failures, &mut Dice::new(seed));
            prop_assert!(wait <= seconds(cap));
            prop_assert!(wait.as_secs_f64() >= plain.as_secs_f64() * 0.8 - 1e-6);
            prop_assert!(wait.as_secs_f64() <= plain.as_secs_f64() * 1.2 + 1e-6);
        }

        #[test]
        fn dice_stay_in_their_range(seed: u64) {
            let mut dice = Dice::new(seed);
            for _ in 0..100 {
                prop_assert!((0.0..1.0).contains(&dice.roll()));
            }
        }
    }
}
