use super::*;
use crate::sad::Protocol;
use crate::selector::{AddressRange, Selector, Upper};
use crate::spd::{Action, Level, Mode, Template};
use proptest::prelude::*;
use std::net::{IpAddr, Ipv4Addr};

fn v4(last: u8) -> IpAddr {
    Ipv4Addr::new(10, 0, 0, last).into()
}

fn config(direction: Direction, destination: AddressRange, priority: u32) -> PolicyConfig {
    let any = AddressRange::any(destination.family());
    PolicyConfig {
        direction,
        selector: Selector::new(any, destination, Upper::Any).unwrap(),
        priority,
        action: Action::Bypass,
    }
}

fn key(last: u8) -> Key {
    Key::new(v4(1), v4(last), 17, Some([1, 2])).unwrap()
}

#[test]
fn an_imprecise_policy_of_better_priority_beats_an_exact_one() {
    let mut spd = View::default();
    let exact = AddressRange::host(v4(9));
    let broad = AddressRange::prefix(v4(0), 24).unwrap();
    spd.insert(config(Direction::Out, exact, 100)).unwrap();
    let winner = spd.insert(config(Direction::Out, broad, 50)).unwrap();
    assert_eq!(
        spd.find(Direction::Out, &key(9)).policy().unwrap().id,
        winner
    );
}

#[test]
fn among_equal_priorities_the_older_wins() {
    let mut spd = View::default();
    let broad = AddressRange::prefix(v4(0), 24).unwrap();
    let older = spd.insert(config(Direction::Out, broad, 7)).unwrap();
    spd.insert(config(Direction::Out, AddressRange::host(v4(9)), 7))
        .unwrap();
    assert_eq!(
        spd.find(Direction::Out, &key(9)).policy().unwrap().id,
        older
    );
}

#[test]
fn an_in_policy_covers_fwd_unless_a_fwd_policy_says_otherwise() {
    let mut spd = View::default();
    let any = AddressRange::any(sealway_wire::Family::V4);
    let covering = spd.insert(config(Direction::In, any, 7)).unwrap();
    assert_eq!(
        spd.find(Direction::Fwd, &key(9)).policy().unwrap().id,
        covering
    );
    let own = spd.insert(config(Direction::Fwd, any, 7)).unwrap();
    assert_eq!(spd.find(Direction::Fwd, &key(9)).policy().unwrap().id, own);
    assert_eq!(
        spd.find(Direction::In, &key(9)).policy().unwrap().id,
        covering
    );
    assert_eq!(spd.iter().count(), 2);
}

#[test]
fn the_same_policy_twice_and_a_missing_one_are_refused() {
    let mut spd = View::default();
    let entry = config(Direction::In, AddressRange::host(v4(9)), 7);
    let id = spd.insert(entry.clone()).unwrap();
    assert_eq!(spd.insert(entry.clone()), Err(PolicyError::Exists(id)));
    spd.remove(Direction::In, &entry.selector).unwrap();
    assert!(spd.find(Direction::Fwd, &key(9)).policy().is_none());
    assert_eq!(
        spd.remove(Direction::In, &entry.selector).unwrap_err(),
        PolicyError::Missing
    );
}

#[test]
fn use_is_refused_for_an_outbound_tunnel() {
    let mut entry = config(Direction::Out, AddressRange::host(v4(9)), 7);
    entry.action = Action::Protect(vec![Template {
        protocol: Protocol::Esp,
        mode: Mode::Tunnel {
            source: v4(1),
            destination: v4(2),
        },
        level: Level::Use,
        reqid: None,
    }]);
    assert_eq!(entry.check(), Err(PolicyError::UseTunnel));
    entry.direction = Direction::In;
    assert_eq!(entry.check(), Ok(()));
    entry.action = Action::Protect(vec![]);
    assert_eq!(entry.check(), Err(PolicyError::NoTemplate));
}

#[test]
fn a_later_fragment_is_not_decided_by_a_worse_policy_than_its_first_would_be() {
    let mut spd = View::default();
    let any = AddressRange::any(sealway_wire::Family::V4);
    let mut ports = config(Direction::Out, any, 1);
    let words = Upper::Words {
        protocol: 17,
        first: 0..=u16::MAX,
        second: 53..=53,
    };
    ports.selector = Selector::new(any, any, words).unwrap();
    spd.insert(ports).unwrap();
    spd.insert(config(Direction::Out, any, 2)).unwrap();
    let fragment = sealway_wire::Fragment {
        offset: 1480,
        more: true,
        id: 1,
    };
    let mut packet = sealway_wire::build::Packet::new(v4(1), v4(9)).payload(17, &[0; 64]);
    packet[6] = 0x20;
    packet[7] = (fragment.offset / 8) as u8;
    let layout = sealway_wire::Layout::parse(&packet).unwrap();
    let key = Key::of(&layout, &packet);
    assert!(key.is_partial());
    assert!(matches!(spd.find(Direction::Out, &key), Found::PortsNeeded));
    let complete = key.completed(17, Some([1, 54]));
    assert!(spd.find(Direction::Out, &complete).policy().is_some());
}

#[test]
fn every_change_gives_a_new_generation() {
    let mut spd = View::default();
    let entry = config(Direction::In, AddressRange::host(v4(9)), 7);
    let mut seen = vec![spd.generation()];
    spd.insert(entry.clone()).unwrap();
    seen.push(spd.generation());
    spd.remove(Direction::In, &entry.selector).unwrap();
    seen.push(spd.generation());
    spd.flush();
    seen.push(spd.generation());
    seen.dedup();
    assert_eq!(seen.len(), 4);
}

#[test]
fn a_settled_view_knows_the_policies_that_it_took_over() {
    let entries = [9, 10].map(|last| config(Direction::In, AddressRange::host(v4(last)), 7));
    let mut running = View::default();
    let ids = entries.clone().map(|entry| running.insert(entry).unwrap());
    let mut next = running.emptied();
    entries.iter().for_each(|entry| {
        next.insert(entry.clone()).unwrap();
    });
    next.settle(&running);
    for (entry, id) in entries.into_iter().zip(ids) {
        assert_eq!(next.insert(entry.clone()), Err(PolicyError::Exists(id)));
        next.remove(Direction::In, &entry.selector).unwrap();
        next.insert(entry).unwrap();
    }
    assert_eq!(running.iter().count(), 2, "another version is as it was");
}

proptest! {
    /// The naive twin: all policies in order of insertion, the best found by looking at each.
    #[test]
    fn the_view_finds_what_a_linear_search_finds(
        steps in proptest::collection::vec((0u8..3, 0u8..8, 29u8..=32, 0u32..4, 0u8..8), 0..60)
    ) {
        let mut spd = View::default();
        let mut twin: Vec<(PolicyId, PolicyConfig)> = Vec::new();
        for (direction, last, length, priority, probe) in steps {
            let direction = Direction::ALL[usize::from(direction)];
            let range = AddressRange::prefix(v4(last), length).unwrap();
            let entry = config(direction, range, priority);
            if probe == 0 {
                let removed = spd.remove(direction, &entry.selector);
                let at = twin.iter().enumerate()
                    .filter(|(_, (_, c))| c.direction == direction && c.selector == entry.selector)
                    .min_by_key(|(_, (id, c))| (c.priority, *id)).map(|(at, _)| at);
                prop_assert_eq!(removed.is_ok(), at.is_some());
                if let Some(at) = at {
                    prop_assert_eq!(removed.unwrap().id, twin.remove(at).0);
                }
            } else {
                let same = twin.iter().find(|(_, known)| {
                    identity(known) == identity(&entry)
                });
                let refusal = same.map(|(id, _)| PolicyError::Exists(*id));
                let inserted = spd.insert(entry.clone());
                prop_assert_eq!(inserted.clone().err(), refusal);
                twin.extend(inserted.ok().map(|id| (id, entry)));
            }
            let key = key(probe);
            for direction in Direction::ALL {
                let expected = twin.iter()
                    .filter(|(_, c)| c.direction == direction
                        || (direction == Direction::Fwd && c.direction == Direction::In))
                    .filter(|(_, c)| c.selector.matches(&key))
                    .min_by_key(|(id, c)| (c.priority, c.direction != direction, *id));
                prop_assert_eq!(
                    spd.find(direction, &key).policy().map(|p| p.id),
                    expected.map(|(id, _)| *id)
                );
            }
        }
    }
}
