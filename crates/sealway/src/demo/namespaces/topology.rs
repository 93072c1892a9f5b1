//! Four network namespaces and three links:
//!
//! ```text
//! inner left ── inner0 [gateway left] link0 ── link0 [gateway right] inner0 ── inner right
//! ```

use std::net::IpAddr;

use anyhow::{Context, Result};
use sealway_io::namespace::Namespace;
use sealway_io::netlink::{Address, Netlink, Route, State};
use sealway_io::sysctl;
use sealway_wire::Family;

use crate::demo::address::{self, End, FAMILIES};

/// The interface between the gateways, at both ends.
pub(crate) const LINK: &str = "link0";
/// Sealway's devices.
pub(crate) const INSIDE: &str = "seal0";
pub(crate) const CLEAR: &str = "seal-clear";
/// A gateway's interface towards its inner network.
pub(crate) const INNER: &str = "inner0";
/// The inner host's interface.
const HOST: &str = "eth0";

/// One side: a gateway and the host behind it.
#[derive(Debug)]
pub(crate) struct Side {
    pub(crate) gateway: Namespace,
    pub(crate) inner: Namespace,
}

/// How packets stand in the frames between the gateways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Frames {
    /// Each alone, as it would be on a wire: for who looks at them.
    Alone,
    /// Many of one flow may stand in one.
    Together,
}

/// Both.
#[derive(Debug)]
pub(crate) struct Topology {
    pub(crate) left: Side,
    pub(crate) right: Side,
}

impl Topology {
    /// Makes namespaces, links, addresses and the routes that do not need Sealway.
    pub(crate) fn new(frames: Frames) -> Result<Topology> {
        let topology = Topology {
            left: Side::new(End::Left)?,
            right: Side::new(End::Right)?,
        };
        let right = topology.right.gateway.fd().try_clone_to_owned()?;
        topology.left.gateway.run(move || {
            use std::os::fd::AsFd;
            Netlink::open()?.add_veth(LINK, LINK, Some(right.as_fd()))
        })?;
        for end in End::ALL {
            let side = topology.side(end);
            side.gateway.run(move || dress_link(end, frames))?;
        }
        Ok(topology)
    }

    /// The side at this end.
    pub(crate) fn side(&self, end: End) -> &Side {
        match end {
            End::Left => &self.left,
            End::Right => &self.right,
        }
    }
}

impl Side {
    /// Its link to the other side is not made yet.
    pub(crate) fn new(end: End) -> Result<Side> {
        let side = Side {
            gateway: Namespace::new()?,
            inner: Namespace::new()?,
        };
        side.inner.run(quiet)?;
        let inner = side.inner.fd().try_clone_to_owned()?;
        side.gateway.run(move || {
            use std::os::fd::AsFd;
            quiet()?;
            forward()?;
            Netlink::open()?.add_veth(INNER, HOST, Some(inner.as_fd()))?;
            dress(INNER, &FAMILIES.map(|f| address::inner_gateway(end, f)))
        })?;
        side.inner.run(move || dress_host(end))?;
        Ok(side)
    }
}

/// Addresses count at once, nobody advertises routes, and packets may come by any way: what leaves
/// a tunnel comes from where no route leads back.
pub(crate) fn quiet() -> Result<()> {
    for place in ["all", "default"] {
        sysctl::set(&format!("ipv4/conf/{place}/rp_filter"), "0")?;
        sysctl::set(&format!("ipv4/conf/{place}/send_redirects"), "0")?;
        sysctl::set(&format!("ipv6/conf/{place}/accept_dad"), "0")?;
        sysctl::set(&format!("ipv6/conf/{place}/accept_ra"), "0")?;
        sysctl::set(&format!("ipv6/conf/{place}/disable_ipv6"), "0")?;
    }
    Ok(())
}

/// Passes on what is for others.
pub(crate) fn forward() -> Result<()> {
    sysctl::set("ipv4/ip_forward", "1")?;
    sysctl::set("ipv6/conf/all/forwarding", "1")?;
    Ok(())
}

fn dress_host(end: End) -> Result<()> {
    dress(HOST, &FAMILIES.map(|f| address::inner_host(end, f)))?;
    let mut netlink = Netlink::open()?;
    let interface = netlink.link(HOST)?.index;
    let via = |family| Some(address::inner_gateway(end, family));
    lead_across(&mut netlink, end, interface, via)
}

/// Leads what is for the network behind the other gateway to this interface, via somebody there.
pub(crate) fn lead_across(
    netlink: &mut Netlink,
    end: End,
    interface: u32,
    via: impl Fn(Family) -> Option<IpAddr>,
) -> Result<()> {
    for family in FAMILIES {
        let (destination, prefix_length) = address::inner_network(end.other(), family);
        netlink.add_route(&Route {
            destination,
            prefix_length,
            via: via(family),
            interface: Some(interface),
            source: None,
            metric: None,
        })?;
    }
    Ok(())
}

/// What has no other way goes to the other gateway: also what Sealway lets pass in the clear.
fn dress_link(end: End, frames: Frames) -> Result<()> {
    let of = |place: fn(End, Family) -> IpAddr| FAMILIES.map(|f| place(end, f));
    let addresses = [of(address::tunnel_end), of(address::gateway_host)].concat();
    let mut netlink = Netlink::open()?;
    let interface = netlink.link(LINK)?.index;
    if frames == Frames::Alone {
        netlink.set_gso_segments(interface, 1)?;
    }
    dress(LINK, &addresses)?;
    for family in FAMILIES {
        netlink.add_route(&Route {
            destination: address::anywhere(family),
            prefix_length: 0,
            via: Some(address::tunnel_end(end.other(), family)),
            interface: Some(interface),
            source: None,
            metric: None,
        })?;
    }
    Ok(())
}

/// Gives the interface addresses and brings it up.
fn dress(name: &str, addresses: &[IpAddr]) -> Result<()> {
    let mut netlink = Netlink::open()?;
    let interface = netlink.link(name)?.index;
    netlink.set_state(interface, State::Up)?;
    for &address in addresses {
        let family = if address.is_ipv4() {
            Family::V4
        } else {
            Family::V6
        };
        netlink
            .add_address(&Address {
                interface,
                address,
                prefix_length: address::link_prefix(family),
            })
            .with_context(|| format!("cannot set up {name}"))?;
    }
    Ok(())
}
