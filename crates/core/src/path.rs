//! What is known of the ways out: our own addresses, and how large a packet each path takes.

use std::net::IpAddr;
use std::time::Duration;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use crate::time::Time;

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

/// Path MTUs by destination (RFC 1191, RFC 8201). What was learned is forgotten after a while: the
/// next large packet finds out whether the path has grown.
#[derive(Clone, Debug)]
pub struct Paths {
    link: u16,
    learned: HashMap<IpAddr, Learned, RandomState>,
    memory: Duration,
    /// When the first of them is to be forgotten.
    stale_at: Time,
    generation: u64,
}

#[derive(Clone, Copy, Debug)]
struct Learned {
    mtu: u16,
    /// It takes less, where nothing less is asked of senders.
    is_narrow: bool,
    until: Time,
}

impl Paths {
    /// The most destinations of which something is remembered.
    pub const MOST: usize = 4096;
    /// How long an MTU is remembered where nobody says otherwise (RFC 1191 §6.3, RFC 8201 §4).
    pub const MEMORY: Duration = Duration::from_secs(600);

    /// Paths that all take what the link takes, in octets of a whole IP packet.
    pub fn new(link: u16) -> Self {
        Paths {
            link,
            learned: HashMap::default(),
            memory: Paths::MEMORY,
            stale_at: Time::NEVER,
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
            .map_or(self.link, |learned| self.link.min(learned.mtu))
    }

    /// Whether the path takes less than packets are made to fit: then what is sent on it may be
    /// fragmented there.
    pub(crate) fn is_narrow(&self, destination: IpAddr) -> bool {
        let learned = self.learned.get(&destination);
        learned.is_some_and(|learned| learned.is_narrow)
    }

    /// The path takes no more than `mtu` octets. Nothing is made to fit less than the protocol's
    /// minimum (IPv4: 576, which hardly a real link is below; IPv6: 1280), so that a forged report
    /// cannot shrink a path to nothing: an IPv4 path of less is [narrow](Self::is_narrow). Ignored
    /// where the path would grow, or the table is full.
    pub(crate) fn learn(&mut self, destination: IpAddr, mtu: u16, now: Time) {
        let is_narrow = mtu < least(destination) && destination.is_ipv4();
        let mtu = mtu.max(least(destination));
        let is_news = mtu < self.mtu(destination) || (is_narrow && !self.is_narrow(destination));
        let full = self.learned.len() >= Paths::MOST && !self.learned.contains_key(&destination);
        if is_news && !full {
            let until = now.after(self.memory);
            let learned = Learned {
                mtu,
                is_narrow,
                until,
            };
            self.learned.insert(destination, learned);
            self.stale_at = self.stale_at.min(until);
            self.generation += 1;
        }
    }

    /// When something will have been remembered long enough, at the earliest.
    pub(crate) const fn stale_at(&self) -> Time {
        self.stale_at
    }

    /// Forgets what was remembered long enough.
    pub(crate) fn forget(&mut self, now: Time) {
        self.learned.retain(|_, learned| now < learned.until);
        let left = self.learned.values().map(|learned| learned.until);
        self.stale_at = left.min().unwrap_or(Time::NEVER);
        self.generation += 1;
    }

    /// How long what is learned from now on is remembered.
    pub(crate) fn set_memory(&mut self, memory: Duration) {
        self.memory = memory;
    }

    /// The link takes `mtu` octets; what was learned of paths is forgotten.
    pub(crate) fn set_link(&mut self, mtu: u16) {
        self.link = mtu;
        self.learned.clear();
        self.stale_at = Time::NEVER;
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

    const NOW: Time = Time::since_start(Duration::ZERO);

    #[test]
    fn a_path_shrinks_but_neither_grows_by_report_nor_sinks_below_the_minimum() {
        let mut paths = Paths::new(1500);
        let (v4, v6): (IpAddr, IpAddr) = ("192.0.2.1".parse().unwrap(), "::1".parse().unwrap());
        paths.learn(v4, 1400, NOW);
        paths.learn(v4, 1450, NOW);
        assert_eq!(paths.mtu(v4), 1400);
        let generation = paths.generation();
        paths.learn(v4, 1400, NOW);
        assert_eq!(paths.generation(), generation);
        paths.learn(v4, 68, NOW);
        assert_eq!((paths.mtu(v4), paths.is_narrow(v4)), (576, true));
        paths.learn(v6, 100, NOW);
        assert_eq!((paths.mtu(v6), paths.is_narrow(v6)), (1280, false));
        paths.set_link(9000);
        assert_eq!(paths.mtu(v4), 9000);
    }

    #[test]
    fn what_was_learned_is_forgotten_in_its_time_and_not_before() {
        let mut paths = Paths::new(1500);
        let [near, far]: [IpAddr; 2] = ["192.0.2.1", "192.0.2.2"].map(|text| text.parse().unwrap());
        let at = |second| Time::since_start(Duration::from_secs(second));
        paths.learn(near, 1400, at(0));
        paths.learn(far, 1300, at(100));
        // The same again is nothing new: growth is looked for all the same.
        paths.learn(near, 1400, at(500));
        assert_eq!(paths.stale_at(), at(600));
        let generation = paths.generation();
        paths.forget(at(600));
        assert_ne!(paths.generation(), generation);
        assert_eq!((paths.mtu(near), paths.mtu(far)), (1500, 1300));
        assert_eq!(paths.stale_at(), at(700));
        paths.forget(at(700));
        assert_eq!((paths.mtu(far), paths.stale_at()), (1500, Time::NEVER));
    }
}
