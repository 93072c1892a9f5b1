//! The unprotected side: UDP encapsulation, raw protocols 50 and 51, and whole packets, in both
//! families.
//!
//! Sockets are bound to no address of ours, so that addresses may come and go; what was sent to an
//! address that is not in the list is counted and dropped here. Facts of the outer header travel as
//! control messages, but Don't Fragment, which the kernel knows per socket only: so UDP and ESP have
//! send-only sockets beside those that receive (see `sockets.rs`).

mod errors;
mod gather;
mod pooled;
mod receive;
mod restore;
mod send;
mod sockets;
mod too_big;
mod trains;

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use sealway_packet::{Arrival, Outer, Packet, Train};
use sealway_wire::TooBig;

use crate::netlink::{self, Netlink};
use crate::offload::Kinds;

pub use gather::Gathering;
pub use pooled::Pooled;
pub use receive::BATCH;
use sockets::{Family, Sockets};
use trains::{Gro, Trains};

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
    /// What it carries.
    pub carriers: Carriers,
    /// Of these `gso` and `gro`: whether datagrams of one flow are sent together, and received so,
    /// where the kernel can.
    pub offloads: Kinds,
}

/// What an outside carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carriers {
    /// UDP, protocols 50 and 51. For raw sockets, CAP_NET_RAW is needed.
    All,
    /// UDP, for which no capability is needed. Packets leave by the interface that the routes say.
    UdpOnly,
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
    /// The interfaces cannot be asked for their MTU.
    #[error(transparent)]
    Netlink(#[from] netlink::Error),
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
    /// ICMP's reports of packets that were too big.
    Icmp4,
    /// ICMPv6's reports of packets that were too big.
    Icmp6,
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
    /// A report of an ESP packet from an address of ours that was too big. Anyone can have sent it.
    TooBig(TooBig),
}

/// Why [`Outside::receive`] came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Nothing waits any more.
    Drained,
    /// It has handed over its fill; more may wait.
    Budget,
    /// No large buffer is free, which each read needs for a moment; more may wait.
    PoolEmpty,
}

/// What went wrong since the outside was opened: datagrams received and not handed over, and trains.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Sent to an address that is not in the list.
    pub foreign: u64,
    /// Longer than any buffer.
    pub truncated: u64,
    /// Without the facts that the kernel should have given.
    pub malformed: u64,
    /// Trains that the kernel would not cut, and that were sent datagram by datagram.
    pub trains_refused: u64,
}

/// The sockets of one outside.
#[derive(Debug)]
pub struct Outside {
    /// Sorted.
    addresses: Vec<IpAddr>,
    port: u16,
    carriers: Carriers,
    ipv4: Option<Sockets>,
    ipv6: Option<Sockets>,
    tally: Tally,
    trains: Trains,
    gro: Gro,
    /// Asked for the MTU when a packet was too big.
    netlink: Mutex<Netlink>,
}

/// [`Counters`], while they count.
#[derive(Debug, Default)]
struct Tally {
    foreign: AtomicU64,
    truncated: AtomicU64,
    malformed: AtomicU64,
}

impl Outside {
    /// Opens the sockets in the calling thread's namespace.
    pub fn open(config: &Config) -> Result<Outside, OpenError> {
        if config.addresses.is_empty() {
            return Err(OpenError::NoAddresses);
        }
        let families = [Family::V4, Family::V6].map(|family| {
            let listed = config.addresses.iter().any(|a| Family::of(*a) == family);
            listed.then_some(family)
        });
        let (port, [ipv4, ipv6]) = sockets::open(families, config)?;
        let both = || ipv4.iter().chain(&ipv6);
        let trains = Trains::new(config.offloads, both());
        let gro = Gro::new(config.offloads, both());
        let mut outside = Outside {
            addresses: Vec::new(),
            port,
            carriers: config.carriers,
            ipv4,
            ipv6,
            tally: Tally::default(),
            trains,
            gro,
            netlink: Mutex::new(Netlink::open()?),
        };
        outside.set_addresses(config.addresses.clone());
        Ok(outside)
    }

    /// The UDP port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What it carries.
    pub fn carriers(&self) -> Carriers {
        self.carriers
    }

    /// Replaces the list of addresses that datagrams are taken for. Families that were not opened
    /// stay closed.
    pub fn set_addresses(&mut self, mut addresses: Vec<IpAddr>) {
        addresses.sort_unstable();
        self.addresses = addresses;
    }

    /// The sockets to poll for reading.
    pub fn inlets(&self) -> impl Iterator<Item = (Inlet, BorrowedFd<'_>)> {
        let open = |inlet| Some((inlet, self.inlet(inlet)?));
        Inlet::ALL.into_iter().filter_map(open)
    }

    /// What was received and not handed over.
    pub fn counters(&self) -> Counters {
        Counters {
            foreign: self.tally.foreign.load(Ordering::Relaxed),
            truncated: self.tally.truncated.load(Ordering::Relaxed),
            malformed: self.tally.malformed.load(Ordering::Relaxed),
            trains_refused: self.trains.refused(),
        }
    }

    fn inlet(&self, inlet: Inlet) -> Option<BorrowedFd<'_>> {
        let sockets = self.family(inlet.family())?;
        let raw = sockets.raw.as_ref();
        let socket = match inlet {
            Inlet::Udp4 | Inlet::Udp6 => &sockets.udp,
            Inlet::Esp4 | Inlet::Esp6 => &raw?.esp,
            Inlet::Ah4 | Inlet::Ah6 => &raw?.ah,
            Inlet::Icmp4 | Inlet::Icmp6 => &raw?.icmp,
        };
        Some(socket.as_fd())
    }

    fn family(&self, family: Family) -> Option<&Sockets> {
        match family {
            Family::V4 => self.ipv4.as_ref(),
            Family::V6 => self.ipv6.as_ref(),
        }
    }
}

impl Inlet {
    /// All that can be.
    pub const ALL: [Inlet; 8] = [
        Inlet::Udp4,
        Inlet::Udp6,
        Inlet::Esp4,
        Inlet::Esp6,
        Inlet::Ah4,
        Inlet::Ah6,
        Inlet::Icmp4,
        Inlet::Icmp6,
    ];

    fn family(self) -> Family {
        match self {
            Inlet::Udp4 | Inlet::Esp4 | Inlet::Ah4 | Inlet::Icmp4 => Family::V4,
            Inlet::Udp6 | Inlet::Esp6 | Inlet::Ah6 | Inlet::Icmp6 => Family::V6,
        }
    }
}

impl UdpKind {
    /// What a datagram with this payload is.
    pub fn of(payload: &[u8]) -> UdpKind {
        match payload {
            [0xff] => UdpKind::Keepalive,
            [0, 0, 0, 0, ..] => UdpKind::NonEsp,
            _ => UdpKind::Esp,
        }
    }
}
