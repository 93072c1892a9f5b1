//! AH (RFC 4302).

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::{U16, U32, ipv4, ipv6, protocol, view, view_mut};

/// Octets of the fixed part.
pub const HEADER: usize = 12;

/// The header without its ICV (RFC 4302 §2).
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy, PartialEq, Eq, Debug,
)]
#[repr(C)]
pub struct Header {
    /// What follows the header.
    pub next_header: u8,
    /// Length of the header with its ICV in 32-bit words, minus 2.
    pub length: u8,
    /// Zero.
    pub reserved: U16,
    /// Which SA.
    pub spi: U32,
    /// The lower 32 bits of the sequence number.
    pub sequence: U32,
}

impl Header {
    /// A header with room for `icv` octets behind it, padding included: a multiple of 4, at most
    /// 1016.
    pub fn new(next_header: u8, icv: usize, spi: u32, sequence: u32) -> Self {
        let words = (HEADER + icv) / 4;
        Header {
            next_header,
            length: u8::try_from(words - 2).unwrap_or(u8::MAX),
            reserved: 0.into(),
            spi: spi.into(),
            sequence: sequence.into(),
        }
    }

    /// Octets of the whole header as it says: 8 to 1028, sound from 12.
    #[inline]
    pub fn octets(&self) -> usize {
        (usize::from(self.length) + 2) * 4
    }

    /// Octets of the ICV with its padding; `None` if the header says that it is shorter than its
    /// fixed part.
    #[inline]
    pub fn icv_octets(&self) -> Option<usize> {
        self.octets().checked_sub(HEADER)
    }
}

/// Prepares the headers before an AH header for its ICV, in a copy of them: what routers may
/// change becomes zero, and what they change predictably becomes what it will be at the
/// destination (RFC 4302 §3.3.3.1).
///
/// `headers` ends where the AH header starts. `None` if it is not a sound IP header with its
/// options or extension headers, or has a Routing header whose travels are not known here (types
/// other than 0 and 2 with segments left); the octets are then of no use.
pub fn zero_mutable(headers: &mut [u8]) -> Option<()> {
    match headers.first()? >> 4 {
        4 => zero_mutable_v4(headers),
        6 => zero_mutable_v6(headers),
        _ => None,
    }
}

/// RFC 4302 §3.3.3.1.1.
fn zero_mutable_v4(headers: &mut [u8]) -> Option<()> {
    let mut original = [0; ipv4::LONGEST_HEADER];
    let original = original.get_mut(..headers.len())?;
    original.copy_from_slice(headers);
    if ipv4::header_octets(original)?.len() != headers.len() {
        return None;
    }
    for option in ipv4::options(original) {
        let octets = original.get(option.range.clone())?;
        if let Some(last) = last_hop(octets).filter(|_| is_source_route(option.kind)) {
            view_mut::<ipv4::Header>(headers, 0)?.set_destination(last.into());
        }
        if !is_immutable(option.kind) {
            headers.get_mut(option.range)?.fill(0);
        }
    }
    let header: &mut ipv4::Header = view_mut(headers, 0)?;
    header.tos = 0;
    header.flags_fragment.set(0);
    header.ttl = 0;
    header.checksum.set(0);
    Some(())
}

/// The options that count as they are (RFC 4302, appendix A1): the three security options, router
/// alert and sender-directed delivery. All others become zero as a whole.
fn is_immutable(kind: u8) -> bool {
    matches!(kind, 130 | 133 | 134 | 148 | 149)
}

/// Loose or strict source route (RFC 791 §3.1).
fn is_source_route(kind: u8) -> bool {
    matches!(kind, 131 | 137)
}

/// The last address of a source route that has not been followed to its end.
fn last_hop(option: &[u8]) -> Option<[u8; 4]> {
    let pointer = usize::from(*option.get(2)?);
    let last = option.get(3..)?.last_chunk()?;
    (pointer <= option.len()).then_some(*last)
}

/// RFC 4302 §3.3.3.1.2.
fn zero_mutable_v6(headers: &mut [u8]) -> Option<()> {
    let header: &mut ipv6::Header = view_mut(headers, 0)?;
    header.set_traffic_class(0);
    header.set_flow_label(0);
    header.hop_limit = 0;
    let mut next = header.next_header;
    let mut at = ipv6::HEADER;
    while at < headers.len() {
        let extension = *view::<ipv6::Extension>(headers, at)?;
        let end = at + extension.octets();
        match next {
            protocol::HOP_BY_HOP | protocol::DESTINATION_OPTIONS => {
                zero_options(headers.get_mut(at..end)?)?;
            }
            protocol::ROUTING => arrive(headers, at)?,
            _ => return None,
        }
        next = extension.next_header;
        at = end;
    }
    (at == headers.len()).then_some(())
}

/// Zeroes the data of the options that may change on the way.
fn zero_options(extension: &mut [u8]) -> Option<()> {
    let mut at = size_of::<ipv6::Extension>();
    while let Some(option) = ipv6::Options::starting(extension, at).next() {
        at = option.data.end;
        if option.is_mutable() {
            extension.get_mut(option.data)?.fill(0);
        }
    }
    Some(())
}

/// Swaps addresses as each node does that the Routing header at `at` has the packet still visit
/// (RFC 2460 §4.4, RFC 6275 §6.4).
fn arrive(headers: &mut [u8], at: usize) -> Option<()> {
    let routing: &mut ipv6::Routing = view_mut(headers, at)?;
    let left = usize::from(routing.segments_left);
    if left > 0 && !matches!(routing.kind, 0 | 2) {
        return None;
    }
    routing.segments_left = 0;
    let end = at + routing.extension.octets();
    let start = end
        .checked_sub(16 * left)
        .filter(|start| *start >= at + 8)?;
    for slot in (start..end).step_by(16) {
        let next = *view::<[u8; 16]>(headers, slot)?;
        let header: &mut ipv6::Header = view_mut(headers, 0)?;
        let visited = header.destination();
        header.set_destination(next.into());
        headers
            .get_mut(slot..slot + 16)?
            .copy_from_slice(&visited.octets());
    }
    Some(())
}
