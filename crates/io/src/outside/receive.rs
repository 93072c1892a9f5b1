//! Receiving.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicU64, Ordering};

use sealway_packet::{Arrival, DontFragment, Encapsulation, Outer, Packet, Pool, Train};

use super::sockets::Family;
use super::{Inlet, Outside, Received, Stop, UdpKind, restore};
use crate::address::{Name, parse_ip};
use crate::control::Facts;
use crate::intake::Intake;
use crate::sys::{self, Message};

/// The most datagrams that one call of [`Outside::receive`] takes from the kernel, and a train more.
pub const BATCH: usize = 64;

/// Room for the facts of a datagram.
const FACTS: usize = 256;
/// Room for them and for IPv6 extension headers, of which each has at most 2048 octets.
const FACTS_AND_EXTENSIONS: usize = 8192;

impl Outside {
    /// Hands over what waits at one inlet, at most [`BATCH`] datagrams.
    ///
    /// UDP and IPv6 ESP without extension headers arrive as [`Arrival::Payload`], UDP's datagrams of
    /// one flow in trains of many where they came together; IPv4 protocols
    /// 50 and 51, IPv6 AH, and IPv6 ESP behind extension headers as [`Arrival::Whole`]. What came in
    /// fragments arrives reassembled.
    ///
    /// # Errors
    /// What the kernel says, if it is neither "nothing waits" nor about a single packet.
    pub fn receive(
        &self,
        inlet: Inlet,
        pool: &Pool,
        sink: &mut impl FnMut(Received),
    ) -> io::Result<Stop> {
        let Some(socket) = self.inlet(inlet) else {
            return Ok(Stop::Drained);
        };
        match inlet {
            Inlet::Esp6 | Inlet::Ah6 => {
                self.drain::<FACTS_AND_EXTENSIONS>(socket, inlet, pool, sink)
            }
            Inlet::Udp4 | Inlet::Udp6 | Inlet::Esp4 | Inlet::Ah4 => {
                self.drain::<FACTS>(socket, inlet, pool, sink)
            }
            Inlet::Icmp4 => self.listen(socket, Family::V4, sink),
            Inlet::Icmp6 => self.listen(socket, Family::V6, sink),
        }
    }

    fn drain<const CONTROL: usize>(
        &self,
        socket: BorrowedFd<'_>,
        inlet: Inlet,
        pool: &Pool,
        sink: &mut impl FnMut(Received),
    ) -> io::Result<Stop> {
        let mut intake = Intake::new(pool, 0);
        let mut name = [0; Name::ROOM];
        let mut control = [0; CONTROL];
        let mut taken = 0;
        while taken < BATCH {
            taken += 1;
            let Some(mut parts) = intake.offer() else {
                return Ok(Stop::PoolEmpty);
            };
            let message = match sys::receive_message(socket, &mut parts, &mut name, &mut control, 0)
            {
                Ok(message) => message,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(Stop::Drained);
                }
                Err(_) if self.hears_errors(inlet) => {
                    self.hear_errors(socket, inlet.family(), sink)?;
                    continue;
                }
                Err(error) if concerns_one_packet(&error) => continue,
                Err(error) => return Err(error),
            };
            let control = &control[..message.control];
            let Some(facts) = self.accept(&message, control) else {
                continue;
            };
            let Some(train) = intake.take(message.octets) else {
                continue;
            };
            let datagram = Datagram {
                inlet,
                peer: parse_ip(&name[..message.name]),
                facts,
                control,
                train,
            };
            if facts.segment.is_some_and(|size| size < message.octets) {
                taken += self.split(datagram, pool, sink);
                continue;
            }
            match datagram.received(self.port, pool) {
                Some(received) => sink(received),
                None => count(&self.tally.malformed),
            }
        }
        Ok(Stop::Budget)
    }

    /// What came together: ESP stays so, as a train. Where something else is among it every datagram
    /// goes its own way. How many there are.
    fn split(&self, datagram: Datagram<'_>, pool: &Pool, sink: &mut impl FnMut(Received)) -> usize {
        let mut train = datagram.train;
        let (octets, size) = (train.last(), datagram.facts.segment.unwrap_or(0).max(1));
        let segments = octets.div_ceil(size);
        let last = octets - (segments - 1) * size;
        let Ok(many) = u16::try_from(segments) else {
            count(&self.tally.malformed);
            return segments;
        };
        train.set_segments(Train::HEADROOM, size, 0, many, (size, last));
        let is_esp = |octets: &[u8]| UdpKind::of(octets) == UdpKind::Esp;
        if train.segments().all(is_esp) {
            match (Datagram { train, ..datagram }).received(self.port, pool) {
                Some(received) => sink(received),
                None => count(&self.tally.malformed),
            }
            return segments;
        }
        for octets in train.segments() {
            let alone = Datagram {
                train: Train::detached(octets),
                ..datagram
            };
            match alone.received(self.port, pool) {
                Some(received) => sink(received),
                None => count(&self.tally.malformed),
            }
        }
        segments
    }

    /// Its facts, if it came whole and was sent to us.
    #[inline]
    fn accept(&self, message: &Message, control: &[u8]) -> Option<Facts> {
        if message.flags & libc::MSG_TRUNC != 0 {
            count(&self.tally.truncated);
            return None;
        }
        let facts = Facts::of(control);
        let Some(destination) = facts.destination else {
            count(&self.tally.malformed);
            return None;
        };
        if message.flags & libc::MSG_CTRUNC != 0 {
            count(&self.tally.malformed);
            return None;
        }
        if self.addresses.binary_search(&destination).is_err() {
            count(&self.tally.foreign);
            return None;
        }
        Some(facts)
    }
}

/// What came in, with what the kernel says of it.
struct Datagram<'a> {
    inlet: Inlet,
    peer: Option<(std::net::IpAddr, u16)>,
    facts: Facts,
    control: &'a [u8],
    train: Train,
}

impl Datagram<'_> {
    #[inline]
    fn received(self, port: u16, pool: &Pool) -> Option<Received> {
        let interface = self.facts.interface;
        match self.inlet {
            Inlet::Esp4 | Inlet::Ah4 => {
                let meta = Arrival::Whole { interface };
                Some(Received::Packet(Packet::new(self.train, meta)))
            }
            Inlet::Udp4 | Inlet::Udp6 => self.udp(port),
            Inlet::Esp6 if !restore::has_extensions(self.control) => {
                let outer = self.outer(Encapsulation::Esp)?;
                let meta = Arrival::Payload(outer);
                Some(Received::Packet(Packet::new(self.train, meta)))
            }
            Inlet::Esp6 => self.whole_ipv6(libc::IPPROTO_ESP as u8, pool),
            Inlet::Ah6 => self.whole_ipv6(libc::IPPROTO_AH as u8, pool),
            Inlet::Icmp4 | Inlet::Icmp6 => None,
        }
    }

    #[inline]
    fn udp(self, port: u16) -> Option<Received> {
        let outer = self.outer(Encapsulation::Udp {
            source: self.peer?.1,
            destination: port,
        })?;
        let train = self.train;
        Some(match UdpKind::of(train.packet()) {
            UdpKind::Esp => Received::Packet(Packet::new(train, Arrival::Payload(outer))),
            kind @ (UdpKind::NonEsp | UdpKind::Keepalive) => {
                Received::Datagram { kind, outer, train }
            }
        })
    }

    fn whole_ipv6(self, protocol: u8, pool: &Pool) -> Option<Received> {
        let outer = self.outer(Encapsulation::Esp)?;
        let train = restore::whole(self.train, &outer, protocol, self.control, pool)?;
        let interface = outer.interface;
        let meta = Arrival::Whole { interface };
        Some(Received::Packet(Packet::new(train, meta)))
    }

    #[inline]
    fn outer(&self, encapsulation: Encapsulation) -> Option<Outer> {
        Some(Outer {
            source: self.peer?.0,
            destination: self.facts.destination?,
            interface: self.facts.interface,
            tos: self.facts.tos,
            hop_limit: self.facts.hop_limit,
            // No socket tells; see `Outer::dont_fragment`.
            dont_fragment: DontFragment::Clear,
            encapsulation,
        })
    }
}

/// Errors that an ICMP message or a signal left behind; the next packet is not concerned.
pub(super) fn concerns_one_packet(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(
            libc::EINTR
                | libc::ECONNREFUSED
                | libc::EHOSTUNREACH
                | libc::ENETUNREACH
                | libc::EMSGSIZE
                | libc::EPROTO
        )
    )
}

pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
