//! Routes and rules around Sealway: what the host does with packets to inside networks that are not
//! for the inside device, and with the inside networks' packets when the device is gone.
//!
//! * Every inside network has an unreachable route with the worst of metrics. It counts when the
//!   inside device is gone, and is kept by the kernel when we are killed.
//! * What leaves the clear device must not come back by the inside device; what Sealway sends
//!   itself, bound to an interface, must not meet those unreachable routes. For both there is a
//!   table of *ordinary* routes: the main table without ours, as far as it speaks of inside
//!   networks.
//! * What comes in from elsewhere and goes to an inside network is led to the clear device, if there
//!   is one, to be judged. For this host's own inside addresses that is decided before the rule that
//!   leads to the table of local addresses, which therefore moves from 0 to a later place.
//!
//! Everything bears our number as its owner. Several daemons share a host: each has a *slot*, with
//! priorities, tables and a metric of its own, and a rule that names its inside device and does
//! nothing says whose slot it is.

use std::net::IpAddr;

use nix::errno::Errno;
use sealway_io::netlink::{
    Action, Entry, Error, KERNEL, LOCAL_TABLE, Link, MAIN_TABLE, Netlink, Rule,
};
use sealway_wire::Family;

use super::{Prefix, Site, Surroundings, overlap};
use crate::daemon::config::Guard;

/// Our number among those who make routes and rules (`/etc/iproute2/rt_protos` has no other).
const OWNER: u8 = 94;
/// So many daemons may share a host.
const SLOTS: u32 = 8;
/// Where rules before the local table start, and how many places a slot has.
const EARLY: u32 = 32;
const EARLY_PLACES: u32 = 8;
/// Where the rule for local addresses goes.
const LOCAL_AT: u32 = EARLY + SLOTS * EARLY_PLACES;
/// Where rules behind the local table start, and how many places a slot has.
const LATE: u32 = 1000;
const LATE_PLACES: u32 = 8;
/// Where our tables start; two for each slot.
const TABLES: u32 = 9400;

/// The places of one daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Slot(u32);

/// Whether anything of ours was there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Ours,
    Nothing,
}

/// Rules and routes.
#[derive(Debug, Default)]
struct Plan {
    rules: Vec<Rule>,
    entries: Vec<Entry>,
}

/// Makes rules and routes what they should be: first what is missing is added, then what is too
/// much removed.
pub(super) fn settle(
    site: &Site,
    surroundings: &Surroundings,
    guard: Guard,
    netlink: &mut Netlink,
) -> Result<(), Error> {
    let rules = netlink.rules()?;
    let entries = netlink.entries()?;
    let links = netlink.links()?;
    let slot = Slot::of(&site.device, &rules).unwrap_or_else(|| Slot::free(&rules));
    let wanted = Plan::of(slot, site, surroundings, guard, &entries, &links);
    for entry in wanted.entries.iter().filter(|e| !entries.contains(e)) {
        match netlink.add_entry(entry) {
            // A copy of what the host has meanwhile lost, for instance.
            Err(error) if entry.table() != MAIN_TABLE => tracing::debug!("{error}"),
            added => added?,
        }
    }
    // The last first, so that there is something to go on at.
    let mut missing: Vec<&Rule> = wanted.rules.iter().collect();
    missing.retain(|rule| !rules.contains(rule));
    missing.sort_by_key(|rule| std::cmp::Reverse(rule.priority));
    for rule in missing {
        unless(Errno::EEXIST, netlink.add_rule(rule))?;
    }
    if site.clear.is_some() {
        move_local(&rules, netlink)?;
    }
    for rule in rules.iter().filter(|rule| slot.has_rule(rule)) {
        if !wanted.rules.contains(rule) {
            unless(Errno::ENOENT, netlink.remove_rule(rule))?;
        }
    }
    for entry in entries.iter().filter(|entry| slot.has_entry(entry)) {
        if !wanted.entries.contains(entry) {
            unless(Errno::ESRCH, netlink.remove_entry(entry))?;
        }
    }
    Ok(())
}

/// Removes everything that belongs to the daemon with this inside device.
pub(super) fn remove(device: &str, netlink: &mut Netlink) -> Result<Found, Error> {
    let rules = netlink.rules()?;
    let Some(slot) = Slot::of(device, &rules) else {
        return Ok(Found::Nothing);
    };
    let needs_local = |rule: &Rule| {
        rule.owner == OWNER && (EARLY..LOCAL_AT).contains(&rule.priority) && !slot.has_rule(rule)
    };
    if !rules.iter().any(needs_local) {
        move_local_back(&rules, netlink)?;
    }
    for entry in netlink.entries()?.iter().filter(|e| slot.has_entry(e)) {
        unless(Errno::ESRCH, netlink.remove_entry(entry))?;
    }
    // The rule that says whose slot it is has the last place.
    for rule in rules.iter().filter(|rule| slot.has_rule(rule)) {
        unless(Errno::ENOENT, netlink.remove_rule(rule))?;
    }
    Ok(Found::Ours)
}

impl Slot {
    /// That of the daemon with this inside device.
    fn of(device: &str, rules: &[Rule]) -> Option<Slot> {
        (0..SLOTS).map(Slot).find(|slot| {
            let anchor = slot.anchor(device);
            rules.contains(&anchor)
        })
    }

    /// One that nobody has; with all taken, the last.
    fn free(rules: &[Rule]) -> Slot {
        let free = |slot: &Slot| !rules.iter().any(|rule| slot.has_rule(rule));
        let mut slots = (0..SLOTS).map(Slot);
        slots.find(free).unwrap_or(Slot(SLOTS - 1))
    }

    fn anchor(self, device: &str) -> Rule {
        let mut rule = rule(Family::V4, self.late(LATE_PLACES - 1), Action::Nothing);
        rule.came_by = Some(device.to_owned());
        rule
    }

    fn early(self, place: u32) -> u32 {
        EARLY + self.0 * EARLY_PLACES + place
    }

    fn late(self, place: u32) -> u32 {
        LATE + self.0 * LATE_PLACES + place
    }

    /// The table of ordinary routes.
    fn ordinary(self) -> u32 {
        TABLES + 2 * self.0
    }

    /// The table that leads to the clear device.
    fn judged(self) -> u32 {
        TABLES + 2 * self.0 + 1
    }

    /// The worst metric, and the next ones for other daemons.
    fn metric(self) -> u32 {
        u32::MAX - self.0
    }

    fn has_rule(self, rule: &Rule) -> bool {
        let early = self.early(0)..self.early(EARLY_PLACES);
        let late = self.late(0)..self.late(LATE_PLACES);
        rule.owner == OWNER && (early.contains(&rule.priority) || late.contains(&rule.priority))
    }

    fn has_entry(self, entry: &Entry) -> bool {
        let is_last_resort = entry.table() == MAIN_TABLE
            && entry.is_unreachable()
            && entry.metric() == Some(self.metric());
        let in_tables = [self.ordinary(), self.judged()].contains(&entry.table());
        entry.owner() == OWNER && (is_last_resort || in_tables)
    }
}

impl Plan {
    fn of(
        slot: Slot,
        site: &Site,
        surroundings: &Surroundings,
        guard: Guard,
        entries: &[Entry],
        links: &[Link],
    ) -> Plan {
        let mut plan = Plan::default();
        if guard == Guard::Off && site.clear.is_none() {
            return plan;
        }
        plan.rules.push(slot.anchor(&site.device));
        if guard == Guard::On {
            let networks = site.networks().into_iter();
            let last_resort = |p: Prefix| {
                Entry::unreachable((p.address, p.length), slot.metric(), MAIN_TABLE, OWNER)
            };
            plan.entries.extend(networks.map(last_resort));
        }
        for family in [Family::V4, Family::V6] {
            let networks = of_family(&site.networks(), family);
            let near = of_family(&surroundings.near, family);
            if !networks.is_empty() {
                plan.ordinary(slot, family, &networks, site, surroundings);
                plan.copy_ordinary(slot, family, &networks, site, entries, links);
            }
            let clear = site.clear.as_ref();
            let clear = clear.and_then(|name| links.iter().find(|link| link.name == *name));
            if let Some(clear) = clear
                && !(networks.is_empty() && near.is_empty())
            {
                plan.judge(slot, family, site, surroundings);
                plan.entries.push(Entry::by_interface(
                    (nowhere(family), 0),
                    clear.index,
                    METRIC,
                    slot.judged(),
                    OWNER,
                ));
            }
        }
        plan
    }

    /// Clear packets that were let out, and what Sealway itself sends, follow ordinary routes.
    fn ordinary(
        &mut self,
        slot: Slot,
        family: Family,
        networks: &[(IpAddr, u8)],
        site: &Site,
        surroundings: &Surroundings,
    ) {
        let action = Action::Lookup(slot.ordinary());
        for network in networks {
            for name in &surroundings.ways_out {
                let mut rule = rule(family, slot.late(0), action);
                rule.leaves_by = Some(name.clone());
                rule.destination = Some(*network);
                self.rules.push(rule);
            }
            if let Some(clear) = &site.clear {
                let mut rule = rule(family, slot.late(1), action);
                rule.came_by = Some(clear.clone());
                rule.destination = Some(*network);
                self.rules.push(rule);
            }
        }
    }

    /// The main table's routes that are not ours, as far as they can concern inside networks, and
    /// at the end of them nothing.
    fn copy_ordinary(
        &mut self,
        slot: Slot,
        family: Family,
        networks: &[(IpAddr, u8)],
        site: &Site,
        entries: &[Entry],
        links: &[Link],
    ) {
        let is_ours = |entry: &&Entry| {
            let mut links = links.iter();
            let link = links.find(|link| Some(link.index) == entry.interface());
            entry.owner() == OWNER
                || link.is_some_and(|link| site.devices().any(|name| name == link.name))
        };
        let concerns = |entry: &&Entry| {
            let destination = entry.destination();
            // A router on the link can be found only by the link's own route.
            entry.is_on_link() || networks.iter().any(|one| overlap(*one, destination))
        };
        let mut copies: Vec<Entry> = entries
            .iter()
            .filter(|entry| entry.table() == MAIN_TABLE && entry.family() == family)
            .filter(|entry| !is_ours(entry) && concerns(entry))
            .map(|entry| entry.copied(slot.ordinary(), OWNER))
            .collect();
        copies.sort_by_key(|entry| !entry.is_on_link());
        self.entries.append(&mut copies);
        let table = slot.ordinary();
        let end = Entry::unreachable((nowhere(family), 0), slot.metric(), table, OWNER);
        self.entries.push(end);
    }

    /// Clear packets for inside networks go to the clear device; but those that the host sends
    /// itself, that Sealway let in or out, and those of protected hosts.
    fn judge(&mut self, slot: Slot, family: Family, site: &Site, surroundings: &Surroundings) {
        let interfaces = surroundings.interfaces.iter().map(String::as_str);
        let trusted: Vec<&str> = ["lo"]
            .into_iter()
            .chain(site.devices())
            .chain(interfaces)
            .collect();
        let own = [site.own.as_slice(), surroundings.near.as_slice()].concat();
        let places = [
            (slot.early(0), slot.early(EARLY_PLACES - 1), own),
            (
                slot.late(2),
                slot.late(LATE_PLACES - 1),
                site.routed.clone(),
            ),
        ];
        for (start, end, networks) in places {
            for name in &trusted {
                let mut pass = rule(family, start, Action::Goto(end));
                pass.came_by = Some((*name).to_owned());
                self.rules.push(pass);
            }
            for address in &site.outside {
                let length = if address.is_ipv4() { 32 } else { 128 };
                let mut pass = rule(family, start, Action::Goto(end));
                pass.destination = Some((*address, length));
                if address.is_ipv4() == (family == Family::V4) {
                    self.rules.push(pass);
                }
            }
            for network in of_family(&networks, family) {
                let mut lead = rule(family, start + 1, Action::Lookup(slot.judged()));
                lead.destination = Some(network);
                self.rules.push(lead);
            }
            let is_anchor = family == Family::V4 && end == slot.late(LATE_PLACES - 1);
            if !is_anchor {
                self.rules.push(rule(family, end, Action::Nothing));
            }
        }
    }
}

/// What routes of ours have where it does not matter.
const METRIC: u32 = 1024;

/// Moves the rule for local addresses behind those that lead to the clear device. At no time is
/// there none.
fn move_local(rules: &[Rule], netlink: &mut Netlink) -> Result<(), Error> {
    for first in rules.iter().filter(|rule| is_first_local(rule)) {
        unless(Errno::EEXIST, netlink.add_rule(&moved_local(first.family)))?;
        netlink.remove_rule(first)?;
    }
    Ok(())
}

fn move_local_back(rules: &[Rule], netlink: &mut Netlink) -> Result<(), Error> {
    for family in [Family::V4, Family::V6] {
        let moved = moved_local(family);
        if rules.contains(&moved) {
            let mut first = rule(family, 0, moved.action);
            first.owner = KERNEL;
            unless(Errno::EEXIST, netlink.add_rule(&first))?;
            netlink.remove_rule(&moved)?;
        }
    }
    Ok(())
}

fn is_first_local(one: &Rule) -> bool {
    let mut first = rule(one.family, 0, Action::Lookup(LOCAL_TABLE));
    first.owner = one.owner;
    *one == first
}

fn moved_local(family: Family) -> Rule {
    rule(family, LOCAL_AT, Action::Lookup(LOCAL_TABLE))
}

fn rule(family: Family, priority: u32, action: Action) -> Rule {
    Rule {
        priority,
        family,
        came_by: None,
        leaves_by: None,
        destination: None,
        action,
        owner: OWNER,
    }
}

fn of_family(prefixes: &[Prefix], family: Family) -> Vec<(IpAddr, u8)> {
    let is_of = |prefix: &&Prefix| prefix.address.is_ipv4() == (family == Family::V4);
    let pairs = prefixes.iter().filter(is_of);
    pairs
        .map(|prefix| (prefix.address, prefix.length))
        .collect()
}

fn nowhere(family: Family) -> IpAddr {
    match family {
        Family::V4 => std::net::Ipv4Addr::UNSPECIFIED.into(),
        Family::V6 => std::net::Ipv6Addr::UNSPECIFIED.into(),
    }
}

/// This one failure is as good as success.
fn unless(harmless: Errno, outcome: Result<(), Error>) -> Result<(), Error> {
    match outcome {
        Err(error) if error.errno == harmless as i32 => Ok(()),
        outcome => outcome,
    }
}
