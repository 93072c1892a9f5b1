//! HMAC of aws-lc.

use aws_lc_rs::hmac;

use crate::Authentication;
use crate::transform::{TAG, Tagger, cut};

/// HMAC. The key is kept as its two mid-states, flat: a packet's copy allocates nothing, and aws-lc
/// clears each when dropped.
pub(super) struct Hmac(hmac::Key);

impl Hmac {
    pub(super) fn new(authentication: Authentication, key: &[u8]) -> Option<Hmac> {
        let algorithm = match authentication {
            Authentication::HmacSha1_96 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Authentication::HmacSha256_128 => hmac::HMAC_SHA256,
            Authentication::HmacSha384_192 => hmac::HMAC_SHA384,
            Authentication::HmacSha512_256 => hmac::HMAC_SHA512,
            Authentication::AesXcbc96 => return None,
        };
        Some(Hmac(hmac::Key::new(algorithm, key)))
    }
}

impl Tagger for Hmac {
    fn tag(&self, parts: &[&[u8]]) -> [u8; TAG] {
        let mut context = hmac::Context::with_key(&self.0);
        for part in parts {
            context.update(part);
        }
        cut(context.sign().as_ref())
    }
}
