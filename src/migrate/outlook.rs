//! Things of hermes-agent in a home that have no effect here, in a sentence: for the start of the gateway and for doctor.

use super::found;
use super::plan::{Outcome, plan};
use crate::config::Config;
use crate::home::HermesHome;

/// Longer is not read.
const LEN_MAX: usize = 600;

/// Things of hermes-agent in a home.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outlook {
    /// The things without effect here; a sentence without its period.
    pub message: String,
    /// Something is new to the person who runs this: it was not there when they took over, or they have not yet.
    pub is_new: bool,
}

/// The line of the log at the start. `None` when there is nothing new.
pub fn at_start(home: &HermesHome, config: &Config) -> Option<String> {
    let Outlook { message, .. } = outlook(home, config).filter(|outlook| outlook.is_new)?;
    Some(format!("{message}. `hermes migrate` shows why, and what it can take over"))
}

/// `None` when everything has its effect. Only our own home is looked at.
pub fn outlook(home: &HermesHome, config: &Config) -> Option<Outlook> {
    if !found::is_home(home.root()) && config.foreign.is_empty() {
        return None;
    }
    let found = match found::read(home, home.root(), &config.foreign) {
        Ok(found) => found,
        Err(error) => {
            let message = format!("what hermes-agent has left in this home cannot be read: {error}");
            return Some(Outlook { message, is_new: true });
        }
    };
    let plan = plan(&found);
    let idle = [Outcome::Taken, Outcome::Decision, Outcome::NotSupported];
    let items = plan.items.iter().filter(|item| idle.contains(&item.outcome));
    let mut names: Vec<&str> = items.map(|item| item.what.as_str()).collect();
    names.dedup();
    if names.is_empty() {
        return None;
    }
    let is_new =
        plan.of(Outcome::Taken).next().is_some() || names.iter().any(|name| !found.told.contains(*name));
    Some(Outlook { message: sentence(&names), is_new })
}

fn sentence(names: &[&str]) -> String {
    let mut list = String::new();
    for (at, name) in names.iter().enumerate() {
        let left = names.len() - at;
        if list.len() + name.len() > LEN_MAX {
            list.push_str(&format!(" and {left} more"));
            break;
        }
        if at > 0 {
            list.push_str("; ");
        }
        list.push_str(name);
    }
    format!("of hermes-agent's settings these have no effect here: {list}")
}
