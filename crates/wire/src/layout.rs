//! One pass over a packet that finds every header.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::{ipv4, ipv6, protocol, view};

/// IPv4 or IPv6.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// Where everything is in one packet: found once, by [`Layout::parse`], and carried beside the
/// packet from then on. Whoever moves or changes headers makes a new one.
///
/// ```text
///  0        next_header_at     unfragmentable                    upper            length
///  ├─ IPv6 ──┬─ hop-by-hop, ─────┼─ [fragment] [dest. options] ─────┼─ TCP, ESP, … ──┤ link padding
///            │  routing          │
///            └ names what ──────▶┘
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct Layout {
    /// Octets of the packet as its IP header says. What the buffer holds beyond is link padding.
    pub length: u32,
    /// Which fragment this is. `None` if the packet is whole and, in IPv6, has no Fragment header
    /// either.
    pub fragment: Option<Fragment>,
    /// Ports, or what the protocol has in their place.
    pub ports: Ports,
    /// Offset at which a transport-mode ESP or AH header or a Fragment header belongs, or the
    /// Fragment header stands (RFC 4303 §3.1.1, RFC 8200 §4.5). IPv4: behind the options. IPv6:
    /// behind the last Hop-by-Hop or Routing header that precedes any Fragment header.
    pub unfragmentable: u16,
    /// Offset of the octet that names what stands at `unfragmentable`.
    pub next_header_at: u16,
    /// Offset of the upper-layer header; in a fragment other than the first, of its data.
    pub upper: u16,
    /// The upper-layer protocol, behind all extension headers. ESP, AH, Mobility, HIP and Shim6
    /// are upper-layer protocols here (RFC 4301 §4.4.1.1). In an IPv6 fragment other than the
    /// first, what the Fragment header names, which may be an extension header.
    pub protocol: u8,
    /// IPv4 or IPv6.
    pub family: Family,
}

/// Which part of a packet a fragment is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct Fragment {
    /// Where the fragment's data belongs in the fragmentable part, in octets: a multiple of 8.
    pub offset: u16,
    /// Whether more follow.
    pub more: bool,
    /// Identification, 16 bits in IPv4.
    pub id: u32,
}

impl Fragment {
    /// Whether this is the fragment with the upper-layer header.
    #[inline]
    pub fn is_first(self) -> bool {
        self.offset == 0
    }

    /// Whether there is nothing to reassemble: an IPv6 "atomic fragment" (RFC 6946).
    #[inline]
    pub fn is_whole(self) -> bool {
        self.offset == 0 && !self.more
    }
}

/// What RFC 4301 §4.4.1.1 selects on above the protocol number.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Ports {
    /// TCP, UDP, UDP-Lite, SCTP, DCCP.
    Pair {
        /// Source port.
        source: u16,
        /// Destination port.
        destination: u16,
    },
    /// ICMP, ICMPv6.
    Icmp {
        /// Type.
        kind: u8,
        /// Code.
        code: u8,
    },
    /// Mobility header.
    Mobility {
        /// MH type.
        kind: u8,
    },
    /// The protocol has nothing of the kind.
    None,
    /// A fragment other than the first, or the fixed part of the upper-layer header is cut off.
    Unavailable,
}

impl Layout {
    /// Finds the headers of the packet at the start of `packet`.
    ///
    /// The octets beyond the length that the IP header states are not looked at; a packet that
    /// states more than there is, is malformed. The IPv4 header checksum is not verified, see
    /// [`ipv4::checksum_ok`].
    // In line always: what is handed back through memory, field by field, is waited for.
    #[allow(clippy::inline_always)]
    #[inline(always)]
    pub fn parse(packet: &[u8]) -> Result<Layout, Malformed> {
        parse::<WHOLE>(packet)
    }

    /// Finds the headers of a packet that an ICMP error quotes: cut off anywhere behind its IP
    /// header and, in IPv6, its extension headers. [`Layout::length`] is that of what is there,
    /// and ports count as there if their octets are.
    pub fn parse_quoted(packet: &[u8]) -> Result<Layout, Malformed> {
        parse::<QUOTED>(packet)
    }

    /// Whether the packet is a part of one, and not an IPv6 packet that merely has a Fragment
    /// header.
    #[inline]
    pub fn is_fragment(&self) -> bool {
        self.fragment.is_some_and(|fragment| !fragment.is_whole())
    }

    /// Whether the upper-layer header, if the packet has one, starts at [`Layout::upper`]: the
    /// packet is whole or its first fragment.
    #[inline]
    pub fn is_first(&self) -> bool {
        self.fragment.is_none_or(Fragment::is_first)
    }

    /// The source address. `packet` is the one that this layout was made of; of any other the
    /// answer is meaningless, and unspecified if it is too short.
    #[inline]
    pub fn source(&self, packet: &[u8]) -> IpAddr {
        match self.family {
            Family::V4 => v4(packet)
                .map_or(Ipv4Addr::UNSPECIFIED, ipv4::Header::source)
                .into(),
            Family::V6 => v6(packet)
                .map_or(Ipv6Addr::UNSPECIFIED, ipv6::Header::source)
                .into(),
        }
    }

    /// The destination address, in the manner of [`Layout::source`].
    #[inline]
    pub fn destination(&self, packet: &[u8]) -> IpAddr {
        match self.family {
            Family::V4 => v4(packet)
                .map_or(Ipv4Addr::UNSPECIFIED, ipv4::Header::destination)
                .into(),
            Family::V6 => v6(packet)
                .map_or(Ipv6Addr::UNSPECIFIED, ipv6::Header::destination)
                .into(),
        }
    }

    /// DSCP and ECN: the TOS octet or the traffic class.
    #[inline]
    pub fn tos(&self, packet: &[u8]) -> u8 {
        match self.family {
            Family::V4 => v4(packet).map_or(0, |header| header.tos),
            Family::V6 => v6(packet).map_or(0, ipv6::Header::traffic_class),
        }
    }

    /// Hop limit or TTL.
    #[inline]
    pub fn hop_limit(&self, packet: &[u8]) -> u8 {
        match self.family {
            Family::V4 => v4(packet).map_or(0, |header| header.ttl),
            Family::V6 => v6(packet).map_or(0, |header| header.hop_limit),
        }
    }

    /// Whether the packet must not be fragmented on its way: always so in IPv6.
    #[inline]
    pub fn dont_fragment(&self, packet: &[u8]) -> bool {
        match self.family {
            Family::V4 => v4(packet).is_some_and(ipv4::Header::dont_fragment),
            Family::V6 => true,
        }
    }

    /// The packet without link padding.
    #[inline]
    pub fn octets<'a>(&self, packet: &'a [u8]) -> &'a [u8] {
        packet.get(..self.length as usize).unwrap_or(packet)
    }

    /// The upper-layer header and its data.
    #[inline]
    pub fn payload<'a>(&self, packet: &'a [u8]) -> &'a [u8] {
        self.octets(packet)
            .get(usize::from(self.upper)..)
            .unwrap_or_default()
    }
}

/// Why octets are not a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Malformed {
    /// No octets at all.
    Empty,
    /// Neither IPv4 nor IPv6.
    Version,
    /// Shorter than an IP header.
    Truncated,
    /// IPv4: a header length below 20.
    HeaderLength,
    /// The length that the IP header states is less than the header or more than there is.
    TotalLength,
    /// A Hop-by-Hop Options header that does not follow the IPv6 header.
    HopByHopPlace,
    /// More than one Fragment header.
    ExtensionOrder,
    /// Extension headers that go beyond the packet, or more than 16 of them.
    ExtensionChain,
    /// A jumbogram (RFC 2675).
    Jumbogram,
    /// A fragment without data, or not the last and no multiple of 8 octets long, or one that
    /// would make a packet of more than 65535 octets.
    FragmentShape,
}

impl Malformed {
    /// All of them, in order of declaration.
    pub const ALL: [Malformed; 10] = [
        Malformed::Empty,
        Malformed::Version,
        Malformed::Truncated,
        Malformed::HeaderLength,
        Malformed::TotalLength,
        Malformed::HopByHopPlace,
        Malformed::ExtensionOrder,
        Malformed::ExtensionChain,
        Malformed::Jumbogram,
        Malformed::FragmentShape,
    ];

    /// A short name for counters and labels.
    pub const fn name(self) -> &'static str {
        match self {
            Malformed::Empty => "empty",
            Malformed::Version => "version",
            Malformed::Truncated => "truncated",
            Malformed::HeaderLength => "header-length",
            Malformed::TotalLength => "total-length",
            Malformed::HopByHopPlace => "hop-by-hop-place",
            Malformed::ExtensionOrder => "extension-order",
            Malformed::ExtensionChain => "extension-chain",
            Malformed::Jumbogram => "jumbogram",
            Malformed::FragmentShape => "fragment-shape",
        }
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Malformed::Empty => "the packet has no octets",
            Malformed::Version => "the packet is neither IPv4 nor IPv6",
            Malformed::Truncated => "the packet is shorter than its IP header",
            Malformed::HeaderLength => "the IPv4 header length is below 20 octets",
            Malformed::TotalLength => "the length in the IP header does not fit the packet",
            Malformed::HopByHopPlace => "a Hop-by-Hop Options header is not the first extension",
            Malformed::ExtensionOrder => "the packet has more than one Fragment header",
            Malformed::ExtensionChain => "the extension headers go on beyond reason or the packet",
            Malformed::Jumbogram => "the packet is a jumbogram",
            Malformed::FragmentShape => "the fragment's length or offset cannot be",
        })
    }
}

impl std::error::Error for Malformed {}

/// Most extension headers that a packet may have.
const MOST_EXTENSIONS: usize = 16;
/// Most octets that an IPv4 packet, or an IPv6 payload, can have when it is whole.
const LONGEST: usize = 65535;
/// How [`parse`] takes a packet that states more octets than there are: as malformed, …
const WHOLE: bool = false;
/// … or as cut off.
const QUOTED: bool = true;

#[allow(clippy::inline_always)]
#[inline(always)]
fn parse<const CUT: bool>(packet: &[u8]) -> Result<Layout, Malformed> {
    match packet.first().ok_or(Malformed::Empty)? >> 4 {
        4 => parse_v4::<CUT>(packet),
        6 => parse_v6::<CUT>(packet),
        _ => Err(Malformed::Version),
    }
}

#[allow(clippy::inline_always)]
#[inline(always)]
fn parse_v4<const CUT: bool>(packet: &[u8]) -> Result<Layout, Malformed> {
    let header = v4(packet).ok_or(Malformed::Truncated)?;
    let upper = header.header_length();
    let stated = usize::from(header.total_length.get());
    if upper < ipv4::HEADER {
        return Err(Malformed::HeaderLength);
    }
    let length = extent::<CUT>(packet, upper, stated)?;
    let fragment = header.fragment();
    if let Some(fragment) = fragment {
        check_shape(fragment, upper, stated - upper)?;
    }
    let ports = match fragment {
        Some(fragment) if !fragment.is_first() => Ports::Unavailable,
        _ => Ports::read::<CUT>(
            header.protocol,
            packet.get(upper..length).unwrap_or_default(),
        ),
    };
    Ok(Layout {
        length: length as u32,
        fragment,
        ports,
        unfragmentable: upper as u16,
        next_header_at: ipv4::PROTOCOL_AT as u16,
        upper: upper as u16,
        protocol: header.protocol,
        family: Family::V4,
    })
}

#[allow(clippy::inline_always)]
#[inline(always)]
fn parse_v6<const CUT: bool>(packet: &[u8]) -> Result<Layout, Malformed> {
    let header = v6(packet).ok_or(Malformed::Truncated)?;
    let stated = ipv6::HEADER + usize::from(header.payload_length.get());
    let length = extent::<CUT>(packet, ipv6::HEADER, stated)?;
    let octets = packet.get(..length).unwrap_or_default();
    let chain = if ipv6::is_extension(header.next_header) {
        Chain::walk(octets, header.next_header, stated)?
    } else {
        Chain::new(header.next_header)
    };
    let ports = match chain.fragment {
        Some(fragment) if !fragment.is_first() => Ports::Unavailable,
        _ => Ports::read::<CUT>(chain.next, octets.get(chain.at..).unwrap_or_default()),
    };
    Ok(Layout {
        length: length as u32,
        fragment: chain.fragment,
        ports,
        unfragmentable: chain.unfragmentable as u16,
        next_header_at: chain.next_header_at as u16,
        upper: chain.at as u16,
        protocol: chain.next,
        family: Family::V6,
    })
}

/// How many octets of the packet there are, if it states `stated` and its header has `header`.
#[allow(clippy::inline_always)]
#[inline(always)]
fn extent<const CUT: bool>(
    packet: &[u8],
    header: usize,
    stated: usize,
) -> Result<usize, Malformed> {
    if stated < header {
        return Err(Malformed::TotalLength);
    }
    if stated <= packet.len() {
        return Ok(stated);
    }
    match CUT {
        WHOLE => Err(Malformed::TotalLength),
        QUOTED if packet.len() < header => Err(Malformed::Truncated),
        QUOTED => Ok(packet.len()),
    }
}

/// A walk along the extension headers: where it stands, and what it has met. The offsets stay far
/// below 65536: 16 headers have at most 2048 octets each.
struct Chain {
    /// What stands at `at`.
    next: u8,
    at: usize,
    /// Offset of the octet that names what stands at `at`.
    named_at: usize,
    unfragmentable: usize,
    next_header_at: usize,
    fragment: Option<Fragment>,
}

impl Chain {
    #[inline]
    fn new(next: u8) -> Chain {
        Chain {
            next,
            at: ipv6::HEADER,
            named_at: ipv6::NEXT_HEADER_AT,
            unfragmentable: ipv6::HEADER,
            next_header_at: ipv6::NEXT_HEADER_AT,
            fragment: None,
        }
    }

    /// Walks up to the upper-layer header. `octets` are those that are there, `stated` those that
    /// the packet has.
    #[inline(never)]
    fn walk(octets: &[u8], next: u8, stated: usize) -> Result<Chain, Malformed> {
        let mut chain = Chain::new(next);
        if next == protocol::HOP_BY_HOP && stated == ipv6::HEADER {
            return Err(Malformed::Jumbogram);
        }
        for _ in 0..MOST_EXTENSIONS {
            if chain.next == protocol::FRAGMENT {
                chain.pass_fragment(octets, stated)?;
            } else {
                chain.pass_extension(octets)?;
            }
            let is_last = chain.fragment.is_some_and(|fragment| !fragment.is_first());
            if is_last || !ipv6::is_extension(chain.next) {
                return Ok(chain);
            }
        }
        Err(Malformed::ExtensionChain)
    }

    fn pass_extension(&mut self, octets: &[u8]) -> Result<(), Malformed> {
        if self.next == protocol::HOP_BY_HOP && self.at != ipv6::HEADER {
            return Err(Malformed::HopByHopPlace);
        }
        let header: &ipv6::Extension = view(octets, self.at).ok_or(Malformed::ExtensionChain)?;
        let passed = self.next;
        self.named_at = self.at;
        self.next = header.next_header;
        self.at += header.octets();
        if self.at > octets.len() {
            return Err(Malformed::ExtensionChain);
        }
        // Destination options belong to what nodes on the way act on only if a Routing header
        // follows (RFC 8200 §4.5).
        if passed != protocol::DESTINATION_OPTIONS && self.fragment.is_none() {
            self.unfragmentable = self.at;
            self.next_header_at = self.named_at;
        }
        Ok(())
    }

    fn pass_fragment(&mut self, octets: &[u8], stated: usize) -> Result<(), Malformed> {
        if self.fragment.is_some() {
            return Err(Malformed::ExtensionOrder);
        }
        let header: &ipv6::FragmentHeader =
            view(octets, self.at).ok_or(Malformed::ExtensionChain)?;
        let fragment = header.fragment();
        self.unfragmentable = self.at;
        self.next_header_at = self.named_at;
        self.named_at = self.at;
        self.next = header.next_header;
        self.at += ipv6::FRAGMENT_HEADER;
        self.fragment = Some(fragment);
        check_shape(
            fragment,
            self.unfragmentable - ipv6::HEADER,
            stated - self.at,
        )
    }
}

/// Whether a fragment with `data` octets can be part of a packet that has `header` octets before
/// its fragmentable part (RFC 791 §3.2, RFC 8200 §4.5).
fn check_shape(fragment: Fragment, header: usize, data: usize) -> Result<(), Malformed> {
    let sound = fragment.is_whole() || data > 0;
    let aligned = !fragment.more || data.is_multiple_of(8);
    let bounded = header + usize::from(fragment.offset) + data <= LONGEST;
    if sound && aligned && bounded {
        Ok(())
    } else {
        Err(Malformed::FragmentShape)
    }
}

impl Ports {
    /// Reads them from the upper-layer header at the start of `upper`.
    #[allow(clippy::inline_always)]
    #[inline(always)]
    fn read<const CUT: bool>(protocol: u8, upper: &[u8]) -> Ports {
        // The fixed part of each header. A first fragment that does not hold it is one of the
        // "tiny fragments" of RFC 1858: its ports are not believed.
        match protocol {
            protocol::TCP => start::<CUT>(upper, 20).map(Ports::pair),
            protocol::UDP | protocol::UDP_LITE => start::<CUT>(upper, 8).map(Ports::pair),
            protocol::SCTP | protocol::DCCP => start::<CUT>(upper, 12).map(Ports::pair),
            protocol::ICMP | protocol::ICMPV6 => {
                start::<CUT>(upper, 4).map(|[kind, code, ..]| Ports::Icmp { kind, code })
            }
            protocol::MOBILITY => {
                start::<CUT>(upper, 6).map(|[_, _, kind, _]| Ports::Mobility { kind })
            }
            _ => Some(Ports::None),
        }
        .unwrap_or(Ports::Unavailable)
    }

    #[inline]
    fn pair([a, b, c, d]: [u8; 4]) -> Ports {
        Ports::Pair {
            source: u16::from_be_bytes([a, b]),
            destination: u16::from_be_bytes([c, d]),
        }
    }
}

/// The first four octets of an upper-layer header, if the `fixed` octets that it has are there; of
/// a quoted one, if they are there themselves.
#[inline]
fn start<const CUT: bool>(upper: &[u8], fixed: usize) -> Option<[u8; 4]> {
    let start = upper.first_chunk().copied();
    start.filter(|_| CUT == QUOTED || upper.len() >= fixed)
}

#[inline]
fn v4(packet: &[u8]) -> Option<&ipv4::Header> {
    view(packet, 0)
}

#[inline]
fn v6(packet: &[u8]) -> Option<&ipv6::Header> {
    view(packet, 0)
}
