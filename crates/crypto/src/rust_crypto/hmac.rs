//! HMAC of RustCrypto.

use hmac::digest::block_api::EagerHash;
use hmac::{KeyInit, Mac};

use crate::transform::{TAG, Tagger, cut};

/// HMAC. The key is kept as its two mid-states; a packet's copy is on the stack. Each is cleared
/// when dropped.
pub(super) struct Hmac<D: EagerHash>(hmac::Hmac<D>);

impl<D: EagerHash> Hmac<D> {
    pub(super) fn new(key: &[u8]) -> Option<Self> {
        hmac::Hmac::new_from_slice(key).ok().map(Hmac)
    }
}

impl<D: EagerHash> Tagger for Hmac<D>
where
    hmac::Hmac<D>: Mac + Clone + Send + Sync,
{
    fn tag(&self, parts: &[&[u8]]) -> [u8; TAG] {
        let mut hmac = self.0.clone();
        for part in parts {
            hmac.update(part);
        }
        cut(&hmac.finalize().into_bytes())
    }
}
