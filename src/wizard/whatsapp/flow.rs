//! Pure. The next step: the findings of preflight, one after another, with the answers given so far put over
//! what was found.

use crate::config::{AllowList, WhatsAppMode};
use crate::pairing::{Me, Pairing};
use crate::preflight::{Code, Facts, Finding, LockFact, SessionFact, findings};

/// The person's flags and answers in this run. Kept in memory until the end.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Answers {
    /// Bot or self-chat.
    pub mode: Option<WhatsAppMode>,
    /// The allow list.
    pub allowed: Option<AllowList>,
    /// The present list stays as it is, whatever is odd about it.
    pub allowed_stays: bool,
    /// The answer about the session that is there.
    pub session: Option<SessionAnswer>,
    /// A pairing that may still work is replaced all the same.
    pub relink: bool,
}

/// The answer about the session that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionAnswer {
    /// It stays.
    Keep,
    /// It is moved aside and a new one is paired.
    Replace,
}

impl Answers {
    /// The facts as they will be once the answers are written.
    pub fn over(&self, facts: &Facts) -> Facts {
        let mut facts = facts.clone();
        if let Some(mode) = self.mode {
            facts.mode = Some(mode);
        }
        if let Some(allowed) = &self.allowed {
            facts.allowed = allowed.clone();
            facts.allowed_rejects.clear();
        }
        facts
    }
}

/// The next step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Nothing can be done here; the finding says what a human must do.
    Refuse(Finding),
    /// Another bridge uses the session, and it must be left alone first.
    RefuseLocked {
        /// That bridge.
        pid: Option<u32>,
    },
    /// There is a pairing: ask whether it stays.
    AskKeep {
        /// Its account.
        me: Me,
    },
    /// The session cannot be used: ask whether it may be moved aside.
    AskReplace {
        /// The mistake in it.
        why: String,
    },
    /// The pairing that is to be replaced may still work: warn, and ask whether it is meant.
    AskRelink {
        /// Its account.
        me: Me,
    },
    /// Ask for the mode.
    ChooseMode,
    /// Ask who may speak.
    ChooseAllowed {
        /// Entries of the present list that are not numbers.
        rejects: Vec<String>,
    },
    /// Install the bridge.
    InstallBridge,
    /// Move the session folder aside.
    MoveAside {
        /// Why, as a word of its new name.
        word: &'static str,
    },
    /// Put the last good copy of the credentials back.
    RestoreCopy,
    /// Pair.
    Pair,
    /// Prove and write.
    Finish,
}

/// The four steps that people see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Chapter {
    /// Bot or self-chat.
    Mode = 1,
    /// The allow list.
    People,
    /// The bridge.
    Bridge,
    /// The phone.
    Phone,
}

impl Chapter {
    /// All of them, in order.
    pub const ALL: [Self; 4] = [Self::Mode, Self::People, Self::Bridge, Self::Phone];
}

impl Step {
    /// The visible step that this one belongs to.
    pub fn chapter(&self) -> Option<Chapter> {
        match self {
            Self::ChooseMode => Some(Chapter::Mode),
            Self::ChooseAllowed { .. } => Some(Chapter::People),
            Self::InstallBridge => Some(Chapter::Bridge),
            Self::MoveAside { .. } | Self::RestoreCopy | Self::Pair => Some(Chapter::Phone),
            Self::Refuse(_)
            | Self::RefuseLocked { .. }
            | Self::AskKeep { .. }
            | Self::AskReplace { .. }
            | Self::AskRelink { .. }
            | Self::Finish => None,
        }
    }
}

/// The next step. A finding that cannot be repaired from here is shown before anything is asked; what needs a person comes
/// before what takes time; the session is touched last.
pub fn next(facts: &Facts, answers: &Answers) -> Step {
    let facts = answers.over(facts);
    let findings = findings(&facts);
    let found = |code: Code| findings.iter().find(|finding| finding.code == code);
    if let Some(node) = found(Code::WhatsappNodeMissing).or_else(|| found(Code::WhatsappNodeTooOld)) {
        return Step::Refuse(node.clone());
    }
    // Its owner or mode is wrong, which a human can repair without losing the pairing.
    if let SessionFact::Unreadable { .. } = facts.session
        && answers.session != Some(SessionAnswer::Replace)
        && let Some(finding) = found(Code::WhatsappCredsCorrupt)
    {
        return Step::Refuse(finding.clone());
    }
    let session = session_step(&facts, answers);
    if let Some(ask @ (Step::AskKeep { .. } | Step::AskReplace { .. })) = session {
        return ask;
    }
    if session.is_some()
        && let LockFact::Held { pid } = facts.lock
    {
        return Step::RefuseLocked { pid };
    }
    if let Some(ask @ Step::AskRelink { .. }) = session {
        return ask;
    }
    if facts.mode.is_none() {
        return Step::ChooseMode;
    }
    if asks_who_may_speak(&facts, answers, &findings) {
        return Step::ChooseAllowed { rejects: facts.allowed_rejects };
    }
    if found(Code::WhatsappBridgeNotInstalled).is_some() {
        return Step::InstallBridge;
    }
    session.unwrap_or(Step::Finish)
}

/// The step that the session needs; `None` when it is a pairing that stays.
fn session_step(facts: &Facts, answers: &Answers) -> Option<Step> {
    let answer = answers.session;
    let replace = answer == Some(SessionAnswer::Replace);
    match &facts.session {
        SessionFact::Judged(Pairing::Paired { me }) | SessionFact::Restorable { me, .. }
            if replace && needs_word(facts, answers) =>
        {
            Some(Step::AskRelink { me: me.clone() })
        }
        SessionFact::Judged(Pairing::Unpaired) => Some(Step::Pair),
        SessionFact::Judged(Pairing::HalfPaired) => Some(Step::MoveAside { word: "abandoned" }),
        SessionFact::Judged(Pairing::Paired { .. }) | SessionFact::Restorable { .. } if replace => {
            Some(Step::MoveAside { word: "replaced" })
        }
        SessionFact::Judged(Pairing::Paired { me }) => match answer {
            Some(SessionAnswer::Keep) => None,
            Some(SessionAnswer::Replace) | None => Some(Step::AskKeep { me: me.clone() }),
        },
        SessionFact::Restorable { .. } => Some(Step::RestoreCopy),
        SessionFact::Judged(Pairing::Corrupt { .. }) | SessionFact::Unreadable { .. } if replace => {
            Some(Step::MoveAside { word: "corrupt" })
        }
        SessionFact::Judged(Pairing::Corrupt { why }) => Some(Step::AskReplace { why: why.clone() }),
        SessionFact::Unreadable { why, .. } => Some(Step::AskReplace { why: why.clone() }),
    }
}

/// A pairing that works goes on, and another one may need a passkey: it is given up only when the person says so.
fn needs_word(facts: &Facts, answers: &Answers) -> bool {
    !answers.relink && !facts.session_refused
}

/// In self-chat the list may be empty, so it is asked for only together with the mode.
fn asks_who_may_speak(facts: &Facts, answers: &Answers, findings: &[Finding]) -> bool {
    let nobody = facts.allowed == AllowList::Nobody;
    let invalid = findings.iter().any(|finding| finding.code == Code::WhatsappAllowlistInvalid);
    answers.allowed.is_none()
        && !answers.allowed_stays
        && match facts.mode {
            Some(WhatsAppMode::SelfChat) => invalid || (nobody && answers.mode.is_some()),
            Some(WhatsAppMode::Bot) | None => invalid || nobody,
        }
}

/// The flag that takes the place of the answer to [`Step::AskRelink`].
pub const RELINK: &str =
    "--repair --relink (to replace a link that may still work; linking again may need a passkey)";

/// The flags that are needed where no one can be asked.
pub fn missing_flags(facts: &Facts, answers: &Answers, yes: bool) -> Vec<&'static str> {
    let with_answers = answers.over(facts);
    let mut missing = Vec::new();
    if with_answers.mode.is_none() && !yes {
        missing.push("--mode bot|self-chat");
    }
    if with_answers.allowed == AllowList::Nobody
        && answers.allowed.is_none()
        && with_answers.mode != Some(WhatsAppMode::SelfChat)
    {
        missing.push("--allow NUMBERS or --allow-everyone");
    }
    if matches!(facts.session, SessionFact::Judged(Pairing::Corrupt { .. }))
        && !yes
        && answers.session != Some(SessionAnswer::Replace)
    {
        missing.push("--repair (to move the unusable session aside)");
    }
    if let Some(Step::AskRelink { .. }) = session_step(facts, answers) {
        missing.push(RELINK);
    }
    missing
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::preflight::{BridgeFact, NodeFact};

    fn me() -> Me {
        Me { id: "15550001111:7@s.whatsapp.net".to_owned(), lid: None, name: None }
    }

    fn clean() -> Facts {
        Facts {
            enabled: false,
            node: NodeFact::Found { path: PathBuf::from("/node"), version: (20, 0, 0) },
            bridge: BridgeFact::Missing,
            session_dir: PathBuf::from("/session"),
            session: SessionFact::Judged(Pairing::Unpaired),
            lock: LockFact::Free,
            session_refused: false,
            passkey_required: false,
            mode: None,
            allowed: AllowList::Nobody,
            allowed_rejects: Vec::new(),
        }
    }

    fn ready() -> Facts {
        Facts {
            bridge: BridgeFact::Installed { dir: PathBuf::from("/bridge") },
            session: SessionFact::Judged(Pairing::Paired { me: me() }),
            mode: Some(WhatsAppMode::Bot),
            allowed: AllowList::Only(vec!["15550002222".to_owned()]),
            ..clean()
        }
    }

    fn answered(session: SessionAnswer) -> Answers {
        Answers { session: Some(session), ..Answers::default() }
    }

    #[test]
    fn findings_are_mended_one_after_another() {
        let mut facts = clean();
        let mut answers = Answers::default();
        assert_eq!(next(&facts, &answers), Step::ChooseMode);
        answers.mode = Some(WhatsAppMode::Bot);
        assert_eq!(next(&facts, &answers), Step::ChooseAllowed { rejects: Vec::new() });
        answers.allowed = Some(AllowList::Only(vec!["15550002222".to_owned()]));
        assert_eq!(next(&facts, &answers), Step::InstallBridge);
        facts.bridge = BridgeFact::Installed { dir: PathBuf::from("/bridge") };
        assert_eq!(next(&facts, &answers), Step::Pair);
        facts.session = SessionFact::Judged(Pairing::HalfPaired);
        assert_eq!(next(&facts, &answers), Step::MoveAside { word: "abandoned" });
        facts.session = SessionFact::Judged(Pairing::Paired { me: me() });
        assert_eq!(next(&facts, &answers), Step::AskKeep { me: me() });
        answers.session = Some(SessionAnswer::Keep);
        assert_eq!(next(&facts, &answers), Step::Finish);
        let replaced = answered(SessionAnswer::Replace);
        assert_eq!(next(&ready(), &replaced), Step::AskRelink { me: me() });
        let aside = Step::MoveAside { word: "replaced" };
        assert_eq!(next(&ready(), &Answers { relink: true, ..replaced.clone() }), aside);
        assert_eq!(next(&Facts { session_refused: true, ..ready() }, &replaced), aside);
    }

    #[test]
    fn what_only_a_human_can_mend_is_told_before_anything_is_asked() {
        let old = NodeFact::Found { path: PathBuf::from("/node"), version: (18, 0, 0) };
        let refused = next(&Facts { node: old, ..clean() }, &Answers::default());
        assert!(matches!(refused, Step::Refuse(Finding { code: Code::WhatsappNodeTooOld, .. })));
        let unreadable = SessionFact::Unreadable { why: "its owner is another".to_owned(), obstacle: None };
        let facts = Facts { session: unreadable, ..clean() };
        for answers in [Answers::default(), answered(SessionAnswer::Keep)] {
            assert!(matches!(next(&facts, &answers), Step::Refuse(_)), "{answers:?}");
        }
        let facts = Facts { lock: LockFact::Held { pid: Some(7) }, ..clean() };
        assert_eq!(next(&facts, &Answers::default()), Step::RefuseLocked { pid: Some(7) });
        let facts = Facts { lock: LockFact::Held { pid: Some(7) }, ..ready() };
        assert_eq!(next(&facts, &answered(SessionAnswer::Keep)), Step::Finish, "the gateway runs, and may");
    }

    #[test]
    fn flags_are_missing_only_for_what_would_be_asked() {
        let none = Answers::default();
        assert_eq!(
            missing_flags(&clean(), &none, false),
            ["--mode bot|self-chat", "--allow NUMBERS or --allow-everyone"]
        );
        assert!(missing_flags(&ready(), &none, false).is_empty());
        let own = Answers { mode: Some(WhatsAppMode::SelfChat), ..Answers::default() };
        assert!(missing_flags(&clean(), &own, false).is_empty());
        let corrupt = Pairing::Corrupt { why: "it is empty".to_owned() };
        let facts = Facts { session: SessionFact::Judged(corrupt), ..ready() };
        assert_eq!(missing_flags(&facts, &none, false).len(), 1);
        assert!(missing_flags(&facts, &answered(SessionAnswer::Replace), false).is_empty());
        let replaced = answered(SessionAnswer::Replace);
        assert_eq!(missing_flags(&ready(), &replaced, true), [RELINK]);
        assert!(missing_flags(&ready(), &Answers { relink: true, ..replaced.clone() }, true).is_empty());
        assert!(missing_flags(&Facts { session_refused: true, ..ready() }, &replaced, true).is_empty());
    }
}
