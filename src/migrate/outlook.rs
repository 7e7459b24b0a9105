//! Things of hermes-agent in a home that are not in effect here, in a sentence: for the start of the gateway and for doctor.

use super::found;
use super::plan::{Outcome, plan};
use crate::config::Config;
use crate::home::HermesHome;
use crate::world::World;

/// A longer list is not read.
const LEN_MAX: usize = 300;

/// The outcomes that are worth a word, and that word: behind names and behind their count.
const IDLE: [(Outcome, &str, &str); 3] = [
    (Outcome::Taken, "are not taken over yet", "not taken over yet"),
    (Outcome::Decision, "need a decision", "to be decided"),
    (Outcome::NotSupported, "have no effect here", "without effect here"),
];

/// Things of hermes-agent in a home.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outlook {
    /// The things that are not in effect here, and why; a sentence without its period.
    pub message: String,
    /// The same with their count instead of their names.
    pub brief: String,
    /// Something is new to the person who runs this: it was not there when they took over, or they have not yet.
    pub is_new: bool,
}

/// The line of the log at the start. `None` when there is nothing new.
pub fn at_start(world: &World, home: &HermesHome, config: &Config) -> Option<String> {
    let Outlook { brief, .. } = outlook(world, home, config).filter(|outlook| outlook.is_new)?;
    Some(format!("{brief}. `hermes migrate` shows which and why, and what it can take over"))
}

/// `None` when everything has its effect. Only our own home is looked at.
pub fn outlook(world: &World, home: &HermesHome, config: &Config) -> Option<Outlook> {
    if !found::is_home(home.root()) && config.foreign.is_empty() {
        return None;
    }
    let found = match found::read(world, home, home.root(), &config.foreign) {
        Ok(found) => found,
        Err(error) => {
            let message = format!("what hermes-agent has left in this home cannot be read: {error}");
            return Some(Outlook { brief: message.clone(), message, is_new: true });
        }
    };
    let plan = plan(&found);
    let (mut parts, mut counts) = (Vec::new(), Vec::new());
    let mut is_new = false;
    for (outcome, words, brief) in IDLE {
        let mut names: Vec<&str> = plan.of(outcome).map(|item| item.what.as_str()).collect();
        names.dedup();
        if !names.is_empty() {
            is_new |= outcome == Outcome::Taken || names.iter().any(|name| !found.told.contains(*name));
            parts.push(format!("these {words}: {}", list(&names)));
            let count: usize = names.iter().map(|name| name.split(", ").count()).sum();
            counts.push(format!("{count} {brief}"));
        }
    }
    let message = format!("of hermes-agent's settings {}", parts.join(", and "));
    let brief = format!("hermes-agent's settings: {}", counts.join(", "));
    (!parts.is_empty()).then_some(Outlook { message, brief, is_new })
}

/// As many as there is room for.
fn list(names: &[&str]) -> String {
    let (mut list, mut left) = (String::new(), 0);
    for name in names {
        if list.len() + name.len() > LEN_MAX {
            left += 1;
            continue;
        }
        if !list.is_empty() {
            list.push_str("; ");
        }
        list.push_str(name);
    }
    match (left, list.is_empty()) {
        (0, _) => list,
        (_, true) => format!("{left} in all"),
        (_, false) => format!("{list}; and {left} more"),
    }
}
