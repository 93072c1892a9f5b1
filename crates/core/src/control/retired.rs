//! Keys that were used before: an SA that comes back with unchanged keys continues its sequence,
//! so that no number is used twice, and goes on with the IVs of a counter mode where they were, so
//! that none of those comes back either.

use std::collections::VecDeque;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use sealway_crypto::{Authentication, Mac};

use crate::sad::Sa;

/// What is kept of an SA's keys: a keyed digest, from which they cannot be had.
type Fingerprint = [u8; 16];

/// How far the SAs came that are gone, by their keys; the oldest forgotten first.
pub(super) struct Retired {
    /// Those that a batch may still use.
    leaving: HashMap<Fingerprint, Arc<Sa>, RandomState>,
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
            leaving: HashMap::default(),
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

    /// Takes leave of an SA. A batch that began before is judged by the tables of then, and may
    /// still send by it: its numbers are final when its keys come back, or nobody holds it.
    pub(super) fn leave(&mut self, sa: Arc<Sa>) {
        let outgoing = &sa.runtime.outgoing;
        let unused = sa.config.sequence.start + 1;
        if outgoing.next() == unused && outgoing.close() == unused {
            return;
        }
        let Some(print) = self.fingerprint(&sa) else {
            outgoing.close();
            return;
        };
        if let Some(earlier) = self.leaving.insert(print, sa) {
            self.remember(print, &earlier);
        }
        if self.leaving.len() > Retired::MOST {
            self.settle(|_| true);
        }
    }

    /// Remembers those that nobody holds any more, and lets go of their keys.
    pub(super) fn settle_unheld(&mut self) {
        self.settle(|sa| Arc::strong_count(sa) == 1);
    }

    fn settle(&mut self, is_over: impl Fn(&Arc<Sa>) -> bool) {
        let over = self.leaving.extract_if(|_, sa| is_over(sa));
        for (print, sa) in over.collect::<Vec<_>>() {
            self.remember(print, &sa);
        }
    }

    /// Notes how far an SA came, and lets it come no further.
    fn remember(&mut self, print: Fingerprint, sa: &Sa) {
        let next = sa.runtime.outgoing.close();
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
    pub(super) fn continue_in(&mut self, sa: &Sa) {
        if self.leaving.is_empty() && self.used.is_empty() {
            return;
        }
        let Some(print) = self.fingerprint(sa) else {
            return;
        };
        if let Some(earlier) = self.leaving.remove(&print) {
            self.remember(print, &earlier);
        }
        if let Some(used) = self.used.get(&print) {
            sa.runtime.continue_from(used.next);
            if let Some(start) = used.iv_start {
                sa.runtime.continue_iv(start);
            }
        }
    }
}
