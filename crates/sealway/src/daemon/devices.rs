//! Opening the devices that the configuration names.

use anyhow::Context;
use nix::errno::Errno;
use sealway_io::clear::Clear;
use sealway_io::netlink::{Address, Error, Ipv4Switch, Netlink, Route, State};
use sealway_io::outside::{self, Carriers, Outside};
use sealway_io::tun::Tun;
use sealway_packet::Pool;

use super::config::{Config, Inside, Prefix};
use super::worker::{Devices, Offloads, Role};
use crate::show::report;

/// Octets that a packet grows by in most cases: an outer IPv4 or IPv6 header, UDP, ESP, IV,
/// padding, ICV. A packet that grows more is answered with too-big, or fragmented.
const OVERHEAD: u32 = 100;
/// The smallest MTU that IPv6 works over (RFC 8200 §5).
const LEAST_MTU: u32 = 1280;

/// The role of the sockets; see [`Role`].
const OUTSIDE: &str = "outside";

/// Octets that the sockets' buffers should hold.
const BUFFER: usize = 4 << 20;

/// Large buffers. A packet's buffer is back before the next packet is read; each reader holds one
/// while it waits.
const LARGE: usize = 8;
/// Small buffers: as many more as wait to be sent together.
const SMALL: usize = 32;

/// Opens the outside in the calling thread's namespace. It comes first: a port in use should not
/// make a device flicker.
pub(super) fn open_outside(config: &Config, carriers: Carriers) -> anyhow::Result<Outside> {
    Ok(Outside::open(&outside::Config {
        addresses: config.outside.addresses.clone(),
        port: config.outside.port,
        buffer: BUFFER,
        carriers,
        offloads: config.offload,
    })?)
}

/// Opens the other devices in the calling thread's namespace; they do nothing yet. All vanish when
/// dropped.
pub(super) fn open(config: &Config, outside: Outside) -> anyhow::Result<Devices> {
    let clear = config.outside.clear.as_ref();
    let inside = Tun::open(&config.inside.device)?;
    let clear = clear.map(|name| Clear::open(name)).transpose()?;
    for tun in clear.iter().map(Clear::tun).chain([&inside]) {
        tun.want(config.offload)?;
    }
    Ok(Devices {
        inside,
        clear,
        outside,
        pool: Pool::new(SMALL, LARGE),
    })
}

/// Gives them addresses and routes; `link_mtu` is the outside's.
pub(super) fn dress(
    devices: &Devices,
    config: &Config,
    netlink: &mut Netlink,
    link_mtu: u16,
) -> anyhow::Result<()> {
    dress_inside(&devices.inside, &config.inside, netlink, link_mtu)?;
    if let Some(clear) = &devices.clear {
        take_from_anywhere(&devices.inside, netlink);
        dress_clear(clear.tun(), netlink, link_mtu)?;
    }
    Ok(())
}

/// Makes a device again that somebody has removed, as [`open`] and [`dress`] did.
pub(super) fn make_again(
    role: Role,
    devices: &Devices,
    config: &Config,
    netlink: &mut Netlink,
    link_mtu: u16,
) -> anyhow::Result<()> {
    match (role, &devices.clear) {
        (Role::Inside, clear) => {
            devices.inside.make_again(netlink)?;
            dress_inside(&devices.inside, &config.inside, netlink, link_mtu)?;
            if clear.is_some() {
                take_from_anywhere(&devices.inside, netlink);
            }
        }
        (Role::Clear, Some(clear)) => {
            clear.tun().make_again(netlink)?;
            dress_clear(clear.tun(), netlink, link_mtu)?;
        }
        (Role::Clear, None) => {}
    }
    Ok(())
}

/// What `show device` tells of them, but for their offloads.
pub(super) fn report(
    config: &Config,
    devices: &Devices,
    netlink: &mut Netlink,
) -> anyhow::Result<Vec<report::Device>> {
    let mut interface = |role: &str, tun: &Tun| -> anyhow::Result<report::Device> {
        Ok(report::Device {
            role: role.into(),
            name: Some(tun.name().into()),
            mtu: Some(netlink.link_by_index(tun.index())?.mtu),
            addresses: Vec::new(),
            routes: Vec::new(),
            port: None,
            offloads: Vec::new(),
        })
    };
    let mut inside = interface(Role::Inside.name(), &devices.inside)?;
    inside.addresses = config
        .inside
        .addresses
        .iter()
        .map(Prefix::to_string)
        .collect();
    inside.routes = config.inside.routes.iter().map(Prefix::to_string).collect();
    let clear = devices
        .clear
        .as_ref()
        .map(|clear| interface(Role::Clear.name(), clear.tun()));
    let outside = report::Device {
        role: OUTSIDE.into(),
        name: None,
        mtu: None,
        addresses: config
            .outside
            .addresses
            .iter()
            .map(ToString::to_string)
            .collect(),
        routes: Vec::new(),
        port: Some(devices.outside.port()),
        offloads: Vec::new(),
    };
    Ok([inside, outside]
        .into_iter()
        .chain(clear.transpose()?)
        .collect())
}

/// Adds how it stands with their offloads.
pub(super) fn report_offloads(devices: &mut [report::Device], offloads: &Offloads) {
    for device in devices {
        let states = match device.role.as_str() {
            OUTSIDE => &offloads.outside,
            role if role == Role::Clear.name() => &offloads.clear,
            _ => &offloads.inside,
        };
        let told = states.iter().map(|(kind, state)| report::Offload {
            name: kind.name().into(),
            state: state.name().into(),
            reason: state.reason(),
        });
        device.offloads = told.collect();
    }
}

fn dress_inside(
    tun: &Tun,
    config: &Inside,
    netlink: &mut Netlink,
    link_mtu: u16,
) -> anyhow::Result<()> {
    let fitting = u32::from(link_mtu).saturating_sub(OVERHEAD).max(LEAST_MTU);
    netlink.set_mtu(tun.index(), config.mtu.unwrap_or(fitting))?;
    for prefix in &config.addresses {
        add_address(prefix, tun.index(), netlink)
            .with_context(|| format!("the device {} cannot have {prefix}", config.device))?;
    }
    netlink.set_state(tun.index(), State::Up)?;
    for prefix in &config.routes {
        add_route(prefix, tun.index(), netlink)
            .with_context(|| format!("{prefix} cannot be routed to {}", config.device))?;
    }
    Ok(())
}

/// A persistent device may have the address from last time.
fn add_address(prefix: &Prefix, interface: u32, netlink: &mut Netlink) -> Result<(), Error> {
    let address = Address {
        interface,
        address: prefix.address,
        prefix_length: prefix.length,
    };
    match netlink.add_address(&address) {
        Err(error) if is_there(&error) && netlink.addresses()?.contains(&address) => Ok(()),
        added => added,
    }
}

/// A persistent device may have the route from last time.
fn add_route(prefix: &Prefix, interface: u32, netlink: &mut Netlink) -> Result<(), Error> {
    let route = Route {
        destination: prefix.address,
        prefix_length: prefix.length,
        via: None,
        interface: Some(interface),
        source: None,
        metric: None,
    };
    match netlink.add_route(&route) {
        Err(error) if is_there(&error) => {
            let ours = |known: &Route| {
                (known.destination, known.prefix_length, known.interface)
                    == (route.destination, route.prefix_length, route.interface)
            };
            if netlink.routes()?.iter().any(ours) {
                Ok(())
            } else {
                Err(error)
            }
        }
        added => added,
    }
}

fn is_there(error: &Error) -> bool {
    error.errno == Errno::EEXIST as i32
}

fn dress_clear(tun: &Tun, netlink: &mut Netlink, link_mtu: u16) -> anyhow::Result<()> {
    netlink.set_mtu(tun.index(), u32::from(link_mtu).max(LEAST_MTU))?;
    netlink.set_state(tun.index(), State::Up)?;
    take_from_anywhere(tun, netlink);
    Ok(())
}

/// The host takes what comes out of the device, whoever sent it and wherever its sender lives:
/// clear traffic comes from the host itself, or from where no route leads back by this device.
fn take_from_anywhere(tun: &Tun, netlink: &mut Netlink) {
    let switches = [
        (Ipv4Switch::AcceptLocal, 1),
        (Ipv4Switch::ReversePathFilter, 0),
        (Ipv4Switch::Forwarding, 1),
    ];
    if let Err(error) = netlink.set_ipv4(tun.index(), &switches) {
        tracing::warn!("clear traffic may not pass: {error}");
    }
}
