//! Datagrams of a key manager's (RFC 3948 §2.2): behind a marker of four zero octets, on the port of
//! ESP in UDP, which is ours.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use sealway_packet::{DontFragment, Egress, Encapsulation, Outer, Train};
use sealway_wire::esp::NON_ESP_MARKER;

use super::counters::Failure;
use super::{Event, Worker};
use crate::adaptor;

/// As hosts send.
const HOP_LIMIT: u8 = 64;

/// A datagram on its way between the worker and control.
#[derive(Debug)]
pub(in crate::daemon) struct Datagram {
    pub(in crate::daemon) source: SocketAddr,
    pub(in crate::daemon) destination: SocketAddr,
    /// Without the marker.
    pub(in crate::daemon) message: Vec<u8>,
    /// Its place among those that wait, held until it is gone.
    pub(in crate::daemon) place: Place,
}

/// Whether anybody asked for what comes in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::daemon) enum Hearing {
    /// Nobody.
    #[default]
    Nobody,
    /// A key manager.
    KeyManager,
}

/// How many datagrams wait in one direction, no more than [`MOST`](Self::MOST), and how many waited
/// for nothing.
#[derive(Clone, Debug, Default)]
pub(in crate::daemon) struct Queue(Arc<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    now: AtomicUsize,
    in_vain: AtomicU64,
}

/// A place in a queue, free again when it is dropped.
#[derive(Debug)]
pub(in crate::daemon) struct Place(Queue);

impl Queue {
    /// Datagrams that wait.
    const MOST: usize = 64;

    /// A place, if one is free. One thread takes, another frees.
    pub(in crate::daemon) fn take(&self) -> Option<Place> {
        if self.0.now.load(Relaxed) >= Queue::MOST {
            return None;
        }
        self.0.now.fetch_add(1, Relaxed);
        Some(Place(self.clone()))
    }

    /// How many nobody has taken in the end.
    pub(super) fn in_vain(&self) -> u64 {
        self.0.in_vain.load(Relaxed)
    }
}

impl Place {
    /// What waited here nobody takes.
    pub(in crate::daemon) fn was_in_vain(&self) {
        self.0.0.in_vain.fetch_add(1, Relaxed);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.0.now.fetch_sub(1, Relaxed);
    }
}

impl Worker<'_> {
    /// Hands a datagram to whoever is registered; nobody is waited for.
    #[cold]
    pub(super) fn heard_ike(&mut self, outer: &Outer, payload: &[u8]) {
        self.counters.non_esp += 1;
        let (
            Encapsulation::Udp {
                source,
                destination,
            },
            Some(message),
        ) = (outer.encapsulation, payload.strip_prefix(&NON_ESP_MARKER))
        else {
            return;
        };
        let is_heard = self.ike_hearing == Hearing::KeyManager;
        let Some(place) = is_heard.then(|| self.ike.take()).flatten() else {
            self.counters.ike_dropped += 1;
            return;
        };
        self.tell(Event::Ike(Datagram {
            source: SocketAddr::new(outer.source, source),
            destination: SocketAddr::new(outer.destination, destination),
            message: message.to_vec(),
            place,
        }));
    }

    /// Sends what a key manager says.
    #[cold]
    pub(super) fn send_ike(&mut self, datagram: &Datagram) {
        let source = datagram.source.ip();
        let outer = Outer {
            source,
            destination: datagram.destination.ip(),
            interface: adaptor::interface_of(source, &self.interfaces),
            tos: 0,
            hop_limit: HOP_LIMIT,
            dont_fragment: DontFragment::Clear,
            encapsulation: Encapsulation::Udp {
                source: self.devices.outside.port(),
                destination: datagram.destination.port(),
            },
        };
        let train = Train::detached(&[&NON_ESP_MARKER, datagram.message.as_slice()].concat());
        match self.devices.outside.send(&Egress::Payload(outer), &train) {
            Ok(()) => self.counters.ike_sent += 1,
            Err(error) => self.fail(Failure::of(&error), &error),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn no_more_wait_than_there_are_places_and_a_place_is_free_again() {
        let queue = Queue::default();
        let mut places: Vec<_> = (0..Queue::MOST).map(|_| queue.take().unwrap()).collect();
        assert!(queue.take().is_none());
        places.pop().unwrap().was_in_vain();
        assert_eq!(queue.in_vain(), 1);
        let again = queue.take();
        assert!(again.is_some() && queue.take().is_none());
    }
}
