//! The loop's checks besides the platforms themselves: the host's network, the clock, and its own bookkeeping.

use tokio_util::task::AbortOnDropHandle;

use crate::clock::Now;
use crate::gateway::core::drain::Phase;
use crate::gateway::core::run::Gateway;
use crate::gateway::model::event::{Event, SupervisedId};
use crate::gateway::route;
use crate::gateway::supervisor::host;
use crate::gateway::supervisor::machine::{Input, Note, State};
use crate::span::span;

impl Gateway {
    /// Passes one platform's result to the host's decider.
    pub(super) fn note(&mut self, now: Now, id: SupervisedId, note: Note) {
        let is_network = matches!(note, Note::Failed(code) if host::is_of_the_network(code));
        let alone_without_route = is_network && self.is_alone() && !route::exists();
        self.host.handle(now.mono, host::Input { seat: id.0, note, alone_without_route });
        self.settle_host(now);
    }

    /// Performs the actions of the host's decider.
    pub(super) fn settle_host(&mut self, now: Now) {
        self.host.handle_timeout(now.mono);
        while let Some(action) = self.host.poll_action() {
            match action {
                host::Action::GoOffline => {
                    tracing::warn!(
                        code = "host_offline",
                        "The network seems to be down: unreachable platforms are retried and not counted as failing"
                    );
                    for index in 0..self.seats.len() {
                        self.give(now, SupervisedId(index), Input::HostOffline);
                    }
                }
                host::Action::TellBack => {
                    tracing::info!(code = "host_online", "The network is back; trying every platform now");
                }
                host::Action::Wake { seat, after } => {
                    self.give(now, SupervisedId(seat), Input::HostBack { after });
                }
            }
        }
    }

    /// True when no other platform is tried.
    fn is_alone(&self) -> bool {
        let is_tried = |state: &State| match state {
            State::Connecting { .. } | State::Connected { .. } | State::Retrying { .. } => true,
            State::Disabled | State::Blocked { .. } | State::Paused { .. } | State::Stopping => false,
        };
        self.seats.iter().filter(|seat| is_tried(seat.machine.state())).count() <= 1
    }

    /// Tries every platform that could not be reached over the changed network, each a little later than the one before.
    pub(super) fn look_for_network(&mut self, now: Now) {
        if self.drain.phase() != Phase::Running {
            return;
        }
        tracing::debug!(code = "network_changed", "The network changed; trying unreachable platforms now");
        for index in 0..self.seats.len() {
            let after = host::STAGGER.mul_f64(self.dice.roll());
            if let Some(link) = self.seats[index].live() {
                link.hurry();
            }
            self.give(now, SupervisedId(index), Input::NetworkChanged { after });
        }
    }

    /// Watches local services that cannot be reached, so that they do not wait for the ladder's next step after they have
    /// returned.
    pub(super) fn watch_for_returns(&mut self) {
        for (index, seat) in self.seats.iter_mut().enumerate() {
            if !seat.machine.is_cut_off() {
                seat.watch = None;
            } else if seat.watch.is_none()
                && let Some(near) = seat.adapter.local_endpoint()
            {
                let events = self.events.clone();
                seat.watch = Some(AbortOnDropHandle::new(tokio::spawn(async move {
                    near.returned().await;
                    // The loop may have ended.
                    drop(events.send(Event::Returned(SupervisedId(index))).await);
                })));
            }
        }
    }

    /// Detects a sleep of the machine: then no proof of a connection is valid.
    pub(super) fn look_at_clock(&mut self, now: Now) {
        let Some(ahead) = self.jumps.look(now).filter(|_| self.drain.phase() == Phase::Running) else {
            return;
        };
        tracing::info!(
            code = "clock_jumped",
            "The computer was asleep for {}, or its clock was set ahead; reconnecting every platform",
            span(ahead)
        );
        for index in 0..self.seats.len() {
            let after = host::STAGGER.mul_f64(self.dice.roll());
            self.give(now, SupervisedId(index), Input::Jumped { after });
        }
    }

    /// Finds a platform without any timer or watch, and starts it again. That would be a defect of ours; it must not become
    /// an outage.
    pub(super) fn self_check(&mut self, now: Now) {
        for index in 0..self.seats.len() {
            let seat = &self.seats[index];
            // An abandoned attempt that was taking the token may have ended only after the pause.
            seat.rest_if_unwanted();
            let lost = match seat.machine.state().live() {
                Some(generation) => {
                    let is_watched = seat
                        .attempt
                        .as_ref()
                        .is_some_and(|(current, task)| *current == generation && !task.is_finished());
                    (!is_watched).then_some("no task watches the connection")
                }
                None => seat.machine.self_check(now.mono).err(),
            };
            // A watcher that has just ended has a report on its way; only a fault that is still there at the next check counts.
            let is_old = std::mem::replace(&mut self.seats[index].is_suspect, lost.is_some());
            if let Some(why) = lost.filter(|_| is_old) {
                let platform = self.seats[index].name.as_str();
                tracing::error!(
                    code = "supervision_lost",
                    platform,
                    "{platform} had no pending action ({why}); reconnecting it"
                );
                let seat = &mut self.seats[index];
                seat.is_suspect = false;
                if seat.live().is_some() {
                    self.flow.link_down(seat.adapter.platform());
                }
                seat.machine.mend(now.mono);
            }
        }
    }
}
