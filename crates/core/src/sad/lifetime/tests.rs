use super::*;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn at(second: u64) -> Time {
    Time::since_start(seconds(second))
}

/// What an SA tells that counts one packet of 100 octets in each of these seconds.
fn told(lifetimes: &Lifetimes, moments: impl IntoIterator<Item = u64>) -> Vec<(u64, Reached)> {
    let usage = Usage::new(lifetimes, at(10));
    let mut told = Vec::new();
    for second in moments {
        let mut tell = |reached| {
            told.push((second, reached));
            true
        };
        if usage.is_due(at(second)) {
            usage.look(lifetimes, at(second), &mut tell);
        }
        if !usage.has_ended() && usage.count(1, 100) {
            usage.look(lifetimes, at(second), &mut tell);
        }
    }
    told
}

#[test]
fn without_limits_nothing_is_told_and_only_the_first_use_is_looked_at() {
    let lifetimes = Lifetimes::default();
    assert!(!lifetimes.is_limited());
    assert_eq!(told(&lifetimes, 10..20), []);
    let usage = Usage::new(&lifetimes, at(10));
    assert!(usage.count(1, 100));
    usage.look(&lifetimes, at(11), |_| false);
    assert_eq!((usage.first(), usage.added()), (Some(at(11)), at(10)));
    assert!(!usage.count(1, 100));
}

#[test]
fn every_kind_of_limit_is_told_once_soft_before_hard() {
    let pair = |soft: Lifetime, hard: Lifetime| Lifetimes { hard, soft };
    let none = Lifetime::default();
    let cases = [
        (
            Limit::Octets,
            pair(
                Lifetime {
                    octets: Some(300),
                    ..none
                },
                Lifetime {
                    octets: Some(401),
                    ..none
                },
            ),
            (12, 14),
        ),
        (
            Limit::Packets,
            pair(
                Lifetime {
                    packets: Some(3),
                    ..none
                },
                Lifetime {
                    packets: Some(5),
                    ..none
                },
            ),
            (12, 14),
        ),
        (
            Limit::SinceAdded,
            pair(
                Lifetime {
                    since_added: Some(seconds(2)),
                    ..none
                },
                Lifetime {
                    since_added: Some(seconds(4)),
                    ..none
                },
            ),
            (12, 14),
        ),
        (
            Limit::SinceUsed,
            pair(
                Lifetime {
                    since_used: Some(seconds(2)),
                    ..none
                },
                Lifetime {
                    since_used: Some(seconds(4)),
                    ..none
                },
            ),
            (12, 14),
        ),
    ];
    for (limit, lifetimes, (soft, hard)) in cases {
        let expected = [(soft, Reached::Soft(limit)), (hard, Reached::Hard(limit))];
        assert_eq!(told(&lifetimes, 10..20), expected);
    }
}

#[test]
fn the_first_use_counts_and_not_the_addition() {
    let lifetimes = Lifetimes {
        hard: Lifetime {
            since_used: Some(seconds(5)),
            ..Lifetime::default()
        },
        ..Lifetimes::default()
    };
    let expected = [(1005, Reached::Hard(Limit::SinceUsed))];
    assert_eq!(told(&lifetimes, [1000, 1001, 1005, 1006]), expected);
}

#[test]
fn what_could_not_be_told_is_told_later() {
    let lifetimes = Lifetimes {
        soft: Lifetime {
            packets: Some(1),
            ..Lifetime::default()
        },
        ..Lifetimes::default()
    };
    let usage = Usage::new(&lifetimes, at(0));
    assert!(usage.count(1, 1));
    usage.look(&lifetimes, at(0), |_| false);
    assert!(usage.count(1, 1));
    usage.look(&lifetimes, at(0), |_| true);
    assert!(!usage.count(1, 1));
}

#[test]
fn an_sa_that_has_ended_stays_so() {
    let lifetimes = Lifetimes {
        hard: Lifetime {
            packets: Some(1),
            ..Lifetime::default()
        },
        ..Lifetimes::default()
    };
    let usage = Usage::new(&lifetimes, at(0));
    assert!(!usage.is_due(at(0)) && usage.count(1, 1));
    usage.look(&lifetimes, at(0), |_| true);
    for _ in 0..3 {
        assert!(usage.is_due(at(0)) && usage.has_ended());
        usage.look(&lifetimes, at(0), |_| panic!("once"));
    }
}
