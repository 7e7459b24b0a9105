//! Pure. What is to be done next: the findings of preflight, one after another, with the answers given so far put over
//! what was found.

use crate::config::{AllowList, WhatsAppMode};
use crate::pairing::{Me, Pairing};
use crate::preflight::{Code, Facts, Finding, LockFact, SessionFact, findings};

/// What the person said in this run, by flags or by answers. Kept in memory until the end.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Answers {
    /// Bot or self-chat.
    pub mode: Option<WhatsAppMode>,
    /// Who may speak.
    pub allowed: Option<AllowList>,
    /// The present list stays as it is, whatever is odd about it.
    pub allowed_stays: bool,
    /// What becomes of the session that is there.
    pub session: Option<SessionAnswer>,
}

/// What becomes of the session that is there.
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

/// What is to be done next.
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
        /// What is wrong with it.
        why: String,
    },
    /// Ask for the mode.
    ChooseMode,
    /// Ask who may speak.
    ChooseAllowed {
        /// Entries of the present list that are no numbers.
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
    /// Who may speak.
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
            | Self::Finish => None,
        }
    }
}

/// What is to be done next. What nobody can mend from here is told before anything is asked; what needs a person comes
/// before what takes time; the session is touched last.
pub fn next(facts: &Facts, answers: &Answers) -> Step {
    let facts = answers.over(facts);
    let findings = findings(&facts);
    let found = |code: Code| findings.iter().find(|finding| finding.code == code);
    if let Some(node) = found(Code::WhatsappNodeMissing).or_else(|| found(Code::WhatsappNodeTooOld)) {
        return Step::Refuse(node.clone());
    }
    let session = session_step(&facts, answers.session);
    match session {
        Some(Step::AskKeep { .. } | Step::AskReplace { .. }) => return session.expect("just matched"),
        Some(_) => {
            if let LockFact::Held { pid } = facts.lock {
                return Step::RefuseLocked { pid };
            }
            if let SessionFact::Unreadable { .. } = facts.session
                && answers.session.is_none()
                && let Some(finding) = found(Code::WhatsappCredsCorrupt)
            {
                return Step::Refuse(finding.clone());
            }
        }
        None => {}
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

/// What the session needs; `None` when it is a pairing that stays.
fn session_step(facts: &Facts, answer: Option<SessionAnswer>) -> Option<Step> {
    let replace = answer == Some(SessionAnswer::Replace);
    match &facts.session {
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
        // Its owner or mode is wrong, which a human can mend without losing the pairing.
        SessionFact::Unreadable { .. } => Some(Step::Pair),
    }
}

/// In self-chat nobody needs to be listed, so it is asked only together with the mode.
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

/// The flags that are needed where nobody can be asked.
pub fn missing_flags(facts: &Facts, answers: &Answers, yes: bool) -> Vec<&'static str> {
    let with_answers = answers.over(facts);
    let mut missing = Vec::new();
    if with_answers.mode.is_none() {
        missing.push("--mode bot|self-chat");
    }
    if with_answers.allowed == AllowList::Nobody
        && answers.allowed.is_none()
        && with_answers.mode != Some(WhatsAppMode::SelfChat)
    {
        missing.push("--allow NUMBERS");
    }
    if answers.allowed == Some(AllowList::Everybody) && !yes {
        missing.push("--yes (to confirm --allow '*')");
    }
    if matches!(facts.session, SessionFact::Judged(Pairing::Corrupt { .. }))
        && answers.session != Some(SessionAnswer::Replace)
    {
        missing.push("--repair (to move the unusable session aside)");
    }
    missing
}
