//! The shape of a table: how many leading bits of each field its hash looks at.

use crate::address::Address;
use crate::rule::{Range, Rule};

/// Leading bits of source, destination, first port and second port.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Shape {
    pub(crate) source: u8,
    pub(crate) destination: u8,
    pub(crate) ports: [u8; 2],
}

/// How many leading bits all values of a port range share.
fn port_bits(range: Range<u16>) -> u8 {
    (range.first() ^ range.last()).leading_zeros() as u8
}

impl Shape {
    /// The finest table that a rule fits into: an address range that is no prefix counts as the
    /// shortest prefix around it.
    pub(crate) fn of<A: Address>(rule: &Rule<A>) -> Self {
        let bits = |range: &Range<A>| range.first().shared_bits(range.last());
        Shape {
            source: bits(&rule.source),
            destination: bits(&rule.destination),
            ports: rule.ports.map_or([0; 2], |ports| ports.map(port_bits)),
        }
    }

    /// Whether rules of the other shape fit into a table of this one.
    pub(crate) fn admits(&self, other: &Shape) -> bool {
        self.source <= other.source
            && self.destination <= other.destination
            && self.ports[0] <= other.ports[0]
            && self.ports[1] <= other.ports[1]
    }

    /// Whether its tables cannot be asked without ports.
    pub(crate) fn has_ports(&self) -> bool {
        self.ports != [0; 2]
    }

    /// The same without ports.
    pub(crate) fn without_ports(self) -> Self {
        Shape {
            ports: [0; 2],
            ..self
        }
    }

    /// How much of a packet it looks at.
    pub(crate) fn bits(&self) -> u16 {
        [self.source, self.destination, self.ports[0], self.ports[1]]
            .into_iter()
            .map(u16::from)
            .sum()
    }

    /// The shapes that a rule of this shape may found a table of, coarsest first: few shapes in
    /// all, so that the rules of one set share tables.
    pub(crate) fn ladder<A: Address>(self) -> [Shape; 5] {
        let plain = self.without_ports();
        let round = |length: u8| length - length % (A::BITS / 4).min(16);
        let rounded = Shape {
            source: round(plain.source),
            destination: round(plain.destination),
            ports: [0; 2],
        };
        let coarse_ports = self.ports.map(|bits| if bits < 8 { 0 } else { bits & !3 });
        [
            rounded.without_short_side::<A>(),
            rounded,
            Shape {
                ports: coarse_ports,
                ..rounded
            },
            plain,
            Shape {
                ports: coarse_ports,
                ..plain
            },
        ]
    }

    /// Where one address says far less than the other, only the other.
    fn without_short_side<A: Address>(self) -> Self {
        let far = A::BITS / 4;
        match self {
            Shape {
                source,
                destination,
                ..
            } if source + far < destination => Shape { source: 0, ..self },
            Shape {
                source,
                destination,
                ..
            } if destination + far < source => Shape {
                destination: 0,
                ..self
            },
            _ => self,
        }
    }
}

/// A shape ready for use: masks, and the secret of the hash.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Masks<A> {
    source: A,
    destination: A,
    ports: u32,
}

impl<A: Address> Masks<A> {
    pub(crate) fn of(shape: Shape) -> Self {
        let port = |bits: u8| u32::from(u16::MAX.checked_shl(16 - u32::from(bits)).unwrap_or(0));
        Masks {
            source: A::mask(shape.source),
            destination: A::mask(shape.destination),
            ports: port(shape.ports[0]) << 16 | port(shape.ports[1]),
        }
    }

    /// The hash of a packet, or of any packet of a rule that fits.
    #[inline]
    pub(crate) fn hash(&self, seed: &[u64; 4], source: A, destination: A, ports: u32) -> u64 {
        let ports = u64::from(ports & self.ports);
        A::mix(
            seed,
            source & self.source,
            destination & self.destination,
            ports,
        )
    }
}
