//! Whether a process was started by this gateway, by itself or through others. The kernel knows the parents; of a process whose
//! parents have ended, the mark in its environment is left ([`CHILD_MARK`]).

use crate::world::CHILD_MARK;

/// Longer chains of parents are none that we know of.
const GENERATIONS_MAX: usize = 64;

/// Whether this process descends from ours, or says so itself. Where the system does not tell, it does not.
pub fn is_child_of_ours(pid: u32) -> bool {
    descends(pid, std::process::id(), parent) || is_marked(pid)
}

fn descends(pid: u32, from: u32, parent: impl Fn(u32) -> Option<u32>) -> bool {
    let ancestors = std::iter::successors(parent(pid), |pid| parent(*pid));
    ancestors.take(GENERATIONS_MAX).any(|ancestor| ancestor == from)
}

fn parent(pid: u32) -> Option<u32> {
    parent_in(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Field 4; the second one is the program's name in brackets and may hold anything.
fn parent_in(stat: &str) -> Option<u32> {
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(1)?.parse().ok().filter(|pid| *pid != 0)
}

fn is_marked(pid: u32) -> bool {
    let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    environment.split(|byte| *byte == 0).any(|variable| {
        variable.strip_prefix(CHILD_MARK.as_bytes()).is_some_and(|rest| rest.starts_with(b"="))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_are_followed_to_the_first_and_no_further() {
        let parents =
            |pid| [(5, 4), (4, 3), (3, 1), (9, 9)].iter().find(|(child, _)| *child == pid).map(|(_, of)| *of);
        assert!(descends(5, 3, parents));
        assert!(!descends(3, 5, parents));
        assert!(!descends(5, 5, parents), "nobody is its own child");
        assert!(!descends(9, 1, parents), "a chain without an end ends");
    }

    #[test]
    fn the_parent_is_found_behind_any_program_name() {
        assert_eq!(parent_in("7 (a ) S 1) R 42 7 7"), Some(42));
        assert_eq!(parent_in("1 (init) S 0 1 1"), None);
        assert_eq!(parent_in(""), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_child_of_this_process_is_known_and_this_process_is_none() {
        let mut child = std::process::Command::new("sh")
            .args(["-c", "read line"])
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        assert!(is_child_of_ours(child.id()));
        assert!(!is_child_of_ours(std::process::id()));
        drop(child.stdin.take());
        child.wait().unwrap();
    }
}
