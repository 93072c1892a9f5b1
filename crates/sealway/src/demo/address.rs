//! Who lives where: documentation addresses outside (RFC 5737, RFC 3849), private ones inside.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use sealway_wire::Family;

/// One of the two sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The side that asks.
    Left,
    /// The side that answers.
    Right,
}

impl End {
    /// Both.
    pub(crate) const ALL: [End; 2] = [End::Left, End::Right];

    /// The one over there.
    pub(crate) const fn other(self) -> End {
        match self {
            End::Left => End::Right,
            End::Right => End::Left,
        }
    }

    /// Its name.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            End::Left => "left",
            End::Right => "right",
        }
    }

    const fn digit(self) -> u8 {
        match self {
            End::Left => 1,
            End::Right => 2,
        }
    }
}

/// Both families.
pub(crate) const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

/// A gateway's end of its tunnels.
pub(crate) fn tunnel_end(end: End, family: Family) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::new(192, 0, 2, end.digit()).into(),
        Family::V6 => v6([0x2001, 0xdb8, 0, 0], end.digit()),
    }
}

/// A gateway as a host that talks for itself, protected in transport mode. Not a tunnel's end, so
/// that what is routed into Sealway and what it sends itself have different destinations.
pub(crate) fn gateway_host(end: End, family: Family) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::new(198, 51, 100, end.digit()).into(),
        Family::V6 => v6([0x2001, 0xdb8, 0x100, 0], end.digit()),
    }
}

/// A gateway on its inner network.
pub(crate) fn inner_gateway(end: End, family: Family) -> IpAddr {
    inner(end, family, 1)
}

/// The host on a gateway's inner network.
pub(crate) fn inner_host(end: End, family: Family) -> IpAddr {
    inner(end, family, 2)
}

/// Any address: where a default route leads.
pub(crate) fn anywhere(family: Family) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::UNSPECIFIED.into(),
        Family::V6 => Ipv6Addr::UNSPECIFIED.into(),
    }
}

/// The network behind a gateway: its address and the length of its prefix.
pub(crate) fn inner_network(end: End, family: Family) -> (IpAddr, u8) {
    (inner(end, family, 0), link_prefix(family))
}

/// The length of the prefix of every link.
pub(crate) const fn link_prefix(family: Family) -> u8 {
    match family {
        Family::V4 => 24,
        Family::V6 => 64,
    }
}

/// The length of the prefix that is one host.
pub(crate) const fn host_prefix(family: Family) -> u8 {
    match family {
        Family::V4 => 32,
        Family::V6 => 128,
    }
}

fn inner(end: End, family: Family, host: u8) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::new(10, end.digit(), 0, host).into(),
        Family::V6 => v6([0xfd00, u16::from(end.digit()), 0, 0], host),
    }
}

fn v6([a, b, c, d]: [u16; 4], host: u8) -> IpAddr {
    Ipv6Addr::new(a, b, c, d, 0, 0, 0, u16::from(host)).into()
}
