//! Applies changed settings: to each platform that they concern, and to no other.

use std::sync::Arc;

use tokio::sync::Notify;

use crate::clock::Now;
use crate::config::Config;
use crate::gateway::core::drain::Phase;
use crate::gateway::core::reload::{Change, changes};
use crate::gateway::core::run::Gateway;
use crate::gateway::core::state::Supervised;
use crate::gateway::model::adapter::Adapter;
use crate::gateway::model::event::SupervisedId;
use crate::gateway::settings::Reading;
use crate::gateway::supervisor::machine::{Input, Policy};
use crate::platforms::Platform;

/// Makes the account of a platform that was not enabled at the start.
pub type MakeAdapter = Box<dyn Fn(Platform) -> Arc<dyn Adapter> + Send>;

/// The means of the loop to apply changed settings.
pub struct Reloading {
    /// The settings in force.
    pub reading: Reading,
    /// Wakes the task that reads the files.
    pub asked: Arc<Notify>,
    /// Makes accounts.
    pub make: MakeAdapter,
}

impl Gateway {
    /// Applies the settings that were read.
    pub(super) fn adopt(&mut self, now: Now, reading: Reading) {
        let old = Arc::clone(&self.reloading.reading.config);
        let new = Arc::clone(&reading.config);
        self.reloading.reading = reading;
        // Also when only `config_stale` has changed.
        self.heartbeat_at = now.mono;
        if self.drain.phase() != Phase::Running {
            return;
        }
        self.drain.allow(new.gateway.drain_timeout);
        self.exit_when_all_blocked = new.gateway.exit_when_all_blocked;
        let changes = changes(&old, &new);
        if changes.policy {
            let policy = Policy::from(&new.gateway);
            for seat in &mut self.seats {
                seat.machine.follow(policy);
            }
        }
        for (platform, change) in changes.platforms {
            let title = platform.spec().title;
            let name = platform.spec().name;
            match change {
                Change::Enabled => {
                    tracing::info!(code = "platform_enabled", platform = name, "{title} was enabled");
                }
                Change::Disabled => {
                    tracing::info!(code = "platform_disabled", platform = name, "{title} was disabled");
                }
                Change::Reconnect => {
                    tracing::info!(
                        code = "platform_changed",
                        platform = name,
                        "{title} reconnects with its changed settings"
                    );
                }
            }
            let id = self.seat_for(now, platform, &new);
            self.begin_anew(now, id, change != Change::Disabled, &new);
        }
    }

    /// The entry of this platform; a new one where it never had any.
    fn seat_for(&mut self, now: Now, platform: Platform, config: &Config) -> SupervisedId {
        let taken = self.seats.iter().position(|seat| seat.adapter.platform() == platform);
        SupervisedId(taken.unwrap_or_else(|| {
            let adapter = (self.reloading.make)(platform);
            let name = platform.spec().name.to_owned();
            self.seats.push(Supervised::new(
                name,
                adapter,
                Policy::from(&config.gateway),
                self.next_seed,
                now,
            ));
            self.next_seed = self.next_seed.wrapping_add(1);
            self.seats.len() - 1
        }))
    }

    /// Ends the platform's work and starts it again, or leaves it disabled. Running work of before has an older generation,
    /// so that its results are dropped.
    fn begin_anew(&mut self, now: Now, id: SupervisedId, is_wanted: bool, config: &Config) {
        self.give(now, id, Input::Stop);
        while let Some(action) = self.seats[id.0].machine.poll_action() {
            self.perform_for(now, id, action);
        }
        let seed = self.next_seed;
        self.next_seed = self.next_seed.wrapping_add(1);
        let seat = &mut self.seats[id.0];
        seat.adapter.clear_refusals();
        seat.begin_anew(Policy::from(&config.gateway), seed, now);
        if !is_wanted {
            return;
        }
        if self.paused.contains(&seat.name) {
            self.give(now, id, Input::Pause);
        }
        if self.host.is_offline() {
            self.give(now, id, Input::HostOffline);
        }
        self.give(now, id, Input::Start);
    }
}
