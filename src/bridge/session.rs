//! The session folder's lock: one process uses it at a time.

use crate::durable::Lock;
use crate::home::WhatsAppPaths;
use crate::preflight::LockFact;

/// Returns the process that uses the session.
pub fn session_lock(paths: &WhatsAppPaths) -> LockFact {
    match Lock::holder(&paths.session_lock()) {
        Ok(Some(holder)) => LockFact::Held { pid: holder.pid },
        // A lock file that cannot be opened is reported by the launcher when the bridge needs it.
        Ok(None) | Err(_) => LockFact::Free,
    }
}
