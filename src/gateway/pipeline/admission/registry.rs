//! Pure. The people who wait for admission, those who have it, and the rules for giving and taking codes.
//!
//! Everything here has a bound: three codes wait for each platform, each for an hour, and no person gets a second one
//! within ten minutes. After five wrong codes a platform takes none for an hour.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use subtle::Choice;

use crate::clock::Now;
use crate::gateway::inbound::gate::Asker;
use crate::gateway::model::identity::{listed_name, person};
use crate::gateway::pipeline::admission::code::{self, CHANCE_BYTES, Seal};
use crate::gateway::store::api::admissions::{AdmittedRow, Change, CodeRow, Kept, TriesRow};
use crate::platforms::Platform;

/// The time within which a code can be approved.
pub const CODE_LIFE: Duration = Duration::from_secs(3600);

/// Limit for the codes that wait for each platform.
pub const CODES_MAX: usize = 3;

/// The pause before the same person gets another code.
pub const ASK_EVERY: Duration = Duration::from_secs(600);

/// Wrong codes until none is taken.
pub const FAILURES_MAX: u32 = 5;

/// The time for which no code is taken or given after too many wrong ones.
pub const LOCK: Duration = Duration::from_secs(3600);

/// Limit for the people who had a code in the last ten minutes and no longer have it; beyond this no code is given.
const ASKED_MAX: usize = 64;

/// A wall clock that went back by more than this shows nothing about the age of a code.
const CLOCK_SLACK: SignedDuration = SignedDuration::from_secs(60);

/// The registry.
#[derive(Debug, Clone, Default)]
pub struct Registry {
    waiting: Vec<Waiting>,
    admitted: Vec<AdmittedRow>,
    tries: BTreeMap<Platform, Tries>,
    asked: Vec<(Platform, String, Instant)>,
}

/// A person who waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// The platform.
    pub platform: Platform,
    /// The person.
    pub person: String,
    alt: Option<String>,
    seal: Seal,
    made: Now,
}

#[derive(Debug, Clone, Copy, Default)]
struct Tries {
    failures: u32,
    locked: Option<Now>,
}

/// The outcome of a code that was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Approval {
    /// This person has access.
    Admitted(String),
    /// No person has this code.
    Wrong {
        /// Tries that are left until no code is taken.
        left: u32,
    },
    /// No code is taken for this long.
    Locked(Duration),
}

impl Registry {
    /// The registry as it was kept, read at this moment.
    pub fn of(kept: Kept, now: Now) -> Self {
        let since = |at_s: i64| {
            let wall = Timestamp::from_second(at_s).unwrap_or(Timestamp::MIN);
            let age = Duration::try_from(now.wall.duration_since(wall)).unwrap_or_default();
            Now { mono: now.mono.checked_sub(age).unwrap_or(now.mono), wall }
        };
        let waiting = kept.codes.into_iter().map(|row| Waiting {
            platform: row.platform,
            person: row.person,
            alt: row.alt,
            seal: Seal { salt: row.salt, hash: row.hash },
            made: since(row.made_at_s),
        });
        let tries = kept.tries.into_iter().map(|row| {
            // A lock that began in the future, because of a wrong clock, ends one hour from now.
            let locked = row.locked_at_s.map(since).map(|at| Now { wall: at.wall.min(now.wall), ..at });
            (row.platform, Tries { failures: row.failures, locked })
        });
        Self {
            waiting: waiting.collect(),
            admitted: kept.admitted,
            tries: tries.collect(),
            asked: Vec::new(),
        }
    }

    /// Everyone who has access, by each of their names.
    pub fn names(&self) -> BTreeSet<(Platform, String)> {
        let both =
            |row: &AdmittedRow| [Some(row.person.clone()), row.alt.clone()].map(|name| (row.platform, name));
        let names = self.admitted.iter().flat_map(both);
        names.filter_map(|(platform, name)| Some((platform, name?))).collect()
    }

    /// Everyone who has access.
    pub fn admitted(&self) -> &[AdmittedRow] {
        &self.admitted
    }

    /// Everyone who waits, and the time for which their code can still be approved.
    pub fn waiting(&self, now: Now) -> impl Iterator<Item = (&Waiting, Duration)> {
        let left =
            move |one: &Waiting| CODE_LIFE.saturating_sub(now.mono.saturating_duration_since(one.made.mono));
        self.waiting.iter().filter(move |one| one.is_alive(now)).map(move |one| (one, left(one)))
    }

    /// True when this person would get a code now.
    pub fn would_give(&self, now: Now, platform: Platform, asker: &Asker) -> bool {
        let others = self.alive(now, platform).filter(|one| !one.is_of(asker)).count();
        let had_one = self.alive(now, platform).any(|one| one.is_of(asker) && one.is_recent(now))
            || self.asked.iter().any(|(at, name, asked)| {
                *at == platform && is_name_of(asker, name) && is_within(*asked, now, ASK_EVERY)
            });
        others < CODES_MAX
            && !had_one
            && self.asked.len() < ASKED_MAX
            && self.locked_for(now, platform).is_none()
    }

    /// Gives this person a code, made of these random bytes, and voids the one that they had. `None`: not now.
    pub fn give(
        &mut self,
        now: Now,
        platform: Platform,
        asker: &Asker,
        chance: &[u8; CHANCE_BYTES],
    ) -> Option<(String, Vec<Change>)> {
        self.asked.retain(|(_, _, asked)| is_within(*asked, now, ASK_EVERY));
        if !self.would_give(now, platform, asker) {
            return None;
        }
        let mut changes = self.void(|one| !one.is_alive(now) || one.platform == platform && one.is_of(asker));
        let (code, seal) = code::make(chance);
        let Asker { person, alt } = asker.clone();
        self.asked.push((platform, person.clone(), now.mono));
        changes.push(Change::Give(CodeRow {
            platform,
            person: person.clone(),
            alt: alt.clone(),
            salt: seal.salt,
            hash: seal.hash,
            made_at_s: now.wall.as_second(),
        }));
        self.waiting.push(Waiting { platform, person, alt, seal, made: now });
        Some((code, changes))
    }

    /// Approves the code that the operator typed. Each is taken once.
    pub fn approve(&mut self, now: Now, platform: Platform, text: &str) -> (Approval, Vec<Change>) {
        if let Some(left) = self.locked_for(now, platform) {
            return (Approval::Locked(left), Vec::new());
        }
        let tries = self.tries.entry(platform).or_default();
        if tries.locked.take().is_some() {
            tries.failures = 0;
        }
        let code = code::typed(text);
        // Every waiting code is compared, so that the time reveals nothing.
        let mut found = None;
        for (index, one) in self.waiting.iter().enumerate() {
            let fits = code.as_deref().map_or(Choice::from(0), |code| one.seal.fits(code));
            if bool::from(fits) && one.platform == platform && one.is_alive(now) {
                found = Some(index);
            }
        }
        let Some(index) = found else {
            tries.failures = tries.failures.saturating_add(1);
            tries.locked = (tries.failures >= FAILURES_MAX).then_some(now);
            let row = TriesRow {
                platform,
                failures: tries.failures,
                locked_at_s: tries.locked.map(|at| at.wall.as_second()),
            };
            let approval = match tries.locked {
                Some(_) => Approval::Locked(LOCK),
                None => Approval::Wrong { left: FAILURES_MAX - tries.failures },
            };
            return (approval, vec![Change::Try(row)]);
        };
        *tries = Tries::default();
        let Waiting { person, alt, .. } = self.waiting.remove(index);
        let row = AdmittedRow { platform, person: person.clone(), alt, since_s: now.wall.as_second() };
        self.admitted.retain(|one| one.platform != platform || one.person != person);
        self.admitted.push(row.clone());
        let changes = vec![
            Change::Void(platform, person.clone()),
            Change::Admit(row),
            Change::Try(TriesRow { platform, failures: 0, locked_at_s: None }),
        ];
        (Approval::Admitted(person), changes)
    }

    /// Withdraws the admission of the person who has this name, and voids their code. Returns the names that were withdrawn.
    pub fn revoke(&mut self, platform: Platform, text: &str) -> (Vec<String>, Vec<Change>) {
        let named = [person(platform, text), listed_name(platform, text)];
        let is_it = |name: &str| {
            name == text
                || named[0].as_deref() == Some(name)
                || listed_name(platform, name).is_some_and(|listed| named[1].as_ref() == Some(&listed))
        };
        let is_one = |at: Platform, name: &str, alt: Option<&str>| {
            at == platform && (is_it(name) || alt.is_some_and(is_it))
        };
        let mut changes = self.void(|one| is_one(one.platform, &one.person, one.alt.as_deref()));
        let mut gone: Vec<String> = changes.iter().filter_map(voided).collect();
        self.admitted.retain(|row| {
            let goes = is_one(row.platform, &row.person, row.alt.as_deref());
            if goes {
                changes.push(Change::Revoke(platform, row.person.clone()));
                gone.push(row.person.clone());
            }
            !goes
        });
        gone.dedup();
        (gone, changes)
    }

    fn alive(&self, now: Now, platform: Platform) -> impl Iterator<Item = &Waiting> {
        self.waiting.iter().filter(move |one| one.platform == platform && one.is_alive(now))
    }

    fn void(&mut self, goes: impl Fn(&Waiting) -> bool) -> Vec<Change> {
        let mut changes = Vec::new();
        self.waiting.retain(|one| {
            let goes = goes(one);
            if goes {
                changes.push(Change::Void(one.platform, one.person.clone()));
            }
            !goes
        });
        changes
    }

    /// The time for which no code is taken or given.
    fn locked_for(&self, now: Now, platform: Platform) -> Option<Duration> {
        let at = self.tries.get(&platform)?.locked?;
        let wall = Duration::try_from(now.wall.duration_since(at.wall)).unwrap_or_default();
        let age = now.mono.saturating_duration_since(at.mono).max(wall);
        Some(LOCK.saturating_sub(age)).filter(|left| !left.is_zero())
    }
}

fn voided(change: &Change) -> Option<String> {
    match change {
        Change::Void(_, person) => Some(person.clone()),
        Change::Give(_) | Change::Admit(_) | Change::Revoke(..) | Change::Try(_) => None,
    }
}

fn is_within(at: Instant, now: Now, limit: Duration) -> bool {
    now.mono.saturating_duration_since(at) < limit
}

fn is_name_of(asker: &Asker, name: &str) -> bool {
    asker.person == name || asker.alt.as_deref() == Some(name)
}

impl Waiting {
    fn is_of(&self, asker: &Asker) -> bool {
        is_name_of(asker, &self.person) || self.alt.as_deref().is_some_and(|name| is_name_of(asker, name))
    }

    /// True when the code can still be approved by both clocks: one of them stands still while the machine sleeps, and
    /// people set the other one.
    fn is_alive(&self, now: Now) -> bool {
        let age = now.wall.duration_since(self.made.wall);
        let life = SignedDuration::try_from(CODE_LIFE).unwrap_or(SignedDuration::MAX);
        is_within(self.made.mono, now, CODE_LIFE) && age < life && age > -CLOCK_SLACK
    }

    fn is_recent(&self, now: Now) -> bool {
        is_within(self.made.mono, now, ASK_EVERY)
    }
}

#[cfg(test)]
mod tests;
