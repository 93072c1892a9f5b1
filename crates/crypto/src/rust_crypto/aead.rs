//! Combined modes of RustCrypto.

use aes::cipher::consts::{U8, U11, U12, U16};
use aes::cipher::{BlockCipherDecrypt, BlockCipherEncrypt, BlockSizeUser, KeyInit};
use aes_gcm::AesGcm;
use aes_gcm::aead::{AeadInOut, Nonce, Tag};
use ccm::Ccm;
use chacha20poly1305::ChaCha20Poly1305;

use crate::transform::Aead;
use crate::{Misuse, Rejected};

/// AES with a key of 128, 192 or 256 bits; clears its key schedule when dropped.
pub(super) trait Aes:
    BlockCipherEncrypt + BlockCipherDecrypt + BlockSizeUser<BlockSize = U16> + KeyInit + Send + Sync
{
}

impl<C> Aes for C where
    C: BlockCipherEncrypt
        + BlockCipherDecrypt
        + BlockSizeUser<BlockSize = U16>
        + KeyInit
        + Send
        + Sync
{
}

/// AES-GCM (RFC 4106).
pub(super) fn gcm<C: Aes>(key: &[u8]) -> Option<InOut<AesGcm<C, U12>, 12>> {
    InOut::new(key)
}

/// AES-CCM with an ICV of 8 octets (RFC 4309).
pub(super) fn ccm_8<C: Aes>(key: &[u8]) -> Option<InOut<Ccm<C, U8, U11>, 11>> {
    InOut::new(key)
}

/// AES-CCM with an ICV of 12 octets (RFC 4309).
pub(super) fn ccm_12<C: Aes>(key: &[u8]) -> Option<InOut<Ccm<C, U12, U11>, 11>> {
    InOut::new(key)
}

/// AES-CCM with an ICV of 16 octets (RFC 4309).
pub(super) fn ccm_16<C: Aes>(key: &[u8]) -> Option<InOut<Ccm<C, U16, U11>, 11>> {
    InOut::new(key)
}

/// ChaCha20-Poly1305 (RFC 7634).
pub(super) fn chacha20_poly1305(key: &[u8]) -> Option<InOut<ChaCha20Poly1305, 12>> {
    InOut::new(key)
}

/// Any combined mode that works in place and takes nonces of `N` octets.
pub(super) struct InOut<A, const N: usize>(A);

impl<A: KeyInit, const N: usize> InOut<A, N> {
    fn new(key: &[u8]) -> Option<Self> {
        A::new_from_slice(key).ok().map(InOut)
    }
}

impl<A: AeadInOut + Send + Sync, const N: usize> Aead<N> for InOut<A, N> {
    fn seal(
        &self,
        nonce: &[u8; N],
        aad: &[u8],
        text: &mut [u8],
        icv: &mut [u8],
    ) -> Result<(), Misuse> {
        let got = text.len();
        let nonce = <&Nonce<A>>::try_from(nonce.as_slice()).map_err(|_| long(got))?;
        let tag = self
            .0
            .encrypt_inout_detached(nonce, aad, text.into())
            .map_err(|_| long(got))?;
        for (to, from) in icv.iter_mut().zip(tag) {
            *to = from;
        }
        Ok(())
    }

    fn open(
        &self,
        nonce: &[u8; N],
        aad: &[u8],
        text: &mut [u8],
        icv: &[u8],
    ) -> Result<(), Rejected> {
        let nonce = <&Nonce<A>>::try_from(nonce.as_slice()).map_err(|_| Rejected::Icv)?;
        let tag = <&Tag<A>>::try_from(icv).map_err(|_| Rejected::Icv)?;
        self.0
            .decrypt_inout_detached(nonce, aad, text.into(), tag)
            .map_err(|_| Rejected::Icv)
    }
}

/// Nonce and ICV fit by type and by the caller's check: what is left to fail is the length.
fn long(got: usize) -> Misuse {
    Misuse::Long {
        most: u32::MAX as usize,
        got,
    }
}
