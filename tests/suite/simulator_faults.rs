//! Faults of the simulator: moods of services, and blows that hit one or all.

use std::time::Duration;

use hermes::gateway::model::failure::AdapterError;
use hermes::gateway::supervisor::host::{self, Host};
use hermes::gateway::supervisor::machine::{Input, Machine, Policy, State};
use hermes::gateway::supervisor::suspend::JumpWatch;

use crate::simulator::{HOUR, Report, SEATS, Simulation, unpaired};

/// Interval between two faults, on average, in seconds.
const FAULT_EVERY: f64 = 240.0;

/// The behaviour of a service.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Mood {
    Well,
    Fails(&'static str),
    AsksToWait(u64),
    Hangs,
    Panics,
    /// It refuses although the check passes.
    Denies,
    /// The check finds an obstacle.
    Blocked,
    /// It is ready, and lost a moment later.
    FlapDetector,
}

impl Simulation {
    /// Heals all services, and the operator resumes what they paused.
    pub(crate) fn heal(&mut self) {
        self.next_fault = None;
        self.outage_until = None;
        self.disk_full_until = None;
        for index in 0..SEATS {
            if std::mem::replace(&mut self.seats[index].mood, Mood::Well) == Mood::FlapDetector {
                // A connected platform is no longer lost.
                self.reports
                    .retain(|_, (seat, _, report)| *seat != index || !matches!(report, Report::Down(_)));
            }
            if let Some(link) = &mut self.seats[index].link {
                link.frozen = None;
            }
            if self.seats[index].paused_by_operator {
                self.operate(index, Input::Resume);
            }
        }
    }

    pub(crate) fn operate(&mut self, index: usize, input: Input) {
        self.seats[index].paused_by_operator = input == Input::Pause;
        // As far as the disk accepts it. A failure is reported, and changes nothing in this run.
        if self.disk_full_until.is_none() {
            self.seats[index].paused_on_disk = input == Input::Pause;
        }
        if input == Input::Resume {
            self.seats[index].excused = true;
            self.seats[index].attempts.clear();
        }
        self.give(index, input);
    }

    pub(crate) fn fault(&mut self) {
        let wait = Duration::from_secs_f64(1.0 + 2.0 * FAULT_EVERY * self.dice.roll());
        self.next_fault = Some(self.now + wait);
        let index = usize::try_from(self.draw(SEATS as u64)).expect("small");
        match self.draw(26) {
            0 => self.seats[index].mood = Mood::Fails("net_refused"),
            1 => self.seats[index].mood = Mood::Fails("net_tls"),
            2 => self.seats[index].mood = Mood::Fails("whatsapp_bridge_exited"),
            3 => {
                let wait = [1, 5, 60, 100_000][usize::try_from(self.draw(4)).expect("small")];
                self.seats[index].mood = Mood::AsksToWait(wait);
            }
            4 => self.seats[index].mood = Mood::Hangs,
            5 => self.seats[index].mood = Mood::Panics,
            6 => self.seats[index].mood = Mood::Denies,
            7 => self.seats[index].mood = Mood::Blocked,
            8 => self.seats[index].mood = Mood::FlapDetector,
            9 | 10 => self.drop_link(index),
            11 => self.silence(index),
            12 => self.limit(index),
            13 => self.operate(index, Input::Pause),
            14 => self.operate(index, Input::Resume),
            15 => self.outage(),
            16 => self.sleep(),
            17 => self.nonsense(index),
            18 => self.change_network(),
            19 | 20 => self.fill_disk(),
            21 | 22 => self.restart(),
            23 => self.operate(index, Input::Pause),
            _ => self.seats[index].mood = Mood::Well,
        }
    }

    fn drop_link(&mut self, index: usize) {
        if let Some(generation) = self.seats[index].link.as_ref().map(|link| link.generation) {
            let code =
                ["net_timeout", "whatsapp_bridge_exited"][usize::try_from(self.draw(2)).expect("small")];
            self.send(Duration::ZERO, index, generation, Report::Down(AdapterError::retryable(code, "lost")));
        }
    }

    /// Makes a connection half open: it is not reported, and no proof comes any more.
    fn silence(&mut self, index: usize) {
        let now = self.now;
        if let Some(link) = &mut self.seats[index].link {
            link.frozen.get_or_insert(now);
        }
    }

    fn limit(&mut self, index: usize) {
        if let Some(generation) = self.seats[index].link.as_ref().map(|link| link.generation) {
            let wait = self.draw(600);
            self.send(Duration::ZERO, index, generation, Report::Limited(wait));
        }
    }

    /// Simulates a changed address or route.
    pub(crate) fn change_network(&mut self) {
        for index in 0..SEATS {
            let after = host::STAGGER.mul_f64(self.dice.roll());
            // One more attempt than the ladder allows.
            self.seats[index].excused |=
                !matches!(self.seats[index].machine.state(), State::Connected { .. } | State::Blocked { .. });
            self.give(index, Input::NetworkChanged { after });
        }
    }

    fn fill_disk(&mut self) {
        let length = 60 + self.draw(7200);
        self.disk_full_until = Some(self.now + Duration::from_secs(length));
    }

    /// Restarts the process: only the state on the disk is left.
    fn restart(&mut self) {
        self.reports.clear();
        self.host = Host::new(SEATS, self.draw(1 << 30));
        self.jumps = JumpWatch::new(self.clocks());
        for index in 0..SEATS {
            let seed = self.draw(1 << 30);
            let seat = &mut self.seats[index];
            (seat.task, seat.link, seat.stable_since) = (None, None, None);
            seat.attempts.clear();
            seat.machine = Machine::new(Policy::default(), seed);
            seat.paused_by_operator = seat.paused_on_disk;
            if seat.paused_on_disk {
                self.give(index, Input::Pause);
            }
            self.give(index, Input::Start);
        }
    }

    /// Takes the network of all away: links fall silent, names are not found.
    fn outage(&mut self) {
        let length = 60 + self.draw(7200);
        self.outage_until = Some(self.now + Duration::from_secs(length));
        for index in 0..SEATS {
            self.silence(index);
        }
    }

    /// Suspends the machine: the monotonic clock stands still, and every link dies unseen.
    fn sleep(&mut self) {
        let length = 31 + self.draw(8 * 3600);
        self.slept += Duration::from_secs(length);
        self.epoch += 1;
        for index in 0..SEATS {
            self.silence(index);
        }
    }

    /// Delivers reports of attempts that never were, a second start, files that changed.
    fn nonsense(&mut self, index: usize) {
        let generation = self.draw(3);
        let is_past = self.seats[index].task.is_none_or(|task| task > generation);
        if is_past {
            self.give(index, Input::Up { generation: 0 });
            self.give(index, Input::Down { generation: 0, error: unpaired() });
            self.give(index, Input::Checked { generation: 0, result: Ok(()) });
            self.give(index, Input::Limited { generation: 0, wait: HOUR });
        }
        self.give(index, Input::Start);
        self.seats[index].excused = true;
        self.give(index, Input::Changed);
    }
}
