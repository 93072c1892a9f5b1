//! UDP (RFC 768).

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::U16;

/// Octets of the header.
pub const HEADER: usize = 8;
/// The port of IKE behind a NAT and of UDP-encapsulated ESP (RFC 3948 §2).
pub const ESP_PORT: u16 = 4500;

/// The header.
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy, PartialEq, Eq, Debug,
)]
#[repr(C)]
pub struct Header {
    /// Source port.
    pub source: U16,
    /// Destination port.
    pub destination: U16,
    /// Octets of header and data.
    pub length: U16,
    /// Checksum; zero means none.
    pub checksum: U16,
}

impl Header {
    /// A header without a checksum. `length` includes these 8 octets.
    pub fn new(source: u16, destination: u16, length: u16) -> Self {
        Header {
            source: source.into(),
            destination: destination.into(),
            length: length.into(),
            checksum: 0.into(),
        }
    }
}
