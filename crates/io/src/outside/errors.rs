//! What routers say of packets of ours that were too big, where raw sockets are not to be had: from
//! the error queue of the socket that receives (`IP_RECVERR`, ip(7)).
//!
//! The kernel has compared the quoted packet's ends with the socket's, which all that send share.
//! An error that waits makes the socket's next call fail, whomever that was about: this one only
//! receives, and a receive that failed is a hint to look here.

use std::io::{self, IoSliceMut};
use std::net::IpAddr;
use std::os::fd::BorrowedFd;

use sealway_wire::{Quoted, TooBig};

use super::receive::BATCH;
use super::sockets::Family;
use super::{Carriers, Inlet, Outside, Received};
use crate::address::{Name, parse_ip};
use crate::control::{Facts, messages};
use crate::sys;

/// Room for the error, who sent it, and the facts of the packet that it came in.
const FACTS: usize = 512;

impl Outside {
    /// Whether errors wait beside the datagrams of this inlet.
    pub(super) fn hears_errors(&self, inlet: Inlet) -> bool {
        match self.carriers {
            Carriers::UdpOnly => matches!(inlet, Inlet::Udp4 | Inlet::Udp6),
            Carriers::All => inlet == Inlet::Esp6,
        }
    }

    /// Takes what waits in the error queue, at most [`BATCH`] errors, and hands over what concerns
    /// sizes, unless another socket hears that.
    #[cold]
    pub(super) fn hear_errors(
        &self,
        socket: BorrowedFd<'_>,
        family: Family,
        sink: &mut impl FnMut(Received),
    ) -> io::Result<()> {
        let mut quote = [0; 4];
        let mut name = [0; Name::ROOM];
        let mut control = [0; FACTS];
        for _ in 0..BATCH {
            let parts = &mut [IoSliceMut::new(&mut quote)];
            let flags = libc::MSG_ERRQUEUE;
            let message = match sys::receive_message(socket, parts, &mut name, &mut control, flags)
            {
                Ok(message) => message,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            if self.carriers == Carriers::All {
                continue;
            }
            let control = &control[..message.control];
            let spi = (message.octets == quote.len()).then(|| u32::from_be_bytes(quote));
            let peer = parse_ip(&name[..message.name]);
            let report = mtu(family, control)
                .zip(peer)
                .and_then(|(mtu, peer)| self.report(control, mtu, peer, spi));
            if let Some(report) = report {
                sink(Received::TooBig(report));
            }
        }
        Ok(())
    }

    fn report(
        &self,
        control: &[u8],
        mtu: u16,
        (destination, port): (IpAddr, u16),
        spi: Option<u32>,
    ) -> Option<TooBig> {
        // What the router wrote to is where the packet came from.
        let source = Facts::of(control).destination?;
        self.addresses.binary_search(&source).ok()?;
        Some(TooBig {
            source,
            destination,
            mtu,
            quoted: Quoted::Udp {
                source: self.port,
                destination: port,
                spi,
            },
        })
    }
}

/// The MTU that a router tells of; `None`: it tells of something else, or names none, as none has
/// done since RFC 1191.
fn mtu(family: Family, control: &[u8]) -> Option<u16> {
    // ee_errno, ee_origin, ee_type, ee_code, ee_pad, ee_info of `struct sock_extended_err`.
    let (level, kind, origin) = match family {
        Family::V4 => (libc::IPPROTO_IP, libc::IP_RECVERR, libc::SO_EE_ORIGIN_ICMP),
        Family::V6 => (
            libc::IPPROTO_IPV6,
            libc::IPV6_RECVERR,
            libc::SO_EE_ORIGIN_ICMP6,
        ),
    };
    let is_it = |message: &(i32, i32, &[u8])| (message.0, message.1) == (level, kind);
    let (_, _, error) = messages(control).find(is_it)?;
    let (errno, rest) = error.split_first_chunk()?;
    let (&[from, _, _, _], rest) = rest.split_first_chunk()?;
    let (info, _) = rest.split_first_chunk()?;
    if i32::from_ne_bytes(*errno) != libc::EMSGSIZE || from != origin {
        return None;
    }
    match u32::from_ne_bytes(*info) {
        0 => None,
        mtu => Some(u16::try_from(mtu).unwrap_or(u16::MAX)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn random_octets_never_panic(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = (mtu(Family::V4, &octets), mtu(Family::V6, &octets));
        }
    }
}
