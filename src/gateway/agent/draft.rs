//! An answer while it grows: whoever answers writes it, whoever shows it reads.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// What is said so far. What it says is not shown by `Debug`.
#[derive(Default)]
pub struct Draft {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    text: String,
    is_done: bool,
}

impl fmt::Debug for Draft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Draft").finish_non_exhaustive()
    }
}

impl Draft {
    /// This is said so far, all of it. A beginning of what was said before changes nothing; another text takes its place.
    /// Does not block.
    pub fn grow(&self, text: &str) {
        let mut state = self.state();
        if state.text.starts_with(text) {
            return;
        }
        if let Some(more) = text.strip_prefix(state.text.as_str()) {
            state.text.push_str(more);
        } else {
            text.clone_into(&mut state.text);
        }
        self.changed.notify_one();
    }

    /// Nothing more comes.
    pub fn finish(&self) {
        self.state().is_done = true;
        self.changed.notify_one();
    }

    /// Returns the text once it is longer than `len` bytes; `None` once nothing more comes. For one reader.
    pub async fn beyond(&self, len: usize) -> Option<String> {
        loop {
            {
                let state = self.state();
                if state.is_done {
                    return None;
                }
                if state.text.len() > len {
                    return Some(state.text.clone());
                }
            }
            self.changed.notified().await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_only_grows_and_ends_once() {
        let draft = Draft::default();
        draft.grow("one");
        draft.grow("one two");
        draft.grow("one");
        assert_eq!(draft.beyond(3).await.as_deref(), Some("one two"));
        assert!(!format!("{draft:?}").contains("one"));
        let waiting = async { draft.beyond(7).await };
        let finishing = async { draft.finish() };
        assert_eq!(tokio::join!(waiting, finishing).0, None);
        draft.grow("one two three");
        assert_eq!(draft.beyond(0).await, None, "it is over");
    }
}
