//! The registry, with given times.

use proptest::prelude::*;

use super::*;

const W: Platform = Platform::Whatsapp;

fn played() -> Platform {
    Platform::scripted(1).expect("there is one")
}

fn asker(name: &str) -> Asker {
    Asker { person: name.into(), alt: None }
}

fn start() -> Now {
    Now { wall: Timestamp::from_second(1_800_000_000).unwrap(), ..Now::read() }
}

fn later(now: Now, seconds: u64) -> Now {
    let by = Duration::from_secs(seconds);
    Now { mono: now.mono + by, wall: now.wall + by }
}

/// Only the wall clock is set.
fn set(now: Now, seconds: i64) -> Now {
    Now { wall: now.wall + SignedDuration::from_secs(seconds), ..now }
}

/// A code for this person, made of this number.
fn give(book: &mut Registry, now: Now, name: &str, number: u8) -> Option<String> {
    book.give(now, played(), &asker(name), &[number; CHANCE_BYTES]).map(|(code, _)| code)
}

/// The registry as a process that begins now reads it from everything that this one kept.
fn reopened(kept: &Kept, now: Now) -> Registry {
    Registry::of(kept.clone(), now)
}

fn kept(book: &Registry) -> Kept {
    let codes = book.waiting.iter().map(|one| CodeRow {
        platform: one.platform,
        person: one.person.clone(),
        alt: one.alt.clone(),
        salt: one.seal.salt,
        hash: one.seal.hash,
        made_at_s: one.made.wall.as_second(),
    });
    let tries = book.tries.iter().map(|(platform, tries)| TriesRow {
        platform: *platform,
        failures: tries.failures,
        locked_at_s: tries.locked.map(|at| at.wall.as_second()),
    });
    Kept { codes: codes.collect(), admitted: book.admitted.clone(), tries: tries.collect() }
}

#[test]
fn a_code_admits_once_and_on_its_platform_only() {
    let (mut book, now) = (Registry::default(), start());
    let code = give(&mut book, now, "eve", 1).unwrap();
    assert!(matches!(book.approve(now, W, &code).0, Approval::Wrong { .. }));
    let (approval, changes) = book.approve(later(now, 3599), played(), &code.to_lowercase());
    assert_eq!(approval, Approval::Admitted("eve".into()));
    assert!(changes.iter().any(|change| matches!(change, Change::Admit(row) if row.person == "eve")));
    assert_eq!(book.names(), BTreeSet::from([(played(), "eve".to_owned())]));
    assert!(matches!(book.approve(later(now, 3599), played(), &code).0, Approval::Wrong { .. }), "a replay");
}

#[test]
fn nobody_gets_a_second_code_within_ten_minutes_nor_a_fourth_person_one_at_all() {
    let (mut book, now) = (Registry::default(), start());
    let first = give(&mut book, now, "eve", 1).unwrap();
    assert_eq!(give(&mut book, later(now, 599), "eve", 2), None);
    assert!(give(&mut book, now, "ann", 3).is_some() && give(&mut book, now, "bob", 4).is_some());
    assert_eq!(give(&mut book, later(now, 30), "dan", 5), None);
    let second = give(&mut book, later(now, 600), "eve", 6).unwrap();
    assert_ne!(first, second);
    assert!(
        matches!(book.approve(later(now, 601), played(), &first).0, Approval::Wrong { .. }),
        "it is void"
    );
    assert_eq!(book.waiting(later(now, 601)).count(), CODES_MAX);
    assert!(give(&mut book, later(now, 3600), "dan", 7).is_some(), "the others' hour is over");
    assert_eq!(book.revoke(played(), "dan").0, ["dan"]);
    assert_eq!(give(&mut book, later(now, 3700), "dan", 8), None, "a void code is still one in ten minutes");
    let both = Asker { person: "900101@lid".into(), alt: Some("15550101@s.whatsapp.net".into()) };
    assert!(book.give(now, W, &both, &[9; CHANCE_BYTES]).is_some());
    let other_name = asker("15550101@s.whatsapp.net");
    assert!(book.give(now, W, &other_name, &[10; CHANCE_BYTES]).is_none(), "it is the same person");
}

#[test]
fn five_wrong_codes_close_the_door_for_an_hour_also_for_the_right_one_and_over_a_restart() {
    let (mut book, now) = (Registry::default(), start());
    let code = give(&mut book, now, "eve", 1).unwrap();
    for left in (1..FAILURES_MAX).rev() {
        assert_eq!(book.approve(now, played(), "AAAAAAA9").0, Approval::Wrong { left });
        book = reopened(&kept(&book), now);
    }
    assert_eq!(book.approve(now, played(), "nonsense").0, Approval::Locked(LOCK));
    assert_eq!(
        book.approve(later(now, 1), played(), &code).0,
        Approval::Locked(LOCK - Duration::from_secs(1))
    );
    assert_eq!(give(&mut book, later(now, 1), "ann", 2), None, "no code is given either");
    assert!(
        book.would_give(now, W, &asker("15550101@s.whatsapp.net")),
        "other platforms have their own door"
    );
    for back in [-7200, -1, 0, 1800] {
        let mut again = reopened(&kept(&book), set(now, back));
        let at = later(set(now, back), 3600);
        assert!(matches!(again.approve(later(set(now, back), 1799), played(), &code).0, Approval::Locked(_)));
        assert!(matches!(again.approve(at, played(), "AAAAAAA9").0, Approval::Wrong { left: 4 }), "{back}");
    }
}

#[test]
fn a_code_ends_after_an_hour_whatever_the_clocks_do() {
    let now = start();
    for (name, then, restarted, is_good) in [
        ("a little later", later(now, 3000), false, true),
        ("an hour later", later(now, 3600), false, false),
        ("the clock went on", set(now, 3600), false, false),
        ("the machine slept", set(later(now, 60), 3600), false, false),
        ("the clock was put right by a little", set(now, -30), false, true),
        ("the clock went back", set(now, -3600), false, false),
        ("the clock went back while an hour passed", set(later(now, 3600), -3600), false, false),
        ("a restart", later(now, 3000), true, true),
        ("a restart an hour later", later(now, 3600), true, false),
        ("a restart with a clock that went back", set(now, -3600), true, false),
    ] {
        let mut book = Registry::default();
        let code = give(&mut book, now, "eve", 1).unwrap();
        let mut book = if restarted { reopened(&kept(&book), then) } else { book };
        let admitted = matches!(book.approve(then, played(), &code).0, Approval::Admitted(_));
        assert_eq!(admitted, is_good, "{name}");
    }
}

#[test]
fn an_admission_is_taken_back_under_any_spelling_of_any_of_its_names() {
    for spelling in ["900101@lid", "900101:3@lid", "900101", "+1 555 0101", "15550101@s.whatsapp.net"] {
        let (mut book, now) = (Registry::default(), start());
        let both = Asker { person: "900101@lid".into(), alt: Some("15550101@s.whatsapp.net".into()) };
        let (code, _) = book.give(now, W, &both, &[1; CHANCE_BYTES]).unwrap();
        book.approve(now, W, &code);
        assert_eq!(book.names().len(), 2);
        assert_eq!(book.revoke(W, "15550102").0, Vec::<String>::new());
        assert_eq!(book.revoke(W, spelling).0, ["900101@lid"], "{spelling}");
        assert_eq!(book.names(), BTreeSet::new());
    }
}

proptest! {
    /// At any times and with any input, the bounds hold, and only a code that was given admits.
    #[test]
    fn nothing_grows_and_nobody_slips_in(steps in prop::collection::vec((0..3_u8, 0..40_u8, 0..900_u64), 1..200)) {
        let (mut book, mut now) = (Registry::default(), start());
        let mut given: Vec<(String, String, Now)> = Vec::new();
        for (number, (what, who, seconds)) in (0_u8..).zip(steps) {
            now = later(now, seconds);
            let name = format!("person {who}");
            match what {
                0 => {
                    let recent = given.iter().any(|(_, one, at)| *one == name && now.mono - at.mono < ASK_EVERY);
                    if let Some(code) = give(&mut book, now, &name, number) {
                        prop_assert!(!recent);
                        given.push((code, name, now));
                    }
                }
                1 => {
                    let typed = given.last().map_or("AAAAAAAA".to_owned(), |(code, _, _)| code.clone());
                    if let (Approval::Admitted(person), _) = book.approve(now, played(), &typed) {
                        let known = given.iter().any(|(code, one, at)| {
                            *code == typed && *one == person && now.mono - at.mono < CODE_LIFE
                        });
                        prop_assert!(known);
                    }
                }
                _ => drop(book.revoke(played(), &name)),
            }
            prop_assert!(book.waiting(now).count() <= CODES_MAX);
            prop_assert!(book.asked.len() <= ASKED_MAX);
            prop_assert!(book.waiting.len() <= 2 * CODES_MAX);
        }
    }
}
