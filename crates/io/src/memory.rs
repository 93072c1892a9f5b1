//! An outside without a kernel: two ends joined by bounded queues.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use sealway_packet::{Arrival, DontFragment, Egress, Encapsulation, Outer, Packet, Train};

use crate::{Device, SendError};

/// What a link is like, the same in both directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// The largest IP packet in octets; `None`: any. Payload with DF clear is taken to be
    /// fragmented and reassembled on the way, so it passes.
    pub mtu: Option<u32>,
    /// How many packets wait in each direction before a send is [`SendError::Full`].
    pub depth: usize,
    /// The interface index that arrivals name.
    pub interface: u32,
}

impl Default for Link {
    fn default() -> Self {
        Link {
            mtu: None,
            depth: 1024,
            interface: 1,
        }
    }
}

impl Link {
    /// The two ends. They may be in different threads.
    pub fn ends(self) -> (End, End) {
        let (there, back) = (Queue::default(), Queue::default());
        let left = End {
            link: self,
            outgoing: Arc::clone(&there),
            incoming: Arc::clone(&back),
        };
        let right = End {
            link: self,
            outgoing: back,
            incoming: there,
        };
        (left, right)
    }
}

type Queue = Arc<Mutex<VecDeque<Packet<Arrival>>>>;

/// One end of a link. What is sent as payload arrives as [`Arrival::Payload`] with the same facts,
/// what is sent whole or clear as [`Arrival::Whole`]; each segment of a train as a packet of its
/// own, in order.
#[derive(Debug)]
pub struct End {
    link: Link,
    outgoing: Queue,
    incoming: Queue,
}

impl End {
    /// Packets that wait to be received here.
    pub fn waiting(&self) -> usize {
        lock(&self.incoming).len()
    }

    fn arrival(&self, egress: Egress) -> Arrival {
        let interface = self.link.interface;
        match egress {
            Egress::Payload(outer) => Arrival::Payload(Outer { interface, ..outer }),
            Egress::Whole(_) | Egress::Clear => Arrival::Whole { interface },
        }
    }

    fn check(&self, egress: &Egress, octets: usize) -> Result<(), SendError> {
        let Some(mtu) = self.link.mtu else {
            return Ok(());
        };
        let fragmented = matches!(egress, Egress::Payload(outer)
            if outer.dont_fragment == DontFragment::Clear);
        if fragmented || octets + headers(egress) <= mtu as usize {
            return Ok(());
        }
        Err(SendError::TooBig { mtu: Some(mtu) })
    }
}

impl Device for End {
    fn send(&mut self, egress: Egress, train: Train) -> Result<(), SendError> {
        let meta = self.arrival(egress);
        let mut queue = lock(&self.outgoing);
        for single in singles(train) {
            self.check(&egress, single.packet().len())?;
            if queue.len() >= self.link.depth {
                return Err(SendError::Full);
            }
            queue.push_back(Packet::new(single, meta));
        }
        Ok(())
    }

    fn receive(&mut self, sink: &mut dyn FnMut(Packet<Arrival>)) {
        // The queue is not held while the sink runs, which may send.
        let waiting = std::mem::take(&mut *lock(&self.incoming));
        waiting.into_iter().for_each(sink);
    }
}

/// The segments as trains of one: the train itself if it is one already, else copies.
pub(crate) fn singles(train: Train) -> impl Iterator<Item = Train> {
    let copies: Vec<Train> = match train.count() {
        0 | 1 => Vec::new(),
        _ => train.segments().map(Train::detached).collect(),
    };
    let itself = (train.count() == 1).then_some(train);
    itself.into_iter().chain(copies)
}

/// Octets that the sender of a payload writes before it.
fn headers(egress: &Egress) -> usize {
    let Egress::Payload(outer) = egress else {
        return 0;
    };
    let ip = match outer.destination {
        IpAddr::V4(_) => 20,
        IpAddr::V6(_) => 40,
    };
    let udp = match outer.encapsulation {
        Encapsulation::Udp { .. } => 8,
        Encapsulation::Esp | Encapsulation::Ah => 0,
    };
    ip + udp
}

fn lock(queue: &Queue) -> std::sync::MutexGuard<'_, VecDeque<Packet<Arrival>>> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use sealway_packet::Pool;

    fn outer(source: &str, destination: &str, dont_fragment: DontFragment) -> Outer {
        Outer {
            source: source.parse().unwrap(),
            destination: destination.parse().unwrap(),
            interface: 0,
            tos: 0x2e,
            hop_limit: 63,
            dont_fragment,
            encapsulation: Encapsulation::Udp {
                source: 4500,
                destination: 4501,
            },
        }
    }

    fn received(end: &mut End) -> Vec<Packet<Arrival>> {
        let mut packets = Vec::new();
        end.receive(&mut |packet| packets.push(packet));
        packets
    }

    #[test]
    fn payload_arrives_with_the_facts_it_was_sent_with() {
        let (mut left, mut right) = Link::default().ends();
        let outer = outer("192.0.2.1", "192.0.2.2", DontFragment::Set);
        left.send(Egress::Payload(outer), Train::detached(b"esp"))
            .unwrap();
        assert_eq!(right.waiting(), 1);
        let packets = received(&mut right);
        assert_eq!(packets[0].train.packet(), b"esp");
        let arrived = Outer {
            interface: 1,
            ..outer
        };
        assert_eq!(packets[0].meta, Arrival::Payload(arrived));
        right
            .send(Egress::Clear, Train::detached(b"whole"))
            .unwrap();
        let packets = received(&mut left);
        assert_eq!(packets[0].meta, Arrival::Whole { interface: 1 });
        assert!(received(&mut left).is_empty());
    }

    #[test]
    fn a_packet_larger_than_the_mtu_is_too_big_unless_it_may_be_fragmented() {
        let link = Link {
            mtu: Some(100),
            ..Link::default()
        };
        let (mut left, mut right) = link.ends();
        for (source, destination, headers) in [
            ("192.0.2.1", "192.0.2.2", 28),
            ("2001:db8::1", "2001:db8::2", 48),
        ] {
            let kept = Egress::Payload(outer(source, destination, DontFragment::Set));
            let fits = Train::detached(&vec![0; 100 - headers]);
            left.send(kept, fits).unwrap();
            let error = left
                .send(kept, Train::detached(&vec![0; 101 - headers]))
                .unwrap_err();
            assert!(matches!(error, SendError::TooBig { mtu: Some(100) }));
            let cut = Egress::Payload(outer(source, destination, DontFragment::Clear));
            left.send(cut, Train::detached(&[0; 5000])).unwrap();
        }
        let whole = outer("192.0.2.1", "192.0.2.2", DontFragment::Clear);
        assert!(
            left.send(Egress::Whole(whole), Train::detached(&[0; 101]))
                .is_err()
        );
        assert_eq!(received(&mut right).len(), 4);
    }

    #[test]
    fn a_train_arrives_as_its_segments_and_a_full_queue_says_so() {
        let link = Link {
            depth: 2,
            ..Link::default()
        };
        let (mut left, mut right) = link.ends();
        let pool = Pool::new(1, 1);
        let mut train = pool.take(sealway_packet::SizeClass::Small).unwrap();
        train.set_segments(0, 100, 10, 3, (50, 20));
        for index in 0..3 {
            train.segment_mut(index).fill(index as u8);
        }
        let error = left.send(Egress::Clear, train).unwrap_err();
        assert!(matches!(error, SendError::Full));
        let packets = received(&mut right);
        let octets: Vec<_> = packets.iter().map(|p| p.train.packet().to_vec()).collect();
        assert_eq!(octets, [vec![0; 50], vec![1; 50]]);
        assert_eq!(pool.available(sealway_packet::SizeClass::Small), 1);
    }
}
