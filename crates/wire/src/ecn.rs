//! DSCP and ECN: tunnels (RFC 6040, RFC 2983) and changing the octet in place.

use crate::{Family, Layout, checksum, ipv4, ipv6, view_mut};

/// The ECN bits of the TOS octet or traffic class.
pub const MASK: u8 = 0b11;
/// Not ECN-capable.
pub const NOT_ECT: u8 = 0b00;
/// ECN-capable, codepoint 1.
pub const ECT_1: u8 = 0b01;
/// ECN-capable, codepoint 0.
pub const ECT_0: u8 = 0b10;
/// Congestion experienced.
pub const CE: u8 = 0b11;

/// How a tunnel's ingress sets the outer ECN bits (RFC 6040 §4.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Default)]
pub enum Mode {
    /// As the inner ones: the egress is known to propagate congestion, as RFC 4301 has it.
    #[default]
    Normal,
    /// Not-ECT: the egress may not.
    Compatibility,
}

/// The outer ECN bits for an inner TOS octet.
#[inline]
pub fn encapsulate(inner_tos: u8, mode: Mode) -> u8 {
    match mode {
        Mode::Normal => inner_tos & MASK,
        Mode::Compatibility => NOT_ECT,
    }
}

/// The ECN bits with which the inner packet leaves the tunnel, from the outer and inner TOS
/// octets as they arrive (RFC 6040 §4.2, figure 4); `None` if it is to be dropped: congestion was
/// met, and the inner packet cannot say so.
#[inline]
pub fn decapsulate(outer_tos: u8, inner_tos: u8) -> Option<u8> {
    match (inner_tos & MASK, outer_tos & MASK) {
        (NOT_ECT, CE) => None,
        (NOT_ECT, _) => Some(NOT_ECT),
        (_, CE) => Some(CE),
        (ECT_0, ECT_1) => Some(ECT_1),
        (inner, _) => Some(inner),
    }
}

/// Sets the TOS octet or traffic class of a packet, and adjusts the IPv4 header checksum.
#[inline]
pub fn set_tos(packet: &mut [u8], layout: &Layout, tos: u8) {
    match layout.family {
        Family::V4 => {
            if let Some(header) = view_mut::<ipv4::Header>(packet, 0) {
                // The octet shares its 16-bit word with the version, which stays.
                let (old, new) = (u16::from(header.tos), u16::from(tos));
                header
                    .checksum
                    .set(checksum::adjust(header.checksum.get(), old, new));
                header.tos = tos;
            }
        }
        Family::V6 => {
            if let Some(header) = view_mut::<ipv6::Header>(packet, 0) {
                header.set_traffic_class(tos);
            }
        }
    }
}

/// Sets the ECN bits of a packet and leaves its DSCP, in the manner of [`set_tos`].
#[inline]
pub fn set_ecn(packet: &mut [u8], layout: &Layout, ecn: u8) {
    let dscp = layout.tos(packet) & !MASK;
    set_tos(packet, layout, dscp | ecn & MASK);
}
