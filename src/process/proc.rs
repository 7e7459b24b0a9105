//! Other processes, by `/proc`. Where it does not exist, none.

use crate::file;

/// Longest of these files that is read, in bytes. An environment is cut off here.
const LEN_MAX: u64 = 4 << 20;

/// A process at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its pid.
    pub pid: u32,
    /// The pid of its parent; `None` for the first of a machine or a container.
    pub parent: Option<u32>,
    /// Time of its start, in ticks since the machine's: with the pid it names a process for good.
    pub start: u64,
    /// True when it has ended and is not reaped.
    pub has_ended: bool,
    /// True when it is stopped, by SIGSTOP, Ctrl-Z or a debugger.
    pub is_stopped: bool,
}

/// Returns the process of this number, if it is there and can be seen.
pub fn process(pid: u32) -> Option<Process> {
    let stat = file::read_system(format!("/proc/{pid}/stat"), LEN_MAX).ok()?;
    parse(pid, &String::from_utf8_lossy(&stat))
}

/// Returns this process.
pub fn this() -> Option<Process> {
    process(std::process::id())
}

/// Returns all processes that can be seen.
pub fn all() -> impl Iterator<Item = Process> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| process(entry.file_name().to_str()?.parse().ok()?))
}

/// Returns the names of the variables in the environment with which a process was started.
///
/// # Errors
/// When it is gone, or may not be inspected.
pub fn variables(pid: u32) -> std::io::Result<Vec<Vec<u8>>> {
    let bytes = file::read_system(format!("/proc/{pid}/environ"), LEN_MAX)?;
    let name = |variable: &[u8]| variable.split(|byte| *byte == b'=').next().unwrap_or_default().to_vec();
    Ok(bytes.split(|byte| *byte == 0).filter(|variable| !variable.is_empty()).map(name).collect())
}

/// Parses fields 3, 4 and 22; the second one is the program's name in brackets and may hold anything.
fn parse(pid: u32, stat: &str) -> Option<Process> {
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    Some(Process {
        pid,
        parent: Some(fields.get(1)?.parse().ok()?).filter(|pid| *pid != 0),
        start: fields.get(19)?.parse().ok()?,
        has_ended: fields[0].starts_with(['Z', 'X', 'x']),
        is_stopped: fields[0].starts_with(['T', 't']),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_behind_any_program_name() {
        let process = Process { pid: 7, parent: Some(42), start: 4711, has_ended: false, is_stopped: false };
        let stat = format!("7 (a ) S 1) R 42 {}", "0 ".repeat(17)) + "4711 0";
        assert_eq!(parse(7, &stat), Some(process.clone()));
        let ended = parse(7, &stat.replace(" R ", " Z "));
        assert_eq!(ended, Some(Process { has_ended: true, ..process.clone() }));
        let stopped = parse(7, &stat.replace(" R ", " T "));
        assert_eq!(stopped, Some(Process { is_stopped: true, ..process }));
        assert_eq!(parse(1, &stat.replace("42", "0")).unwrap().parent, None);
        assert_eq!(parse(1, ""), None);
        assert_eq!(parse(1, "1 (x) R"), None);
    }
}
