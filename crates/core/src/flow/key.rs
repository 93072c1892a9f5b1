//! The key of a flow: what selectors look at.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::IpAddr;

use sealway_wire::{Family, Layout, Ports};

use crate::selector::{address_of, bits_of};

/// Addresses, protocol and ports (ICMP: type and code) of a packet, as selectors see them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Key {
    source: u128,
    destination: u128,
    facts: Facts,
}

/// All of a key but its addresses, in one number: keys are compared for every packet.
///
/// ```text
///  63     48 47     32 31        24 23        16 15       8 7       0
///  │ word 0 │ word 1  │     0      │ protocol   │ knowledge │ family │
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
struct Facts(u64);

/// What is known of the words of a packet's upper-layer header.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Knowledge {
    /// The protocol has none.
    Absent,
    /// They are in the key.
    Known,
    /// It has some, but not in this packet: a later fragment, or a header cut off.
    Unknown,
}

impl Facts {
    #[inline]
    fn new(family: Family, protocol: u8, knowledge: Knowledge, [first, second]: [u16; 2]) -> Self {
        Facts(
            u64::from(first) << 48
                | u64::from(second) << 32
                | u64::from(protocol) << 16
                | (knowledge as u64) << 8
                | family as u64,
        )
    }

    const fn words(self) -> [u16; 2] {
        [(self.0 >> 48) as u16, (self.0 >> 32) as u16]
    }

    const fn protocol(self) -> u8 {
        (self.0 >> 16) as u8
    }

    const fn knows(self, knowledge: Knowledge) -> bool {
        (self.0 >> 8) as u8 == knowledge as u8
    }

    const fn knowledge(self) -> Knowledge {
        if self.knows(Knowledge::Known) {
            Knowledge::Known
        } else if self.knows(Knowledge::Absent) {
            Knowledge::Absent
        } else {
            Knowledge::Unknown
        }
    }

    const fn family(self) -> Family {
        if self.0 as u8 == Family::V4 as u8 {
            Family::V4
        } else {
            Family::V6
        }
    }
}

impl Hash for Key {
    /// Three words: equal keys give equal ones, and few others do.
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u128(self.source);
        state.write_u128(self.destination);
        state.write_u64(self.facts.0);
    }
}

impl Key {
    /// The key of a packet whose headers were found.
    // In line always: a key that is handed back through memory is waited for.
    #[allow(clippy::inline_always)]
    #[inline(always)]
    pub fn of(layout: &Layout, packet: &[u8]) -> Self {
        let (family, source) = bits_of(layout.source(packet));
        let (_, destination) = bits_of(layout.destination(packet));
        let (words, knowledge) = match layout.ports {
            Ports::Pair {
                source,
                destination,
            } => ([source, destination], Knowledge::Known),
            Ports::Icmp { kind, code } => ([u16::from(kind), u16::from(code)], Knowledge::Known),
            Ports::Mobility { kind } => ([u16::from(kind), 0], Knowledge::Known),
            Ports::None => ([0; 2], Knowledge::Absent),
            Ports::Unavailable => ([0; 2], Knowledge::Unknown),
        };
        Key {
            source,
            destination,
            facts: Facts::new(family, layout.protocol, knowledge, words),
        }
    }

    /// A key from its parts; `words` are the ports, or ICMP's type and code. `None` if the
    /// addresses are of different families.
    pub fn new(
        source: IpAddr,
        destination: IpAddr,
        protocol: u8,
        words: Option<[u16; 2]>,
    ) -> Option<Self> {
        let (family, source) = bits_of(source);
        let (other, destination) = bits_of(destination);
        let (words, knowledge) = shown(words);
        (family == other).then_some(Key {
            source,
            destination,
            facts: Facts::new(family, protocol, knowledge, words),
        })
    }

    /// The family of both addresses.
    pub const fn family(&self) -> Family {
        self.facts.family()
    }

    /// Source address.
    pub fn source(&self) -> IpAddr {
        address_of(self.family(), self.source)
    }

    /// Destination address.
    pub fn destination(&self) -> IpAddr {
        address_of(self.family(), self.destination)
    }

    pub(crate) const fn source_bits(&self) -> u128 {
        self.source
    }

    pub(crate) const fn destination_bits(&self) -> u128 {
        self.destination
    }

    /// The upper-layer protocol.
    pub const fn protocol(&self) -> u8 {
        self.facts.protocol()
    }

    /// Ports, or ICMP type and code; `None` where the packet has none to show.
    #[inline]
    pub const fn words(&self) -> Option<[u16; 2]> {
        match self.facts.knowledge() {
            Knowledge::Known => Some(self.facts.words()),
            Knowledge::Absent | Knowledge::Unknown => None,
        }
    }

    /// Whether the packet belongs to a flow with ports but does not show them: a later fragment,
    /// or a header that is cut off. Which flow that is, the packet alone does not tell.
    #[inline]
    pub const fn is_partial(&self) -> bool {
        self.facts.knows(Knowledge::Unknown)
    }

    /// The key of the answer.
    pub(crate) fn reversed(self) -> Self {
        let facts = self.facts;
        let [first, second] = facts.words();
        let words = [second, first];
        Key {
            source: self.destination,
            destination: self.source,
            facts: Facts::new(facts.family(), facts.protocol(), facts.knowledge(), words),
        }
    }

    /// The same key with what its datagram's first fragment showed.
    pub(crate) fn completed(self, protocol: u8, words: Option<[u16; 2]>) -> Self {
        let (words, knowledge) = shown(words);
        Key {
            facts: Facts::new(self.family(), protocol, knowledge, words),
            ..self
        }
    }
}

/// Words as a key holds them.
fn shown(words: Option<[u16; 2]>) -> ([u16; 2], Knowledge) {
    match words {
        Some(words) => (words, Knowledge::Known),
        None => ([0; 2], Knowledge::Absent),
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} -> {} protocol {}",
            self.source(),
            self.destination(),
            self.protocol()
        )?;
        match self.words() {
            Some([a, b]) => write!(f, " {a},{b}"),
            None => Ok(()),
        }
    }
}
