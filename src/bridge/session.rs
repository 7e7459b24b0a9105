//! Use of the session folder: one process at a time.

use crate::durable::Lock;
use crate::home::WhatsAppPaths;
use crate::preflight::LockFact;

/// Who uses the session.
pub fn session_lock(paths: &WhatsAppPaths) -> LockFact {
    match Lock::holder(&paths.session_lock()) {
        Ok(Some(holder)) => LockFact::Held { pid: holder.pid },
        // A lock file that cannot be opened is told when the bridge wants it, by the launcher.
        Ok(None) | Err(_) => LockFact::Free,
    }
}
