//! Watches which platforms are connected, and tells the operator when one was away for longer than its service keeps
//! messages.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use tokio::sync::watch;

use super::absence::{Contact, Contacts, Gap};
use super::decider::{Notice, Route};
use super::driver::Teller;
use super::text::text;
use crate::clock::{Now, Uptime};
use crate::gateway::flow::MessageFlow;
use crate::gateway::life::kept;
use crate::gateway::settings::Settings;
use crate::gateway::status::snapshot::{Snapshot, WireState};
use crate::gateway::store::api::StoreError;
use crate::platform::Platform;

/// A contact is written down this often at most: so much longer than it was may an absence seem.
const RECORD_EVERY: Duration = Duration::from_secs(300);

/// A document that is older says nothing about now: the machine may have slept since.
const FRESH: Duration = Duration::from_secs(15);

/// Watches until the states end.
pub fn start(
    documents: watch::Receiver<Option<Snapshot>>,
    settings: Arc<Settings>,
    flow: Arc<dyn MessageFlow>,
    contacts: Arc<dyn Contacts>,
) {
    drop(kept::keep("absences", move || {
        let teller = Teller { settings: Arc::clone(&settings), flow: Arc::clone(&flow) };
        let watch = Absences { teller, contacts: Arc::clone(&contacts), last: BTreeMap::new() };
        watch.follow(documents.clone())
    }));
}

struct Absences {
    teller: Teller,
    contacts: Arc<dyn Contacts>,
    /// As they are kept.
    last: BTreeMap<Platform, Contact>,
}

impl Absences {
    async fn follow(mut self, mut documents: watch::Receiver<Option<Snapshot>>) {
        while documents.changed().await.is_ok() {
            let contact = Contact { at: Now::read().wall, uptime: Uptime::read() };
            let connected = documents.borrow_and_update().as_ref().map_or_else(Vec::new, |seen| {
                let is_fresh = contact.at.duration_since(seen.updated_at).unsigned_abs() < FRESH;
                if is_fresh { connected(seen) } else { Vec::new() }
            });
            for (platform, keeps) in connected {
                // Whatever cannot be kept is tried again with the next document, and goes on being away till then.
                if let Err(error) = self.see(platform, keeps, contact.clone()).await {
                    tracing::debug!(%platform, %error, "when it was connected cannot be kept");
                }
            }
        }
    }

    async fn see(&mut self, platform: Platform, keeps: Duration, now: Contact) -> Result<(), StoreError> {
        let last = match self.last.get(&platform) {
            Some(last) => Some(last.clone()),
            None => self.contacts.last(platform).await?,
        };
        if let Some(last) = last {
            if let Some(gap) = now.gap(&last, keeps) {
                if !self.tell(platform, gap, keeps, &last).await {
                    return Ok(());
                }
                // Told once, also while it cannot be written down.
                self.last.insert(platform, now.clone());
            } else if now.is_within(RECORD_EVERY, &last) {
                self.last.insert(platform, last);
                return Ok(());
            }
        }
        self.contacts.record(platform, now.clone()).await?;
        self.last.insert(platform, now);
        Ok(())
    }

    /// False: nobody could be told yet.
    async fn tell(&self, platform: Platform, gap: Gap, keeps: Duration, last: &Contact) -> bool {
        let zone = TimeZone::system();
        let (from, until) = (gap.from.to_zoned(zone.clone()), gap.until.to_zoned(zone));
        let notice = Notice::Missed { from, until, keeps };
        let (name, title) = (platform.spec().name, platform.spec().title);
        let config = self.teller.settings.current();
        let channels = &config.home_channels;
        let route = if config.gateway.notify.command.is_some() {
            Some(Route::Command)
        } else {
            // It is connected: those whom it concerns are there.
            let by = channels.get_key_value(&platform).or_else(|| channels.first_key_value());
            by.map(|(by, _)| Route::Channel(by.spec().name.to_owned()))
        };
        let is_told = match route {
            // One and the same message, should we be killed before we remember that it was said.
            Some(route) => self.teller.tell(name, &notice, route, &format!("missed {}", last.at)).await,
            None => true,
        };
        if is_told {
            tracing::warn!(code = "messages_missed", platform = name, "{}", text(title, &notice));
        }
        is_told
    }
}

/// The connected platforms whose services keep messages for a time only.
fn connected(seen: &Snapshot) -> Vec<(Platform, Duration)> {
    let is_connected = |state| matches!(state, WireState::Connected | WireState::RateLimited);
    let of = |name: &String| name.parse().ok().and_then(|one: Platform| Some((one, one.spec().keeps?)));
    seen.platforms
        .iter()
        .filter(|(_, entry)| is_connected(entry.state))
        .filter_map(|(name, _)| of(name))
        .collect()
}
