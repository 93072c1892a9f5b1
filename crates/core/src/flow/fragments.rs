//! What first fragments showed, for the later ones of the same datagram (RFC 4301 §7.3).

use std::collections::VecDeque;
use std::time::Duration;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use sealway_wire::Layout;

use super::Key;
use crate::time::Time;

/// What the fragments of one datagram have in common.
type Datagram = (u128, u128, u32);

/// Protocol and words of datagrams whose first fragment was seen, the oldest forgotten first.
pub(crate) struct Fragments {
    known: HashMap<Datagram, (u8, [u16; 2], Time), RandomState>,
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

    /// The key of a fragment, completed where it can be. A first fragment is remembered.
    pub(crate) fn complete(&mut self, key: Key, layout: &Layout, now: Time) -> Key {
        let Some(fragment) = layout.fragment.filter(|fragment| !fragment.is_whole()) else {
            return key;
        };
        let datagram = (key.source_bits(), key.destination_bits(), fragment.id);
        match key.words() {
            Some(words) if fragment.is_first() => {
                self.remember(datagram, (key.protocol(), words, now));
                key
            }
            _ => match self.known.get(&datagram) {
                Some((protocol, words, seen)) if now.since(*seen) < Fragments::LIFETIME => {
                    key.completed(*protocol, *words)
                }
                _ => key,
            },
        }
    }

    fn remember(&mut self, datagram: Datagram, shown: (u8, [u16; 2], Time)) {
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

    fn fragments_of(id: u16) -> Vec<(Key, Layout)> {
        let (a, b) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        let packet = sealway_wire::build::Packet::new(a, b)
            .id(id)
            .udp(1000, 53, &[0; 3000]);
        let layout = Layout::parse(&packet).unwrap();
        let split = Split::new(&packet, &layout, 1500, 0).unwrap();
        let piece = |piece| {
            let mut octets = [0; 1500];
            let length = split.write(&packet, &piece, &mut octets).unwrap();
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
        assert!(table.complete(later, &layout, now).is_partial());
        let (first, first_layout) = pieces[0];
        assert_eq!(table.complete(first, &first_layout, now), first);
        assert_eq!(
            table.complete(later, &layout, now).words(),
            Some([1000, 53])
        );
        let (other, other_layout) = fragments_of(8)[1];
        assert!(table.complete(other, &other_layout, now).is_partial());
        let late = Time::since_start(Fragments::LIFETIME);
        assert!(table.complete(later, &layout, late).is_partial());
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
        assert!(table.complete(later, &layout, Time::default()).is_partial());
    }
}
