//! ESP (RFC 4303): sealing a train, opening a packet.

use sealway_crypto::{IvSource, Numbers};
use sealway_packet::Train;
use sealway_wire::{esp, put};

use super::alignment;
use crate::sad::Sa;
use crate::verdict::DropReason;

/// Seals every segment of a train: RFC 4303 §3.3.
#[derive(Debug)]
pub(crate) struct SealJob {
    /// The payloads; each becomes ESP header, IV, ciphertext and ICV.
    pub(crate) train: Train,
    /// The sequence number of the first segment; each next one carries the next.
    pub(crate) first: u64,
    /// What the payloads are.
    pub(crate) next_header: u8,
}

impl SealJob {
    /// Runs the job with its SA.
    #[inline]
    pub(crate) fn run(mut self, sa: &Sa, iv: &IvSource) -> Result<Train, DropReason> {
        let suite = &sa.config.suite;
        let (iv_octets, icv_octets) = (suite.iv_octets(), suite.icv_octets());
        let count = self.train.count();
        let last = self.train.segment(count.saturating_sub(1)).len();
        let pads =
            [self.train.longest(), last].map(|payload| esp::pad_length(payload, alignment(sa)));
        let behind = pads.map(|pad| pad + esp::TRAILER + icv_octets);
        let in_front = esp::HEADER + iv_octets;
        let fits = self.train.grow_front(in_front).is_ok()
            && self.train.grow_back(behind[0], behind[1]).is_ok();
        if !fits {
            return Err(DropReason::NoBuffer);
        }
        for index in 0..count {
            let pad = if index + 1 == count { pads[1] } else { pads[0] };
            let numbers = Numbers {
                spi: sa.config.id.spi.value(),
                sequence: self.first + index as u64,
                sequence_form: sa.config.sequence.form,
            };
            let segment = self.train.segment_mut(index);
            seal(segment, sa, iv, &numbers, (pad, self.next_header)).ok_or(DropReason::Internal)?;
        }
        Ok(self.train)
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
    let suite = &sa.config.suite;
    put(
        segment,
        0,
        &esp::Header::new(numbers.spi, numbers.sequence as u32),
    )?;
    let (_, rest) = segment.split_at_mut_checked(esp::HEADER)?;
    let (iv, rest) = rest.split_at_mut_checked(suite.iv_octets())?;
    let (text, icv) = rest.split_at_mut_checked(rest.len().checked_sub(suite.icv_octets())?)?;
    let trailer = text.len().checked_sub(pad + esp::TRAILER)?;
    esp::write_trailer(text.get_mut(trailer..)?, pad as u8, next_header)?;
    source.fill(numbers.sequence, iv);
    sa.runtime.context.seal(numbers, iv, text, icv).ok()
}

/// Opens one packet: RFC 4303 §3.4. The train's packet starts with what precedes ESP (`before`
/// octets, perhaps none); what is left of it afterwards is told by [`Opened`].
#[derive(Debug)]
pub(crate) struct OpenJob {
    pub(crate) train: Train,
    /// Octets before the ESP header.
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
    pub(crate) fn run(mut self, sa: &Sa) -> Result<Train, DropReason> {
        let suite = &sa.config.suite;
        let packet = self.train.packet_mut();
        let too_short = DropReason::EspLength;
        let packet = packet
            .get_mut(self.before + esp::HEADER..)
            .ok_or(too_short)?;
        let (iv, rest) = packet
            .split_at_mut_checked(suite.iv_octets())
            .ok_or(too_short)?;
        let text = rest
            .len()
            .checked_sub(suite.icv_octets())
            .ok_or(too_short)?;
        let (text, icv) = rest.split_at_mut_checked(text).ok_or(too_short)?;
        if text.len() < esp::TRAILER || text.len() & (alignment(sa) - 1) != 0 {
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
            .map_err(|_| DropReason::Integrity)?;
        Ok(self.train)
    }
}

impl Opened {
    /// Reads the trailer of a verified packet (RFC 4303 §3.4.4.1 step 3).
    #[inline]
    pub(crate) fn read(packet: &[u8], before: usize, sa: &Sa) -> Result<Opened, DropReason> {
        let suite = &sa.config.suite;
        let start = before + esp::HEADER + suite.iv_octets();
        let end = packet.len().saturating_sub(suite.icv_octets());
        let text = packet.get(start..end).ok_or(DropReason::EspLength)?;
        let (length, next_header) = esp::read_trailer(text).map_err(|_| DropReason::Padding)?;
        Ok(Opened {
            start,
            length,
            next_header,
        })
    }
}
