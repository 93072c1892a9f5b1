//! What the kernel reports of its own accord.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use netlink_packet_core::NetlinkPayload;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::Socket;

use super::address::address_of;
use super::conversation::{Failure, messages, open_socket};
use super::link::link_of;
use super::route::main_route_of;
use super::{Change, Error};

/// A subscription to changes.
#[derive(Debug)]
pub struct Monitor {
    socket: Socket,
}

impl Monitor {
    /// Reports changes of links, addresses and routes from here on, in the calling thread's
    /// namespace. Subscribe first, list second: nothing falls between.
    pub fn open() -> Result<Monitor, Error> {
        let socket = open_socket(GROUPS).and_then(|socket| {
            socket.set_non_blocking(true)?;
            Ok(socket)
        });
        let doing = || "cannot subscribe to changes of the network".to_owned();
        socket
            .map(|socket| Monitor { socket })
            .map_err(|error| Failure::from(error).while_doing(doing))
    }

    /// The changes that wait; none waits: an empty list.
    pub fn changes(&mut self) -> Result<Vec<Change>, Error> {
        let mut changes = Vec::new();
        loop {
            match self.socket.recv_from_full() {
                Ok((octets, _)) => {
                    let payloads = messages(&octets).into_iter().map(|m| m.payload);
                    changes.extend(payloads.filter_map(change));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(changes),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                    changes.push(Change::Missed);
                }
                Err(error) => {
                    let doing = || "cannot read changes of the network".to_owned();
                    return Err(Failure::from(error).while_doing(doing));
                }
            }
        }
    }
}

impl AsFd for Monitor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

const GROUPS: u32 = (libc::RTMGRP_LINK
    | libc::RTMGRP_IPV4_IFADDR
    | libc::RTMGRP_IPV6_IFADDR
    | libc::RTMGRP_IPV4_ROUTE
    | libc::RTMGRP_IPV6_ROUTE
    | RULES) as u32;

/// `RTNLGRP_IPV4_RULE` and `RTNLGRP_IPV6_RULE`; the first of the groups has the bit 0.
const RULES: i32 = 1 << 7 | 1 << 18;

fn change(payload: NetlinkPayload<RouteNetlinkMessage>) -> Option<Change> {
    let NetlinkPayload::InnerMessage(message) = payload else {
        return None;
    };
    match message {
        RouteNetlinkMessage::NewLink(link) => Some(Change::Link(link_of(&link))),
        RouteNetlinkMessage::DelLink(link) => Some(Change::LinkGone(link_of(&link))),
        RouteNetlinkMessage::NewAddress(address) => address_of(&address).map(Change::Address),
        RouteNetlinkMessage::DelAddress(address) => address_of(&address).map(Change::AddressGone),
        RouteNetlinkMessage::NewRoute(route) => main_route_of(&route).map(Change::Route),
        RouteNetlinkMessage::DelRoute(route) => main_route_of(&route).map(Change::RouteGone),
        RouteNetlinkMessage::NewRule(_) | RouteNetlinkMessage::DelRule(_) => Some(Change::Rules),
        _ => None,
    }
}
