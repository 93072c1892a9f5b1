//! Tests across the suites and providers.

mod contract;
mod differential;
mod naive;
mod published;
mod wycheproof;

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::{Context, Numbers, Provider, SecretKey, Sequence, Suite, providers};

/// Every suite with every provider that has it.
fn pairs() -> impl Iterator<Item = (Suite, &'static dyn Provider)> {
    Suite::all().flat_map(|suite| {
        let able = providers()
            .iter()
            .filter(move |provider| provider.supports(&suite));
        able.map(move |provider| (suite, *provider))
    })
}

/// A context with keys of the right lengths; their octets are all different.
fn any_context(suite: &Suite, provider: &dyn Provider) -> Box<dyn Context> {
    let key: Vec<u8> = (0x80..).take(suite.key_octets()).collect();
    let mac_key: Vec<u8> = (0x20..).take(suite.authentication_key_octets()).collect();
    provider.context(suite, &key, &mac_key).unwrap()
}

/// A text that the suite's cipher takes.
fn any_text(suite: &Suite) -> Vec<u8> {
    (0..).take(3 * suite.block().max(16)).collect()
}

const SHORT: Numbers = Numbers {
    spi: 0x1234_5678,
    sequence: 0x9abc_def0_1122_3344,
    sequence_form: Sequence::Short,
};
const EXTENDED: Numbers = Numbers {
    sequence_form: Sequence::Extended,
    ..SHORT
};

fn hex(digits: &str) -> Vec<u8> {
    SecretKey::from_hex(digits).unwrap().expose().to_vec()
}

fn read<T: for<'a> Deserialize<'a>>(json: &str) -> T {
    serde_json::from_str(json).unwrap()
}

/// Counts what was run and what was skipped, by reason.
#[derive(Default, PartialEq, Debug)]
struct Tally(BTreeMap<&'static str, usize>);

impl Tally {
    fn count(&mut self, what: &'static str) {
        *self.0.entry(what).or_default() += 1;
    }

    #[track_caller]
    fn is<const N: usize>(&self, expected: [(&'static str, usize); N]) {
        assert_eq!(self.0, BTreeMap::from(expected));
    }
}
