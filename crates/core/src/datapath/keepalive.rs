//! Keeping a NAT's mapping alive (RFC 3948 §4).

use std::net::SocketAddr;
use std::time::Duration;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use sealway_packet::{DontFragment, Encapsulation, Outer};

use super::Datapath;
use crate::sad::Runtime;
use crate::time::Time;

/// Ends and ports: what a NAT keeps a mapping of.
type Way = (SocketAddr, SocketAddr);

/// As hosts send.
const HOP_LIMIT: u8 = 64;

impl Datapath {
    /// The outer headers of the keepalives that are due: one for each way from an address of ours in
    /// UDP on which nothing has left for `interval`, neither through an SA since the first was added
    /// nor a keepalive. To be asked every second or so; whoever asks sends them.
    #[must_use]
    pub fn keepalives(&self, interval: Duration) -> Vec<Outer> {
        let mut ways: HashMap<Way, Time, RandomState> = HashMap::default();
        for (way, sa) in self.ways_in_udp() {
            let last = sa.usage.sealed().unwrap_or(sa.usage.added());
            let latest = ways.entry(way).or_insert(last);
            *latest = last.max(*latest);
        }
        ways.retain(|_, last| self.now.since(*last) >= interval);
        if ways.is_empty() {
            return Vec::new();
        }
        for (way, sa) in self.ways_in_udp() {
            if ways.contains_key(&way) {
                sa.usage.seals(self.now);
            }
        }
        ways.into_keys().map(outer).collect()
    }

    fn ways_in_udp(&self) -> impl Iterator<Item = (Way, &Runtime)> {
        self.tables.sad.iter().filter_map(|sa| {
            let (ports, ends) = (sa.config.encapsulation?, &sa.config);
            let ours = SocketAddr::new(ends.source, ports.source);
            let theirs = SocketAddr::new(ends.id.destination, ports.destination);
            let theirs = self.tables.sad.moved(sa).unwrap_or(theirs);
            let is_ours = self.tables.local.contains(ours.ip());
            is_ours.then_some(((ours, theirs), &sa.runtime))
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
