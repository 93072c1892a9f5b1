//! What is known of the ways out: our own addresses, and how large a packet each path takes.

use std::net::IpAddr;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

/// The addresses that are ours, on either side of the boundary.
#[derive(Clone, Debug, Default)]
pub struct LocalAddresses(Vec<IpAddr>);

impl LocalAddresses {
    /// These addresses.
    pub fn new(mut addresses: Vec<IpAddr>) -> Self {
        addresses.sort_unstable();
        addresses.dedup();
        LocalAddresses(addresses)
    }

    /// Whether the address is ours.
    #[inline]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.binary_search(&address).is_ok()
    }

    /// All of them, sorted.
    pub fn iter(&self) -> impl Iterator<Item = IpAddr> {
        self.0.iter().copied()
    }
}

/// Path MTUs by destination (RFC 1191, RFC 8201).
#[derive(Clone, Debug)]
pub struct Paths {
    link: u16,
    learned: HashMap<IpAddr, u16, RandomState>,
    generation: u64,
}

impl Paths {
    /// The most destinations of which something is remembered.
    pub const MOST: usize = 4096;

    /// Paths that all take what the link takes, in octets of a whole IP packet.
    pub fn new(link: u16) -> Self {
        Paths {
            link,
            learned: HashMap::default(),
            generation: 0,
        }
    }

    /// Changes with every change of an MTU.
    #[inline]
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// The largest IP packet that the path to `destination` takes.
    pub fn mtu(&self, destination: IpAddr) -> u16 {
        self.learned
            .get(&destination)
            .map_or(self.link, |mtu| self.link.min(*mtu))
    }

    /// The path takes no more than `mtu` octets. Ignored below the protocol's minimum (IPv4: 576,
    /// which no real link is below; IPv6: 1280), so that a forged report cannot shrink a path to
    /// nothing; and where it would grow, or the table is full.
    pub(crate) fn learn(&mut self, destination: IpAddr, mtu: u16) {
        let mtu = mtu.max(least(destination));
        let full = self.learned.len() >= Paths::MOST && !self.learned.contains_key(&destination);
        if mtu < self.mtu(destination) && !full {
            self.learned.insert(destination, mtu);
            self.generation += 1;
        }
    }

    /// The link takes `mtu` octets; what was learned of paths is forgotten.
    pub(crate) fn set_link(&mut self, mtu: u16) {
        self.link = mtu;
        self.learned.clear();
        self.generation += 1;
    }
}

/// The size below which no path is believed to be, and which no sender inside is asked to go
/// below (DESIGN: path MTU).
pub(crate) const fn least(address: IpAddr) -> u16 {
    match address {
        IpAddr::V4(_) => 576,
        IpAddr::V6(_) => sealway_wire::ipv6::LEAST_MTU,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_path_shrinks_but_neither_grows_by_report_nor_sinks_below_the_minimum() {
        let mut paths = Paths::new(1500);
        let (v4, v6): (IpAddr, IpAddr) = ("192.0.2.1".parse().unwrap(), "::1".parse().unwrap());
        paths.learn(v4, 1400);
        paths.learn(v4, 1450);
        assert_eq!(paths.mtu(v4), 1400);
        let generation = paths.generation();
        paths.learn(v4, 1400);
        assert_eq!(paths.generation(), generation);
        paths.learn(v4, 68);
        assert_eq!(paths.mtu(v4), 576);
        paths.learn(v6, 100);
        assert_eq!(paths.mtu(v6), 1280);
        paths.set_link(9000);
        assert_eq!(paths.mtu(v4), 9000);
    }
}
