//! AH (RFC 4302).

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::{U16, U32};

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
