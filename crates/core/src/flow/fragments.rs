//! What first fragments showed, for the later ones of the same datagram (RFC 4301 §7.3).

use std::collections::VecDeque;
use std::time::Duration;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use sealway_wire::{Family, Layout};

use super::Key;
use crate::time::Time;
use crate::verdict::DropReason;

/// What the fragments of one datagram have in common (RFC 791 §2.3, RFC 8200 §4.5).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Datagram {
    source: u128,
    destination: u128,
    id: u32,
    family: Family,
    /// IPv4 numbers datagrams per protocol; what an IPv6 Fragment header names is no part of it.
    protocol: Option<u8>,
}

/// What a first fragment showed, and when.
type Shown = (u8, Option<[u16; 2]>, Time);

/// Protocol and words of datagrams whose first fragment was seen, the oldest forgotten first. Each
/// direction has its own: what one side says must not decide about the other's packets.
pub(crate) struct Fragments {
    known: HashMap<Datagram, Shown, RandomState>,
    order: VecDeque<Datagram>,
}

impl Fragments {
    /// The most datagrams remembered.
    pub(crate) const MOST: usize = 1024;
    /// How long one is.
    pub(crate) const LIFETIME: Duration = Duration::from_secs(30);

    pub(crate) fn new() -> Self {
        Fragments {
            known: HashMap::default(),
            order: VecDeque::new(),
        }
    }

    /// The key of a fragment: a first one is remembered, a later one completed where it can be.
    ///
    /// # Errors
    /// A first fragment that does not show its words: it is made to get past policies
    /// (RFC 1858 §3).
    pub(crate) fn complete(
        &mut self,
        key: Key,
        layout: &Layout,
        now: Time,
    ) -> Result<Key, DropReason> {
        let Some(fragment) = layout.fragment.filter(|fragment| !fragment.is_whole()) else {
            return Ok(key);
        };
        let datagram = Datagram {
            source: key.source_bits(),
            destination: key.destination_bits(),
            id: fragment.id,
            family: key.family(),
            protocol: (key.family() == Family::V4).then_some(key.protocol()),
        };
        if fragment.is_first() {
            if key.is_partial() {
                return Err(DropReason::FragmentTiny);
            }
            self.remember(datagram, (key.protocol(), key.words(), now));
            return Ok(key);
        }
        Ok(match self.known.get(&datagram) {
            Some((protocol, words, seen)) if now.since(*seen) < Fragments::LIFETIME => {
                key.completed(*protocol, *words)
            }
            _ => key,
        })
    }

    fn remember(&mut self, datagram: Datagram, shown: Shown) {
        if self.known.insert(datagram, shown).is_some() {
            return;
        }
        self.order.push_back(datagram);
        if self.order.len() > Fragments::MOST
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use sealway_wire::fragment::Split;
    use sealway_wire::protocol;

    fn fragments_of(id: u16) -> Vec<(Key, Layout)> {
        pieces_of(&from(id).udp(1000, 53, &[0; 3000]), 1500)
    }

    fn from(id: u16) -> sealway_wire::build::Packet {
        let (a, b) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        sealway_wire::build::Packet::new(a, b).id(id)
    }

    fn pieces_of(packet: &[u8], mtu: usize) -> Vec<(Key, Layout)> {
        let layout = Layout::parse(packet).unwrap();
        let split = Split::new(packet, &layout, mtu, 0).unwrap();
        let piece = |piece| {
            let mut octets = [0; 1500];
            let length = split.write(packet, &piece, &mut octets).unwrap();
            let layout = Layout::parse(&octets[..length]).unwrap();
            (Key::of(&layout, &octets), layout)
        };
        split.pieces().map(piece).collect()
    }

    #[test]
    fn later_fragments_take_the_ports_of_the_first() {
        let mut table = Fragments::new();
        let pieces = fragments_of(7);
        let now = Time::default();
        let (later, layout) = pieces[1];
        assert!(table.complete(later, &layout, now).unwrap().is_partial());
        let (first, first_layout) = pieces[0];
        assert_eq!(table.complete(first, &first_layout, now), Ok(first));
        assert_eq!(
            table.complete(later, &layout, now).unwrap().words(),
            Some([1000, 53])
        );
        let (other, other_layout) = fragments_of(8)[1];
        let unknown = table.complete(other, &other_layout, now);
        assert!(unknown.unwrap().is_partial());
        let late = Time::since_start(Fragments::LIFETIME);
        let forgotten = table.complete(later, &layout, late);
        assert!(forgotten.unwrap().is_partial());
    }

    #[test]
    fn a_datagram_of_another_protocol_with_the_same_number_is_another() {
        let mut table = Fragments::new();
        let now = Time::default();
        let (udp, layout) = fragments_of(7)[0];
        let _ = table.complete(udp, &layout, now);
        let gre = pieces_of(&from(7).payload(protocol::GRE, &[0; 3000]), 1500);
        let (first, layout) = gre[0];
        assert_eq!(table.complete(first, &layout, now), Ok(first));
        let (later, layout) = gre[1];
        let completed = table.complete(later, &layout, now).unwrap();
        assert_eq!(completed, first, "nothing is left to be known");
        assert!(later.is_partial() && !completed.is_partial());
    }

    #[test]
    fn a_tiny_first_fragment_does_not_pass_for_one_seen_before() {
        let mut table = Fragments::new();
        let now = Time::default();
        let shown = pieces_of(&from(7).tcp(1000, 80, 0, &[0; 100]), 100);
        let (first, layout) = shown[0];
        assert_eq!(table.complete(first, &layout, now), Ok(first));
        let tiny = pieces_of(&from(7).tcp(1000, 22, 0, &[0; 100]), 28);
        let (first, layout) = tiny[0];
        assert_eq!(
            table.complete(first, &layout, now),
            Err(DropReason::FragmentTiny)
        );
    }

    #[test]
    fn the_table_is_bounded_and_forgets_the_oldest() {
        let mut table = Fragments::new();
        for id in 0..=Fragments::MOST as u16 {
            let (first, layout) = fragments_of(id)[0];
            let _ = table.complete(first, &layout, Time::default());
        }
        assert_eq!(table.known.len(), Fragments::MOST);
        assert_eq!(table.order.len(), Fragments::MOST);
        let (later, layout) = fragments_of(0)[1];
        let forgotten = table.complete(later, &layout, Time::default());
        assert!(forgotten.unwrap().is_partial());
    }
}
