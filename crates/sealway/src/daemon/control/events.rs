//! What `monitor` tells: found by comparing how things are with how they were.

use std::collections::HashSet;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use sealway_core::{Tables, Time};

use super::{Daemon, report};
use crate::daemon::protocol::KeyDisplay;
use crate::show::report::{Device, Event, Network, Offload, Stats};

/// Between two looks at the counters of drops.
pub(super) const SAMPLE: Duration = Duration::from_secs(1);

/// How things were when monitors were told last; there is one while somebody monitors.
pub(super) struct Watch {
    tables: Arc<Tables>,
    network: Network,
    stats: Stats,
    devices: Vec<Device>,
    sampled: Instant,
}

impl Watch {
    /// From how things are: only what happens from now on is told.
    pub(super) fn new(daemon: &Daemon) -> Watch {
        Watch {
            tables: daemon.control.tables(),
            network: network(daemon),
            stats: stats(daemon),
            devices: devices(daemon),
            sampled: Instant::now(),
        }
    }

    /// What happened since the last time.
    pub(super) fn events(&mut self, daemon: &Daemon) -> Vec<Event> {
        let mut events = Vec::new();
        let tables = daemon.control.tables();
        if !Arc::ptr_eq(&tables, &self.tables) {
            between(&self.tables, &tables, daemon.now(), &mut events);
            self.tables = tables;
        }
        let network = network(daemon);
        if network != self.network {
            events.push(Event::Network(network.clone()));
            self.network = network;
        }
        if self.sampled.elapsed() >= SAMPLE {
            let stats = stats(daemon);
            events.extend(dropped(&self.stats, &stats));
            self.stats = stats;
            let devices = devices(daemon);
            events.extend(switched(&self.devices, &devices));
            self.devices = devices;
            self.sampled = Instant::now();
        }
        events
    }
}

/// SAs and policies that came and went.
fn between(before: &Tables, after: &Tables, now: Time, events: &mut Vec<Event>) {
    let serials = |tables: &Tables| tables.sad.iter().map(|sa| sa.serial).collect();
    let (old, new): (HashSet<_>, HashSet<_>) = (serials(before), serials(after));
    let gone = before.sad.iter().filter(|sa| !new.contains(&sa.serial));
    let came = after.sad.iter().filter(|sa| !old.contains(&sa.serial));
    let told = |sa, tables| report::sa(sa, tables, KeyDisplay::Masked, now);
    events.extend(gone.map(|sa| Event::SaRemoved(told(sa, before))));
    events.extend(came.map(|sa| Event::SaAdded(told(sa, after))));
    let ids = |tables: &Tables| tables.spd.iter().map(|policy| policy.id).collect();
    let (old, new): (HashSet<_>, HashSet<_>) = (ids(before), ids(after));
    let gone = before.spd.iter().filter(|policy| !new.contains(&policy.id));
    let came = after.spd.iter().filter(|policy| !old.contains(&policy.id));
    events.extend(gone.map(|policy| Event::PolicyRemoved(report::policy(policy))));
    events.extend(came.map(|policy| Event::PolicyAdded(report::policy(policy))));
}

fn network(daemon: &Daemon) -> Network {
    Network {
        mtu: daemon.picture.mtu,
        addresses: daemon.picture.local.clone(),
    }
}

/// As they were last published: nobody is waited for.
fn stats(daemon: &Daemon) -> Stats {
    let board = daemon.worker.board.lock();
    report::stats(&board.unwrap_or_else(PoisonError::into_inner))
}

/// The same of devices.
fn devices(daemon: &Daemon) -> Vec<Device> {
    let board = daemon.worker.board.lock();
    daemon.report_devices(&board.unwrap_or_else(PoisonError::into_inner))
}

/// Offloads whose state is another.
fn switched(before: &[Device], after: &[Device]) -> Vec<Event> {
    let offloads = |devices: &[Device]| -> Vec<_> {
        let each = |device: &Device| {
            let role = device.role.clone();
            let offloads = device.offloads.iter().cloned();
            offloads
                .map(move |offload| (role.clone(), offload))
                .collect::<Vec<_>>()
        };
        devices.iter().flat_map(each).collect()
    };
    let before = offloads(before);
    let is_new = |(device, offload): &(String, Offload)| {
        let mut known = before.iter();
        let known = known.find(|(role, one)| role == device && one.name == offload.name);
        known.is_some_and(|(_, known)| known.state != offload.state)
    };
    let news = offloads(after).into_iter().filter(is_new);
    news.map(|(device, offload)| Event::Offload { device, offload })
        .collect()
}

/// How many packets were dropped for each reason since the last look; nothing if none was.
fn dropped(before: &Stats, after: &Stats) -> Option<Event> {
    let more = after.drops.iter().filter_map(|(reason, count)| {
        let before = before.drops.get(reason).copied().unwrap_or_default();
        let more = count.saturating_sub(before);
        (more > 0).then(|| (reason.clone(), more))
    });
    let packets: std::collections::BTreeMap<_, _> = more.collect();
    (!packets.is_empty()).then_some(Event::Drops { packets })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inside(offloads: &[(&str, &str)]) -> Vec<Device> {
        let offloads = offloads.iter().map(|(name, state)| Offload {
            name: (*name).into(),
            state: (*state).into(),
            reason: None,
        });
        vec![Device {
            role: "inside".into(),
            name: None,
            mtu: None,
            addresses: Vec::new(),
            routes: Vec::new(),
            port: None,
            offloads: offloads.collect(),
        }]
    }

    #[test]
    fn an_offload_is_told_of_when_its_state_changes() {
        let on = inside(&[("tso4", "on"), ("tso6", "on")]);
        let off = inside(&[("tso4", "on"), ("tso6", "distrusted")]);
        assert_eq!(switched(&on, &on), []);
        assert_eq!(switched(&[], &on), []);
        let expected = Event::Offload {
            device: "inside".into(),
            offload: off[0].offloads[1].clone(),
        };
        assert_eq!(switched(&on, &off), [expected]);
    }
}
