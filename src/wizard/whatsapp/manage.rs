//! `hermes whatsapp status|enable|disable|unpair`.

use std::fmt::Write;

use serde::Serialize;

use crate::bridge::session_lock;
use crate::clock::Now;
use crate::config::Config;
use crate::durable::Lock;
use crate::error::{CliError, ExitCode, with_code};
use crate::facts;
use crate::home::HermesHome;
use crate::pairing::{Me, Pairing};
use crate::platforms::Platform;
use crate::preflight::access::Answered;
use crate::preflight::origin::with_origin;
use crate::preflight::{
    BridgeFact, Code, Facts, Finding, LockFact, NodeFact, SessionFact, findings, is_blocked,
};
use crate::wizard::changes::mode_word;
use crate::wizard::questions::ask_alone;
use crate::wizard::runner::Interrupts;
use crate::wizard::switch::Done;
use crate::wizard::switch::json_line;
use crate::wizard::switch::refuse_turned_off;
use crate::wizard::switch::switch;
use crate::wizard::ui::Ui;
use crate::wizard::ui::layout::Line;
use crate::wizard::ui::terminal::{TermUi, print, print_text};
use crate::wizard::whatsapp::failures;
use crate::wizard::whatsapp::numbers::{show_answered, show_number};
use crate::wizard::whatsapp::session;
use crate::world::World;

/// The document of `status --json`.
#[derive(Debug, Serialize)]
struct Report {
    enabled: bool,
    mode: Option<&'static str>,
    /// By the word of a running gateway, else by the settings.
    allowed: Vec<String>,
    /// By a code.
    approved: Vec<String>,
    pairing: &'static str,
    me: Option<Me>,
    session_dir: String,
    in_use: bool,
    in_use_by: Option<u32>,
    node: Option<String>,
    bridge: &'static str,
    findings: Vec<Finding>,
}

impl Report {
    fn print(&self, json: bool, words: impl FnOnce() -> String) {
        if json { print(&json_line(self)) } else { print_text(&words()) }
    }
}

/// Shows how WhatsApp is set up. Exit 0 when nothing blocks it, else 1.
///
/// # Errors
/// When the settings cannot be read.
pub fn status(
    world: &World,
    home: &HermesHome,
    answered: &Answered,
    json: bool,
) -> Result<ExitCode, CliError> {
    let config = Config::load(world, home)?;
    let facts = facts::gather(world, home, &config);
    let mut report = report(&facts, answered);
    if is_untouched(&facts) {
        // Everything is missing, and one command brings all of it.
        report.findings.retain(|finding| finding.code == Code::WhatsappNotPaired);
        report.print(json, || format!("{}\n", not_set_up(home)));
        return Ok(ExitCode::Failed);
    }
    report.findings = with_origin(Platform::Whatsapp, report.findings, &config);
    answered.replace_in(&mut report.findings);
    // The gateway using the session is how it should be.
    if matches!(Lock::holder(&home.lock_file()), Ok(Some(_))) {
        report.findings.retain(|finding| finding.code != Code::WhatsappSessionLock);
    }
    let blocked = is_blocked(&report.findings);
    report.print(json, || prose(&facts, &report));
    Ok(if blocked { ExitCode::Failed } else { ExitCode::Ok })
}

/// Its setup was never begun in this home.
fn is_untouched(facts: &Facts) -> bool {
    facts.session == SessionFact::Judged(Pairing::Unpaired)
        && !facts.enabled
        && facts.mode.is_none()
        && !facts.passkey_required
}

fn not_set_up(home: &HermesHome) -> String {
    format!("WhatsApp is not set up in {}. Run `hermes whatsapp`.", home.root().display())
}

fn report(facts: &Facts, answered: &Answered) -> Report {
    let (pairing, me) = match &facts.session {
        SessionFact::Judged(Pairing::Paired { me }) => ("paired", Some(me.clone())),
        SessionFact::Judged(Pairing::Unpaired) => ("unpaired", None),
        SessionFact::Judged(Pairing::HalfPaired) => ("half_paired", None),
        SessionFact::Judged(Pairing::Corrupt { .. }) => ("corrupt", None),
        SessionFact::Restorable { me, .. } => ("restorable", Some(me.clone())),
        SessionFact::Unreadable { .. } => ("unreadable", None),
    };
    let in_use_by = match facts.lock {
        LockFact::Held { pid } => pid,
        LockFact::Free => None,
    };
    Report {
        enabled: facts.enabled,
        mode: facts.mode.map(mode_word),
        allowed: answered.allowed.clone(),
        approved: answered.approved.clone(),
        pairing,
        me,
        session_dir: facts.session_dir.display().to_string(),
        in_use: facts.lock != LockFact::Free,
        in_use_by,
        node: match &facts.node {
            NodeFact::Found { version: (major, minor, patch), .. } => {
                Some(format!("{major}.{minor}.{patch}"))
            }
            NodeFact::Missing | NodeFact::Broken { .. } => None,
        },
        bridge: match &facts.bridge {
            BridgeFact::Installed { .. } => "installed",
            BridgeFact::Missing => "missing",
            BridgeFact::Damaged { .. } => "damaged",
        },
        findings: findings(facts),
    }
}

fn prose(facts: &Facts, report: &Report) -> String {
    let mut text = String::from("WhatsApp\n");
    let mut row = |word: &str, value: &str| {
        writeln!(text, "  {word:<10}{value}").expect("writing to a String does not fail");
    };
    row("enabled", if report.enabled { "yes" } else { "no" });
    let account =
        report.me.as_ref().map_or_else(String::new, |me| format!(" as {}", show_number(me.number())));
    row("pairing", &format!("{}{account}", report.pairing.replace('_', " ")));
    row("mode", report.mode.unwrap_or("not chosen"));
    row("answers", &show_answered(facts.mode, &report.allowed, &report.approved));
    row("node", report.node.as_deref().unwrap_or("not found"));
    row("bridge", report.bridge);
    let in_use = match (report.in_use, report.in_use_by) {
        (false, _) => String::new(),
        (true, None) => " (in use)".to_owned(),
        (true, Some(pid)) => format!(" (in use by process {pid})"),
    };
    row("session", &format!("{}{in_use}", report.session_dir));
    for (at, finding) in report.findings.iter().enumerate() {
        write!(text, "\n  {}\n", with_code(&finding.message, finding.code.as_str()))
            .expect("writing to a String does not fail");
        // One remedy for several is said once, below the last of them.
        if report.findings.get(at + 1).is_none_or(|next| next.fix != finding.fix) {
            writeln!(text, "    {}", finding.fix).expect("writing to a String does not fail");
        }
    }
    text
}

/// Turns WhatsApp on. Refuses unless it is paired.
///
/// # Errors
/// When it is not paired, or the settings cannot be read or written.
pub fn enable(world: &World, home: &HermesHome, json: bool) -> Result<ExitCode, CliError> {
    let config = Config::load(world, home)?;
    let facts = facts::gather(world, home, &config);
    let me = match &facts.session {
        SessionFact::Judged(Pairing::Paired { me }) | SessionFact::Restorable { me, .. } => me,
        SessionFact::Judged(Pairing::Unpaired | Pairing::HalfPaired | Pairing::Corrupt { .. })
        | SessionFact::Unreadable { .. } => return Err(not_paired(&facts)),
    };
    let changed = switch(home, "WHATSAPP_ENABLED", true, &config)?;
    refuse_turned_off(Platform::Whatsapp, &config)?;
    let state = if changed { "on" } else { "already on" };
    let words = format!(
        "WhatsApp is {state}, linked as {}. A running gateway connects by itself; otherwise start it with `hermes gateway run`.",
        show_number(me.number())
    );
    Done { enabled: true, changed, moved_to: None }.say(json, &words);
    Ok(ExitCode::Ok)
}

fn not_paired(facts: &Facts) -> CliError {
    if is_untouched(facts) {
        return CliError::failed("WhatsApp is not set up")
            .code("whatsapp_not_paired")
            .hint("Run `hermes whatsapp`.");
    }
    let pairing = [
        Code::WhatsappNotPaired,
        Code::WhatsappPasskeyRequired,
        Code::WhatsappHalfPaired,
        Code::WhatsappCredsCorrupt,
    ];
    let findings = findings(facts);
    match findings.iter().find(|finding| pairing.contains(&finding.code)) {
        Some(finding) => {
            CliError::failed(finding.message.clone()).code(finding.code.as_str()).hint(finding.fix.clone())
        }
        None => CliError::failed("WhatsApp is not linked")
            .code("whatsapp_not_paired")
            .hint("Run `hermes whatsapp`."),
    }
}

/// Turns WhatsApp off; the pairing stays.
///
/// # Errors
/// When the settings cannot be read or written.
pub fn disable(world: &World, home: &HermesHome, json: bool) -> Result<ExitCode, CliError> {
    let config = Config::load(world, home)?;
    let session = facts::session(&home.whatsapp());
    let changed = switch(home, "WHATSAPP_ENABLED", false, &config)?;
    let state = if changed { "off" } else { "already off" };
    let words = match session {
        SessionFact::Judged(Pairing::Paired { .. }) | SessionFact::Restorable { .. } => {
            format!(
                "WhatsApp is {state}. The phone stays linked. Turn it on again with `hermes whatsapp enable`."
            )
        }
        SessionFact::Judged(Pairing::Unpaired) if !changed => not_set_up(home),
        SessionFact::Judged(Pairing::Unpaired | Pairing::HalfPaired | Pairing::Corrupt { .. })
        | SessionFact::Unreadable { .. } => format!("WhatsApp is {state}. No phone is linked."),
    };
    Done { enabled: false, changed, moved_to: None }.say(json, &words);
    Ok(ExitCode::Ok)
}

/// Moves the session aside, so that this machine forgets the phone, and turns WhatsApp off.
///
/// # Errors
/// When a bridge uses the session, when it was not confirmed, or when a file cannot be written or moved.
pub async fn unpair(world: &World, home: &HermesHome, yes: bool, json: bool) -> Result<ExitCode, CliError> {
    let config = Config::load(world, home)?;
    let paths = home.whatsapp();
    let has_session = paths.session_dir().exists();
    let was_paired = match facts::session(&paths) {
        SessionFact::Judged(Pairing::Paired { .. }) | SessionFact::Restorable { .. } => true,
        // A session that cannot be read may be a pairing.
        SessionFact::Judged(Pairing::Corrupt { .. }) | SessionFact::Unreadable { .. } => true,
        SessionFact::Judged(Pairing::Unpaired | Pairing::HalfPaired) => false,
    };
    // While a bridge uses it nothing at all may change, so there is nothing to ask.
    if let LockFact::Held { pid } = session_lock(&paths) {
        return Err(failures::locked(pid));
    }
    if !yes && has_session {
        let mut ui = TermUi::new(world);
        if json || !ui.can_ask() {
            let why = if json { "`--json` asks nothing" } else { "there is no terminal" };
            return Err(CliError::usage(format!("unpairing must be confirmed, and {why}")).hint("Use --yes."));
        }
        if was_paired {
            ui.say(Line::Warn(PASSKEY_NOTE.to_owned()));
        }
        let left = "Nothing was changed.";
        let ask = async |ui: &mut TermUi| ui.confirm("Unlink WhatsApp from this machine?", false).await;
        if !ask_alone(&mut ui, &mut Interrupts::listen()?, left, ask).await? {
            print("Nothing was changed.\n");
            return Ok(ExitCode::Ok);
        }
    }
    // First the folder: a bridge may have begun to use it meanwhile.
    let aside = session::move_aside(&paths, "unpaired", Now::read().wall)?;
    let moved_to = aside.map(|aside| aside.to.display().to_string());
    let switched = switch(home, "WHATSAPP_ENABLED", false, &config).map_err(|error| match &moved_to {
        Some(to) => error.hint(format!("WhatsApp is unlinked here anyway. The session is kept in {to}.")),
        None => error,
    })?;
    let changed = moved_to.is_some() || switched;
    let words = match &moved_to {
        Some(to) => unpaired(to, was_paired),
        None if switched => "No phone was linked. WhatsApp is off.".to_owned(),
        None => not_set_up(home),
    };
    Done { enabled: false, changed, moved_to }.say(json, &words);
    Ok(ExitCode::Ok)
}

/// The report of an unpairing whose session is kept there.
fn unpaired(to: &str, was_paired: bool) -> String {
    if was_paired {
        format!(
            "WhatsApp is unlinked and off. The session is kept in {to}.\n\
             On the phone, remove the device too: Settings > Linked devices. {PASSKEY_NOTE}"
        )
    } else {
        format!("No phone was linked. WhatsApp is off. The unfinished session is kept in {to}.")
    }
}

/// Warning before a pairing is forgotten.
const PASSKEY_NOTE: &str =
    "Linking again may need the account's passkey: since 2026 WhatsApp asks some accounts for it.";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wizard::whatsapp::stage::{Creds, Stage};

    fn nowhere() -> World {
        World::of_env::<&str, &str>([])
    }

    fn answered(stage: &Stage) -> Answered {
        let config = Config::load(&nowhere(), &stage.home).unwrap();
        Answered::of(Platform::Whatsapp, &config, Vec::new())
    }

    #[test]
    fn enabling_needs_a_pairing() {
        let stage = Stage::new([]).with_env("# mine\n");
        for (content, code) in [
            (None, "whatsapp_not_paired"),
            (Some(Creds::Half), "whatsapp_half_paired"),
            (Some(Creds::Broken), "whatsapp_creds_corrupt"),
        ] {
            if let Some(content) = content {
                stage.save(content);
            }
            assert_eq!(enable(&nowhere(), &stage.home, false).unwrap_err().code, code);
            assert_eq!(stage.env().as_deref(), Some("# mine\n"));
        }
        stage.save(Creds::Paired);
        assert_eq!(enable(&nowhere(), &stage.home, false).unwrap(), ExitCode::Ok);
        assert_eq!(stage.env().as_deref(), Some("# mine\nWHATSAPP_ENABLED=true\n"));
        assert_eq!(disable(&nowhere(), &stage.home, true).unwrap(), ExitCode::Ok);
        assert_eq!(stage.env().as_deref(), Some("# mine\nWHATSAPP_ENABLED=false\n"));
    }

    #[tokio::test]
    async fn unpairing_moves_the_session_aside_and_turns_it_off() {
        let stage = Stage::new([]).with_env("WHATSAPP_ENABLED=true\n").with_creds(Creds::Paired);
        let refused = unpair(&nowhere(), &stage.home, false, false).await.unwrap_err();
        assert_eq!(refused.exit(), ExitCode::Usage);
        let lock = Lock::acquire(&stage.home.whatsapp().session_lock()).unwrap();
        let refused = unpair(&nowhere(), &stage.home, true, false).await.unwrap_err();
        assert_eq!(refused.code, "whatsapp_session_lock");
        assert_eq!(stage.env().as_deref(), Some("WHATSAPP_ENABLED=true\n"));
        drop(lock);
        let env = World::of_env([("WHATSAPP_ENABLED", "yes")]);
        assert_eq!(disable(&env, &stage.home, false).unwrap_err().code, "env_shadowed");
        assert_eq!(unpair(&nowhere(), &stage.home, true, false).await.unwrap(), ExitCode::Ok);
        assert_eq!(stage.env().as_deref(), Some("WHATSAPP_ENABLED=false\n"));
        assert!(stage.asides()[0].starts_with("session.unpaired-"), "{:?}", stage.asides());
        assert!(!stage.home.whatsapp().creds().exists());
        assert_eq!(unpair(&nowhere(), &stage.home, true, true).await.unwrap(), ExitCode::Ok);
        assert_eq!(stage.asides().len(), 1, "there was nothing more to move");
    }

    #[tokio::test]
    async fn where_nothing_is_set_up_nothing_is_asked_or_written() {
        let stage = Stage::new([]);
        assert_eq!(unpair(&nowhere(), &stage.home, false, false).await.unwrap(), ExitCode::Ok);
        assert_eq!(disable(&nowhere(), &stage.home, false).unwrap(), ExitCode::Ok);
        assert_eq!(status(&nowhere(), &stage.home, &answered(&stage), false).unwrap(), ExitCode::Failed);
        let error = enable(&nowhere(), &stage.home, false).unwrap_err();
        assert_eq!((error.code, error.message.as_str()), ("whatsapp_not_paired", "WhatsApp is not set up"));
        assert_eq!(error.hints, ["Run `hermes whatsapp`."]);
        assert!(!stage.home.root().exists());
        assert!(unpaired("/x", true).contains("passkey") && !unpaired("/x", false).contains("unlinked"));
        assert!(not_set_up(&stage.home).contains("Run `hermes whatsapp`."));
    }

    #[test]
    fn the_report_says_how_it_stands_and_what_mends_it() {
        let stage = Stage::new([]).with_env("WHATSAPP_MODE=bot\n").with_creds(Creds::Half);
        let facts = facts::gather(&nowhere(), &stage.home, &Config::load(&nowhere(), &stage.home).unwrap());
        let report = report(&facts, &answered(&stage));
        let text = prose(&facts, &report);
        assert!(text.contains("pairing   half paired\n"), "{text}");
        assert!(text.contains(" [whatsapp_half_paired]\n"), "{text}");
        let json: serde_json::Value = serde_json::from_str(&json_line(&report)).unwrap();
        assert_eq!(json["pairing"], "half_paired");
        assert_eq!(json["mode"], "bot");
        assert_eq!(status(&nowhere(), &stage.home, &answered(&stage), true).unwrap(), ExitCode::Failed);
    }
}
