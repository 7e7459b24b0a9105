//! Pure. The number that the next request confirms: all updates up to it are gone at the service afterwards.
//!
//! The service counts one by one, up to two thousand million, keeps a hundred thousand updates at most, and begins at another
//! number when a week has passed without any. So an update far above the others has an odd number: it is taken, and not
//! confirmed, because that would skip the updates behind it. It comes again with each answer until the service drops it;
//! repeats are left out.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

use crate::platforms::telegram::wire::RawUpdate;

/// The highest number that the service gives.
const NUMBER_MAX: i64 = 2_000_000_000;

/// The largest distance of numbers that wait at the service together.
const GAP_MAX: i64 = 100_000;

/// Least length of a run of numbers that shows where the service counts now, when none is beside the last one.
const SEQUENCE_MIN: usize = 10;

/// Time without an update after which the service may have begun at another number: a week, with room for its clock.
const QUIET: Duration = Duration::from_hours(6 * 24);

/// The sorted updates of an answer.
#[derive(Debug, Default)]
pub(super) struct Sifted {
    /// Updates that did not come before.
    pub(super) new: Vec<RawUpdate>,
    /// The new updates that are not confirmed, by their numbers.
    pub(super) odd: Vec<String>,
    /// The number up to which all may be confirmed.
    pub(super) confirm: Option<i64>,
    /// True when no number was believed before it.
    pub(super) is_first: bool,
}

/// The numbers of one connection.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    /// The highest number that was believed, and the time.
    last: Option<(i64, Instant)>,
    /// Updates of the answer before that could not be confirmed.
    taken: BTreeSet<Key>,
}

impl Numbers {
    /// Sifts an answer, which holds `len_max` updates at most. `None`: it is full of what came before and cannot be confirmed.
    pub(super) fn sift(&mut self, now: Instant, batch: Vec<RawUpdate>, len_max: usize) -> Option<Sifted> {
        let mut numbers: Vec<i64> =
            batch.iter().filter_map(|update| update.update_id).filter(|number| *number > 0).collect();
        numbers.sort_unstable();
        let last = self.last.filter(|(_, at)| now.duration_since(*at) < QUIET).map(|(number, _)| number);
        let is_full = batch.len() >= len_max;
        let mut confirm = highest(&numbers, last);
        if confirm.is_none() && is_full && batch.iter().all(|update| self.taken.contains(&key(update))) {
            confirm = Some(*numbers.first()?);
        }
        if let Some(number) = confirm {
            self.last = Some((last.map_or(number, |last| last.max(number)), now));
        }
        let before = std::mem::take(&mut self.taken);
        let mut sifted = Sifted { confirm, is_first: last.is_none(), ..Sifted::default() };
        for update in batch {
            let is_confirmed = update.update_id.is_some_and(|number| number > 0 && Some(number) <= confirm);
            let is_new = !before.contains(&key(&update));
            if !is_confirmed {
                self.taken.insert(key(&update));
                if is_new {
                    sifted.odd.push(update.named());
                }
            }
            if is_new {
                sifted.new.push(update);
            }
        }
        // The service may bring them out of order.
        sifted.new.sort_by_key(|update| update.update_id);
        Some(sifted)
    }
}

/// Returns the highest number that can be believed, of these in their order. `last`: the one before them.
fn highest(numbers: &[i64], last: Option<i64>) -> Option<i64> {
    let mut rows: Vec<&[i64]> = numbers.chunk_by(|one, next| next - one <= GAP_MAX).collect();
    let Some(last) = last else {
        rows.retain(|row| row[0] <= NUMBER_MAX || row.len() >= SEQUENCE_MIN);
        // Of several rows the longest, and of those the lowest: the numbers below it are confirmed as well.
        rows.reverse();
        return rows.into_iter().max_by_key(|row| row.len())?.last().copied();
    };
    // Lower ones are confirmed by any number; so nothing is lost by them.
    let near = rows.iter().rfind(|row| row[0] <= last.saturating_add(GAP_MAX));
    let row = near.or_else(|| rows.iter().find(|row| row.len() >= SEQUENCE_MIN))?;
    row.last().copied()
}

/// An update, by which it is known again.
pub(super) type Key = (Option<i64>, u64);

/// The key of an update.
pub(super) fn key(update: &RawUpdate) -> Key {
    (update.update_id, digest(update))
}

/// Returns a number for an update that has none.
pub(super) fn digest(update: &RawUpdate) -> u64 {
    let mut digest = DefaultHasher::new();
    update.body.get().hash(&mut digest);
    digest.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Now;

    const FULL: usize = 100;

    fn batch(numbers: &[&str]) -> Vec<RawUpdate> {
        let update = |number: &&str| match *number {
            "" => RawUpdate::of("{}"),
            number => RawUpdate::of(&format!("{{\"update_id\":{number}}}")),
        };
        numbers.iter().filter_map(update).collect()
    }

    /// The numbers that are new, how many are odd, and what is confirmed.
    fn sift(numbers: &mut Numbers, now: Instant, brought: &[&str]) -> (Vec<Option<i64>>, usize, Option<i64>) {
        let Sifted { new, odd, confirm, .. } = numbers.sift(now, batch(brought), FULL).unwrap();
        (new.iter().map(|update| update.update_id).collect(), odd.len(), confirm)
    }

    #[test]
    fn a_number_far_above_the_others_is_taken_once_and_never_confirmed() {
        let now = Now::read().mono;
        for odd in ["9007199254740992", "1000000102", "9223372036854775807"] {
            let number = odd.parse().ok();
            let numbers = &mut Numbers::default();
            assert_eq!(sift(numbers, now, &["101", "102"]), (vec![Some(101), Some(102)], 0, Some(102)));
            assert_eq!(sift(numbers, now, &[odd]), (vec![number], 1, None));
            assert_eq!(sift(numbers, now, &[odd]), (vec![], 0, None));
            assert_eq!(sift(numbers, now, &[odd, "103"]), (vec![Some(103)], 0, Some(103)));
            assert_eq!(sift(numbers, now, &["104", odd, "105"]), (vec![Some(104), Some(105)], 0, Some(105)));
            assert_eq!(sift(numbers, now, &["106"]), (vec![Some(106)], 0, Some(106)));
            // At the beginning the others say where the service counts.
            for brought in [&["101", odd, "102"][..], &[odd, "101"]] {
                let (new, odd, confirm) = sift(&mut Numbers::default(), now, brought);
                assert_eq!(
                    (new.len(), odd, confirm),
                    (brought.len(), 1, brought.last().unwrap().parse().ok())
                );
            }
        }
        let alone = &mut Numbers::default();
        assert_eq!(sift(alone, now, &["9007199254740992"]), (vec![Some(1 << 53)], 1, None), "beyond any");
    }

    #[test]
    fn an_update_without_a_number_is_taken_once_and_holds_nothing_up() {
        let now = Now::read().mono;
        for odd in ["", "null", "\"x\"", "1.5", "1e40", "-3", "[]"] {
            let numbers = &mut Numbers::default();
            let (new, unconfirmed, confirm) = sift(numbers, now, &[odd]);
            assert_eq!((new.len(), unconfirmed, confirm), (1, 1, None), "{odd}");
            assert_eq!(sift(numbers, now, &[odd, "7"]), (vec![Some(7)], 0, Some(7)), "{odd}");
        }
        let numbers = &mut Numbers::default();
        assert_eq!(
            sift(numbers, now, &["\"17\"", "18.0"]),
            (vec![Some(17), Some(18)], 0, Some(18)),
            "other forms"
        );
        assert_eq!(sift(numbers, now, &["20", "19"]).0, [Some(19), Some(20)], "in their order");
        let named = |number: &str| batch(&[number])[0].named();
        assert_eq!([named(""), named("\"x\"")], ["no update_id", "the update_id \"x\""]);
    }

    #[test]
    fn where_the_service_counts_elsewhere_it_is_followed() {
        let now = Now::read().mono;
        let last = |numbers: &mut Numbers| sift(numbers, now, &["900000000"]);
        let lower = &mut Numbers::default();
        last(lower);
        assert_eq!(sift(lower, now, &["5", "6"]), (vec![Some(5), Some(6)], 0, Some(6)), "nothing lies below");
        let after_a_week = &mut Numbers::default();
        last(after_a_week);
        assert_eq!(sift(after_a_week, now + QUIET, &["1900000000"]).2, Some(1_900_000_000));
        let another = &mut Numbers::default();
        last(another);
        let more: Vec<_> = (0..SEQUENCE_MIN).map(|n| (1_900_000_000 + n).to_string()).collect();
        let more: Vec<_> = more.iter().map(String::as_str).collect();
        assert_eq!(
            sift(another, now, &more[1..]),
            (sift(&mut Numbers::default(), now, &more[1..]).0, 9, None)
        );
        assert_eq!(sift(another, now, &more).2, Some(1_900_000_009), "so many are no oddity");
        let full = &mut Numbers::default();
        last(full);
        let far = || batch(&["1900000000", "2100000000"]);
        assert_eq!(full.sift(now, far(), 2).unwrap().confirm, None);
        assert_eq!(
            full.sift(now, far(), 2).unwrap().confirm,
            Some(1_900_000_000),
            "or nothing else would come"
        );
        assert!(full.sift(now, batch(&["", "\"x\""]), 2).is_some());
        assert!(full.sift(now, batch(&["", "\"x\""]), 2).is_none(), "nothing else comes");
    }
}
