//! The rules in force. A reader gets those of this moment.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use super::gate::Gate;
use crate::config::Config;
use crate::platforms::Platform;

/// The rules in force.
#[derive(Debug)]
pub struct Rules {
    gate: Mutex<Arc<Gate>>,
}

impl Rules {
    /// Begins with this gate.
    pub fn new(gate: Gate) -> Arc<Self> {
        Arc::new(Self { gate: Mutex::new(Arc::new(gate)) })
    }

    /// Returns the gate of this moment.
    pub fn gate(&self) -> Arc<Gate> {
        Arc::clone(&self.gate.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces the settings. People whom the operator has admitted stay admitted.
    pub fn configure(&self, config: &Config) {
        self.change(|gate| gate.configured(config));
    }

    /// Replaces the admitted people; others must be listed.
    pub fn admit(&self, paired: BTreeSet<(Platform, String)>) {
        self.change(|gate| gate.clone().admitting(paired));
    }

    fn change(&self, change: impl FnOnce(&Gate) -> Gate) {
        let mut gate = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
        *gate = Arc::new(change(&gate));
    }
}
