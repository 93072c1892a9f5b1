//! Where IVs come from.

use aes::Aes256;
use aes::cipher::{BlockCipherEncrypt, KeyInit};

use crate::{Encryption, Suite};

/// Makes the IVs of one SA: no two alike in a counter mode, none to be foreseen in CBC.
///
/// Counter modes (GCM, GMAC, CCM, CTR, ChaCha20-Poly1305): a random start plus the 64-bit sequence
/// number, so that an IV comes back only if the sequence number does. CBC: the sequence number as
/// a block, enciphered under a random key of the SA (RFC 3602 §3 asks for unpredictable IVs).
///
/// It holds no counter and draws nothing: the seed is 32 random octets of the caller, drawn for this
/// SA and this key, and the counter is the packet's 64-bit sequence number.
pub struct IvSource(Kind);

enum Kind {
    /// NULL has no IV.
    None,
    Counter {
        start: u64,
    },
    Enciphered(Box<Aes256>),
}

impl IvSource {
    /// The source for an SA of this suite.
    pub fn new(suite: &Suite, seed: &[u8; 32]) -> IvSource {
        IvSource(match suite.encryption() {
            Encryption::Null => Kind::None,
            Encryption::AesCbc => Kind::Enciphered(Box::new(Aes256::new(seed.into()))),
            Encryption::AesCtr
            | Encryption::AesGcm16
            | Encryption::AesGmac
            | Encryption::AesCcm8
            | Encryption::AesCcm12
            | Encryption::AesCcm16
            | Encryption::ChaCha20Poly1305 => {
                let [a, b, c, d, e, f, g, h, ..] = *seed;
                Kind::Counter {
                    start: u64::from_be_bytes([a, b, c, d, e, f, g, h]),
                }
            }
        })
    }

    /// The source of an SA whose counter goes on: the IVs of a counter mode start where they did
    /// before, so that none comes back. CBC goes on with a fresh seed: its IVs are to be
    /// unpredictable, and one that comes back by chance betrays no more than that (2⁻¹²⁸ a pair).
    pub fn continued(suite: &Suite, seed: &[u8; 32], start: u64) -> IvSource {
        let mut source = IvSource::new(suite, seed);
        if let Kind::Counter { start: drawn } = &mut source.0 {
            *drawn = start;
        }
        source
    }

    /// Where the IVs of a counter mode start.
    pub fn start(&self) -> Option<u64> {
        match self.0 {
            Kind::Counter { start } => Some(start),
            Kind::None | Kind::Enciphered(_) => None,
        }
    }

    /// Writes the IV that belongs to this sequence number. An `iv` of another length than the
    /// suite's is left as it is; [`Context::seal`](crate::Context::seal) refuses it.
    #[inline]
    pub fn fill(&self, counter: u64, iv: &mut [u8]) {
        match &self.0 {
            Kind::None => {}
            Kind::Counter { start } => {
                if let Ok(iv) = <&mut [u8; 8]>::try_from(iv) {
                    *iv = start.wrapping_add(counter).to_be_bytes();
                }
            }
            Kind::Enciphered(cipher) => {
                if let Ok(iv) = <&mut [u8; 16]>::try_from(iv) {
                    let mut block = [0; 16];
                    block[8..].copy_from_slice(&counter.to_be_bytes());
                    cipher.encrypt_block((&mut block).into());
                    *iv = block;
                }
            }
        }
    }
}

impl std::fmt::Debug for IvSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.0 {
            Kind::None => "IvSource(none)",
            Kind::Counter { .. } => "IvSource(counter)",
            Kind::Enciphered(_) => "IvSource(enciphered counter)",
        })
    }
}
