//! Two gateways, a router between them, and the bad link behind it:
//!
//! ```text
//! inner left ── [gateway left] link0 ── left [router] right ≈≈ link0 [gateway right] ── inner right
//! ```

use std::net::IpAddr;
use std::path::Path;

use anyhow::Result;
use sealway_io::namespace::Namespace;
use sealway_io::netlink::{Address, Netlink, Route, State};
use sealway_io::offload::Kinds;
use sealway_io::tun::Tun;
use sealway_wire::Family;

use super::wire::Wire;
use crate::bench::script::{self, Carrier};
use crate::daemon::config::Offload;
use crate::demo::address::{self, End, FAMILIES};
use crate::demo::limit::Limit;
use crate::demo::namespaces::gateway::{Gateway, Orders};
use crate::demo::namespaces::topology::{self, LINK, Side};

/// The router's devices.
const LEFT: &str = "left";
const RIGHT: &str = "right";
/// Octets that the link takes.
pub(super) const WIDE: u32 = 1500;
/// What it takes for a while.
pub(super) const NARROW: u32 = 1280;

/// What carries the transfer from gateway to gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Road {
    /// The path itself.
    Plain,
    /// Sealway, with this outside.
    Tunnel(Carrier, Family),
}

/// All of it, running.
pub(super) struct Scene {
    /// They end before their namespaces.
    gateways: Vec<Gateway>,
    pub(super) wire: Wire,
    pub(super) left: Side,
    pub(super) right: Side,
    router: Namespace,
}

impl Scene {
    /// `directory`: for the gateways' files.
    pub(super) fn start(road: Road, seed: u64, directory: &Path, limit: &Limit) -> Result<Scene> {
        let (left, right) = (Side::new(End::Left)?, Side::new(End::Right)?);
        let router = Namespace::new()?;
        let there = router.fd().try_clone_to_owned()?;
        left.gateway.run(move || {
            use std::os::fd::AsFd;
            Netlink::open()?.add_veth(LINK, LEFT, Some(there.as_fd()))
        })?;
        let ends = [
            router.run(|| bare(RIGHT))?,
            right.gateway.run(|| bare(LINK))?,
        ];
        router.run(dress_router)?;
        left.gateway.run(|| dress_gateway(End::Left))?;
        right.gateway.run(|| dress_gateway(End::Right))?;
        let mut scene = Scene {
            gateways: Vec::new(),
            wire: Wire::start(ends, seed),
            left,
            right,
            router,
        };
        if let Road::Tunnel(carrier, outer) = road {
            let keys = [script::key()?, script::key()?];
            for end in End::ALL {
                let orders = Orders {
                    script: &script::protected(end, carrier, outer, &keys),
                    default: "discard",
                    offload: Offload::On,
                };
                let namespace = &scene.side(end).gateway;
                let gateway = Gateway::start(end, namespace, directory, &orders, limit)?;
                scene.gateways.push(gateway);
            }
        }
        Ok(scene)
    }

    pub(super) fn side(&self, end: End) -> &Side {
        match end {
            End::Left => &self.left,
            End::Right => &self.right,
        }
    }

    /// From now on the link behind the router takes so many octets.
    pub(super) fn set_link(&self, octets: u32) -> Result<()> {
        self.router.run(move || {
            let mut netlink = Netlink::open()?;
            let interface = netlink.link(RIGHT)?.index;
            Ok(netlink.set_mtu(interface, octets)?)
        })
    }
}

/// A TUN device that hands over what a wire would carry.
fn bare(name: &str) -> Result<Tun> {
    let tun = Tun::open(name)?;
    tun.want(Kinds::NONE)?;
    Ok(tun)
}

fn router(family: Family) -> IpAddr {
    match family {
        Family::V4 => [192, 0, 2, 254].into(),
        Family::V6 => [0x2001, 0xdb8, 0, 0, 0, 0, 0, 0xfe].into(),
    }
}

fn dress_router() -> Result<()> {
    topology::quiet()?;
    topology::forward()?;
    let mut netlink = Netlink::open()?;
    for (device, end) in [(LEFT, End::Left), (RIGHT, End::Right)] {
        let interface = netlink.link(device)?.index;
        netlink.set_state(interface, State::Up)?;
        for family in FAMILIES {
            let host = address::host_prefix(family);
            netlink.add_address(&Address {
                interface,
                address: router(family),
                prefix_length: host,
            })?;
            let gateway = address::tunnel_end(end, family);
            let (network, length) = address::inner_network(end, family);
            lead(&mut netlink, (gateway, host), None, interface)?;
            lead(&mut netlink, (network, length), Some(gateway), interface)?;
        }
    }
    Ok(())
}

fn dress_gateway(end: End) -> Result<()> {
    let mut netlink = Netlink::open()?;
    let interface = netlink.link(LINK)?.index;
    netlink.set_state(interface, State::Up)?;
    for family in FAMILIES {
        let host = address::host_prefix(family);
        for address in [
            address::tunnel_end(end, family),
            address::gateway_host(end, family),
        ] {
            netlink.add_address(&Address {
                interface,
                address,
                prefix_length: host,
            })?;
        }
        let everything = (address::anywhere(family), 0);
        let router = router(family);
        lead(&mut netlink, (router, host), None, interface)?;
        lead(&mut netlink, everything, Some(router), interface)?;
    }
    Ok(())
}

fn lead(
    netlink: &mut Netlink,
    (destination, prefix_length): (IpAddr, u8),
    via: Option<IpAddr>,
    interface: u32,
) -> Result<()> {
    netlink.add_route(&Route {
        destination,
        prefix_length,
        via,
        interface: Some(interface),
        source: None,
        metric: None,
    })?;
    Ok(())
}
