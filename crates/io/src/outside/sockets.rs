//! Opening the sockets.
//!
//! **Several sockets, one port.** Don't Fragment is a property of a socket, and so is whether UDP
//! has a checksum, which trains need and RFC 3948 would rather do without. So each family has five
//! UDP sockets with the same port: one that receives, and for single datagrams and for trains one
//! that sends and probes (DF set) and one that sends and lets the network fragment. Those that send must never receive, or datagrams would
//! be lost in them. `SO_REUSEPORT` would spread arrivals over all, and let any other program of our
//! user join in silently. Instead a send-only
//! socket is bound to an address that no packet is ever sent to (192.0.0.8, RFC 7600; 100::1 in the
//! discard-only prefix, RFC 6666), which `IP_FREEBIND` allows; the source of what it sends comes
//! from `IP_PKTINFO` with every packet. `SO_REUSEADDR` is on for these binds and off again
//! afterwards, so the port is ours alone: another program's bind fails, as does ours when another
//! program has the port. Send-only raw sockets for protocol 50 hide from arrivals the same way,
//! which saves the kernel a copy of each.
//!
//! **Leaving by a named interface.** For IPv4 `IP_PKTINFO` does it. IPv6 takes the interface in
//! `IPV6_PKTINFO` for a wish that a longer prefix elsewhere overrides, such as the route of the
//! protected destination into our own device; only a socket bound to the interface insists. So IPv6
//! has a few sets of send-only sockets that are bound to an interface when one is first named.
//! (They are made beforehand, for a socket belongs to the namespace of the thread that makes it.)
//! With UDP alone there are none: packets leave by the routes, for to bind a socket anew takes a
//! capability.
//!
//! **Without raw sockets** (UDP alone) nothing here takes a capability, and what routers say of
//! packets that were too big waits in the error queue of the socket that receives (`errors.rs`).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use libc::c_int;
use nix::sys::socket::{SockaddrStorage, getsockname};

use super::{Carriers, Config, OpenError, too_big};
use crate::address::Name;
use crate::sys;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
}

/// The sockets of one family.
#[derive(Debug)]
pub(super) struct Sockets {
    /// Receives UDP.
    pub(super) udp: OwnedFd,
    /// Leave by the interface that the route says.
    usual: Outlets,
    /// Leave by one interface.
    directed: Vec<Directed>,
    /// Which of `directed` is to serve the next interface that is named.
    next_directed: Mutex<usize>,
    /// `None` with UDP alone.
    pub(super) raw: Option<Raw>,
}

/// The raw sockets beside those that send protocol 50.
#[derive(Debug)]
pub(super) struct Raw {
    /// Receives protocol 50.
    pub(super) esp: OwnedFd,
    /// Receives protocol 51.
    pub(super) ah: OwnedFd,
    /// Hears of packets that were too big.
    pub(super) icmp: OwnedFd,
    /// Sends packets with their IP header.
    pub(super) whole: OwnedFd,
}

/// What sends payload.
#[derive(Debug)]
pub(super) struct Outlets {
    pub(super) udp: Pair,
    /// For trains: the kernel cuts them, and writes the checksums that it needs to do so.
    pub(super) udp_trains: Pair,
    /// Protocol 50; `None` with UDP alone.
    pub(super) esp: Option<Pair>,
}

/// Two sockets that only send.
#[derive(Debug)]
pub(super) struct Pair {
    /// With DF set.
    pub(super) probing: OwnedFd,
    /// With DF clear.
    pub(super) fragmenting: OwnedFd,
}

/// Outlets bound to an interface.
#[derive(Debug)]
struct Directed {
    /// Its index; 0: none yet.
    interface: AtomicU32,
    outlets: Outlets,
}

/// Opens the families that are wanted with one port.
pub(super) fn open(
    families: [Option<Family>; 2],
    config: &Config,
) -> Result<(u16, [Option<Sockets>; 2]), OpenError> {
    let port = config.port;
    for _ in 0..PORT_ATTEMPTS {
        let mut chosen = port;
        let mut open_one = |family: Option<Family>| {
            let sockets = family.map(|family| Sockets::open(family, &mut chosen, config));
            sockets.transpose()
        };
        let opened = open_one(families[0]).and_then(|v4| Ok([v4, open_one(families[1])?]));
        match opened {
            // The port that IPv4 was given may be taken in IPv6.
            Err(OpenError::PortInUse(_)) if port == 0 => {}
            opened => return opened.map(|sockets| (chosen, sockets)),
        }
    }
    Err(OpenError::PortInUse(port))
}

/// How often the kernel is asked for a port that is free in both families.
const PORT_ATTEMPTS: usize = 16;

/// How many interfaces IPv6 packets may insist on without sockets being bound anew.
const DIRECTED: usize = 4;

impl Sockets {
    /// `port` 0 is replaced by the one that the kernel chose.
    fn open(family: Family, port: &mut u16, config: &Config) -> Result<Sockets, OpenError> {
        let carriers = config.carriers;
        let directed = match (family, carriers) {
            (Family::V6, Carriers::All) => DIRECTED,
            (Family::V4, _) | (_, Carriers::UdpOnly) => 0,
        };
        let directed = (0..directed).map(|_| {
            Ok::<_, OpenError>(Directed {
                interface: AtomicU32::new(0),
                outlets: Outlets::open(family, carriers)?,
            })
        });
        let sockets = Sockets {
            udp: family.socket(libc::SOCK_DGRAM, libc::IPPROTO_UDP)?,
            usual: Outlets::open(family, carriers)?,
            directed: directed.collect::<Result<_, _>>()?,
            next_directed: Mutex::new(0),
            raw: match carriers {
                Carriers::All => Some(Raw::open(family)?),
                Carriers::UdpOnly => None,
            },
        };
        sockets.bind(family, port)?;
        let configured = sockets.configure(family, config);
        configured.map_err(|error| other("setting up the sockets of the outside", error))?;
        Ok(sockets)
    }

    /// The outlets that leave by this interface, whatever the routes say.
    ///
    /// # Errors
    /// ENODEV if there is no such interface.
    #[inline]
    pub(super) fn towards(&self, interface: u32) -> io::Result<&Outlets> {
        if interface == 0 || self.directed.is_empty() {
            return Ok(&self.usual);
        }
        match self.bound_to(interface) {
            Some(outlets) => Ok(outlets),
            None => self.direct(interface),
        }
    }

    #[inline]
    fn bound_to(&self, interface: u32) -> Option<&Outlets> {
        let mut directed = self.directed.iter();
        let found = directed.find(|d| d.interface.load(Ordering::Acquire) == interface);
        found.map(|directed| &directed.outlets)
    }

    /// Binds the outlets that have served longest. What another thread sends through them just now
    /// may leave by the new interface; it is lost like any packet.
    #[cold]
    fn direct(&self, interface: u32) -> io::Result<&Outlets> {
        let next = self.next_directed.lock();
        let mut next = next.unwrap_or_else(PoisonError::into_inner);
        if let Some(outlets) = self.bound_to(interface) {
            return Ok(outlets);
        }
        let Some(directed) = self.directed.get(*next) else {
            return Ok(&self.usual);
        };
        directed.interface.store(0, Ordering::Release);
        let index = c_int::try_from(interface).unwrap_or(c_int::MAX);
        for socket in directed.outlets.all() {
            set(socket, libc::SOL_SOCKET, libc::SO_BINDTOIFINDEX, index)?;
        }
        directed.interface.store(interface, Ordering::Release);
        *next = (*next + 1) % self.directed.len();
        Ok(&directed.outlets)
    }

    /// Binds one UDP socket to the port on every address, the others to the same port where nothing
    /// arrives; raw sockets that do not receive, too.
    fn bind(&self, family: Family, port: &mut u16) -> Result<(), OpenError> {
        let bind_error = |error: io::Error| match error.raw_os_error() {
            Some(libc::EADDRINUSE) => OpenError::PortInUse(*port),
            Some(libc::EACCES) => OpenError::PortNotAllowed(*port),
            _ => other("binding the UDP port", error),
        };
        let receiving = &self.udp;
        if family == Family::V6 {
            set(receiving, libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, 1).map_err(bind_error)?;
        }
        sys::bind(receiving, family.anywhere(*port).octets()).map_err(bind_error)?;
        let chosen = bound_port(receiving).map_err(bind_error)?;
        let hidden_udp: Vec<_> = self
            .outlets()
            .flat_map(|outlets| [&outlets.udp, &outlets.udp_trains])
            .flat_map(Pair::both)
            .collect();
        let hidden_raw: Vec<_> = self
            .outlets()
            .filter_map(|outlets| outlets.esp.as_ref())
            .collect();
        let hide = || {
            for raw in hidden_raw.into_iter().flat_map(Pair::both) {
                family.bind_nowhere(raw, 0)?;
            }
            let all = || hidden_udp.iter().chain([&receiving]);
            let reuse = |fd: &OwnedFd, on| set(fd, libc::SOL_SOCKET, libc::SO_REUSEADDR, on);
            all().try_for_each(|fd| reuse(fd, 1))?;
            let bound = hidden_udp
                .iter()
                .try_for_each(|udp| family.bind_nowhere(udp, chosen));
            all().try_for_each(|fd| reuse(fd, 0))?;
            bound
        };
        hide().map_err(bind_error)?;
        *port = chosen;
        Ok(())
    }

    fn configure(&self, family: Family, config: &Config) -> io::Result<()> {
        let buffer = config.buffer;
        for outlets in self.outlets() {
            outlets.configure(family)?;
            for socket in outlets.all() {
                enlarge(socket, libc::SO_SNDBUFFORCE, libc::SO_SNDBUF, buffer);
            }
        }
        let raw = self.raw.iter().flat_map(|raw| [&raw.esp, &raw.ah]);
        for receiving in raw.chain([&self.udp]) {
            family.ask_for_facts(receiving)?;
            enlarge(receiving, libc::SO_RCVBUFFORCE, libc::SO_RCVBUF, buffer);
        }
        match &self.raw {
            Some(raw) => raw.configure(family, buffer),
            None => family.ask_for_errors(&self.udp),
        }
    }

    /// Whether the kernel knows trains to send: no size is set, each train brings its own.
    pub(super) fn probe_trains(&self) -> io::Result<()> {
        let socket = &self.usual.udp_trains.probing;
        set(socket, libc::SOL_UDP, libc::UDP_SEGMENT, 0)
    }

    /// Has the kernel hand over datagrams of one flow together (1), or not (0).
    pub(super) fn receive_trains(&self, wanted: c_int) -> io::Result<()> {
        set(&self.udp, libc::SOL_UDP, libc::UDP_GRO, wanted)
    }

    fn outlets(&self) -> impl Iterator<Item = &Outlets> {
        let directed = self.directed.iter().map(|directed| &directed.outlets);
        directed.chain([&self.usual])
    }
}

impl Raw {
    fn open(family: Family) -> Result<Raw, OpenError> {
        Ok(Raw {
            esp: family.socket(libc::SOCK_RAW, libc::IPPROTO_ESP)?,
            ah: family.socket(libc::SOCK_RAW, libc::IPPROTO_AH)?,
            icmp: too_big::open(family)?,
            whole: family.socket(libc::SOCK_RAW, libc::IPPROTO_RAW)?,
        })
    }

    fn configure(&self, family: Family, buffer: usize) -> io::Result<()> {
        enlarge(&self.whole, libc::SO_SNDBUFFORCE, libc::SO_SNDBUF, buffer);
        match family {
            Family::V4 => set(&self.whole, libc::IPPROTO_IP, libc::IP_HDRINCL, 1),
            Family::V6 => {
                ask_for_extension_headers(&self.esp)?;
                family.ask_for_errors(&self.esp)?;
                ask_for_extension_headers(&self.ah)?;
                set(&self.whole, libc::IPPROTO_IPV6, libc::IPV6_HDRINCL, 1)
            }
        }
    }
}

impl Outlets {
    fn open(family: Family, carriers: Carriers) -> Result<Outlets, OpenError> {
        let pair = |kind, protocol| {
            Ok::<_, OpenError>(Pair {
                probing: family.socket(kind, protocol)?,
                fragmenting: family.socket(kind, protocol)?,
            })
        };
        Ok(Outlets {
            udp: pair(libc::SOCK_DGRAM, libc::IPPROTO_UDP)?,
            udp_trains: pair(libc::SOCK_DGRAM, libc::IPPROTO_UDP)?,
            esp: match carriers {
                Carriers::All => Some(pair(libc::SOCK_RAW, libc::IPPROTO_ESP)?),
                Carriers::UdpOnly => None,
            },
        })
    }

    fn configure(&self, family: Family) -> io::Result<()> {
        for pair in self.pairs() {
            family.set_fragmentation(&pair.probing, PROBE)?;
            family.set_fragmentation(&pair.fragmenting, DONT)?;
        }
        if family == Family::V4 {
            for udp in self.udp.both() {
                // RFC 3948 section 2.1: the UDP checksum should be zero.
                set(udp, libc::SOL_SOCKET, libc::SO_NO_CHECK, 1)?;
            }
        }
        Ok(())
    }

    fn all(&self) -> impl Iterator<Item = &OwnedFd> {
        self.pairs().flat_map(Pair::both)
    }

    fn pairs(&self) -> impl Iterator<Item = &Pair> {
        [&self.udp, &self.udp_trains].into_iter().chain(&self.esp)
    }
}

impl Pair {
    fn both(&self) -> [&OwnedFd; 2] {
        [&self.probing, &self.fragmenting]
    }
}

fn bound_port(socket: &OwnedFd) -> io::Result<u16> {
    let name: SockaddrStorage = getsockname(socket.as_raw_fd())?;
    let ipv4 = name.as_sockaddr_in().map(|name| name.port());
    let ipv6 = name.as_sockaddr_in6().map(|name| name.port());
    Ok(ipv4.or(ipv6).unwrap_or(0))
}

impl Family {
    pub(super) fn of(address: IpAddr) -> Family {
        match address {
            IpAddr::V4(_) => Family::V4,
            IpAddr::V6(_) => Family::V6,
        }
    }

    fn level(self) -> c_int {
        match self {
            Family::V4 => libc::IPPROTO_IP,
            Family::V6 => libc::IPPROTO_IPV6,
        }
    }

    fn anywhere(self, port: u16) -> Name {
        let address = match self {
            Family::V4 => Ipv4Addr::UNSPECIFIED.into(),
            Family::V6 => Ipv6Addr::UNSPECIFIED.into(),
        };
        Name::ip(address, port, 0)
    }

    /// Binds to an address that nobody has.
    fn bind_nowhere(self, socket: &OwnedFd, port: u16) -> io::Result<()> {
        let (address, free_bind) = match self {
            Family::V4 => (Ipv4Addr::new(192, 0, 0, 8).into(), libc::IP_FREEBIND),
            Family::V6 => (
                Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 1).into(),
                libc::IPV6_FREEBIND,
            ),
        };
        set(socket, self.level(), free_bind, 1)?;
        let bound = sys::bind(socket, Name::ip(address, port, 0).octets());
        // From here on a source that is not ours is refused again.
        set(socket, self.level(), free_bind, 0)?;
        bound
    }

    pub(super) fn socket(self, kind: c_int, protocol: c_int) -> Result<OwnedFd, OpenError> {
        let domain = match self {
            Family::V4 => libc::AF_INET,
            Family::V6 => libc::AF_INET6,
        };
        let socket = sys::socket(domain, kind, protocol);
        socket.map_err(|error| match error.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => OpenError::NoCapability,
            Some(libc::EAFNOSUPPORT) if self == Family::V6 => OpenError::NoIpv6,
            _ => other("making a socket", error),
        })
    }

    fn set_fragmentation(self, socket: &OwnedFd, discover: Discover) -> io::Result<()> {
        match self {
            Family::V4 => set(socket, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, discover.0),
            Family::V6 => {
                let level = libc::IPPROTO_IPV6;
                set(socket, level, libc::IPV6_MTU_DISCOVER, discover.0)?;
                set(
                    socket,
                    level,
                    libc::IPV6_DONTFRAG,
                    (discover == PROBE).into(),
                )
            }
        }
    }

    /// What ICMP says of datagrams from this socket's port, in its error queue.
    fn ask_for_errors(self, socket: &OwnedFd) -> io::Result<()> {
        // Only a socket that minds the path's MTU is told of it.
        self.set_fragmentation(socket, PROBE)?;
        let errors = match self {
            Family::V4 => libc::IP_RECVERR,
            Family::V6 => libc::IPV6_RECVERR,
        };
        set(socket, self.level(), errors, 1)
    }

    /// Destination, interface, TOS and TTL with every datagram.
    fn ask_for_facts(self, socket: &OwnedFd) -> io::Result<()> {
        let facts = match self {
            Family::V4 => [libc::IP_PKTINFO, libc::IP_RECVTOS, libc::IP_RECVTTL],
            Family::V6 => [
                libc::IPV6_RECVPKTINFO,
                libc::IPV6_RECVTCLASS,
                libc::IPV6_RECVHOPLIMIT,
            ],
        };
        facts
            .into_iter()
            .try_for_each(|fact| set(socket, self.level(), fact, 1))
    }
}

/// How a socket treats packets larger than the MTU (IP_MTU_DISCOVER).
#[derive(Clone, Copy, PartialEq, Eq)]
struct Discover(c_int);

/// Refuses them; believes the interface's MTU and not what ICMP says, which anybody can forge.
const PROBE: Discover = Discover(libc::IP_PMTUDISC_PROBE);
/// Fragments them.
const DONT: Discover = Discover(libc::IP_PMTUDISC_DONT);

fn ask_for_extension_headers(socket: &OwnedFd) -> io::Result<()> {
    [
        libc::IPV6_RECVHOPOPTS,
        libc::IPV6_RECVDSTOPTS,
        libc::IPV6_RECVRTHDR,
        libc::IPV6_FLOWINFO,
    ]
    .into_iter()
    .try_for_each(|fact| set(socket, libc::IPPROTO_IPV6, fact, 1))
}

/// Buffers beyond the host's limit need CAP_NET_ADMIN; as large as the limit allows will do.
fn enlarge(socket: &OwnedFd, forced: c_int, usual: c_int, octets: usize) {
    let octets = c_int::try_from(octets).unwrap_or(c_int::MAX);
    if set(socket, libc::SOL_SOCKET, forced, octets).is_err() {
        let _ = set(socket, libc::SOL_SOCKET, usual, octets);
    }
}

fn set(socket: impl AsFd, level: c_int, name: c_int, value: c_int) -> io::Result<()> {
    sys::set_option(socket, level, name, &value.to_ne_bytes())
}

fn other(doing: &'static str, error: io::Error) -> OpenError {
    OpenError::Other { doing, error }
}
