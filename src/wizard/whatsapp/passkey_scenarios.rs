//! Links for which WhatsApp asks for a passkey, and pairings that may still work.

use serde_json::json;

use crate::bridge::protocol::{Event, Exit, PasskeyRequest};
use crate::config::WhatsAppMode;
use crate::durable;
use crate::error::ExitCode;
use crate::preflight::{Code, findings};
use crate::wizard::ui::event::WizardEvent;
use crate::wizard::ui::script::{Act, ScriptUi};
use crate::wizard::whatsapp::hands::Hands;
use crate::wizard::whatsapp::options::{AnswerFrom, WhatsAppOptions};
use crate::wizard::whatsapp::stage::{Creds, Move, Stage, linked, qr};

const SNIPPET: &str = "navigator.credentials.get({publicKey:PublicKeyCredential.parseRequestOptionsFromJSON({\"challenge\":\"abc\"})}).then()";
const DONE_ENV: &str = "WHATSAPP_MODE=bot\nWHATSAPP_ALLOWED_USERS=15550002222\nWHATSAPP_ENABLED=true\n";

fn asked() -> Move {
    let options = json!({ "challenge": "abc" });
    Move::Say(Event::PasskeyRequired(PasskeyRequest {
        options,
        snippet: SNIPPET.to_owned(),
        expires_in_s: 600,
    }))
}

fn code(confirm: bool) -> Move {
    Move::Say(Event::PasskeyCode { code: "ABCD-1234".to_owned(), confirm })
}

fn rejected() -> Move {
    Move::Say(Event::PasskeyRejected { message: "It is cut off.".to_owned() })
}

fn flags() -> WhatsAppOptions {
    WhatsAppOptions {
        mode: Some(WhatsAppMode::Bot),
        allow: Some("15550002222".to_owned()),
        offers_start: false,
        ..WhatsAppOptions::default()
    }
}

fn script() -> ScriptUi {
    let mut ui = ScriptUi::new([]);
    ui.asks = false;
    ui.window = None;
    ui
}

fn flat(ui: &ScriptUi) -> String {
    ui.transcript.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[tokio::test(start_paused = true)]
async fn the_browsers_answer_is_pasted_checked_and_compared() {
    let bridge = [
        vec![qr(1), asked(), Move::Hear("first"), rejected(), Move::Hear("second")],
        vec![Move::Say(Event::PasskeySent), code(true), Move::Hear("\"matches\":true")],
        linked(),
    ]
    .concat();
    let stage = Stage::new([bridge]).with_bridge();
    let mut ui = ScriptUi::new([Act::Type("first"), Act::Type("second"), Act::Say(true)]);
    assert_eq!(stage.play(flags(), &mut ui).await.exit, ExitCode::Ok, "{}", ui.transcript);
    assert!(ui.transcript.contains(&format!("\n{SNIPPET}\n")), "one line: {}", ui.transcript);
    let seen = flat(&ui);
    for part in
        ["https://web.whatsapp.com", "It is cut off.", "Does the phone show ABCD-1234?", "Ctrl-C stops"]
    {
        assert!(seen.contains(part), "{part}: {seen}");
    }
    assert!(!seen.contains("second"), "what is pasted is not shown");
    let names: Vec<String> = ui.events.iter().map(|event| format!("{event:?}")).collect();
    assert!(names.join(" ").contains("PasskeyRequired PasskeyRejected PasskeyCode PairSuccess"), "{names:?}");
    assert!(!stage.home.whatsapp().passkey_mark().exists());
}

#[tokio::test(start_paused = true)]
async fn without_anybody_to_answer_it_ends_at_once_and_is_remembered_until_it_is_linked() {
    let passed = [vec![qr(1), asked(), Move::Hear("from the file"), code(false)], linked()].concat();
    let stage = Stage::new([vec![qr(1), asked(), Move::Hang], passed]).with_bridge();
    let mut ui = script();
    assert_eq!(stage.play(flags(), &mut ui).await.exit, ExitCode::Failed, "{}", ui.transcript);
    assert!(flat(&ui).contains("--passkey-answer"), "{}", ui.transcript);
    let Some(WizardEvent::Error { code, .. }) = ui.events.last() else { panic!("{:?}", ui.events) };
    assert_eq!(*code, "whatsapp_passkey_required");
    let codes: Vec<Code> = findings(&stage.facts().await).iter().map(|finding| finding.code).collect();
    assert!(codes.contains(&Code::WhatsappPasskeyRequired), "{codes:?}");

    let file = stage.home.root().join("answer.json");
    durable::write_atomic(&file, b"from the file\n").unwrap();
    let options = WhatsAppOptions { passkey_answer: Some(AnswerFrom::File(file)), ..flags() };
    let mut ui = script();
    assert_eq!(stage.play(options, &mut ui).await.exit, ExitCode::Ok, "{}", ui.transcript);
    let codes: Vec<Code> = findings(&stage.facts().await).iter().map(|finding| finding.code).collect();
    assert!(!codes.contains(&Code::WhatsappPasskeyRequired), "{codes:?}");
    assert!(!stage.home.whatsapp().passkey_mark().exists());
}

#[tokio::test(start_paused = true)]
async fn an_end_while_it_is_waited_for_leaves_everything_as_it_was() {
    let relink = WhatsAppOptions { repair: true, relink: true, ..flags() };
    let refused = vec![qr(1), asked(), Move::Hear("answer"), Move::Exit(Exit::PasskeyRequired)];
    for (bridge, act, exit) in [
        (vec![qr(1), asked(), Move::Hang], Act::CtrlC, ExitCode::Interrupted),
        (refused, Act::Type("answer"), ExitCode::Failed),
    ] {
        let stage = Stage::new([bridge]).with_env(DONE_ENV).with_creds(Creds::Paired).with_bridge();
        let mut ui = ScriptUi::new([act]);
        assert_eq!(stage.play(relink.clone(), &mut ui).await.exit, exit, "{}", ui.transcript);
        assert!(stage.home.whatsapp().creds().exists(), "{}", ui.transcript);
        assert_eq!(stage.env().as_deref(), Some(DONE_ENV));
        assert!(flat(&ui).contains("The old session was restored"), "{}", ui.transcript);
        assert_eq!(stage.home.whatsapp().passkey_mark().exists(), exit == ExitCode::Failed);
    }
}

#[tokio::test(start_paused = true)]
async fn a_pairing_that_may_work_is_replaced_only_by_a_word_of_its_own() {
    let repair = WhatsAppOptions { repair: true, ..flags() };
    let yes = WhatsAppOptions { yes: true, ..repair.clone() };
    let stage = Stage::new([]).with_env(DONE_ENV).with_creds(Creds::Paired).with_bridge();
    for act in [Act::Enter, Act::Say(false), Act::CtrlC] {
        let mut ui = ScriptUi::new([act]);
        assert_eq!(stage.play(repair.clone(), &mut ui).await.exit, ExitCode::Interrupted);
        assert!(flat(&ui).contains("asks some accounts for a passkey"), "{}", ui.transcript);
    }
    for (options, asks) in [(repair.clone(), false), (yes.clone(), false), (yes.clone(), true)] {
        let mut ui = ScriptUi::new([]);
        ui.asks = asks;
        assert_eq!(stage.play(options, &mut ui).await.exit, ExitCode::Usage, "{}", ui.transcript);
        assert!(ui.transcript.contains("--relink"), "{}", ui.transcript);
    }
    // The same is asked when it is chosen in the wizard.
    let mut ui = ScriptUi::new([Act::Pick(2), Act::Enter]);
    let plain = WhatsAppOptions { offers_start: false, ..WhatsAppOptions::default() };
    assert_eq!(stage.play(plain, &mut ui).await.exit, ExitCode::Interrupted, "{}", ui.transcript);
    assert!(stage.asides().is_empty(), "{:?}", stage.asides());

    for (options, acts) in
        [(repair.clone(), vec![Act::Say(true)]), (WhatsAppOptions { relink: true, ..yes }, vec![])]
    {
        let bridge = [vec![qr(1)], linked()].concat();
        let stage = Stage::new([bridge]).with_env(DONE_ENV).with_creds(Creds::Paired).with_bridge();
        let mut ui = ScriptUi::new(acts);
        assert_eq!(stage.play(options, &mut ui).await.exit, ExitCode::Ok, "{}", ui.transcript);
        assert!(stage.asides()[0].starts_with("session.replaced-"), "{:?}", stage.asides());
    }
}
