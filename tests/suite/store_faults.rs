//! Faults of the store and of the disk below it, on real processes: nothing is acknowledged that could be lost.

use crate::support::home::TestHome;
use crate::support::house::{House, QUICK};
use crate::support::process::Gateway;

/// The same home, with another gateway.
fn again(home: &mut TestHome, failpoint: Option<&str>) -> Gateway {
    home.env.retain(|(key, _)| key != "HERMES_FAILPOINT");
    home.env.extend(failpoint.map(|wanted| ("HERMES_FAILPOINT".to_owned(), wanted.to_owned())));
    Gateway::start(home)
}

#[test]
fn a_message_survives_a_death_between_its_commit_and_its_acknowledgement() {
    let prepare = |home: &mut TestHome| {
        home.env.push(("HERMES_FAILPOINT".to_owned(), "ack.scripted.before".to_owned()));
    };
    let mut house = House::furnish(1, QUICK, prepare);
    house.well.write("m", "friend", "are you there");
    assert_eq!(house.gateway.exit_code(), None, "a signal ended it");
    assert!(!house.well.said().iter().any(|said| said["say"] == "accepted"), "{:?}", house.well.said());
    house.gateway = again(&mut house.home, None);
    let player = house.stage.connect("scripted1");
    player.take_message("are you there");
    player.write("m", "friend", "are you there");
    player.write("n", "friend", "and now");
    player.take_message("and now");
    let answers = player.said().iter().filter(|said| said["say"] == "send").count();
    assert_eq!(answers, 2, "a repeat is recognised: {:?}", player.said());
    assert_eq!(house.gateway.stop(), Some(0));
}
