//! The right of a process to control the gateway: processes that the gateway has started, directly or through others, do
//! not have it; nor do those of which this cannot be known.
//!
//! The kernel names a program's parents, and the gateway [adopts](crate::process::child::adopt_orphans) the orphans among
//! its descendants: so it stays an ancestor of all processes that its children start, as long as it lives. Descendants of
//! an earlier gateway are known by the mark in their environment, or in that of an ancestor ([`CHILD_MARK`]).

use crate::process::proc;
use crate::process::proc::Process;
use crate::world::CHILD_MARK;

/// Limit for the length of a chain of parents.
const GENERATIONS_MAX: usize = 64;

/// Limit for the tries to follow a chain that was broken by the end of one of its processes.
const TRIES_MAX: usize = 5;

/// The other end of a connection, as reported by the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Its process id; `None` or 0 where it is outside our process namespace.
    pub pid: Option<u32>,
    /// True when its user differs from ours, so that we cannot read its environment.
    pub is_other_user: bool,
}

/// A peer, as the process that its id meant at that moment: should it end, another process with that id is not taken for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pinned {
    peer: Peer,
    /// The time when the process was started; `None` where it was gone already, or cannot be seen.
    start: Option<u64>,
}

impl Pinned {
    /// The process that has the id now.
    pub fn new(peer: Peer) -> Self {
        let process = peer.pid.filter(|pid| *pid != 0).and_then(proc::process);
        Self { peer, start: process.filter(|process| !process.has_ended).map(|process| process.start) }
    }
}

/// True when this peer may control the gateway. Where the system reports nothing about processes at all, it may.
pub fn may_steer(pinned: Pinned) -> bool {
    if !cfg!(target_os = "linux") {
        return true;
    }
    let Pinned { peer: Peer { pid, is_other_user }, start } = pinned;
    let (Some(pid), Some(start)) = (pid.filter(|pid| *pid != 0), start) else { return false };
    judge(&Proc, (pid, start), std::process::id(), is_other_user)
}

/// True when this process was started by the gateway with this process id, or by any gateway that its ancestors' marks
/// name. `None`: no gateway runs.
pub fn is_of_gateway(gateway: Option<u32>) -> bool {
    cfg!(target_os = "linux") && descends(&Proc, std::process::id(), gateway.unwrap_or(0))
}

fn descends(system: &impl System, pid: u32, gateway: u32) -> bool {
    let Some(process) = system.process(pid) else { return false };
    // The command that became the gateway is not its own child, and a chain that cannot be followed is judged at the socket.
    (0..TRIES_MAX).find_map(|_| has_other_origin(system, &process, gateway)) == Some(false)
}

/// Reports about processes.
trait System {
    fn process(&self, pid: u32) -> Option<Process>;
    /// True when its environment has the mark; `None` where that cannot be seen.
    fn is_marked(&self, pid: u32) -> Option<bool>;
}

struct Proc;

impl System for Proc {
    fn process(&self, pid: u32) -> Option<Process> {
        proc::process(pid)
    }

    fn is_marked(&self, pid: u32) -> Option<bool> {
        Some(proc::variables(pid).ok()?.iter().any(|name| name == CHILD_MARK.as_bytes()))
    }
}

fn judge(system: &impl System, (pid, start): (u32, u64), us: u32, is_other_user: bool) -> bool {
    let Some(peer) = system.process(pid).filter(|peer| peer.start == start) else { return false };
    match system.is_marked(pid) {
        Some(true) => return false,
        Some(false) => {}
        // It may hide its environment; another user's is always hidden.
        None if is_other_user => {}
        None => return false,
    }
    let has_other_origin = (0..TRIES_MAX).find_map(|_| has_other_origin(system, &peer, us)).unwrap_or(false);
    // The facts are of this process only if it is still the same one, and lives.
    let is_same = || system.process(pid).is_some_and(|now| now.start == peer.start && !now.has_ended);
    has_other_origin && is_same()
}

/// True when neither we nor a marked process is among its ancestors; `None` where one of them has just ended.
fn has_other_origin(system: &impl System, peer: &Process, us: u32) -> Option<bool> {
    let mut at = system.process(peer.pid)?;
    for _ in 0..GENERATIONS_MAX {
        let Some(parent) = at.parent else { return Some(true) };
        if parent == us || system.is_marked(parent) == Some(true) {
            return Some(false);
        }
        match system.process(parent) {
            Some(process) => at = process,
            // Where other users' processes cannot be seen (`hidepid`), the chain ends at the first of them.
            None if system.process(1).is_none() => return Some(true),
            None => return None,
        }
    }
    Some(false)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// Processes as (pid, parent); the marked and the hidden ones; and the number of looks after which the peer is another
    /// process.
    #[derive(Default)]
    struct Fake {
        parents: Vec<(u32, u32)>,
        marked: Vec<u32>,
        closed: Vec<u32>,
        dies_after: Option<u32>,
        looks: Cell<u32>,
    }

    impl System for Fake {
        fn process(&self, pid: u32) -> Option<Process> {
            self.looks.set(self.looks.get() + 1);
            let is_other = self.dies_after.is_some_and(|looks| self.looks.get() > looks);
            let (_, parent) = self.parents.iter().find(|(child, _)| *child == pid)?;
            Some(Process {
                pid,
                parent: Some(*parent).filter(|pid| *pid != 0),
                start: u64::from(pid) + if is_other { 1000 } else { 0 },
                has_ended: false,
                is_stopped: false,
            })
        }

        fn is_marked(&self, pid: u32) -> Option<bool> {
            (!self.closed.contains(&pid)).then(|| self.marked.contains(&pid))
        }
    }

    fn family() -> Fake {
        // 1 is the first, 10 the gateway, 20 and 21 its child and grandchild, 30 and 31 a shell and a command in it.
        Fake { parents: vec![(1, 0), (10, 1), (20, 10), (21, 20), (30, 1), (31, 30)], ..Fake::default() }
    }

    #[test]
    fn a_command_in_a_shell_may_steer_and_a_descendant_may_not() {
        for (pid, may) in [(31, true), (30, true), (20, false), (21, false), (99, false)] {
            assert_eq!(judge(&family(), (pid, pid.into()), 10, false), may, "{pid}");
        }
    }

    #[test]
    fn a_command_of_the_gateways_descendants_is_known_without_its_socket() {
        for (pid, gateway, is_of_gateway) in
            [(31, 10, false), (21, 10, true), (21, 0, false), (99, 10, false)]
        {
            assert_eq!(descends(&family(), pid, gateway), is_of_gateway, "{pid} of {gateway}");
        }
        let marked = Fake { marked: vec![20], ..family() };
        assert!(descends(&marked, 21, 0), "its gateway may have ended");
    }

    #[test]
    fn a_mark_in_it_or_above_it_is_enough_and_what_hides_its_own_may_not() {
        for marked in [31, 30] {
            assert!(!judge(&Fake { marked: vec![marked], ..family() }, (31, 31), 10, false), "{marked}");
        }
        let closed = || Fake { closed: vec![31], ..family() };
        assert!(!judge(&closed(), (31, 31), 10, false));
        assert!(judge(&closed(), (31, 31), 10, true), "another user's is closed to us anyway");
        assert!(
            judge(&Fake { closed: vec![30], ..family() }, (31, 31), 10, false),
            "a login program of root's"
        );
    }

    #[test]
    fn one_that_ends_while_it_is_looked_at_may_not() {
        for looks in 1..8 {
            let dying = Fake { dies_after: Some(looks), ..family() };
            let may = judge(&dying, (31, 31), 10, false);
            let looked = dying.looks.get();
            assert!(!may || looked <= looks, "after {looks} of {looked} looks it was another process");
        }
    }

    #[test]
    fn a_chain_that_is_broken_or_endless_is_not_trusted() {
        let broken = Fake { parents: vec![(1, 0), (31, 30)], ..Fake::default() };
        assert!(!judge(&broken, (31, 31), 10, false), "its parent is gone");
        let hidden = Fake { parents: vec![(31, 30)], ..Fake::default() };
        assert!(judge(&hidden, (31, 31), 10, false), "other users' processes cannot be seen here");
        let endless = Fake { parents: vec![(1, 0), (31, 32), (32, 31)], ..Fake::default() };
        assert!(!judge(&endless, (31, 31), 10, false));
        let long = Fake {
            parents: (2..=100).map(|pid| (pid, pid - 1)).chain([(1, 0)]).collect(),
            ..Fake::default()
        };
        assert!(!judge(&long, (100, 100), 500, false), "it is longer than is looked at");
    }

    #[test]
    fn another_process_under_the_number_of_the_peer_may_not() {
        assert!(judge(&family(), (31, 31), 10, false) && !judge(&family(), (31, 30), 10, false));
        let gone = Pinned { peer: Peer { pid: Some(std::process::id()), is_other_user: false }, start: None };
        assert_eq!(may_steer(gone), !cfg!(target_os = "linux"), "it was gone when it was accepted");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_child_of_this_process_may_not_nor_one_that_has_ended() {
        let mut command = crate::process::child::command("sh");
        command.env_remove(CHILD_MARK).args(["-c", "read line"]).stdin(std::process::Stdio::piped());
        let mut child = crate::process::child::spawn(&mut command).unwrap();
        let peer = |pid| Pinned::new(Peer { pid, is_other_user: false });
        let pinned = peer(Some(child.id()));
        assert!(!may_steer(pinned));
        assert!(may_steer(peer(Some(std::process::id()))), "this process is not its own child");
        drop(child.stdin.take());
        child.wait().unwrap();
        assert!(!may_steer(pinned) && !may_steer(peer(Some(child.id()))));
        assert!(!may_steer(peer(None)) && !may_steer(peer(Some(0))), "one that is not named");
    }
}
