//! The protected side: a TUN device whose packets are IP packets with a virtio header before them.

use std::fs::OpenOptions;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::errno::Errno;
use nix::sys::uio::{readv, writev};
use sealway_packet::{Checksum, Offload, Packet, Pool, Segmentation};

use sealway_wire::{tcp, udp, view};

use crate::intake::Intake;
use crate::netlink::{self, Netlink};
use crate::offload::{Kind, Kinds, State};
use crate::sys;

/// A TUN device, attached. It vanishes when dropped (also when the process is killed).
#[derive(Debug)]
pub struct Tun {
    fd: OwnedFd,
    name: String,
    index: AtomicU32,
    offloads: Mutex<Offloads>,
}

/// What the kernel leaves to us of the packets that it hands over.
#[derive(Debug, Default)]
struct Offloads {
    wanted: Kinds,
    /// What this kernel does not know, and its errno.
    refused: Vec<(Kind, i32)>,
    distrusted: Kinds,
}

/// What a TUN device may leave to us.
const LEFT: [Kind; 4] = [Kind::Checksum, Kind::Tso4, Kind::Tso6, Kind::Uso];

/// Why there is no TUN device.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// `/dev/net/tun` is not there.
    #[error(
        "/dev/net/tun is missing: load the kernel's `tun` module, or give the container the device"
    )]
    NoDriver,
    /// `/dev/net/tun` may not be opened.
    #[error("/dev/net/tun may not be opened: run as root, or allow this user to read and write it")]
    NotAllowed,
    /// No CAP_NET_ADMIN in this namespace, or the device belongs to another user.
    #[error(
        "the device {0} may not be created or attached: the capability CAP_NET_ADMIN is missing"
    )]
    NoCapability(String),
    /// Another process holds it.
    #[error(
        "the device {0} is in use by another process: stop that process or choose another name"
    )]
    Busy(String),
    /// The name belongs to a device of another kind.
    #[error(
        "the name {0} belongs to a device that is not a TUN device with one queue: choose another name"
    )]
    OtherKind(String),
    /// Not a name an interface can have.
    #[error("{0:?} is not an interface name: 1 to 15 octets without '/', ':', '%' or blanks are")]
    BadName(String),
    /// It is there, but its interface does not answer as it should.
    #[error("the device {name} could not be set up: {error}")]
    Interface {
        /// The device.
        name: String,
        /// What the kernel said.
        #[source]
        error: netlink::Error,
    },
    /// Anything else.
    #[error("the device {name} could not be set up: {error}")]
    Other {
        /// The device.
        name: String,
        /// What the kernel said.
        #[source]
        error: io::Error,
    },
}

impl Tun {
    /// Creates the device, or attaches to a persistent one that nobody uses, in the calling
    /// thread's namespace. It is down, has no address, and will make no address for itself
    /// (`addrgenmode none`); [`crate::netlink`] does the rest.
    pub fn open(name: &str) -> Result<Tun, OpenError> {
        if !is_interface_name(name) {
            return Err(OpenError::BadName(name.to_owned()));
        }
        let fd = open_driver(name)?;
        attach(&fd, name)?;
        let offloads = Offloads::probe(&fd);
        offloads.ask_for(&fd).map_err(|error| other(name, error))?;
        let mut netlink = Netlink::open().map_err(|error| interface(name, error))?;
        let index = quiet_index(name, &mut netlink)?;
        Ok(Tun {
            fd,
            name: name.to_owned(),
            index: AtomicU32::new(index),
            offloads: Mutex::new(offloads),
        })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its interface index.
    pub fn index(&self) -> u32 {
        self.index.load(Ordering::Relaxed)
    }

    /// Makes the device again after somebody has removed it, in the namespace that it was in: like
    /// new, with another index. Until then nothing is read and every write fails. `netlink` is of
    /// that namespace.
    ///
    /// # Errors
    /// As [`open`](Tun::open).
    pub fn make_again(&self, netlink: &mut Netlink) -> Result<(), OpenError> {
        match attach(&self.fd, &self.name) {
            // An earlier attempt got as far as this.
            Err(OpenError::Other { error, .. }) if error.raw_os_error() == Some(libc::EEXIST) => {}
            attached => attached?,
        }
        let asked = self.offloads().ask_for(&self.fd);
        asked.map_err(|error| other(&self.name, error))?;
        let index = quiet_index(&self.name, netlink)?;
        self.index.store(index, Ordering::Relaxed);
        Ok(())
    }

    /// Has the kernel leave only this work to us, as far as it can: what is not among it comes as it
    /// would leave a wire.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn want(&self, wanted: Kinds) -> io::Result<()> {
        let mut offloads = self.offloads();
        offloads.wanted = wanted;
        offloads.ask_for(&self.fd)
    }

    /// Has the kernel do again what was found to be done wrongly here, for as long as the device
    /// lives.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn distrust(&self, kind: Kind) -> io::Result<()> {
        let mut offloads = self.offloads();
        offloads.distrusted = offloads.distrusted.with(kind);
        offloads.ask_for(&self.fd)
    }

    /// What may be left to us, and how it stands with it.
    pub fn states(&self) -> impl Iterator<Item = (Kind, State)> + use<> {
        let offloads = self.offloads();
        LEFT.map(|kind| (kind, offloads.state(kind))).into_iter()
    }

    /// Whether the kernel knows UDP super-packets, which it then takes from us, too.
    pub fn knows_uso(&self) -> bool {
        !matches!(self.offloads().state(Kind::Uso), State::Refused(_))
    }

    fn offloads(&self) -> MutexGuard<'_, Offloads> {
        self.offloads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next packet, or `None` if none waits. It may be a super-packet, its checksum still to be
    /// made, as its offload says. The packet has [`Train::HEADROOM`] octets before
    /// it and at least [`Train::TAILROOM`] behind; a small buffer where it fits, else a large one.
    ///
    /// # Errors
    /// [`io::ErrorKind::OutOfMemory`] if the pool has no large buffer free (each read needs one for
    /// a moment); the packet then waits in the kernel.
    /// Otherwise what the kernel says: EIO or EBADFD once the device is removed.
    ///
    /// [`Train::HEADROOM`]: sealway_packet::Train::HEADROOM
    /// [`Train::TAILROOM`]: sealway_packet::Train::TAILROOM
    pub fn read(&self, pool: &Pool) -> io::Result<Option<Packet<()>>> {
        let mut intake = Intake::new(pool, VIRTIO_HEADER);
        let mut parts = intake.offer().ok_or(io::ErrorKind::OutOfMemory)?;
        let octets = match readv(&self.fd, &mut parts) {
            Ok(octets) => octets,
            Err(Errno::EAGAIN | Errno::EINTR) => return Ok(None),
            Err(errno) => return Err(errno.into()),
        };
        Ok(intake.take(octets).map(|mut train| Packet {
            offload: offload(intake.front(&mut train)),
            train,
            meta: (),
        }))
    }

    /// Gives the kernel one IP packet, a super-packet among them; it does the work that `offload`
    /// says is left.
    ///
    /// # Errors
    /// What the kernel says: EIO while the device is down, EINVAL for what is no IP packet.
    pub fn write(&self, packet: &[u8], offload: &Offload) -> io::Result<()> {
        let header = header(packet, offload);
        writev(&self.fd, &[IoSlice::new(&header), IoSlice::new(packet)])?;
        Ok(())
    }
}

impl Offloads {
    /// What this kernel offers, each asked for alone.
    fn probe(fd: &OwnedFd) -> Offloads {
        let refusal = |kind: Kind| {
            let alone = Kinds::NONE.with(kind).with(Kind::Checksum);
            let error = sys::set_tun_offload(fd, flags(alone)).err()?;
            Some((kind, error.raw_os_error().unwrap_or(libc::EINVAL)))
        };
        Offloads {
            wanted: Kinds::ALL,
            refused: LEFT.into_iter().filter_map(refusal).collect(),
            distrusted: Kinds::NONE,
        }
    }

    fn ask_for(&self, fd: &OwnedFd) -> io::Result<()> {
        let used = LEFT
            .into_iter()
            .filter(|kind| self.state(*kind) == State::On);
        match sys::set_tun_offload(fd, flags(used.collect())) {
            // A kernel without offloads has none to be told of.
            Err(_) if !self.refused.is_empty() && self.state(Kind::Checksum) != State::On => Ok(()),
            asked => asked,
        }
    }

    fn state(&self, kind: Kind) -> State {
        let refused = self.refused.iter().find(|(refused, _)| *refused == kind);
        let needed = kind
            .needs()
            .filter(|needed| self.state(*needed) != State::On);
        match (refused, needed) {
            _ if !self.wanted.has(kind) => State::Off,
            (Some((_, errno)), _) => State::Refused(*errno),
            _ if self.distrusted.has(kind) => State::Distrusted,
            (None, Some(needed)) => State::Without(needed),
            (None, None) => State::On,
        }
    }
}

/// As the kernel is told.
fn flags(kinds: Kinds) -> libc::c_uint {
    let flags = kinds.iter().map(|kind| match kind {
        Kind::Checksum => libc::TUN_F_CSUM,
        Kind::Tso4 => libc::TUN_F_TSO4 | libc::TUN_F_TSO_ECN,
        Kind::Tso6 => libc::TUN_F_TSO6 | libc::TUN_F_TSO_ECN,
        // The kernel takes both or none.
        Kind::Uso => libc::TUN_F_USO4 | libc::TUN_F_USO6,
        Kind::Coalesce | Kind::Gso | Kind::Gro => 0,
    });
    flags.fold(0, |all, one| all | one)
}

impl AsFd for Tun {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Octets of `struct virtio_net_hdr` (virtio 1.2 section 5.1.6), in this host's byte order.
const VIRTIO_HEADER: usize = 10;
const NEEDS_CHECKSUM: u8 = 1;
const DATA_VALID: u8 = 2;
const GSO_TCPV4: u8 = 1;
const GSO_TCPV6: u8 = 4;
const GSO_UDP_L4: u8 = 5;
/// Set beside a TCP kind when segments carry CWR.
const GSO_ECN: u8 = 0x80;

/// What the header before a packet says; without offloads asked for, that nothing is left to do.
fn offload(header: &[u8]) -> Offload {
    let &[flags, kind, _, _, s0, s1, c0, c1, o0, o1] = header else {
        return Offload::default();
    };
    let size = u16::from_ne_bytes([s0, s1]);
    let checksum = if flags & NEEDS_CHECKSUM != 0 {
        Checksum::Partial {
            start: u16::from_ne_bytes([c0, c1]),
            offset: u16::from_ne_bytes([o0, o1]),
        }
    } else if flags & DATA_VALID != 0 {
        Checksum::Verified
    } else {
        Checksum::Complete
    };
    let segmentation = match kind & !GSO_ECN {
        GSO_TCPV4 | GSO_TCPV6 => Some(Segmentation::Tcp(size)),
        GSO_UDP_L4 => Some(Segmentation::Udp(size)),
        0 => None,
        // Nobody asked for another kind. It is more than one packet, and cannot be cut.
        _ => Some(Segmentation::Tcp(0)),
    };
    Offload {
        checksum,
        segmentation,
    }
}

/// The header that leaves this work to the kernel; all zero where there is none.
fn header(packet: &[u8], offload: &Offload) -> [u8; VIRTIO_HEADER] {
    let Checksum::Partial { start, offset } = offload.checksum else {
        return [0; VIRTIO_HEADER];
    };
    let is_v4 = packet.first().is_some_and(|octet| octet >> 4 == 4);
    let upper = packet.get(usize::from(start)..).unwrap_or_default();
    let (kind, size, upper_header) = match offload.segmentation {
        None => (0, 0, 0),
        Some(Segmentation::Udp(size)) => (GSO_UDP_L4, size, udp::HEADER as u16),
        Some(Segmentation::Tcp(size)) => {
            let kind = if is_v4 { GSO_TCPV4 } else { GSO_TCPV6 };
            let tcp: Option<&tcp::Header> = view(upper, 0);
            let reduces_window = tcp.is_some_and(|tcp| tcp.flags & tcp::CWR != 0);
            let ecn = if reduces_window { GSO_ECN } else { 0 };
            let length = tcp.map_or(tcp::HEADER, tcp::Header::header_length);
            (kind | ecn, size, length as u16)
        }
    };
    let [h0, h1] = match size {
        0 => [0; 2],
        _ => start.saturating_add(upper_header).to_ne_bytes(),
    };
    let [s0, s1] = size.to_ne_bytes();
    let [c0, c1] = start.to_ne_bytes();
    let [o0, o1] = offset.to_ne_bytes();
    [NEEDS_CHECKSUM, kind, h0, h1, s0, s1, c0, c1, o0, o1]
}

/// What the kernel takes as a name (`dev_valid_name`), and not what it takes as a pattern.
fn is_interface_name(name: &str) -> bool {
    let taken = |octet: u8| octet.is_ascii_graphic() && !b"/:%".contains(&octet);
    (1..libc::IFNAMSIZ).contains(&name.len())
        && name.bytes().all(taken)
        && name != "."
        && name != ".."
}

fn open_driver(name: &str) -> Result<OwnedFd, OpenError> {
    let driver = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC)
        .open("/dev/net/tun");
    let file = driver.map_err(|error| match error.raw_os_error() {
        Some(libc::ENOENT | libc::ENODEV | libc::ENXIO | libc::ENOTDIR) => OpenError::NoDriver,
        Some(libc::EACCES | libc::EPERM) => OpenError::NotAllowed,
        _ => other(name, error),
    })?;
    Ok(file.into())
}

fn attach_error(name: &str, error: io::Error) -> OpenError {
    match error.raw_os_error() {
        Some(libc::EPERM) => OpenError::NoCapability(name.to_owned()),
        Some(libc::EBUSY) => OpenError::Busy(name.to_owned()),
        Some(libc::EINVAL) => OpenError::OtherKind(name.to_owned()),
        _ => other(name, error),
    }
}

fn other(name: &str, error: io::Error) -> OpenError {
    OpenError::Other {
        name: name.to_owned(),
        error,
    }
}

fn interface(name: &str, error: netlink::Error) -> OpenError {
    OpenError::Interface {
        name: name.to_owned(),
        error,
    }
}

/// Makes the device, or attaches to a persistent one.
fn attach(fd: &OwnedFd, name: &str) -> Result<(), OpenError> {
    let flags = libc::IFF_TUN | libc::IFF_NO_PI | libc::IFF_VNET_HDR;
    sys::attach_tun(fd, name, flags).map_err(|error| attach_error(name, error))?;
    sys::set_virtio_header(fd, VIRTIO_HEADER as i32).map_err(|error| other(name, error))
}

/// The index of the interface, which is kept from making addresses, and so from sending router
/// solicitations and multicast reports.
fn quiet_index(name: &str, netlink: &mut Netlink) -> Result<u32, OpenError> {
    let link = netlink.link(name);
    let index = link.map_err(|error| interface(name, error))?.index;
    // Refused where the kernel has no IPv6, and then there is nothing to keep it from.
    let _ = netlink.set_no_own_addresses(index);
    Ok(index)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_partial_checksum_and_a_super_packet_are_understood() {
        let mut header = [0; VIRTIO_HEADER];
        assert_eq!(offload(&header), Offload::default());
        header[0] = NEEDS_CHECKSUM;
        header[1] = GSO_TCPV6 | GSO_ECN;
        header[4..6].copy_from_slice(&1360u16.to_ne_bytes());
        header[6..8].copy_from_slice(&40u16.to_ne_bytes());
        header[8..].copy_from_slice(&16u16.to_ne_bytes());
        let wanted = Offload {
            checksum: Checksum::Partial {
                start: 40,
                offset: 16,
            },
            segmentation: Some(Segmentation::Tcp(1360)),
        };
        assert_eq!(offload(&header), wanted);
        // UDP in fragments.
        header[1] = 3;
        let cannot_be_cut = Some(Segmentation::Tcp(0));
        assert_eq!(offload(&header).segmentation, cannot_be_cut);
    }

    #[test]
    fn what_is_left_to_the_kernel_reads_back_as_it_was_written() {
        let ends = ["fd00::1", "fd00::2"].map(|address| address.parse().unwrap());
        let packet = sealway_wire::build::Packet::new(ends[0], ends[1]);
        let tcp = packet.tcp(1, 2, tcp::ACK | tcp::CWR, &[0; 3000]);
        let checksum = Checksum::Partial {
            start: 40,
            offset: 16,
        };
        for segmentation in [
            None,
            Some(Segmentation::Tcp(1400)),
            Some(Segmentation::Udp(900)),
        ] {
            let left = Offload {
                checksum,
                segmentation,
            };
            let octets = header(&tcp, &left);
            assert_eq!(offload(&octets), left);
            let is_tcp = matches!(segmentation, Some(Segmentation::Tcp(_)));
            assert_eq!(octets[1] & GSO_ECN != 0, is_tcp);
        }
        assert_eq!(header(&tcp, &Offload::default()), [0; VIRTIO_HEADER]);
        let nonsense = Offload {
            checksum: Checksum::Partial {
                start: u16::MAX,
                offset: u16::MAX,
            },
            segmentation: Some(Segmentation::Tcp(1)),
        };
        header(&[], &nonsense);
    }

    #[test]
    fn patterns_and_paths_are_no_names() {
        for name in ["", "a/b", "tun%d", "..", "a b", "sixteen-octets-!", "a:1"] {
            assert!(!is_interface_name(name), "{name:?}");
        }
        assert!(is_interface_name("seal0") && is_interface_name("fifteen-octets_"));
    }

    proptest! {
        #[test]
        fn random_headers_never_panic(octets in proptest::collection::vec(any::<u8>(), 0..20)) {
            let _ = offload(&octets);
        }
    }
}
