//! The contract of every platform: one suite, run over each by a real gateway and a far end that speaks the platform's own
//! wire protocol. A further platform is a [`FarEnd`] and a line at the end.

use std::time::{Duration, Instant};

use serde_json::Value;

use hermes::client::request::{self, Verb};

use crate::support::far::scripted::ScriptedEnd;
use crate::support::far::telegram::{TelegramEnd, WebhookEnd};
use crate::support::far::whatsapp::WhatsAppEnd;
use crate::support::far::{Blow, Expected, FarEnd};
use crate::support::home::TestHome;
use crate::support::process::Gateway;
use crate::support::wait;

/// A platform's far end, a home, and a gateway between them.
struct Scene<F> {
    far: F,
    home: TestHome,
    gateway: Gateway,
}

impl<F: FarEnd> Scene<F> {
    fn open() -> Self {
        Self::with(|_| {})
    }

    fn with(prepare: impl FnOnce(&mut F)) -> Self {
        let (mut far, home) = F::open();
        prepare(&mut far);
        let gateway = Gateway::start(&home);
        Self { far, home, gateway }
    }

    fn connected() -> Self {
        let mut scene = Self::open();
        scene.wait_for("connected");
        scene
    }

    fn entry(&self) -> Value {
        self.gateway.state()["platforms"][F::PLATFORM].clone()
    }

    fn wait_until(&mut self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let seen = wait::until(wait::LIMIT, || {
            self.far.turn();
            Some(self.entry()).filter(|entry| !entry.is_null()).filter(&fits)
        });
        seen.unwrap_or_else(|| {
            panic!(
                "{} never was {what}:\n{:#}\n{}",
                F::PLATFORM,
                self.gateway.state(),
                self.gateway.log().join("\n")
            )
        })
    }

    fn wait_for(&mut self, state: &str) -> Value {
        self.wait_until(state, |entry| entry["state"] == state)
    }

    /// Waits until this many messages with this text have arrived.
    fn wait_arrived(&mut self, text: &str, count: usize) {
        let seen = wait::until(wait::LIMIT, || {
            self.far.turn();
            (self.far.arrived(text) >= count).then_some(())
        });
        assert!(
            seen.is_some(),
            "{}: `{text}` did not arrive\n{}",
            F::PLATFORM,
            self.gateway.log().join("\n")
        );
    }

    /// Waits until the far end keeps no messages for us any more.
    fn wait_acknowledged(&mut self) {
        let seen = wait::until(wait::LIMIT, || {
            self.far.turn();
            (self.far.unacknowledged() == 0).then_some(())
        });
        let open = self.far.unacknowledged();
        assert!(
            seen.is_some(),
            "{}: {open} are not acknowledged\n{}",
            F::PLATFORM,
            self.gateway.log().join("\n")
        );
    }

    /// Checks that a message is answered.
    fn assert_works(&mut self, number: u32, text: &str) {
        self.far.write(number, text);
        self.wait_arrived(text, 1);
    }

    fn stop(mut self) {
        let begun = Instant::now();
        assert_eq!(self.gateway.stop(), Some(0));
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "{}: closing took {:?}",
            F::PLATFORM,
            begun.elapsed()
        );
    }
}

/// Blows after which it is tried again.
const BLOWS: [Blow; 6] = [Blow::Drop, Blow::Away, Blow::Silence, Blow::Failing, Blow::Garbage, Blow::Endless];

fn it_is_connected_only_once_the_service_says_so<F: FarEnd>() {
    let mut scene = Scene::<F>::with(|far| far.strike(Blow::Silence));
    let waiting = scene.wait_until("tried in vain", |entry| {
        assert_ne!(entry["state"], "connected", "nothing has been said yet");
        entry["state"] == "retrying" && entry["attempts"].as_u64() >= Some(1)
    });
    assert!(waiting["next_retry_at"].is_string() || waiting["state"] == "connecting", "{waiting:#}");
    scene.far.heal(&scene.home);
    scene.wait_for("connected");
    scene.assert_works(1, "first words");
    scene.stop();
}

fn whatever_ends_a_connection_is_shown_and_mends_itself<F: FarEnd>() {
    let mut scene = Scene::<F>::connected();
    for (number, blow) in (1..).zip(BLOWS) {
        let codes = match scene.far.expected(blow) {
            Expected::Impossible => continue,
            Expected::Over => None,
            Expected::Retrying(codes) => Some(codes),
            Expected::Fatal(_) => panic!("{}: {blow:?} heals by itself", F::PLATFORM),
        };
        scene.far.strike(blow);
        if let Some(codes) = codes {
            scene.wait_until(&format!("hit by {blow:?}"), |entry| {
                let code = entry["error_code"].as_str().unwrap_or_default();
                entry["state"] == "retrying" && codes.contains(&code)
            });
        }
        let text = format!("after {blow:?}.");
        scene.far.heal(&scene.home);
        scene.wait_for("connected");
        scene.assert_works(number, &text);
    }
    assert!(scene.gateway.is_running());
    scene.stop();
}

fn who_is_unwelcome_is_blocked_at_the_start_and_later<F: FarEnd>() {
    for at_start in [true, false] {
        let mut scene = if at_start {
            Scene::<F>::with(|far| far.strike(Blow::Unwelcome))
        } else {
            let mut scene = Scene::<F>::connected();
            scene.far.strike(Blow::Unwelcome);
            scene
        };
        let Expected::Fatal(codes) = scene.far.expected(Blow::Unwelcome) else {
            panic!("{}: only a person can mend that", F::PLATFORM)
        };
        let entry = scene.wait_for("fatal");
        let code = entry["error_code"].as_str().unwrap_or_default();
        assert!(codes.contains(&code), "{entry:#}");
        assert!(entry["user_action"].is_string() && entry["next_retry_at"].is_null(), "{entry:#}");
        let told =
            scene.gateway.log().iter().filter(|line| line.contains(" ERROR ") && line.contains(code)).count();
        assert_eq!(told, 1, "{}", scene.gateway.log().join("\n"));
        if F::FORGIVES {
            scene.far.heal(&scene.home);
            scene.wait_for("connected");
            scene.assert_works(1, "welcome back");
        }
        scene.stop();
    }
}

fn a_message_that_comes_twice_is_answered_once<F: FarEnd>() {
    let mut scene = Scene::<F>::connected();
    scene.far.write(1, "only once");
    scene.wait_arrived("only once", 1);
    scene.far.write(1, "only once");
    scene.far.write(2, "something else");
    scene.wait_arrived("something else", 1);
    scene.wait_acknowledged();
    assert_eq!(scene.far.arrived("only once"), 1);
    // Neither after a restart.
    assert_eq!(scene.gateway.stop(), Some(0));
    scene.gateway = Gateway::start(&scene.home);
    scene.wait_for("connected");
    scene.far.write(1, "only once");
    scene.far.write(3, "at last");
    scene.wait_arrived("at last", 1);
    assert_eq!(scene.far.arrived("only once"), 1);
    scene.stop();
}

fn nothing_is_acknowledged_before_it_is_on_disk<F: FarEnd>() {
    let mut scene = Scene::<F>::connected();
    scene.wait_acknowledged();
    assert_eq!(scene.gateway.stop(), Some(0));
    // This gateway dies just before the commit, so a platform that acknowledges earlier loses the message.
    scene.home.env.push(("HERMES_FAILPOINT".to_owned(), "accept.before".to_owned()));
    scene.gateway = Gateway::start(&scene.home);
    scene.wait_for("connected");
    scene.far.write(1, "kept for us");
    assert_eq!(scene.gateway.exit_code(), None, "it is killed");
    assert!(scene.far.keeps("kept for us"), "{}: it was acknowledged before it was on disk", F::PLATFORM);
    scene.home.env.pop();
    scene.gateway = Gateway::start(&scene.home);
    scene.wait_arrived("kept for us", 1);
    scene.wait_acknowledged();
    assert_eq!(scene.far.arrived("kept for us"), 1);
    scene.stop();
}

fn a_limit_is_kept_and_only_puts_off<F: FarEnd>() {
    const WAIT: Duration = Duration::from_secs(1);
    let mut scene = Scene::<F>::connected();
    scene.assert_works(1, "as ever");
    if scene.far.limit(WAIT) {
        let begun = Instant::now();
        scene.assert_works(2, "worth waiting for");
        assert!(begun.elapsed() >= WAIT, "{}: it came after {:?}", F::PLATFORM, begun.elapsed());
        assert_eq!(
            scene.far.offered("worth waiting for"),
            2,
            "{}: it was asked again meanwhile",
            F::PLATFORM
        );
        assert_eq!(scene.far.arrived("worth waiting for"), 1);
        scene.wait_for("connected");
    }
    scene.stop();
}

fn connecting_again_and_again_leaves_nothing_behind<F: FarEnd>() {
    let mut scene = Scene::<F>::connected();
    let home = scene.home.paths();
    let steer = |verb| request::steer(&home, verb, F::PLATFORM).expect("it is steered");
    let mut held = Vec::new();
    for round in 1..=F::RECONNECTS {
        // Twice: closing what is closed does nothing, nor does opening what is open.
        for verb in [Verb::Pause, Verb::Pause, Verb::Resume, Verb::Resume] {
            steer(verb);
        }
        let seen = wait::until(wait::LIMIT, || {
            scene.far.turn();
            (scene.far.connections() > round).then_some(())
        });
        assert!(seen.is_some(), "{}: round {round}\n{}", F::PLATFORM, scene.gateway.log().join("\n"));
        held.push(scene.gateway.held());
    }
    scene.assert_works(1, "as on the first day");
    // The first rounds fill pools; from then on nothing may grow.
    let early = held[held.len() / 4];
    let late = held[held.len() - 1];
    assert!(
        late.fds <= early.fds + 4 && late.threads <= early.threads + 2 && late.children <= early.children,
        "{}: {early:?} became {late:?}",
        F::PLATFORM
    );
    scene.stop();
}

/// The suite over each platform.
macro_rules! contract {
    ($($platform:ident: $far:ty),+ $(,)?) => {$(
        mod $platform {
            use super::*;

            #[test]
            fn it_is_connected_only_once_the_service_says_so() {
                super::it_is_connected_only_once_the_service_says_so::<$far>();
            }

            #[test]
            fn whatever_ends_a_connection_is_shown_and_mends_itself() {
                super::whatever_ends_a_connection_is_shown_and_mends_itself::<$far>();
            }

            #[test]
            fn who_is_unwelcome_is_blocked_at_the_start_and_later() {
                super::who_is_unwelcome_is_blocked_at_the_start_and_later::<$far>();
            }

            #[test]
            fn a_message_that_comes_twice_is_answered_once() {
                super::a_message_that_comes_twice_is_answered_once::<$far>();
            }

            #[test]
            fn nothing_is_acknowledged_before_it_is_on_disk() {
                super::nothing_is_acknowledged_before_it_is_on_disk::<$far>();
            }

            #[test]
            fn a_limit_is_kept_and_only_puts_off() {
                super::a_limit_is_kept_and_only_puts_off::<$far>();
            }

            #[test]
            fn connecting_again_and_again_leaves_nothing_behind() {
                super::connecting_again_and_again_leaves_nothing_behind::<$far>();
            }
        }
    )+};
}

contract!(scripted: ScriptedEnd, telegram: TelegramEnd, telegram_by_webhook: WebhookEnd, whatsapp: WhatsAppEnd);
