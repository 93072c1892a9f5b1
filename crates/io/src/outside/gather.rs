//! Datagrams that are kept back for a moment, to leave together with what comes next.
//!
//! A super-packet of 64 KB makes a few datagrams more than one call sends, and what answers it comes
//! one by one: calls that are filled across packets are half as many, for the other end too.

use std::io::IoSlice;
use std::net::IpAddr;

use sealway_packet::{Egress, Encapsulation, Outer, Train};

use super::Outside;
use super::send::most_at_once;
use crate::SendError;

/// Trains that wait at most: each keeps a buffer from its pool.
const PIECES: usize = 16;

/// Datagrams of one size and one outer header that wait for more of their kind. Whoever has nothing
/// more to send empties it with [`Outside::flush`].
#[derive(Debug)]
pub struct Gathering {
    /// Of all that wait.
    egress: Option<Egress>,
    /// What waits, oldest first, each contiguous; of the first, so many octets have left.
    pieces: Vec<Train>,
    left: usize,
    /// Octets of each datagram, but for the last.
    size: usize,
    /// Octets of all that wait.
    octets: usize,
    /// Whether the last datagram is shorter, so that none may follow.
    is_closed: bool,
    failures: Vec<(IpAddr, SendError)>,
}

impl Default for Gathering {
    fn default() -> Self {
        Gathering {
            egress: None,
            pieces: Vec::with_capacity(PIECES),
            left: 0,
            size: 0,
            octets: 0,
            is_closed: false,
            failures: Vec::new(),
        }
    }
}

impl Gathering {
    /// What could not be sent since this was asked last, and where to: to be asked after each call
    /// of [`Outside::gather`] and [`Outside::flush`] until there is nothing.
    #[inline]
    pub fn poll_failure(&mut self) -> Option<(IpAddr, SendError)> {
        self.failures.pop()
    }

    /// Whether this train may leave in one call with what waits. `size`: of its datagrams.
    fn takes(&self, egress: &Egress, train: &Train, size: usize) -> bool {
        let continues = size == self.size || (train.count() == 1 && size < self.size);
        self.pieces.is_empty() || (continues && !self.is_closed && self.egress == Some(*egress))
    }

    fn add(&mut self, egress: &Egress, train: Train, size: usize) {
        if self.pieces.is_empty() {
            self.egress = Some(*egress);
            self.size = size;
        }
        self.octets += train.octets();
        self.is_closed = train.last() < self.size;
        self.pieces.push(train);
    }

    /// Whether nothing is gained by waiting.
    fn is_due(&self) -> bool {
        let is_full = self.octets >= most_at_once(self.size) || self.pieces.len() >= PIECES;
        !self.pieces.is_empty() && (is_full || self.is_closed)
    }

    /// At most `most` octets from the front: slices of them, and how many slices there are.
    fn front(&self, most: usize) -> ([IoSlice<'_>; PIECES], usize) {
        let mut slices = [IoSlice::new(&[]); PIECES];
        let (mut room, mut skip, mut used) = (most, self.left, 0);
        for (slice, train) in slices.iter_mut().zip(&self.pieces) {
            let octets = train.contiguous().map_or(&[][..], |(octets, _)| octets);
            let octets = octets.get(skip..).unwrap_or_default();
            let octets = octets.get(..room).unwrap_or(octets);
            (room, skip) = (room - octets.len(), 0);
            if octets.is_empty() {
                break;
            }
            *slice = IoSlice::new(octets);
            used += 1;
        }
        (slices, used)
    }

    /// `octets` from the front are gone; trains that are, wholly, go home.
    fn advance(&mut self, octets: usize) {
        self.octets = self.octets.saturating_sub(octets);
        self.left += octets;
        let mut gone = 0;
        while let Some(train) = self.pieces.get(gone)
            && self.left >= train.octets()
        {
            self.left -= train.octets();
            gone += 1;
        }
        self.pieces.drain(..gone);
        if self.pieces.is_empty() {
            (self.left, self.octets, self.is_closed) = (0, 0, false);
        }
    }
}

impl Outside {
    /// Sends the train as [`send`](Outside::send) does, once more of its kind waits than one call
    /// takes; what waits and may not leave together with it is sent before it, so that order is
    /// kept. Failures: [`Gathering::poll_failure`].
    pub fn gather(&self, waiting: &mut Gathering, egress: &Egress, train: Train) {
        let size = self.size_together(egress, &train);
        let joins = size.is_some_and(|size| waiting.takes(egress, &train, size));
        if !joins {
            self.flush(waiting);
        }
        match size {
            Some(size) => waiting.add(egress, train, size),
            None => {
                if let Err(error) = self.send(egress, &train) {
                    waiting.failures.extend(blame(egress, error));
                }
            }
        }
        while waiting.is_due() {
            self.send_front(waiting);
        }
    }

    /// Sends what waits.
    #[inline]
    pub fn flush(&self, waiting: &mut Gathering) {
        while !waiting.pieces.is_empty() {
            self.send_front(waiting);
        }
    }

    fn send_front(&self, waiting: &mut Gathering) {
        let octets = waiting.octets.min(most_at_once(waiting.size));
        let (slices, used) = waiting.front(octets);
        if let Some(egress) = waiting.egress {
            let parts = slices.get(..used).unwrap_or_default();
            if let Err(error) = self.send_parts(&egress, parts, waiting.size) {
                waiting.failures.extend(blame(&egress, error));
            }
        }
        waiting.advance(octets);
    }

    /// Octets of the train's datagrams, if they may leave together with others.
    #[inline]
    fn size_together(&self, egress: &Egress, train: &Train) -> Option<usize> {
        let Egress::Payload(Outer {
            encapsulation: Encapsulation::Udp { source, .. },
            ..
        }) = egress
        else {
            return None;
        };
        let (_, size) = train.contiguous()?;
        (*source == self.port && size > 0 && u16::try_from(size).is_ok()).then_some(size)
    }
}

/// Who was not reached.
fn blame(egress: &Egress, error: SendError) -> Option<(IpAddr, SendError)> {
    match egress {
        Egress::Payload(outer) | Egress::Whole(outer) => Some((outer.destination, error)),
        Egress::Clear => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use sealway_packet::{DontFragment, Pool, SizeClass};

    fn egress(tos: u8) -> Egress {
        Egress::Payload(Outer {
            source: "192.0.2.1".parse().unwrap(),
            destination: "192.0.2.2".parse().unwrap(),
            interface: 0,
            tos,
            hop_limit: 64,
            dont_fragment: DontFragment::Set,
            encapsulation: Encapsulation::Udp {
                source: 4500,
                destination: 4500,
            },
        })
    }

    /// Datagrams of `size` octets, the last of `last`.
    fn train(count: u16, size: usize, last: usize) -> Train {
        let mut train = Pool::new(1, 1).take(SizeClass::Large).unwrap();
        train.set_segments(100, size, 0, count, (size, last));
        train
    }

    #[test]
    fn only_datagrams_of_one_size_and_one_header_wait_together_and_none_behind_a_shorter_one() {
        let mut waiting = Gathering::default();
        let ours = egress(0);
        waiting.add(&ours, train(3, 1000, 1000), 1000);
        assert!(waiting.takes(&ours, &train(2, 1000, 10), 1000));
        assert!(waiting.takes(&ours, &train(1, 400, 400), 400));
        assert!(!waiting.takes(&ours, &train(2, 400, 400), 400));
        assert!(!waiting.takes(&ours, &train(1, 1001, 1001), 1001));
        assert!(!waiting.takes(&egress(1), &train(2, 1000, 1000), 1000));
        assert!(!waiting.is_due());
        waiting.add(&ours, train(1, 400, 400), 400);
        assert!(!waiting.takes(&ours, &train(1, 400, 400), 400) && waiting.is_due());
    }

    #[test]
    fn what_fills_a_call_or_keeps_many_buffers_waits_no_longer() {
        let mut waiting = Gathering::default();
        waiting.add(&egress(0), train(44, 1400, 1400), 1400);
        assert!(!waiting.is_due());
        waiting.add(&egress(0), train(4, 1400, 1400), 1400);
        assert!(waiting.is_due());
        waiting.advance(most_at_once(1400));
        assert_eq!((waiting.octets, waiting.is_due()), (2 * 1400, false));
        let mut waiting = Gathering::default();
        for _ in 0..PIECES {
            assert!(!waiting.is_due());
            waiting.add(&egress(0), train(1, 80, 80), 80);
        }
        assert!(waiting.is_due());
    }

    proptest! {
        #[test]
        fn what_waits_leaves_once_and_in_order(counts in proptest::collection::vec(1u16..9, 1..PIECES), call in 1usize..20) {
            let mut waiting = Gathering::default();
            let (mut wanted, mut got) = (Vec::new(), Vec::new());
            for (number, &count) in counts.iter().enumerate() {
                let mut train = train(count, 4, 4);
                for index in 0..train.count() {
                    let octets = [number as u8, index as u8, 1, 2];
                    train.segment_mut(index).copy_from_slice(&octets);
                    wanted.extend(octets);
                }
                waiting.add(&egress(0), train, 4);
            }
            while !waiting.pieces.is_empty() {
                let octets = waiting.octets.min(call * 4);
                let (slices, used) = waiting.front(octets);
                slices[..used].iter().for_each(|slice| got.extend_from_slice(slice));
                waiting.advance(octets);
            }
            prop_assert_eq!(got, wanted);
            prop_assert_eq!((waiting.octets, waiting.left), (0, 0));
        }
    }
}
