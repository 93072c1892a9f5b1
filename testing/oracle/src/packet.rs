//! A packet as RFC 791 and RFC 8200 describe it, read octet by octet by code of this crate alone.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Protocol numbers that the model speaks of (IANA).
pub mod number {
    /// IPv6 Hop-by-Hop Options.
    pub const HOP_BY_HOP: u8 = 0;
    /// ICMP for IPv4.
    pub const ICMP: u8 = 1;
    /// IPv4 inside something.
    pub const IPV4: u8 = 4;
    /// UDP.
    pub const UDP: u8 = 17;
    /// IPv6 inside something.
    pub const IPV6: u8 = 41;
    /// IPv6 Routing header.
    pub const ROUTING: u8 = 43;
    /// IPv6 Fragment header.
    pub const FRAGMENT: u8 = 44;
    /// ESP.
    pub const ESP: u8 = 50;
    /// AH.
    pub const AH: u8 = 51;
    /// ICMP for IPv6.
    pub const ICMPV6: u8 = 58;
    /// No next header: a dummy packet inside ESP.
    pub const NONE: u8 = 59;
    /// IPv6 Destination Options.
    pub const DESTINATION_OPTIONS: u8 = 60;
}

/// The two words of an upper-layer header that selectors look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Words {
    /// The protocol has none.
    None,
    /// Ports; or type and code; or Mobility's type and 0.
    Known(u16, u16),
    /// The protocol has some (or may have), but this packet does not show them.
    Hidden,
}

/// Which part of a datagram a fragment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// Octets of data before this part's.
    pub offset: usize,
    /// Whether others follow.
    pub more: bool,
    /// Identification.
    pub id: u32,
}

impl Fragment {
    /// Whether it is all of a datagram (RFC 6946).
    pub fn is_whole(&self) -> bool {
        self.offset == 0 && !self.more
    }
}

/// What stands in a packet's headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ip {
    /// Source address.
    pub source: IpAddr,
    /// Destination address.
    pub destination: IpAddr,
    /// Octets, as the header says.
    pub length: usize,
    /// TOS or traffic class.
    pub tos: u8,
    /// TTL or hop limit.
    pub hop_limit: u8,
    /// DF; IPv6 has it always.
    pub dont_fragment: bool,
    /// Set if the packet is a fragment, or has an IPv6 Fragment header at all.
    pub fragment: Option<Fragment>,
    /// What is above IP and its extension headers.
    pub protocol: u8,
    /// Where that stands.
    pub upper: usize,
    /// What selectors look at there.
    pub words: Words,
    /// Where a transport-mode ESP header belongs (RFC 4303 §3.1.1), or the Fragment header.
    pub protect_at: usize,
    /// The octet that names what stands there.
    pub named_at: usize,
}

impl Ip {
    /// Whether it is part of a datagram only.
    pub fn is_fragment(&self) -> bool {
        self.fragment.is_some_and(|fragment| !fragment.is_whole())
    }

    /// Whether it is a part other than the first.
    pub fn is_later_fragment(&self) -> bool {
        self.fragment.is_some_and(|fragment| fragment.offset > 0)
    }

    /// Whether it is IPv4.
    pub fn is_v4(&self) -> bool {
        self.source.is_ipv4()
    }

    /// Whether nothing but the fixed IP header precedes the place of a transport-mode ESP header.
    pub fn has_plain_header(&self) -> bool {
        self.protect_at == fixed_header(self.source)
    }
}

/// Octets of the IP header without options and extension headers.
pub const fn fixed_header(address: IpAddr) -> usize {
    match address {
        IpAddr::V4(_) => 20,
        IpAddr::V6(_) => 40,
    }
}

/// Reads a packet; `None` where its headers cannot be.
pub fn read(octets: &[u8]) -> Option<Ip> {
    match octets.first()? >> 4 {
        4 => read_v4(octets),
        6 => read_v6(octets),
        _ => None,
    }
}

pub(crate) fn word(octets: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes([*octets.get(at)?, *octets.get(at + 1)?]))
}

pub(crate) fn long(octets: &[u8], at: usize) -> Option<u32> {
    Some(u32::from(word(octets, at)?) << 16 | u32::from(word(octets, at + 2)?))
}

fn read_v4(octets: &[u8]) -> Option<Ip> {
    let header = octets.get(..20)?;
    let protect_at = usize::from(header[0] & 0xf) * 4;
    let length = usize::from(word(header, 2)?);
    if protect_at < 20 || length < protect_at || length > octets.len() {
        return None;
    }
    let flags = word(header, 6)?;
    let part = Fragment {
        offset: usize::from(flags & 0x1fff) * 8,
        more: flags & 0x2000 != 0,
        id: u32::from(word(header, 4)?),
    };
    let fragment = (!part.is_whole()).then_some(part);
    if !is_sound(fragment, protect_at, length - protect_at) {
        return None;
    }
    let address = |at: usize| Some(Ipv4Addr::from(long(header, at)?));
    Some(Ip {
        source: address(12)?.into(),
        destination: address(16)?.into(),
        length,
        tos: header[1],
        hop_limit: header[8],
        dont_fragment: flags & 0x4000 != 0,
        fragment,
        protocol: header[9],
        upper: protect_at,
        words: words(header[9], octets.get(protect_at..length)?, fragment),
        protect_at,
        named_at: 9,
    })
}

fn read_v6(octets: &[u8]) -> Option<Ip> {
    let header = octets.get(..40)?;
    let length = 40 + usize::from(word(header, 4)?);
    let octets = octets.get(..length)?;
    let mut chain = Chain {
        next: header[6],
        named_at: 6,
        at: 40,
        protect_at: 40,
        protect_named_at: 6,
        fragment: None,
    };
    let mut passed = 0;
    while chain.is_at_extension() {
        // Not a rule of RFC 8200, but of every implementation in its own way: here 16.
        passed += 1;
        if passed > 16 {
            return None;
        }
        chain.pass(octets)?;
    }
    let address = |at: usize| {
        let octets: [u8; 16] = header.get(at..at + 16)?.try_into().ok()?;
        Some(IpAddr::V6(Ipv6Addr::from(octets)))
    };
    Some(Ip {
        source: address(8)?,
        destination: address(24)?,
        length,
        tos: header[0] << 4 | header[1] >> 4,
        hop_limit: header[7],
        dont_fragment: true,
        fragment: chain.fragment,
        protocol: chain.next,
        upper: chain.at,
        words: words(chain.next, octets.get(chain.at..)?, chain.fragment),
        protect_at: chain.protect_at,
        named_at: chain.protect_named_at,
    })
}

/// A walk along IPv6 extension headers.
struct Chain {
    next: u8,
    named_at: usize,
    at: usize,
    protect_at: usize,
    protect_named_at: usize,
    fragment: Option<Fragment>,
}

impl Chain {
    fn is_at_extension(&self) -> bool {
        let hides_the_rest = self.fragment.is_some_and(|part| part.offset > 0);
        let extension = matches!(
            self.next,
            number::HOP_BY_HOP | number::ROUTING | number::FRAGMENT | number::DESTINATION_OPTIONS
        );
        extension && !hides_the_rest
    }

    fn pass(&mut self, octets: &[u8]) -> Option<()> {
        let is_fragment = self.next == number::FRAGMENT;
        if self.next == number::HOP_BY_HOP && self.at != 40 {
            return None;
        }
        let next = *octets.get(self.at)?;
        let octets_of_it = match is_fragment {
            true => 8,
            false => usize::from(*octets.get(self.at + 1)?) * 8 + 8,
        };
        if self.at + octets_of_it > octets.len() {
            return None;
        }
        let was = self.next;
        let before_fragment = self.fragment.is_none();
        if is_fragment {
            self.read_fragment(octets)?;
            (self.protect_at, self.protect_named_at) = (self.at, self.named_at);
        }
        self.next = next;
        self.named_at = self.at;
        self.at += octets_of_it;
        // Destination Options stay inside what is protected, unless a Routing header follows.
        if before_fragment && matches!(was, number::HOP_BY_HOP | number::ROUTING) {
            (self.protect_at, self.protect_named_at) = (self.at, self.named_at);
        }
        Some(())
    }

    fn read_fragment(&mut self, octets: &[u8]) -> Option<()> {
        if self.fragment.is_some() {
            return None;
        }
        let flags = word(octets, self.at + 2)?;
        let part = Fragment {
            offset: usize::from(flags & 0xfff8),
            more: flags & 1 != 0,
            id: long(octets, self.at + 4)?,
        };
        self.fragment = Some(part);
        let data = octets.len() - self.at - 8;
        is_sound(self.fragment, self.at - 40, data).then_some(())
    }
}

/// Whether such a fragment can be: it has data, all but the last in units of 8 octets, and the
/// datagram does not outgrow its length field.
fn is_sound(fragment: Option<Fragment>, header: usize, data: usize) -> bool {
    let Some(part) = fragment else {
        return true;
    };
    (part.is_whole() || data > 0)
        && (!part.more || data.is_multiple_of(8))
        && header + part.offset + data <= 65_535
}

/// Reads what selectors look at; a header that is cut off shows nothing.
fn words(protocol: u8, upper: &[u8], fragment: Option<Fragment>) -> Words {
    if fragment.is_some_and(|part| part.offset > 0) {
        return Words::Hidden;
    }
    let (fixed, kind) = match protocol {
        6 => (20, 'p'),
        17 | 136 => (8, 'p'),
        132 | 33 => (12, 'p'),
        1 | 58 => (4, 't'),
        135 => (6, 'm'),
        _ => return Words::None,
    };
    if upper.len() < fixed {
        return Words::Hidden;
    }
    let octet = |at: usize| u16::from(upper[at]);
    match kind {
        'p' => Words::Known(octet(0) << 8 | octet(1), octet(2) << 8 | octet(3)),
        't' => Words::Known(octet(0), octet(1)),
        _ => Words::Known(octet(2), 0),
    }
}

/// The Internet checksum of octets whose checksum field is zero (RFC 1071).
fn internet_checksum(octets: &[u8]) -> u16 {
    let mut sum = 0u32;
    for pair in octets.chunks(2) {
        sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// Puts the right checksum into an IPv4 header; nothing to do in IPv6.
pub(crate) fn fix_checksum(packet: &mut [u8]) {
    if packet.first().is_some_and(|first| first >> 4 == 4) {
        let header = usize::from(packet[0] & 0xf) * 4;
        packet[10..12].fill(0);
        let sum = internet_checksum(&packet[..header]);
        packet[10..12].copy_from_slice(&sum.to_be_bytes());
    }
}

/// Writes the packet's length into its IP header.
pub(crate) fn fix_length(packet: &mut [u8]) {
    set_length(packet, packet.len());
}

/// Writes a length into the IP header that is the start of `packet`.
pub(crate) fn set_length(packet: &mut [u8], length: usize) {
    match packet[0] >> 4 {
        4 => packet[2..4].copy_from_slice(&(length as u16).to_be_bytes()),
        _ => packet[4..6].copy_from_slice(&((length - 40) as u16).to_be_bytes()),
    }
    fix_checksum(packet);
}

/// Changes the ECN bits. A wrong IPv4 checksum stays wrong by as much (RFC 1624).
pub(crate) fn set_ecn(packet: &mut [u8], ecn: u8) {
    if packet[0] >> 4 == 6 {
        packet[1] = packet[1] & !0x30 | ecn << 4;
        return;
    }
    let (old, new) = (packet[1], packet[1] & !3 | ecn);
    packet[1] = new;
    let field = u16::from_be_bytes([packet[10], packet[11]]);
    let mut sum = u32::from(!field) + u32::from(!u16::from(old)) + u32::from(new);
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    packet[10..12].copy_from_slice(&(!(sum as u16)).to_be_bytes());
}

/// Whether an IPv4 header's checksum is right; true for IPv6.
pub(crate) fn checksum_is_right(packet: &[u8]) -> bool {
    let mut copy = packet.to_vec();
    fix_checksum(&mut copy);
    copy == packet
}

/// A plain IP header with these facts before `payload`.
pub(crate) fn with_header(
    (source, destination): (IpAddr, IpAddr),
    (tos, hop_limit, protocol): (u8, u8, u8),
    payload: &[u8],
) -> Vec<u8> {
    let mut packet = match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let mut header = vec![0x45, tos, 0, 0, 0, 0, 0, 0, hop_limit, protocol, 0, 0];
            header.extend(source.octets());
            header.extend(destination.octets());
            header
        }
        (source, destination) => {
            let mut header = vec![0x60 | tos >> 4, tos << 4, 0, 0, 0, 0, protocol, hop_limit];
            for address in [source, destination] {
                match address {
                    IpAddr::V4(v4) => header.extend(v4.to_ipv6_mapped().octets()),
                    IpAddr::V6(v6) => header.extend(v6.octets()),
                }
            }
            header
        }
    };
    packet.extend_from_slice(payload);
    fix_length(&mut packet);
    packet
}
