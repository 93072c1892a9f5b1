//! The names of algorithms: those that stand in a tree, and those that are
//! known but refused, each with its reason.

use crate::suggest;

/// An algorithm named by `-E`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encryption {
    /// `aes-gcm-16`: AES-GCM with an ICV of 16 octets (RFC 4106); the key is
    /// followed by a salt of 4 octets.
    AesGcm16,
    /// `aes-gmac`: AES-GMAC, integrity alone (RFC 4543); key and salt as for
    /// GCM.
    AesGmac,
    /// `chacha20-poly1305` (RFC 7634): a key of 32 octets and a salt of 4.
    ChaCha20Poly1305,
    /// `aes-ccm-8`: AES-CCM with an ICV of 8 octets (RFC 4309); the key is
    /// followed by a salt of 3 octets.
    AesCcm8,
    /// `aes-ccm-12`: the same with an ICV of 12 octets.
    AesCcm12,
    /// `aes-ccm-16`: the same with an ICV of 16 octets.
    AesCcm16,
    /// `aes-cbc` (RFC 3602), also `rijndael-cbc`.
    AesCbc,
    /// `aes-ctr` (RFC 3686); the key is followed by a nonce of 4 octets.
    AesCtr,
    /// `null` (RFC 2410).
    Null,
}

/// An algorithm named by `-A`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Authentication {
    /// `hmac-sha1`: HMAC-SHA1-96 (RFC 2404).
    HmacSha1,
    /// `hmac-sha2-256`, also `hmac-sha256`: HMAC-SHA2-256-128 (RFC 4868).
    HmacSha256,
    /// `hmac-sha2-384`, also `hmac-sha384`: HMAC-SHA2-384-192 (RFC 4868).
    HmacSha384,
    /// `hmac-sha2-512`, also `hmac-sha512`: HMAC-SHA2-512-256 (RFC 4868).
    HmacSha512,
    /// `aes-xcbc-mac`: AES-XCBC-MAC-96 (RFC 3566).
    AesXcbcMac,
}

/// What a name behind `-E` or `-A` stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Name<T> {
    /// An algorithm that a tree can hold.
    Known(T),
    /// An algorithm of some setkey's that Sealway refuses: why, and what to
    /// write instead.
    Refused(&'static str, &'static str),
}

use Name::{Known, Refused};

/// Each name behind `-E`, the canonical one of an algorithm first.
const ENCRYPTION: [(&str, Name<Encryption>); 23] = [
    ("aes-gcm-16", Known(Encryption::AesGcm16)),
    ("aes-gmac", Known(Encryption::AesGmac)),
    ("chacha20-poly1305", Known(Encryption::ChaCha20Poly1305)),
    ("aes-ccm-8", Known(Encryption::AesCcm8)),
    ("aes-ccm-12", Known(Encryption::AesCcm12)),
    ("aes-ccm-16", Known(Encryption::AesCcm16)),
    ("aes-cbc", Known(Encryption::AesCbc)),
    ("rijndael-cbc", Known(Encryption::AesCbc)),
    ("aes-ctr", Known(Encryption::AesCtr)),
    ("null", Known(Encryption::Null)),
    (
        "simple",
        Refused("is an old name for no encryption", "write null"),
    ),
    ("aes-gcm-8", Refused(SHORT_GCM, ANY_AES)),
    ("aes-gcm-12", Refused(SHORT_GCM, ANY_AES)),
    ("des-cbc", Refused(DES, ANY_AES)),
    ("des-deriv", Refused(DES, ANY_AES)),
    ("des-32iv", Refused(DES, ANY_AES)),
    ("3des-cbc", Refused(SMALL_BLOCK, ANY_AES)),
    ("3des-deriv", Refused(SMALL_BLOCK, ANY_AES)),
    ("blowfish-cbc", Refused(SMALL_BLOCK, ANY_AES)),
    ("cast128-cbc", Refused(SMALL_BLOCK, ANY_AES)),
    ("rc5-cbc", Refused(SMALL_BLOCK, ANY_AES)),
    ("camellia-cbc", Refused(NOT_BUILT, ANY_AES)),
    ("twofish-cbc", Refused(NOT_BUILT, ANY_AES)),
];

const ANY_AES: &str = "choose aes-gcm-16, or aes-cbc with an -A";
const SHORT_GCM: &str = "would shorten the ICV of AES-GCM below 16 octets (RFC 8221 §5)";
const DES: &str = "can be broken by trying all keys (RFC 8221 §5)";
const SMALL_BLOCK: &str = "has blocks of 64 bits and leaks under load (RFC 8221 §5)";
const NOT_BUILT: &str = "is not built into Sealway";

/// Each name behind `-A`, the canonical one of an algorithm first.
const AUTHENTICATION: [(&str, Name<Authentication>); 17] = [
    ("hmac-sha1", Known(Authentication::HmacSha1)),
    ("hmac-sha2-256", Known(Authentication::HmacSha256)),
    ("hmac-sha256", Known(Authentication::HmacSha256)),
    ("hmac-sha2-384", Known(Authentication::HmacSha384)),
    ("hmac-sha384", Known(Authentication::HmacSha384)),
    ("hmac-sha2-512", Known(Authentication::HmacSha512)),
    ("hmac-sha512", Known(Authentication::HmacSha512)),
    ("aes-xcbc-mac", Known(Authentication::AesXcbcMac)),
    ("hmac-md5", Refused(OLD_HASH, ANY_HMAC)),
    ("keyed-md5", Refused(OLD_HASH, ANY_HMAC)),
    ("keyed-sha1", Refused(OLD_HASH, ANY_HMAC)),
    ("hmac-ripemd160", Refused(NOT_BUILT, ANY_HMAC)),
    (
        "tcp-md5",
        Refused("signs TCP segments and is no part of IPsec", ANY_HMAC),
    ),
    (
        "null",
        Refused(
            "would leave the SA without integrity (RFC 8221 §4)",
            "choose hmac-sha2-256, or a combined algorithm such as -E aes-gcm-16",
        ),
    ),
    ("aes-gmac", Refused(COMBINED, ALONE)),
    ("aes-gcm-16", Refused(COMBINED, ALONE)),
    ("chacha20-poly1305", Refused(COMBINED, ALONE)),
];

const ANY_HMAC: &str = "choose hmac-sha2-256";
const OLD_HASH: &str = "is no longer sound (RFC 8221 §6)";
const COMBINED: &str = "is a combined algorithm and stands behind -E";
const ALONE: &str = "write it behind -E, without -A";

impl Encryption {
    /// The canonical name, the one that is printed.
    pub fn name(self) -> &'static str {
        canonical(&ENCRYPTION, self)
    }

    /// Every name, refused ones included.
    pub(crate) fn names() -> &'static [(&'static str, Name<Self>)] {
        &ENCRYPTION
    }
}

impl Authentication {
    /// The canonical name, the one that is printed; NetBSD, FreeBSD and
    /// ipsec-tools all read it.
    pub fn name(self) -> &'static str {
        canonical(&AUTHENTICATION, self)
    }

    /// Every name, refused ones included.
    pub(crate) fn names() -> &'static [(&'static str, Name<Self>)] {
        &AUTHENTICATION
    }
}

fn canonical<T: PartialEq>(names: &[(&'static str, Name<T>)], algorithm: T) -> &'static str {
    let algorithm = Known(algorithm);
    names
        .iter()
        .find(|(_, name)| *name == algorithm)
        .map_or("", |(name, _)| name)
}

/// Whether `word` is the name of an algorithm, or such a name mistyped.
pub(crate) fn resembles_name(word: &str) -> bool {
    let names = ENCRYPTION.iter().map(|(name, _)| *name);
    let names = names.chain(AUTHENTICATION.iter().map(|(name, _)| *name));
    suggest::closest(word, names).is_some()
}
