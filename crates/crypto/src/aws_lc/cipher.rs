//! Ciphers of aws-lc that do not authenticate. aws-lc-rs clears their key schedules when dropped.

use aws_lc_rs::cipher::{
    self, DecryptingKey, DecryptionContext, EncryptingKey, EncryptionContext, UnboundCipherKey,
};

use crate::Misuse;
use crate::transform::{Cipher, counter_block, misaligned, wrong_iv};

/// AES-CBC without padding of its own: ESP has padded the text (RFC 3602 §2.4).
pub(super) struct Cbc {
    encrypting: EncryptingKey,
    decrypting: DecryptingKey,
}

impl Cbc {
    pub(super) fn new(key: &[u8]) -> Option<Cbc> {
        Some(Cbc {
            encrypting: EncryptingKey::cbc(aes(key)?).ok()?,
            decrypting: DecryptingKey::cbc(aes(key)?).ok()?,
        })
    }
}

impl Cipher for Cbc {
    const IV: usize = 16;

    fn encrypt(&self, iv: &[u8], text: &mut [u8]) -> Result<(), Misuse> {
        let iv: [u8; 16] = iv.try_into().map_err(|_| wrong_iv(16, iv))?;
        self.encrypting
            .less_safe_encrypt(text, EncryptionContext::Iv128(iv.into()))
            .map_err(|_| misaligned(text.len()))?;
        Ok(())
    }

    fn decrypt(&self, iv: &[u8], text: &mut [u8]) -> Result<(), Misuse> {
        let iv: [u8; 16] = iv.try_into().map_err(|_| wrong_iv(16, iv))?;
        let got = text.len();
        self.decrypting
            .decrypt(text, DecryptionContext::Iv128(iv.into()))
            .map_err(|_| misaligned(got))?;
        Ok(())
    }
}

/// AES-CTR (RFC 3686).
pub(super) struct Ctr {
    key: EncryptingKey,
    nonce: [u8; 4],
}

impl Ctr {
    pub(super) fn new(key: &[u8], nonce: &[u8]) -> Option<Ctr> {
        Some(Ctr {
            key: EncryptingKey::ctr(aes(key)?).ok()?,
            nonce: nonce.try_into().ok()?,
        })
    }
}

impl Cipher for Ctr {
    const IV: usize = 8;

    fn encrypt(&self, iv: &[u8], text: &mut [u8]) -> Result<(), Misuse> {
        let counter = counter_block(&self.nonce, iv)?;
        self.key
            .less_safe_encrypt(text, EncryptionContext::Iv128(counter.into()))
            .map_err(|_| misaligned(text.len()))?;
        Ok(())
    }

    fn decrypt(&self, iv: &[u8], text: &mut [u8]) -> Result<(), Misuse> {
        self.encrypt(iv, text)
    }
}

fn aes(key: &[u8]) -> Option<UnboundCipherKey> {
    let algorithm = match key.len() {
        16 => &cipher::AES_128,
        24 => &cipher::AES_192,
        32 => &cipher::AES_256,
        _ => return None,
    };
    UnboundCipherKey::new(algorithm, key).ok()
}
