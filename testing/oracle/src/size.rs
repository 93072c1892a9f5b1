//! How large things become, by trying every size.

use std::net::IpAddr;

use crate::packet::{Ip, fixed_header};
use crate::sa::Sa;
use sealway_core::sad::SaMode;

/// Octets of the packet on the wire that carries an inner packet of `octets` through the SAs, in
/// the order of their application. `header` octets of it precede the place of ESP.
pub(crate) fn on_the_wire(octets: usize, header: usize, sas: &[&Sa]) -> usize {
    let (mut octets, mut header) = (octets, header);
    for sa in sas {
        match sa.config.mode {
            SaMode::Transport => {
                octets = header + sa.udp_octets() + sa.esp_octets(octets - header);
            }
            SaMode::Tunnel | SaMode::Any => {
                header = fixed_header(sa.config.id.destination);
                octets = header + sa.udp_octets() + sa.esp_octets(octets);
            }
        }
    }
    octets
}

/// The largest inner packet that fits a path; 0 if none does.
pub(crate) fn largest(ip: &Ip, sas: &[&Sa], mtu: usize) -> usize {
    let least = ip.protect_at;
    (least..=mtu)
        .rev()
        .find(|octets| on_the_wire(*octets, least, sas) <= mtu)
        .unwrap_or(0)
}

/// The size that every path takes, and below which no sender is asked to go.
pub(crate) const fn least_mtu(address: IpAddr) -> usize {
    match address {
        IpAddr::V4(_) => 576,
        IpAddr::V6(_) => 1280,
    }
}
