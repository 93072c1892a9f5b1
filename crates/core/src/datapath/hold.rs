//! Packets that wait for an SA, and the asking for it (RFC 4301 §4.4.1.2, DESIGN: levels and
//! acquires).

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use sealway_packet::{Packet, Pool, SizeClass, Train};

use crate::bundle::Missing;
use crate::event::{Acquire, Event, Events};
use crate::flow::Key;
use crate::spd::{Policy, PolicyId};
use crate::tables::{KeyManager, Tables};
use crate::time::Time;

/// A packet that waits.
pub(super) struct Held {
    pub(super) packet: Packet<()>,
    since: Time,
}

impl Held {
    /// How long a packet waits at most: as long as a larval SA lives.
    pub(super) const LONGEST: Duration = Duration::from_secs(30);

    pub(super) fn has_expired(&self, now: Time) -> bool {
        now.since(self.since) >= Held::LONGEST
    }
}

/// What the answer to a held packet depends on.
type Version = (u64, u64, KeyManager);

/// Packets in the order in which they came, in buffers of the engine's own: a device needs its few.
pub(super) struct Hold {
    waiting: VecDeque<Held>,
    most: usize,
    /// How many of those in front are to be judged again.
    due: usize,
    version: Version,
}

impl Hold {
    /// For at most `most` packets.
    pub(super) const fn new(most: usize) -> Self {
        Hold {
            waiting: VecDeque::new(),
            most,
            due: 0,
            version: (0, 0, KeyManager::Absent),
        }
    }

    /// Keeps a copy of the packet; `None` if there is no room for it.
    pub(super) fn keep(&mut self, packet: &Packet<()>, pool: &Pool, now: Time) -> Option<()> {
        if self.waiting.len() >= self.most {
            return None;
        }
        let octets = packet.train.packet();
        let class = SizeClass::holding(Train::HEADROOM + octets.len() + Train::TAILROOM)?;
        let mut train = pool.take(class)?;
        train.set_single(Train::HEADROOM, octets.len());
        train.packet_mut().copy_from_slice(octets);
        let (offload, meta) = (packet.offload, ());
        let packet = Packet {
            train,
            offload,
            meta,
        };
        self.waiting.push_back(Held { packet, since: now });
        Some(())
    }

    /// To be called when a batch begins: all are due if something changed that they may have waited
    /// for, or if the first has waited long enough.
    #[inline]
    pub(super) fn look_again(&mut self, tables: &Tables, now: Time) {
        if let Some(first) = self.waiting.front() {
            let version = version(tables);
            if version != self.version || first.has_expired(now) {
                self.due = self.waiting.len();
                self.version = version;
            }
        }
    }

    /// The next that is due.
    pub(super) fn next(&mut self) -> Option<Held> {
        self.due = self.due.checked_sub(1)?;
        self.waiting.pop_front()
    }

    /// One that has to wait on. Those that are due are all taken out before the next batch, so the
    /// order stays.
    pub(super) fn put_back(&mut self, held: Held) {
        self.waiting.push_back(held);
    }
}

fn version(tables: &Tables) -> Version {
    (
        tables.spd.generation(),
        tables.sad.generation(),
        tables.key_manager,
    )
}

/// Which SAs were asked for lately: one acquire for each policy, template and pair of ends, again
/// after a wait that doubles.
pub(super) struct Acquires {
    raised: HashMap<(PolicyId, usize, IpAddr, IpAddr), Raised, RandomState>,
}

#[derive(Clone, Copy)]
struct Raised {
    /// Not again before.
    next: Time,
    wait: Duration,
}

impl Acquires {
    /// The most that are remembered; for more than that no SA is asked.
    const MOST: usize = 256;
    /// The wait behind the first.
    const FIRST: Duration = Duration::from_secs(1);
    /// The longest wait; one that has not been asked for twice that long is forgotten.
    const LAST: Duration = Duration::from_secs(32);

    pub(super) fn new() -> Self {
        Acquires {
            raised: HashMap::default(),
        }
    }

    /// Asks for the SA, unless that was done a moment ago.
    #[cold]
    pub(super) fn ask(
        &mut self,
        events: &mut Events,
        policy: &Arc<Policy>,
        missing: Missing,
        (flow, now): (&Key, Time),
    ) {
        let Missing {
            template,
            source,
            destination,
        } = missing;
        let index = (policy.id, template, source, destination);
        let known = self.raised.get(&index).copied();
        if known.is_some_and(|known| now < known.next) {
            return;
        }
        if known.is_none() && self.raised.len() >= Acquires::MOST {
            self.raised
                .retain(|_, raised| now.since(raised.next) < Acquires::LAST);
            if self.raised.len() >= Acquires::MOST {
                return;
            }
        }
        let told = events.tell(Event::Acquire(Acquire {
            policy: Arc::clone(policy),
            template,
            source,
            destination,
            flow: *flow,
        }));
        if told {
            let wait = match known {
                Some(known) if now.since(known.next) < Acquires::LAST => {
                    (known.wait * 2).min(Acquires::LAST)
                }
                _ => Acquires::FIRST,
            };
            let next = now.after(wait);
            self.raised.insert(index, Raised { next, wait });
        }
    }
}
