//! A platform's claim to its token: taken with the first attempt, kept through losses and retries, and released when the
//! platform is no longer wanted. See [`crate::token_lock`].

use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::gateway::model::failure::AdapterError;
use crate::gateway::settings::Settings;
use crate::platforms::Platform;
use crate::token_lock::{TokenLock, TokenLockError, TokenLocks};

/// The claim of one account.
#[derive(Debug)]
pub struct Claim {
    platform: Platform,
    /// The error code when another gateway has the token.
    code: &'static str,
    locks: Option<TokenLocks>,
    held: Mutex<Held>,
}

/// The lock between attempts.
#[derive(Debug, Default)]
struct Held {
    kept: Option<Arc<TokenLock>>,
    /// The lock of a link that is being closed: until then it is ours, and no other process's.
    last: Weak<TokenLock>,
    is_told: bool,
}

impl Claim {
    /// An account's claim, with the error code when another gateway has its token.
    pub fn new(platform: Platform, code: &'static str, settings: &Settings) -> Self {
        let locks = TokenLocks::of(&settings.world, &settings.home);
        Self { platform, code, locks, held: Mutex::default() }
    }

    /// Takes the token, or keeps it. The link has the lock beside us: it must not be free before the link is closed. `None`
    /// where locks cannot be used; that is logged once, and does not prevent connecting.
    ///
    /// # Errors
    /// Blocked while another gateway of this machine uses it.
    pub fn hold(&self, token: &str) -> Result<Option<Arc<TokenLock>>, AdapterError> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(locks) = &self.locks else { return Ok(None) };
        let ours = held.kept.take().or_else(|| held.last.upgrade());
        if let Some(lock) = ours.filter(|lock| lock.is_of(locks, self.platform, token)) {
            held.kept = Some(Arc::clone(&lock));
            return Ok(Some(lock));
        }
        match locks.take(self.platform, token) {
            Ok(lock) => {
                let lock = Arc::new(lock);
                held.last = Arc::downgrade(&lock);
                held.kept = Some(Arc::clone(&lock));
                held.is_told = false;
                Ok(Some(lock))
            }
            Err(TokenLockError::Held(holder)) => {
                let title = self.platform.spec().title;
                let who = holder.as_ref().map_or(String::new(), |holder| {
                    format!(" (process {}, home {})", holder.pid, holder.home.display())
                });
                let home = holder.map_or("OTHER_HOME".to_owned(), |holder| holder.home.display().to_string());
                Err(AdapterError::blocked(
                    self.code,
                    format!("another local gateway is already using this {title} bot token{who}"),
                    format!(
                        "Stop it with `HERMES_HOME={home} hermes gateway stop`, or use a different bot for this gateway."
                    ),
                ))
            }
            Err(TokenLockError::Io(error)) => {
                if !std::mem::replace(&mut held.is_told, true) {
                    tracing::warn!(
                        code = "token_lock_unavailable",
                        platform = self.platform.spec().name,
                        "bot tokens cannot be locked ({error}); another gateway with the same token would not be noticed. Set HERMES_GATEWAY_LOCK_DIR to another folder"
                    );
                }
                Ok(None)
            }
        }
    }

    /// Releases the token.
    pub fn let_go(&self) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).kept = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::gateway::model::failure::Retry;
    use crate::home::HermesHome;
    use crate::world::World;

    fn claim(dir: &std::path::Path, home: &str) -> Claim {
        let world = World::of_env([("HERMES_GATEWAY_LOCK_DIR", dir)]);
        let settings = Settings::new(world, HermesHome::at(home), Config::default());
        Claim::new(Platform::scripted(1).unwrap(), "telegram_token_lock", &settings)
    }

    #[test]
    fn a_token_is_kept_until_it_is_let_go_or_changed() {
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (claim(dir.path(), "/one"), claim(dir.path(), "/two"));
        drop(one.hold("a").unwrap());
        drop(one.hold("a").unwrap());
        let error = two.hold("a").unwrap_err();
        assert_eq!((error.code, error.retry), ("telegram_token_lock", Retry::Never));
        assert!(error.message.contains("/one"), "{error}");
        assert!(error.user_action.unwrap().contains("HERMES_HOME=/one hermes gateway stop"));
        one.hold("b").unwrap();
        two.hold("a").unwrap();
        two.let_go();
        one.hold("a").unwrap();
    }

    #[test]
    fn a_link_that_is_still_closing_has_the_token_and_is_no_stranger_to_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (claim(dir.path(), "/one"), claim(dir.path(), "/two"));
        let link = one.hold("a").unwrap();
        one.let_go();
        assert!(two.hold("a").is_err());
        let next = one.hold("a").unwrap();
        drop((link, next));
        one.let_go();
        two.hold("a").unwrap();
    }

    #[test]
    fn a_broken_folder_is_no_reason_to_be_silent() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        crate::durable::write_atomic(&file, b"in the way").unwrap();
        assert!(claim(&file, "/one").hold("a").unwrap().is_none());
    }
}
