//! Links, addresses, routes and routing rules of one network namespace, by the kernel's rtnetlink.
//!
//! A [`Netlink`] stays in the namespace of the thread that opened it. Every call waits for the
//! kernel's answer, which comes at once.

mod address;
mod conversation;
mod link;
mod monitor;
mod route;
mod rule;
mod table;

use std::net::IpAddr;

pub use conversation::{Error, Netlink};
pub use link::Ipv4Switch;
pub use monitor::Monitor;
pub use rule::{Action, KERNEL, LOCAL_TABLE, Rule};
pub use table::{Entry, MAIN_TABLE};

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
    /// Routing rules came or went.
    Rules,
    /// The kernel had more to say than fitted: ask for everything again.
    Missed,
}
