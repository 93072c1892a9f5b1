//! The header in front of a tunnel or of ESP in UDP: chosen as data, written where it must be.

use std::net::IpAddr;

use sealway_packet::{DontFragment, Encapsulation, Outer, Train};
use sealway_wire::{Layout, checksum, ecn, ipv4, ipv6, protocol, put, udp};

use super::encapsulation;
use crate::sad::{DontFragmentRule, Sa};
use crate::verdict::DropReason;

/// TTL and hop limit of packets that a tunnel makes.
const HOP_LIMIT: u8 = 64;

/// What of an SA's outer header differs from packet to packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fields {
    pub(crate) tos: u8,
    pub(crate) hop_limit: u8,
    pub(crate) dont_fragment: DontFragment,
}

impl Fields {
    /// The whole header, of a packet that `sa` sealed. Made when the packet leaves, in its verdict:
    /// handed on before, it would be copied on the way.
    #[inline]
    pub(crate) fn outer(self, sa: &Sa) -> Outer {
        Outer {
            source: sa.config.source,
            destination: sa.config.id.destination,
            interface: 0,
            tos: self.tos,
            hop_limit: self.hop_limit,
            dont_fragment: self.dont_fragment,
            encapsulation: encapsulation(sa),
        }
    }
}

/// The outer header of a tunnel SA for an inner packet: DSCP copied (RFC 2983's uniform model),
/// ECN as RFC 6040 §4.1's normal mode, Don't Fragment by the SA's rule (RFC 4301 §8.1).
#[inline]
pub(crate) fn tunnel_fields(sa: &Sa, inner: &Layout, packet: &[u8]) -> Fields {
    let tos = inner.tos(packet);
    let dont_fragment = match sa.config.dont_fragment {
        DontFragmentRule::Copy if inner.dont_fragment(packet) => DontFragment::Set,
        DontFragmentRule::Set => DontFragment::Set,
        DontFragmentRule::Copy | DontFragmentRule::Clear => DontFragment::Clear,
    };
    Fields {
        tos: (tos & !ecn::MASK) | ecn::encapsulate(tos, ecn::Mode::Normal),
        hop_limit: HOP_LIMIT,
        dont_fragment,
    }
}

/// Writes the outer header (and UDP's) before every segment, so that the train holds whole
/// packets: for another SA around this one, for in-memory devices, for raw sockets that want it.
/// `id` is the IPv4 identification of the first segment.
pub fn materialise(train: &mut Train, outer: &Outer, id: u16) -> Result<(), DropReason> {
    let number = match outer.encapsulation {
        Encapsulation::Esp => protocol::ESP,
        Encapsulation::Ah => protocol::AH,
        Encapsulation::Udp {
            source,
            destination,
        } => {
            write_udp(train, outer, (source, destination))?;
            protocol::UDP
        }
    };
    let header = match outer.destination {
        IpAddr::V4(_) => ipv4::HEADER,
        IpAddr::V6(_) => ipv6::HEADER,
    };
    train.grow_front(header).map_err(|_| DropReason::NoBuffer)?;
    for index in 0..train.count() {
        let segment = train.segment_mut(index);
        let id = id.wrapping_add(index as u16);
        write_ip(segment, outer, number, id).ok_or(DropReason::TooBig)?;
    }
    Ok(())
}

/// The UDP header: no checksum over IPv4 (RFC 3948 §2.1), a true one over IPv6 (RFC 8200 §8.1).
fn write_udp(train: &mut Train, outer: &Outer, ports: (u16, u16)) -> Result<(), DropReason> {
    train
        .grow_front(udp::HEADER)
        .map_err(|_| DropReason::NoBuffer)?;
    for index in 0..train.count() {
        let segment = train.segment_mut(index);
        let length = u16::try_from(segment.len()).map_err(|_| DropReason::TooBig)?;
        let mut header = udp::Header::new(ports.0, ports.1, length);
        put(segment, 0, &header).ok_or(DropReason::Internal)?;
        if let (IpAddr::V6(source), IpAddr::V6(destination)) = (outer.source, outer.destination) {
            let pseudo = checksum::pseudo_v6(source, destination, protocol::UDP, u32::from(length));
            let sum = (pseudo + checksum::sum(segment)).finish();
            header.checksum.set(if sum == 0 { 0xffff } else { sum });
            put(segment, 0, &header).ok_or(DropReason::Internal)?;
        }
    }
    Ok(())
}

fn write_ip(segment: &mut [u8], outer: &Outer, number: u8, id: u16) -> Option<()> {
    match (outer.source, outer.destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let length = u16::try_from(segment.len()).ok()?;
            let mut header = ipv4::Header::new(source, destination, number, length);
            header.tos = outer.tos;
            header.ttl = outer.hop_limit;
            header.id.set(id);
            header.flags_fragment.set(match outer.dont_fragment {
                DontFragment::Clear => 0,
                DontFragment::Set => ipv4::DONT_FRAGMENT,
            });
            header.update_checksum();
            put(segment, 0, &header)?;
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let length = u16::try_from(segment.len().checked_sub(ipv6::HEADER)?).ok()?;
            let mut header = ipv6::Header::new(source, destination, number, length);
            header.set_traffic_class(outer.tos);
            header.hop_limit = outer.hop_limit;
            put(segment, 0, &header)?;
        }
        _ => return None,
    }
    Some(())
}
