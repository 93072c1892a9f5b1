//! From the engine's state to what `show` shows.

use std::net::SocketAddr;
use std::time::Duration;

use sealway_core::sad::{Lifetime, Sa};
use sealway_core::selector::{Selector, Upper};
use sealway_core::spd::{Action, Mode, Policy};
use sealway_core::{Acquire, DropReason, Tables, Time};
use sealway_crypto::{SecretKey, Sequence};
use zeroize::Zeroizing;

use crate::daemon::protocol::KeyDisplay;
use crate::daemon::worker::{Failure, Snapshot};
use crate::setkey::{Written, priority_of};
use crate::show::report;

pub(super) fn sas(tables: &Tables, keys: KeyDisplay, now: Time) -> Vec<report::Sa> {
    tables
        .sad
        .iter()
        .map(|one| sa(one, tables, keys, now))
        .collect()
}

pub(super) fn policies(tables: &Tables) -> Vec<report::Policy> {
    tables.spd.iter().map(|one| policy(one)).collect()
}

pub(super) fn sa(sa: &Sa, tables: &Tables, keys: KeyDisplay, now: Time) -> report::Sa {
    let config = &sa.config;
    report::Sa {
        source: config.source,
        destination: config.id.destination,
        protocol: config.id.protocol.to_string(),
        spi: config.id.spi.value(),
        mode: config.mode.to_string(),
        suite: config.suite.to_string(),
        packets: sa.runtime.packets(),
        bytes: sa.runtime.octets(),
        sequence: sa.runtime.next_sequence(),
        reqid: config.reqid,
        replay_window: config.sequence.window.map_or(0, |window| window.packets()),
        esn: config.sequence.form == Sequence::Extended,
        encapsulation: config.encapsulation.map(|udp| report::Encapsulation {
            source: udp.source,
            destination: udp.destination,
        }),
        peer: tables.peer(sa).map(place),
        selector: config.selector.as_ref().map(selector),
        received: sa.runtime.progress().top,
        restart: restart(sa),
        lifetime: report::Lifetime {
            since_added: sa.runtime.age(now).as_secs(),
            since_used: sa.runtime.in_use(now).map(|time| time.as_secs()),
            hard: limits(&config.lifetimes.hard),
            soft: limits(&config.lifetimes.soft),
        },
        keys: match keys {
            KeyDisplay::Masked => None,
            KeyDisplay::Shown => Some(report::Keys {
                encryption: digits(&config.encryption_key),
                authentication: digits(&config.authentication_key),
            }),
        },
    }
}

pub(super) fn place(peer: SocketAddr) -> report::Place {
    report::Place {
        address: peer.ip(),
        port: peer.port(),
    }
}

fn restart(sa: &Sa) -> report::Restart {
    let kept = sa.runtime.is_kept();
    let has_window = sa.config.sequence.window.is_some();
    let lost = match (kept, has_window) {
        (true, _) => &[][..],
        (false, true) => &["sequence", "replay"],
        (false, false) => &["sequence"],
    };
    let reserved = sa.runtime.progress().reserved;
    report::Restart {
        kept,
        exact: sa.runtime.is_published(),
        loses: lost.iter().map(ToString::to_string).collect(),
        sent_up_to: kept.then_some(reserved.send),
        accepted_up_to: (kept && has_window).then_some(reserved.receive),
    }
}

fn limits(lifetime: &Lifetime) -> report::Limits {
    let seconds = |time: Option<Duration>| time.map(|time| time.as_secs());
    report::Limits {
        bytes: lifetime.octets,
        packets: lifetime.packets,
        since_added: seconds(lifetime.since_added),
        since_used: seconds(lifetime.since_used),
    }
}

fn digits(key: &SecretKey) -> Zeroizing<String> {
    Zeroizing::new(hex::encode(key.expose()))
}

pub(super) fn policy(policy: &Policy) -> report::Policy {
    let config = &policy.config;
    let (action, templates) = match &config.action {
        Action::Protect(templates) => ("protect", templates.as_slice()),
        Action::Bypass => ("bypass", [].as_slice()),
        Action::Discard => ("discard", [].as_slice()),
    };
    report::Policy {
        id: policy.id.0,
        direction: config.direction.to_string(),
        selector: selector(&config.selector),
        priority: priority_of(config),
        action: action.into(),
        templates: templates.iter().map(ToString::to_string).collect(),
        packets: policy.packets(),
    }
}

/// `None` for a template that its policy has not.
pub(super) fn acquire(acquire: &Acquire) -> Option<report::Acquire> {
    let Action::Protect(templates) = &acquire.policy.config.action else {
        return None;
    };
    let template = templates.get(acquire.template)?;
    let flow = &acquire.flow;
    Some(report::Acquire {
        policy: acquire.policy.id.0,
        template: acquire.template,
        source: acquire.source,
        destination: acquire.destination,
        protocol: template.protocol.to_string(),
        mode: match template.mode {
            Mode::Transport => "transport".into(),
            Mode::Tunnel { .. } => "tunnel".into(),
        },
        reqid: template.reqid,
        flow: report::Flow {
            source: flow.source(),
            destination: flow.destination(),
            protocol: flow.protocol(),
            ports: flow.words(),
        },
    })
}

fn selector(selector: &Selector) -> report::Selector {
    let bounds = |words: &std::ops::RangeInclusive<u16>| match (*words.start(), *words.end()) {
        (0, u16::MAX) => None,
        bounds => Some(bounds),
    };
    let (protocol, first, second) = match selector.upper() {
        Upper::Any => (None, None, None),
        Upper::Protocol(protocol) => (Some(*protocol), None, None),
        Upper::Words {
            protocol,
            first,
            second,
        } => (Some(*protocol), bounds(first), bounds(second)),
    };
    report::Selector {
        source: selector.source().to_string(),
        destination: selector.destination().to_string(),
        protocol,
        first,
        second,
        text: Written(selector).to_string(),
    }
}

/// What the worker drops itself, as `loop`, counts as received and dropped.
pub(in crate::daemon) fn stats(snapshot: &Snapshot) -> report::Stats {
    let Snapshot {
        engine,
        worker,
        outside,
        offloads: _,
        samples,
    } = snapshot;
    let drops = DropReason::ALL.iter().map(|reason| {
        let own = match reason {
            DropReason::Loop => worker.loops,
            _ => 0,
        };
        (reason.name().to_owned(), engine.dropped(*reason) + own)
    });
    let failures = Failure::ALL
        .iter()
        .zip(worker.failures)
        .map(|(failure, count)| (failure.name(), count));
    let devices = failures.chain([
        ("canary_samples", *samples),
        ("canary_trials_in_vain", worker.trials_in_vain),
        ("coalesced", engine.coalesced),
        ("ike_dropped", worker.ike_dropped),
        ("ike_sent", worker.ike_sent),
        ("keepalives", worker.keepalives),
        ("keepalives_sent", worker.keepalives_sent),
        ("non_esp", worker.non_esp),
        ("outside_foreign", outside.foreign),
        ("outside_malformed", outside.malformed),
        ("outside_truncated", outside.truncated),
        ("partial", engine.partial),
        ("peers_moved", worker.peers_moved),
        ("pool_empty", worker.pool_empty),
        ("segments", engine.segments),
        ("too_big_disbelieved", worker.too_big_disbelieved),
        ("too_big_heard", worker.too_big_heard),
        ("trains_refused", outside.trains_refused),
    ]);
    report::Stats {
        received_inside: engine.received_inside + worker.loops,
        received_outside: engine.received_outside,
        originated: engine.originated,
        sent: engine.sent,
        delivered: engine.delivered,
        dropped: engine.dropped_in_all() + worker.loops,
        held: engine.held,
        pending: engine.pending,
        consumed: engine.consumed,
        drops: drops.collect(),
        devices: devices
            .map(|(name, count)| (name.to_owned(), count))
            .collect(),
    }
}
