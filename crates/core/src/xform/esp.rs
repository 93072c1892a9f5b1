//! ESP (RFC 4303): sealing a train, opening a packet.

use sealway_crypto::{IvSource, Numbers};
use sealway_packet::Train;
use sealway_wire::{esp, put};

use crate::sad::Sa;
use crate::verdict::DropReason;

/// Seals every segment of a train: RFC 4303 §3.3. A job is data: it runs at once, or travels with
/// its train to whoever runs it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SealJob {
    /// The sequence number of the first segment; each next one carries the next.
    pub(crate) first: u64,
    /// What the payloads are.
    pub(crate) next_header: u8,
}

impl SealJob {
    /// Runs the job with its SA: each segment, a payload, becomes ESP header, IV, ciphertext and
    /// ICV.
    #[inline]
    pub(crate) fn run(self, train: &mut Train, sa: &Sa, iv: &IvSource) -> Result<(), DropReason> {
        let shape = sa.runtime.shape;
        let count = train.count();
        let pads = [train.longest(), train.last()]
            .map(|payload| esp::pad_length(payload, shape.alignment()));
        let behind = pads.map(|pad| pad + esp::TRAILER + shape.icv());
        train
            .grow(esp::HEADER + shape.iv(), behind)
            .map_err(|_| DropReason::NoBuffer)?;
        for index in 0..count {
            let pad = if index + 1 == count { pads[1] } else { pads[0] };
            let numbers = Numbers {
                spi: sa.config.id.spi.value(),
                sequence: self.first + index as u64,
                sequence_form: sa.config.sequence.form,
            };
            let segment = train.segment_mut(index);
            seal(segment, sa, iv, &numbers, (pad, self.next_header)).ok_or(DropReason::Internal)?;
        }
        Ok(())
    }
}

#[inline]
fn seal(
    segment: &mut [u8],
    sa: &Sa,
    source: &IvSource,
    numbers: &Numbers,
    (pad, next_header): (usize, u8),
) -> Option<()> {
    let shape = sa.runtime.shape;
    put(
        segment,
        0,
        &esp::Header::new(numbers.spi, numbers.sequence as u32),
    )?;
    let (_, rest) = segment.split_at_mut_checked(esp::HEADER)?;
    let (iv, rest) = rest.split_at_mut_checked(shape.iv())?;
    let text = rest.len().checked_sub(shape.icv())?;
    let trailer = text.checked_sub(pad + esp::TRAILER)?;
    esp::write_trailer(rest.get_mut(trailer..)?, pad as u8, next_header)?;
    let (text, icv) = rest.split_at_mut_checked(text)?;
    source.fill(numbers.sequence, iv);
    sa.runtime.context.seal(numbers, iv, text, icv).ok()
}

/// Opens one packet: RFC 4303 §3.4.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OpenJob {
    /// Octets before the ESP header: the IP headers, if they are there.
    pub(crate) before: usize,
    /// The whole sequence number, its high half inferred.
    pub(crate) sequence: u64,
}

/// Where the plain payload of an opened packet is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Opened {
    /// Octets before the payload.
    pub(crate) start: usize,
    /// Octets of the payload, without padding and trailer.
    pub(crate) length: usize,
    /// What the payload is.
    pub(crate) next_header: u8,
}

impl OpenJob {
    /// Runs the job with its SA: verifies and decrypts in place. The trailer is read by
    /// [`Opened::read`], when the replay window has accepted the number.
    #[inline]
    pub(crate) fn run(self, packet: &mut [u8], sa: &Sa) -> Result<(), DropReason> {
        let shape = sa.runtime.shape;
        let too_short = DropReason::EspLength;
        let esp = packet
            .get_mut(self.before + esp::HEADER..)
            .ok_or(too_short)?;
        let (iv, rest) = esp.split_at_mut_checked(shape.iv()).ok_or(too_short)?;
        let text = rest.len().checked_sub(shape.icv()).ok_or(too_short)?;
        let (text, icv) = rest.split_at_mut_checked(text).ok_or(too_short)?;
        if text.len() < esp::TRAILER || text.len() & (shape.alignment() - 1) != 0 {
            return Err(DropReason::EspLength);
        }
        let numbers = Numbers {
            spi: sa.config.id.spi.value(),
            sequence: self.sequence,
            sequence_form: sa.config.sequence.form,
        };
        sa.runtime
            .context
            .open(&numbers, iv, text, icv)
            .map_err(|_| DropReason::Integrity)
    }
}

impl Opened {
    /// Reads the trailer of a verified packet (RFC 4303 §3.4.4.1 step 3).
    #[inline]
    pub(crate) fn read(packet: &[u8], before: usize, sa: &Sa) -> Result<Opened, DropReason> {
        let shape = sa.runtime.shape;
        let start = before + esp::HEADER + shape.iv();
        let end = packet.len().saturating_sub(shape.icv());
        let text = packet.get(start..end).ok_or(DropReason::EspLength)?;
        let (length, next_header) = esp::read_trailer(text).map_err(|_| DropReason::Padding)?;
        Ok(Opened {
            start,
            length,
            next_header,
        })
    }
}
