//! Pure. What `/proc/PID/stat` says of a process. The second field is the program's name in brackets and may hold anything.

/// The fields from the third on.
fn fields(stat: &str) -> Option<impl Iterator<Item = &str>> {
    stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace())
}

/// Its state: `R`, `S`, `T` (stopped), `Z` …
pub fn state(stat: &str) -> Option<char> {
    fields(stat)?.next()?.chars().next()
}

/// When it was started, in clock ticks since boot.
pub fn start_time(stat: &str) -> Option<u64> {
    fields(stat)?.nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_behind_any_program_name() {
        let fields: Vec<String> = (4..=30).map(|field| field.to_string()).collect();
        let stat = format!("1 (a) b (c)) T {}", fields.join(" "));
        assert_eq!((state(&stat), start_time(&stat)), (Some('T'), Some(22)));
        assert_eq!((state(""), start_time("")), (None, None));
    }
}
