//! Limits: of lifetimes, and of the numbers that storage has reserved.

use std::time::Duration;

use sealway_packet::{Arrival, Packet};
use sealway_wire::Family;

use super::harness::*;
use crate::sad::*;
use crate::*;

fn at(second: u64) -> Time {
    Time::since_start(Duration::from_secs(second))
}

fn limited(hard: Lifetime, soft: Lifetime) -> SaConfig {
    let mut config = sa(LEFT, RIGHT, 0x1000, SaMode::Tunnel);
    config.lifetimes = Lifetimes { hard, soft };
    config
}

fn gateways(config: &SaConfig) -> (Engine, Engine) {
    pair(Family::V4, vec![tunnel(LEFT, RIGHT)], vec![config.clone()])
}

fn told(engine: &mut Engine) -> Vec<String> {
    let name = |event| match event {
        Event::SoftLimit { limit, .. } => format!("soft {}", limit.name()),
        Event::HardLimit { limit, .. } => format!("hard {}", limit.name()),
        Event::ReserveMore { .. } => "more".into(),
        Event::Acquire(_) => "acquire".into(),
        Event::Mapping { .. } => "mapping".into(),
    };
    std::iter::from_fn(|| engine.poll_event())
        .map(name)
        .collect()
}

/// A packet out of the left engine, on its way into the right one.
fn sealed(left: &mut Engine) -> Packet<Arrival> {
    let (egress, train) = send(left, &inside(Family::V4, 100));
    arrive(egress, train.packet())
}

#[test]
fn a_hard_limit_ends_an_sa_on_both_roads_and_the_next_batch_is_without_it() {
    let hard = Lifetime {
        packets: Some(2),
        ..Lifetime::default()
    };
    let soft = Lifetime {
        packets: Some(1),
        ..Lifetime::default()
    };
    let (mut left, mut right) = gateways(&limited(hard, soft));
    let packet = inside(Family::V4, 100);
    let mut spare = gateways(&limited(Lifetime::default(), soft)).0;
    for _ in 0..2 {
        let sealed = sealed(&mut left);
        deliver(&mut right, sealed);
        let _ = send(&mut spare, &packet);
    }
    assert_eq!(refuse(&mut left, &packet), DropReason::SaExpiredOut);
    let late = self::sealed(&mut spare);
    assert_eq!(reject(&mut right, late), DropReason::SaExpiredIn);
    for engine in [&mut left, &mut right] {
        assert_eq!(told(engine), ["soft packets", "hard packets"]);
        engine.begin(Time::default());
        assert_eq!(told(engine), [""; 0]);
    }
    assert_eq!(refuse(&mut left, &packet), DropReason::NoSaOut);
    let late = self::sealed(&mut spare);
    assert_eq!(reject(&mut right, late), DropReason::NoSaIn);
}

#[test]
fn limits_of_time_are_noticed_with_the_batch_that_is_told_the_time() {
    let hard = Lifetime {
        since_used: Some(Duration::from_secs(60)),
        ..Lifetime::default()
    };
    let soft = Lifetime {
        since_added: Some(Duration::from_secs(20)),
        ..Lifetime::default()
    };
    let (mut left, _) = gateways(&limited(hard, soft));
    left.begin(at(10));
    sealed(&mut left);
    left.begin(at(19));
    sealed(&mut left);
    assert_eq!(told(&mut left), [""; 0]);
    left.begin(at(20));
    sealed(&mut left);
    assert_eq!(told(&mut left), ["soft since_added"]);
    left.begin(at(69));
    sealed(&mut left);
    left.begin(at(70));
    assert_eq!(told(&mut left), ["hard since_used"]);
    assert_eq!(left.control().tables().sad.iter().count(), 0);
}

fn continued(config: &SaConfig, from: Continuation) -> (Engine, Engine) {
    let (mut left, mut right) = gateways(config);
    let id = config.id;
    for engine in [&mut left, &mut right] {
        engine
            .apply(vec![
                Command::DeleteSa(id),
                add_sa(config.clone()),
                Command::Continue { id, from },
            ])
            .unwrap();
        engine.begin(Time::default());
    }
    (left, right)
}

#[test]
fn no_number_is_sent_that_is_not_reserved() {
    let config = sa(LEFT, RIGHT, 0x1000, SaMode::Tunnel);
    let from = Continuation {
        sent: 100,
        received: 0,
        iv_start: 1000,
        reserved: Reserved {
            send: 103,
            receive: u64::MAX,
        },
    };
    let (mut left, _) = continued(&config, from);
    let packet = inside(Family::V4, 100);
    for number in 101u64..=103 {
        let (_, train) = send(&mut left, &packet);
        assert_eq!(train.packet()[4..8], (number as u32).to_be_bytes());
        // The IV goes on where an earlier run was.
        assert_eq!(train.packet()[8..16], (1000 + number).to_be_bytes());
    }
    assert_eq!(refuse(&mut left, &packet), DropReason::UnreservedOut);
    assert_eq!(told(&mut left), ["more"]);
    let tables = left.control().tables();
    let sa = tables.sad.find(&config.id).unwrap();
    sa.runtime.reserve_sent(104);
    let (_, train) = send(&mut left, &packet);
    assert_eq!(train.packet()[4..8], 104u32.to_be_bytes());
}

#[test]
fn no_number_is_accepted_that_is_not_reserved() {
    let config = sa(LEFT, RIGHT, 0x1000, SaMode::Tunnel);
    let from = Continuation {
        sent: 0,
        received: 3,
        iv_start: 0,
        reserved: Reserved {
            send: u64::from(u32::MAX),
            receive: 7,
        },
    };
    let (mut left, mut right) = continued(&config, from);
    for number in 1..=9 {
        let packet = sealed(&mut left);
        match number {
            1..=3 => assert_eq!(reject(&mut right, packet), DropReason::Replay),
            4..=7 => drop(deliver(&mut right, packet)),
            _ => assert_eq!(reject(&mut right, packet), DropReason::UnreservedIn),
        }
        let expected: &[&str] = match number {
            6 | 8 | 9 => &["more"],
            _ => &[],
        };
        assert_eq!(told(&mut right), expected, "{number}");
    }
    let tables = right.control().tables();
    let sa = tables.sad.find(&config.id).unwrap();
    assert_eq!(sa.runtime.progress().wanted, 9);
    assert_eq!(sa.runtime.reserve_received(20), 20);
    let packet = sealed(&mut left);
    deliver(&mut right, packet);
}
