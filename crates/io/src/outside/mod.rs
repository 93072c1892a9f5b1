//! The unprotected side: UDP encapsulation, raw protocols 50 and 51, and whole packets, in both
//! families.

use std::io;
use std::net::IpAddr;
use std::os::fd::BorrowedFd;

use sealway_packet::{Arrival, Egress, Outer, Packet, Pool, Train};

use crate::clear::Clear;
use crate::{Device, SendError};

/// What to open.
#[derive(Clone, Debug)]
pub struct Config {
    /// Our addresses. Only what is sent to one of them is taken; a family without an address gets
    /// no sockets.
    pub addresses: Vec<IpAddr>,
    /// The UDP port, the same in both families; 0: the kernel chooses, ask [`Outside::port`].
    pub port: u16,
    /// What each socket's buffers should hold, in octets; the kernel may grant less.
    pub buffer: usize,
}

/// Why the outside could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The list of addresses is empty.
    #[error("the outside has no addresses: name at least one")]
    NoAddresses,
    /// Somebody else has the port.
    #[error("UDP port {0} is in use by another program: stop it or choose another port")]
    PortInUse(u16),
    /// A port below 1024 without the right to it.
    #[error("UDP port {0} may not be bound: the capability CAP_NET_BIND_SERVICE is missing")]
    PortNotAllowed(u16),
    /// No CAP_NET_RAW.
    #[error(
        "raw sockets are refused: the capability CAP_NET_RAW is missing (run as root, or grant it)"
    )]
    NoCapability,
    /// The kernel has no IPv6.
    #[error("the kernel has no IPv6, but an IPv6 address is listed")]
    NoIpv6,
    /// Anything else.
    #[error("{doing} failed: {error}")]
    Other {
        /// What we were doing.
        doing: &'static str,
        /// What the kernel said.
        #[source]
        error: io::Error,
    },
}

/// A socket that packets come in by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Inlet {
    /// UDP over IPv4.
    Udp4,
    /// UDP over IPv6.
    Udp6,
    /// IPv4 protocol 50.
    Esp4,
    /// IPv6 protocol 50.
    Esp6,
    /// IPv4 protocol 51.
    Ah4,
    /// IPv6 protocol 51.
    Ah6,
}

/// What a UDP datagram on the encapsulation port is (RFC 3948 section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UdpKind {
    /// ESP; also anything too short to tell, which the engine drops by name.
    Esp,
    /// A key manager's: behind a marker of four zero octets, where an SPI would stand.
    NonEsp,
    /// One octet 0xff that keeps a NAT's mapping alive.
    Keepalive,
}

/// What came in.
#[derive(Debug)]
pub enum Received {
    /// ESP or AH: for the engine.
    Packet(Packet<Arrival>),
    /// A datagram that is not ESP.
    Datagram {
        /// What it is; never [`UdpKind::Esp`].
        kind: UdpKind,
        /// Its outer header.
        outer: Outer,
        /// The UDP payload, marker included.
        train: Train,
    },
}

/// Why [`Outside::receive`] came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Nothing waits any more.
    Drained,
    /// It has handed over its fill; more may wait.
    Budget,
    /// No buffer is free; more may wait.
    PoolEmpty,
}

/// Datagrams that were received and not handed over, since the outside was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Sent to an address that is not in the list.
    pub foreign: u64,
    /// Longer than the buffer that was free.
    pub truncated: u64,
    /// Without the facts that the kernel should have given.
    pub malformed: u64,
}

/// The sockets of one outside.
#[derive(Debug)]
pub struct Outside {
    port: u16,
}

impl Outside {
    /// Opens the sockets in the calling thread's namespace.
    pub fn open(config: &Config) -> Result<Outside, OpenError> {
        Ok(Outside { port: config.port })
    }

    /// The UDP port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Replaces the list of addresses that datagrams are taken for. Families that were not opened
    /// stay closed.
    pub fn set_addresses(&mut self, addresses: Vec<IpAddr>) {
        let _ = addresses;
    }

    /// The sockets to poll for reading.
    pub fn inlets(&self) -> impl Iterator<Item = (Inlet, BorrowedFd<'_>)> {
        std::iter::empty()
    }

    /// Sends every segment of the train, each as an IP packet of its own.
    ///
    /// [`Egress::Payload`] may be ESP or ESP in UDP from our port; AH must come as
    /// [`Egress::Whole`], because the ICV covers an identification that only its maker knows.
    /// A whole packet is never fragmented here: it is too big instead, whatever its DF says. Its
    /// IPv4 header checksum is filled in.
    ///
    /// # Errors
    /// The first failure; segments before it have left.
    pub fn send(&self, egress: &Egress, train: &Train) -> Result<(), SendError> {
        let _ = (egress, train);
        Ok(())
    }

    /// Hands over what waits at one inlet, at most [`BATCH`] datagrams.
    ///
    /// UDP and IPv6 ESP without extension headers arrive as [`Arrival::Payload`]; IPv4 protocols
    /// 50 and 51, IPv6 AH, and IPv6 ESP behind extension headers as [`Arrival::Whole`].
    ///
    /// # Errors
    /// What the kernel says, if it is neither "nothing waits" nor about a single packet.
    pub fn receive(
        &self,
        inlet: Inlet,
        pool: &Pool,
        sink: &mut impl FnMut(Received),
    ) -> io::Result<Stop> {
        let _ = (inlet, pool, sink);
        Ok(Stop::Drained)
    }

    /// What was received and not handed over.
    pub fn counters(&self) -> Counters {
        Counters::default()
    }
}

/// The most datagrams that one call of [`Outside::receive`] hands over.
pub const BATCH: usize = 64;

/// An outside with its pool and, if there is one, its clear device: a whole [`Device`]. Datagrams
/// that are not ESP are dropped.
#[derive(Debug)]
pub struct Pooled {
    /// The sockets.
    pub outside: Outside,
    /// Where packets that no SA protects leave.
    pub clear: Option<Clear>,
    /// Where buffers come from.
    pub pool: Pool,
}

impl Device for Pooled {
    fn send(&mut self, egress: Egress, train: Train) -> Result<(), SendError> {
        match (egress, &self.clear) {
            (Egress::Clear, Some(clear)) => clear.send(&train),
            _ => self.outside.send(&egress, &train),
        }
    }

    fn receive(&mut self, sink: &mut dyn FnMut(Packet<Arrival>)) {
        let inlets: Vec<Inlet> = self.outside.inlets().map(|(inlet, _)| inlet).collect();
        for inlet in inlets {
            // A socket that fails now is asked again next time.
            let _ = self.outside.receive(inlet, &self.pool, &mut |received| {
                if let Received::Packet(packet) = received {
                    sink(packet);
                }
            });
        }
        if let Some(clear) = &self.clear {
            for _ in 0..BATCH {
                let Ok(Some(packet)) = clear.read(&self.pool) else {
                    break;
                };
                sink(packet);
            }
        }
    }
}
