//! The provider on RustCrypto: every suite.

mod aead;
mod cipher;
mod gmac;
mod hmac;
mod xcbc;

use aes::{Aes128, Aes192, Aes256};

use crate::provider::{check_context, check_mac};
use crate::transform::{Aead, Cipher, Combined, Null, Separate, Tagger, Truncated};
use crate::{Authentication, Context, Encryption, KeyError, Mac, Provider, Suite};

/// The provider on RustCrypto.
#[derive(Clone, Copy, Debug)]
pub struct RustCrypto;

impl Provider for RustCrypto {
    fn name(&self) -> &'static str {
        "rust-crypto"
    }

    fn supports(&self, _suite: &Suite) -> bool {
        true
    }

    fn supports_mac(&self, _authentication: Authentication) -> bool {
        true
    }

    fn context(
        &self,
        suite: &Suite,
        encryption_key: &[u8],
        authentication_key: &[u8],
    ) -> Result<Box<dyn Context>, KeyError> {
        check_context(self, suite, encryption_key, authentication_key)?;
        make(suite, encryption_key, authentication_key).ok_or_else(|| self.lacks(suite.name()))
    }

    fn mac(&self, authentication: Authentication, key: &[u8]) -> Result<Box<dyn Mac>, KeyError> {
        check_mac(self, authentication, key)?;
        mac(authentication, key).ok_or_else(|| self.lacks(authentication.name()))
    }
}

impl RustCrypto {
    fn lacks(&self, algorithm: &'static str) -> KeyError {
        KeyError::Unsupported {
            provider: self.name(),
            algorithm,
        }
    }
}

/// Lengths are checked: never `None`.
fn make(suite: &Suite, key: &[u8], mac_key: &[u8]) -> Option<Box<dyn Context>> {
    let (key, salt) = key.split_at_checked(suite.key_bits() / 8)?;
    match suite.encryption() {
        Encryption::ChaCha20Poly1305 => combined(suite, salt, aead::chacha20_poly1305(key)?),
        Encryption::Null => separate(suite, Null, mac_key),
        _ => match key.len() {
            16 => with_aes::<Aes128>(suite, key, salt, mac_key),
            24 => with_aes::<Aes192>(suite, key, salt, mac_key),
            _ => with_aes::<Aes256>(suite, key, salt, mac_key),
        },
    }
}

fn with_aes<C: aead::Aes + 'static>(
    suite: &Suite,
    key: &[u8],
    salt: &[u8],
    mac_key: &[u8],
) -> Option<Box<dyn Context>> {
    match suite.encryption() {
        Encryption::AesGcm16 => combined(suite, salt, aead::gcm::<C>(key)?),
        Encryption::AesGmac => combined(suite, salt, gmac::Gmac::<C>::new(key)?),
        Encryption::AesCcm8 => combined(suite, salt, aead::ccm_8::<C>(key)?),
        Encryption::AesCcm12 => combined(suite, salt, aead::ccm_12::<C>(key)?),
        Encryption::AesCcm16 => combined(suite, salt, aead::ccm_16::<C>(key)?),
        Encryption::AesCbc => separate(suite, cipher::Cbc::<C>::new(key)?, mac_key),
        Encryption::AesCtr => separate(suite, cipher::Ctr::<C>::new(key, salt)?, mac_key),
        Encryption::Null | Encryption::ChaCha20Poly1305 => None,
    }
}

fn combined<const N: usize>(
    suite: &Suite,
    salt: &[u8],
    aead: impl Aead<N> + 'static,
) -> Option<Box<dyn Context>> {
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
    match authentication {
        Authentication::HmacSha1_96 => boxed(authentication, hmac::Hmac::<sha1::Sha1>::new(key)?),
        Authentication::HmacSha256_128 => {
            boxed(authentication, hmac::Hmac::<sha2::Sha256>::new(key)?)
        }
        Authentication::HmacSha384_192 => {
            boxed(authentication, hmac::Hmac::<sha2::Sha384>::new(key)?)
        }
        Authentication::HmacSha512_256 => {
            boxed(authentication, hmac::Hmac::<sha2::Sha512>::new(key)?)
        }
        Authentication::AesXcbc96 => boxed(authentication, xcbc::Xcbc::new(key)?),
    }
}

fn boxed(authentication: Authentication, tagger: impl Tagger + 'static) -> Option<Box<dyn Mac>> {
    Some(Box::new(Truncated::new(authentication, tagger)))
}

/// A combined mode without ESP around it, which takes any associated data.
#[cfg(test)]
pub(crate) fn bare(suite: &Suite, key: &[u8]) -> Option<Box<dyn Aead<12>>> {
    match (suite.encryption(), key.len()) {
        (Encryption::ChaCha20Poly1305, _) => Some(Box::new(aead::chacha20_poly1305(key)?)),
        (Encryption::AesGcm16, 16) => Some(Box::new(aead::gcm::<Aes128>(key)?)),
        (Encryption::AesGcm16, 24) => Some(Box::new(aead::gcm::<Aes192>(key)?)),
        (Encryption::AesGcm16, 32) => Some(Box::new(aead::gcm::<Aes256>(key)?)),
        _ => None,
    }
}

/// AES-CCM with an ICV of 16 octets, without ESP around it.
#[cfg(test)]
pub(crate) fn bare_ccm(key: &[u8]) -> Option<Box<dyn Aead<11>>> {
    match key.len() {
        16 => Some(Box::new(aead::ccm_16::<Aes128>(key)?)),
        24 => Some(Box::new(aead::ccm_16::<Aes192>(key)?)),
        32 => Some(Box::new(aead::ccm_16::<Aes256>(key)?)),
        _ => None,
    }
}

/// GMAC over parts that need be no header, IV and text.
#[cfg(test)]
pub(crate) fn bare_gmac(key: &[u8], nonce: &[u8; 12], parts: [&[u8]; 3]) -> Option<[u8; 16]> {
    Some(match key.len() {
        16 => gmac::Gmac::<Aes128>::new(key)?.tag(nonce, parts),
        24 => gmac::Gmac::<Aes192>::new(key)?.tag(nonce, parts),
        32 => gmac::Gmac::<Aes256>::new(key)?.tag(nonce, parts),
        _ => return None,
    })
}
