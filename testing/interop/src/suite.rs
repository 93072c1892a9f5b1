//! The suites that a row may run: what setkey and the Linux kernel call them, and their keys.

use std::fmt;

/// A cipher, alone or combined with integrity.
#[derive(Debug, PartialEq, Eq)]
pub struct Cipher {
    /// Its name behind setkey's `-E`.
    pub setkey: &'static str,
    /// Its name for `ip xfrm`.
    pub xfrm: &'static str,
    /// The lengths of its key in octets, without the salt.
    pub keys: &'static [usize],
    /// Octets of salt behind the key.
    pub salt: usize,
    /// The length of its ICV in bits, if it is combined with integrity.
    pub icv: Option<u16>,
}

/// An integrity algorithm that stands beside a cipher.
#[derive(Debug, PartialEq, Eq)]
pub struct Integrity {
    /// Its name behind setkey's `-A`.
    pub setkey: &'static str,
    /// Its name for `ip xfrm`.
    pub xfrm: &'static str,
    /// The length of its key in octets.
    pub key: usize,
    /// The length of its ICV in bits.
    pub icv: u16,
}

/// A cipher with one length of key, and the integrity algorithm beside it if it needs one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suite {
    /// The cipher.
    pub cipher: &'static Cipher,
    /// The length of its key in octets, without the salt.
    pub key: usize,
    /// The integrity algorithm; none for a combined cipher.
    pub integrity: Option<&'static Integrity>,
}

/// Every suite, in a fixed order.
pub fn all() -> Vec<Suite> {
    let mut suites = Vec::new();
    for cipher in &CIPHERS {
        for &key in cipher.keys {
            if cipher.icv.is_some() {
                suites.push(Suite {
                    cipher,
                    key,
                    integrity: None,
                });
            } else {
                let with = |integrity| Suite {
                    cipher,
                    key,
                    integrity: Some(integrity),
                };
                suites.extend(INTEGRITIES.iter().map(with));
            }
        }
    }
    suites
}

impl fmt::Display for Suite {
    /// Such as `aes-128-gcm-16` or `aes-256-cbc+hmac-sha2-256`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.cipher.setkey.strip_prefix("aes-") {
            Some(mode) => write!(f, "aes-{}-{mode}", self.key * 8)?,
            None => f.write_str(self.cipher.setkey)?,
        }
        match self.integrity {
            Some(integrity) => write!(f, "+{}", integrity.setkey),
            None => Ok(()),
        }
    }
}

const fn combined(setkey: &'static str, xfrm: &'static str, salt: usize, icv: u16) -> Cipher {
    Cipher {
        setkey,
        xfrm,
        keys: &[16, 24, 32],
        salt,
        icv: Some(icv),
    }
}

/// Issue order: combined ciphers first (RFC 4106, 4543, 7634, 4309), then RFC 3602, 3686, 2410.
static CIPHERS: [Cipher; 9] = [
    combined("aes-gcm-16", "rfc4106(gcm(aes))", 4, 128),
    combined("aes-gmac", "rfc4543(gcm(aes))", 4, 128),
    Cipher {
        setkey: "chacha20-poly1305",
        xfrm: "rfc7539esp(chacha20,poly1305)",
        keys: &[32],
        salt: 4,
        icv: Some(128),
    },
    combined("aes-ccm-8", "rfc4309(ccm(aes))", 3, 64),
    combined("aes-ccm-12", "rfc4309(ccm(aes))", 3, 96),
    combined("aes-ccm-16", "rfc4309(ccm(aes))", 3, 128),
    Cipher {
        setkey: "aes-cbc",
        xfrm: "cbc(aes)",
        keys: &[16, 24, 32],
        salt: 0,
        icv: None,
    },
    Cipher {
        setkey: "aes-ctr",
        xfrm: "rfc3686(ctr(aes))",
        keys: &[16, 24, 32],
        salt: 4,
        icv: None,
    },
    Cipher {
        setkey: "null",
        xfrm: "ecb(cipher_null)",
        keys: &[0],
        salt: 0,
        icv: None,
    },
];

/// RFC 2404, RFC 4868, RFC 3566.
static INTEGRITIES: [Integrity; 5] = [
    Integrity {
        setkey: "hmac-sha1",
        xfrm: "hmac(sha1)",
        key: 20,
        icv: 96,
    },
    Integrity {
        setkey: "hmac-sha2-256",
        xfrm: "hmac(sha256)",
        key: 32,
        icv: 128,
    },
    Integrity {
        setkey: "hmac-sha2-384",
        xfrm: "hmac(sha384)",
        key: 48,
        icv: 192,
    },
    Integrity {
        setkey: "hmac-sha2-512",
        xfrm: "hmac(sha512)",
        key: 64,
        icv: 256,
    },
    Integrity {
        setkey: "aes-xcbc-mac",
        xfrm: "xcbc(aes)",
        key: 16,
        icv: 96,
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_suite_has_a_name_of_its_own() {
        let names: BTreeSet<String> = all().iter().map(Suite::to_string).collect();
        assert_eq!(names.len(), all().len());
        // GCM, GMAC and three CCMs in three sizes, ChaCha20, CBC and CTR in three sizes and NULL
        // with five HMACs each.
        assert_eq!(names.len(), 5 * 3 + 1 + 2 * 3 * 5 + 5);
        assert!(names.contains("aes-128-gcm-16") && names.contains("null+hmac-sha1"));
    }
}
