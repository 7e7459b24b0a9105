//! Watches which accounts are connected, and notifies the operator when one was away for longer than its service keeps messages.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tokio::sync::watch;

use super::absence::Gap;
use super::decider::{Notice, Route};
use super::driver::Notifier;
use super::text::text;
use crate::clock::{Now, Uptime};
use crate::gateway::host::kept;
use crate::gateway::model::snapshot::{Snapshot, WireState};
use crate::gateway::pipeline::flow::MessageFlow;
use crate::gateway::settings::Settings;
use crate::gateway::store::api::StoreError;
use crate::gateway::store::api::contacts::{Account, Contact, Contacts};
use crate::platforms::Platform;

/// The pause between two stored contacts: an absence may seem longer than it was by this time.
const RECORD_EVERY: Duration = Duration::from_secs(300);

/// The age from which a document is not current: the machine may have slept since.
const FRESH: Duration = Duration::from_secs(15);

/// Watches until the states end.
pub fn start(
    documents: watch::Receiver<Option<Snapshot>>,
    settings: Arc<Settings>,
    flow: Arc<dyn MessageFlow>,
    contacts: Arc<dyn Contacts>,
) {
    drop(kept::keep("absences", move || {
        let teller = Notifier { settings: Arc::clone(&settings), flow: Arc::clone(&flow) };
        let watch = Absences { teller, contacts: Arc::clone(&contacts), last: BTreeMap::new() };
        watch.follow(documents.clone())
    }));
}

struct Absences {
    teller: Notifier,
    contacts: Arc<dyn Contacts>,
    last: BTreeMap<Platform, Last>,
}

/// The last contact with a platform in this run.
struct Last {
    account: Account,
    /// The time since which it was connected then.
    since: Option<Timestamp>,
    /// The stored contact.
    contact: Contact,
}

/// A connected platform whose service keeps messages for a limited time.
struct Connected {
    platform: Platform,
    keeps: Duration,
    since: Option<Timestamp>,
}

impl Absences {
    async fn follow(mut self, mut documents: watch::Receiver<Option<Snapshot>>) {
        while documents.changed().await.is_ok() {
            let contact = Contact { at: Now::read().wall, uptime: Uptime::read() };
            let connected = documents.borrow_and_update().as_ref().map_or_else(Vec::new, |seen| {
                let is_fresh = contact.at.duration_since(seen.updated_at).unsigned_abs() < FRESH;
                if is_fresh { connected(seen) } else { Vec::new() }
            });
            for connected in connected {
                // A contact that cannot be stored is tried again with the next document, and counts as away until then.
                if let Err(error) = self.see(&connected, contact.clone()).await {
                    tracing::debug!(platform = %connected.platform, %error, "the time of the last connection could not be stored");
                }
            }
        }
    }

    async fn see(&mut self, connected: &Connected, now: Contact) -> Result<(), StoreError> {
        let &Connected { platform, keeps, since } = connected;
        let name = self.teller.settings.current().account(platform).to_owned();
        let account = Account { platform, name };
        let contact = match self.last.get(&platform) {
            Some(last) if last.account == account => Some(last.contact.clone()),
            // The settings name another account, but this is still the connection of the earlier one.
            Some(last) if last.since == since => return Ok(()),
            Some(_) | None => self.contacts.last(&account).await?,
        };
        let last = |contact| Last { account: account.clone(), since, contact };
        if let Some(contact) = contact {
            if let Some(gap) = now.gap(&contact, keeps) {
                if !self.tell(platform, gap, keeps, &contact).await {
                    return Ok(());
                }
                // Notified once, also while it cannot be stored.
                self.last.insert(platform, last(now.clone()));
            } else if now.is_within(RECORD_EVERY, &contact) {
                self.last.insert(platform, last(contact));
                return Ok(());
            }
        }
        self.contacts.record(&account, now.clone()).await?;
        self.last.insert(platform, last(now));
        Ok(())
    }

    /// Notifies the operator. Returns false when the notice could not be sent yet.
    async fn tell(&self, platform: Platform, gap: Gap, keeps: Duration, last: &Contact) -> bool {
        let zone = TimeZone::system();
        let (from, until) = (gap.from.to_zoned(zone.clone()), gap.until.to_zoned(zone));
        let notice = Notice::Missed { from, until, keeps };
        let (name, title) = (platform.spec().name, platform.spec().title);
        let config = self.teller.settings.current();
        let route = if config.gateway.notify_command.is_some() {
            Some(Route::Command)
        } else {
            // It is connected: its own users are reachable.
            let has_channel = |by: &Platform| config.platform(*by).home_channel.is_some();
            let by = std::iter::once(platform).chain(Platform::every()).find(has_channel);
            by.map(|by| Route::Channel(by.spec().name.to_owned()))
        };
        let is_told = match route {
            // The same message id, should we be killed before we store that it was sent.
            Some(route) => self.teller.tell(name, &notice, route, &format!("missed {}", last.at)).await,
            None => true,
        };
        if is_told {
            tracing::warn!(code = "messages_missed", platform = name, "{}", text(title, &notice));
        }
        is_told
    }
}

fn connected(seen: &Snapshot) -> Vec<Connected> {
    let is_connected = |state| matches!(state, WireState::Connected | WireState::RateLimited);
    let of = |name: &String, since| {
        let platform: Platform = name.parse().ok()?;
        Some(Connected { platform, keeps: platform.spec().keeps?, since })
    };
    seen.platforms
        .iter()
        .filter(|(_, entry)| is_connected(entry.state))
        .filter_map(|(name, entry)| of(name, entry.since))
        .collect()
}
