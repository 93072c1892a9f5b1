//! IPv6 and its extension headers (RFC 8200).

use std::net::{IpAddr, Ipv6Addr};
use std::ops::Range;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::{Family, Fragment, Layout, U16, U32, protocol, view};

/// Octets of the header.
pub const HEADER: usize = 40;
/// Offset of the octet that names what follows the header.
pub const NEXT_HEADER_AT: usize = 6;
/// Octets of a Fragment header.
pub const FRAGMENT_HEADER: usize = 8;
/// The smallest MTU that a link which carries IPv6 may have (RFC 8200 §5).
pub const LEAST_MTU: u16 = 1280;

/// The header (RFC 8200 §3).
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy, PartialEq, Eq, Debug,
)]
#[repr(C)]
pub struct Header {
    /// Version (4 bits), traffic class (8) and flow label (20).
    pub version_class_flow: U32,
    /// Octets behind this header, extension headers included.
    pub payload_length: U16,
    /// What follows, see [`crate::protocol`].
    pub next_header: u8,
    /// Hop limit.
    pub hop_limit: u8,
    source: [u8; 16],
    destination: [u8; 16],
}

impl Header {
    /// A header with hop limit 64, traffic class and flow label zero.
    pub fn new(
        source: Ipv6Addr,
        destination: Ipv6Addr,
        next_header: u8,
        payload_length: u16,
    ) -> Self {
        Header {
            version_class_flow: 0x6000_0000.into(),
            payload_length: payload_length.into(),
            next_header,
            hop_limit: 64,
            source: source.octets(),
            destination: destination.octets(),
        }
    }

    /// The source address.
    #[inline]
    pub fn source(&self) -> Ipv6Addr {
        self.source.into()
    }

    /// Sets the source address.
    #[inline]
    pub fn set_source(&mut self, source: Ipv6Addr) {
        self.source = source.octets();
    }

    /// The destination address.
    #[inline]
    pub fn destination(&self) -> Ipv6Addr {
        self.destination.into()
    }

    /// Sets the destination address.
    #[inline]
    pub fn set_destination(&mut self, destination: Ipv6Addr) {
        self.destination = destination.octets();
    }

    /// DSCP in the upper six bits, ECN in the lower two: what IPv4 calls TOS.
    #[inline]
    pub fn traffic_class(&self) -> u8 {
        (self.version_class_flow.get() >> 20) as u8
    }

    /// Sets the traffic class.
    #[inline]
    pub fn set_traffic_class(&mut self, class: u8) {
        let rest = self.version_class_flow.get() & 0xf00f_ffff;
        self.version_class_flow.set(rest | u32::from(class) << 20);
    }

    /// The flow label, 20 bits (RFC 6437).
    #[inline]
    pub fn flow_label(&self) -> u32 {
        self.version_class_flow.get() & 0x000f_ffff
    }

    /// Sets the flow label to the lower 20 bits of `label`.
    #[inline]
    pub fn set_flow_label(&mut self, label: u32) {
        let rest = self.version_class_flow.get() & 0xfff0_0000;
        self.version_class_flow.set(rest | label & 0x000f_ffff);
    }
}

/// The start that Hop-by-Hop Options, Routing, Destination Options, Mobility, HIP and Shim6
/// headers share (RFC 6564 §4).
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy, PartialEq, Eq, Debug,
)]
#[repr(C)]
pub struct Extension {
    /// What follows this header.
    pub next_header: u8,
    /// Length in units of 8 octets, the first 8 not counted.
    pub length: u8,
}

impl Extension {
    /// Octets of the whole header: 8 to 2048.
    #[inline]
    pub fn octets(&self) -> usize {
        (usize::from(self.length) + 1) * 8
    }
}

/// The fixed part of a Routing header (RFC 8200 §4.4).
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy, PartialEq, Eq, Debug,
)]
#[repr(C)]
pub struct Routing {
    /// Next header and length.
    pub extension: Extension,
    /// 0 is deprecated (RFC 5095), 2 is Mobile IPv6's (RFC 6275 §6.4), 4 Segment Routing's
    /// (RFC 8754).
    pub kind: u8,
    /// How many listed nodes are still to be visited.
    pub segments_left: u8,
}

/// The fixed part of a Mobility header (RFC 6275 §6.1.1).
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy, PartialEq, Eq, Debug,
)]
#[repr(C)]
pub struct Mobility {
    /// Next header ("payload proto") and length.
    pub extension: Extension,
    /// The MH type, a selector of RFC 4301 §4.4.1.1.
    pub kind: u8,
    /// Zero.
    pub reserved: u8,
    /// Checksum over a pseudo-header and the Mobility header.
    pub checksum: U16,
}

/// The Fragment header (RFC 8200 §4.5).
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy, PartialEq, Eq, Debug,
)]
#[repr(C)]
pub struct FragmentHeader {
    /// The first header of the fragmentable part.
    pub next_header: u8,
    /// Zero.
    pub reserved: u8,
    /// The offset in octets, whose lower three bits are two reserved ones and "more fragments".
    pub offset_more: U16,
    /// Identification of the packet that the fragment belongs to.
    pub id: U32,
}

impl FragmentHeader {
    /// The header of `fragment`. The offset is rounded down to a multiple of 8.
    pub fn new(next_header: u8, fragment: Fragment) -> Self {
        FragmentHeader {
            next_header,
            reserved: 0,
            offset_more: ((fragment.offset & !7) | u16::from(fragment.more)).into(),
            id: fragment.id.into(),
        }
    }

    /// Which fragment this is.
    #[inline]
    pub fn fragment(&self) -> Fragment {
        let field = self.offset_more.get();
        Fragment {
            offset: field & !7,
            more: field & 1 != 0,
            id: self.id.get(),
        }
    }
}

/// Whether `next_header` names an extension header that has an upper-layer header behind it:
/// those which RFC 4301 §4.4.1.1 has an implementation skip by default. ESP, AH, Mobility, HIP
/// and Shim6 are upper-layer protocols to a selector.
#[inline]
pub fn is_extension(next_header: u8) -> bool {
    matches!(
        next_header,
        protocol::HOP_BY_HOP
            | protocol::ROUTING
            | protocol::FRAGMENT
            | protocol::DESTINATION_OPTIONS
    )
}

/// The options of a Hop-by-Hop or Destination Options header, given from its first octet to its
/// last.
pub fn options(extension: &[u8]) -> Options<'_> {
    Options::starting(extension, size_of::<Extension>())
}

/// One option (RFC 8200 §4.2). Pad1 is skipped, PadN is not.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TlvOption {
    /// Its type: what to do where it is not known, whether it may change on the way, which it is.
    pub kind: u8,
    /// Where its data lies, from the start of the extension header.
    pub data: Range<usize>,
}

impl TlvOption {
    /// Whether routers may change the data (RFC 8200 §4.2).
    pub fn is_mutable(&self) -> bool {
        self.kind & 0x20 != 0
    }
}

/// Walks the options of an extension header; ends at the first one that goes beyond it.
#[derive(Clone, Debug)]
pub struct Options<'a> {
    octets: &'a [u8],
    at: usize,
}

impl<'a> Options<'a> {
    /// Starts at the option at `at`.
    pub(crate) fn starting(octets: &'a [u8], at: usize) -> Self {
        Options { octets, at }
    }
}

impl Iterator for Options<'_> {
    type Item = TlvOption;

    fn next(&mut self) -> Option<TlvOption> {
        const PAD_1: u8 = 0;
        while self.octets.get(self.at) == Some(&PAD_1) {
            self.at += 1;
        }
        let [kind, length] = *self.octets.get(self.at..)?.first_chunk()?;
        let start = self.at + 2;
        let data = start..start + usize::from(length);
        self.at = data.end;
        (data.end <= self.octets.len()).then_some(TlvOption { kind, data })
    }
}

/// Where the packet ends up after all the nodes that its Routing header has it visit, which is
/// what upper-layer checksums cover (RFC 8200 §8.1); without one, the destination. The header is
/// looked for in the unfragmentable part.
pub fn final_destination(packet: &[u8], layout: &Layout) -> IpAddr {
    let routed = match layout.family {
        Family::V4 => None,
        Family::V6 => last_segment(packet, layout),
    };
    routed.map_or_else(|| layout.destination(packet), IpAddr::V6)
}

/// The last address of the Routing header that still has segments left.
fn last_segment(packet: &[u8], layout: &Layout) -> Option<Ipv6Addr> {
    let end = usize::from(layout.unfragmentable);
    let mut next = view::<Header>(packet, 0)?.next_header;
    let mut at = HEADER;
    while at < end && is_extension(next) {
        let routing: &Routing = view(packet, at)?;
        if next == protocol::ROUTING && routing.segments_left > 0 {
            let list = packet.get(at + 8..at + routing.extension.octets())?;
            let last: &[u8; 16] = match routing.kind {
                0 | 2 => list.last_chunk()?,
                4 => list.first_chunk()?,
                _ => return None,
            };
            return Some((*last).into());
        }
        next = routing.extension.next_header;
        at += routing.extension.octets();
    }
    None
}
