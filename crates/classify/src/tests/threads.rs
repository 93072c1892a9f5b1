//! Readers beside the writer, with real threads.

use std::sync::atomic::{AtomicBool, Ordering};

use super::config;
use crate::{Config, Found, Key, Limit, Order, Ports, Range, Rule, Writer};

fn key(address: u32, port: u16) -> Key<u32> {
    Key {
        source: address,
        destination: 7,
        protocol: 17,
        ports: Ports::Known([port, port]),
    }
}

fn host(address: u32) -> Rule<u32> {
    Rule {
        source: Range::one(address),
        ..Rule::any()
    }
}

/// Each version has exactly one of two rules for each host, and all hosts change at once.
#[test]
fn a_reader_never_sees_half_a_change_nor_a_hole() {
    const HOSTS: u32 = 300;
    let mut writer = Writer::<u32>::new(config());
    let mut change = writer.change();
    let insert = |change: &mut crate::Change<'_, u32>, turn: u32| -> Vec<_> {
        (0..HOSTS)
            .map(|at| {
                change
                    .insert(&host(at), Order::new(turn % 5, turn * HOSTS + at), turn)
                    .unwrap()
            })
            .collect()
    };
    let mut ids = insert(&mut change, 0);
    change.commit().unwrap();
    let ends = AtomicBool::new(false);
    let readers = [writer.reader().unwrap(), writer.reader().unwrap()];
    std::thread::scope(|scope| {
        for mut reader in readers {
            let ends = &ends;
            scope.spawn(move || {
                while !ends.load(Ordering::Relaxed) {
                    let view = reader.pin();
                    let turns: Vec<_> = (0..HOSTS).map(|at| view.find(&key(at, 1))).collect();
                    let value = |found: &Found| match found {
                        Found::Rule(hit) => hit.value,
                        other => panic!("a hole: {other:?}"),
                    };
                    let first = value(&turns[0]);
                    assert!(
                        turns.iter().all(|found| value(found) == first),
                        "half a change"
                    );
                }
            });
        }
        for turn in 1..200 {
            loop {
                let mut change = writer.change();
                let new = insert(&mut change, turn);
                let mut gone = ids.iter().map(|id| change.remove(*id));
                match gone.find_map(Result::err) {
                    // Dropped, the change never was: the readers are slow, and it is tried again.
                    Some(limit) => assert!(limit.is_passing()),
                    None => {
                        drop(gone);
                        change.commit().unwrap();
                        ids = new;
                        break;
                    }
                }
                std::thread::yield_now();
            }
        }
        ends.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_reader_that_stays_fills_limbo_and_the_writer_says_so() {
    let mut writer = Writer::<u32>::new(Config {
        rules: 64,
        limbo: 64,
        readers: 1,
        ..Config::default()
    });
    let mut reader = writer.reader().unwrap();
    assert!(writer.reader().is_none(), "one was allowed");
    let view = reader.pin();
    let mut age = 0;
    let mut turn = |writer: &mut Writer<u32>| -> Result<(), Limit> {
        let mut change = writer.change();
        age += 1;
        let id = change.insert(&host(age), Order::new(0, age), age)?;
        change.commit()?;
        let mut change = writer.change();
        change.remove(id)?;
        change.commit().map(drop)
    };
    let limit = (0..1000).find_map(|_| turn(&mut writer).err());
    assert_eq!(limit, Some(Limit::Limbo(64)));
    assert_eq!(writer.len(), 1, "the one that could not be removed");
    drop(view);
    assert_eq!(turn(&mut writer), Ok(()));
}
