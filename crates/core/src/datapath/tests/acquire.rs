//! SAs that are missing: who is asked, what waits and for how long.

use std::time::Duration;

use sealway_packet::{Egress, Packet, Train};
use sealway_wire::Family;

use super::harness::*;
use crate::sad::*;
use crate::spd::*;
use crate::*;

fn at(second: u64) -> Time {
    Time::since_start(Duration::from_secs(second))
}

/// A gateway with a policy, a key manager and no SA.
fn gateway(templates: Vec<Template>) -> Engine {
    let action = Action::Protect(templates);
    let commands = vec![
        Command::AddPolicy(policy(Direction::Out, Family::V4, action)),
        Command::SetKeyManager(KeyManager::Attached),
    ];
    engine(&[LEFT, LEFT6], commands)
}

fn require() -> Engine {
    gateway(vec![tunnel(LEFT, RIGHT)])
}

fn output(engine: &mut Engine, packet: &[u8]) -> Verdict {
    engine.output(Packet::new(Train::detached(packet), ()))
}

fn acquires(engine: &mut Engine) -> Vec<Acquire> {
    std::iter::from_fn(|| engine.poll_event())
        .filter_map(|event| match event {
            Event::Acquire(acquire) => Some(acquire),
            _ => None,
        })
        .collect()
}

fn add_the_sa(engine: &mut Engine) {
    let sa = sa(LEFT, RIGHT, 0x1000, SaMode::Tunnel);
    engine.apply(vec![add_sa(sa)]).unwrap();
}

fn resumed(engine: &mut Engine) -> Vec<Verdict> {
    std::iter::from_fn(|| engine.resume()).collect()
}

#[test]
fn packets_wait_for_the_sa_and_leave_in_order() {
    let mut engine = require();
    for octets in [100, 200, 300] {
        let verdict = output(&mut engine, &inside(Family::V4, octets));
        assert!(matches!(verdict, Verdict::Held));
    }
    assert_eq!(engine.stats().held, 3);
    let [acquire] = &acquires(&mut engine)[..] else {
        panic!("one SA is missing, however many packets need it");
    };
    assert_eq!((acquire.source, acquire.destination), (ip(LEFT), ip(RIGHT)));
    assert_eq!(acquire.template, 0);
    engine.begin(at(1));
    assert!(resumed(&mut engine).is_empty(), "nothing has changed");
    add_the_sa(&mut engine);
    engine.begin(at(1));
    let lengths: Vec<_> = resumed(&mut engine)
        .into_iter()
        .map(|verdict| match verdict {
            Verdict::Sent(transmit) => transmit.train().packet().len(),
            other => panic!("not sent: {other:?}"),
        })
        .collect();
    assert!(lengths.is_sorted() && lengths.len() == 3, "{lengths:?}");
    assert_eq!((engine.stats().held, engine.stats().sent), (0, 3));
    assert!(engine.stats().balances());
    let _ = send(&mut engine, &inside(Family::V4, 100));
}

#[test]
fn a_missing_sa_is_asked_for_again_after_waits_that_double() {
    let mut engine = require();
    let mut asked = Vec::new();
    for second in 0..70 {
        engine.begin(at(second));
        let _ = resumed(&mut engine);
        let _ = output(&mut engine, &inside(Family::V4, 100));
        if !acquires(&mut engine).is_empty() {
            asked.push(second);
        }
    }
    assert_eq!(asked, [0, 1, 3, 7, 15, 31, 63]);
}

#[test]
fn what_waits_is_bounded_in_number_and_time() {
    let mut engine = require();
    let packet = inside(Family::V4, 100);
    for _ in 0..DatapathConfig::default().held {
        assert!(matches!(output(&mut engine, &packet), Verdict::Held));
    }
    assert_eq!(refuse(&mut engine, &packet), DropReason::HoldFull);
    engine.begin(at(29));
    assert!(resumed(&mut engine).is_empty());
    engine.begin(at(30));
    let verdicts = resumed(&mut engine);
    assert_eq!(verdicts.len(), DatapathConfig::default().held);
    for verdict in verdicts {
        let expired = matches!(verdict, Verdict::Dropped(DropReason::AcquireExpired));
        assert!(expired, "{verdict:?}");
    }
    assert!(engine.stats().balances() && engine.stats().held == 0);
}

#[test]
fn sas_towards_256_hosts_are_asked_for_and_later_others() {
    let mut engine = gateway(vec![TRANSPORT]);
    let ask = |engine: &mut Engine, hosts: std::ops::Range<u16>| {
        let to = |host: u16| udp(LEFT, &format!("10.2.{}.{}", host >> 8, host & 0xff), 100);
        hosts
            .map(|host| {
                let _ = output(engine, &to(host));
                acquires(engine).len()
            })
            .sum::<usize>()
    };
    assert_eq!(ask(&mut engine, 0..300), 256);
    // What waited is given up, and asks for the last time.
    engine.begin(at(60));
    let _ = resumed(&mut engine);
    let _ = acquires(&mut engine);
    engine.begin(at(120));
    assert_eq!(ask(&mut engine, 1000..1300), 256);
    assert!(engine.stats().balances());
}

#[test]
fn without_a_key_manager_nothing_waits_nor_goes_on_waiting() {
    let mut engine = require();
    let packet = inside(Family::V4, 100);
    assert!(matches!(output(&mut engine, &packet), Verdict::Held));
    let gone = Command::SetKeyManager(KeyManager::Absent);
    engine.apply(vec![gone]).unwrap();
    engine.begin(at(1));
    let verdicts = resumed(&mut engine);
    assert!(matches!(
        verdicts[..],
        [Verdict::Dropped(DropReason::NoSaOut)]
    ));
    assert_eq!(refuse(&mut engine, &packet), DropReason::NoSaOut);
    assert!(engine.stats().balances());
}

#[test]
fn level_use_asks_and_sends_in_the_clear_meanwhile() {
    let template = Template {
        level: Level::Use,
        ..TRANSPORT
    };
    let mut engine = gateway(vec![template]);
    let packet = inside(Family::V4, 100);
    let (egress, _) = send(&mut engine, &packet);
    assert_eq!(egress, Egress::Clear);
    assert_eq!(acquires(&mut engine).len(), 1);
}

#[test]
fn an_sa_that_ends_is_asked_for_like_one_that_never_was() {
    let mut engine = require();
    add_the_sa(&mut engine);
    engine.begin(at(0));
    let packet = inside(Family::V4, 100);
    let _ = send(&mut engine, &packet);
    engine.apply(vec![Command::FlushSas(None)]).unwrap();
    engine.begin(at(1));
    assert!(matches!(output(&mut engine, &packet), Verdict::Held));
    assert_eq!(acquires(&mut engine).len(), 1);
}
