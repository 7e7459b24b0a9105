//! Pure. Admission codes: eight symbols that are hard to confuse, of which only a salted hash is kept.

use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

/// The symbols: capital letters and digits without `0`, `O`, `1` and `I`.
pub const SYMBOLS: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";

/// The number of symbols in a code.
pub const LEN: usize = 8;

/// Random bytes that one code takes: five for its symbols, the rest for its salt.
pub const CHANCE_BYTES: usize = 5 + SALT_BYTES;

const SALT_BYTES: usize = 16;

/// The kept part of a code: its salted hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seal {
    /// The salt, which makes the hash of the same code differ each time.
    pub salt: [u8; SALT_BYTES],
    /// SHA-256 of the salt and the code.
    pub hash: [u8; 32],
}

/// Makes a code of random bytes, and the part of it that is kept.
pub fn make(chance: &[u8; CHANCE_BYTES]) -> (String, Seal) {
    let (symbols, salt) = chance.split_at(CHANCE_BYTES - SALT_BYTES);
    let bits = symbols.iter().fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
    let code: String = (0..LEN)
        .map(|at| {
            let five = bits >> (5 * at) & 31;
            char::from(SYMBOLS[usize::try_from(five).expect("five bits fit")])
        })
        .collect();
    let mut seal = Seal { salt: [0; SALT_BYTES], hash: [0; 32] };
    seal.salt.copy_from_slice(salt);
    seal.hash = seal.hash_of(&code);
    (code, seal)
}

/// Normalizes a code as it was typed: in any case, with blanks or dashes. `None`: it cannot be one.
pub fn typed(text: &str) -> Option<String> {
    let code: String = text
        .chars()
        .filter(|sign| !sign.is_whitespace() && *sign != '-')
        .map(|sign| sign.to_ascii_uppercase())
        .take(LEN + 1)
        .collect();
    let is_code = code.len() == LEN && code.bytes().all(|byte| SYMBOLS.contains(&byte));
    is_code.then_some(code)
}

impl Seal {
    /// True when it was made of this code. Takes the same time for every code.
    pub fn fits(&self, code: &str) -> Choice {
        self.hash.ct_eq(&self.hash_of(code))
    }

    fn hash_of(&self, code: &str) -> [u8; 32] {
        Sha256::new().chain_update(self.salt).chain_update(code).finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_symbols_are_thirty_two_that_nobody_mistakes() {
        let mut symbols = SYMBOLS.to_vec();
        symbols.sort_unstable();
        symbols.dedup();
        assert_eq!(symbols.len(), 32);
        assert!(!SYMBOLS.iter().any(|symbol| b"0O1I".contains(symbol)));
    }

    #[test]
    fn a_code_is_recognised_as_people_type_it() {
        for text in ["ABCD2345", "abcd2345", " ABCD-2345 ", "ab cd 23 45"] {
            assert_eq!(typed(text).as_deref(), Some("ABCD2345"), "{text}");
        }
        for text in ["", "ABCD234", "ABCD23456", "ABCD234O", "ABCD2340", "ÄBCD2345", &"A".repeat(1 << 20)] {
            assert_eq!(typed(text), None);
        }
    }

    proptest! {
        #[test]
        fn every_code_can_be_typed_and_fits_its_own_seal_only(one in any::<[u8; 21]>(), other in any::<[u8; 21]>()) {
            let ((code, seal), (code_other, _)) = (make(&one), make(&other));
            prop_assert_eq!(typed(&code), Some(code.clone()));
            prop_assert!(bool::from(seal.fits(&code)));
            prop_assert_eq!(bool::from(seal.fits(&code_other)), code == code_other);
            prop_assert_eq!(code == code_other, one[..5] == other[..5]);
        }
    }
}
