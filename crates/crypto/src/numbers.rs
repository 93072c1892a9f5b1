//! The ESP numbers that a seal covers.

/// SPI and sequence number of a packet, which every seal authenticates (RFC 4303 §2.2.1).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Numbers {
    /// The SPI.
    pub spi: u32,
    /// The sequence number with its high half; the packet carries the low 32 bits.
    pub sequence: u64,
    /// Whether the high half is authenticated.
    pub sequence_form: Sequence,
}

/// The form of an SA's sequence numbers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Sequence {
    /// 32 bits: the high half of [`Numbers::sequence`] is ignored.
    Short,
    /// 64 bits (ESN): the high half is authenticated though no packet carries it.
    Extended,
}

impl Numbers {
    /// What a combined mode authenticates beside the text: SPI, then 32 or 64 bits of sequence
    /// number (RFC 4106 §5, RFC 4309 §5, RFC 4543 §3.3, RFC 7634 §2.1).
    pub(crate) fn aad(&self) -> Aad {
        let mut octets = [0; 12];
        octets[..4].copy_from_slice(&self.spi.to_be_bytes());
        let length = match self.sequence_form {
            Sequence::Short => {
                octets[4..8].copy_from_slice(&self.low());
                8
            }
            Sequence::Extended => {
                octets[4..].copy_from_slice(&self.sequence.to_be_bytes());
                12
            }
        };
        Aad { octets, length }
    }

    /// The header as the packet carries it: SPI and the low half of the sequence number.
    pub(crate) fn header(&self) -> [u8; 8] {
        let mut octets = [0; 8];
        octets[..4].copy_from_slice(&self.spi.to_be_bytes());
        octets[4..].copy_from_slice(&self.low());
        octets
    }

    /// The high half, which a separate integrity algorithm takes after the text; `None` if short.
    pub(crate) fn high(&self) -> Option<[u8; 4]> {
        match self.sequence_form {
            Sequence::Short => None,
            Sequence::Extended => Some(((self.sequence >> 32) as u32).to_be_bytes()),
        }
    }

    fn low(&self) -> [u8; 4] {
        (self.sequence as u32).to_be_bytes()
    }
}

/// The associated data of a combined mode, on the stack.
pub(crate) struct Aad {
    octets: [u8; 12],
    length: usize,
}

impl Aad {
    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.octets[..self.length]
    }
}
