//! Datagrams of a key manager's (RFC 3948 §2.2): behind a marker of four zero octets, on the port of
//! ESP in UDP, which is ours.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

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
    pub(in crate::daemon) _place: Place,
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

/// How many datagrams wait in one direction: no more than [`MOST`](Self::MOST).
#[derive(Clone, Debug, Default)]
pub(in crate::daemon) struct Queue(Arc<AtomicUsize>);

/// A place in a queue, free again when it is dropped.
#[derive(Debug)]
pub(in crate::daemon) struct Place(Queue);

impl Queue {
    /// Datagrams that wait.
    const MOST: usize = 64;

    /// A place, if one is free. One thread takes, another frees.
    pub(in crate::daemon) fn take(&self) -> Option<Place> {
        if self.0.load(Relaxed) >= Queue::MOST {
            return None;
        }
        self.0.fetch_add(1, Relaxed);
        Some(Place(self.clone()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Relaxed);
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
            _place: place,
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
