//! The rules in force. Whoever asks gets those of this moment.

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
    /// These, for now.
    pub fn new(gate: Gate) -> Arc<Self> {
        Arc::new(Self { gate: Mutex::new(Arc::new(gate)) })
    }

    /// What holds at this moment.
    pub fn gate(&self) -> Arc<Gate> {
        Arc::clone(&self.gate.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// From now on these settings hold. Whom the operator has admitted stays so.
    pub fn configure(&self, config: &Config) {
        self.change(|gate| gate.configured(config));
    }

    /// From now on these people are admitted, and no one else who is not listed.
    pub fn admit(&self, paired: BTreeSet<(Platform, String)>) {
        self.change(|gate| gate.clone().admitting(paired));
    }

    fn change(&self, change: impl FnOnce(&Gate) -> Gate) {
        let mut gate = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
        *gate = Arc::new(change(&gate));
    }
}
