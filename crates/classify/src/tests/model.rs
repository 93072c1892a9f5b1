//! Publication and reclamation, in every order that loom can think of:
//! `RUSTFLAGS="--cfg loom" cargo test -p sealway-classify --release model`.

use loom::thread;

use crate::{Config, Found, Key, Order, Ports, Range, Rule, Writer};

fn model(act: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.max_branches = 50_000;
    builder.check(act);
}

fn writer() -> Writer<u32> {
    Writer::new(Config {
        rules: 8,
        limbo: 8,
        readers: 1,
        ..Config::default()
    })
}

fn key(source: u32) -> Key<u32> {
    Key {
        source,
        destination: 0,
        protocol: 6,
        ports: Ports::Absent,
    }
}

fn host(address: u32) -> Rule<u32> {
    Rule {
        source: Range::one(address),
        ..Rule::any()
    }
}

fn insert(writer: &mut Writer<u32>, address: u32, age: u32) -> crate::RuleId {
    let mut change = writer.change();
    let id = change
        .insert(&host(address), Order::new(0, age), age)
        .unwrap();
    change.commit().unwrap();
    id
}

/// Two rules for one host, the second behind the first. The reader knows that version already, so
/// that only its announcement stands between it and the writer.
fn chain() -> (Writer<u32>, [crate::RuleId; 2], crate::Reader<u32>) {
    let mut writer = writer();
    let ids = [1, 2].map(|age| insert(&mut writer, 1, age));
    let mut reader = writer.reader().unwrap();
    assert_eq!(reader.pin().version(), 2);
    (writer, ids, reader)
}

fn value(found: Found) -> Option<u32> {
    match found {
        Found::Rule(hit) => Some(hit.value),
        Found::PortsNeeded(_) | Found::None => None,
    }
}

#[test]
fn a_version_is_seen_whole_in_the_model() {
    model(|| {
        let (mut writer, _, mut reader) = chain();
        let other = thread::spawn(move || {
            let view = reader.pin();
            assert_eq!(value(view.find(&key(1))), Some(1));
            let expected = (view.version() > 2).then_some(3);
            assert_eq!(value(view.find(&key(2))), expected);
        });
        insert(&mut writer, 2, 3);
        other.join().unwrap();
    });
}

#[test]
fn a_record_is_not_used_anew_under_a_reader_in_the_model() {
    model(|| {
        let (mut writer, [id, _], mut reader) = chain();
        let other = thread::spawn(move || {
            let view = reader.pin();
            let expected = if view.version() == 2 { 1 } else { 2 };
            assert_eq!(value(view.find(&key(1))), Some(expected));
        });
        let mut change = writer.change();
        change.remove(id).unwrap();
        change.commit().unwrap();
        // Each change lets go of what readers have passed; one of these is given the record.
        insert(&mut writer, 2, 3);
        insert(&mut writer, 3, 4);
        other.join().unwrap();
    });
}
