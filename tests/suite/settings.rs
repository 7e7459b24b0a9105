//! `.env` is never lost: not to a full disk, a folder that cannot be written, or a kill at any moment.

use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::support::home::TestHome;

const BEFORE: &str =
    "# mine\r\nexport OTHER='kept'\r\nWHATSAPP_ENABLED=\"true\"   # on\r\nBROKEN LINE\r\nLAST=1";
const AFTER: &str =
    "# mine\r\nexport OTHER='kept'\r\nWHATSAPP_ENABLED=\"false\"   # on\r\nBROKEN LINE\r\nLAST=1";

#[test]
fn one_value_changes_in_place_and_everything_else_stays() {
    let home = TestHome::empty();
    let real = home.write("elsewhere/env", BEFORE);
    std::os::unix::fs::symlink(&real, home.paths().env_file()).unwrap();
    let answer = home.run(["whatsapp", "disable"]);
    assert_eq!(answer.code, Some(0), "{answer:?}");
    assert_eq!(std::fs::read_to_string(&real).unwrap(), AFTER);
    assert!(home.paths().env_file().is_symlink());
    assert_eq!(std::fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_disk_without_room_leaves_the_file_as_it_was_and_says_so() {
    let home = TestHome::empty();
    let path = home.write(".env", BEFORE);
    // A file size limit of zero is what a full disk is to a writer; ignoring the signal, it gets an error.
    let mut command = std::process::Command::new("sh");
    command.args([
        "-c",
        "trap '' XFSZ; ulimit -f 0; exec \"$0\" whatsapp disable",
        env!("CARGO_BIN_EXE_hermes"),
    ]);
    command.env_clear().envs(home.variables()).stdin(Stdio::null());
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains(".env"), "{said}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), BEFORE);
    let left: Vec<_> =
        std::fs::read_dir(home.root()).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(left, [".env"], "no temp file is left");
}

#[test]
fn a_file_that_cannot_be_replaced_is_left_alone() {
    let home = TestHome::empty();
    std::fs::create_dir_all(home.paths().env_file()).unwrap();
    let answer = home.run(["whatsapp", "disable"]);
    assert_ne!(answer.code, Some(0), "{answer:?}");
    assert!(home.paths().env_file().is_dir());
}

#[test]
fn killed_at_any_moment_the_file_is_the_old_or_the_new_one() {
    let home = TestHome::empty();
    let path = home.write(".env", BEFORE);
    for delay_us in (0..60).map(|step| step * 150) {
        home.write(".env", BEFORE);
        let mut child = home
            .command(["whatsapp", "disable"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // A pause would be longer than what is measured.
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_micros(delay_us) {
            std::hint::spin_loop();
        }
        drop(child.kill());
        child.wait().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text == BEFORE || text == AFTER, "{text}");
    }
}
