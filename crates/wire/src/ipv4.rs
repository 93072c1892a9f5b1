//! IPv4 (RFC 791).

use std::net::Ipv4Addr;
use std::ops::Range;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::{Fragment, U16, checksum, view, view_mut};

/// Octets of a header without options.
pub const HEADER: usize = 20;
/// Octets of the longest header.
pub const LONGEST_HEADER: usize = 60;
/// Offset of the octet that names the protocol above.
pub const PROTOCOL_AT: usize = 9;
/// In [`Header::flags_fragment`]: don't fragment.
pub const DONT_FRAGMENT: u16 = 0x4000;
/// In [`Header::flags_fragment`]: more fragments follow.
pub const MORE_FRAGMENTS: u16 = 0x2000;
/// In [`Header::flags_fragment`]: the offset, in units of 8 octets.
pub const OFFSET_MASK: u16 = 0x1fff;

/// The fixed part of the header (RFC 791 §3.1).
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy, PartialEq, Eq, Debug,
)]
#[repr(C)]
pub struct Header {
    /// Version in the upper four bits, header length in 32-bit words in the lower.
    pub version_ihl: u8,
    /// DSCP in the upper six bits, ECN in the lower two.
    pub tos: u8,
    /// Octets of the packet, header included.
    pub total_length: U16,
    /// Identification of the packet that a fragment belongs to.
    pub id: U16,
    /// [`DONT_FRAGMENT`], [`MORE_FRAGMENTS`] and the fragment's offset in units of 8 octets.
    pub flags_fragment: U16,
    /// Time to live.
    pub ttl: u8,
    /// Protocol above, see [`crate::protocol`].
    pub protocol: u8,
    /// Checksum of the header and its options.
    pub checksum: U16,
    source: [u8; 4],
    destination: [u8; 4],
}

impl Header {
    /// A header without options: TTL 64, TOS, ID and flags zero, the checksum right.
    /// `total_length` includes these 20 octets.
    pub fn new(source: Ipv4Addr, destination: Ipv4Addr, protocol: u8, total_length: u16) -> Self {
        let mut header = Header {
            version_ihl: 0x45,
            tos: 0,
            total_length: total_length.into(),
            id: 0.into(),
            flags_fragment: 0.into(),
            ttl: 64,
            protocol,
            checksum: 0.into(),
            source: source.octets(),
            destination: destination.octets(),
        };
        header.update_checksum();
        header
    }

    /// The source address.
    #[inline]
    pub fn source(&self) -> Ipv4Addr {
        self.source.into()
    }

    /// Sets the source address; the checksum is left to the caller.
    #[inline]
    pub fn set_source(&mut self, source: Ipv4Addr) {
        self.source = source.octets();
    }

    /// The destination address.
    #[inline]
    pub fn destination(&self) -> Ipv4Addr {
        self.destination.into()
    }

    /// Sets the destination address; the checksum is left to the caller.
    #[inline]
    pub fn set_destination(&mut self, destination: Ipv4Addr) {
        self.destination = destination.octets();
    }

    /// Octets of the header with its options as the header says: 0 to 60, sound from 20.
    #[inline]
    pub fn header_length(&self) -> usize {
        usize::from(self.version_ihl & 0x0f) * 4
    }

    /// Whether the packet must not be fragmented on its way.
    #[inline]
    pub fn dont_fragment(&self) -> bool {
        self.flags_fragment.get() & DONT_FRAGMENT != 0
    }

    /// Which fragment this is; `None` if the packet is whole.
    #[inline]
    pub fn fragment(&self) -> Option<Fragment> {
        let field = self.flags_fragment.get();
        (field & (OFFSET_MASK | MORE_FRAGMENTS) != 0).then(|| Fragment {
            offset: (field & OFFSET_MASK) << 3,
            more: field & MORE_FRAGMENTS != 0,
            id: u32::from(self.id.get()),
        })
    }

    /// Recomputes the checksum of a header without options. With options use
    /// [`update_checksum`].
    pub fn update_checksum(&mut self) {
        self.checksum.set(0);
        self.checksum.set(checksum::sum(self.as_bytes()).finish());
    }
}

/// Whether the checksum over the header and its options is right; `false` for what is too short
/// to be a header.
pub fn checksum_ok(packet: &[u8]) -> bool {
    header_octets(packet).is_some_and(|header| checksum::sum(header).finish() == 0)
}

/// Recomputes the header checksum in place, options included. Says whether there was a header to
/// do it in.
pub fn update_checksum(packet: &mut [u8]) -> bool {
    let Some(header) = view_mut::<Header>(packet, 0) else {
        return false;
    };
    header.checksum.set(0);
    let Some(checksum) = header_octets(packet).map(|header| checksum::sum(header).finish()) else {
        return false;
    };
    if let Some(header) = view_mut::<Header>(packet, 0) {
        header.checksum.set(checksum);
    }
    true
}

/// The header with its options; `None` if it is shorter than 20 octets or cut off.
pub fn header_octets(packet: &[u8]) -> Option<&[u8]> {
    let length = view::<Header>(packet, 0)?.header_length();
    if length < HEADER {
        return None;
    }
    packet.get(..length)
}

/// The options of a header as [`header_octets`] returns it.
pub fn options(header: &[u8]) -> Options<'_> {
    Options {
        octets: header,
        at: HEADER,
    }
}

/// One option (RFC 791 §3.1). Padding, that is No Operation and End of Option List, is skipped.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IpOption {
    /// The first octet: copied flag, class and number.
    pub kind: u8,
    /// Where the whole option lies, from the start of the packet.
    pub range: Range<usize>,
}

impl IpOption {
    /// Whether the option goes into every fragment, not only the first.
    pub fn is_copied(&self) -> bool {
        self.kind & 0x80 != 0
    }
}

/// Walks the options of a header; ends at the End of Option List and at the first option whose
/// length is nonsense.
#[derive(Clone, Debug)]
pub struct Options<'a> {
    octets: &'a [u8],
    at: usize,
}

impl Iterator for Options<'_> {
    type Item = IpOption;

    fn next(&mut self) -> Option<IpOption> {
        const END: u8 = 0;
        const NO_OPERATION: u8 = 1;
        while self.octets.get(self.at) == Some(&NO_OPERATION) {
            self.at += 1;
        }
        let kind = *self.octets.get(self.at).filter(|kind| **kind != END)?;
        let length = usize::from(*self.octets.get(self.at + 1)?);
        let range = self.at..self.at + length;
        if length < 2 || range.end > self.octets.len() {
            self.at = self.octets.len();
            return None;
        }
        self.at = range.end;
        Some(IpOption { kind, range })
    }
}
