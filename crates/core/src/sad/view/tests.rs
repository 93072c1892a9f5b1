#![allow(clippy::unwrap_used)]

use std::net::Ipv4Addr;

use proptest::prelude::*;
use sealway_crypto::{SecretKey, Suite};

use super::*;
use crate::sad::{DontFragmentRule, Lifetimes, SaConfig, SequenceRules, Serial};
use crate::selector::{AddressRange, Upper};
use crate::time::Time;

fn v4(last: u8) -> IpAddr {
    Ipv4Addr::new(10, 0, 0, last).into()
}

fn template() -> Template {
    Template {
        protocol: Protocol::Esp,
        mode: Mode::Tunnel {
            source: v4(1),
            destination: v4(2),
        },
        level: Level::Require,
        reqid: None,
    }
}

/// An SA between the template's ends; its own traffic goes to the addresses that share `length`
/// bits with `host`, or anywhere.
fn sa(spi: u32, own: Option<(u8, u8)>) -> Arc<Sa> {
    let suite: Suite = "null+hmac-sha1-96".parse().unwrap();
    let selector = own.map(|(host, length)| {
        let destination = AddressRange::prefix(v4(host), length).unwrap();
        Selector::new(
            AddressRange::any(destination.family()),
            destination,
            Upper::Any,
        )
        .unwrap()
    });
    let config = SaConfig {
        id: SaId {
            destination: v4(2),
            protocol: Protocol::Esp,
            spi: Spi::new(256 + spi).unwrap(),
        },
        source: v4(1),
        mode: SaMode::Tunnel,
        encryption_key: SecretKey::new(Vec::new()),
        authentication_key: SecretKey::new(vec![7; suite.authentication_key_octets()]),
        suite,
        sequence: SequenceRules::default(),
        encapsulation: None,
        before_nat: None,
        reqid: 0,
        selector,
        dont_fragment: DontFragmentRule::Copy,
        lifetimes: Lifetimes::default(),
    };
    Arc::new(Sa::new(Serial(spi.into()), config, None, Time::default()).unwrap())
}

proptest! {
    /// The naive twin: all SAs in order of insertion, the last that carries the flow.
    #[test]
    fn the_newest_sa_that_carries_the_flow_is_chosen(
        steps in proptest::collection::vec(
            (0u32..20, proptest::option::of((0u8..8, 29u8..=32)), any::<bool>(), 0u8..8), 0..60)
    ) {
        let mut sad = View::default();
        let mut twin: Vec<Arc<Sa>> = Vec::new();
        for (spi, own, remove, host) in steps {
            let sa = sa(spi, own);
            if remove {
                let removed = sad.remove(&sa.config.id).is_ok();
                let before = twin.len();
                twin.retain(|other| other.config.id != sa.config.id);
                prop_assert_eq!(removed, twin.len() < before);
            } else if sad.insert(Arc::clone(&sa)).is_ok() {
                twin.push(sa);
            }
            let key = Key::new(v4(99), v4(host), 17, Some([1, 2])).unwrap();
            let chosen = sad.choose(&template(), (v4(1), v4(2)), &key);
            let expected = twin.iter().rev().find(|sa| carries(sa, &key));
            prop_assert_eq!(
                chosen.map(|(sa, ..)| sa.serial),
                expected.map(|sa| sa.serial)
            );
        }
    }

    #[test]
    fn an_sa_that_appears_bumps_every_sibling(
        owns in proptest::collection::vec(proptest::option::of((0u8..8, 29u8..=32)), 1..20)
    ) {
        let mut sad = View::default();
        for (spi, own) in (0..).zip(owns) {
            let before: Vec<u32> = sad.entries.iter().map(|entry| entry.generation).collect();
            sad.insert(sa(spi, own)).unwrap();
            for (entry, before) in sad.entries.iter().zip(before) {
                prop_assert_eq!(entry.generation, before + 1);
            }
        }
    }
}
