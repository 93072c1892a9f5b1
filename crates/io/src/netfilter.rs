//! What the host's packet filter reports of its own accord.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use netlink_sys::protocols::NETLINK_NETFILTER;
use netlink_sys::{Socket, SocketAddr};

/// A subscription to changes of nftables, in the namespace of the thread that opened it.
#[derive(Debug)]
pub struct Watch {
    socket: Socket,
}

/// What became of tables since it was last asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tables {
    /// Some were removed, or may have been.
    Removed,
    /// None were.
    There,
}

impl Watch {
    /// Reports from here on.
    ///
    /// # Errors
    /// EPERM without CAP_NET_ADMIN, EPROTONOSUPPORT where the kernel has no nftables.
    pub fn open() -> io::Result<Watch> {
        let mut socket = Socket::new(NETLINK_NETFILTER)?;
        socket.bind(&SocketAddr::new(0, 0))?;
        socket.add_membership(NFTABLES)?;
        socket.set_non_blocking(true)?;
        Ok(Watch { socket })
    }

    /// What the reports that wait say.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn tables(&mut self) -> io::Result<Tables> {
        let mut tables = Tables::There;
        loop {
            match self.socket.recv_from_full() {
                Ok((octets, _)) if says_removed(&octets) => tables = Tables::Removed,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(tables),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // More was to be said than fitted.
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                    tables = Tables::Removed;
                }
                Err(error) => return Err(error),
            }
        }
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// `NFNLGRP_NFTABLES`.
const NFTABLES: u32 = 7;
/// `NFNL_SUBSYS_NFTABLES` and `NFT_MSG_DELTABLE`.
const TABLE_REMOVED: u16 = 10 << 8 | 2;
/// Octets of `struct nlmsghdr`.
const HEADER: usize = 16;

/// Whether one of the messages says that a table was removed.
fn says_removed(octets: &[u8]) -> bool {
    let mut rest = octets;
    while let Some(&[l0, l1, l2, l3, t0, t1, ..]) = rest.first_chunk::<HEADER>() {
        if u16::from_ne_bytes([t0, t1]) == TABLE_REMOVED {
            return true;
        }
        let length = u32::from_ne_bytes([l0, l1, l2, l3]) as usize;
        let next = length.max(HEADER).next_multiple_of(4);
        rest = rest.get(next..).unwrap_or(&[]);
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn message(kind: u16, body: &[u8]) -> Vec<u8> {
        let mut octets = (16 + body.len() as u32).to_ne_bytes().to_vec();
        octets.extend(kind.to_ne_bytes());
        octets.extend([0; 10]);
        octets.extend(body);
        octets.resize(octets.len().next_multiple_of(4), 0);
        octets
    }

    #[test]
    fn a_removed_table_is_found_among_other_reports() {
        let other = message(10 << 8, b"a table");
        let removed = message(TABLE_REMOVED, b"x");
        assert!(!says_removed(&other));
        assert!(says_removed(&[other.clone(), removed, other].concat()));
    }

    proptest! {
        #[test]
        fn random_octets_never_panic(octets in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = says_removed(&octets);
        }
    }
}
