//! The names of algorithms: those that stand in a tree, and those that are
//! known but refused, each with its reason.

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

/// What became of a name behind `-E` or `-A`.
pub(crate) enum Lookup<T> {
    /// An algorithm that a tree can hold.
    Known(T),
    /// A name of setkey's that Sealway refuses, and why: a whole sentence.
    Refused(&'static str),
    /// No name of setkey's.
    Unknown,
}

impl Encryption {
    /// Every algorithm.
    pub const ALL: [Encryption; 9] = [
        Encryption::AesGcm16,
        Encryption::AesGmac,
        Encryption::ChaCha20Poly1305,
        Encryption::AesCcm8,
        Encryption::AesCcm12,
        Encryption::AesCcm16,
        Encryption::AesCbc,
        Encryption::AesCtr,
        Encryption::Null,
    ];

    /// The canonical name, the one that is printed.
    pub fn name(self) -> &'static str {
        match self {
            Encryption::AesGcm16 => "aes-gcm-16",
            Encryption::AesGmac => "aes-gmac",
            Encryption::ChaCha20Poly1305 => "chacha20-poly1305",
            Encryption::AesCcm8 => "aes-ccm-8",
            Encryption::AesCcm12 => "aes-ccm-12",
            Encryption::AesCcm16 => "aes-ccm-16",
            Encryption::AesCbc => "aes-cbc",
            Encryption::AesCtr => "aes-ctr",
            Encryption::Null => "null",
        }
    }

    pub(crate) fn look_up(name: &str) -> Lookup<Self> {
        if let Some(known) = Self::ALL.into_iter().find(|known| known.name() == name) {
            return Lookup::Known(known);
        }
        match name {
            "rijndael-cbc" => Lookup::Known(Encryption::AesCbc),
            "des-cbc" | "des-deriv" | "des-32iv" => Lookup::Refused(
                "DES can be broken by search (RFC 8221 §5 forbids it): choose aes-gcm-16 or aes-cbc",
            ),
            "3des-cbc" | "3des-deriv" | "blowfish-cbc" | "cast128-cbc" => Lookup::Refused(
                "ciphers with blocks of 64 bits leak under load (RFC 8221 §5): choose aes-gcm-16 or aes-cbc",
            ),
            "camellia-cbc" | "twofish-cbc" => Lookup::Refused(
                "this cipher is not built into Sealway: choose aes-gcm-16 or aes-cbc",
            ),
            "aes-gcm-8" | "aes-gcm-12" => Lookup::Refused(
                "AES-GCM is offered with an ICV of 16 octets only: choose aes-gcm-16 (RFC 8221 §5)",
            ),
            "simple" => Lookup::Refused("simple is an old name for no encryption: write null"),
            _ => Lookup::Unknown,
        }
    }
}

impl Authentication {
    /// Every algorithm.
    pub const ALL: [Authentication; 5] = [
        Authentication::HmacSha1,
        Authentication::HmacSha256,
        Authentication::HmacSha384,
        Authentication::HmacSha512,
        Authentication::AesXcbcMac,
    ];

    /// The canonical name, the one that is printed; NetBSD, FreeBSD and
    /// ipsec-tools all read it.
    pub fn name(self) -> &'static str {
        match self {
            Authentication::HmacSha1 => "hmac-sha1",
            Authentication::HmacSha256 => "hmac-sha2-256",
            Authentication::HmacSha384 => "hmac-sha2-384",
            Authentication::HmacSha512 => "hmac-sha2-512",
            Authentication::AesXcbcMac => "aes-xcbc-mac",
        }
    }

    pub(crate) fn look_up(name: &str) -> Lookup<Self> {
        if let Some(known) = Self::ALL.into_iter().find(|known| known.name() == name) {
            return Lookup::Known(known);
        }
        match name {
            "hmac-sha256" => Lookup::Known(Authentication::HmacSha256),
            "hmac-sha384" => Lookup::Known(Authentication::HmacSha384),
            "hmac-sha512" => Lookup::Known(Authentication::HmacSha512),
            "hmac-md5" | "keyed-md5" | "keyed-sha1" => Lookup::Refused(
                "MD5 and keyed hashes are no longer sound (RFC 8221 §6): choose hmac-sha2-256",
            ),
            "hmac-ripemd160" => {
                Lookup::Refused("RIPEMD-160 is not built into Sealway: choose hmac-sha2-256")
            }
            "tcp-md5" => Lookup::Refused(
                "TCP-MD5 signs TCP segments and is no part of IPsec: give the key to the BGP daemon's own system",
            ),
            "null" => Lookup::Refused(
                "an SA without integrity can be forged at will (RFC 8221 §4): choose hmac-sha2-256, or a combined cipher such as aes-gcm-16",
            ),
            "aes-gmac" | "aes-gcm-16" | "chacha20-poly1305" => Lookup::Refused(
                "a combined algorithm is named by -E and stands alone: write it there, without -A",
            ),
            _ => Lookup::Unknown,
        }
    }
}
