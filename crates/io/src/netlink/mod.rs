//! Links, addresses and routes of one network namespace, by the kernel's rtnetlink.
//!
//! A [`Netlink`] stays in the namespace of the thread that opened it. Every call waits for the
//! kernel's answer, which comes at once.

use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};

use netlink_sys::Socket;

/// The kernel said no.
#[derive(Debug, thiserror::Error)]
#[error("{doing}: {meaning}")]
pub struct Error {
    /// What was to be done.
    pub doing: String,
    /// The errno; 0 if the answer was not understood.
    pub errno: i32,
    meaning: String,
}

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its index.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// The largest IP packet, in octets.
    pub mtu: u32,
    /// Whether it is up.
    pub state: State,
}

/// Whether an interface is up (administratively).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It is.
    Up,
    /// It is not.
    Down,
}

/// An address of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// The interface's index.
    pub interface: u32,
    /// The address.
    pub address: IpAddr,
    /// Length of the prefix on the link: 0 to 32, or 128.
    pub prefix_length: u8,
}

/// A route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// Where to; the unspecified address with length 0 is the default route.
    pub destination: IpAddr,
    /// 0 to 32, or 128.
    pub prefix_length: u8,
    /// The next hop; none: on the link.
    pub via: Option<IpAddr>,
    /// The interface's index.
    pub interface: Option<u32>,
    /// The source address that the host itself takes.
    pub source: Option<IpAddr>,
    /// Lower is preferred; `None` leaves it to the kernel.
    pub metric: Option<u32>,
}

/// One thing that changed, or was there when asked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// A link is new or other than before.
    Link(Link),
    /// A link is gone.
    LinkGone(Link),
    /// An address is there.
    Address(Address),
    /// An address is gone.
    AddressGone(Address),
    /// A route of the main table is there.
    Route(Route),
    /// A route of the main table is gone.
    RouteGone(Route),
    /// The kernel had more to say than fitted: ask for everything again.
    Missed,
}

/// A conversation with the kernel.
#[derive(Debug)]
pub struct Netlink {
    sequence: u32,
}

/// What the kernel reports of its own accord.
#[derive(Debug)]
pub struct Monitor {
    socket: Socket,
}

impl Netlink {
    /// In the calling thread's namespace.
    pub fn open() -> Result<Netlink, Error> {
        Ok(Netlink { sequence: 0 })
    }

    /// The link of this name.
    pub fn link(&mut self, name: &str) -> Result<Link, Error> {
        self.unready(name)
    }

    /// The link of this index.
    pub fn link_by_index(&mut self, index: u32) -> Result<Link, Error> {
        self.unready(&index.to_string())
    }

    /// All links.
    pub fn links(&mut self) -> Result<Vec<Link>, Error> {
        self.unready("")
    }

    /// Makes a pair of virtual Ethernet devices; the second end is made in `namespace` if there is
    /// one. Both are down.
    pub fn add_veth(
        &mut self,
        name: &str,
        peer: &str,
        namespace: Option<BorrowedFd<'_>>,
    ) -> Result<(), Error> {
        let _ = (peer, namespace);
        self.unready(name)
    }

    /// Removes a link (and the other end, if it is a pair).
    pub fn remove_link(&mut self, index: u32) -> Result<(), Error> {
        self.unready(&index.to_string())
    }

    /// Moves a link into another namespace.
    pub fn move_link(&mut self, index: u32, namespace: BorrowedFd<'_>) -> Result<(), Error> {
        let _ = namespace;
        self.unready(&index.to_string())
    }

    /// Brings a link up or takes it down.
    pub fn set_state(&mut self, index: u32, state: State) -> Result<(), Error> {
        let _ = state;
        self.unready(&index.to_string())
    }

    /// Sets the largest IP packet, in octets.
    pub fn set_mtu(&mut self, index: u32, mtu: u32) -> Result<(), Error> {
        let _ = mtu;
        self.unready(&index.to_string())
    }

    /// The link will make no IPv6 address for itself (`addrgenmode none`).
    pub fn set_no_own_addresses(&mut self, index: u32) -> Result<(), Error> {
        self.unready(&index.to_string())
    }

    /// All addresses of all links.
    pub fn addresses(&mut self) -> Result<Vec<Address>, Error> {
        self.unready("")
    }

    /// Adds an address; usable at once (IPv6: no duplicate address detection).
    pub fn add_address(&mut self, address: &Address) -> Result<(), Error> {
        self.unready(&address.address.to_string())
    }

    /// Removes an address.
    pub fn remove_address(&mut self, address: &Address) -> Result<(), Error> {
        self.unready(&address.address.to_string())
    }

    /// All routes of the main table.
    pub fn routes(&mut self) -> Result<Vec<Route>, Error> {
        self.unready("")
    }

    /// Adds a route to the main table; EEXIST if there is one to this destination with this metric.
    pub fn add_route(&mut self, route: &Route) -> Result<(), Error> {
        self.unready(&route.destination.to_string())
    }

    /// Adds a route or puts it in the place of the one to this destination with this metric.
    pub fn replace_route(&mut self, route: &Route) -> Result<(), Error> {
        self.unready(&route.destination.to_string())
    }

    /// Removes a route.
    pub fn remove_route(&mut self, route: &Route) -> Result<(), Error> {
        self.unready(&route.destination.to_string())
    }

    /// The route that a packet to `destination` would take; from `source`, out of `interface`,
    /// where they are given.
    pub fn route_to(
        &mut self,
        destination: IpAddr,
        source: Option<IpAddr>,
        interface: Option<u32>,
    ) -> Result<Route, Error> {
        let _ = (source, interface);
        self.unready(&destination.to_string())
    }

    fn unready<T>(&mut self, what: &str) -> Result<T, Error> {
        self.sequence += 1;
        Err(Error {
            doing: what.to_owned(),
            errno: 0,
            meaning: "not yet".to_owned(),
        })
    }
}

impl Monitor {
    /// Reports changes of links, addresses and routes from here on, in the calling thread's
    /// namespace. Subscribe first, list second: nothing falls between.
    pub fn open() -> Result<Monitor, Error> {
        let socket = Socket::new(netlink_sys::protocols::NETLINK_ROUTE).map_err(|error| Error {
            doing: "open a netlink socket".to_owned(),
            errno: error.raw_os_error().unwrap_or(0),
            meaning: error.to_string(),
        })?;
        Ok(Monitor { socket })
    }

    /// The changes that wait; none waits: an empty list.
    pub fn changes(&mut self) -> Result<Vec<Change>, Error> {
        Ok(Vec::new())
    }
}

impl AsFd for Monitor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
