//! What an insertion or a removal may cost, and what happens at a bound.

use super::config;
use crate::{Change, Config, Found, Key, Limit, Order, Ports, Range, Rule, Writer};

fn moved(writer: &mut Writer<u32>, act: impl FnOnce(&mut Change<'_, u32>)) -> u64 {
    let before = writer.stats().moved;
    let mut change = writer.change();
    act(&mut change);
    change.commit().unwrap();
    writer.stats().moved - before
}

/// Rules of all kinds, by number.
fn rule(number: u32) -> Rule<u32> {
    let port = (number / 8 * 37 % 60_000) as u16;
    let scattered = number.wrapping_mul(0x9e37_79b1);
    let (source, destination) = match number % 8 {
        0..3 => (Range::one(scattered), Range::one(!scattered)),
        3 => (Range::any(), Range::prefix(scattered, 24)),
        4 => (Range::prefix(scattered, 12), Range::prefix(scattered, 20)),
        5 => (Range::one(1), Range::one(2)),
        6 => (Range::any(), Range::any()),
        _ => (Range::any(), Range::one(scattered)),
    };
    let second = match number % 16 {
        5 if number < 20_000 => Range::new(port, port + 3000).unwrap(),
        _ => Range::one(port),
    };
    Rule {
        source,
        destination,
        protocol: Some(17),
        ports: (number % 8 > 4).then_some([Range::ALL_PORTS, second]),
    }
}

#[test]
fn no_insert_or_delete_moves_more_than_512_entries() {
    let mut writer = Writer::<u32>::new(Config {
        rules: 100_000,
        ..Config::default()
    });
    let mut ids = Vec::new();
    let mut most = 0;
    for number in 0..40_000 {
        most = most.max(moved(&mut writer, |change| {
            ids.push(
                change
                    .insert(&rule(number), Order::new(0, number), number)
                    .unwrap(),
            );
        }));
    }
    assert!(most > 100, "pages were split");
    for id in ids {
        most = most.max(moved(&mut writer, |change| {
            change.remove(id).unwrap();
        }));
    }
    assert!(most <= 512, "{most} were moved at once");
}

/// One multiplication left them in so few buckets that no directory was deep enough.
#[test]
fn the_ports_of_one_pair_spread_over_all_pages() {
    let pair = |port: u16| Rule::<u32> {
        source: Range::one(0x0001_0203),
        destination: Range::one(0x0004_0506),
        protocol: Some(17),
        ports: Some([Range::ALL_PORTS, Range::one(port)]),
    };
    let mut writer = Writer::<u32>::new(Config {
        rules: 60_000,
        ..Config::default()
    });
    let mut change = writer.change();
    for port in 0..60_000 {
        let order = Order::new(0, u32::from(port));
        change.insert(&pair(port), order, 0).unwrap();
    }
    change.commit().unwrap();
    assert_eq!(writer.len(), 60_000);
}

#[test]
fn a_change_that_fails_at_a_bound_leaves_nothing() {
    let mut writer = Writer::<u32>::new(Config {
        rules: 10,
        ..config()
    });
    let mut reader = writer.reader().unwrap();
    let mut change = writer.change();
    for number in 0..10 {
        change
            .insert(&rule(number), Order::new(0, number), number)
            .unwrap();
    }
    let more = change.insert(&Rule::any(), Order::new(0, 10), 10);
    assert_eq!(more, Err(Limit::Rules(10)));
    drop(change);
    assert!(writer.is_empty() && reader.pin().is_empty());
    assert_eq!(reader.pin().version(), 0);
}

#[test]
fn a_pile_at_its_bound_refuses_by_name() {
    let mut writer = Writer::<u32>::new(config());
    let mut change = writer.change();
    let mut insert = |number| change.insert(&Rule::any(), Order::new(number, 0), number);
    let limit = (0..5000).find_map(|number| insert(number).err());
    assert_eq!(limit, Some(Limit::Pile(4096)));
    change.commit().unwrap();
    assert_eq!(writer.len(), 4096);
    let key = Key {
        source: 1,
        destination: 2,
        protocol: 6,
        ports: Ports::Hidden,
    };
    let mut reader = writer.reader().unwrap();
    let Found::Rule(hit) = reader.pin().find(&key) else {
        panic!("all take it")
    };
    assert_eq!(hit.value, 0);
}

#[test]
fn a_view_is_current_until_a_version_is_announced() {
    let mut writer = Writer::<u32>::new(config());
    let mut reader = writer.reader().unwrap();
    let view = reader.pin();
    assert!(view.is_current());
    let mut change = writer.change();
    change.insert(&Rule::any(), Order::new(0, 0), 0).unwrap();
    assert!(view.is_current());
    let version = change.commit_with(|| assert!(!view.is_current())).unwrap();
    assert!(view.is_empty() && !view.is_current());
    drop(view);
    assert_eq!(reader.pin().version(), version);
}
