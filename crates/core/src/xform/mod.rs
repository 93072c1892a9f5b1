//! Transforms: what an SA does to octets. A transform is a job, data that owns its train; it runs
//! inline or wherever a pool takes it, and whoever ordered it goes on with what it gives back.

mod esp;
mod outer;
mod transport;

use std::net::{IpAddr, SocketAddr};

use sealway_packet::Encapsulation;
use sealway_wire::{esp as wire_esp, ipv4, ipv6, protocol, udp};

pub(crate) use esp::{OpenJob, Opened, SealJob};
pub use outer::materialise;
pub(crate) use outer::{Fields, tunnel_fields};
pub(crate) use transport::{
    Header, HeaderStore, enter, leave, mend_checksum, propagate_congestion,
};

use crate::flow::Key;
use crate::sad::{Applied, Sa};

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

/// The largest packet that the SA, applied so, turns into one of at most `limit` octets. `kept` is
/// the length of the header that transport mode leaves in front.
pub(crate) fn room(sa: &Sa, applied: Applied, limit: usize, kept: usize) -> usize {
    let (in_front, carried_in_front) = match applied {
        Applied::Tunnel => (outer_header(sa), 0),
        Applied::Transport => (kept, kept),
    };
    let encapsulation = match sa.config.encapsulation {
        None => 0,
        Some(_) => udp::HEADER,
    };
    let shape = sa.runtime.shape;
    let around = in_front + encapsulation + wire_esp::HEADER + shape.iv() + shape.icv();
    let text = limit.saturating_sub(around) & !(shape.alignment() - 1);
    text.saturating_sub(wire_esp::TRAILER) + carried_in_front
}

/// The flow that the packet belongs to once the SA was applied so, as the next SA sees it. `moved`:
/// where the SA's peer is, if it has roamed.
pub(crate) fn carried_by(sa: &Sa, applied: Applied, moved: Option<SocketAddr>, key: &Key) -> Key {
    if applied == Applied::Transport && sa.config.encapsulation.is_none() {
        return Key::new(key.source(), key.destination(), protocol::ESP, None).unwrap_or(*key);
    }
    let (source, mut destination) = (sa.config.source, sa.config.id.destination);
    let (number, words) = match (sa.config.encapsulation, moved) {
        (None, _) => (protocol::ESP, None),
        (Some(ports), None) => (protocol::UDP, Some([ports.source, ports.destination])),
        (Some(ports), Some(peer)) => {
            destination = peer.ip();
            (protocol::UDP, Some([ports.source, peer.port()]))
        }
    };
    Key::new(source, destination, number, words).unwrap_or(*key)
}
