//! The provider on ring: AES-GCM with keys of 128 and 256 bits, and nothing else.
//!
//! It is here for processors that have wide AES instructions (VAES) without AVX-512, where it takes
//! three fifths of aws-lc's time: see [`is_faster`].

use ring::aead::{self, Aad, LessSafeKey, Nonce, Tag, UnboundKey};

use crate::provider::{check_context, check_mac};
use crate::transform::{Aead, Combined};
use crate::{
    Authentication, Context, Encryption, KeyError, Mac, Misuse, Provider, Rejected, Suite,
};

/// The provider on ring.
#[derive(Clone, Copy, Debug)]
pub struct Ring;

/// Whether ring is faster than aws-lc on this processor at what it supports.
pub(crate) fn is_faster() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::is_x86_feature_detected as has;
        let is_wide = has!("vaes") && has!("vpclmulqdq") && has!("avx2") && has!("bmi2");
        let is_wider = has!("avx512f") && has!("avx512bw") && has!("avx512dq") && has!("avx512vl");
        is_wide && !is_wider
    }
    #[cfg(not(target_arch = "x86_64"))]
    false
}

impl Provider for Ring {
    fn name(&self) -> &'static str {
        "ring"
    }

    fn supports(&self, suite: &Suite) -> bool {
        suite.encryption() == Encryption::AesGcm16 && matches!(suite.key_bits(), 128 | 256)
    }

    fn supports_mac(&self, _: Authentication) -> bool {
        false
    }

    fn context(
        &self,
        suite: &Suite,
        encryption_key: &[u8],
        authentication_key: &[u8],
    ) -> Result<Box<dyn Context>, KeyError> {
        check_context(self, suite, encryption_key, authentication_key)?;
        let made = encryption_key
            .split_at_checked(suite.key_bits() / 8)
            .and_then(|(key, salt)| Some(Combined::new(suite, salt, Gcm::new(key)?)));
        match made {
            Some(context) => Ok(Box::new(context)),
            None => Err(self.lacks(suite.name())),
        }
    }

    fn mac(&self, authentication: Authentication, key: &[u8]) -> Result<Box<dyn Mac>, KeyError> {
        check_mac(self, authentication, key)?;
        Err(self.lacks(authentication.name()))
    }
}

impl Ring {
    fn lacks(&self, algorithm: &'static str) -> KeyError {
        KeyError::Unsupported {
            provider: self.name(),
            algorithm,
        }
    }
}

/// AES-GCM.
struct Gcm(LessSafeKey);

impl Gcm {
    fn new(key: &[u8]) -> Option<Gcm> {
        let algorithm = match key.len() {
            16 => &aead::AES_128_GCM,
            32 => &aead::AES_256_GCM,
            _ => return None,
        };
        let key = UnboundKey::new(algorithm, key).ok()?;
        Some(Gcm(LessSafeKey::new(key)))
    }
}

impl Drop for Gcm {
    /// ring does not clear its keys: the schedule and hash subkeys of another key are written over
    /// them.
    fn drop(&mut self) {
        let algorithm = self.0.algorithm();
        let zeros = [0; 32];
        if let Some(zeros) = zeros.get(..algorithm.key_len())
            && let Ok(key) = UnboundKey::new(algorithm, zeros)
        {
            self.0 = LessSafeKey::new(key);
        }
        // So that the compiler does not leave out what nobody reads.
        std::hint::black_box(&self.0);
    }
}

impl Aead<12> for Gcm {
    fn seal(
        &self,
        nonce: &[u8; 12],
        aad: &[u8],
        text: &mut [u8],
        icv: &mut [u8],
    ) -> Result<(), Misuse> {
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let got = text.len();
        let tag = self
            .0
            .seal_in_place_separate_tag(nonce, Aad::from(aad), text)
            .map_err(|_| Misuse::Long { most: MOST, got })?;
        for (to, from) in icv.iter_mut().zip(tag.as_ref()) {
            *to = *from;
        }
        Ok(())
    }

    fn open(
        &self,
        nonce: &[u8; 12],
        aad: &[u8],
        text: &mut [u8],
        icv: &[u8],
    ) -> Result<(), Rejected> {
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let tag = Tag::try_from(icv).map_err(|_| Rejected::Icv)?;
        self.0
            .open_in_place_separate_tag(nonce, Aad::from(aad), tag, text, 0..)
            .map_err(|_| Rejected::Icv)?;
        Ok(())
    }
}

/// Octets that one nonce of AES-GCM covers (NIST SP 800-38D §5.2.1.1).
const MOST: usize = (1 << 36) - 32;

/// A combined mode without ESP around it, which takes any associated data.
#[cfg(test)]
pub(crate) fn bare(suite: &Suite, key: &[u8]) -> Option<Box<dyn Aead<12>>> {
    Ring.supports(suite)
        .then(|| Gcm::new(key))?
        .map(|gcm| Box::new(gcm) as Box<dyn Aead<12>>)
}
