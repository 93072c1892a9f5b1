//! TCP (RFC 9293).

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::{Layout, U16, U32, checksum, protocol, put, view, view_mut};

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

/// The option that tells the Maximum Segment Size (RFC 9293 §3.7.1), its octets, and those that end
/// the options and fill them.
const MSS: u8 = 2;
const MSS_OCTETS: u8 = 4;
const END: u8 = 0;
const NOTHING: u8 = 1;

/// Whether a packet begins a connection: [`SYN`], with or without [`ACK`].
pub fn is_syn(packet: &[u8], layout: &Layout) -> bool {
    let header: Option<&Header> = view(packet, usize::from(layout.upper));
    layout.protocol == protocol::TCP
        && !layout.is_fragment()
        && header.is_some_and(|header| header.flags & SYN != 0)
}

/// Lowers the Maximum Segment Size that a SYN tells to `most` octets and mends the checksum, which
/// must be whole. Says whether there was something to lower.
pub fn clamp_mss(packet: &mut [u8], layout: &Layout, most: u16) -> bool {
    if !is_syn(packet, layout) {
        return false;
    }
    let start = usize::from(layout.upper);
    // Options that go on behind the packet are link padding: no checksum covers them.
    let Some(at) = mss_at(layout.octets(packet), start) else {
        return false;
    };
    let told = view::<U16>(packet, at).map_or(0, |told| told.get());
    if told <= most {
        return false;
    }
    // The sum goes by words: of a value that lies in two of them each octet counts in the other's
    // place.
    let counted = |value: u16| match (at - start) % 2 {
        0 => value,
        _ => value.swap_bytes(),
    };
    if let Some(header) = view_mut::<Header>(packet, start) {
        let checksum = checksum::adjust(header.checksum.get(), counted(told), counted(most));
        header.checksum.set(checksum);
    }
    put(packet, at, &U16::new(most)).is_some()
}

/// Where the value stands, if the option is there and whole.
fn mss_at(packet: &[u8], start: usize) -> Option<usize> {
    let header: &Header = view(packet, start)?;
    let end = start + header.header_length();
    let mut at = start + HEADER;
    while at < end {
        match *packet.get(at)? {
            END => return None,
            NOTHING => at += 1,
            kind => {
                let octets = *packet.get(at + 1)?;
                let next = at + usize::from(octets.max(2));
                if kind == MSS {
                    let is_whole = octets == MSS_OCTETS && next <= end.min(packet.len());
                    return is_whole.then_some(at + 2);
                }
                at = next;
            }
        }
    }
    None
}
