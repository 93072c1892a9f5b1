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
    words: [u16; 2],
    knowledge: Knowledge,
    protocol: u8,
    family: Family,
}

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

impl Hash for Key {
    /// Three words: equal keys give equal ones, and few others do.
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        let [first, second] = self.words;
        let rest = u64::from(first) << 48
            | u64::from(second) << 32
            | u64::from(self.protocol) << 16
            | (self.knowledge as u64) << 8
            | self.family as u64;
        state.write_u128(self.source);
        state.write_u128(self.destination);
        state.write_u64(rest);
    }
}

impl Key {
    /// The key of a packet whose headers were found.
    #[inline]
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
            words,
            knowledge,
            protocol: layout.protocol,
            family,
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
        (family == other).then_some(Key {
            source,
            destination,
            words: words.unwrap_or([0; 2]),
            knowledge: match words {
                Some(_) => Knowledge::Known,
                None => Knowledge::Absent,
            },
            protocol,
            family,
        })
    }

    /// The family of both addresses.
    pub const fn family(&self) -> Family {
        self.family
    }

    /// Source address.
    pub fn source(&self) -> IpAddr {
        address_of(self.family, self.source)
    }

    /// Destination address.
    pub fn destination(&self) -> IpAddr {
        address_of(self.family, self.destination)
    }

    pub(crate) const fn source_bits(&self) -> u128 {
        self.source
    }

    pub(crate) const fn destination_bits(&self) -> u128 {
        self.destination
    }

    /// The upper-layer protocol.
    pub const fn protocol(&self) -> u8 {
        self.protocol
    }

    /// Ports, or ICMP type and code; `None` where the packet has none to show.
    #[inline]
    pub const fn words(&self) -> Option<[u16; 2]> {
        match self.knowledge {
            Knowledge::Known => Some(self.words),
            Knowledge::Absent | Knowledge::Unknown => None,
        }
    }

    /// Whether the packet belongs to a flow with ports but does not show them: a later fragment,
    /// or a header that is cut off. Which flow that is, the packet alone does not tell.
    #[inline]
    pub const fn is_partial(&self) -> bool {
        matches!(self.knowledge, Knowledge::Unknown)
    }

    /// The key of the answer.
    pub(crate) const fn reversed(self) -> Self {
        let [first, second] = self.words;
        Key {
            source: self.destination,
            destination: self.source,
            words: [second, first],
            ..self
        }
    }

    /// The same key with what its datagram's first fragment showed.
    pub(crate) fn completed(self, protocol: u8, words: Option<[u16; 2]>) -> Self {
        Key {
            protocol,
            words: words.unwrap_or([0; 2]),
            knowledge: match words {
                Some(_) => Knowledge::Known,
                None => Knowledge::Absent,
            },
            ..self
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} -> {} protocol {}",
            self.source(),
            self.destination(),
            self.protocol
        )?;
        match self.words() {
            Some([a, b]) => write!(f, " {a},{b}"),
            None => Ok(()),
        }
    }
}
