//! Peers that are heard elsewhere than before (RFC 7296 §2.23). It is seen here, where the packet
//! has verified; `control` moves the peer.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use sealway_packet::{Encapsulation, Outer};

use super::input::Batch;
use crate::event::Event;
use crate::sad::{Sa, Serial};
use crate::time::Time;

/// How long an SA says nothing more once it has told of its peer: `control` has to hear it first,
/// and nobody is to keep it busy.
const PAUSE: Duration = Duration::from_millis(250);

/// When SAs told of their peers last; no more than [`MOST`](Self::MOST).
#[derive(Debug, Default)]
pub(super) struct Roaming(HashMap<Serial, Time, RandomState>);

impl Roaming {
    const MOST: usize = 1024;

    /// Whether the SA is to tell now.
    fn is_due(&mut self, sa: Serial, now: Time) -> bool {
        if self.0.get(&sa).is_some_and(|told| now.since(*told) < PAUSE) {
            return false;
        }
        if self.0.len() >= Roaming::MOST {
            self.0.retain(|_, told| now.since(*told) < PAUSE);
        }
        let has_room = self.0.len() < Roaming::MOST;
        if has_room {
            self.0.insert(sa, now);
        }
        has_room
    }

    /// Tells if the peer of an SA that lets it roam has moved: to be asked of a packet that has
    /// verified, with its number. Only one that is newer than any before it says where a peer is.
    #[cold]
    pub(super) fn follow(
        &mut self,
        batch: &mut Batch<'_>,
        sa: &Arc<Sa>,
        outer: &Outer,
        sequence: u64,
    ) {
        let Some(window) = &sa.runtime.replay else {
            return;
        };
        if !window.is_at_edge(sequence) {
            return;
        }
        let Encapsulation::Udp { source: port, .. } = outer.encapsulation else {
            return;
        };
        let (sad, local) = (&batch.tables.sad, &batch.tables.local);
        let new = SocketAddr::new(outer.source, port);
        let Some(old) = sad.heard_at(sa).filter(|old| *old != new) else {
            return;
        };
        let is_possible = can_be_sent_to(&new) && !local.contains(new.ip());
        let is_possible = is_possible && window.is_newest(sequence);
        if is_possible && self.is_due(sa.serial, batch.now) && !sad.is_replaced(sa) {
            let sa = Arc::clone(sa);
            // What finds no place is told after the pause.
            batch.events.tell(Event::Mapping { sa, old, new });
        }
    }
}

/// Whether there can be a peer.
fn can_be_sent_to(peer: &SocketAddr) -> bool {
    let is_one_host = match peer.ip() {
        IpAddr::V4(v4) => !matches!(v4.octets()[0], 0 | 127 | 224..),
        IpAddr::V6(v6) => !(v6.is_multicast() || v6.is_unspecified() || v6.is_loopback()),
    };
    is_one_host && peer.port() != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_most_1024_sas_tell_of_their_peers_within_a_pause() {
        let mut roaming = Roaming::default();
        let most = Roaming::MOST as u64;
        let start = Time::default();
        assert!((0..most).all(|sa| roaming.is_due(Serial(sa), start)));
        assert!(!roaming.is_due(Serial(most), start));
        assert!(!roaming.is_due(Serial(0), start));
        let later = Time::since_start(PAUSE);
        assert!(roaming.is_due(Serial(most), later));
        assert!(roaming.is_due(Serial(0), later));
        assert_eq!(roaming.0.len(), 2);
    }
}
