//! Ciphers of RustCrypto that do not authenticate.

use aes::cipher::{
    Array, BlockModeDecrypt, BlockModeEncrypt, InnerIvInit, KeyInit, StreamCipher,
    StreamCipherCoreWrapper,
};
use ctr::CtrCore;
use ctr::flavors::Ctr32BE;

use super::aead::Aes;
use crate::Misuse;
use crate::transform::{Cipher, counter_block, misaligned, wrong_iv};

/// AES-CBC without padding of its own: ESP has padded the text (RFC 3602 §2.4).
pub(super) struct Cbc<C>(C);

impl<C: KeyInit> Cbc<C> {
    pub(super) fn new(key: &[u8]) -> Option<Self> {
        C::new_from_slice(key).ok().map(Cbc)
    }
}

impl<C: Aes> Cipher for Cbc<C> {
    const IV: usize = 16;

    fn encrypt(&self, iv: &[u8], text: &mut [u8]) -> Result<(), Misuse> {
        let iv: &[u8; 16] = iv.try_into().map_err(|_| wrong_iv(16, iv))?;
        let got = text.len();
        match Array::slice_as_chunks_mut(text) {
            (blocks, []) => {
                cbc::Encryptor::inner_iv_init(&self.0, iv.into()).encrypt_blocks(blocks);
                Ok(())
            }
            _ => Err(misaligned(got)),
        }
    }

    fn decrypt(&self, iv: &[u8], text: &mut [u8]) -> Result<(), Misuse> {
        let iv: &[u8; 16] = iv.try_into().map_err(|_| wrong_iv(16, iv))?;
        let got = text.len();
        match Array::slice_as_chunks_mut(text) {
            (blocks, []) => {
                cbc::Decryptor::inner_iv_init(&self.0, iv.into()).decrypt_blocks(blocks);
                Ok(())
            }
            _ => Err(misaligned(got)),
        }
    }
}

/// AES-CTR (RFC 3686).
pub(super) struct Ctr<C> {
    cipher: C,
    nonce: [u8; 4],
}

impl<C: KeyInit> Ctr<C> {
    pub(super) fn new(key: &[u8], nonce: &[u8]) -> Option<Self> {
        Some(Ctr {
            cipher: C::new_from_slice(key).ok()?,
            nonce: nonce.try_into().ok()?,
        })
    }
}

impl<C: Aes> Cipher for Ctr<C> {
    const IV: usize = 8;

    fn encrypt(&self, iv: &[u8], text: &mut [u8]) -> Result<(), Misuse> {
        let counter = counter_block(&self.nonce, iv)?;
        let core = CtrCore::<_, Ctr32BE>::inner_iv_init(&self.cipher, (&counter).into());
        let got = text.len();
        StreamCipherCoreWrapper::from_core(core)
            .try_apply_keystream(text)
            .map_err(|_| Misuse::Long {
                most: u32::MAX as usize,
                got,
            })
    }

    fn decrypt(&self, iv: &[u8], text: &mut [u8]) -> Result<(), Misuse> {
        self.encrypt(iv, text)
    }
}
