//! ESP (RFC 4303) and its encapsulation in UDP (RFC 3948).

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::{U32, view};

/// Octets of the header.
pub const HEADER: usize = 8;
/// Octets of the trailer without its padding.
pub const TRAILER: usize = 2;
/// The SPIs below this one are reserved (RFC 4303 §2.1).
pub const LEAST_SPI: u32 = 256;
/// What stands in place of an SPI before an IKE message in UDP (RFC 3948 §2.2).
pub const NON_ESP_MARKER: [u8; 4] = [0; 4];
/// The datagram that keeps a NAT's mapping alive (RFC 3948 §2.3).
pub const KEEPALIVE: [u8; 1] = [0xff];

/// The header (RFC 4303 §2.1, §2.2).
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy, PartialEq, Eq, Debug,
)]
#[repr(C)]
pub struct Header {
    /// Which SA.
    pub spi: U32,
    /// The lower 32 bits of the sequence number.
    pub sequence: U32,
}

impl Header {
    /// A header.
    pub fn new(spi: u32, sequence: u32) -> Self {
        Header {
            spi: spi.into(),
            sequence: sequence.into(),
        }
    }
}

/// The last two octets of what ESP encrypts (RFC 4303 §2.5, §2.6).
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy, PartialEq, Eq, Debug,
)]
#[repr(C)]
pub struct Trailer {
    /// Octets of padding before this trailer.
    pub pad_length: u8,
    /// What the payload is, see [`crate::protocol`].
    pub next_header: u8,
}

/// Why the end of a decrypted payload is not an ESP trailer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BadTrailer {
    /// The padding is longer than what there is, or there is no trailer at all.
    Length,
    /// The padding is not 1, 2, 3, … (RFC 4303 §2.4).
    Padding,
}

/// Octets of padding that make `payload` octets, the padding and the trailer a multiple of
/// `alignment`, which is the larger of 4 and the cipher's block size and a power of two
/// (RFC 4303 §2.4). 0 to `alignment - 1`.
#[inline]
pub fn pad_length(payload: usize, alignment: usize) -> usize {
    let mask = alignment.wrapping_sub(1);
    payload.wrapping_add(TRAILER).wrapping_neg() & mask
}

/// The beginning of all padding (RFC 4303 §2.4), as one number.
const PADDING: u64 = u64::from_le_bytes([1, 2, 3, 4, 5, 6, 7, 8]);
/// Octets of padding that fit one number together with the trailer.
const SHORT: usize = 8 - TRAILER;

/// Writes `pad_length` octets of padding (1, 2, 3, …) and the trailer to the start of `out` and
/// returns how many octets these are; `None` if they do not fit. What is behind them in `out` is
/// undefined then, up to the eighth octet: the ICV's place is.
#[inline]
pub fn write_trailer(out: &mut [u8], pad_length: u8, next_header: u8) -> Option<usize> {
    let padding = usize::from(pad_length);
    if padding <= SHORT
        && let Some(at_once) = out.first_chunk_mut::<8>()
    {
        let trailer = u64::from(u16::from_le_bytes([pad_length, next_header]));
        let shift = 8 * padding;
        *at_once = (PADDING & !(u64::MAX << shift) | trailer << shift).to_le_bytes();
        return Some(padding + TRAILER);
    }
    let (padded, trailer) = out.get_mut(..padding + TRAILER)?.split_at_mut(padding);
    for (octet, value) in padded.iter_mut().zip(1..) {
        *octet = value;
    }
    trailer.copy_from_slice(&[pad_length, next_header]);
    Some(padding + TRAILER)
}

/// Splits decrypted octets into the payload's length and what the payload is, and checks the
/// padding. To be called only after the ICV has been verified: before that the answer is an
/// oracle.
#[inline]
pub fn read_trailer(decrypted: &[u8]) -> Result<(usize, u8), BadTrailer> {
    let end = decrypted
        .len()
        .checked_sub(TRAILER)
        .ok_or(BadTrailer::Length)?;
    let trailer: &Trailer = view(decrypted, end).ok_or(BadTrailer::Length)?;
    let padding = usize::from(trailer.pad_length);
    let payload = end.checked_sub(padding).ok_or(BadTrailer::Length)?;
    let sound = match decrypted.last_chunk::<8>() {
        Some(at_once) if padding <= SHORT => {
            // Padding and trailer are the last octets, the highest of the number.
            let found = u64::from_le_bytes(*at_once) << 16 >> 16;
            found >> (8 * (SHORT - padding)) == PADDING & !(u64::MAX << (8 * padding))
        }
        _ => decrypted
            .get(payload..end)
            .ok_or(BadTrailer::Length)?
            .iter()
            .zip(1u8..)
            .all(|(octet, value)| *octet == value),
    };
    if sound {
        Ok((payload, trailer.next_header))
    } else {
        Err(BadTrailer::Padding)
    }
}

/// What a datagram on the port of UDP-encapsulated ESP holds (RFC 3948 §2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Encapsulated<'a> {
    /// An ESP packet, from its header on.
    Esp(&'a [u8]),
    /// An IKE message, without the marker before it.
    Ike(&'a [u8]),
    /// A NAT keepalive: one octet 0xff. It is to be ignored.
    Keepalive,
    /// Too short for any of them.
    Runt,
}

/// Tells apart what arrives on the port of UDP-encapsulated ESP.
pub fn in_udp(payload: &[u8]) -> Encapsulated<'_> {
    if payload == KEEPALIVE {
        return Encapsulated::Keepalive;
    }
    match payload.strip_prefix(&NON_ESP_MARKER) {
        Some(ike) => Encapsulated::Ike(ike),
        None if payload.len() > HEADER => Encapsulated::Esp(payload),
        None => Encapsulated::Runt,
    }
}
