//! Keeping a NAT's mapping alive (RFC 3948 §4).

use std::net::IpAddr;
use std::time::Duration;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use sealway_packet::{DontFragment, Encapsulation, Outer};

use super::Datapath;
use crate::sad::{Runtime, UdpEncapsulation};
use crate::time::Time;

/// Ends and ports: what a NAT keeps a mapping of.
type Way = (IpAddr, IpAddr, UdpEncapsulation);

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
            let way = (
                sa.config.source,
                sa.config.id.destination,
                sa.config.encapsulation?,
            );
            self.tables
                .local
                .contains(way.0)
                .then_some((way, &sa.runtime))
        })
    }
}

fn outer((source, destination, udp): Way) -> Outer {
    Outer {
        source,
        destination,
        interface: 0,
        tos: 0,
        hop_limit: HOP_LIMIT,
        dont_fragment: DontFragment::Clear,
        encapsulation: Encapsulation::Udp {
            source: udp.source,
            destination: udp.destination,
        },
    }
}
