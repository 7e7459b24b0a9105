//! Secrets and chat content: types whose `Debug` shows nothing, and the comparison of secrets.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// A secret: `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

impl Secret {
    /// True when this was sent. Nothing equals an empty secret. Takes constant time for all inputs of one length.
    pub fn equals(&self, sent: &[u8]) -> bool {
        let expected = Sha256::digest(self.0.as_bytes());
        let is_equal = Sha256::digest(sent).as_slice().ct_eq(expected.as_slice());
        bool::from(is_equal) && !self.0.is_empty()
    }
}

/// Chat content: `Debug` shows its length only.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Private(pub String);

impl fmt::Debug for Private {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{} bytes>", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing_of_them() {
        let shown = format!("{:?} {:?}", Secret("canary".to_owned()), Private("canary".to_owned()));
        assert_eq!(shown, "<secret> <6 bytes>");
    }

    #[test]
    fn a_secret_equals_itself_and_an_empty_one_nothing() {
        let secret = Secret("abc".to_owned());
        assert!(secret.equals(b"abc"));
        assert!(!secret.equals(b"abd") && !secret.equals(b"") && !secret.equals(b"abcd"));
        assert!(!Secret(String::new()).equals(b""));
    }
}
