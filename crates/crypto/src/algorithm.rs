//! The algorithms that suites are made of, with the figures that their RFCs give them.

use std::fmt;

/// An ESP encryption algorithm. The combined modes authenticate by themselves.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Encryption {
    /// No encryption (RFC 2410).
    Null,
    /// AES in CBC mode (RFC 3602).
    AesCbc,
    /// AES in counter mode (RFC 3686).
    AesCtr,
    /// AES-GCM with an ICV of 16 octets (RFC 4106).
    AesGcm16,
    /// AES-GMAC: authenticates and does not encrypt (RFC 4543).
    AesGmac,
    /// AES-CCM with an ICV of 8 octets (RFC 4309).
    AesCcm8,
    /// AES-CCM with an ICV of 12 octets (RFC 4309).
    AesCcm12,
    /// AES-CCM with an ICV of 16 octets (RFC 4309).
    AesCcm16,
    /// ChaCha20 with Poly1305 (RFC 7634).
    ChaCha20Poly1305,
}

impl Encryption {
    /// Every encryption algorithm.
    pub const ALL: [Encryption; 9] = [
        Encryption::Null,
        Encryption::AesCbc,
        Encryption::AesCtr,
        Encryption::AesGcm16,
        Encryption::AesGmac,
        Encryption::AesCcm8,
        Encryption::AesCcm12,
        Encryption::AesCcm16,
        Encryption::ChaCha20Poly1305,
    ];

    /// The name without a key length: `aes-gcm-16`.
    pub const fn name(self) -> &'static str {
        match self {
            Encryption::Null => "null",
            Encryption::AesCbc => "aes-cbc",
            Encryption::AesCtr => "aes-ctr",
            Encryption::AesGcm16 => "aes-gcm-16",
            Encryption::AesGmac => "aes-gmac",
            Encryption::AesCcm8 => "aes-ccm-8",
            Encryption::AesCcm12 => "aes-ccm-12",
            Encryption::AesCcm16 => "aes-ccm-16",
            Encryption::ChaCha20Poly1305 => "chacha20-poly1305",
        }
    }

    /// Octets of the salt (RFC 3686's nonce) at the end of the key material.
    pub const fn salt_octets(self) -> usize {
        match self {
            Encryption::Null | Encryption::AesCbc => 0,
            Encryption::AesCcm8 | Encryption::AesCcm12 | Encryption::AesCcm16 => 3,
            Encryption::AesCtr
            | Encryption::AesGcm16
            | Encryption::AesGmac
            | Encryption::ChaCha20Poly1305 => 4,
        }
    }

    /// Lengths of the key material that the algorithm takes, in octets, the salt included.
    pub const fn key_lengths(self) -> &'static [usize] {
        match self {
            Encryption::Null => &[0],
            Encryption::AesCbc => &[16, 24, 32],
            Encryption::AesCtr | Encryption::AesGcm16 | Encryption::AesGmac => &[20, 28, 36],
            Encryption::AesCcm8 | Encryption::AesCcm12 | Encryption::AesCcm16 => &[19, 27, 35],
            Encryption::ChaCha20Poly1305 => &[36],
        }
    }

    /// Octets of the IV that each packet carries.
    pub const fn iv_octets(self) -> usize {
        match self {
            Encryption::Null => 0,
            Encryption::AesCbc => 16,
            Encryption::AesCtr
            | Encryption::AesGcm16
            | Encryption::AesGmac
            | Encryption::AesCcm8
            | Encryption::AesCcm12
            | Encryption::AesCcm16
            | Encryption::ChaCha20Poly1305 => 8,
        }
    }

    /// Octets of the ICV of a combined mode; `None` if an integrity algorithm must stand beside it.
    pub const fn combined_icv_octets(self) -> Option<usize> {
        match self {
            Encryption::Null | Encryption::AesCbc | Encryption::AesCtr => None,
            Encryption::AesCcm8 => Some(8),
            Encryption::AesCcm12 => Some(12),
            Encryption::AesGcm16
            | Encryption::AesGmac
            | Encryption::AesCcm16
            | Encryption::ChaCha20Poly1305 => Some(16),
        }
    }
}

impl fmt::Display for Encryption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// An integrity algorithm, for ESP beside a cipher and for AH alone.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Authentication {
    /// HMAC-SHA-1, the ICV cut to 96 bits (RFC 2404).
    HmacSha1_96,
    /// HMAC-SHA-256, the ICV cut to 128 bits (RFC 4868).
    HmacSha256_128,
    /// HMAC-SHA-384, the ICV cut to 192 bits (RFC 4868).
    HmacSha384_192,
    /// HMAC-SHA-512, the ICV cut to 256 bits (RFC 4868).
    HmacSha512_256,
    /// AES-XCBC-MAC, the ICV cut to 96 bits (RFC 3566).
    AesXcbc96,
}

impl Authentication {
    /// Every integrity algorithm.
    pub const ALL: [Authentication; 5] = [
        Authentication::HmacSha1_96,
        Authentication::HmacSha256_128,
        Authentication::HmacSha384_192,
        Authentication::HmacSha512_256,
        Authentication::AesXcbc96,
    ];

    /// The name: `hmac-sha2-256-128`.
    pub const fn name(self) -> &'static str {
        match self {
            Authentication::HmacSha1_96 => "hmac-sha1-96",
            Authentication::HmacSha256_128 => "hmac-sha2-256-128",
            Authentication::HmacSha384_192 => "hmac-sha2-384-192",
            Authentication::HmacSha512_256 => "hmac-sha2-512-256",
            Authentication::AesXcbc96 => "aes-xcbc-96",
        }
    }

    /// Octets of the key: exactly this many, as RFC 2404 §3, RFC 4868 §2.1.1 and RFC 3566 §4 ask.
    pub const fn key_octets(self) -> usize {
        match self {
            Authentication::HmacSha1_96 => 20,
            Authentication::HmacSha256_128 => 32,
            Authentication::HmacSha384_192 => 48,
            Authentication::HmacSha512_256 => 64,
            Authentication::AesXcbc96 => 16,
        }
    }

    /// Octets of the ICV that a packet carries.
    pub const fn icv_octets(self) -> usize {
        match self {
            Authentication::HmacSha1_96 | Authentication::AesXcbc96 => 12,
            Authentication::HmacSha256_128 => 16,
            Authentication::HmacSha384_192 => 24,
            Authentication::HmacSha512_256 => 32,
        }
    }
}

impl fmt::Display for Authentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
