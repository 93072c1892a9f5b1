//! Suites: what may protect an SA's traffic.

use std::fmt;
use std::str::FromStr;

use crate::{Authentication, Encryption};

/// An ESP suite that is sound: a combined mode alone, or a cipher with an integrity algorithm
/// (RFC 4303 §3.2, RFC 8221). It cannot hold nonsense, such as CBC without integrity.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Suite(u8);

impl Suite {
    /// The suite of these parts. `key_octets` counts the encryption key with its salt, as key
    /// managers hand it over: 20 for AES-128-GCM (RFC 4106 §8.1), 16 for AES-128-CBC, 0 for NULL.
    ///
    /// # Errors
    /// If the parts do not make a sound suite, or no key has this length.
    pub fn new(
        encryption: Encryption,
        authentication: Option<Authentication>,
        key_octets: usize,
    ) -> Result<Suite, SuiteError> {
        match (encryption, encryption.combined_icv_octets(), authentication) {
            (Encryption::Null, _, None) => Err(SuiteError::Nothing),
            (_, None, None) => Err(SuiteError::Unauthenticated { encryption }),
            (_, Some(_), Some(authentication)) => Err(SuiteError::Twice {
                encryption,
                authentication,
            }),
            (_, None, Some(_)) | (_, Some(_), None) => Suite::all()
                .find(|suite| {
                    suite.encryption() == encryption
                        && suite.authentication() == authentication
                        && suite.key_octets() == key_octets
                })
                .ok_or(SuiteError::KeyLength {
                    encryption,
                    got: key_octets,
                }),
        }
    }

    /// Every suite there is, combined modes first.
    pub fn all() -> impl ExactSizeIterator<Item = Suite> + DoubleEndedIterator + Clone {
        (0..SUITES.len() as u8).map(Suite)
    }

    /// The name, which [`str::parse`] takes: `aes-128-gcm-16`, `aes-256-cbc+hmac-sha2-256-128`.
    pub fn name(&self) -> &'static str {
        self.row().name
    }

    /// The encryption algorithm.
    pub fn encryption(&self) -> Encryption {
        self.row().encryption
    }

    /// The integrity algorithm; `None` in a combined mode.
    pub fn authentication(&self) -> Option<Authentication> {
        self.row().authentication
    }

    /// Octets of the encryption key with its salt.
    pub fn key_octets(&self) -> usize {
        self.row().key_octets
    }

    /// Octets of the salt, which are the last of the encryption key.
    pub fn salt_octets(&self) -> usize {
        self.encryption().salt_octets()
    }

    /// Octets of the integrity algorithm's key; 0 in a combined mode.
    pub fn authentication_key_octets(&self) -> usize {
        self.authentication().map_or(0, Authentication::key_octets)
    }

    /// Octets of the IV that each packet carries.
    pub fn iv_octets(&self) -> usize {
        self.encryption().iv_octets()
    }

    /// Octets of the ICV that each packet carries.
    pub fn icv_octets(&self) -> usize {
        match self.authentication() {
            Some(authentication) => authentication.icv_octets(),
            None => self.encryption().combined_icv_octets().unwrap_or(0),
        }
    }

    /// The text with its ESP trailer is a multiple of so many octets: 16 for CBC, else 4
    /// (RFC 4303 §2.4).
    pub fn block(&self) -> usize {
        match self.encryption() {
            Encryption::AesCbc => 16,
            Encryption::Null
            | Encryption::AesCtr
            | Encryption::AesGcm16
            | Encryption::AesGmac
            | Encryption::AesCcm8
            | Encryption::AesCcm12
            | Encryption::AesCcm16
            | Encryption::ChaCha20Poly1305 => 4,
        }
    }

    /// Whether an IV used twice under one key breaks the suite.
    pub fn is_counter_mode(&self) -> bool {
        !matches!(self.encryption(), Encryption::Null | Encryption::AesCbc)
    }

    /// Bits of the encryption key without its salt: 128 for AES-128-GCM, 0 for NULL.
    pub fn key_bits(&self) -> usize {
        8 * (self.key_octets() - self.salt_octets())
    }

    fn row(&self) -> &'static Row {
        &SUITES[usize::from(self.0)]
    }
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl fmt::Debug for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Suite({})", self.name())
    }
}

impl FromStr for Suite {
    type Err = SuiteError;

    fn from_str(name: &str) -> Result<Suite, SuiteError> {
        Suite::all()
            .find(|suite| suite.name() == name)
            .ok_or_else(|| SuiteError::Unknown { name: name.into() })
    }
}

/// Why parts do not make a [`Suite`].
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SuiteError {
    /// Neither encryption nor integrity.
    #[error(
        "null encryption without an integrity algorithm protects nothing; name one, such as hmac-sha2-256-128"
    )]
    Nothing,
    /// A cipher that anyone on the way could tamper with.
    #[error(
        "{encryption} alone lets anyone change what it hides; add an integrity algorithm, such as hmac-sha2-256-128, or take aes-gcm-16"
    )]
    Unauthenticated {
        /// The cipher.
        encryption: Encryption,
    },
    /// A combined mode with an integrity algorithm.
    #[error("{encryption} authenticates by itself; take {authentication} away")]
    Twice {
        /// The combined mode.
        encryption: Encryption,
        /// The integrity algorithm beside it.
        authentication: Authentication,
    },
    /// A key length that the cipher does not have.
    #[error("{encryption} takes {}, not {got}", lengths(*encryption))]
    KeyLength {
        /// The cipher.
        encryption: Encryption,
        /// The length that was asked for, in octets.
        got: usize,
    },
    /// A name that no suite has.
    #[error(
        "no suite is called {name:?}; names are like aes-128-gcm-16 and aes-256-cbc+hmac-sha2-256-128"
    )]
    Unknown {
        /// The name.
        name: String,
    },
}

/// "a key of 20, 28 or 36 octets (the last 4 are the salt)".
fn lengths(encryption: Encryption) -> String {
    let list = match encryption.key_lengths() {
        [] | [0] => return "no key".into(),
        [one] => one.to_string(),
        [first @ .., last] => {
            let first: Vec<String> = first.iter().map(usize::to_string).collect();
            format!("{} or {last}", first.join(", "))
        }
    };
    match encryption.salt_octets() {
        0 => format!("a key of {list} octets"),
        salt => format!("a key of {list} octets (the last {salt} are the salt)"),
    }
}

struct Row {
    name: &'static str,
    encryption: Encryption,
    authentication: Option<Authentication>,
    key_octets: usize,
}

/// Writes [`SUITES`]: a cipher that needs an integrity algorithm appears once with each.
macro_rules! suites {
    (
        combined { $($combined:literal = $mode:ident, $mode_key:literal;)* }
        separate { $($separate:literal = $cipher:ident, $cipher_key:literal;)* }
    ) => {
        const SUITES: &[Row] = &[
            $(Row {
                name: $combined,
                encryption: Encryption::$mode,
                authentication: None,
                key_octets: $mode_key,
            },)*
            $(
                suites!(@row $separate, "hmac-sha1-96", $cipher, HmacSha1_96, $cipher_key),
                suites!(@row $separate, "hmac-sha2-256-128", $cipher, HmacSha256_128, $cipher_key),
                suites!(@row $separate, "hmac-sha2-384-192", $cipher, HmacSha384_192, $cipher_key),
                suites!(@row $separate, "hmac-sha2-512-256", $cipher, HmacSha512_256, $cipher_key),
                suites!(@row $separate, "aes-xcbc-96", $cipher, AesXcbc96, $cipher_key),
            )*
        ];
    };
    (@row $separate:literal, $mac_name:literal, $cipher:ident, $mac:ident, $key:literal) => {
        Row {
            name: concat!($separate, "+", $mac_name),
            encryption: Encryption::$cipher,
            authentication: Some(Authentication::$mac),
            key_octets: $key,
        }
    };
}

suites! {
    combined {
        "aes-128-gcm-16" = AesGcm16, 20;
        "aes-192-gcm-16" = AesGcm16, 28;
        "aes-256-gcm-16" = AesGcm16, 36;
        "chacha20-poly1305" = ChaCha20Poly1305, 36;
        "aes-128-gmac" = AesGmac, 20;
        "aes-192-gmac" = AesGmac, 28;
        "aes-256-gmac" = AesGmac, 36;
        "aes-128-ccm-8" = AesCcm8, 19;
        "aes-192-ccm-8" = AesCcm8, 27;
        "aes-256-ccm-8" = AesCcm8, 35;
        "aes-128-ccm-12" = AesCcm12, 19;
        "aes-192-ccm-12" = AesCcm12, 27;
        "aes-256-ccm-12" = AesCcm12, 35;
        "aes-128-ccm-16" = AesCcm16, 19;
        "aes-192-ccm-16" = AesCcm16, 27;
        "aes-256-ccm-16" = AesCcm16, 35;
    }
    separate {
        "aes-128-cbc" = AesCbc, 16;
        "aes-192-cbc" = AesCbc, 24;
        "aes-256-cbc" = AesCbc, 32;
        "aes-128-ctr" = AesCtr, 20;
        "aes-192-ctr" = AesCtr, 28;
        "aes-256-ctr" = AesCtr, 36;
        "null" = Null, 0;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn all_lists_exactly_what_new_accepts() {
        let mut accepted = HashSet::new();
        for encryption in Encryption::ALL {
            let authentications = Authentication::ALL.map(Some);
            for authentication in authentications.into_iter().chain([None]) {
                for key_octets in 0..100 {
                    accepted.extend(Suite::new(encryption, authentication, key_octets).ok());
                }
            }
        }
        assert_eq!(accepted, Suite::all().collect());
        assert_eq!(accepted.len(), 16 + 7 * 5);
    }

    #[test]
    fn key_lengths_are_the_lengths_of_the_suites() {
        for encryption in Encryption::ALL {
            let suites = Suite::all().filter(|suite| suite.encryption() == encryption);
            let mut lengths: Vec<usize> = suites.map(|suite| suite.key_octets()).collect();
            lengths.dedup();
            assert_eq!(lengths, encryption.key_lengths(), "{encryption}");
        }
    }

    #[test]
    fn names_are_unique_and_parse_back() {
        let names: HashSet<_> = Suite::all().map(|suite| suite.name()).collect();
        assert_eq!(names.len(), Suite::all().len());
        for suite in Suite::all() {
            assert_eq!(suite.name().parse(), Ok(suite));
        }
    }

    #[test]
    fn a_name_says_the_algorithms_and_the_bits_of_the_key() {
        for suite in Suite::all() {
            let bits = match suite.encryption() {
                Encryption::Null | Encryption::ChaCha20Poly1305 => String::new(),
                _ => format!("-{}", suite.key_bits()),
            };
            let cipher = suite
                .encryption()
                .name()
                .replacen("aes", &format!("aes{bits}"), 1);
            let expected = match suite.authentication() {
                Some(authentication) => format!("{cipher}+{authentication}"),
                None => cipher,
            };
            assert_eq!(suite.name(), expected);
        }
    }

    #[test]
    fn weak_and_meaningless_suites_are_refused_in_one_sentence() {
        let sha256 = Some(Authentication::HmacSha256_128);
        let sentence = |encryption, authentication, key_octets| {
            Suite::new(encryption, authentication, key_octets)
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            sentence(Encryption::Null, None, 0),
            "null encryption without an integrity algorithm protects nothing; name one, such as hmac-sha2-256-128"
        );
        assert_eq!(
            sentence(Encryption::AesCbc, None, 16),
            "aes-cbc alone lets anyone change what it hides; add an integrity algorithm, such as hmac-sha2-256-128, or take aes-gcm-16"
        );
        assert_eq!(
            sentence(Encryption::AesGcm16, sha256, 20),
            "aes-gcm-16 authenticates by itself; take hmac-sha2-256-128 away"
        );
        assert_eq!(
            sentence(Encryption::AesGcm16, None, 16),
            "aes-gcm-16 takes a key of 20, 28 or 36 octets (the last 4 are the salt), not 16"
        );
        assert_eq!(
            sentence(Encryption::ChaCha20Poly1305, None, 32),
            "chacha20-poly1305 takes a key of 36 octets (the last 4 are the salt), not 32"
        );
        assert_eq!(
            sentence(Encryption::Null, sha256, 1),
            "null takes no key, not 1"
        );
        assert_eq!(
            "aes-128-gcm".parse::<Suite>().unwrap_err().to_string(),
            "no suite is called \"aes-128-gcm\"; names are like aes-128-gcm-16 and aes-256-cbc+hmac-sha2-256-128"
        );
    }

    #[test]
    fn figures_are_those_of_the_rfcs() {
        // (name, key, salt, authentication key, iv, icv, block)
        for (name, figures) in [
            ("aes-128-gcm-16", (20, 4, 0, 8, 16, 4)),
            ("aes-256-gmac", (36, 4, 0, 8, 16, 4)),
            ("aes-192-ccm-12", (27, 3, 0, 8, 12, 4)),
            ("chacha20-poly1305", (36, 4, 0, 8, 16, 4)),
            ("aes-256-cbc+hmac-sha2-512-256", (32, 0, 64, 16, 32, 16)),
            ("aes-128-ctr+hmac-sha2-384-192", (20, 4, 48, 8, 24, 4)),
            ("null+hmac-sha1-96", (0, 0, 20, 0, 12, 4)),
            ("null+aes-xcbc-96", (0, 0, 16, 0, 12, 4)),
        ] {
            let suite: Suite = name.parse().unwrap();
            let got = (
                suite.key_octets(),
                suite.salt_octets(),
                suite.authentication_key_octets(),
                suite.iv_octets(),
                suite.icv_octets(),
                suite.block(),
            );
            assert_eq!(got, figures, "{name}");
        }
    }
}
