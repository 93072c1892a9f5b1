//! The classifier beside its naive twin: a list in order, asked one after the other.

#[cfg(not(loom))]
mod bounds;
#[cfg(loom)]
mod model;
#[cfg(not(loom))]
mod threads;

use std::collections::BTreeMap;

use proptest::strategy::{Just, Strategy};
use proptest::test_runner::TestCaseError;
use proptest::{prop_assert, prop_assert_eq, prop_oneof, proptest};

use crate::{
    Address, Config, Found, Hit, Judgement, Key, Order, Ports, Range, Reader, Rule, RuleId, Writer,
};

/// The twin.
#[derive(Clone, Default)]
struct Twin<A> {
    rules: BTreeMap<Order, (Rule<A>, u32, RuleId)>,
}

impl<A: Address> Twin<A> {
    fn new() -> Self {
        Twin {
            rules: BTreeMap::new(),
        }
    }

    fn find(&self, key: &Key<A>) -> Found {
        for (order, (rule, value, _)) in &self.rules {
            let hit = Hit {
                order: *order,
                value: *value,
            };
            match rule.judge(key) {
                Judgement::Matches => return Found::Rule(hit),
                Judgement::MayMatch => return Found::PortsNeeded(hit),
                Judgement::Misses => {}
            }
        }
        Found::None
    }
}

fn config() -> Config {
    Config {
        rules: 20_000,
        limbo: 20_000,
        readers: 4,
        ..Config::default()
    }
}

/// Numbers of a family whose rules nest and collide: a few sites, a few hosts in each.
trait World: Address {
    fn make(site: u8, net: u8, host: u8) -> Self;
    const LENGTHS: [u8; 8];
}

impl World for u32 {
    fn make(site: u8, net: u8, host: u8) -> Self {
        u32::from_be_bytes([10 + site % 2, site, net, host])
    }
    const LENGTHS: [u8; 8] = [0, 8, 13, 16, 22, 24, 30, 32];
}

impl World for u128 {
    fn make(site: u8, net: u8, host: u8) -> Self {
        0x2001_0db8 << 96 | u128::from(site) << 80 | u128::from(net) << 64 | u128::from(host)
    }
    const LENGTHS: [u8; 8] = [0, 32, 45, 48, 60, 64, 126, 128];
}

fn address<A: World>() -> impl Strategy<Value = A> {
    (0..3u8, 0..3u8, 0..6u8).prop_map(|(site, net, host)| A::make(site, net, host))
}

fn addresses<A: World>() -> impl Strategy<Value = Range<A>> {
    prop_oneof![
        6 => (address::<A>(), 0..8usize)
            .prop_map(|(address, at)| Range::prefix(address, A::LENGTHS[at])),
        1 => (address::<A>(), address::<A>())
            .prop_map(|(a, b)| Range::new(a.min(b), a.max(b)).unwrap()),
    ]
}

fn port_range() -> impl Strategy<Value = Range<u16>> {
    prop_oneof![
        Just(Range::ALL_PORTS),
        (0..12u16).prop_map(|port| Range::one(port * 100)),
        (0..1200u16, 0..1200u16).prop_map(|(a, b)| Range::new(a.min(b), a.max(b)).unwrap()),
    ]
}

fn rule<A: World>() -> impl Strategy<Value = Rule<A>> {
    let ports = proptest::option::of([port_range(), port_range()]);
    let protocol = proptest::option::of(prop_oneof![Just(6u8), Just(17)]);
    (addresses(), addresses(), protocol, ports).prop_map(
        |(source, destination, protocol, ports)| Rule {
            source,
            destination,
            protocol,
            ports,
        },
    )
}

/// Many rules that no table tells apart.
fn alike<A: World>() -> impl Strategy<Value = Rule<A>> {
    (0..3u8, port_range(), port_range()).prop_map(|(host, first, second)| Rule {
        source: Range::one(A::make(0, 0, host)),
        destination: Range::one(A::make(1, 1, 1)),
        protocol: Some(17),
        ports: Some([first, second]),
    })
}

fn any_rule<A: World>() -> impl Strategy<Value = Rule<A>> {
    prop_oneof![2 => rule(), 1 => alike()]
}

fn key<A: World>() -> impl Strategy<Value = Key<A>> {
    let word = prop_oneof![0..1300u16, (0..12u16).prop_map(|port| port * 100)];
    let ports = prop_oneof![
        4 => [word.clone(), word].prop_map(Ports::Known),
        1 => Just(Ports::Absent),
        1 => Just(Ports::Hidden),
        1 => Just(Ports::HiddenWithProtocol),
    ];
    let protocol = prop_oneof![Just(6u8), Just(17), Just(44)];
    (address(), address(), protocol, ports).prop_map(|(source, destination, protocol, ports)| Key {
        source,
        destination,
        protocol,
        ports,
    })
}

/// Something done to the rules.
#[derive(Clone, Debug)]
enum Step<A> {
    Insert(Rule<A>, u32),
    Remove(usize),
    /// Out and in again under the same order, in one change.
    Replace(usize, Rule<A>),
    Commit,
    Abandon,
}

fn step<A: World>() -> impl Strategy<Value = Step<A>> {
    prop_oneof![
        10 => (any_rule(), 0..6u32).prop_map(|(rule, priority)| Step::Insert(rule, priority)),
        4 => (0..1000usize).prop_map(Step::Remove),
        1 => (0..1000usize, any_rule()).prop_map(|(at, rule)| Step::Replace(at, rule)),
        3 => Just(Step::Commit),
        1 => Just(Step::Abandon),
    ]
}

/// Each reader has the twin of the version that it began with.
fn check<A: World>(
    reader: &mut Reader<A>,
    twin: &Twin<A>,
    keys: &[Key<A>],
) -> Result<(), TestCaseError> {
    let view = reader.pin();
    let mut batch = vec![Found::None; keys.len()];
    view.find_batch(keys, &mut batch);
    for (key, batched) in keys.iter().zip(batch) {
        let expected = twin.find(key);
        prop_assert_eq!(view.find(key), expected, "{:?}", key);
        prop_assert_eq!(batched, expected, "in a batch: {:?}", key);
    }
    prop_assert_eq!(view.is_empty(), twin.rules.is_empty());
    Ok(())
}

fn run<A: World>(steps: Vec<Step<A>>, keys: &[Key<A>]) -> Result<(), TestCaseError> {
    let mut writer = Writer::<A>::new(config());
    let mut reader = writer.reader().unwrap();
    let mut twin = Twin::new();
    let mut age = 0;
    let mut steps = steps.into_iter().peekable();
    while steps.peek().is_some() {
        let before = twin.clone();
        let mut change = writer.change();
        let mut commits = false;
        for step in steps.by_ref() {
            let pick = |twin: &Twin<A>, at: usize| {
                let count = twin.rules.len().max(1);
                twin.rules
                    .iter()
                    .nth(at % count)
                    .map(|(order, rule)| (*order, *rule))
            };
            match step {
                Step::Insert(rule, priority) => {
                    age += 1;
                    let order = Order::new(priority, age);
                    let id = change.insert(&rule, order, age).unwrap();
                    twin.rules.insert(order, (rule, age, id));
                }
                Step::Remove(at) => {
                    if let Some((order, (_, _, id))) = pick(&twin, at) {
                        prop_assert!(change.remove(id).unwrap());
                        prop_assert!(!change.remove(id).unwrap());
                        twin.rules.remove(&order);
                    }
                }
                Step::Replace(at, rule) => {
                    if let Some((order, (_, _, id))) = pick(&twin, at) {
                        age += 1;
                        let new = change.insert(&rule, order, age).unwrap();
                        prop_assert!(change.remove(id).unwrap());
                        twin.rules.insert(order, (rule, age, new));
                    }
                }
                Step::Commit => {
                    commits = true;
                    break;
                }
                Step::Abandon => break,
            }
        }
        check(&mut reader, &before, keys)?;
        if commits {
            change.commit().unwrap();
        } else {
            drop(change);
            twin = before;
        }
        check(&mut reader, &twin, keys)?;
        prop_assert_eq!(writer.len() as usize, twin.rules.len());
    }
    for (order, (rule, value, id)) in &twin.rules {
        prop_assert_eq!(writer.get(*id), Some((*rule, *order, *value)));
    }
    let mut change = writer.change();
    for (_, _, id) in twin.rules.values() {
        prop_assert!(change.remove(*id).unwrap());
    }
    change.commit().unwrap();
    check(&mut reader, &Twin::new(), keys)?;
    drop(reader);
    // What was dead is unlinked, what was unlinked is free, and tables without rules are gone.
    writer.change().commit().unwrap();
    for _ in 0..4 {
        writer.reclaim();
    }
    let stats = writer.stats();
    prop_assert_eq!(
        (stats.limbo, stats.tables, stats.shadow_tables, stats.piles),
        (0, 0, 0, 0)
    );
    Ok(())
}

proptest! {
    #[test]
    fn v4_answers_are_those_of_a_list_in_order(
        steps in proptest::collection::vec(step::<u32>(), 1..400),
        keys in proptest::collection::vec(key::<u32>(), 40),
    ) {
        run(steps, &keys)?;
    }

    #[test]
    fn v6_answers_are_those_of_a_list_in_order(
        steps in proptest::collection::vec(step::<u128>(), 1..200),
        keys in proptest::collection::vec(key::<u128>(), 40),
    ) {
        run(steps, &keys)?;
    }
}
