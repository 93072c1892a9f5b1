//! Key material that neither prints nor lingers.

use std::fmt;
use std::str::FromStr;

use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Octets of a key: cleared when dropped, compared in constant time, never printed.
#[derive(Clone, Default, Zeroize, ZeroizeOnDrop)]
pub struct SecretKey(Vec<u8>);

impl SecretKey {
    /// Takes the octets over. The vector's spare capacity is cleared with them.
    pub fn new(octets: Vec<u8>) -> SecretKey {
        SecretKey(octets)
    }

    /// Reads hexadecimal digits, with or without `0x` before them, in either case.
    ///
    /// # Errors
    /// If a character is no digit or the digits are odd in number; the error shows none of them.
    pub fn from_hex(text: &str) -> Result<SecretKey, HexError> {
        let digits = text
            .strip_prefix("0x")
            .or_else(|| text.strip_prefix("0X"))
            .unwrap_or(text);
        let skipped = text.len() - digits.len();
        // Room for all at once: a growing vector would leave copies behind.
        let mut key = SecretKey(Vec::with_capacity(digits.len() / 2));
        let mut high = None;
        for (at, digit) in digits.char_indices() {
            let value = digit
                .to_digit(16)
                .ok_or(HexError::Digit { at: skipped + at })? as u8;
            match high.take() {
                None => high = Some(value << 4),
                Some(high) => key.0.push(high | value),
            }
        }
        match high {
            None => Ok(key),
            Some(_) => Err(HexError::Odd {
                digits: digits.len(),
            }),
        }
    }

    /// The octets. The name marks each place that sees them.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// How many octets.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<Vec<u8>> for SecretKey {
    fn from(octets: Vec<u8>) -> SecretKey {
        SecretKey::new(octets)
    }
}

impl From<&[u8]> for SecretKey {
    fn from(octets: &[u8]) -> SecretKey {
        SecretKey(octets.to_vec())
    }
}

impl FromStr for SecretKey {
    type Err = HexError;

    fn from_str(text: &str) -> Result<SecretKey, HexError> {
        SecretKey::from_hex(text)
    }
}

impl PartialEq for SecretKey {
    /// In time that depends on the lengths only.
    fn eq(&self, other: &SecretKey) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for SecretKey {}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey({} octets)", self.0.len())
    }
}

/// Why a text is not a key in hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum HexError {
    /// A character that is no hexadecimal digit.
    #[error("the character at octet {at} of the key is no hexadecimal digit")]
    Digit {
        /// Where it stands in the text, in octets from 0.
        at: usize,
    },
    /// Half an octet is left over.
    #[error("the key has {digits} hexadecimal digits; an octet takes two, so give an even number")]
    Odd {
        /// How many digits there are.
        digits: usize,
    },
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn hex_is_read_with_and_without_a_prefix_in_either_case() {
        for text in ["0x00fFa5", "00ffA5", "0X00FFa5"] {
            assert_eq!(
                SecretKey::from_hex(text).unwrap().expose(),
                [0x00, 0xff, 0xa5]
            );
        }
        assert!(SecretKey::from_hex("").unwrap().is_empty());
        assert!(SecretKey::from_hex("0x").unwrap().is_empty());
    }

    #[test]
    fn hex_errors_say_where_and_show_no_digit() {
        let error = SecretKey::from_hex("0xabcg").unwrap_err();
        assert_eq!(error, HexError::Digit { at: 5 });
        assert_eq!(
            error.to_string(),
            "the character at octet 5 of the key is no hexadecimal digit"
        );
        assert_eq!(SecretKey::from_hex("abc"), Err(HexError::Odd { digits: 3 }));
        assert_eq!(SecretKey::from_hex("aé"), Err(HexError::Digit { at: 1 }));
    }

    #[test]
    fn debug_shows_the_length_and_no_octet() {
        let key = SecretKey::new(vec![0xab; 20]);
        assert_eq!(format!("{key:?}"), "SecretKey(20 octets)");
        assert_eq!(format!("{key:#?}"), "SecretKey(20 octets)");
    }

    #[test]
    fn keys_are_equal_by_their_octets() {
        let key = SecretKey::new(vec![1, 2, 3]);
        assert_eq!(key, key.clone());
        assert_ne!(key, SecretKey::new(vec![1, 2, 4]));
        assert_ne!(key, SecretKey::new(vec![1, 2]));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_without_panic(text in ".*") {
            let _ = SecretKey::from_hex(&text);
        }

        #[test]
        fn what_is_written_in_hex_is_read_back(octets: Vec<u8>) {
            let text: String = octets.iter().map(|octet| format!("{octet:02x}")).collect();
            prop_assert_eq!(SecretKey::from_hex(&text).unwrap(), SecretKey::new(octets));
        }
    }
}
