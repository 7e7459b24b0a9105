//! Waits for the owner to write to the bot, to learn their id. What waits at the service stays there: nothing is confirmed.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::clock::Now;
use crate::config::AllowList;
use crate::platforms::Platform;
use crate::platforms::telegram::bot::Fault;
use crate::platforms::telegram::wire::RawUpdate;
use crate::wizard::runner::End;
use crate::wizard::running;
use crate::wizard::telegram::failures;
use crate::wizard::telegram::people::{Person, shown, writers};
use crate::wizard::telegram::service::{BATCH_MAX, Service};
use crate::wizard::telegram::setup::{TelegramSetup, link, username};
use crate::wizard::ui::event::WizardEvent;
use crate::wizard::ui::layout::Line;
use crate::wizard::ui::layout::text;
use crate::wizard::ui::{Choice, Frame};

/// The time for which the service waits for updates.
const POLL: Duration = Duration::from_secs(10);

/// The shortest time between two requests: updates that are not confirmed come again at once.
const AGAIN: Duration = Duration::from_millis(500);

/// After a failure that may pass.
const AFTER_FAULT: Duration = Duration::from_secs(2);

/// Between two looks at the keys and the window.
pub(super) const TICK: Duration = Duration::from_millis(250);

/// The end of one wait.
enum Waited {
    Wrote(Person),
    Skipped,
    TimedOut,
    /// Another program receives.
    Conflict,
    /// So much waits there that nothing new is seen.
    Full,
    /// The service brings messages to our own gateway.
    Brought,
}

/// The people and updates that were seen so far.
#[derive(Default)]
struct Seen {
    /// People who are not the owner.
    strangers: BTreeSet<i64>,
    /// Updates that were there before the wait, where no one can be asked for the owner.
    early: BTreeSet<i64>,
}

impl TelegramSetup<'_> {
    pub(super) async fn wait(&mut self) -> Result<(), End> {
        self.answers.is_waited = true;
        let asks = self.ui.can_ask() && !self.options.yes;
        if self.is_at_work {
            if !asks {
                return Err(failures::at_work().into());
            }
            return self.pick_ignored().await;
        }
        let service = self.service.take().expect("the bot is checked first");
        let mut seen = Seen::default();
        let ended = loop {
            if !self.mind_webhook(service.as_ref(), asks).await? {
                break Waited::Brought;
            }
            match self.watch(service.as_ref(), &mut seen, asks).await? {
                Waited::Wrote(person) if asks && !self.is_owner(&person).await? => {
                    seen.strangers.insert(person.id);
                }
                Waited::TimedOut if asks => {
                    if !self.wait_again().await? {
                        break Waited::Skipped;
                    }
                }
                ended @ (Waited::Wrote(_)
                | Waited::Skipped
                | Waited::TimedOut
                | Waited::Conflict
                | Waited::Full
                | Waited::Brought) => break ended,
            }
        };
        match ended {
            Waited::Wrote(person) => self.take_owner(&person),
            Waited::Skipped => {}
            Waited::TimedOut => return Err(End::Expired),
            Waited::Conflict if asks => {
                self.ui.say(Line::Warn(
                    "Another program receives the messages of this bot. Stop it, or the gateway will not get them."
                        .to_owned(),
                ));
            }
            Waited::Conflict => return Err(failures::conflict().into()),
            Waited::Full if asks => {
                self.ui.say(Line::Warn(
                    "So many messages wait for this bot that yours cannot be seen. Type your ID instead."
                        .to_owned(),
                ));
            }
            Waited::Full => return Err(failures::full().into()),
            Waited::Brought if asks => {
                self.ui.say(Line::Warn(
                    "Telegram brings this bot's messages to the gateway (the webhook in its settings), so the wizard \
                     cannot wait for yours. Type your ID instead."
                        .to_owned(),
                ));
            }
            Waited::Brought => return Err(failures::brought().into()),
        }
        Ok(())
    }

    /// The gateway receives the bot's messages, and knows who wrote without being listed.
    async fn pick_ignored(&mut self) -> Result<(), End> {
        let link = link(self.answers.bot.as_ref().expect("the bot is checked first"));
        self.ui.say(text(
            "The gateway is running with this bot, so it learns your ID: write anything to the bot now.",
        ));
        self.ui.say(text(&link));
        self.ui.say(Line::Gap);
        loop {
            let cancel = self.cancel;
            tokio::select! {
                biased;
                () = cancel.cancelled() => return Err(End::Cancelled),
                pressed = self.ui.pause("Press Enter when you have written to it.") => pressed?,
            }
            let found = running::ignored(self.home, Platform::Telegram);
            if found.is_empty() {
                self.ui.say(Line::Warn("No message of a person who is not listed has come yet.".to_owned()));
            }
            let now = Now::read().wall;
            let items = found.iter().map(|row| format!("{} ({})", row.id, row.described(now)));
            let again = if found.is_empty() { "Look again" } else { "None of these: look again" };
            let others = [again, "Type the IDs instead"].map(str::to_owned);
            let choice = Choice {
                prompt: "Who are you?".to_owned(),
                items: items.chain(others).collect(),
                default: 0,
            };
            let picked = tokio::select! {
                biased;
                () = cancel.cancelled() => return Err(End::Cancelled),
                picked = self.ui.select(&choice) => picked?,
            };
            match found.get(picked) {
                Some(row) => {
                    let Ok(id) = row.id.parse() else { continue };
                    let person = Person { id, name: shown(&row.name), username: None };
                    if self.is_owner(&person).await? {
                        self.take_owner(&person);
                        return Ok(());
                    }
                }
                None if picked == found.len() => {}
                None => return Ok(()),
            }
        }
    }

    /// A webhook takes the messages elsewhere; while one is set nothing can be fetched. Returns whether none is set any more:
    /// the one that our own settings name stays.
    async fn mind_webhook(&mut self, service: &dyn Service, asks: bool) -> Result<bool, End> {
        let url = self.request(service.webhook()).await?;
        if url.is_empty() {
            return Ok(true);
        }
        if self.found.webhook.as_ref() == Some(&url) {
            return Ok(false);
        }
        // The rest of the address may hold a secret.
        let host =
            reqwest::Url::parse(&url).ok().and_then(|url| url.host_str().map(shown)).unwrap_or_default();
        self.ui.say(Line::Warn(format!(
            "Another program had the bot's messages delivered to {host} (a webhook). Only one program can receive them."
        )));
        if asks && !self.confirm("Receive them here from now on?", true).await? {
            return Err(End::Cancelled);
        }
        // Also when we are stopped before the answer is here.
        self.is_unhooked = true;
        self.request(service.remove_webhook()).await?;
        self.ui.say(Line::Done("Webhook removed. No message is lost.".to_owned()));
        Ok(true)
    }

    async fn request<T>(&self, asking: impl Future<Output = Result<T, Fault>>) -> Result<T, End> {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(End::Cancelled),
            said = asking => said.map_err(|fault| failures::of_fault(&fault).into()),
        }
    }

    async fn watch(&mut self, service: &dyn Service, seen: &mut Seen, asks: bool) -> Result<Waited, End> {
        let me = self.answers.bot.as_ref().expect("the bot is checked first");
        let (name, link) = (username(me), link(me));
        let began = Now::read().mono;
        let mut limit = Box::pin(sleep(self.options.timeout));
        let expires_in_s = self.options.timeout.as_secs();
        self.ui.event(&WizardEvent::Waiting { link: link.clone(), expires_in_s });
        let mut is_reached = true;
        let mut is_first = !asks;
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let first = if is_first { Duration::ZERO } else { POLL };
        let mut asking = service.updates(first);
        let ended = loop {
            let said = tokio::select! {
                biased;
                () = self.cancel.cancelled() => break Err(End::Cancelled),
                said = &mut asking => said,
                () = &mut limit => break Ok(Waited::TimedOut),
                _ = tick.tick() => {
                    let passed = Now::read().mono.saturating_duration_since(began);
                    let left = self.options.timeout.saturating_sub(passed);
                    self.ui.code(Some(&frame(&name, &link, left, self.options.timeout, is_reached)));
                    if asks && self.ui.enter_pressed() {
                        break Ok(Waited::Skipped);
                    }
                    continue;
                }
            };
            is_reached = true;
            let pause = match said {
                Ok(updates) if is_first => {
                    seen.early.extend(updates.iter().filter_map(|update| update.update_id));
                    is_first = false;
                    Duration::ZERO
                }
                Ok(updates) => match new_writer(&updates, seen) {
                    Some(person) => break Ok(Waited::Wrote(person)),
                    None if updates.len() >= usize::from(BATCH_MAX) => break Ok(Waited::Full),
                    None => AGAIN,
                },
                Err(fault) if failures::is_conflict(&fault) => break Ok(Waited::Conflict),
                Err(fault) if failures::is_passing(&fault) => {
                    is_reached = false;
                    wait_of(&fault)
                }
                Err(fault) => break Err(failures::of_fault(&fault).into()),
            };
            asking = Box::pin(async move {
                sleep(pause).await;
                service.updates(POLL).await
            });
        };
        self.ui.code(None);
        ended
    }

    async fn is_owner(&mut self, person: &Person) -> Result<bool, End> {
        self.ui.say(Line::Done(format!("{} wrote to the bot.", described(person))));
        // An Enter too many must not allow a stranger.
        self.confirm("Is that you?", false).await
    }

    async fn wait_again(&mut self) -> Result<bool, End> {
        self.ui.say(Line::Warn("No one wrote to the bot in time.".to_owned()));
        let choice = Choice {
            prompt: "Wait again?".to_owned(),
            items: vec!["Yes".to_owned(), "No, type the IDs instead".to_owned()],
            default: 0,
        };
        let cancel = self.cancel;
        tokio::select! {
            biased;
            () = cancel.cancelled() => Err(End::Cancelled),
            picked = self.ui.select(&choice) => Ok(picked? == 0),
        }
    }

    fn take_owner(&mut self, person: &Person) {
        let id = person.id.to_string();
        let mut people = match &self.found.allowed {
            AllowList::Only(people) => people.clone(),
            AllowList::Nobody | AllowList::Everybody => Vec::new(),
        };
        if !people.contains(&id) {
            people.push(id);
        }
        self.ui.say(Line::Done(format!("{} is allowed.", described(person))));
        self.ui.event(&WizardEvent::Owner { id: person.id, name: person.name.clone() });
        self.answers.allowed = Some(AllowList::Only(people));
        self.answers.owner = Some(person.id);
        let next = if self.is_at_work {
            "What was written so far was ignored: write to the bot again when this is done."
        } else {
            "The message will be answered when the gateway starts."
        };
        let more =
            "To allow more people later, run `hermes telegram` again and change who can write to the bot.";
        [text(next), text(more), Line::Gap].into_iter().for_each(|line| self.ui.say(line));
    }
}

/// Somebody who was not looked at before.
fn new_writer(updates: &[RawUpdate], seen: &Seen) -> Option<Person> {
    let is_new = |(update, person): &(i64, Person)| {
        !seen.early.contains(update) && !seen.strangers.contains(&person.id)
    };
    writers(updates).into_iter().find(is_new).map(|(_, person)| person)
}

/// The service's own wait, where it asks for one.
fn wait_of(fault: &Fault) -> Duration {
    match fault {
        Fault::Refused(refusal) => refusal.parameters.wait().unwrap_or(AFTER_FAULT),
        Fault::Way(_) | Fault::Garbled(_) => AFTER_FAULT,
    }
}

fn described(person: &Person) -> String {
    let at = person.username.as_ref().map_or(String::new(), |name| format!("@{name}, "));
    format!("{} ({at}ID {})", person.name, person.id)
}

fn frame(name: &str, link: &str, left: Duration, whole: Duration, is_reached: bool) -> Frame {
    let clock = |time: Duration| format!("{}:{:02}", time.as_secs() / 60, time.as_secs() % 60);
    let live = if is_reached {
        format!("    Waiting for your message, {} left. Press Enter to skip.", clock(left))
    } else {
        format!("    Telegram cannot be reached at the moment, {} left. Press Enter to skip.", clock(left))
    };
    Frame {
        seq: 0,
        lines: vec![
            format!("    Now write anything to @{name}, so that hermes learns your ID:"),
            format!("    {link}"),
            String::new(),
        ],
        payload: None,
        live,
        fixed: format!("    Waiting for your message, {} at most.", clock(whole)),
    }
}
