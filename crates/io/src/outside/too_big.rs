//! What routers say of packets of ours that were too big.
//!
//! Raw ICMP sockets hear it, and not the error queues of those that send (`IP_RECVERR`): an error
//! that waits there makes the next send fail, whomever that packet is for, and whoever sent the
//! error.

use std::io::{self, IoSliceMut};
use std::os::fd::{BorrowedFd, OwnedFd};

use sealway_wire::{TooBig, icmp, icmpv6};

use super::receive::{BATCH, concerns_one_packet, count};
use super::sockets::Family;
use super::{OpenError, Outside, Received, Stop};
use crate::address::Name;
use crate::sys;

/// Longer than any report (RFC 1812 §4.3.2.3, RFC 4443 §2.4 c).
const LONGEST: usize = 2048;

// Not in libc.
const ICMP_FILTER: libc::c_int = 1;
const ICMPV6_FILTER: libc::c_int = 1;

/// A socket that hears of nothing else.
pub(super) fn open(family: Family) -> Result<OwnedFd, OpenError> {
    let protocol = match family {
        Family::V4 => libc::IPPROTO_ICMP,
        Family::V6 => libc::IPPROTO_ICMPV6,
    };
    let socket = family.socket(libc::SOCK_RAW, protocol)?;
    let filtered = match family {
        // Ones are types that are not wanted.
        Family::V4 => {
            let others = !(1u32 << icmp::UNREACHABLE);
            sys::set_option(&socket, libc::SOL_RAW, ICMP_FILTER, &others.to_ne_bytes())
        }
        Family::V6 => {
            let mut others = [u32::MAX; 8];
            others[0] = !(1 << icmpv6::TOO_BIG);
            let others: Vec<u8> = others.into_iter().flat_map(u32::to_ne_bytes).collect();
            sys::set_option(&socket, libc::SOL_ICMPV6, ICMPV6_FILTER, &others)
        }
    };
    filtered.map_err(|error| OpenError::Other {
        doing: "choosing ICMP messages to hear",
        error,
    })?;
    Ok(socket)
}

impl Outside {
    pub(super) fn listen(
        &self,
        socket: BorrowedFd<'_>,
        family: Family,
        sink: &mut impl FnMut(Received),
    ) -> io::Result<Stop> {
        let mut buffer = [0; LONGEST];
        let mut name = [0; Name::ROOM];
        for _ in 0..BATCH {
            let parts = &mut [IoSliceMut::new(&mut buffer)];
            let message = match sys::receive_message(socket, parts, &mut name, &mut [], 0) {
                Ok(message) => message,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(Stop::Drained);
                }
                Err(error) if concerns_one_packet(&error) => continue,
                Err(error) => return Err(error),
            };
            if message.flags & libc::MSG_TRUNC != 0 {
                count(&self.tally.truncated);
                continue;
            }
            let message = &buffer[..message.octets.min(LONGEST)];
            let report = match family {
                Family::V4 => TooBig::of_v4(message),
                Family::V6 => TooBig::of_v6(message),
            };
            let ours = |report: &TooBig| self.addresses.binary_search(&report.source).is_ok();
            if let Some(report) = report.filter(ours) {
                sink(Received::TooBig(report));
            }
        }
        Ok(Stop::Budget)
    }
}
