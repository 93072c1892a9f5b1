//! Which traffic: RFC 4301 §4.4.1.1.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

use sealway_wire::{Family, protocol};

/// A set of addresses of one family, first to last.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct AddressRange {
    family: Family,
    first: u128,
    last: u128,
}

/// The ends of a range or a prefix do not make one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RangeError {
    /// One end is IPv4, the other IPv6.
    #[error("{0} and {1} are of different families: a range needs both of one")]
    Families(IpAddr, IpAddr),
    /// The first is above the last.
    #[error("{0} comes after {1}: write the lower end first")]
    Reversed(IpAddr, IpAddr),
    /// The prefix is longer than the address.
    #[error("/{1} is longer than the address {0}")]
    Prefix(IpAddr, u8),
}

impl AddressRange {
    /// Every address of the family.
    pub const fn any(family: Family) -> Self {
        AddressRange {
            family,
            first: 0,
            last: match family {
                Family::V4 => u32::MAX as u128,
                Family::V6 => u128::MAX,
            },
        }
    }

    /// One address.
    pub fn host(address: IpAddr) -> Self {
        let (family, bits) = bits_of(address);
        AddressRange {
            family,
            first: bits,
            last: bits,
        }
    }

    /// The addresses that share the first `length` bits with `address`; the bits beyond are
    /// ignored.
    pub fn prefix(address: IpAddr, length: u8) -> Result<Self, RangeError> {
        let (family, bits) = bits_of(address);
        let width = width_of(family);
        if length > width {
            return Err(RangeError::Prefix(address, length));
        }
        let host = match width - length {
            128 => u128::MAX,
            free => (1u128 << free) - 1,
        };
        Ok(AddressRange {
            family,
            first: bits & !host,
            last: bits | host,
        })
    }

    /// All addresses from `first` to `last`.
    pub fn range(first: IpAddr, last: IpAddr) -> Result<Self, RangeError> {
        let (family, low) = bits_of(first);
        let (other, high) = bits_of(last);
        if family != other {
            return Err(RangeError::Families(first, last));
        }
        if low > high {
            return Err(RangeError::Reversed(first, last));
        }
        Ok(AddressRange {
            family,
            first: low,
            last: high,
        })
    }

    /// The family of its addresses.
    pub const fn family(&self) -> Family {
        self.family
    }

    /// The lowest address.
    pub fn first(&self) -> IpAddr {
        address_of(self.family, self.first)
    }

    /// The highest address.
    pub fn last(&self) -> IpAddr {
        address_of(self.family, self.last)
    }

    /// The prefix length, if the range is a prefix.
    pub fn prefix_length(&self) -> Option<u8> {
        let differing = self.first ^ self.last;
        let host_bits = 128 - differing.leading_zeros();
        let is_prefix = differing.count_ones() == host_bits && self.first & differing == 0;
        is_prefix.then(|| width_of(self.family) - host_bits as u8)
    }

    /// Whether the address with these bits, of the range's own family, is in it.
    #[inline]
    pub(crate) const fn covers(&self, bits: u128) -> bool {
        self.first <= bits && bits <= self.last
    }

    /// Whether `address` is in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        let (family, bits) = bits_of(address);
        family == self.family && self.covers(bits)
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.prefix_length() {
            Some(length) => write!(f, "{}/{length}", self.first()),
            None => write!(f, "{}-{}", self.first(), self.last()),
        }
    }
}

impl fmt::Debug for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a selector asks of the header above IP.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Upper {
    /// Nothing: any protocol, fragments included.
    Any,
    /// A protocol, whatever its ports, fragments included.
    Protocol(u8),
    /// A protocol and two words of its header: source and destination port, or for ICMP and
    /// ICMPv6 type and code, or for Mobility the message type and 0..=65535. Non-first fragments
    /// have no such words and never match.
    Words {
        /// The protocol.
        protocol: u8,
        /// Source port or ICMP type.
        first: RangeInclusive<u16>,
        /// Destination port or ICMP code.
        second: RangeInclusive<u16>,
    },
}

/// Which traffic a policy or an SA is for. Source and destination are of one family.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Selector {
    source: AddressRange,
    destination: AddressRange,
    upper: Upper,
}

impl Selector {
    /// A selector; the two ranges must be of one family.
    pub fn new(
        source: AddressRange,
        destination: AddressRange,
        upper: Upper,
    ) -> Result<Self, RangeError> {
        if source.family != destination.family {
            return Err(RangeError::Families(source.first(), destination.first()));
        }
        Ok(Selector {
            source,
            destination,
            upper,
        })
    }

    /// All traffic of a family.
    pub const fn any(family: Family) -> Self {
        Selector {
            source: AddressRange::any(family),
            destination: AddressRange::any(family),
            upper: Upper::Any,
        }
    }

    /// Its source addresses.
    pub const fn source(&self) -> &AddressRange {
        &self.source
    }

    /// Its destination addresses.
    pub const fn destination(&self) -> &AddressRange {
        &self.destination
    }

    /// What it asks of the header above IP.
    pub const fn upper(&self) -> &Upper {
        &self.upper
    }

    /// The family of its addresses.
    pub const fn family(&self) -> Family {
        self.source.family
    }

    /// Whether all of the other's traffic is among its own.
    pub fn includes(&self, other: &Selector) -> bool {
        let within = |whole: &AddressRange, part: &AddressRange| {
            whole.family == part.family && whole.covers(part.first) && whole.covers(part.last)
        };
        let words = |whole: &RangeInclusive<u16>, part: &RangeInclusive<u16>| {
            whole.start() <= part.start() && part.end() <= whole.end()
        };
        let upper = match (&self.upper, &other.upper) {
            (Upper::Any, _) => true,
            (Upper::Protocol(ours), Upper::Protocol(theirs)) => ours == theirs,
            (Upper::Protocol(ours), Upper::Words { protocol, .. }) => ours == protocol,
            (
                Upper::Words {
                    protocol: ours,
                    first: a,
                    second: b,
                },
                Upper::Words {
                    protocol: theirs,
                    first,
                    second,
                },
            ) => ours == theirs && words(a, first) && words(b, second),
            (Upper::Protocol(_) | Upper::Words { .. }, _) => false,
        };
        upper
            && within(&self.source, &other.source)
            && within(&self.destination, &other.destination)
    }

    /// Whether it takes every packet of its addresses, fragments included.
    pub fn takes_fragments(&self) -> bool {
        !matches!(self.upper, Upper::Words { .. })
    }

    /// Whether the flow could be among its traffic, were its ports known.
    pub(crate) fn may_match(&self, key: &crate::flow::Key) -> bool {
        self.covers(key)
            && match &self.upper {
                Upper::Any => true,
                // Of a later IPv6 fragment even the protocol may be hidden behind an extension
                // header.
                Upper::Protocol(protocol) | Upper::Words { protocol, .. } => {
                    *protocol == key.protocol() || sealway_wire::ipv6::is_extension(key.protocol())
                }
            }
    }

    #[inline]
    fn covers(&self, key: &crate::flow::Key) -> bool {
        self.source.family == key.family()
            && self.source.covers(key.source_bits())
            && self.destination.covers(key.destination_bits())
    }

    /// Whether the flow is among its traffic.
    #[inline]
    pub fn matches(&self, key: &crate::flow::Key) -> bool {
        self.covers(key)
            && match &self.upper {
                Upper::Any => true,
                Upper::Protocol(protocol) => *protocol == key.protocol(),
                Upper::Words {
                    protocol,
                    first,
                    second,
                } => {
                    *protocol == key.protocol()
                        && key
                            .words()
                            .is_some_and(|[a, b]| first.contains(&a) && second.contains(&b))
                }
            }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ", self.source, self.destination)?;
        match &self.upper {
            Upper::Any => f.write_str("any"),
            Upper::Protocol(protocol) => write!(f, "{}", protocol_name(*protocol)),
            Upper::Words {
                protocol,
                first,
                second,
            } => write!(
                f,
                "{} {},{}",
                protocol_name(*protocol),
                Words(first),
                Words(second)
            ),
        }
    }
}

struct Words<'a>(&'a RangeInclusive<u16>);

impl fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (*self.0.start(), *self.0.end()) {
            (0, u16::MAX) => f.write_str("any"),
            (first, last) if first == last => write!(f, "{first}"),
            (first, last) => write!(f, "{first}-{last}"),
        }
    }
}

fn protocol_name(number: u8) -> String {
    match number {
        protocol::ICMP => "icmp".into(),
        protocol::TCP => "tcp".into(),
        protocol::UDP => "udp".into(),
        protocol::ICMPV6 => "icmp6".into(),
        other => other.to_string(),
    }
}

/// The family of an address and its bits, the lowest-order ones last.
#[inline]
pub(crate) fn bits_of(address: IpAddr) -> (Family, u128) {
    match address {
        IpAddr::V4(v4) => (Family::V4, u128::from(u32::from(v4))),
        IpAddr::V6(v6) => (Family::V6, u128::from(v6)),
    }
}

/// The address of the family with these bits.
pub(crate) fn address_of(family: Family, bits: u128) -> IpAddr {
    match family {
        Family::V4 => IpAddr::V4(Ipv4Addr::from(bits as u32)),
        Family::V6 => IpAddr::V6(Ipv6Addr::from(bits)),
    }
}

const fn width_of(family: Family) -> u8 {
    match family {
        Family::V4 => 32,
        Family::V6 => 128,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::flow::Key;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_prefix_is_the_range_of_its_addresses() {
        let prefix = AddressRange::prefix(address("10.1.2.3"), 24).unwrap();
        assert_eq!(prefix.first(), address("10.1.2.0"));
        assert_eq!(prefix.last(), address("10.1.2.255"));
        assert_eq!(prefix.to_string(), "10.1.2.0/24");
        assert_eq!(
            AddressRange::prefix(address("::"), 0).unwrap(),
            AddressRange::any(Family::V6)
        );
        assert_eq!(
            AddressRange::prefix(address("0.0.0.0"), 0).unwrap(),
            AddressRange::any(Family::V4)
        );
        assert!(AddressRange::prefix(address("10.0.0.0"), 33).is_err());
    }

    #[test]
    fn a_range_that_is_no_prefix_prints_both_ends() {
        let range = AddressRange::range(address("10.0.0.1"), address("10.0.0.9")).unwrap();
        assert_eq!(range.prefix_length(), None);
        assert_eq!(range.to_string(), "10.0.0.1-10.0.0.9");
        assert!(range.contains(address("10.0.0.9")) && !range.contains(address("10.0.0.10")));
        assert!(!range.contains(address("::1")));
        assert!(AddressRange::range(address("10.0.0.9"), address("10.0.0.1")).is_err());
        assert!(AddressRange::range(address("10.0.0.9"), address("::1")).is_err());
    }

    #[test]
    fn a_selector_with_ports_never_takes_a_later_fragment() {
        let any = AddressRange::any(Family::V4);
        let words = Upper::Words {
            protocol: protocol::UDP,
            first: 0..=u16::MAX,
            second: 53..=53,
        };
        let selector = Selector::new(any, any, words).unwrap();
        let (a, b) = (address("192.0.2.1"), address("192.0.2.2"));
        assert!(selector.matches(&Key::new(a, b, protocol::UDP, Some([1000, 53])).unwrap()));
        assert!(!selector.matches(&Key::new(a, b, protocol::UDP, Some([1000, 54])).unwrap()));
        assert!(!selector.matches(&Key::new(a, b, protocol::UDP, None).unwrap()));
        assert!(!selector.takes_fragments());
        assert!(Selector::any(Family::V4).matches(&Key::new(a, b, protocol::UDP, None).unwrap()));
        assert!(!Selector::any(Family::V6).matches(&Key::new(a, b, protocol::UDP, None).unwrap()));
    }

    proptest::proptest! {
        /// The naive twin: every flow of a small world, tried.
        #[test]
        fn a_selector_includes_another_if_it_takes_each_of_its_flows(
            a in selectors(), b in selectors()
        ) {
            let ours = |selector: &Selector, key: &Key| selector.matches(key);
            let all = flows().all(|key| !ours(&b, &key) || ours(&a, &key));
            proptest::prop_assert_eq!(a.includes(&b), all);
        }
    }

    fn host(number: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, number])
    }

    fn flows() -> impl Iterator<Item = Key> {
        let ends = (0..4u8).flat_map(|a| (0..4u8).map(move |b| (host(a), host(b))));
        ends.flat_map(|(a, b)| {
            let values = [0, 1, 2, 3, u16::MAX];
            let words = values.into_iter().flat_map(move |first| {
                let pair = move |second| Some([first, second]);
                values.into_iter().map(pair)
            });
            let words = words.chain([None]);
            let udp = words.map(|words| (protocol::UDP, words));
            let others = [(protocol::TCP, None), (protocol::GRE, None)];
            udp.chain(others)
                .filter_map(move |(number, words)| Key::new(a, b, number, words))
                .collect::<Vec<_>>()
        })
    }

    fn selectors() -> impl proptest::strategy::Strategy<Value = Selector> {
        use proptest::prelude::*;
        let bounds = || (0..4u8, 0..4u8).prop_map(|(a, b)| (a.min(b), a.max(b)));
        let words = move || {
            let few = bounds().prop_map(|(a, b)| u16::from(a)..=u16::from(b));
            prop_oneof![few, Just(0..=u16::MAX)]
        };
        let upper = prop_oneof![
            Just(Upper::Any),
            Just(Upper::Protocol(protocol::UDP)),
            Just(Upper::Protocol(protocol::TCP)),
            (words(), words()).prop_map(|(first, second)| Upper::Words {
                protocol: protocol::UDP,
                first,
                second
            }),
        ];
        let range =
            move || bounds().prop_map(|(a, b)| AddressRange::range(host(a), host(b)).unwrap());
        (range(), range(), upper).prop_map(|(source, destination, upper)| {
            Selector::new(source, destination, upper).unwrap()
        })
    }
}
