use super::*;
use crate::sad::{
    Continuation, Lifetime, Lifetimes, Limit, Reserved, SaConfig, SaMode, SequenceRules, Spi,
};
use crate::spd::{Action, Direction, PolicyConfig};
use sealway_crypto::{Encryption, SecretKey, Suite};
use sealway_wire::Family;

fn config(spi: u32) -> SaConfig {
    let suite = Suite::new(Encryption::AesGcm16, None, 20).unwrap();
    SaConfig {
        id: SaId {
            destination: "192.0.2.2".parse().unwrap(),
            protocol: crate::sad::Protocol::Esp,
            spi: Spi::new(spi).unwrap(),
        },
        source: "192.0.2.1".parse().unwrap(),
        mode: SaMode::Tunnel,
        suite,
        encryption_key: SecretKey::new(vec![0xab; 20]),
        authentication_key: SecretKey::new(vec![]),
        sequence: SequenceRules::default(),
        encapsulation: None,
        reqid: 0,
        selector: None,
        dont_fragment: crate::sad::DontFragmentRule::Copy,
        before_nat: None,
        lifetimes: Lifetimes::default(),
    }
}

fn control() -> Control {
    Control::new(DefaultAction::Discard, 1500)
}

#[test]
fn a_transaction_with_one_bad_command_changes_nothing() {
    let mut control = control();
    let policy = PolicyConfig {
        direction: Direction::Out,
        selector: crate::selector::Selector::any(Family::V4),
        priority: 0,
        action: Action::Bypass,
    };
    let commands = vec![
        Command::AddPolicy(policy),
        Command::AddSa(Box::new(config(0x1000))),
        Command::AddSa(Box::new(config(0x1000))),
    ];
    let refused = control.apply(commands).unwrap_err();
    assert_eq!(refused.index, 2);
    assert!(refused.to_string().contains("exists already"), "{refused}");
    assert_eq!(control.tables().sad.iter().count(), 0);
    assert_eq!(control.tables().spd.iter().count(), 0);
}

#[test]
fn a_failed_deletion_leaves_its_sa_alive() {
    let mut control = control();
    control
        .apply(vec![Command::AddSa(Box::new(config(0x1000)))])
        .unwrap();
    let missing = config(0x2000).id;
    let commands = vec![
        Command::DeleteSa(config(0x1000).id),
        Command::DeleteSa(missing),
    ];
    assert!(control.apply(commands).is_err());
    let tables = control.tables();
    assert!(
        !tables
            .sad
            .find(&config(0x1000).id)
            .unwrap()
            .runtime
            .is_dead()
    );
    control
        .apply(vec![Command::DeleteSa(config(0x1000).id)])
        .unwrap();
    assert!(
        tables
            .sad
            .find(&config(0x1000).id)
            .unwrap()
            .runtime
            .is_dead()
    );
    assert!(control.tables().sad.find(&config(0x1000).id).is_none());
}

#[test]
fn what_cannot_be_is_refused_in_a_sentence() {
    let refuse = |change: fn(&mut SaConfig)| {
        let mut bad = config(0x1000);
        change(&mut bad);
        control()
            .apply(vec![Command::AddSa(Box::new(bad))])
            .unwrap_err()
            .to_string()
    };
    let no_window = refuse(|sa| {
        sa.sequence.form = sealway_crypto::Sequence::Extended;
        sa.sequence.window = None;
    });
    assert!(no_window.starts_with("extended sequence numbers need a replay window"));
    let families = refuse(|sa| sa.source = "::1".parse().unwrap());
    assert_eq!(
        families,
        "source ::1 and destination 192.0.2.2 are of different families"
    );
    let key = refuse(|sa| sa.encryption_key = SecretKey::new(vec![1; 16]));
    assert!(key.contains("20 octets") && key.contains("16"), "{key}");
    assert_eq!(
        Spi::new(255).unwrap_err().to_string(),
        "SPI 0xff is below 256, which RFC 4303 reserves: choose 0x100 or above"
    );
    let full = refuse(|sa| sa.sequence.start = u64::from(u32::MAX));
    assert!(full.contains("leaves none to send"));
}

#[test]
fn no_key_is_ever_printed() {
    let shown = format!("{:?}", config(0x1000));
    assert!(
        !shown.contains("171") && !shown.to_lowercase().contains("abab"),
        "{shown}"
    );
}

#[test]
fn an_spi_that_was_given_is_nobody_elses() {
    let mut control = control();
    let sas = (0x1000..0x1010)
        .map(|spi| Command::AddSa(Box::new(config(spi))))
        .collect();
    control.apply(sas).unwrap();
    let destination = "192.0.2.2".parse().unwrap();
    let protocol = crate::sad::Protocol::Esp;
    let get = |control: &mut Control| {
        let spi = control.get_spi(destination, protocol, &(0x1000..=0x1012), 0x1008);
        spi.map(|spi| spi.value())
    };
    assert_eq!(get(&mut control), Some(0x1010));
    assert_eq!(get(&mut control), Some(0x1011));
    assert_eq!(get(&mut control), Some(0x1012));
    assert_eq!(get(&mut control), None);
    control.apply(vec![Command::FlushSas(None)]).unwrap();
    assert_eq!(get(&mut control), Some(0x1008));
    assert_eq!(
        control
            .get_spi(destination, protocol, &(0..=0x100), 7)
            .unwrap()
            .value(),
        0x100
    );
}

#[test]
fn no_more_than_1024_spis_wait_for_their_sas() {
    let mut control = control();
    let destination = "192.0.2.2".parse().unwrap();
    let get = |control: &mut Control| {
        let protocol = crate::sad::Protocol::Esp;
        control.get_spi(destination, protocol, &(0x1000..=0x2000), 0x1000)
    };
    for _ in 0..1024 {
        assert!(get(&mut control).is_some());
    }
    assert!(get(&mut control).is_none());
    control
        .apply(vec![Command::AddSa(Box::new(config(0x1000)))])
        .unwrap();
    assert!(get(&mut control).is_some(), "one has its SA");
    assert!(get(&mut control).is_none());
}

#[test]
fn an_spi_that_was_given_is_free_again_after_half_a_minute_or_with_its_sa() {
    let mut control = control();
    let destination = "192.0.2.2".parse().unwrap();
    let get = |control: &mut Control| {
        let protocol = crate::sad::Protocol::Esp;
        let spi = control.get_spi(destination, protocol, &(0x1000..=0x1000), 0);
        spi.map(|spi| spi.value())
    };
    control.begin(at(100));
    assert_eq!(get(&mut control), Some(0x1000));
    control.begin(at(129));
    assert_eq!(get(&mut control), None);
    control.begin(at(130));
    assert_eq!(get(&mut control), Some(0x1000));
    control
        .apply(vec![Command::AddSa(Box::new(config(0x1000)))])
        .unwrap();
    assert_eq!(get(&mut control), None);
    control.apply(vec![Command::FlushSas(None)]).unwrap();
    assert_eq!(get(&mut control), Some(0x1000));
}

fn at(second: u64) -> Time {
    Time::since_start(std::time::Duration::from_secs(second))
}

fn lasting(spi: u32, seconds: u64) -> Command {
    let mut config = config(spi);
    config.lifetimes.hard.since_added = Some(std::time::Duration::from_secs(seconds));
    Command::AddSa(Box::new(config))
}

#[test]
fn an_sa_that_nobody_uses_ends_in_its_time_and_goes_on_where_it_was() {
    let mut control = control();
    control.begin(at(100));
    control.apply(vec![lasting(0x1000, 10)]).unwrap();
    assert!(control.keeps_time());
    control.begin(at(109));
    assert!(control.poll_event().is_none());
    let sa = Arc::clone(control.tables().sad.find(&config(0x1000).id).unwrap());
    assert_eq!(sa.runtime.outgoing.take(5), Some(1));
    control.begin(at(110));
    let event = control.poll_event().unwrap();
    assert!(
        matches!(
            &event,
            Event::HardLimit {
                limit: Limit::SinceAdded,
                ..
            }
        ),
        "{event:?}"
    );
    assert!(control.poll_event().is_none() && !control.keeps_time());
    assert!(sa.runtime.is_dead());
    assert_eq!(control.tables().sad.iter().count(), 0);
    control.apply(vec![lasting(0x1000, 10)]).unwrap();
    let again = Arc::clone(control.tables().sad.find(&config(0x1000).id).unwrap());
    assert_eq!(again.runtime.next_sequence(), 6);
}

#[test]
fn the_keys_of_an_sa_that_was_removed_are_let_go_when_no_batch_holds_it() {
    let mut control = control();
    control.apply(vec![lasting(0x1000, 1000)]).unwrap();
    let id = config(0x1000).id;
    let batch = Arc::clone(control.tables().sad.find(&id).unwrap());
    assert_eq!(batch.runtime.outgoing.take(5), Some(1));
    control.apply(vec![Command::DeleteSa(id)]).unwrap();
    control.begin(at(101));
    assert_eq!(batch.runtime.outgoing.take(5), Some(6));
    let gone = Arc::downgrade(&batch);
    drop(batch);
    control.begin(at(102));
    assert!(gone.upgrade().is_none());
    control.apply(vec![lasting(0x1000, 1000)]).unwrap();
    let again = control
        .tables()
        .sad
        .find(&id)
        .unwrap()
        .runtime
        .next_sequence();
    assert_eq!(again, 11);
}

#[test]
fn a_lifetime_of_nothing_is_refused() {
    let mut bad = config(0x1000);
    bad.lifetimes.soft = Lifetime {
        packets: Some(0),
        ..Lifetime::default()
    };
    let refused = control().apply(vec![Command::AddSa(Box::new(bad))]);
    assert!(
        refused
            .unwrap_err()
            .to_string()
            .starts_with("a lifetime of 0")
    );
}

#[test]
fn an_sa_is_continued_where_it_is_added_and_nowhere_else() {
    let from = Continuation {
        sent: 700,
        received: 900,
        iv_start: 5,
        reserved: Reserved {
            send: 1000,
            receive: 1200,
        },
    };
    let id = config(0x1000).id;
    let mut control = control();
    let continued = Command::Continue { id, from };
    control
        .apply(vec![
            Command::AddSa(Box::new(config(0x1000))),
            continued.clone(),
        ])
        .unwrap();
    let sa = Arc::clone(control.tables().sad.find(&id).unwrap());
    let progress = sa.runtime.progress();
    assert_eq!((progress.next, progress.top), (701, 900));
    assert_eq!(progress.reserved, from.reserved);
    assert_eq!(sa.runtime.iv_start(), Some(5));
    assert!(sa.runtime.is_kept());
    let refused = control.apply(vec![continued]).unwrap_err();
    assert!(refused.to_string().contains("is not new"), "{refused}");
}

#[test]
fn a_replacement_keeps_what_is_the_same_and_is_whole_or_nothing() {
    let mut control = control();
    let policy = |priority, action| {
        Command::AddPolicy(PolicyConfig {
            direction: Direction::In,
            selector: crate::selector::Selector::any(Family::V4),
            priority,
            action,
        })
    };
    let sa = |spi| Command::AddSa(Box::new(config(spi)));
    let first = vec![
        sa(0x1000),
        sa(0x1001),
        policy(1, Action::Bypass),
        policy(2, Action::Discard),
    ];
    control.replace(first.clone()).unwrap();
    let before = control.tables();
    let nothing = control.replace(first).unwrap();
    let after = control.tables();
    assert_eq!((nothing.sas_kept, nothing.policies_kept), (2, 2));
    assert_eq!(before.spd.generation(), after.spd.generation());
    assert_eq!(before.sad.generation(), after.sad.generation());

    // An SA gone, one new, one kept; a policy before another of its priority.
    let second = vec![
        sa(0x1001),
        sa(0x1002),
        Command::AddPolicy(PolicyConfig {
            direction: Direction::In,
            selector: crate::selector::Selector::any(Family::V6),
            priority: 2,
            action: Action::Discard,
        }),
        policy(2, Action::Discard),
        policy(1, Action::Discard),
    ];
    let replaced = control.replace(second.clone()).unwrap();
    let expected = Replaced {
        sas_added: 1,
        sas_removed: 1,
        sas_kept: 1,
        policies_added: 2,
        policies_removed: 1,
        policies_kept: 1,
    };
    assert_eq!(replaced, expected);
    let tables = control.tables();
    let spis: Vec<_> = tables
        .sad
        .iter()
        .map(|sa| sa.config.id.spi.value())
        .collect();
    assert_eq!(spis, [0x1001, 0x1002]);
    assert!(
        before
            .sad
            .find(&config(0x1000).id)
            .unwrap()
            .runtime
            .is_dead()
    );
    assert!(Arc::ptr_eq(
        before.sad.find(&config(0x1001).id).unwrap(),
        tables.sad.find(&config(0x1001).id).unwrap()
    ));
    assert_ne!(before.spd.generation(), tables.spd.generation());
    let order: Vec<_> = tables
        .spd
        .iter()
        .map(|p| (p.config.priority, p.id.0))
        .collect();
    assert_eq!(
        order
            .iter()
            .map(|(priority, _)| *priority)
            .collect::<Vec<_>>(),
        [1, 2, 2]
    );
    // The kept one, older by its number, is asked behind the one that now stands before it.
    assert!(order[1].1 > order[2].1, "{order:?}");

    let mut bad = second;
    bad.push(sa(0x1002));
    assert_eq!(control.replace(bad).unwrap_err().index, 5);
    assert!(Arc::ptr_eq(&tables, &control.tables()));
}

proptest::proptest! {
    /// The naive twin: empty databases to which the same commands are applied.
    #[test]
    fn what_a_replacement_makes_is_what_the_commands_make_of_nothing(
        targets in proptest::collection::vec(
            (
                proptest::collection::vec((0..6u32, 0..2u32), 0..8),
                proptest::collection::vec((0..3usize, 0..4u32, 0..3u8, 0..2u8), 0..8),
            ),
            1..6,
        )
    ) {
        let mut replaced = control();
        for (sas, policies) in targets {
            let commands = target(&sas, &policies);
            let before = replaced.tables();
            replaced.replace(commands.clone()).unwrap();
            let after = replaced.tables();
            let mut fresh = control();
            fresh.apply(commands).unwrap();
            let twin = fresh.tables();
            let sas = |tables: &Tables| {
                tables.sad.iter().map(|sa| sa.config.clone()).collect::<Vec<_>>()
            };
            proptest::prop_assert_eq!(sas(&after), sas(&twin));
            let policies = |tables: &Tables| {
                tables.spd.iter().map(|policy| policy.config.clone()).collect::<Vec<_>>()
            };
            proptest::prop_assert_eq!(policies(&after), policies(&twin));
            for sa in after.sad.iter() {
                let was = before.sad.find(&sa.config.id);
                let is_same = was.is_some_and(|was| was.config == sa.config);
                proptest::prop_assert_eq!(is_same, was.is_some_and(|was| Arc::ptr_eq(was, sa)));
            }
        }
    }
}

/// SAs by SPI and request identifier, policies by direction, priority, selector and action; what
/// would be there twice is left out.
fn target(sas: &[(u32, u32)], policies: &[(usize, u32, u8, u8)]) -> Vec<Command> {
    let mut seen = std::collections::HashSet::new();
    let sas = sas
        .iter()
        .filter(|(spi, _)| seen.insert(*spi))
        .map(|(spi, reqid)| {
            Command::AddSa(Box::new(SaConfig {
                reqid: *reqid,
                ..config(0x1000 + spi)
            }))
        });
    let mut seen = std::collections::HashSet::new();
    let policies = policies
        .iter()
        .filter(|(direction, priority, length, _)| seen.insert((*direction, *priority, *length)))
        .map(|(direction, priority, length, action)| {
            use crate::selector::{AddressRange, Selector, Upper};
            let range = AddressRange::prefix("10.0.0.0".parse().unwrap(), *length).unwrap();
            Command::AddPolicy(PolicyConfig {
                direction: Direction::ALL[*direction],
                selector: Selector::new(range, range, Upper::Any).unwrap(),
                priority: *priority,
                action: if *action == 0 {
                    Action::Bypass
                } else {
                    Action::Discard
                },
            })
        });
    sas.chain(policies).collect()
}
