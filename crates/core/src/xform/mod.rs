//! Transforms: what an SA does to octets. A transform is a job, data that owns its train; it runs
//! inline or wherever a pool takes it, and whoever ordered it goes on with what it gives back.

mod esp;
mod outer;
mod transport;

use std::net::IpAddr;

use sealway_packet::Encapsulation;
use sealway_wire::{esp as wire_esp, ipv4, ipv6, protocol, udp};

pub(crate) use esp::{OpenJob, Opened, SealJob};
pub use outer::materialise;
pub(crate) use outer::{Fields, tunnel_fields};
pub(crate) use transport::{Header, HeaderStore, enter, leave, propagate_congestion};

use crate::flow::Key;
use crate::sad::{Sa, SaMode};

/// Whether the SA carries whole IP packets.
#[inline]
pub(crate) fn is_tunnel(sa: &Sa) -> bool {
    sa.config.mode == SaMode::Tunnel
}

/// Octets of the IP header that a tunnel SA puts before ESP.
pub(crate) const fn outer_header(sa: &Sa) -> usize {
    match sa.config.id.destination {
        IpAddr::V4(_) => ipv4::HEADER,
        IpAddr::V6(_) => ipv6::HEADER,
    }
}

/// How the SA's packets travel behind IP.
#[inline]
pub(crate) fn encapsulation(sa: &Sa) -> Encapsulation {
    match sa.config.encapsulation {
        None => Encapsulation::Esp,
        Some(ports) => Encapsulation::Udp {
            source: ports.source,
            destination: ports.destination,
        },
    }
}

/// The largest packet that the SA turns into one of at most `limit` octets. `kept` is the length
/// of the header that transport mode leaves in front.
pub(crate) fn room(sa: &Sa, limit: usize, kept: usize) -> usize {
    let tunnel = is_tunnel(sa);
    let in_front = if tunnel { outer_header(sa) } else { kept };
    let encapsulation = match sa.config.encapsulation {
        None => 0,
        Some(_) => udp::HEADER,
    };
    let shape = sa.runtime.shape;
    let around = in_front + encapsulation + wire_esp::HEADER + shape.iv() + shape.icv();
    let text = limit.saturating_sub(around) & !(shape.alignment() - 1);
    let payload = text.saturating_sub(wire_esp::TRAILER);
    if tunnel { payload } else { payload + kept }
}

/// The flow that the packet belongs to once the SA was applied, as the next SA sees it.
pub(crate) fn carried_by(sa: &Sa, key: &Key) -> Key {
    if !is_tunnel(sa) && sa.config.encapsulation.is_none() {
        return Key::new(key.source(), key.destination(), protocol::ESP, None).unwrap_or(*key);
    }
    let (number, words) = match sa.config.encapsulation {
        None => (protocol::ESP, None),
        Some(ports) => (protocol::UDP, Some([ports.source, ports.destination])),
    };
    Key::new(sa.config.source, sa.config.id.destination, number, words).unwrap_or(*key)
}
