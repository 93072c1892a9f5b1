//! ICMP for IPv4 (RFC 792): the header, and the errors that a gateway sends.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::{Layout, Ports, U16, U32, checksum, icmpv6, ipv4, protocol, put, view};

/// Octets of the header.
pub const HEADER: usize = 8;
/// Type: echo reply.
pub const ECHO_REPLY: u8 = 0;
/// Type: destination unreachable.
pub const UNREACHABLE: u8 = 3;
/// Type: source quench (deprecated by RFC 6633).
pub const SOURCE_QUENCH: u8 = 4;
/// Type: redirect.
pub const REDIRECT: u8 = 5;
/// Type: echo request.
pub const ECHO_REQUEST: u8 = 8;
/// Type: time exceeded.
pub const TIME_EXCEEDED: u8 = 11;
/// Type: parameter problem.
pub const PARAMETER_PROBLEM: u8 = 12;

/// Code of [`UNREACHABLE`]: network unreachable.
pub const NETWORK: u8 = 0;
/// Code of [`UNREACHABLE`]: host unreachable.
pub const HOST: u8 = 1;
/// Code of [`UNREACHABLE`]: protocol unreachable.
pub const PROTOCOL: u8 = 2;
/// Code of [`UNREACHABLE`]: port unreachable.
pub const PORT: u8 = 3;
/// Code of [`UNREACHABLE`]: fragmentation needed and DF set (RFC 1191).
pub const FRAGMENTATION_NEEDED: u8 = 4;
/// Code of [`UNREACHABLE`]: communication administratively prohibited (RFC 1812 §5.2.7.1).
pub const PROHIBITED: u8 = 13;

/// Most octets that an error may have, IP header included (RFC 1812 §4.3.2.3).
pub const LONGEST_ERROR: usize = 576;

/// The header.
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy, PartialEq, Eq, Debug,
)]
#[repr(C)]
pub struct Header {
    /// Type.
    pub kind: u8,
    /// Code.
    pub code: u8,
    /// Checksum over header and data.
    pub checksum: U16,
    /// What depends on the type: identifier and sequence number of an echo, next-hop MTU in the
    /// lower 16 bits of "fragmentation needed".
    pub rest: U32,
}

impl Header {
    /// A header with checksum zero.
    pub fn new(kind: u8, code: u8, rest: u32) -> Self {
        Header {
            kind,
            code,
            checksum: 0.into(),
            rest: rest.into(),
        }
    }

    /// The next-hop MTU of an [`UNREACHABLE`] with [`FRAGMENTATION_NEEDED`] (RFC 1191 §4); zero
    /// if the router did not tell.
    pub fn next_hop_mtu(&self) -> u16 {
        self.rest.get() as u16
    }
}

/// Whether a type is an error or a redirect, to which no error may answer (RFC 1122 §3.2.2).
pub fn is_error(kind: u8) -> bool {
    matches!(
        kind,
        UNREACHABLE | SOURCE_QUENCH | REDIRECT | TIME_EXCEEDED | PARAMETER_PROBLEM
    )
}

/// An error being written: from where, to where. Both are the caller's choice.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Answer {
    /// The address that the error comes from.
    pub source: Ipv4Addr,
    /// Who is told: the source of the offending packet.
    pub destination: Ipv4Addr,
}

impl Answer {
    /// "Fragmentation needed": the packet has DF and is longer than `mtu` octets (RFC 1191 §4).
    /// Written to the start of `out`; returns its length, or `None` if `out` is too short.
    /// `offending` is the packet without link padding.
    pub fn too_big(self, out: &mut [u8], offending: &[u8], mtu: u16) -> Option<usize> {
        self.error(
            out,
            offending,
            Header::new(UNREACHABLE, FRAGMENTATION_NEEDED, mtu.into()),
        )
    }

    /// "Destination unreachable" with a code other than [`FRAGMENTATION_NEEDED`], in the manner
    /// of [`Answer::too_big`].
    pub fn unreachable(self, out: &mut [u8], offending: &[u8], code: u8) -> Option<usize> {
        self.error(out, offending, Header::new(UNREACHABLE, code, 0))
    }

    /// "Time to live exceeded in transit", in the manner of [`Answer::too_big`].
    pub fn time_exceeded(self, out: &mut [u8], offending: &[u8]) -> Option<usize> {
        self.error(out, offending, Header::new(TIME_EXCEEDED, 0, 0))
    }

    /// Any error, in the manner of [`Answer::too_big`]. As much of the offending packet is quoted
    /// as fits into [`LONGEST_ERROR`].
    pub fn error(self, out: &mut [u8], offending: &[u8], mut icmp: Header) -> Option<usize> {
        let quoted = offending.len().min(LONGEST_ERROR - ipv4::HEADER - HEADER);
        let quote = offending.get(..quoted)?;
        let length = ipv4::HEADER + HEADER + quoted;
        let mut ip =
            ipv4::Header::new(self.source, self.destination, protocol::ICMP, length as u16);
        // RFC 1812 §4.3.2.5: precedence 6, internetwork control.
        ip.tos = 0xc0;
        ip.update_checksum();
        icmp.checksum.set(0);
        let sum = checksum::sum(icmp.as_bytes()) + checksum::sum(quote);
        icmp.checksum.set(sum.finish());
        out.get_mut(..length)?;
        let at = put(out, 0, &ip)?;
        let at = put(out, at, &icmp)?;
        out.get_mut(at..length)?.copy_from_slice(quote);
        Some(length)
    }
}

/// What an ICMP or ICMPv6 error quotes of the packet that it is about, for
/// [`Layout::parse_quoted`]; `None` if the packet is no such error, or a fragment.
pub fn quoted<'a>(packet: &'a [u8], layout: &Layout) -> Option<&'a [u8]> {
    let Ports::Icmp { kind, .. } = layout.ports else {
        return None;
    };
    let quotes = match layout.protocol {
        protocol::ICMP => is_error(kind),
        // A redirect of ICMPv6 has two addresses before its options (RFC 4861 §4.5).
        _ => icmpv6::is_error(kind) && kind != icmpv6::REDIRECT,
    };
    if !quotes || layout.is_fragment() {
        return None;
    }
    layout.payload(packet).get(HEADER..)
}

/// The MTU that a "fragmentation needed" or "packet too big" tells, in octets; `None` if the
/// packet is neither. Zero comes from routers older than RFC 1191. Anyone can have written it.
pub fn reported_mtu(packet: &[u8], layout: &Layout) -> Option<u32> {
    let Ports::Icmp { kind, code } = layout.ports else {
        return None;
    };
    let header: &Header = view(layout.payload(packet), 0)?;
    match (layout.protocol, kind, code) {
        _ if layout.is_fragment() => None,
        (protocol::ICMP, UNREACHABLE, FRAGMENTATION_NEEDED) => Some(header.next_hop_mtu().into()),
        (protocol::ICMPV6, icmpv6::TOO_BIG, _) => Some(header.rest.get()),
        _ => None,
    }
}

/// Whether an ICMP or ICMPv6 error may answer this packet (RFC 1122 §3.2.2, RFC 1812 §4.3.2.7,
/// RFC 4443 §2.4 e): not if it is an error itself or may be one, a fragment other than the first,
/// comes from an address that is not one host's, or goes to many.
pub fn may_answer(packet: &[u8], layout: &Layout) -> bool {
    let answers_error = match (layout.protocol, layout.ports) {
        (protocol::ICMP, Ports::Icmp { kind, .. }) => is_error(kind),
        (protocol::ICMPV6, Ports::Icmp { kind, .. }) => icmpv6::is_error(kind),
        (protocol::ICMP | protocol::ICMPV6, _) => true,
        _ => false,
    };
    let is_host = match layout.source(packet) {
        IpAddr::V4(source) => is_host_v4(source),
        IpAddr::V6(source) => is_host_v6(source),
    };
    let to_many = match layout.destination(packet) {
        IpAddr::V4(destination) => destination.is_multicast() || destination.is_broadcast(),
        IpAddr::V6(destination) => destination.is_multicast(),
    };
    layout.is_first() && !answers_error && is_host && !to_many
}

/// RFC 1812 §4.3.2.7: not 0/8, 127/8, multicast, class E or broadcast.
fn is_host_v4(address: Ipv4Addr) -> bool {
    let [first, ..] = address.octets();
    !matches!(first, 0 | 127 | 224..)
}

fn is_host_v6(address: Ipv6Addr) -> bool {
    !(address.is_unspecified() || address.is_loopback() || address.is_multicast())
}
