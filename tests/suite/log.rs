//! The reader of the log, when it does not read.

use std::process::Stdio;

use crate::support::home::TestHome;
use crate::support::house::QUICK;
use crate::support::stage::Stage;
use crate::support::wait;

/// Messages whose lines in the log are far more than a pipe holds.
const MESSAGES: usize = 400;

#[test]
fn a_reader_of_the_log_that_stops_reading_stops_nothing_and_the_end_is_an_end() {
    let stage = Stage::new(1);
    let mut home = TestHome::empty();
    home.env.push(stage.variable());
    home.write("gateway.toml", QUICK);
    let mut command = home.command(["gateway", "run", "-vv"]);
    let mut gateway =
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it starts");
    let player = stage.connect("scripted1");
    for number in 0..MESSAGES {
        player.write(&format!("{number}"), &format!("c{}", number % 5), &format!("text {number}."));
        player.take_message(&format!("text {number}."));
    }
    let pid = rustix::process::Pid::from_child(&gateway);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it runs");
    let ended = wait::until(wait::LIMIT, || gateway.try_wait().expect("it is ours"));
    assert!(ended.is_some_and(|status| status.success()), "{ended:?}");
}
