//! Segments of one flow that stand one behind the other in a buffer become one super-packet again,
//! as a device with segmentation offload takes them: the reverse of [`SuperPacket`].
//!
//! [`SuperPacket`]: crate::SuperPacket

use std::ops::Range;

use sealway_wire::{Family, Layout, U16, checksum, ipv4, ipv6, protocol, tcp, udp, view, view_mut};

use crate::{Checksum, Offload, Segmentation};

/// The longest IP packet.
const LONGEST: usize = 65_535;
/// TCP flags that end a super-packet, which may have them at its end.
const LAST: u8 = tcp::PSH | tcp::FIN;
/// TCP flags that keep a segment alone.
const ALONE: u8 = tcp::SYN | tcp::RST | tcp::URG | tcp::CWR;
/// Where TCP's flags stand.
const FLAGS_AT: usize = 13;

/// A super-packet in the making: segments of TCP with consecutive data, or UDP datagrams of one
/// length, their headers equal in all that says where they belong and how they travel. Segments
/// whose checksum is wrong are never joined: the device would make it right.
#[derive(Clone, Debug)]
pub struct Coalesced {
    /// Where it stands.
    start: usize,
    end: usize,
    family: Family,
    upper: usize,
    headers: usize,
    kind: Kind,
    /// Octets of data in every segment but the last.
    size: usize,
    count: usize,
    /// Whether a segment may follow.
    is_open: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Tcp {
        /// Of the data that would follow.
        next: u32,
    },
    Udp,
    /// Neither, or not to be joined.
    Other,
}

impl Coalesced {
    /// The packet that stands at `place`, alone so far.
    #[must_use]
    pub fn begin(buffer: &[u8], place: Range<usize>, layout: &Layout) -> Self {
        let packet = buffer.get(place.clone()).unwrap_or_default();
        let upper = usize::from(layout.upper);
        let (kind, headers) = facts(packet, layout).unwrap_or((Kind::Other, upper));
        let size = packet.len().saturating_sub(headers);
        let ends = matches!(kind, Kind::Tcp { .. }) && flags(packet, upper) & LAST != 0;
        Coalesced {
            start: place.start,
            end: place.end,
            family: layout.family,
            upper,
            headers,
            kind,
            size,
            count: 1,
            is_open: kind != Kind::Other && size > 0 && !ends,
        }
    }

    /// Joins the packet that stands at `place`, behind this one in the buffer, if it is the next
    /// segment; says whether it has.
    #[must_use]
    pub fn join(&mut self, buffer: &mut [u8], place: Range<usize>, layout: &Layout) -> bool {
        self.try_join(buffer, place, layout).is_some()
    }

    fn try_join(&mut self, buffer: &mut [u8], place: Range<usize>, layout: &Layout) -> Option<()> {
        let length = place.len().checked_sub(self.headers)?;
        let fits = self.end - self.start + length <= LONGEST && place.start >= self.end;
        if !self.is_open || length == 0 || length > self.size || !fits {
            return None;
        }
        let packet = buffer.get(place.clone())?;
        let first = buffer.get(self.start..self.start + self.headers)?;
        let (kind, headers) = facts(packet, layout)?;
        let is_next = match (self.kind, kind) {
            (Kind::Tcp { next }, Kind::Tcp { next: after }) => {
                after.wrapping_sub(length as u32) == next
            }
            (Kind::Udp, Kind::Udp) => true,
            _ => false,
        };
        let is_same = headers == self.headers
            && layout.family == self.family
            && self.has_equal_headers(first, packet);
        if !is_next || !is_same {
            return None;
        }
        let is_tcp = matches!(kind, Kind::Tcp { .. });
        let last = if is_tcp {
            flags(packet, self.upper) & LAST
        } else {
            0
        };
        if last != 0 {
            *buffer.get_mut(self.start + self.upper + FLAGS_AT)? |= last;
        }
        buffer.copy_within(place.start + headers..place.end, self.end);
        self.end += length;
        self.kind = kind;
        self.count += 1;
        self.is_open = last == 0 && length == self.size;
        Some(())
    }

    /// Whether the headers are equal but for lengths, checksums, identification, sequence number and
    /// the flags that end a super-packet.
    fn has_equal_headers(&self, first: &[u8], packet: &[u8]) -> bool {
        let equal = |range: Range<usize>| {
            let both = (first.get(range.clone()), packet.get(range));
            matches!(both, (Some(a), Some(b)) if a == b)
        };
        let upper = self.upper;
        let ip = match self.family {
            Family::V4 => {
                equal(0..2) && equal(6..10) && equal(12..20) && self.numbers_on(first, packet)
            }
            Family::V6 => equal(0..4) && equal(6..40),
        };
        let flags_differ = flags(first, upper) ^ flags(packet, upper);
        ip && match self.kind {
            Kind::Tcp { .. } => {
                equal(upper..upper + 4)
                    && equal(upper + 8..upper + FLAGS_AT)
                    && flags_differ & !LAST == 0
                    && equal(upper + 14..upper + 16)
                    && equal(upper + 18..self.headers)
            }
            Kind::Udp => equal(upper..upper + 4),
            Kind::Other => false,
        }
    }

    /// Whether IPv4's identification goes on as it will when the device cuts the super-packet, or
    /// means nothing (RFC 6864 §4.1).
    fn numbers_on(&self, first: &[u8], packet: &[u8]) -> bool {
        let headers: (Option<&ipv4::Header>, Option<&ipv4::Header>) =
            (view(first, 0), view(packet, 0));
        let (Some(first), Some(packet)) = headers else {
            return false;
        };
        let next = first.id.get().wrapping_add(self.count as u16);
        first.dont_fragment() || packet.id.get() == next
    }

    /// Moves it to the front of the buffer, if there are fewer than `room` octets up to `next`, where
    /// the next packet starts; says whether there are that many now.
    #[must_use]
    pub fn make_room(&mut self, buffer: &mut [u8], next: usize, room: usize) -> bool {
        if self.end + room <= next {
            return true;
        }
        let place = self.start..self.end;
        if self.start < room || self.end > next || buffer.get(place.clone()).is_none() {
            return false;
        }
        buffer.copy_within(place, self.start - room);
        self.start -= room;
        self.end -= room;
        true
    }

    /// Where it ends.
    pub fn end(&self) -> usize {
        self.end
    }

    /// How many segments it is made of.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Where it stands now that nothing more is joined, and what is left to the device: lengths are
    /// right, the checksum is the device's to make. A segment that has stayed alone is as it was.
    pub fn finish(self, buffer: &mut [u8]) -> (Range<usize>, Offload) {
        let place = self.start..self.end;
        let done = buffer
            .get_mut(place.clone())
            .filter(|_| self.count > 1)
            .and_then(|packet| self.write_headers(packet));
        (place, done.unwrap_or_default())
    }

    fn write_headers(&self, packet: &mut [u8]) -> Option<Offload> {
        let length = packet.len();
        match self.family {
            Family::V4 => {
                let header: &mut ipv4::Header = view_mut(packet, 0)?;
                header.total_length.set(u16::try_from(length).ok()?);
                header.update_checksum();
            }
            Family::V6 => {
                let header: &mut ipv6::Header = view_mut(packet, 0)?;
                let payload = u16::try_from(length - ipv6::HEADER).ok()?;
                header.payload_length.set(payload);
            }
        }
        let layout = Layout::parse(packet).ok()?;
        let stated = (length - self.upper) as u32;
        let ends = (layout.source(packet), layout.destination(packet));
        let pseudo = checksum::pseudo(ends.0, ends.1, layout.protocol, stated);
        let size = u16::try_from(self.size).ok()?;
        let (offset, segmentation) = match self.kind {
            Kind::Tcp { .. } => (16, Segmentation::Tcp(size)),
            Kind::Udp => {
                let field: &mut U16 = view_mut(packet, self.upper + 4)?;
                field.set(u16::try_from(stated).ok()?);
                (6, Segmentation::Udp(size))
            }
            Kind::Other => return None,
        };
        let field: &mut U16 = view_mut(packet, self.upper + usize::from(offset))?;
        field.set(!pseudo.finish());
        Some(Offload {
            checksum: Checksum::Partial {
                start: layout.upper,
                offset,
            },
            segmentation: Some(segmentation),
        })
    }
}

/// What the packet is and where its headers end, if it may be joined: whole, plain headers, a
/// checksum that is right.
fn facts(packet: &[u8], layout: &Layout) -> Option<(Kind, usize)> {
    let upper = usize::from(layout.upper);
    let plain = match layout.family {
        Family::V4 => upper == ipv4::HEADER && ipv4::checksum_ok(packet),
        Family::V6 => upper == ipv6::HEADER,
    };
    if !plain || layout.fragment.is_some() || layout.length as usize != packet.len() {
        return None;
    }
    let (kind, headers) = match layout.protocol {
        protocol::TCP => {
            let header: &tcp::Header = view(packet, upper)?;
            let headers = upper + header.header_length();
            let data = packet.len().checked_sub(headers)?;
            let is_plain = header.header_length() >= tcp::HEADER
                && header.flags & ALONE == 0
                && header.flags & tcp::ACK != 0;
            let next = header.sequence.get().wrapping_add(data as u32);
            (is_plain.then_some(Kind::Tcp { next })?, headers)
        }
        protocol::UDP => {
            let header: &udp::Header = view(packet, upper)?;
            let is_whole = usize::from(header.length.get()) == packet.len() - upper;
            let has_checksum = header.checksum.get() != 0;
            (
                (is_whole && has_checksum).then_some(Kind::Udp)?,
                upper + udp::HEADER,
            )
        }
        _ => return None,
    };
    checksum::verify_transport(packet, layout).then_some((kind, headers))
}

fn flags(packet: &[u8], upper: usize) -> u8 {
    packet.get(upper + FLAGS_AT).copied().unwrap_or(0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
