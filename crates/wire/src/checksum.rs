//! The Internet checksum (RFC 1071), in full and incrementally (RFC 1624).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::{Add, AddAssign};

use crate::{Layout, U16, ipv6, protocol, udp, view, view_mut};

/// A one's complement sum under way. Sums of pieces add up as long as every piece but the last
/// has an even number of octets.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Sum(u64);

impl Sum {
    /// The checksum as it stands in a header: the sum folded to 16 bits, then complemented.
    #[inline]
    pub fn finish(self) -> u16 {
        !fold(self.0)
    }
}

impl From<u16> for Sum {
    fn from(word: u16) -> Self {
        Sum(u64::from(word))
    }
}

impl Add for Sum {
    type Output = Sum;

    fn add(self, other: Sum) -> Sum {
        Sum(self.0 + other.0)
    }
}

impl AddAssign for Sum {
    fn add_assign(&mut self, other: Sum) {
        *self = *self + other;
    }
}

/// The sum of `octets` as big-endian words; an odd last octet counts as if a zero followed.
#[inline]
pub fn sum(octets: &[u8]) -> Sum {
    // RFC 1071 §2(B): the sum does not depend on byte order, so that the words are added as they
    // lie in memory and swapped once. 64-bit lanes of 32-bit words cannot overflow.
    let mut lanes = [0u64; 4];
    let (blocks, rest) = octets.as_chunks::<16>();
    for block in blocks {
        let (words, _) = block.as_chunks::<4>();
        for (lane, word) in lanes.iter_mut().zip(words) {
            *lane += u64::from(u32::from_ne_bytes(*word));
        }
    }
    let mut total: u64 = lanes.iter().sum();
    let (words, rest) = rest.as_chunks::<4>();
    for word in words {
        total += u64::from(u32::from_ne_bytes(*word));
    }
    let mut last = [0; 4];
    for (to, from) in last.iter_mut().zip(rest) {
        *to = *from;
    }
    total += u64::from(u32::from_ne_bytes(last));
    Sum(u64::from(u16::from_be(fold(total))))
}

/// The pseudo-header of TCP and UDP over IPv4 (RFC 9293 §3.1). `length` is that of the
/// upper-layer header and its data, in octets.
#[inline]
pub fn pseudo_v4(source: Ipv4Addr, destination: Ipv4Addr, protocol: u8, length: u32) -> Sum {
    sum(&source.octets()) + sum(&destination.octets()) + tail(protocol, length)
}

/// The pseudo-header of every upper-layer protocol over IPv6 (RFC 8200 §8.1). `destination` is
/// the final one where a routing header has the packet visit others first.
#[inline]
pub fn pseudo_v6(source: Ipv6Addr, destination: Ipv6Addr, protocol: u8, length: u32) -> Sum {
    sum(&source.octets()) + sum(&destination.octets()) + tail(protocol, length)
}

/// [`pseudo_v4`] or [`pseudo_v6`]. Addresses of different families sum up to something that no
/// receiver accepts.
#[inline]
pub fn pseudo(source: IpAddr, destination: IpAddr, protocol: u8, length: u32) -> Sum {
    let address = |address| match address {
        IpAddr::V4(address) => sum(&address.octets()),
        IpAddr::V6(address) => sum(&address.octets()),
    };
    address(source) + address(destination) + tail(protocol, length)
}

/// The checksum after one of the words under it went from `old` to `new` (RFC 1624 §3, equation
/// 3). A UDP checksum of zero means "none" and must not be adjusted.
#[inline]
pub fn adjust(checksum: u16, old: u16, new: u16) -> u16 {
    difference(checksum, Sum::from(old), Sum::from(new))
}

/// [`adjust`] for a field of 32 bits at an even offset.
#[inline]
pub fn adjust_u32(checksum: u16, old: u32, new: u32) -> u16 {
    difference(checksum, Sum(u64::from(old)), Sum(u64::from(new)))
}

/// [`adjust`] for octets at an even offset, such as an address.
#[inline]
pub fn adjust_octets(checksum: u16, old: &[u8], new: &[u8]) -> u16 {
    difference(checksum, sum(old), sum(new))
}

/// Computes the checksum of TCP, UDP, UDP-Lite, ICMP or ICMPv6 and writes it in place; a UDP
/// checksum that comes out as zero is written as 0xffff (RFC 768). Says whether there was one to
/// write: not in a fragment, in another protocol, or where the header is cut off.
pub fn fill_transport(packet: &mut [u8], layout: &Layout) -> bool {
    let Some(covered) = Covered::find(packet, layout) else {
        return false;
    };
    let Some(field) = view_mut::<U16>(packet, covered.field) else {
        return false;
    };
    field.set(0);
    let checksum = match covered.sum(packet, layout).finish() {
        0 if is_udp(layout.protocol) => 0xffff,
        checksum => checksum,
    };
    if let Some(field) = view_mut::<U16>(packet, covered.field) {
        field.set(checksum);
    }
    true
}

/// Whether the checksum of TCP, UDP, UDP-Lite, ICMP or ICMPv6 is right. Where there is none to
/// check (a fragment, another protocol, UDP over IPv4 without one) nothing is wrong; a header that
/// is cut off, and UDP over IPv6 without a checksum (RFC 8200 §8.1), are.
pub fn verify_transport(packet: &[u8], layout: &Layout) -> bool {
    if layout.is_fragment() || field_offset(layout.protocol).is_none() {
        return true;
    }
    let Some(covered) = Covered::find(packet, layout) else {
        return false;
    };
    let absent = view::<U16>(packet, covered.field).is_none_or(|field| field.get() == 0);
    if absent && is_udp(layout.protocol) {
        return layout.protocol == protocol::UDP && layout.family == crate::Family::V4;
    }
    covered.sum(packet, layout).finish() == 0
}

/// What an upper-layer checksum covers.
struct Covered {
    /// Offset of the checksum.
    field: usize,
    /// Offset of the upper-layer header.
    start: usize,
    /// Where what is covered ends.
    end: usize,
    /// The length that the pseudo-header states.
    length: u32,
}

impl Covered {
    fn find(packet: &[u8], layout: &Layout) -> Option<Covered> {
        if layout.is_fragment() {
            return None;
        }
        let start = usize::from(layout.upper);
        let field = start + field_offset(layout.protocol)?;
        let upper = packet.get(start..layout.length as usize)?.len();
        let stated = || view::<udp::Header>(packet, start).map(|udp| usize::from(udp.length.get()));
        // UDP says itself how long it is, UDP-Lite how much of it is covered; zero stands for all.
        let (covered, length) = match layout.protocol {
            protocol::UDP => match stated()? {
                0 => (upper, upper),
                stated => (stated, stated),
            },
            protocol::UDP_LITE => match stated()? {
                0 => (upper, upper),
                stated => (stated, upper),
            },
            _ => (upper, upper),
        };
        let end = start + covered;
        let fits = covered <= upper && field + size_of::<U16>() <= end;
        fits.then_some(Covered {
            field,
            start,
            end,
            length: u32::try_from(length).ok()?,
        })
    }

    fn sum(&self, packet: &[u8], layout: &Layout) -> Sum {
        let octets = packet.get(self.start..self.end).unwrap_or_default();
        let pseudo = match layout.protocol {
            protocol::ICMP => Sum::default(),
            protocol => pseudo(
                layout.source(packet),
                ipv6::final_destination(packet, layout),
                protocol,
                self.length,
            ),
        };
        pseudo + sum(octets)
    }
}

fn is_udp(protocol: u8) -> bool {
    matches!(protocol, protocol::UDP | protocol::UDP_LITE)
}

/// Where the checksum stands in the header of `protocol`.
/// Where the checksum stands in the header of TCP, UDP, UDP-Lite, ICMP or ICMPv6, in octets; `None`
/// for another protocol.
pub const fn field_offset(protocol: u8) -> Option<usize> {
    match protocol {
        protocol::TCP => Some(16),
        protocol::UDP | protocol::UDP_LITE => Some(6),
        protocol::ICMP | protocol::ICMPV6 => Some(2),
        _ => None,
    }
}

fn tail(protocol: u8, length: u32) -> Sum {
    Sum(u64::from(length) + u64::from(protocol))
}

fn difference(checksum: u16, old: Sum, new: Sum) -> u16 {
    (Sum::from(!checksum) + Sum::from(!fold(old.0)) + new).finish()
}

fn fold(sum: u64) -> u16 {
    let sum = (sum >> 32) + (sum & 0xffff_ffff);
    let sum = (sum >> 32) + (sum & 0xffff_ffff);
    let sum = (sum >> 16) + (sum & 0xffff);
    let sum = (sum >> 16) + (sum & 0xffff);
    ((sum >> 16) + (sum & 0xffff)) as u16
}
