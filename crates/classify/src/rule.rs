//! What is asked and what is found: rules, keys, and the order among rules.

use crate::address::Address;

/// First to last, both included.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Range<T> {
    first: T,
    last: T,
}

impl<T: Copy + Ord> Range<T> {
    /// From `first` to `last`; `None` if `first` comes after `last`.
    pub fn new(first: T, last: T) -> Option<Self> {
        (first <= last).then_some(Range { first, last })
    }

    /// One value.
    pub const fn one(value: T) -> Self {
        Range {
            first: value,
            last: value,
        }
    }

    /// The lowest value.
    pub const fn first(&self) -> T {
        self.first
    }

    /// The highest value.
    pub const fn last(&self) -> T {
        self.last
    }

    /// Whether the value is in it.
    #[inline]
    pub fn contains(&self, value: T) -> bool {
        self.first <= value && value <= self.last
    }
}

impl Range<u16> {
    /// Every port.
    pub const ALL_PORTS: Self = Range {
        first: 0,
        last: u16::MAX,
    };
}

impl<A: Address> Range<A> {
    /// Every address.
    pub const fn any() -> Self {
        Range {
            first: A::LOWEST,
            last: A::HIGHEST,
        }
    }

    /// The addresses that share the first `length` bits with `address`; a length beyond the
    /// address means all of its bits.
    pub fn prefix(address: A, length: u8) -> Self {
        let mask = A::mask(length);
        Range {
            first: address & mask,
            last: address | !mask,
        }
    }
}

/// Which traffic a rule is for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Rule<A> {
    /// Source addresses.
    pub source: Range<A>,
    /// Destination addresses.
    pub destination: Range<A>,
    /// The protocol; any, if `None`.
    pub protocol: Option<u8>,
    /// Source and destination ports, or ICMP type and code. A rule with ports, be they all of
    /// them, takes only packets that show theirs; `None` takes every packet.
    pub ports: Option<[Range<u16>; 2]>,
}

impl<A: Address> Rule<A> {
    /// Every packet of the family.
    pub const fn any() -> Self {
        Rule {
            source: Range::any(),
            destination: Range::any(),
            protocol: None,
            ports: None,
        }
    }

    /// What it says of a packet.
    #[inline]
    pub fn judge(&self, key: &Key<A>) -> Judgement {
        if !self.source.contains(key.source) || !self.destination.contains(key.destination) {
            return Judgement::Misses;
        }
        let is_protocol = self.protocol.is_none_or(|own| own == key.protocol);
        let may_be_protocol = is_protocol || key.ports == Ports::HiddenWithProtocol;
        match (self.ports, key.ports) {
            (None, _) if is_protocol => Judgement::Matches,
            (None, Ports::HiddenWithProtocol) => Judgement::MayMatch,
            (Some([first, second]), Ports::Known([a, b]))
                if is_protocol && first.contains(a) && second.contains(b) =>
            {
                Judgement::Matches
            }
            (Some(_), Ports::Hidden | Ports::HiddenWithProtocol) if may_be_protocol => {
                Judgement::MayMatch
            }
            _ => Judgement::Misses,
        }
    }
}

/// What a rule says of a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Judgement {
    /// Not its traffic.
    Misses,
    /// Its traffic.
    Matches,
    /// Its traffic perhaps: the packet hides what it would take to tell.
    MayMatch,
}

/// A rule's place among all: the lower comes first. The caller keeps the orders of rules that are
/// in force at one time apart; of two with one order either may be found.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Order(pub(crate) u64);

impl Order {
    /// By priority, then by age: lower first.
    pub const fn new(priority: u32, age: u32) -> Self {
        Order((priority as u64) << 32 | age as u64)
    }

    /// What it was made from: the priority.
    pub const fn priority(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// What it was made from: the age.
    pub const fn age(self) -> u32 {
        self.0 as u32
    }
}

/// What a packet shows of its ports, or of its ICMP type and code.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Ports {
    /// Source and destination, or type and code.
    Known([u16; 2]),
    /// Its protocol has none: no rule with ports takes it.
    Absent,
    /// It has some, but not in this packet: a later fragment, or a header cut off.
    Hidden,
    /// As above, and the protocol that the key names may not be the last: behind an extension
    /// header there may be another.
    HiddenWithProtocol,
}

/// A packet as rules see it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Key<A> {
    /// Source address.
    pub source: A,
    /// Destination address.
    pub destination: A,
    /// Protocol.
    pub protocol: u8,
    /// Ports.
    pub ports: Ports,
}

/// A rule that was found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hit {
    /// Its place among all.
    pub order: Order,
    /// What the caller gave with it.
    pub value: u32,
}

/// What the rules say of a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Found {
    /// This rule takes it, and none before it could.
    Rule(Hit),
    /// This rule might take it, and none before it could: that takes what the packet hides.
    PortsNeeded(Hit),
    /// No rule speaks of it.
    None,
}
