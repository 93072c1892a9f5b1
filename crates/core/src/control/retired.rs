//! Keys that were used before: an SA that comes back with unchanged keys continues its sequence,
//! so that no number is used twice, and goes on with the IVs of a counter mode where they were, so
//! that none of those comes back either.

use std::collections::VecDeque;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use sealway_crypto::{Authentication, Mac};

use crate::sad::Sa;

/// What is kept of an SA's keys: a keyed digest, from which they cannot be had.
type Fingerprint = [u8; 16];

/// How far the SAs came that are gone, by their keys; the oldest forgotten first.
pub(super) struct Retired {
    used: HashMap<Fingerprint, Used, RandomState>,
    order: VecDeque<Fingerprint>,
    digest: Option<Box<dyn Mac>>,
}

/// What was used under some keys.
struct Used {
    /// The number that is next.
    next: u64,
    /// Where the IVs started.
    iv_start: Option<u64>,
}

/// The key of the digest: what it hides are keys, which no one can guess one by one.
const DIGEST_KEY: [u8; 32] = *b"sealway: keys that were used....";

impl Retired {
    /// The most SAs remembered.
    pub(super) const MOST: usize = 65_536;

    pub(super) fn new() -> Self {
        Retired {
            used: HashMap::default(),
            order: VecDeque::new(),
            digest: sealway_crypto::mac(Authentication::HmacSha256_128, &DIGEST_KEY).ok(),
        }
    }

    fn fingerprint(&self, sa: &Sa) -> Option<Fingerprint> {
        let config = &sa.config;
        let mut print = [0; 16];
        let parts: [&[u8]; 3] = [
            config.suite.name().as_bytes(),
            config.encryption_key.expose(),
            config.authentication_key.expose(),
        ];
        self.digest.as_ref()?.sign(&parts, &mut print);
        Some(print)
    }

    /// Notes how far an SA came, if it ever sent, and lets it come no further.
    pub(super) fn remember(&mut self, sa: &Sa) {
        let next = sa.runtime.outgoing.close();
        if next == sa.config.sequence.start + 1 {
            return;
        }
        let Some(print) = self.fingerprint(sa) else {
            return;
        };
        let used = Used {
            next,
            iv_start: sa.runtime.iv_start(),
        };
        match self.used.get_mut(&print) {
            Some(known) if known.next >= next => {}
            Some(known) => *known = used,
            None => {
                self.used.insert(print, used);
                self.order.push_back(print);
            }
        }
        if self.order.len() > Retired::MOST
            && let Some(oldest) = self.order.pop_front()
        {
            self.used.remove(&oldest);
        }
    }

    /// Continues where an SA with these keys stopped.
    pub(super) fn continue_in(&self, sa: &Sa) {
        let used = self.fingerprint(sa).and_then(|print| self.used.get(&print));
        if let Some(used) = used {
            sa.runtime.continue_from(used.next);
            if let Some(start) = used.iv_start {
                sa.runtime.continue_iv(start);
            }
        }
    }
}
