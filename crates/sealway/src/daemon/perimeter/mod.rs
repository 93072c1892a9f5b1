//! What keeps packets from going round Sealway: a table of the host's packet filter ([`guard`], put
//! in place by a process of its own, the [`guardian`]), and routes and routing rules ([`routing`]).
//! `docs/guard.md` is its manual.
//!
//! Both are worked out from the configuration and from what the host's network is like at the
//! moment, and put in the place of what was there. So a start takes over what a crash left, and a
//! change of the network is one more working out.

mod guard;
pub(super) mod guardian;
mod routing;

use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};

use anyhow::Context;
use sealway_core::selector::AddressRange;
use sealway_io::netfilter::{Tables, Watch};
use sealway_io::netlink::{Address, Link, Netlink};

use super::config::{Config, Guard, Leash, Prefix};
use guardian::Guardian;
use serde::{Deserialize, Serialize};

/// What stands between the inside and everything else, and what it was made from.
#[derive(Debug)]
pub(super) struct Perimeter {
    mode: Guard,
    leash: Leash,
    site: Site,
    /// Who puts the guard in place; `None`: nobody is to.
    guardian: Option<Guardian>,
    /// What the guard in the packet filter was made from; `None`: it is not ours.
    applied: Option<Surroundings>,
    /// Tells when somebody has removed it; `None`: there is none, or nobody tells.
    watch: Option<Watch>,
}

/// What the configuration says of the two sides.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Site {
    /// The inside device.
    device: String,
    /// The device for clear traffic.
    clear: Option<String>,
    /// Interfaces that protected hosts are on.
    interfaces: Vec<String>,
    /// Networks that the inside device has an address in.
    own: Vec<Prefix>,
    /// Networks that are routed into the inside device.
    routed: Vec<Prefix>,
    /// Addresses of the outside.
    outside: Vec<IpAddr>,
    /// The port of encapsulated ESP; 0: not known yet.
    port: u16,
}

/// What the host's network makes of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Surroundings {
    /// Those of the interfaces that protected hosts are on which are not the outside's too.
    interfaces: Vec<String>,
    /// The networks of these.
    near: Vec<Prefix>,
    /// The interfaces that have the outside's addresses.
    ways_out: Vec<String>,
}

/// What was there before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Before {
    /// No guard.
    Nothing,
    /// One that a crash left.
    Guarded,
}

impl Perimeter {
    /// Nothing is done yet.
    pub(super) fn new(config: &Config) -> Perimeter {
        Perimeter {
            mode: config.guard,
            leash: config.leash,
            site: Site::of(config),
            guardian: None,
            applied: None,
            watch: None,
        }
    }

    /// Guards the host, before there is anything to be guarded; the port is the outside's.
    pub(super) fn raise(&mut self, port: u16, netlink: &mut Netlink) -> anyhow::Result<Before> {
        self.site.port = port;
        let mut before = Before::Nothing;
        if self.mode == Guard::On {
            let guardian = self
                .guardian
                .insert(Guardian::start(&self.site, self.leash)?);
            if guardian.look()? {
                before = Before::Guarded;
            }
            match Watch::open() {
                Ok(watch) => self.watch = Some(watch),
                Err(error) => tracing::warn!("nobody will tell if the guard is removed: {error}"),
            }
        }
        let surroundings = Surroundings::now(&self.site, netlink)?;
        self.apply_guard(&surroundings)?;
        Ok(before)
    }

    /// Readable when the packet filter has lost a table.
    pub(super) fn watch(&self) -> Option<BorrowedFd<'_>> {
        self.watch.as_ref().map(AsFd::as_fd)
    }

    /// Puts the guard back if somebody has removed it, as those do who reload the whole packet
    /// filter.
    pub(super) fn mend(&mut self) -> anyhow::Result<()> {
        let (Some(watch), Some(guardian), Some(applied)) =
            (&mut self.watch, &mut self.guardian, &self.applied)
        else {
            return Ok(());
        };
        let removed = match watch.tables() {
            Ok(tables) => tables == Tables::Removed,
            Err(error) => {
                self.watch = None;
                tracing::warn!("nobody tells any longer if the guard is removed: {error}");
                true
            }
        };
        if removed && !guardian.look()? {
            guardian.replace(applied)?;
            tracing::warn!("somebody removed the guard from the packet filter: it is there again");
        }
        Ok(())
    }

    /// Makes everything fit the host's network as it is.
    pub(super) fn follow(&mut self, netlink: &mut Netlink) -> anyhow::Result<()> {
        let surroundings = Surroundings::now(&self.site, netlink)?;
        self.apply_guard(&surroundings)?;
        routing::settle(&self.site, &surroundings, self.mode, netlink)
            .context("the routes around Sealway cannot be set")
    }

    /// Takes everything away, the guard last.
    pub(super) fn lower(&mut self, netlink: &mut Netlink) -> anyhow::Result<()> {
        routing::remove(&self.site.device, netlink)?;
        self.applied = None;
        self.watch = None;
        self.guardian.as_mut().map_or(Ok(()), Guardian::remove)
    }

    /// With guard = false nothing is asked of the packet filter, and what a crash left is not ours
    /// to judge.
    fn apply_guard(&mut self, surroundings: &Surroundings) -> anyhow::Result<()> {
        if let Some(guardian) = &mut self.guardian
            && self.applied.as_ref() != Some(surroundings)
        {
            guardian.replace(surroundings)?;
            self.applied = Some(surroundings.clone());
        }
        Ok(())
    }
}

/// Takes away what a daemon with this configuration left behind. Whether there was anything.
pub(super) fn clear_away(config: &Config, netlink: &mut Netlink) -> anyhow::Result<Before> {
    let site = Site::of(config);
    let had_routes = routing::remove(&site.device, netlink)?;
    let table = site.table();
    if config.guard == Guard::On && guard::is_there(&table)? {
        guard::remove(&table)?;
        return Ok(Before::Guarded);
    }
    Ok(match had_routes {
        routing::Found::Ours => Before::Guarded,
        routing::Found::Nothing => Before::Nothing,
    })
}

impl Site {
    fn of(config: &Config) -> Site {
        Site {
            device: config.inside.device.clone(),
            clear: config.outside.clear.clone(),
            interfaces: config.inside.interfaces.clone(),
            own: config.inside.addresses.iter().map(network).collect(),
            routed: config.inside.routes.iter().map(network).collect(),
            outside: config.outside.addresses.clone(),
            port: config.outside.port,
        }
    }

    /// The name of its table in the packet filter: one for each inside device.
    fn table(&self) -> String {
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        let device = self.device.chars().map(|c| if plain(c) { c } else { '_' });
        format!("sealway-{}", device.collect::<String>())
    }

    /// The inside networks: those that the inside device leads to.
    fn networks(&self) -> Vec<Prefix> {
        let mut networks = [self.own.as_slice(), self.routed.as_slice()].concat();
        sort(&mut networks);
        networks
    }

    /// Sealway's devices.
    fn devices(&self) -> impl Iterator<Item = &str> {
        let clear = self.clear.as_deref();
        [self.device.as_str()].into_iter().chain(clear)
    }
}

impl Surroundings {
    fn now(site: &Site, netlink: &mut Netlink) -> anyhow::Result<Surroundings> {
        let links = netlink.links()?;
        let addresses = netlink.addresses()?;
        Ok(Surroundings::of(site, &links, &addresses))
    }

    fn of(site: &Site, links: &[Link], addresses: &[Address]) -> Surroundings {
        let name = |address: &Address| {
            let link = links.iter().find(|link| link.index == address.interface);
            link.map(|link| link.name.clone())
        };
        let mut ways_out: Vec<String> = addresses
            .iter()
            .filter(|one| site.outside.contains(&one.address))
            .filter_map(name)
            .filter(|name| name != "lo")
            .collect();
        ways_out.sort_unstable();
        ways_out.dedup();
        let mut interfaces = site.interfaces.clone();
        interfaces.retain(|name| !ways_out.contains(name));
        let is_near = |one: &&Address| name(one).is_some_and(|name| interfaces.contains(&name));
        let mut near: Vec<Prefix> = addresses
            .iter()
            .filter(is_near)
            .filter(|one| !is_link_local(one.address))
            .map(|one| {
                network(&Prefix {
                    address: one.address,
                    length: one.prefix_length,
                })
            })
            .collect();
        sort(&mut near);
        Surroundings {
            interfaces,
            near,
            ways_out,
        }
    }
}

/// The prefix without bits behind its length.
fn network(prefix: &Prefix) -> Prefix {
    let range = AddressRange::prefix(prefix.address, prefix.length);
    Prefix {
        address: range.map_or(prefix.address, |range| range.first()),
        length: prefix.length,
    }
}

/// Whether they have an address in common.
fn overlap(one: (IpAddr, u8), other: (IpAddr, u8)) -> bool {
    if one.0.is_ipv4() != other.0.is_ipv4() {
        return false;
    }
    let length = one.1.min(other.1);
    let start = |address| network(&Prefix { address, length }).address;
    start(one.0) == start(other.0)
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

fn sort(prefixes: &mut Vec<Prefix>) {
    prefixes.sort_unstable_by_key(|prefix| (prefix.address, prefix.length));
    prefixes.dedup();
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
