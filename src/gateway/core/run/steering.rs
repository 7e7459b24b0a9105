//! Carries out commands in the loop. Their answers are for people.

use super::pauses::Change;
use crate::clock::Now;
use crate::gateway::core::drain::{self, Phase};
use crate::gateway::core::run::Gateway;
use crate::gateway::model::command::{Answer, Command, CommandError, Request};
use crate::gateway::model::event::{Event, StopSignal, SupervisedId};
use crate::gateway::supervisor::machine::{Input, PausedBy, State};
use crate::platforms::Platform;

impl Gateway {
    /// Carries a command out, or answers with the reason why not.
    pub(super) fn obey(&mut self, now: Now, Request { command, reply }: Request) {
        let answer = match command {
            Command::Pause { platform } => match self.seat_of(&platform) {
                Ok(id) => return self.pause(now, id, reply),
                Err(error) => Err(error),
            },
            Command::Resume { platform } => match self.seat_of(&platform) {
                Ok(id) => return self.resume(now, id, reply),
                Err(error) => Err(error),
            },
            Command::Reload => {
                self.decide(now, Event::ReloadAsked);
                Ok("The gateway reloads its settings.".to_owned())
            }
            // A second request finds it under way already.
            Command::Restart if self.drain.phase() != Phase::Running && !self.drain.restarts() => {
                Err(CommandError::Stopping)
            }
            Command::Restart => match self.restart_obstacle() {
                Some(why) => Err(CommandError::NotRestarted { why }),
                None => Ok(self.end(now, StopSignal::Restart, "restarts")),
            },
            Command::Stop => Ok(self.end(now, StopSignal::Terminate, "stops")),
        };
        // The caller may be gone.
        drop(reply.send(answer));
    }

    /// Handles a signal that asks for the end, or for a restart.
    pub(super) fn stop_asked(&mut self, now: Now, signal: StopSignal) {
        let obstacle = (signal == StopSignal::Restart).then(|| self.restart_obstacle()).flatten();
        match obstacle {
            Some(why) => {
                tracing::error!(
                    code = "not_restarted",
                    "The gateway was not restarted and keeps running: {why}"
                );
            }
            None => self.drain.handle(now.mono, drain::Input::Asked(signal)),
        }
    }

    /// The reason why the next gateway would not start: then this one is not ended.
    fn restart_obstacle(&self) -> Option<String> {
        let stale = self.reloading.reading.stale.as_ref();
        let stale = stale.map(|why| {
            format!("The changed settings could not be read; the previous ones stay in use: {why}")
        });
        stale.or_else(|| self.restart.obstacle())
    }

    fn end(&mut self, now: Now, signal: StopSignal, verb: &str) -> String {
        self.drain.handle(now.mono, drain::Input::Asked(signal));
        format!("The gateway finishes current work and {verb}.")
    }

    fn seat_of(&self, name: &str) -> Result<SupervisedId, CommandError> {
        if self.drain.phase() != Phase::Running {
            return Err(CommandError::Stopping);
        }
        let name = name.trim();
        let seat =
            self.seats.iter().position(|seat| seat.is_enabled() && seat.name.eq_ignore_ascii_case(name));
        match (seat, name.parse::<Platform>()) {
            (Some(index), _) => Ok(SupervisedId(index)),
            (None, Ok(platform)) => {
                let spec = platform.spec();
                Err(CommandError::NotEnabled { title: spec.title, setup: spec.setup })
            }
            (None, Err(_)) => Err(CommandError::UnknownPlatform { name: name.to_owned() }),
        }
    }

    fn pause(&mut self, now: Now, id: SupervisedId, reply: Reply) {
        let seat = &self.seats[id.0];
        let was = !matches!(seat.machine.state(), State::Paused { by: PausedBy::Operator, .. });
        let (title, name) = (seat.title(), &seat.name);
        let sentence = if was {
            format!("{title} is paused. `hermes platform resume {name}` resumes it.")
        } else {
            format!("{title} was already paused. `hermes platform resume {name}` resumes it.")
        };
        self.give(now, id, Input::Pause);
        self.keep(id, true, sentence, reply);
    }

    fn resume(&mut self, now: Now, id: SupervisedId, reply: Reply) {
        let seat = &self.seats[id.0];
        let sentence = resuming(seat.title(), seat.machine.state());
        seat.adapter.clear_refusals();
        if let Some(link) = seat.live() {
            link.hurry();
            self.flow.hurry(seat.adapter.platform());
        }
        self.give(now, id, Input::Resume);
        // Also when it is not paused here: the stored pause must not apply at the next start.
        self.keep(id, false, sentence, reply);
    }

    /// Answers once the pause, or its end, is on disk.
    fn keep(&mut self, id: SupervisedId, paused: bool, sentence: String, reply: Reply) {
        let name = self.seats[id.0].name.clone();
        if paused {
            self.paused.insert(name);
        } else {
            self.paused.remove(&name);
        }
        let change = Change { platform: self.seats[id.0].name.clone(), paused, sentence, reply };
        if let Err(error) = self.changes.try_send(change) {
            let Change { platform, mut sentence, reply, .. } = error.into_inner();
            tracing::warn!(
                code = "pause_not_kept",
                platform,
                "a pause or resume could not be stored: the disk is too slow"
            );
            sentence
                .push_str(" This could not be stored (the disk is too slow), so it is lost at a restart.");
            drop(reply.send(Ok(sentence)));
        }
    }
}

type Reply = tokio::sync::oneshot::Sender<Answer>;

/// The effect of a resume on a platform in this state.
fn resuming(title: &str, state: &State) -> String {
    match state {
        State::Paused { .. } => format!("{title} is no longer paused and connects now."),
        State::Blocked { .. } => format!("Checking {title} again now."),
        State::Retrying { .. } => format!("Trying {title} again now."),
        State::Connecting { .. } | State::Disabled => format!("{title} is being connected."),
        State::Connected { degraded: Some(_), .. } | State::Connected { limited_until: Some(_), .. } => {
            format!("Trying {title} again now.")
        }
        State::Connected { .. } => format!("{title} is connected."),
        State::Stopping => format!("{title} is stopping."),
    }
}
