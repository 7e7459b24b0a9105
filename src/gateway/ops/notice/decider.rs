//! Pure. Decides when the operator is notified that a platform does not work, and that it works again.
//!
//! A platform that is not connected has a *case*. The operator is notified of a case when it is older than its limit (a
//! short one when only a person can help, a long one while the gateway still tries), and it is closed when the platform has
//! been connected for a while: so a platform that flaps is one case, not many. Only a case with a notice gets one for its
//! end. There is at most one notice about the cases of one platform in a period, whatever happens.
//!
//! A case without a route (no healthy platform with a home channel, and no command) waits for one.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use jiff::Zoned;

use crate::gateway::model::snapshot::{GatewayState, PlatformSnapshot, Snapshot, WireState};

/// The share of the short limit that a connection must last to count as a recovery.
const CALM_SHARE: u32 = 3;

/// The limits of the decisions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The time before a notice about a platform that only a person can bring back.
    pub after: Duration,
    /// The time before a notice about one that is still being tried.
    pub retrying_after: Duration,
    /// The pause between two notices about a platform; the end of a case does not count.
    pub every: Duration,
}

/// The fault of a platform, as in the status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// Its state.
    pub state: WireState,
    /// The stable code.
    pub code: Option<String>,
    /// The message for people.
    pub message: Option<String>,
    /// The step for a person.
    pub user_action: Option<String>,
}

/// The condition of a platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// Connected.
    Well,
    /// Not connected; the gateway tries.
    Trying(Trouble),
    /// Not connected, and not tried until a person acts.
    Stuck(Trouble),
    /// Not connected by an operator's request.
    Meant,
}

/// The decider's view of one platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sight {
    /// Its condition.
    pub condition: Condition,
    /// True when it has a home channel.
    pub has_channel: bool,
}

/// The way to the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// By their own command.
    Command,
    /// By the home channel of this platform.
    Channel(String),
}

/// A notice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// It does not work.
    Trouble {
        /// The time since it stopped.
        lasted: Duration,
        /// The fault.
        trouble: Trouble,
    },
    /// It works again.
    Recovered {
        /// The time for which it did not.
        lasted: Duration,
    },
    /// It was away for longer than its service keeps messages; see [`super::absence`].
    Missed {
        /// Messages may be lost from this time on.
        from: Zoned,
        /// Messages may be lost until this time.
        until: Zoned,
        /// The time for which the service keeps them.
        keeps: Duration,
    },
}

/// An input of the decider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// The state of every platform.
    Seen {
        /// The platforms, by name.
        platforms: BTreeMap<String, Sight>,
        /// True when the operator has set a command.
        has_command: bool,
    },
    /// These limits hold from now on.
    Configured(Limits),
}

/// An action to perform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Send a notice about this platform.
    Tell {
        /// The platform.
        platform: String,
        /// The notice.
        notice: Notice,
        /// The route.
        route: Route,
    },
}

/// A period in which a platform does not work.
#[derive(Debug)]
struct Case {
    began: Instant,
    trouble: Trouble,
    stuck: bool,
    told: bool,
    /// The time since which it is connected; the case is not closed yet.
    well_since: Option<Instant>,
}

#[derive(Debug, Default)]
struct Watch {
    case: Option<Case>,
    told_at: Option<Instant>,
}

/// The decider for all platforms.
#[derive(Debug)]
pub struct Notices {
    limits: Limits,
    watches: BTreeMap<String, Watch>,
    /// Connected platforms with a home channel.
    channels: Vec<String>,
    has_command: bool,
    actions: VecDeque<Action>,
}

impl Notices {
    /// A decider that has seen nothing yet.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            watches: BTreeMap::new(),
            channels: Vec::new(),
            has_command: false,
            actions: VecDeque::new(),
        }
    }

    /// Takes one input.
    pub fn handle(&mut self, now: Instant, input: Input) {
        match input {
            Input::Configured(limits) => self.limits = limits,
            Input::Seen { platforms, has_command } => {
                self.has_command = has_command;
                self.channels = platforms
                    .iter()
                    .filter(|(_, sight)| sight.has_channel && sight.condition == Condition::Well)
                    .map(|(name, _)| name.clone())
                    .collect();
                self.watches.retain(|name, _| platforms.contains_key(name));
                for (name, sight) in platforms {
                    self.watches.entry(name).or_default().see(now, sight.condition);
                }
            }
        }
        self.handle_timeout(now);
    }

    /// Performs what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        for (name, watch) in &mut self.watches {
            if watch.due(&self.limits).is_none_or(|due| due > now) {
                continue;
            }
            let route = route(name, watch, &self.channels, self.has_command);
            let Some(case) = &mut watch.case else { continue };
            let lasted = case.well_since.unwrap_or(now).saturating_duration_since(case.began);
            let notice = if case.well_since.is_some() {
                let told = case.told;
                watch.case = None;
                if !told {
                    continue;
                }
                Notice::Recovered { lasted }
            } else if route.is_some() {
                case.told = true;
                watch.told_at = Some(now);
                Notice::Trouble { lasted, trouble: case.trouble.clone() }
            } else {
                continue;
            };
            if let Some(route) = route {
                self.actions.push_back(Action::Tell { platform: name.clone(), notice, route });
            }
        }
    }

    /// The time at which [`Notices::handle_timeout`] has something to do.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.watches
            .iter()
            .filter(|(name, watch)| {
                watch.is_well() || route(name, watch, &self.channels, self.has_command).is_some()
            })
            .filter_map(|(_, watch)| watch.due(&self.limits))
            .min()
    }

    /// The next action, in order.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }
}

impl Watch {
    fn see(&mut self, now: Instant, condition: Condition) {
        let (trouble, stuck) = match condition {
            Condition::Well => {
                if let Some(case) = &mut self.case {
                    case.well_since = case.well_since.or(Some(now));
                }
                return;
            }
            Condition::Meant => {
                self.case = None;
                return;
            }
            Condition::Trying(trouble) => (trouble, false),
            Condition::Stuck(trouble) => (trouble, true),
        };
        match &mut self.case {
            Some(case) => {
                case.trouble = trouble;
                case.stuck = stuck;
                case.well_since = None;
            }
            None => self.case = Some(Case { began: now, trouble, stuck, told: false, well_since: None }),
        }
    }

    fn is_well(&self) -> bool {
        self.case.as_ref().is_none_or(|case| case.well_since.is_some())
    }

    /// The time when a notice is due, or a case is to be closed.
    fn due(&self, limits: &Limits) -> Option<Instant> {
        let case = self.case.as_ref()?;
        if let Some(since) = case.well_since {
            return Some(since + limits.after / CALM_SHARE);
        }
        if case.told {
            return None;
        }
        let limit = if case.stuck { limits.after } else { limits.retrying_after };
        let due = case.began + limit;
        Some(self.told_at.map_or(due, |told_at| due.max(told_at + limits.every)))
    }
}

/// The route: the operator's own command if there is one; else another platform that works. A platform that works again can
/// report it itself.
fn route(name: &str, watch: &Watch, channels: &[String], has_command: bool) -> Option<Route> {
    if has_command {
        return Some(Route::Command);
    }
    let other = channels.iter().find(|channel| *channel != name);
    let own = channels.iter().find(|channel| watch.is_well() && *channel == name);
    other.or(own).map(|channel| Route::Channel(channel.clone()))
}

/// The view of each platform in the status. `None` while the gateway itself ends.
pub fn sights(snapshot: &Snapshot, has_channel: impl Fn(&str) -> bool) -> Option<BTreeMap<String, Sight>> {
    match snapshot.gateway_state {
        GatewayState::Draining | GatewayState::Stopped | GatewayState::StartupFailed => None,
        GatewayState::Starting | GatewayState::Running | GatewayState::Degraded => {
            let sight = |(name, platform): (&String, &PlatformSnapshot)| {
                let sight = Sight { condition: condition(platform), has_channel: has_channel(name) };
                (name.clone(), sight)
            };
            Some(snapshot.platforms.iter().map(sight).collect())
        }
    }
}

fn condition(platform: &PlatformSnapshot) -> Condition {
    let trouble = || Trouble {
        state: platform.state,
        code: platform.error_code.clone(),
        message: platform.cause().map(str::to_owned),
        user_action: platform.user_action.clone(),
    };
    match platform.state {
        WireState::Connected => Condition::Well,
        WireState::Connecting | WireState::RateLimited | WireState::Retrying => Condition::Trying(trouble()),
        WireState::Paused if platform.paused_by.as_deref() == Some("operator") => Condition::Meant,
        WireState::Paused | WireState::Fatal => Condition::Stuck(trouble()),
        WireState::Disabled | WireState::Disconnected => Condition::Meant,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Now;

    const MINUTE: Duration = Duration::from_secs(60);
    const LIMITS: Limits = Limits {
        after: Duration::from_secs(180),
        retrying_after: Duration::from_secs(900),
        every: Duration::from_secs(3600),
    };

    fn trouble(state: WireState) -> Trouble {
        Trouble { state, code: Some("net_dns".into()), message: None, user_action: None }
    }

    fn trying() -> Condition {
        Condition::Trying(trouble(WireState::Retrying))
    }

    fn stuck() -> Condition {
        Condition::Stuck(trouble(WireState::Fatal))
    }

    /// The decider with its own clock, in minutes.
    struct Stage {
        notices: Notices,
        begin: Instant,
        has_command: bool,
    }

    impl Stage {
        fn new() -> Self {
            Self { notices: Notices::new(LIMITS), begin: Now::read().mono, has_command: false }
        }

        fn at(&self, minute: u32) -> Instant {
            self.begin + MINUTE * minute
        }

        fn see(&mut self, minute: u32, platforms: &[(&str, Condition)]) {
            let sight = |(name, condition): &(&str, Condition)| {
                ((*name).to_owned(), Sight { condition: condition.clone(), has_channel: *name != "mute" })
            };
            let platforms = platforms.iter().map(sight).collect();
            let input = Input::Seen { platforms, has_command: self.has_command };
            self.notices.handle(self.at(minute), input);
        }

        /// The notices when all timers up to this minute have run: (minute of the timer, platform, kind, route).
        fn told(&mut self, minute: u32) -> Vec<(u64, String, &'static str, Route)> {
            let mut told = Vec::new();
            let mut now = self.begin;
            loop {
                while let Some(Action::Tell { platform, notice, route }) = self.notices.poll_action() {
                    let what = match notice {
                        Notice::Trouble { .. } => "trouble",
                        Notice::Recovered { .. } => "recovered",
                        Notice::Missed { .. } => unreachable!("that is not decided here"),
                    };
                    told.push((now.duration_since(self.begin).as_secs() / 60, platform, what, route));
                }
                match self.notices.poll_timeout() {
                    Some(due) if due <= self.at(minute) => {
                        now = now.max(due);
                        self.notices.handle_timeout(now);
                    }
                    Some(_) | None => return told,
                }
            }
        }
    }

    fn by(name: &str) -> Route {
        Route::Channel(name.to_owned())
    }

    #[test]
    fn a_stuck_platform_is_told_after_3_minutes_and_a_retrying_one_after_15() {
        for (condition, minute) in [(stuck(), 3), (trying(), 15)] {
            let mut stage = Stage::new();
            stage.see(0, &[("a", condition.clone()), ("b", Condition::Well)]);
            assert_eq!(stage.told(minute - 1), []);
            assert_eq!(stage.told(600), [(u64::from(minute), "a".into(), "trouble", by("b"))], "once");
        }
    }

    #[test]
    fn what_was_tried_for_long_and_is_given_up_is_told_at_once() {
        let mut stage = Stage::new();
        stage.see(0, &[("a", trying()), ("b", Condition::Well)]);
        stage.see(10, &[("a", stuck()), ("b", Condition::Well)]);
        assert_eq!(stage.told(10).len(), 1);
    }

    #[test]
    fn a_recovery_is_told_once_if_the_trouble_was() {
        let mut stage = Stage::new();
        stage.see(0, &[("a", stuck()), ("b", Condition::Well)]);
        assert_eq!(stage.told(5).len(), 1);
        stage.see(6, &[("a", Condition::Well), ("b", Condition::Well)]);
        assert_eq!(stage.told(600), [(7, "a".into(), "recovered", by("b"))]);
        stage.see(700, &[("a", stuck()), ("b", Condition::Well)]);
        stage.see(702, &[("a", Condition::Well), ("b", Condition::Well)]);
        assert_eq!(stage.told(900), [], "nobody heard of the trouble");
    }

    #[test]
    fn a_flapping_platform_is_one_case_and_is_told_at_most_once_an_hour() {
        let mut stage = Stage::new();
        let mut told = Vec::new();
        for minute in 0..240 {
            // Ten seconds of every minute it is connected.
            stage.see(minute, &[("a", Condition::Well), ("b", Condition::Well)]);
            let lost = stage.at(minute) + Duration::from_secs(10);
            let platforms = [("a", trying()), ("b", Condition::Well)]
                .map(|(name, condition)| (name.to_owned(), Sight { condition, has_channel: true }));
            let input = Input::Seen { platforms: platforms.into(), has_command: false };
            stage.notices.handle(lost, input);
            told.extend(stage.told(minute).into_iter().map(|(_, _, what, _)| what));
        }
        assert_eq!(told, ["trouble"]);
        // New cases again and again: well for half an hour, stuck for half an hour.
        let mut stage = Stage::new();
        let mut told = Vec::new();
        for round in 0..24 {
            stage.see(round * 60, &[("a", stuck()), ("b", Condition::Well)]);
            told.extend(stage.told(round * 60 + 29));
            stage.see(round * 60 + 30, &[("a", Condition::Well), ("b", Condition::Well)]);
            told.extend(stage.told(round * 60 + 59));
        }
        let troubles: Vec<u64> = told.iter().filter(|told| told.2 == "trouble").map(|told| told.0).collect();
        assert!(troubles.windows(2).all(|pair| pair[1] - pair[0] >= 60), "{troubles:?}");
        let recoveries = told.iter().filter(|told| told.2 == "recovered").count();
        assert!(troubles.len() >= 20 && recoveries == troubles.len(), "{told:?}");
    }

    #[test]
    fn the_way_is_another_platform_that_works_and_has_a_channel_or_the_command() {
        let mut stage = Stage::new();
        stage.see(0, &[("a", stuck()), ("b", stuck()), ("mute", Condition::Well)]);
        assert_eq!(stage.told(600), [], "there is no way");
        assert_eq!(stage.notices.poll_timeout(), None, "and nothing to wake for");
        stage.see(700, &[("a", stuck()), ("b", Condition::Well), ("mute", Condition::Well)]);
        assert_eq!(stage.told(700).iter().map(|told| &told.3).collect::<Vec<_>>(), [&by("b")]);
        stage.has_command = true;
        stage.see(800, &[("a", stuck()), ("b", Condition::Well), ("mute", trying())]);
        assert_eq!(stage.told(900).iter().map(|told| &told.3).collect::<Vec<_>>(), [&Route::Command]);
    }

    #[test]
    fn the_only_platform_says_itself_that_it_is_back() {
        let mut stage = Stage::new();
        stage.has_command = true;
        stage.see(0, &[("a", stuck())]);
        assert_eq!(stage.told(5).len(), 1);
        stage.has_command = false;
        stage.see(6, &[("a", Condition::Well)]);
        assert_eq!(stage.told(60).iter().map(|told| &told.3).collect::<Vec<_>>(), [&by("a")]);
    }

    #[test]
    fn what_an_operator_paused_or_nobody_enabled_is_not_told() {
        let mut stage = Stage::new();
        stage.see(0, &[("a", stuck()), ("b", Condition::Well)]);
        stage.see(2, &[("a", Condition::Meant), ("b", Condition::Well)]);
        assert_eq!(stage.told(600), []);
        stage.see(601, &[("b", Condition::Well)]);
        stage.see(602, &[("a", stuck()), ("b", Condition::Well)]);
        assert_eq!(stage.told(604), [], "a new case has all its time");
        assert_eq!(stage.told(605).len(), 1);
    }

    #[test]
    fn new_limits_hold_at_once() {
        let mut stage = Stage::new();
        stage.see(0, &[("a", stuck()), ("b", Condition::Well)]);
        let input = Input::Configured(Limits { after: Duration::ZERO, ..LIMITS });
        stage.notices.handle(stage.at(0), input);
        assert_eq!(stage.told(0).len(), 1);
    }

    #[test]
    fn states_are_seen_as_an_operator_sees_them() {
        let mut snapshot = crate::gateway::model::snapshot::tests::example();
        let of = |snapshot: &Snapshot| {
            let sights = sights(snapshot, |name| name == "whatsapp").unwrap();
            assert!(sights["whatsapp"].has_channel);
            sights["whatsapp"].condition.clone()
        };
        for (state, paused_by, is_expected) in [
            (WireState::Connected, None, (|seen| matches!(seen, Condition::Well)) as fn(Condition) -> bool),
            (WireState::Connecting, None, |seen| matches!(seen, Condition::Trying(_))),
            (WireState::Retrying, None, |seen| matches!(seen, Condition::Trying(_))),
            (WireState::RateLimited, None, |seen| matches!(seen, Condition::Trying(_))),
            (WireState::Fatal, None, |seen| matches!(seen, Condition::Stuck(_))),
            (WireState::Paused, Some("breaker"), |seen| matches!(seen, Condition::Stuck(_))),
            (WireState::Paused, Some("operator"), |seen| matches!(seen, Condition::Meant)),
            (WireState::Disabled, None, |seen| matches!(seen, Condition::Meant)),
            (WireState::Disconnected, None, |seen| matches!(seen, Condition::Meant)),
        ] {
            let platform = snapshot.platforms.get_mut("whatsapp").unwrap();
            platform.state = state;
            platform.paused_by = paused_by.map(str::to_owned);
            assert!(is_expected(of(&snapshot)), "{state}");
        }
        snapshot.gateway_state = GatewayState::Draining;
        assert_eq!(sights(&snapshot, |_| true), None, "an end is no trouble");
    }
}
