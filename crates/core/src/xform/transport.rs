//! Transport mode (RFC 4303 §3.1.1): what stands above IP goes into ESP and comes out of it; the
//! IP header, with options or extension headers, stays in front.

use std::net::IpAddr;

use sealway_packet::{Outer, Train};
use sealway_wire::{Family, Layout, checksum, ecn, ipv4, ipv6, protocol, put, view_mut};

use super::{Fields, esp::Opened, outer_header};
use crate::sad::Sa;
use crate::verdict::DropReason;

/// The most octets of IP header and extension headers that a packet may have before ESP.
const LONGEST: usize = 256;

/// Where an IP header with options or extension headers is put aside while what follows it is
/// sealed. A datapath has one: the header is large, and few packets need it kept.
pub(crate) struct HeaderStore {
    octets: [u8; LONGEST],
    length: usize,
    next_header_at: usize,
    family: Family,
}

/// Whether the IP header of a transport-mode packet is in the store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Header {
    /// Its fields tell all of it.
    Plain,
    /// It has options or extension headers, and is kept.
    Kept,
}

/// Takes the IP header off a packet: its fields, what follows it, and the header itself into the
/// store where the fields do not tell everything.
#[inline]
pub(crate) fn enter(
    train: &mut Train,
    layout: &Layout,
    sa: &Sa,
    store: &mut HeaderStore,
) -> Result<(Fields, u8, Header), DropReason> {
    let packet = train.packet();
    let header = usize::from(layout.unfragmentable);
    let next_header = *packet
        .get(usize::from(layout.next_header_at))
        .ok_or(DropReason::Malformed)?;
    let fields = Fields {
        tos: layout.tos(packet),
        hop_limit: layout.hop_limit(packet),
        dont_fragment: layout.dont_fragment(packet).into(),
    };
    let kept = if header == outer_header(sa) {
        Header::Plain
    } else {
        store.keep(packet, layout).ok_or(DropReason::NoBuffer)?;
        Header::Kept
    };
    train.trim_front(header);
    Ok((fields, next_header, kept))
}

impl HeaderStore {
    /// An empty store.
    pub(crate) const fn new() -> Self {
        HeaderStore {
            octets: [0; LONGEST],
            length: 0,
            next_header_at: 0,
            family: Family::V4,
        }
    }

    fn keep(&mut self, packet: &[u8], layout: &Layout) -> Option<()> {
        let length = usize::from(layout.unfragmentable);
        let header = packet.get(..length)?;
        self.octets.get_mut(..length)?.copy_from_slice(header);
        self.length = length;
        self.next_header_at = usize::from(layout.next_header_at);
        self.family = layout.family;
        Some(())
    }

    /// Puts the header back before every segment, which now holds what `number` names.
    pub(crate) fn put_back(&self, train: &mut Train, number: u8) -> Result<(), DropReason> {
        train
            .grow_front(self.length)
            .map_err(|_| DropReason::NoBuffer)?;
        for index in 0..train.count() {
            let segment = train.segment_mut(index);
            self.write(segment, index, number)
                .ok_or(DropReason::TooBig)?;
        }
        Ok(())
    }

    fn write(&self, segment: &mut [u8], index: usize, number: u8) -> Option<()> {
        segment
            .get_mut(..self.length)?
            .copy_from_slice(self.octets.get(..self.length)?);
        *segment.get_mut(self.next_header_at)? = number;
        if self.family == Family::V4 {
            let header: &mut ipv4::Header = view_mut(segment, 0)?;
            let id = header.id.get().wrapping_add(index as u16);
            header.id.set(id);
        }
        set_length(segment, self.family)
    }
}

/// Writes the length of the packet, and IPv4's checksum, into its header.
fn set_length(packet: &mut [u8], family: Family) -> Option<()> {
    let total = packet.len();
    match family {
        Family::V4 => {
            let header: &mut ipv4::Header = view_mut(packet, 0)?;
            header.total_length.set(u16::try_from(total).ok()?);
            ipv4::update_checksum(packet).then_some(())
        }
        Family::V6 => {
            let header: &mut ipv6::Header = view_mut(packet, 0)?;
            let payload = total.checked_sub(ipv6::HEADER)?;
            header.payload_length.set(u16::try_from(payload).ok()?);
            Some(())
        }
    }
}

/// Makes an opened transport-mode packet a packet again: the header that stood before ESP, or one
/// made from the outer facts, comes to stand before the payload.
///
/// `before` is the layout of the headers that came with the packet, if it came whole.
pub(crate) fn leave(
    train: &mut Train,
    opened: &Opened,
    outer: &Outer,
    before: Option<&Layout>,
) -> Result<(), DropReason> {
    train.truncate(opened.start + opened.length);
    match before {
        Some(layout) => {
            let header = usize::from(layout.upper);
            train
                .packet_mut()
                .copy_within(..header, opened.start.saturating_sub(header));
            train.trim_front(opened.start.saturating_sub(header));
            let packet = train.packet_mut();
            let at = upper_named_at(layout, packet).ok_or(DropReason::Malformed)?;
            *packet.get_mut(at).ok_or(DropReason::Malformed)? = opened.next_header;
            set_length(packet, layout.family).ok_or(DropReason::Malformed)
        }
        None => {
            train.trim_front(opened.start);
            write_plain(train, outer, opened.next_header)
        }
    }
}

/// Where the octet stands that names the upper-layer header (ESP, here).
fn upper_named_at(layout: &Layout, packet: &[u8]) -> Option<usize> {
    let upper = usize::from(layout.upper);
    let mut at = usize::from(layout.next_header_at);
    let mut next = usize::from(layout.unfragmentable);
    // Destination options may stand between the unfragmentable part and ESP.
    while next < upper {
        let number = *packet.get(at)?;
        let length = match number {
            protocol::FRAGMENT => ipv6::FRAGMENT_HEADER,
            _ => (usize::from(*packet.get(next + 1)?) + 1) * 8,
        };
        at = next;
        next += length;
    }
    (next == upper).then_some(at)
}

/// An IP header from the facts that a socket gave.
fn write_plain(train: &mut Train, outer: &Outer, number: u8) -> Result<(), DropReason> {
    let (header, family) = match outer.destination {
        IpAddr::V4(_) => (ipv4::HEADER, Family::V4),
        IpAddr::V6(_) => (ipv6::HEADER, Family::V6),
    };
    train.grow_front(header).map_err(|_| DropReason::NoBuffer)?;
    let packet = train.packet_mut();
    match (outer.source, outer.destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let mut header = ipv4::Header::new(source, destination, number, 0);
            header.tos = outer.tos;
            header.ttl = outer.hop_limit;
            put(packet, 0, &header)
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let mut header = ipv6::Header::new(source, destination, number, 0);
            header.set_traffic_class(outer.tos);
            header.hop_limit = outer.hop_limit;
            put(packet, 0, &header)
        }
        _ => None,
    }
    .and_then(|_| set_length(packet, family))
    .ok_or(DropReason::Malformed)
}

/// Makes the checksum of TCP or UDP that its sender computed over the addresses `before` a NAT right
/// for those that the packet has now (RFC 3948 §3.1.2). A UDP checksum of zero is none.
#[cold]
pub(crate) fn mend_checksum(packet: &mut [u8], layout: &Layout, before: (IpAddr, IpAddr)) {
    let in_header = match layout.protocol {
        protocol::TCP => 16,
        protocol::UDP => 6,
        _ => return,
    };
    if !layout.is_first() {
        return;
    }
    let after = (layout.source(packet), layout.destination(packet));
    let at = usize::from(layout.upper) + in_header;
    let Some(field) = packet.get_mut(at..at + 2) else {
        return;
    };
    let old = u16::from_be_bytes([field[0], field[1]]);
    if layout.protocol == protocol::UDP && old == 0 {
        return;
    }
    let ends = [(before.0, after.0), (before.1, after.1)];
    let mended = ends.into_iter().fold(old, |sum, ends| match ends {
        (IpAddr::V4(was), IpAddr::V4(is)) => {
            checksum::adjust_octets(sum, &was.octets(), &is.octets())
        }
        (IpAddr::V6(was), IpAddr::V6(is)) => {
            checksum::adjust_octets(sum, &was.octets(), &is.octets())
        }
        _ => sum,
    });
    let is_none = layout.protocol == protocol::UDP && mended == 0;
    let mended = if is_none { u16::MAX } else { mended };
    field.copy_from_slice(&mended.to_be_bytes());
}

/// Carries congestion seen outside into the packet that comes out of a tunnel (RFC 6040 §4.2).
#[inline]
pub(crate) fn propagate_congestion(
    packet: &mut [u8],
    layout: &Layout,
    outer_tos: u8,
) -> Result<(), DropReason> {
    let inner_tos = layout.tos(packet);
    let ecn = ecn::decapsulate(outer_tos, inner_tos).ok_or(DropReason::CongestionMark)?;
    if ecn != inner_tos & ecn::MASK {
        ecn::set_ecn(packet, layout, ecn);
    }
    Ok(())
}
