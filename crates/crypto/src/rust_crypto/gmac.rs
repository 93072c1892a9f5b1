//! AES-GMAC (RFC 4543), over GHASH and one block of AES: the pieces are hashed where they lie, while
//! an AES-GCM interface wants its associated data in one.

use aes::cipher::Array;
use ghash::GHash;
use ghash::universal_hash::UniversalHash;
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

use super::aead::Aes;
use crate::transform::Aead;
use crate::{Misuse, Rejected};

/// AES-GMAC: AES-GCM over associated data only (RFC 4543 §3.3): SPI and sequence number, IV, text.
pub(super) struct Gmac<C> {
    cipher: C,
    ghash: GHash,
}

impl<C: Aes> Gmac<C> {
    pub(super) fn new(key: &[u8]) -> Option<Self> {
        let cipher = C::new_from_slice(key).ok()?;
        let mut subkey = Array::default();
        cipher.encrypt_block(&mut subkey);
        let ghash = GHash::new(&subkey);
        subkey.zeroize();
        Some(Gmac { cipher, ghash })
    }

    /// GHASH of the parts and their length, masked by the enciphered first counter block
    /// (NIST SP 800-38D §7.1). The first two, header and IV, have 32 octets at most.
    pub(super) fn tag(&self, nonce: &[u8; 12], parts: [&[u8]; 3]) -> [u8; 16] {
        let [header, iv, text] = parts;
        let mut ghash = self.ghash.clone();
        // Octets of the text complete the last block of what stands before it.
        let before = header.len() + iv.len();
        let borrowed = text.len().min(before.next_multiple_of(16) - before);
        let (first, rest) = text.split_at(borrowed);
        let mut head = [0; 32];
        head[..header.len()].copy_from_slice(header);
        head[header.len()..before].copy_from_slice(iv);
        head[before..before + borrowed].copy_from_slice(first);
        ghash.update_padded(&head[..before + borrowed]);
        ghash.update_padded(rest);

        let mut lengths = [0; 16];
        let bits = 8 * (before + text.len()) as u64;
        lengths[..8].copy_from_slice(&bits.to_be_bytes());
        ghash.update(&[lengths.into()]);

        let mut counter = Array::default();
        counter[..12].copy_from_slice(nonce);
        counter[15] = 1;
        self.cipher.encrypt_block(&mut counter);
        let mut tag: [u8; 16] = ghash.finalize().into();
        for (tag, mask) in tag.iter_mut().zip(counter) {
            *tag ^= mask;
        }
        tag
    }
}

impl<C: Aes> Aead<12> for Gmac<C> {
    fn seal(
        &self,
        nonce: &[u8; 12],
        aad: &[u8],
        text: &mut [u8],
        icv: &mut [u8],
    ) -> Result<(), Misuse> {
        icv.copy_from_slice(&self.tag(nonce, [aad, &nonce[4..], text]));
        Ok(())
    }

    fn open(
        &self,
        nonce: &[u8; 12],
        aad: &[u8],
        text: &mut [u8],
        icv: &[u8],
    ) -> Result<(), Rejected> {
        if self.tag(nonce, [aad, &nonce[4..], text]).ct_eq(icv).into() {
            Ok(())
        } else {
            Err(Rejected::Icv)
        }
    }
}
