//! Pure. Lengths of time for people: `5 s`, `2 min`, "2 min ago", "in 2 min". Whole numbers of the largest unit of which
//! there are two.

use std::time::Duration;

use jiff::Timestamp;

/// Returns a length of time.
pub fn span(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds @ 7200..172_800 => format!("{} h", seconds / 3600),
        seconds => format!("{} days", seconds / 86_400),
    }
}

/// Returns the age of something that was at that time; a time ahead of the clock counts as now.
pub fn ago(at: Timestamp, now: Timestamp) -> String {
    aged(age(at, now))
}

/// Returns a known age.
pub fn aged(age: Duration) -> String {
    if age.as_secs() == 0 { "just now".to_owned() } else { format!("{} ago", span(age)) }
}

/// Returns the time until something that is ahead.
pub fn until(at: Timestamp, now: Timestamp) -> String {
    let left = age(now, at);
    if left.as_secs() == 0 { "now".to_owned() } else { format!("in {}", span(left)) }
}

/// Returns the time from one to the other; zero when they are the other way round.
pub fn age(at: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(at)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_is_the_largest_of_which_there_are_two() {
        for (seconds, shown) in [
            (0, "0 s"),
            (119, "119 s"),
            (120, "2 min"),
            (7199, "119 min"),
            (7200, "2 h"),
            (172_799, "47 h"),
            (172_800, "2 days"),
            (400 * 86_400, "400 days"),
        ] {
            assert_eq!(span(Duration::from_secs(seconds)), shown);
        }
    }

    #[test]
    fn ages_and_waits_begin_at_now() {
        let now = Timestamp::from_second(2_000_000_000).unwrap();
        let at = |seconds: i64| Timestamp::from_second(2_000_000_000 + seconds).unwrap();
        for (seconds, age, wait) in
            [(-600, "10 min ago", "now"), (0, "just now", "now"), (5, "just now", "in 5 s")]
        {
            assert_eq!((ago(at(seconds), now).as_str(), until(at(seconds), now).as_str()), (age, wait));
        }
    }
}
