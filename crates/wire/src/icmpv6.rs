//! ICMP for IPv6 (RFC 4443): the header, and the errors that a gateway sends.

use std::net::Ipv6Addr;

use crate::{checksum, icmp, ipv6, protocol, put};
use zerocopy::IntoBytes;

/// Octets of the header.
pub const HEADER: usize = 8;
/// Type: destination unreachable.
pub const UNREACHABLE: u8 = 1;
/// Type: packet too big.
pub const TOO_BIG: u8 = 2;
/// Type: time exceeded.
pub const TIME_EXCEEDED: u8 = 3;
/// Type: parameter problem.
pub const PARAMETER_PROBLEM: u8 = 4;
/// Type: echo request.
pub const ECHO_REQUEST: u8 = 128;
/// Type: echo reply.
pub const ECHO_REPLY: u8 = 129;
/// Type: router solicitation (RFC 4861), the first of neighbour discovery's.
pub const ROUTER_SOLICITATION: u8 = 133;
/// Type: router advertisement (RFC 4861).
pub const ROUTER_ADVERTISEMENT: u8 = 134;
/// Type: neighbour solicitation (RFC 4861).
pub const NEIGHBOUR_SOLICITATION: u8 = 135;
/// Type: neighbour advertisement (RFC 4861).
pub const NEIGHBOUR_ADVERTISEMENT: u8 = 136;
/// Type: redirect (RFC 4861), the last of neighbour discovery's.
pub const REDIRECT: u8 = 137;

/// Code of [`UNREACHABLE`]: no route to the destination.
pub const NO_ROUTE: u8 = 0;
/// Code of [`UNREACHABLE`]: communication administratively prohibited.
pub const PROHIBITED: u8 = 1;
/// Code of [`UNREACHABLE`]: address unreachable.
pub const ADDRESS: u8 = 3;
/// Code of [`UNREACHABLE`]: port unreachable.
pub const PORT: u8 = 4;

/// Most octets that an error may have, IPv6 header included (RFC 4443 §2.4 c).
pub const LONGEST_ERROR: usize = ipv6::LEAST_MTU as usize;

/// The header, of the same shape as that of ICMP. [`icmp::Header::rest`] holds identifier and
/// sequence number of an echo, the MTU of [`TOO_BIG`].
pub type Header = icmp::Header;

/// Whether a type is an error or a redirect, to which no error may answer (RFC 4443 §2.4 e).
pub fn is_error(kind: u8) -> bool {
    kind < 128 || kind == REDIRECT
}

/// An error being written: from where, to where. Both are the caller's choice.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Answer {
    /// The address that the error comes from.
    pub source: Ipv6Addr,
    /// Who is told: the source of the offending packet.
    pub destination: Ipv6Addr,
}

impl Answer {
    /// "Packet too big": it is longer than `mtu` octets (RFC 4443 §3.2). Written to the start of
    /// `out`; returns its length, or `None` if `out` is too short. `offending` is the packet
    /// without link padding.
    pub fn too_big(self, out: &mut [u8], offending: &[u8], mtu: u32) -> Option<usize> {
        self.error(out, offending, Header::new(TOO_BIG, 0, mtu))
    }

    /// "Destination unreachable", in the manner of [`Answer::too_big`].
    pub fn unreachable(self, out: &mut [u8], offending: &[u8], code: u8) -> Option<usize> {
        self.error(out, offending, Header::new(UNREACHABLE, code, 0))
    }

    /// "Hop limit exceeded in transit", in the manner of [`Answer::too_big`].
    pub fn time_exceeded(self, out: &mut [u8], offending: &[u8]) -> Option<usize> {
        self.error(out, offending, Header::new(TIME_EXCEEDED, 0, 0))
    }

    /// Any error, in the manner of [`Answer::too_big`]. As much of the offending packet is quoted
    /// as fits into [`LONGEST_ERROR`].
    pub fn error(self, out: &mut [u8], offending: &[u8], mut icmp: Header) -> Option<usize> {
        let quoted = offending.len().min(LONGEST_ERROR - ipv6::HEADER - HEADER);
        let quote = offending.get(..quoted)?;
        let payload = HEADER + quoted;
        let ip = ipv6::Header::new(
            self.source,
            self.destination,
            protocol::ICMPV6,
            payload as u16,
        );
        icmp.checksum.set(0);
        let pseudo = checksum::pseudo_v6(
            self.source,
            self.destination,
            protocol::ICMPV6,
            payload as u32,
        );
        let sum = pseudo + checksum::sum(icmp.as_bytes()) + checksum::sum(quote);
        icmp.checksum.set(sum.finish());
        out.get_mut(..ipv6::HEADER + payload)?;
        let at = put(out, 0, &ip)?;
        let at = put(out, at, &icmp)?;
        out.get_mut(at..at + quoted)?.copy_from_slice(quote);
        Some(at + quoted)
    }
}
