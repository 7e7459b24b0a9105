//! Ten minutes of a service's weather, in virtual time.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Instant;

use serde_json::json;

use super::*;
use crate::gateway::platforms::telegram::failure;
use crate::net;
use crate::platforms::telegram::wire::{Parameters, Refusal};

/// The fate of one poll.
enum Fate {
    Fails(Fault),
    /// It is held as long as it asks for, and cut when it lasts longer than this.
    Held(Duration),
    /// Answered at once, also with nothing.
    Hasty,
}

/// A message comes this often.
const EVERY: Duration = Duration::from_millis(1300);

const SECOND: Duration = Duration::from_secs(1);
const POLL: Duration = Duration::from_secs(30);

#[derive(Default)]
struct Known {
    polls: u32,
    failures: u32,
    conflicts: failure::Conflicts,
    confirmed: i64,
    /// The wait of each message until it was fetched.
    fetched: BTreeMap<i64, Duration>,
    /// The time when the last batch was on disk.
    taken: Option<Duration>,
    /// The longest pause after that until the next poll.
    pause_max: Duration,
}

struct Service<F> {
    begin: Instant,
    known: Mutex<Known>,
    fate: F,
}

impl<F: Fn(u32, Duration, Duration) -> Fate + Sync> Service<F> {
    /// `fate`: of the nth poll, this long after the beginning, that may wait this long.
    fn new(fate: F) -> Self {
        Self { begin: Now::read().mono, known: Mutex::default(), fate }
    }

    fn known<T>(&self, look: impl FnOnce(&mut Known) -> T) -> T {
        look(&mut self.known.lock().unwrap())
    }

    fn arrived(&self) -> i64 {
        i64::try_from(self.age().as_millis() / EVERY.as_millis()).unwrap()
    }

    fn age(&self) -> Duration {
        Now::read().mono - self.begin
    }

    async fn answer(&self, wait: Duration) -> Answer {
        let polls = self.known(|known| known.polls);
        let limit = match (self.fate)(polls, self.age(), wait) {
            Fate::Fails(fault) => return Err(fault),
            Fate::Held(longest) => wait.min(longest),
            Fate::Hasty => Duration::ZERO,
        };
        let is_cut = limit < wait && !limit.is_zero();
        let until = Now::read().mono + limit;
        loop {
            let (now, last) = (Now::read().mono, self.arrived());
            let from = self.known(|known| known.confirmed) + 1;
            if from <= last {
                return Ok((from..=last)
                    .filter_map(|id| RawUpdate::of(&json!({ "update_id": id }).to_string()))
                    .collect());
            }
            if now >= until {
                return if is_cut { Err(cut()) } else { Ok(Vec::new()) };
            }
            let next = self.begin + EVERY * u32::try_from(last + 1).unwrap();
            tokio::time::sleep_until(next.min(until).into()).await;
        }
    }

    /// Runs for this time, with these checks at each tenth of a second: the shown state, and the service's state.
    async fn run(&self, shared: &Shared, time: Duration, mut look: impl FnMut(Option<&Degraded>, &Known)) {
        let looking = async {
            while self.age() < time {
                tokio::time::sleep(SECOND / 10).await;
                let health = shared.health().borrow().clone();
                self.known(|known| look(health.as_ref(), known));
                assert!(Now::read().mono - shared.proof() < Platform::Telegram.spec().lease);
            }
        };
        tokio::select! {
            fault = run(self, shared, POLL, Ok(Vec::new())) => panic!("given up: {fault:?}"),
            () = looking => {}
        }
    }

    /// Returns the longest wait of a message, of those that could be fetched.
    fn slowest(&self) -> Duration {
        self.known(|known| {
            assert!(known.fetched.len() as i64 >= self.arrived() - 1, "{} are fetched", known.fetched.len());
            known.fetched.values().max().copied().unwrap()
        })
    }
}

impl<F: Fn(u32, Duration, Duration) -> Fate + Sync> Source for Service<F> {
    async fn poll(&self, confirm: Option<i64>, wait: Duration) -> Answer {
        self.known(|known| {
            known.polls += 1;
            let pause = known.taken.take().map_or(Duration::ZERO, |at| self.age() - at);
            known.pause_max = known.pause_max.max(pause);
            known.confirmed = known.confirmed.max(confirm.unwrap_or_default());
        });
        let answer = self.answer(wait).await;
        let age = self.age();
        self.known(|known| match &answer {
            Ok(batch) => {
                known.failures = 0;
                for update in batch {
                    let id = update.update_id.unwrap();
                    known.fetched.entry(id).or_insert(age - EVERY * u32::try_from(id).unwrap());
                }
            }
            Err(_) => known.failures += 1,
        });
        answer
    }

    fn tell_odd(&self, number: &str) {
        panic!("{number}");
    }

    async fn take(&self, batch: Vec<RawUpdate>) {
        // Not a whole millisecond, to which the clock rounds each sleep.
        tokio::time::advance(Duration::from_micros(5500) * u32::from(!batch.is_empty())).await;
        self.known(|known| known.taken = Some(self.age()));
    }

    fn is_nonsense(&self) -> bool {
        false
    }

    fn conflict(&self, fault: Fault) -> AdapterError {
        let conflicts = self.known(|known| known.conflicts.count(Now::read().mono));
        let Fault::Refused(refusal) = fault else { panic!("{fault:?}") };
        failure::of_connection(&refusal, conflicts)
    }

    async fn clear(&self) {}
}

fn refused(status: u16, retry_after: Option<u64>) -> Fault {
    let parameters = Parameters { retry_after, ..Parameters::default() };
    Fault::Refused(Refusal { status, description: "weather".to_owned(), parameters, by_service: true })
}

fn cut() -> Fault {
    let (certainty, retry) = (net::Certainty::MaybeSent, Retry::Backoff);
    Fault::Way(net::Fault { code: "net_lost", certainty, retry, said: "broke off its answer" })
}

/// Checks that the shown state is true: two failures in a row are shown, one is not.
fn is_true(health: Option<&Degraded>, known: &Known) {
    let expected = (known.failures >= 2).then_some(("telegram_network_error", known.failures, Some(10)));
    let shown = health.map(|health| (health.error.code, health.failures, health.failures_max));
    assert_eq!(shown, expected);
}

#[tokio::test(start_paused = true)]
async fn bad_weather_costs_no_message_two_seconds_and_nothing_untrue_is_shown() {
    const MINUTES: Duration = Duration::from_secs(600);
    let held = || Fate::Held(POLL);
    let twentieth =
        Service::new(|poll, _, _| if poll % 20 == 0 { Fate::Fails(refused(502, None)) } else { held() });
    let shared = Shared::new();
    twentieth.run(&shared, MINUTES, is_true).await;
    assert!(twentieth.slowest() < SECOND / 2, "{:?}", twentieth.slowest());

    let next = Mutex::new(12 * SECOND);
    let each_12_s = Service::new(|poll, age, _| {
        let mut next = next.lock().unwrap();
        if age < *next {
            return held();
        }
        *next = age + 12 * SECOND;
        Fate::Fails(if poll % 2 == 0 { refused(502, None) } else { Fault::Garbled("html") })
    });
    let shared = Shared::new();
    each_12_s.run(&shared, MINUTES, is_true).await;
    assert!(each_12_s.slowest() < SECOND / 2, "{:?}", each_12_s.slowest());

    // Three in a row, every minute.
    let in_a_row = Service::new(|_, age, _| {
        if age.as_secs() % 60 < 2 && age > SECOND { Fate::Fails(refused(500, None)) } else { held() }
    });
    let (shared, mut told) = (Shared::new(), 0);
    in_a_row
        .run(&shared, MINUTES, |health, known| {
            told += u32::from(health.is_some());
            is_true(health, known);
        })
        .await;
    assert!(told > 100, "{told}");
    assert!(in_a_row.slowest() < 5 * SECOND, "{:?}", in_a_row.slowest());
}

#[tokio::test(start_paused = true)]
async fn what_is_on_disk_is_confirmed_at_once() {
    let service = Service::new(|_, _, _| Fate::Held(POLL));
    service.run(&Shared::new(), 60 * SECOND, is_true).await;
    assert_eq!(service.known(|known| known.pause_max), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn idle_polls_that_are_cut_cost_nothing_and_nothing_untrue_is_shown() {
    for every in [5, 12, 29] {
        // No answer comes for the first 1300 ms of each poll, and no update but each 1300 ms.
        let service = Service::new(|_, _, _| Fate::Held(every * SECOND / 10));
        let shared = Shared::new();
        service.run(&shared, 600 * SECOND, is_true).await;
        assert!(service.slowest() < SECOND / 2, "{every}: {:?}", service.slowest());
        assert!(service.known(|known| known.polls) < 4 * 600);
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_that_does_not_wait_is_asked_twice_a_second_and_a_message_is_fetched_in_half_of_one() {
    let hasty = Service::new(|_, _, _| Fate::Hasty);
    hasty.run(&Shared::new(), 600 * SECOND, is_true).await;
    assert!(hasty.slowest() <= PACE_MAX, "{:?}", hasty.slowest());
    assert!(hasty.known(|known| known.polls) < 5 * 600, "{}", hasty.known(|known| known.polls));
    // A service that refuses to wait, and answers requests that do not wait.
    let moody =
        Service::new(|_, _, wait| if wait.is_zero() { Fate::Hasty } else { Fate::Fails(refused(502, None)) });
    moody.run(&Shared::new(), 600 * SECOND, is_true).await;
    assert!(moody.slowest() <= 2 * PACE_MAX, "{:?}", moody.slowest());
    assert!(moody.known(|known| known.polls) < 6 * 600, "{}", moody.known(|known| known.polls));
}

#[tokio::test(start_paused = true)]
async fn a_service_that_stays_away_is_given_up_with_the_lease_and_no_sooner() {
    let lease = Platform::Telegram.spec().lease;
    for fault in [refused(502, None), cut(), Fault::Garbled("html")] {
        let service = Service::new(|_, _, _| Fate::Fails(fault.clone()));
        let shared = Shared::new();
        assert_eq!(run(&service, &shared, POLL, Ok(Vec::new())).await, fault);
        let told = shared.health().borrow().clone().unwrap();
        assert_eq!(
            (told.error.code, told.failures, told.failures_max),
            ("telegram_network_error", 9, Some(10))
        );
        assert!(service.age() > lease / 2 && service.age() < lease, "{:?}", service.age());
    }
    // A token that is refused once is asked about once more; twice is for good.
    for (fault, polls) in [(refused(401, None), 2), (refused(404, None), 2), (refused(429, None), 1)] {
        let service = Service::new(|_, _, _| Fate::Fails(fault.clone()));
        assert_eq!(run(&service, &Shared::new(), POLL, Ok(Vec::new())).await, fault);
        assert_eq!(service.known(|known| known.polls), polls);
        assert_eq!(service.age(), Duration::ZERO);
    }
    let once =
        Service::new(|poll, _, _| if poll == 3 { Fate::Fails(refused(401, None)) } else { Fate::Held(POLL) });
    once.run(&Shared::new(), 60 * SECOND, is_true).await;
}

#[tokio::test(start_paused = true)]
async fn a_short_limit_is_waited_out_and_said() {
    let limited = Service::new(|_, age, _| {
        if age > SECOND && age < 6 * SECOND { Fate::Fails(refused(429, Some(5))) } else { Fate::Held(POLL) }
    });
    let mut told = 0;
    let look = |health: Option<&Degraded>, _: &Known| {
        assert!(health.is_none_or(|health| health.error.code == "telegram_rate_limited"));
        told += u32::from(health.is_some());
    };
    limited.run(&Shared::new(), 60 * SECOND, look).await;
    assert!((45..=55).contains(&told), "{told}");
}

#[tokio::test(start_paused = true)]
async fn beside_another_poller_the_connection_stays_and_says_so_and_an_operator_ends_the_wait() {
    let service =
        Service::new(|poll, _, _| if poll <= 6 { Fate::Fails(refused(409, None)) } else { Fate::Held(POLL) });
    let shared = Shared::new();
    let hurried = Mutex::new(0);
    // As the probe does: it is answered meanwhile.
    let probing = async {
        loop {
            tokio::time::sleep(30 * SECOND).await;
            shared.seen();
        }
    };
    let running = service.run(&shared, 400 * SECOND, |health, known| {
        let is_told = health.is_some_and(|health| health.error.code == "telegram_polling_conflict");
        assert_eq!(is_told, (1..=6).contains(&known.polls), "{}", known.polls);
        let mut hurried = hurried.lock().unwrap();
        // The wait after the sixth would last for 40 s.
        if known.polls == 6 && *hurried == 0 {
            *hurried = known.polls;
            shared.hurry();
        }
    });
    tokio::select! {
        () = probing => {}
        () = running => {}
    }
    assert_eq!(*hurried.lock().unwrap(), 6);
    let waited = service.known(|known| known.fetched[&1]);
    assert!(waited > 36 * SECOND && waited < 41 * SECOND, "1, 2, 5, 10, 20, and what was left: {waited:?}");
}

#[tokio::test(start_paused = true)]
async fn beside_another_poller_that_is_there_for_a_moment_no_message_waits_for_two_seconds() {
    for every in [65, 200] {
        let next = Mutex::new(every * SECOND);
        let service = Service::new(|_, age, _| {
            let mut next = next.lock().unwrap();
            if age < *next {
                // The other one ends our question as soon as it asks.
                return Fate::Held(*next - age);
            }
            *next = age + every * SECOND;
            Fate::Fails(refused(409, None))
        });
        service.run(&Shared::new(), 600 * SECOND, |_, _| {}).await;
        assert!(service.slowest() < 2 * SECOND, "every {every} s: {:?}", service.slowest());
    }
}

/// A service that keeps what is not confirmed; taking its first update lasts for minutes, and that of the third for one.
#[derive(Default)]
struct Slow {
    waiting: Mutex<Vec<i64>>,
    confirmed: Mutex<i64>,
    taken: Mutex<Vec<(i64, Duration)>>,
    polls: Mutex<u32>,
    begin: Option<Instant>,
}

impl Slow {
    fn age(&self) -> Duration {
        Now::read().mono - self.begin.unwrap()
    }

    fn batch(&self) -> Vec<RawUpdate> {
        let waiting = self.waiting.lock().unwrap();
        let update = |id: &i64| RawUpdate::of(&json!({ "update_id": id }).to_string());
        waiting.iter().take(100).filter_map(update).collect()
    }
}

impl Source for Slow {
    async fn poll(&self, confirm: Option<i64>, wait: Duration) -> Answer {
        *self.polls.lock().unwrap() += 1;
        if let Some(last) = confirm {
            let taken = self.taken.lock().unwrap().clone();
            let mut waiting = self.waiting.lock().unwrap();
            let is_taken = |id: &i64| taken.iter().any(|(done, _)| done == id);
            assert!(waiting.iter().filter(|id| **id <= last).all(is_taken), "{last}: {waiting:?} {taken:?}");
            waiting.retain(|id| *id > last);
            *self.confirmed.lock().unwrap() = last;
        }
        let until = Now::read().mono + wait;
        while self.waiting.lock().unwrap().is_empty() && Now::read().mono < until {
            tokio::time::sleep(SECOND / 10).await;
        }
        Ok(self.batch())
    }

    fn tell_odd(&self, number: &str) {
        panic!("{number}");
    }

    async fn take(&self, batch: Vec<RawUpdate>) {
        for id in batch.iter().map(|update| update.update_id.unwrap()) {
            let lasts = match id {
                1 => 300 * SECOND,
                3 => 60 * SECOND,
                _ => SECOND / 100,
            };
            tokio::time::sleep(lasts).await;
            self.taken.lock().unwrap().push((id, self.age()));
        }
    }

    fn is_nonsense(&self) -> bool {
        false
    }

    fn conflict(&self, fault: Fault) -> AdapterError {
        panic!("{fault:?}");
    }

    async fn clear(&self) {}
}

#[tokio::test(start_paused = true)]
async fn what_takes_minutes_keeps_nothing_else_waiting_and_is_confirmed_only_when_it_is_taken() {
    let service = Slow { begin: Some(Now::read().mono), ..Slow::default() };
    let shared = Shared::new();
    let writing = async {
        // One answer, which has only what is slow; the rest comes while it is taken.
        for id in 2..=20 {
            tokio::time::sleep(10 * SECOND).await;
            service.waiting.lock().unwrap().push(id);
            assert_eq!(*service.confirmed.lock().unwrap(), 0);
        }
        while *service.confirmed.lock().unwrap() < 20 {
            tokio::time::sleep(SECOND / 10).await;
        }
    };
    service.waiting.lock().unwrap().push(1);
    tokio::select! {
        fault = run(&service, &shared, POLL, Ok(service.batch())) => panic!("given up: {fault:?}"),
        () = writing => {}
    }
    assert!(service.age() < 302 * SECOND, "{:?}", service.age());
    let taken = service.taken.lock().unwrap().clone();
    assert_eq!(taken.len(), 20, "each once: {taken:?}");
    for (id, at) in taken.iter().filter(|(id, _)| ![1, 3].contains(id)) {
        let came = 10 * SECOND * u32::try_from(id - 1).unwrap();
        assert!(*at < came + 2 * SECOND, "{id}: {at:?}");
    }
    assert!(*service.polls.lock().unwrap() < 2 * 300, "{}", service.polls.lock().unwrap());
}
