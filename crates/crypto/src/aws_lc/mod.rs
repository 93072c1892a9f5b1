//! The provider on aws-lc-rs: every suite but CCM and AES-XCBC, which its safe interface lacks.

mod aead;
mod cipher;
mod hmac;

use crate::provider::{check_context, check_mac};
use crate::transform::{Aead, Cipher, Combined, Null, Separate, Truncated};
use crate::{Authentication, Context, Encryption, KeyError, Mac, Provider, Suite};

/// The provider on aws-lc-rs.
#[derive(Clone, Copy, Debug)]
pub struct AwsLc;

impl Provider for AwsLc {
    fn name(&self) -> &'static str {
        "aws-lc"
    }

    fn supports(&self, suite: &Suite) -> bool {
        let encryption = match suite.encryption() {
            Encryption::AesCcm8 | Encryption::AesCcm12 | Encryption::AesCcm16 => false,
            Encryption::Null
            | Encryption::AesCbc
            | Encryption::AesCtr
            | Encryption::AesGcm16
            | Encryption::AesGmac
            | Encryption::ChaCha20Poly1305 => true,
        };
        encryption
            && suite
                .authentication()
                .is_none_or(|mac| self.supports_mac(mac))
    }

    fn supports_mac(&self, authentication: Authentication) -> bool {
        authentication != Authentication::AesXcbc96
    }

    fn context(
        &self,
        suite: &Suite,
        encryption_key: &[u8],
        authentication_key: &[u8],
    ) -> Result<Box<dyn Context>, KeyError> {
        check_context(self, suite, encryption_key, authentication_key)?;
        self.make(suite, encryption_key, authentication_key)
            .ok_or_else(|| self.lacks(suite.name()))
    }

    fn mac(&self, authentication: Authentication, key: &[u8]) -> Result<Box<dyn Mac>, KeyError> {
        check_mac(self, authentication, key)?;
        mac(authentication, key).ok_or_else(|| self.lacks(authentication.name()))
    }
}

impl AwsLc {
    /// Lengths are checked; `None` if aws-lc lacks the suite or refuses the key.
    fn make(&self, suite: &Suite, key: &[u8], mac_key: &[u8]) -> Option<Box<dyn Context>> {
        let (key, salt) = key.split_at_checked(suite.key_bits() / 8)?;
        match suite.encryption() {
            Encryption::AesGcm16 => combined(suite, salt, aead::Plain::aes_gcm(key)?),
            Encryption::ChaCha20Poly1305 => {
                combined(suite, salt, aead::Plain::chacha20_poly1305(key)?)
            }
            Encryption::AesGmac => combined(suite, salt, aead::Gmac::new(key)?),
            Encryption::AesCcm8 | Encryption::AesCcm12 | Encryption::AesCcm16 => None,
            Encryption::AesCbc => separate(suite, cipher::Cbc::new(key)?, mac_key),
            Encryption::AesCtr => separate(suite, cipher::Ctr::new(key, salt)?, mac_key),
            Encryption::Null => separate(suite, Null, mac_key),
        }
    }

    fn lacks(&self, algorithm: &'static str) -> KeyError {
        KeyError::Unsupported {
            provider: self.name(),
            algorithm,
        }
    }
}

fn combined(suite: &Suite, salt: &[u8], aead: impl Aead<12> + 'static) -> Option<Box<dyn Context>> {
    Some(Box::new(Combined::new(suite, salt, aead)))
}

fn separate(
    suite: &Suite,
    cipher: impl Cipher + 'static,
    mac_key: &[u8],
) -> Option<Box<dyn Context>> {
    let mac = mac(suite.authentication()?, mac_key)?;
    Some(Box::new(Separate::new(suite, cipher, mac)))
}

fn mac(authentication: Authentication, key: &[u8]) -> Option<Box<dyn Mac>> {
    let hmac = hmac::Hmac::new(authentication, key)?;
    Some(Box::new(Truncated::new(authentication, hmac)))
}

/// A combined mode without ESP around it, which takes any associated data.
#[cfg(test)]
pub(crate) fn bare(suite: &Suite, key: &[u8]) -> Option<Box<dyn Aead<12>>> {
    match suite.encryption() {
        Encryption::AesGcm16 => Some(Box::new(aead::Plain::aes_gcm(key)?)),
        Encryption::ChaCha20Poly1305 => Some(Box::new(aead::Plain::chacha20_poly1305(key)?)),
        _ => None,
    }
}
