//! The operations on dead letters, in the gateway or beside it.

use serde_json::{Value, json};

use super::view;
use crate::gateway::model::message::ChatKey;
use crate::gateway::store::api::{Letter, Pick, Store, StoreError};

/// An operation on dead letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// List them.
    List,
    /// Show them with their texts.
    Show,
    /// Try them again.
    Retry,
    /// Drop them for good.
    Drop,
}

impl Verb {
    /// All operations.
    pub const ALL: [Self; 4] = [Self::List, Self::Show, Self::Retry, Self::Drop];

    /// The name on the wire.
    pub fn wire_name(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Show => "show",
            Self::Retry => "retry",
            Self::Drop => "drop",
        }
    }
}

/// Letters in the form for programs.
pub fn shown(letters: &[Letter], with_text: bool) -> Value {
    let letters: Vec<Value> = letters.iter().map(|letter| view::json(letter, with_text)).collect();
    json!({ "letters": letters })
}

/// Carries out the operation. Returns the answer for programs, and the chats that have work now.
///
/// # Errors
/// When the store fails; some letters may have been retried or dropped by then.
pub async fn carry_out(
    store: &dyn Store,
    verb: Verb,
    pick: Pick,
) -> Result<(Value, Vec<ChatKey>), StoreError> {
    match verb {
        Verb::List => Ok((shown(&store.letters(pick, false).await?, false), Vec::new())),
        Verb::Show => Ok((shown(&store.letters(pick, true).await?, true), Vec::new())),
        Verb::Retry => {
            let mut keys = Vec::new();
            // One call of the store takes a bounded number.
            loop {
                let more = store.retry_letters(pick.clone()).await?;
                if more.is_empty() {
                    return Ok((json!({ "retried": keys.len() }), keys));
                }
                keys.extend(more);
            }
        }
        Verb::Drop => {
            let mut count = 0;
            loop {
                let more = store.drop_letters(pick.clone()).await?;
                if more == 0 {
                    return Ok((json!({ "dropped": count }), Vec::new()));
                }
                count += more;
            }
        }
    }
}
