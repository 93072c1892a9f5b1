//! What the tests that need namespaces share.
#![allow(dead_code, clippy::unwrap_used)]

use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use sealway_io::namespace::Namespace;
use sealway_io::netlink::{Address, Netlink, State};
use sealway_io::poll;

/// A new namespace, or a failure that says what is missing.
pub(crate) fn namespace() -> Namespace {
    Namespace::new().unwrap_or_else(|refused| panic!("these tests need root: {refused}"))
}

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Two namespaces joined by a veth pair, `veth` in each, up, quiet, with the addresses
/// 192.0.2.1/24 and 2001:db8::1/64 on the left and the same with 2 on the right.
pub(crate) fn joined(mtu: u32) -> (Namespace, Namespace) {
    let (left, right) = (namespace(), namespace());
    let there = right.fd().try_clone_to_owned().unwrap();
    left.run(move || {
        let mut netlink = Netlink::open().unwrap();
        netlink
            .add_veth("veth", "veth", Some(there.as_fd()))
            .unwrap();
    });
    for (namespace, host) in [(&left, 1), (&right, 2)] {
        namespace.run(move || {
            let mut netlink = Netlink::open().unwrap();
            let interface = netlink.link("veth").unwrap().index;
            netlink.set_no_own_addresses(interface).unwrap();
            netlink.set_mtu(interface, mtu).unwrap();
            netlink.set_state(interface, State::Up).unwrap();
            for (address, prefix_length) in [
                (format!("192.0.2.{host}"), 24),
                (format!("2001:db8::{host}"), 64),
            ] {
                let address = Address {
                    interface,
                    address: ip(&address),
                    prefix_length,
                };
                netlink.add_address(&address).unwrap();
            }
        });
    }
    (left, right)
}

/// Calls `take` whenever `fd` is readable until it gives something; fails after five seconds.
pub(crate) fn until<T>(fd: BorrowedFd<'_>, mut take: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(5);
    loop {
        if let Some(value) = take() {
            return value;
        }
        let left = end.saturating_duration_since(Instant::now());
        assert!(!left.is_zero(), "nothing came within five seconds");
        poll::wait(&mut [poll::readable(fd)], Some(left)).unwrap();
    }
}
