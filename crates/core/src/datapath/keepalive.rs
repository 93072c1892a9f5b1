//! Keeping a NAT's mapping alive (RFC 3948 §4).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use sealway_packet::{DontFragment, Egress, Encapsulation, Offload, Outer, Train};
use sealway_wire::esp;

use super::Datapath;
use crate::sad::Sa;
use crate::time::Time;
use crate::verdict::Transmit;

/// What keeps a mapping alive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keepalive {
    /// One octet (RFC 3948 §4). Anybody can send it, so it tells nobody where its sender is.
    #[default]
    Octet,
    /// A dummy packet of ESP (RFC 4303 §2.6), by which a peer that follows finds its sender.
    Dummy,
}

/// Ends and ports: what a NAT keeps a mapping of.
type Way = (SocketAddr, SocketAddr);

/// As hosts send.
const HOP_LIMIT: u8 = 64;

impl Datapath {
    /// The keepalives that are due: one for each way from an address of ours in UDP on which nothing
    /// has left for `interval`, neither through an SA since the first was added nor a keepalive. To
    /// be asked every second or so; whoever asks sends them. They are in no count of packets.
    #[must_use]
    pub fn keepalives(&mut self, interval: Duration, kind: Keepalive) -> Vec<Transmit> {
        let mut ways: HashMap<Way, (Time, &Arc<Sa>), RandomState> = HashMap::default();
        for (way, sa) in self.ways_in_udp() {
            let usage = &sa.runtime.usage;
            let last = usage.sealed().unwrap_or(usage.added());
            let (latest, newest) = ways.entry(way).or_insert((last, sa));
            *latest = last.max(*latest);
            if sa.serial > newest.serial {
                *newest = sa;
            }
        }
        ways.retain(|_, (last, _)| self.now.since(*last) >= interval);
        if ways.is_empty() {
            return Vec::new();
        }
        for (way, sa) in self.ways_in_udp() {
            if ways.contains_key(&way) {
                sa.runtime.usage.seals(self.now);
            }
        }
        let due = ways.into_iter().map(|(way, (_, sa))| (way, Arc::clone(sa)));
        let due: Vec<_> = due.collect();
        due.into_iter()
            .map(|(way, sa)| self.keepalive(way, &sa, kind))
            .collect()
    }

    /// An octet too where an SA has expired, or has no number.
    fn keepalive(&mut self, way: Way, sa: &Arc<Sa>, kind: Keepalive) -> Transmit {
        let dummy = match kind {
            Keepalive::Octet => None,
            Keepalive::Dummy => self.dummy(sa).ok(),
        };
        let train = dummy.unwrap_or_else(|| Train::detached(&esp::KEEPALIVE));
        Transmit::new(Egress::Payload(outer(way)), train, Offload::default())
    }

    fn ways_in_udp(&self) -> impl Iterator<Item = (Way, &Arc<Sa>)> {
        self.tables.sad.iter().filter_map(|sa| {
            let (ports, ends) = (sa.config.encapsulation?, &sa.config);
            let ours = SocketAddr::new(ends.source, ports.source);
            let theirs = SocketAddr::new(ends.id.destination, ports.destination);
            let theirs = self.tables.sad.moved(sa).unwrap_or(theirs);
            let is_ours = self.tables.local.contains(ours.ip());
            is_ours.then_some(((ours, theirs), sa))
        })
    }
}

fn outer((source, destination): Way) -> Outer {
    Outer {
        source: source.ip(),
        destination: destination.ip(),
        interface: 0,
        tos: 0,
        hop_limit: HOP_LIMIT,
        dont_fragment: DontFragment::Clear,
        encapsulation: Encapsulation::Udp {
            source: source.port(),
            destination: destination.port(),
        },
    }
}
