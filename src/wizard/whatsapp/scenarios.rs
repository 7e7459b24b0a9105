//! Every way through the WhatsApp wizard, with what the person sees and what is on disk afterwards.

use tokio_util::sync::CancellationToken;

use crate::bridge::protocol::{Event, Exit};
use crate::config::WhatsAppMode;
use crate::durable::{self, Lock};
use crate::error::ExitCode;
use crate::preflight::NodeFact;
use crate::sensitive::Private;
use crate::wizard::ui::event::WizardEvent;
use crate::wizard::ui::qr::Size;
use crate::wizard::ui::script::{Act, ScriptUi};
use crate::wizard::whatsapp::options::{QrStyle, WhatsAppOptions};
use crate::wizard::whatsapp::stage::{Creds, Installer, Move, OWN, Stage, creds, good, linked, payload, qr};

const FRIEND: &str = "15550002222";
const OLD_ENV: &str = "# mine\nOTHER=1\nWHATSAPP_ENABLED=false\n";
const DONE_ENV: &str = "WHATSAPP_MODE=bot\nWHATSAPP_ALLOWED_USERS=15550002222\nWHATSAPP_ENABLED=true\n";

/// A person who answers every question sensibly.
fn person() -> ScriptUi {
    let mut ui = ScriptUi::new([]);
    ui.habits = vec![
        ("Which WhatsApp number", Act::Pick(0)),
        ("Numbers that can", Act::Type("+1 555 000 2222")),
        ("Others who can", Act::Enter),
        ("Keep this link", Act::Pick(0)),
        ("Move it aside", Act::Enter),
        ("Press Enter", Act::Enter),
        ("Start the gateway", Act::Enter),
    ];
    ui
}

fn no_person() -> ScriptUi {
    let mut ui = ScriptUi::new([]);
    ui.asks = false;
    ui.window = None;
    ui
}

/// The transcript, without line breaks.
fn flat(ui: &ScriptUi) -> String {
    ui.transcript.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn flags() -> WhatsAppOptions {
    WhatsAppOptions {
        mode: Some(WhatsAppMode::Bot),
        allow: Some(FRIEND.to_owned()),
        ..WhatsAppOptions::default()
    }
}

fn plain() -> WhatsAppOptions {
    WhatsAppOptions::default()
}

#[tokio::test(start_paused = true)]
async fn a_clean_machine_is_linked_in_four_steps() {
    let stage = Stage::new([good()]);
    let mut ui = person();
    let outcome = stage.play(plain(), &mut ui).await;
    assert_eq!((outcome.exit, outcome.start_gateway), (ExitCode::Ok, true));
    assert_eq!(stage.env().as_deref(), Some(DONE_ENV));
    insta::assert_snapshot!("clean_machine", stage.record(&ui));
    let launch = stage.launches.lock().unwrap()[0].clone();
    assert_eq!(launch.start.session_dir, stage.home.whatsapp().session_dir());
    assert_eq!(launch.start.pairing_code_for, None);
}

#[tokio::test(start_paused = true)]
async fn the_events_are_those_of_the_contract_and_the_last_is_enabled() {
    let stage = Stage::new([good()]);
    let mut ui = no_person();
    assert_eq!(stage.play(flags(), &mut ui).await.exit, ExitCode::Ok);
    let names: Vec<String> = ui.events.iter().map(|event| format!("{event:?}")).collect();
    assert_eq!(
        names,
        [
            "Install",
            "Install",
            "Install",
            "Install",
            "Qr",
            "Qr",
            "PairSuccess",
            "Restart",
            "Connected",
            "Enabled"
        ]
    );
    assert!(ui.events.last().unwrap().is_last());
    assert!(ui.transcript.matches("[drawn in").count() >= 2, "without a window each code is shown");
    assert_eq!(ui.questions, 0);
}

#[tokio::test(start_paused = true)]
async fn without_a_terminal_missing_answers_are_named_and_nothing_happens() {
    let stage = Stage::new([]).with_env(OLD_ENV);
    let mut ui = no_person();
    assert_eq!(stage.play(plain(), &mut ui).await.exit, ExitCode::Usage);
    assert!(
        ui.transcript.contains("`hermes whatsapp` with these flags: --mode bot|self-chat, --allow"),
        "{}",
        ui.transcript
    );
    assert_eq!(stage.env().as_deref(), Some(OLD_ENV));
    let everybody = WhatsAppOptions { allow: Some("*".to_owned()), ..flags() };
    let mut ui = no_person();
    assert_eq!(stage.play(everybody.clone(), &mut ui).await.exit, ExitCode::Usage);
    assert!(ui.transcript.contains("--allow-everyone"), "{}", ui.transcript);
    for (asks, yes) in [(false, true), (true, true), (true, false)] {
        let mut ui = if asks { person() } else { no_person() };
        let options = WhatsAppOptions { yes, ..everybody.clone() };
        assert_eq!(stage.play(options, &mut ui).await.exit, ExitCode::Usage, "`--yes` opens nothing");
        assert_eq!((stage.env().as_deref(), ui.questions), (Some(OLD_ENV), 0));
    }
    let stage = Stage::new([good()]);
    let everyone = WhatsAppOptions { allow: None, allow_everyone: true, ..flags() };
    let outcome = stage.play(everyone, &mut no_person()).await;
    assert_eq!((outcome.exit, outcome.start_gateway), (ExitCode::Ok, false));
    assert!(stage.env().unwrap().contains("WHATSAPP_ALLOWED_USERS=*\nWHATSAPP_ALLOW_ALL_USERS=true\n"));
}

#[tokio::test(start_paused = true)]
async fn yes_takes_every_default_and_starts_the_gateway_only_on_a_terminal() {
    for (asks, start, starts) in
        [(true, None, true), (false, None, false), (true, Some(false), false), (false, Some(true), true)]
    {
        let stage = Stage::new([good()]).with_creds(Creds::Broken);
        let mut ui = if asks { person() } else { no_person() };
        let options = WhatsAppOptions { allow: Some(FRIEND.to_owned()), yes: true, start, ..plain() };
        let outcome = stage.play(options, &mut ui).await;
        assert_eq!((outcome.exit, outcome.start_gateway), (ExitCode::Ok, starts), "{}", ui.transcript);
        assert_eq!((ui.questions, stage.env().as_deref()), (0, Some(DONE_ENV)));
    }
}

#[tokio::test(start_paused = true)]
async fn self_chat_needs_nobody_on_the_list() {
    let stage = Stage::new([good()]);
    let options = WhatsAppOptions { mode: Some(WhatsAppMode::SelfChat), ..plain() };
    assert_eq!(stage.play(options, &mut no_person()).await.exit, ExitCode::Ok);
    assert_eq!(stage.env().as_deref(), Some("WHATSAPP_MODE=self-chat\nWHATSAPP_ENABLED=true\n"));
}

#[tokio::test(start_paused = true)]
async fn bad_flags_are_told_before_anything_else() {
    let stage = Stage::new([]).with_env(OLD_ENV);
    for (options, part) in [
        (WhatsAppOptions { allow: Some("anna, 0555 000 1111".to_owned()), ..flags() }, "`anna`"),
        (WhatsAppOptions { pairing_code: Some("x".to_owned()), ..flags() }, "--pairing-code"),
        (WhatsAppOptions { qr: QrStyle::Png(stage.home.env_file()), ..flags() }, "exists already"),
    ] {
        let mut ui = person();
        assert_eq!(stage.play(options, &mut ui).await.exit, ExitCode::Usage);
        assert!(ui.transcript.contains(part), "{}", ui.transcript);
        assert_eq!(stage.env().as_deref(), Some(OLD_ENV));
    }
}

#[tokio::test(start_paused = true)]
async fn a_linked_machine_stays_with_one_key_gets_its_switch_back_and_its_gateway_is_offered_to_start() {
    let env = DONE_ENV.replace("WHATSAPP_ENABLED=true\n", "# end\n");
    let stage = Stage::new([]).with_env(&env).with_creds(Creds::Paired).with_bridge();
    let mut ui = ScriptUi::new([Act::Enter, Act::Enter]);
    let outcome = stage.play(plain(), &mut ui).await;
    assert_eq!((outcome.exit, outcome.start_gateway, ui.questions), (ExitCode::Ok, true, 2));
    assert_eq!(stage.env().unwrap(), format!("{env}WHATSAPP_ENABLED=true\n"));
    assert!(stage.launches.lock().unwrap().is_empty());
    let before = stage.env();
    assert_eq!(stage.play(plain(), &mut no_person()).await.exit, ExitCode::Ok);
    assert_eq!(stage.env(), before, "a second run has nothing to write");
}

#[tokio::test(start_paused = true)]
async fn a_linked_machine_can_change_its_mode_and_people() {
    let stage = Stage::new([]).with_env(DONE_ENV).with_creds(Creds::Paired).with_bridge();
    let mut ui = ScriptUi::new([Act::Pick(1), Act::Pick(1), Act::Type("15550003333"), Act::Say(false)]);
    assert_eq!(stage.play(plain(), &mut ui).await.exit, ExitCode::Ok);
    let env = stage.env().unwrap();
    assert!(env.contains("WHATSAPP_MODE=self-chat\nWHATSAPP_ALLOWED_USERS=15550003333\n"), "{env}");
}

#[tokio::test(start_paused = true)]
async fn enter_keeps_the_present_mode_and_people_and_both_are_said() {
    let env = DONE_ENV.replace("=bot", "=self-chat");
    for (people, left, said) in [
        (Act::Enter, env.clone(), format!("The agent answers you and +{FRIEND}.")),
        (
            Act::Type("none"),
            "WHATSAPP_MODE=self-chat\nWHATSAPP_ALLOWED_USERS=\nWHATSAPP_ENABLED=true\n".to_owned(),
            "The agent answers you and no one else.".to_owned(),
        ),
        (
            Act::Type(""),
            "WHATSAPP_MODE=self-chat\nWHATSAPP_ALLOWED_USERS=\nWHATSAPP_ENABLED=true\n".to_owned(),
            "The agent answers you and no one else.".to_owned(),
        ),
    ] {
        let stage = Stage::new([]).with_env(&env).with_creds(Creds::Paired).with_bridge();
        let mut ui = ScriptUi::new([Act::Pick(1), Act::Enter, people, Act::Say(false)]);
        assert_eq!(stage.play(plain(), &mut ui).await.exit, ExitCode::Ok, "{}", ui.transcript);
        assert_eq!(stage.env().as_deref(), Some(left.as_str()), "{}", ui.transcript);
        assert!(flat(&ui).contains(&said), "{}", ui.transcript);
        assert!(ui.transcript.contains("Enter keeps this list"), "{}", ui.transcript);
    }
}

#[tokio::test(start_paused = true)]
async fn wrong_numbers_are_asked_again_with_what_is_wrong() {
    let stage = Stage::new([good()]);
    let mut ui = person();
    ui.acts =
        [Act::Pick(0), Act::Type("anna"), Act::Type(""), Act::Type("*"), Act::Say(true), Act::Say(false)]
            .into();
    assert_eq!(stage.play(plain(), &mut ui).await.exit, ExitCode::Ok);
    for part in ["`anna` is not a phone number", "Enter at least one number", "Allow strangers"] {
        assert!(ui.transcript.contains(part), "{part}: {}", ui.transcript);
    }
    assert_eq!(stage.env().as_deref(), Some(DONE_ENV), "everybody was not confirmed twice");
}

#[tokio::test(start_paused = true)]
async fn the_own_number_on_the_list_is_asked_about_or_taken_off() {
    let allow = format!("{OWN},{FRIEND}");
    let options = WhatsAppOptions { allow: Some(allow), ..flags() };
    let stage = Stage::new([good()]);
    let mut ui = no_person();
    assert_eq!(stage.play(options.clone(), &mut ui).await.exit, ExitCode::Ok);
    assert!(ui.transcript.contains("the agent's own number"), "{}", ui.transcript);
    assert_eq!(stage.env().as_deref(), Some(DONE_ENV));

    let stage = Stage::new([good()]);
    let mut ui = person();
    ui.acts = [Act::Enter].into();
    assert_eq!(stage.play(options, &mut ui).await.exit, ExitCode::Ok);
    assert_eq!(stage.env().as_deref(), Some(DONE_ENV));

    let stage = Stage::new([good()]);
    let mut ui = no_person();
    let only_own = WhatsAppOptions { allow: Some(OWN.to_owned()), ..flags() };
    assert_eq!(stage.play(only_own, &mut ui).await.exit, ExitCode::Ok);
    assert!(ui.transcript.contains("so no one is answered"), "{}", ui.transcript);
    assert_eq!(stage.env().as_deref(), Some("WHATSAPP_MODE=bot\nWHATSAPP_ENABLED=true\n"));
}

#[tokio::test(start_paused = true)]
async fn without_node_or_npm_nothing_is_asked_in_vain() {
    let mut stage = Stage::new([]).with_env(OLD_ENV);
    stage.node = NodeFact::Missing;
    let mut ui = person();
    assert_eq!(stage.play(plain(), &mut ui).await.exit, ExitCode::Failed);
    assert_eq!(ui.questions, 0);
    assert!(matches!(ui.events.last(), Some(WizardEvent::Error { code: "whatsapp_node_missing", .. })));
    for (installer, part) in
        [(Installer::NoNpm, "Npm was not found"), (Installer::Fails, "| npm error ENOTFOUND")]
    {
        let mut stage = Stage::new([]).with_env(OLD_ENV);
        stage.installer = installer;
        let mut ui = person();
        assert_eq!(stage.play(plain(), &mut ui).await.exit, ExitCode::Failed);
        assert!(ui.transcript.contains(part), "{}", ui.transcript);
        assert!(ui.transcript.contains("No WhatsApp setting was changed."), "{}", ui.transcript);
        assert_eq!(stage.env().as_deref(), Some(OLD_ENV));
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_but_the_whole_way_writes_settings() {
    let accepted = || linked()[..2].to_vec();
    let opened = || linked()[..4].to_vec();
    for (name, moves, part) in [
        ("dies before a code", vec![Move::Exit(Exit::Crashed(Some(70)))], "| last words"),
        ("says nothing", vec![], "The bridge failed"),
        ("never connects", vec![Move::Hang], "connection to WhatsApp was lost"),
        ("refused", vec![qr(1), Move::Exit(Exit::LoggedOut)], "Linked devices"),
        (
            "dies after the scan",
            [vec![qr(1)], accepted(), vec![Move::Exit(Exit::Crashed(None))]].concat(),
            "failed",
        ),
        (
            "ends too soon",
            [vec![qr(1)], accepted(), vec![Move::Exit(Exit::Done)]].concat(),
            "before linking was complete",
        ),
        (
            "lost",
            [vec![qr(1)], opened(), vec![Move::Exit(Exit::ConnectionLost)]].concat(),
            "again to continue",
        ),
        (
            "hangs after the scan",
            [vec![qr(1)], accepted(), vec![Move::Hang]].concat(),
            "connection to WhatsApp",
        ),
        ("only claims", [vec![qr(1)], linked()[1..].to_vec()].concat(), "credentials are not on disk"),
    ] {
        let stage = Stage::new([moves]).with_env(OLD_ENV);
        let mut ui = no_person();
        let outcome = stage.play(flags(), &mut ui).await;
        assert_eq!(outcome.exit, ExitCode::Failed, "{name}: {}", ui.transcript);
        assert!(flat(&ui).contains(part), "{name}: {}", ui.transcript);
        assert_eq!(stage.env().as_deref(), Some(OLD_ENV), "{name}");
        assert!(matches!(ui.events.last(), Some(WizardEvent::Error { .. })), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn expired_codes_can_be_renewed_by_a_person_only() {
    let expired = || vec![qr(1), Move::Exit(Exit::QrExpired)];
    let stage = Stage::new([expired(), vec![qr(1), Move::Hang], good()]);
    let mut ui = person();
    assert_eq!(stage.play(plain(), &mut ui).await.exit, ExitCode::Ok);
    assert_eq!(ui.transcript.matches("Press Enter for a new code").count(), 2, "{}", ui.transcript);

    let stage = Stage::new([expired()]).with_env(OLD_ENV);
    let mut ui = no_person();
    assert_eq!(stage.play(flags(), &mut ui).await.exit, ExitCode::Failed);
    let Some(WizardEvent::Expired { fix, .. }) = ui.events.last() else { panic!("{:?}", ui.events) };
    assert!(fix.contains("hermes whatsapp"), "{fix}");
    assert_eq!(stage.env().as_deref(), Some(OLD_ENV));
}

#[tokio::test(start_paused = true)]
async fn a_code_can_be_typed_and_its_remains_are_moved_aside() {
    let code = || Move::Say(Event::PairingCode { code: Private("ABCD1234".to_owned()) });
    let abandoned = vec![Move::Save(Creds::Half), code(), Move::Exit(Exit::QrExpired)];
    let stage = Stage::new([abandoned, [vec![qr(1), code()], linked()].concat()]);
    let mut ui = person();
    let options = WhatsAppOptions { pairing_code: Some(format!("+{OWN}")), ..plain() };
    assert_eq!(stage.play(options, &mut ui).await.exit, ExitCode::Ok);
    assert!(
        ui.transcript.contains("ABCD-1234") && ui.transcript.contains("Link with phone"),
        "{}",
        ui.transcript
    );
    assert!(!ui.transcript.contains("[drawn"), "{}", ui.transcript);
    assert_eq!(stage.launches.lock().unwrap()[1].start.pairing_code_for.as_deref(), Some(OWN));
    assert_eq!(stage.asides().len(), 1, "{:?}", stage.asides());
}

#[tokio::test(start_paused = true)]
async fn a_code_fits_the_default_window_and_keys_show_it_in_other_forms() {
    const DEFAULT: Size = Size { cols: 80, rows: 24 };
    for (keys, sextants, part) in [
        ("", true, "drawn in 22 lines"),
        ("f", true, "drawn in 22 lines"),
        ("p", true, "qr.png"),
        ("t", true, "https://wa.me/"),
        ("tf", true, "Hard to scan?"),
        ("", false, "The code needs a window of 61 columns and 33 rows. This one has 80 and 24."),
        ("p", false, "qr.png"),
    ] {
        let stage = Stage::new([vec![qr(1), Move::Hang]]).with_bridge();
        let mut ui = person();
        (ui.window, ui.sextants, ui.keys) = (Some(DEFAULT), sextants, keys.chars().collect());
        ui.ctrl_c_at = Some(("58 s (1 of 6)", CancellationToken::new()));
        assert_eq!(stage.play(plain(), &mut ui).await.exit, ExitCode::Interrupted);
        let last = flat(&ui).rsplit("[page, ").next().unwrap().to_owned();
        assert!(last.contains(part), "{keys} {sextants}: {last}");
        assert!(!stage.home.whatsapp().qr_picture().exists());
    }
}

#[tokio::test(start_paused = true)]
async fn another_size_of_the_window_shows_the_code_in_the_best_form_for_it() {
    let small = Size { cols: 30, rows: 10 };
    for (before, after, then) in [
        (small, Size { cols: 100, rows: 50 }, "[page, drawn in 33 lines]"),
        (Size { cols: 100, rows: 50 }, Size { cols: 80, rows: 24 }, "[page, drawn in 22 lines]"),
        (Size { cols: 80, rows: 24 }, small, "The code needs a window of 31 columns and 23 rows."),
    ] {
        let stage = Stage::new([vec![qr(1), Move::Hang]]).with_bridge();
        let mut ui = person();
        (ui.window, ui.window_after) = (Some(before), Some((1, after)));
        ui.ctrl_c_at = Some(("59 s (1 of 6)", CancellationToken::new()));
        stage.play(plain(), &mut ui).await;
        let pages: Vec<String> = flat(&ui).split("[page, ").map(str::to_owned).collect();
        assert!(!pages[1].contains(then.trim_start_matches("[page, ")), "{}", pages[1]);
        assert!(pages[2].contains(then.trim_start_matches("[page, ")), "{}", pages[2]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_asks_for_a_code_to_type_and_nothing_typed_leads_back() {
    let code = || Move::Say(Event::PairingCode { code: Private("ABCD1234".to_owned()) });
    let typed = || [vec![code()], linked()].concat();
    let stage = Stage::new([vec![qr(1), Move::Hang], typed()]).with_bridge();
    let mut ui = person();
    ui.keys.push_back('c');
    ui.habits.push(("Phone number to link", Act::Type("+1 555 000 1111")));
    assert_eq!(stage.play(plain(), &mut ui).await.exit, ExitCode::Ok);
    assert!(ui.transcript.contains("ABCD-1234"), "{}", ui.transcript);

    let stage = Stage::new([vec![qr(1), Move::Hang]]).with_bridge();
    let mut ui = person();
    ui.keys.push_back('c');
    ui.habits.push(("Phone number to link", Act::Enter));
    ui.ctrl_c_at = Some(("59 s (1 of 6)", CancellationToken::new()));
    assert_eq!(stage.play(plain(), &mut ui).await.exit, ExitCode::Interrupted);
    assert!(ui.transcript.rsplit("Phone number to link").next().unwrap().contains("drawn in 33 lines"));
}

#[tokio::test(start_paused = true)]
async fn a_picture_is_private_and_goes_away() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("code.png");
    let stage = Stage::new([vec![qr(1), Move::Hang]]);
    let cancel = CancellationToken::new();
    let mut ui = no_person();
    ui.ctrl_c_at = Some(("code.png", cancel));
    ui.look_at = Some(path.clone());
    let options = WhatsAppOptions { qr: QrStyle::Png(path.clone()), ..flags() };
    assert_eq!(stage.play(options, &mut ui).await.exit, ExitCode::Interrupted);
    assert_eq!(ui.seen_mode.map(|mode| mode.mode() & 0o777), Some(0o600));
    assert!(!path.exists());
}

#[tokio::test(start_paused = true)]
async fn sessions_that_cannot_be_used_are_moved_aside() {
    let stage = Stage::new([good()]).with_creds(Creds::Half);
    assert_eq!(stage.play(flags(), &mut person()).await.exit, ExitCode::Ok);
    assert!(stage.asides()[0].starts_with("session.abandoned-"), "{:?}", stage.asides());

    let stage = Stage::new([good()]).with_creds(Creds::Broken);
    assert_eq!(stage.play(flags(), &mut person()).await.exit, ExitCode::Ok);
    assert!(stage.asides()[0].starts_with("session.corrupt-"), "{:?}", stage.asides());

    let stage = Stage::new([good()]).with_creds(Creds::Broken);
    let mut ui = no_person();
    assert_eq!(stage.play(flags(), &mut ui).await.exit, ExitCode::Usage);
    assert!(ui.transcript.contains("--repair"), "{}", ui.transcript);
    assert!(stage.asides().is_empty());
    let repair = WhatsAppOptions { repair: true, ..flags() };
    assert_eq!(stage.play(repair, &mut no_person()).await.exit, ExitCode::Ok);
    assert_eq!(stage.asides().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_good_copy_is_put_back() {
    let stage = Stage::new([]).with_creds(Creds::Broken).with_bridge();
    let paths = stage.home.whatsapp();
    durable::write_atomic(&paths.creds_backup(), creds(Creds::Paired).as_bytes()).unwrap();
    let mut ui = no_person();
    assert_eq!(stage.play(flags(), &mut ui).await.exit, ExitCode::Ok, "{}", ui.transcript);
    assert_eq!(std::fs::read_to_string(paths.creds()).unwrap(), creds(Creds::Paired));
}

#[tokio::test(start_paused = true)]
async fn a_repair_that_fails_brings_the_old_session_back() {
    let repair = WhatsAppOptions { repair: true, relink: true, ..flags() };
    let stage = Stage::new([vec![qr(1), Move::Save(Creds::Half), Move::Exit(Exit::LoggedOut)], good()])
        .with_env(DONE_ENV)
        .with_creds(Creds::Paired)
        .with_bridge();
    let mark = stage.home.whatsapp().session_dir().join("session-old.json");
    durable::write_atomic(&mark, b"{}").unwrap();
    let mut ui = no_person();
    assert_eq!(stage.play(repair.clone(), &mut ui).await.exit, ExitCode::Failed);
    assert!(mark.exists(), "{}", ui.transcript);
    assert_eq!(stage.env().as_deref(), Some(DONE_ENV));
    assert_eq!(stage.play(repair, &mut no_person()).await.exit, ExitCode::Ok);
    assert!(!mark.exists());
    assert!(stage.asides().iter().any(|name| name.starts_with("session.replaced-")), "{:?}", stage.asides());
}

#[tokio::test(start_paused = true)]
async fn a_session_in_use_is_left_alone_and_a_linked_one_needs_no_lock() {
    let stage = Stage::new([]).with_env(DONE_ENV).with_creds(Creds::Paired).with_bridge();
    let lock = Lock::acquire(&stage.home.whatsapp().session_lock()).unwrap();
    assert_eq!(stage.play(plain(), &mut person()).await.exit, ExitCode::Ok);
    let mut ui = person();
    let repair = WhatsAppOptions { repair: true, ..plain() };
    assert_eq!(stage.play(repair, &mut ui).await.exit, ExitCode::Failed);
    assert!(ui.transcript.contains("hermes gateway stop"), "{}", ui.transcript);
    assert!(ui.transcript.contains(&format!("process {}", std::process::id())));
    drop(lock);
    assert!(stage.asides().is_empty());
}

#[tokio::test(start_paused = true)]
async fn ctrl_c_at_every_question_changes_nothing_and_the_next_run_finishes() {
    let answers = [Act::Pick(0), Act::Type("15550002222"), Act::Enter];
    for at in 0..answers.len() {
        let stage = Stage::new([good(), good()]).with_env(OLD_ENV);
        let mut ui = person();
        ui.acts = answers[..at].iter().cloned().chain([Act::CtrlC]).collect();
        let outcome = stage.play(plain(), &mut ui).await;
        assert_eq!((outcome.exit, outcome.start_gateway), (ExitCode::Interrupted, false), "{at}");
        if at < 2 {
            assert!(
                ui.transcript.ends_with("Stopped. No WhatsApp setting was changed.\n"),
                "{}",
                ui.transcript
            );
            assert_eq!(stage.env().as_deref(), Some(OLD_ENV));
            assert_eq!(ui.events.last(), Some(&WizardEvent::Cancelled));
        } else {
            assert!(ui.transcript.contains("WhatsApp is set up."), "{}", ui.transcript);
            assert!(stage.env().unwrap().contains("WHATSAPP_ENABLED=true"));
        }
        assert_eq!(stage.play(plain(), &mut person()).await.exit, ExitCode::Ok);
        assert!(stage.env().unwrap().contains("WHATSAPP_ENABLED=true"));
    }
}

#[tokio::test(start_paused = true)]
async fn ctrl_c_at_every_moment_changes_nothing_and_the_next_run_finishes() {
    for (moment, remains) in [
        ("Connect WhatsApp", "No WhatsApp setting was changed."),
        ("Node 20", "No WhatsApp setting was changed."),
        ("… Unpack", "No WhatsApp setting was changed."),
        ("… Download 32", "No WhatsApp setting was changed."),
        ("… Verify", "No WhatsApp setting was changed."),
        ("The bridge is installed", "No WhatsApp setting was changed."),
        ("On the phone", "No WhatsApp setting was changed."),
        ("(1 of 6)", "No WhatsApp setting was changed."),
        ("(2 of 6)", "No WhatsApp setting was changed."),
        ("Phone linked", "already linked"),
        ("Connected as", "already linked"),
        ("Ready.", "already linked"),
    ] {
        let stage = Stage::new([good(), good()]).with_env(OLD_ENV);
        let mut ui = person();
        ui.ctrl_c_at = Some((moment, CancellationToken::new()));
        let outcome = stage.play(plain(), &mut ui).await;
        assert_eq!(outcome.exit, ExitCode::Interrupted, "{moment}: {}", ui.transcript);
        assert_eq!(stage.env().as_deref(), Some(OLD_ENV), "{moment}");
        assert_eq!(ui.events.last(), Some(&WizardEvent::Cancelled), "{moment}");
        assert!(
            flat(&ui).rsplit("Stopped.").next().unwrap().contains(remains),
            "{moment}: {}",
            ui.transcript
        );
        let mut ui = person();
        assert_eq!(stage.play(plain(), &mut ui).await.exit, ExitCode::Ok, "{moment}: {}", ui.transcript);
        assert!(stage.env().unwrap().contains("WHATSAPP_ENABLED=true"), "{moment}");
    }
}

#[tokio::test(start_paused = true)]
async fn settings_that_cannot_be_written_leave_the_file_and_a_linked_phone() {
    let stage = Stage::new([[vec![Move::BlockSettings], good()].concat()]);
    let mut ui = no_person();
    assert_eq!(stage.play(flags(), &mut ui).await.exit, ExitCode::Failed);
    assert!(matches!(ui.events.last(), Some(WizardEvent::Error { code: "env_not_written", .. })));
    assert!(flat(&ui).contains("The phone is already linked"), "{}", ui.transcript);
    assert!(stage.home.env_file().is_dir());
}

#[tokio::test(start_paused = true)]
async fn no_code_is_in_the_record_of_a_drawing() {
    let stage = Stage::new([good()]);
    let mut ui = person();
    stage.play(plain(), &mut ui).await;
    assert!(!ui.transcript.contains(&payload(1)[..60]));
}
