//! TCP (RFC 9293).

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::{U16, U32};

/// Octets of a header without options.
pub const HEADER: usize = 20;
/// In [`Header::flags`]: no more data from the sender.
pub const FIN: u8 = 0x01;
/// In [`Header::flags`]: synchronize sequence numbers.
pub const SYN: u8 = 0x02;
/// In [`Header::flags`]: reset the connection.
pub const RST: u8 = 0x04;
/// In [`Header::flags`]: push.
pub const PSH: u8 = 0x08;
/// In [`Header::flags`]: the acknowledgment field counts.
pub const ACK: u8 = 0x10;
/// In [`Header::flags`]: the urgent pointer counts.
pub const URG: u8 = 0x20;
/// In [`Header::flags`]: ECN echo (RFC 3168).
pub const ECE: u8 = 0x40;
/// In [`Header::flags`]: congestion window reduced (RFC 3168).
pub const CWR: u8 = 0x80;

/// The header without options (RFC 9293 §3.1).
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy, PartialEq, Eq, Debug,
)]
#[repr(C)]
pub struct Header {
    /// Source port.
    pub source: U16,
    /// Destination port.
    pub destination: U16,
    /// Sequence number of the first octet of data, or of the SYN.
    pub sequence: U32,
    /// The next octet that the sender expects.
    pub acknowledgment: U32,
    /// Header length in 32-bit words in the upper four bits.
    pub data_offset: u8,
    /// [`FIN`], [`SYN`] and so on.
    pub flags: u8,
    /// Receive window.
    pub window: U16,
    /// Checksum.
    pub checksum: U16,
    /// Urgent pointer.
    pub urgent: U16,
}

impl Header {
    /// A header without options, with sequence numbers and checksum zero and an open window.
    pub fn new(source: u16, destination: u16, flags: u8) -> Self {
        Header {
            source: source.into(),
            destination: destination.into(),
            sequence: 0.into(),
            acknowledgment: 0.into(),
            data_offset: 0x50,
            flags,
            window: u16::MAX.into(),
            checksum: 0.into(),
            urgent: 0.into(),
        }
    }

    /// Octets of the header with its options as it says: 0 to 60, sound from 20.
    #[inline]
    pub fn header_length(&self) -> usize {
        usize::from(self.data_offset >> 4) * 4
    }
}
