//! Just-in-time segmentation: a super-packet is cut only where its segments are written to the
//! place that they are sealed in and sent from.

use sealway_wire::checksum::{self, Sum};
use sealway_wire::{Family, Layout, U16, U32, ipv4, ipv6, protocol, tcp, udp, view, view_mut};

use crate::Segmentation;

/// A packet is not what its device says of it: it cannot be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotSegmentable;

/// A TCP or UDP packet that stands for several with equal headers, as `TSO` and `USO` hand it over.
///
/// Segments are numbered from 0. Each has all headers, its own lengths, checksums and IPv4
/// identification, and the sequence number of its data. Of TCP's flags, CWR stays on the first
/// alone, FIN and PSH on the last.
#[derive(Clone, Copy, Debug)]
pub struct SuperPacket<'p> {
    packet: &'p [u8],
    family: Family,
    /// Where the header of TCP or UDP stands.
    upper: usize,
    /// Octets of all headers.
    headers: usize,
    /// Octets of data in every segment but the last.
    size: usize,
    kind: Kind,
    /// IPv4's header without length, identification and checksum.
    ip_sum: Sum,
    id: u16,
    /// The pseudo-header and TCP's or UDP's header, without all that differs between segments.
    upper_sum: Sum,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Tcp {
        sequence: u32,
        /// Data offset and flags.
        offset_flags: u16,
    },
    Udp,
}

/// TCP's flags, as they stand in the word that begins with its data offset.
const CWR: u16 = tcp::CWR as u16;
const FIN_PSH: u16 = (tcp::FIN | tcp::PSH) as u16;
/// Where that word and the sequence number stand in TCP's header.
const OFFSET_FLAGS_AT: usize = 12;
const SEQUENCE_AT: usize = 4;
/// Where the checksums stand in TCP's and UDP's headers.
const TCP_CHECKSUM_AT: usize = 16;
const UDP_CHECKSUM_AT: usize = 6;
const UDP_LENGTH_AT: usize = 4;

impl<'p> SuperPacket<'p> {
    /// The packet with this layout, to be cut as its device says.
    ///
    /// # Errors
    /// A fragment, another protocol than the device says, a header that is cut off, a size of 0, or
    /// no data.
    pub fn new(
        packet: &'p [u8],
        layout: &Layout,
        segmentation: Segmentation,
    ) -> Result<Self, NotSegmentable> {
        Self::find(packet, layout, segmentation).ok_or(NotSegmentable)
    }

    fn find(packet: &'p [u8], layout: &Layout, segmentation: Segmentation) -> Option<Self> {
        let packet = packet.get(..layout.length as usize)?;
        let upper = usize::from(layout.upper);
        let (size, kind, header) = match (segmentation, layout.protocol) {
            (Segmentation::Tcp(size), protocol::TCP) => {
                let header: &tcp::Header = view(packet, upper)?;
                let kind = Kind::Tcp {
                    sequence: header.sequence.get(),
                    offset_flags: u16::from_be_bytes([header.data_offset, header.flags]),
                };
                (size, kind, header.header_length())
            }
            (Segmentation::Udp(size), protocol::UDP) => (size, Kind::Udp, udp::HEADER),
            _ => return None,
        };
        let headers = upper + header;
        let plain = layout.fragment.is_none() && size > 0 && header >= kind.least();
        if !plain || headers >= packet.len() {
            return None;
        }
        let (ip_sum, id) = match layout.family {
            Family::V4 => sum_of_ip(packet)?,
            Family::V6 => (Sum::default(), 0),
        };
        Some(SuperPacket {
            packet,
            family: layout.family,
            upper,
            headers,
            size: usize::from(size),
            kind,
            ip_sum,
            id,
            upper_sum: kind.sum(packet.get(upper..headers)?)? + pseudo(packet, layout),
        })
    }

    /// The same packet in segments of at most `octets` octets, headers included.
    ///
    /// # Errors
    /// UDP, whose datagrams are what the sender made them, or too little for any data.
    pub fn recut(self, octets: usize) -> Result<Self, NotSegmentable> {
        match (self.kind, octets.checked_sub(self.headers)) {
            (Kind::Tcp { .. }, Some(size @ 1..)) => Ok(SuperPacket { size, ..self }),
            _ => Err(NotSegmentable),
        }
    }

    /// How it is cut.
    pub fn segmentation(&self) -> Segmentation {
        // It was made of 16 bits, or is less than the packet that has such a length.
        let size = self.size as u16;
        match self.kind {
            Kind::Tcp { .. } => Segmentation::Tcp(size),
            Kind::Udp => Segmentation::Udp(size),
        }
    }

    /// How many segments there are, at least one.
    pub fn count(&self) -> usize {
        (self.packet.len() - self.headers).div_ceil(self.size)
    }

    /// Octets of segment `index`, headers included; 0 if there is none.
    pub fn octets(&self, index: usize) -> usize {
        match self.data(index).len() {
            0 => 0,
            data => self.headers + data,
        }
    }

    fn data(&self, index: usize) -> &'p [u8] {
        let data = self.packet.get(self.headers..).unwrap_or_default();
        let rest = data.get(index * self.size..).unwrap_or_default();
        rest.get(..self.size).unwrap_or(rest)
    }

    /// Writes segment `index` to the start of `out`; `None` if there is no such segment, or not as
    /// much room.
    pub fn write(&self, index: usize, out: &mut [u8]) -> Option<()> {
        let data = self.data(index);
        let length = self.octets(index);
        let out = out.get_mut(..length).filter(|_| length > 0)?;
        let (headers, body) = out.split_at_mut_checked(self.headers)?;
        headers.copy_from_slice(self.packet.get(..self.headers)?);
        body.copy_from_slice(data);
        self.write_ip(headers, index, length)?;
        self.write_upper(headers, index, checksum::sum(data), length)
    }

    /// The lengths, and what is IPv4's alone: identification and checksum.
    fn write_ip(&self, headers: &mut [u8], index: usize, length: usize) -> Option<()> {
        match self.family {
            Family::V4 => {
                let header: &mut ipv4::Header = view_mut(headers, 0)?;
                let length = u16::try_from(length).ok()?;
                let id = self.id.wrapping_add(index as u16);
                header.total_length.set(length);
                header.id.set(id);
                let sum = self.ip_sum + Sum::from(length) + Sum::from(id);
                header.checksum.set(sum.finish());
            }
            Family::V6 => {
                let header: &mut ipv6::Header = view_mut(headers, 0)?;
                let payload = length.checked_sub(ipv6::HEADER)?;
                header.payload_length.set(u16::try_from(payload).ok()?);
            }
        }
        Some(())
    }

    fn write_upper(
        &self,
        headers: &mut [u8],
        index: usize,
        data: Sum,
        length: usize,
    ) -> Option<()> {
        let stated = u16::try_from(length - self.upper).ok()?;
        let sum = self.upper_sum + data + Sum::from(stated);
        let (checksum_at, checksum) = match self.kind {
            Kind::Tcp {
                sequence,
                offset_flags,
            } => {
                let sequence = sequence.wrapping_add((index * self.size) as u32);
                let offset_flags = self.flags_of(index, offset_flags);
                set_u32(headers, self.upper + SEQUENCE_AT, sequence)?;
                set_u16(headers, self.upper + OFFSET_FLAGS_AT, offset_flags)?;
                let [high, low] = [(sequence >> 16) as u16, sequence as u16];
                let sum = sum + Sum::from(high) + Sum::from(low) + Sum::from(offset_flags);
                (TCP_CHECKSUM_AT, sum.finish())
            }
            Kind::Udp => {
                set_u16(headers, self.upper + UDP_LENGTH_AT, stated)?;
                // The length is in the header too; zero would say that there is no checksum.
                let checksum = (sum + Sum::from(stated)).finish();
                (
                    UDP_CHECKSUM_AT,
                    if checksum == 0 { 0xffff } else { checksum },
                )
            }
        };
        set_u16(headers, self.upper + checksum_at, checksum)
    }

    fn flags_of(&self, index: usize, offset_flags: u16) -> u16 {
        let first = if index == 0 { 0 } else { CWR };
        let last = if index + 1 == self.count() {
            0
        } else {
            FIN_PSH
        };
        offset_flags & !first & !last
    }
}

impl Kind {
    /// Octets of the shortest header.
    const fn least(self) -> usize {
        match self {
            Kind::Tcp { .. } => tcp::HEADER,
            Kind::Udp => udp::HEADER,
        }
    }

    /// The sum of what stands in every segment's header alike.
    fn sum(self, header: &[u8]) -> Option<Sum> {
        Some(match self {
            Kind::Tcp { .. } => {
                let (ports, rest) = header.split_at_checked(SEQUENCE_AT)?;
                let acknowledgment = rest.get(4..8)?;
                let window = header.get(14..TCP_CHECKSUM_AT)?;
                let urgent_options = header.get(18..)?;
                [ports, acknowledgment, window, urgent_options]
                    .into_iter()
                    .map(checksum::sum)
                    .fold(Sum::default(), |all, part| all + part)
            }
            Kind::Udp => checksum::sum(header.get(..UDP_LENGTH_AT)?),
        })
    }
}

/// The pseudo-header with a length of 0.
fn pseudo(packet: &[u8], layout: &Layout) -> Sum {
    let destination = ipv6::final_destination(packet, layout);
    checksum::pseudo(layout.source(packet), destination, layout.protocol, 0)
}

/// IPv4's header without length, identification and checksum, and the identification.
fn sum_of_ip(packet: &[u8]) -> Option<(Sum, u16)> {
    let header: &ipv4::Header = view(packet, 0)?;
    let octets = ipv4::header_octets(packet)?;
    let (before, after) = (octets.get(..2)?, octets.get(6..10)?);
    let addresses_options = octets.get(12..)?;
    let sum = checksum::sum(before) + checksum::sum(after) + checksum::sum(addresses_options);
    Some((sum, header.id.get()))
}

fn set_u16(octets: &mut [u8], at: usize, value: u16) -> Option<()> {
    view_mut::<U16>(octets, at).map(|field| field.set(value))
}

fn set_u32(octets: &mut [u8], at: usize, value: u32) -> Option<()> {
    view_mut::<U32>(octets, at).map(|field| field.set(value))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
