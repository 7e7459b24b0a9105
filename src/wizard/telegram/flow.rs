//! Pure. The next step, from what was found with the answers given so far put over it.

use crate::config::AllowList;
use crate::platforms::telegram::wire::User;
use crate::sensitive::Secret;

/// The facts at the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The token that is set.
    pub token: Option<Secret>,
    /// The allow list.
    pub allowed: AllowList,
    /// The chat to which alerts are sent.
    pub home_channel: Option<String>,
    /// Questions can be asked.
    pub can_ask: bool,
    /// Confirmations take their default.
    pub yes: bool,
    /// `--no-wait`: the wizard does not wait for a first message.
    pub no_wait: bool,
}

/// The person's flags and answers in this run. Kept in memory until the end.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Answers {
    /// Another token than the one that is set.
    pub token: Option<Secret>,
    /// The token that is set is not used.
    pub is_replaced: bool,
    /// The bot of the token, by the service's word.
    pub bot: Option<User>,
    /// The bot that is set stays.
    pub stays: bool,
    /// The allow list is asked for although it is known.
    pub asks_people: bool,
    /// The allow list.
    pub allowed: Option<AllowList>,
    /// The wait for the owner is over, or is not possible.
    pub is_waited: bool,
    /// The owner's direct chat, when they wrote.
    pub owner: Option<i64>,
    /// The chat to which alerts are sent.
    pub home_channel: Option<String>,
    /// The question for alerts was asked.
    pub is_home_asked: bool,
}

impl Answers {
    /// The token as it will be.
    pub fn token<'a>(&'a self, facts: &'a Facts) -> Option<&'a Secret> {
        self.token.as_ref().or_else(|| facts.token.as_ref().filter(|_| !self.is_replaced))
    }

    /// The allow list, as it will be.
    pub fn allowed<'a>(&'a self, facts: &'a Facts) -> &'a AllowList {
        self.allowed.as_ref().unwrap_or(&facts.allowed)
    }
}

/// The next step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Ask for the token.
    AskToken,
    /// Ask the service whose it is.
    Check,
    /// Ask whether the bot that is set stays.
    AskKeep,
    /// Wait for the owner to write.
    Wait,
    /// Ask for the ids of those who may write.
    AskPeople,
    /// Ask for alerts in the owner's chat.
    AskHome,
    /// Write.
    Finish,
}

/// The steps that people see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Chapter {
    /// The token.
    Bot = 1,
    /// The allow list.
    People,
}

impl Step {
    /// The visible step that this one belongs to.
    pub fn chapter(self) -> Option<Chapter> {
        match self {
            Self::AskToken | Self::Check | Self::AskKeep => Some(Chapter::Bot),
            Self::Wait | Self::AskPeople | Self::AskHome => Some(Chapter::People),
            Self::Finish => None,
        }
    }
}

/// The next step. The bot comes first: without it no one can write to it.
pub fn next(facts: &Facts, answers: &Answers) -> Step {
    if answers.token(facts).is_none() {
        return Step::AskToken;
    }
    if answers.bot.is_none() {
        return Step::Check;
    }
    let asks = facts.can_ask && !facts.yes;
    if answers.token.is_none() && !answers.stays && asks {
        return Step::AskKeep;
    }
    let is_open = answers.allowed.is_none() && (facts.allowed == AllowList::Nobody || answers.asks_people);
    if is_open && !answers.is_waited && !facts.no_wait {
        return Step::Wait;
    }
    // No one can be asked: with `--no-wait` no one may write for now, and the end says so.
    if is_open && asks {
        return Step::AskPeople;
    }
    let has_home = facts.home_channel.is_some() || answers.home_channel.is_some();
    if answers.owner.is_some() && !has_home && !answers.is_home_asked {
        return Step::AskHome;
    }
    Step::Finish
}

/// The flags that are needed where no one can be asked.
pub fn missing_flags(facts: &Facts, answers: &Answers) -> Vec<&'static str> {
    let mut missing = Vec::new();
    if answers.token(facts).is_none() {
        missing.push("--token-stdin < FILE (the token is the first line of FILE)");
    }
    match answers.allowed(facts) {
        // The first sender could be anybody.
        AllowList::Nobody if answers.allowed.is_none() && !facts.no_wait && !facts.yes => {
            missing.push("--allow IDS or --no-wait or --yes (the first sender becomes the owner)");
        }
        AllowList::Nobody | AllowList::Only(_) | AllowList::Everybody => {}
    }
    missing
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sensitive::Private;

    fn facts() -> Facts {
        Facts {
            token: None,
            allowed: AllowList::Nobody,
            home_channel: None,
            can_ask: true,
            yes: false,
            no_wait: false,
        }
    }

    fn token() -> Option<Secret> {
        Some(Secret("1:not-a-real-token".to_owned()))
    }

    fn bot() -> Option<User> {
        Some(User {
            id: 1,
            is_bot: true,
            first_name: Private("B".to_owned()),
            last_name: None,
            username: Some("b_bot".to_owned()),
            can_read_all_group_messages: false,
        })
    }

    fn only() -> AllowList {
        AllowList::Only(vec!["42".to_owned()])
    }

    #[test]
    fn one_step_follows_another_until_nothing_is_open() {
        let facts = facts();
        let mut answers = Answers::default();
        assert_eq!(next(&facts, &answers), Step::AskToken);
        answers.token = token();
        assert_eq!(next(&facts, &answers), Step::Check);
        answers.bot = bot();
        assert_eq!(next(&facts, &answers), Step::Wait);
        answers.is_waited = true;
        assert_eq!(next(&facts, &answers), Step::AskPeople);
        (answers.allowed, answers.owner) = (Some(only()), Some(42));
        assert_eq!(next(&facts, &answers), Step::AskHome);
        answers.is_home_asked = true;
        assert_eq!(next(&facts, &answers), Step::Finish);
    }

    #[test]
    fn what_is_set_up_is_asked_about_once_and_stays() {
        let facts = Facts { token: token(), allowed: only(), ..facts() };
        let mut answers = Answers::default();
        assert_eq!(next(&facts, &answers), Step::Check);
        answers.bot = bot();
        assert_eq!(next(&facts, &answers), Step::AskKeep);
        assert_eq!(next(&Facts { yes: true, ..facts.clone() }, &answers), Step::Finish);
        assert_eq!(next(&Facts { can_ask: false, ..facts.clone() }, &answers), Step::Finish);
        answers.stays = true;
        assert_eq!(next(&facts, &answers), Step::Finish);
        answers.asks_people = true;
        assert_eq!(next(&facts, &answers), Step::Wait);
        let replaced = Answers { is_replaced: true, ..Answers::default() };
        assert_eq!(next(&facts, &replaced), Step::AskToken);
    }

    #[test]
    fn without_waiting_and_without_a_person_nothing_more_is_asked() {
        let answers = Answers { token: token(), bot: bot(), ..Answers::default() };
        let quiet = Facts { no_wait: true, ..facts() };
        assert_eq!(next(&quiet, &answers), Step::AskPeople);
        assert_eq!(next(&Facts { can_ask: false, ..quiet }, &answers), Step::Finish);
    }

    #[test]
    fn flags_are_missing_only_for_what_would_be_asked() {
        let none = Answers::default();
        assert_eq!(missing_flags(&facts(), &none).len(), 2);
        let set = Facts { token: token(), allowed: only(), ..facts() };
        assert!(missing_flags(&set, &none).is_empty());
        let given = Answers { token: token(), allowed: Some(only()), ..Answers::default() };
        assert!(missing_flags(&facts(), &given).is_empty());
        let waits = Answers { token: token(), ..Answers::default() };
        assert_eq!(missing_flags(&facts(), &waits).len(), 1);
        for facts in [Facts { yes: true, ..facts() }, Facts { no_wait: true, ..facts() }] {
            assert!(missing_flags(&facts, &waits).is_empty());
        }
    }
}
