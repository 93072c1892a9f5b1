//! What the gateways that are measured are told, in setkey's language.

use std::fmt::Write as _;

use anyhow::{Context, Result};
use sealway_wire::Family;
use zeroize::Zeroizing;

use crate::demo::address::{self, End, FAMILIES};

/// What carries ESP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Carrier {
    Udp,
    Esp,
}

/// A key with its salt.
pub(super) fn key() -> Result<Zeroizing<String>> {
    let mut key = Zeroizing::new([0; 20]);
    getrandom::fill(&mut *key).context("the kernel gives no random octets for keys")?;
    Ok(Zeroizing::new(hex::encode(*key)))
}

/// All between the networks goes through one pair of SAs, whose outside is of this family.
pub(super) fn protected(
    end: End,
    carrier: Carrier,
    outside: Family,
    keys: &[Zeroizing<String>; 2],
) -> Zeroizing<String> {
    let protocol = match carrier {
        Carrier::Udp => "esp-udp",
        Carrier::Esp => "esp",
    };
    let outer = |end| address::tunnel_end(end, outside);
    let mut script = Zeroizing::new(String::new());
    for ((from, key), spi) in End::ALL.into_iter().zip(keys).zip(0x10001..) {
        let (source, destination) = (outer(from), outer(from.other()));
        let _ = writeln!(
            script,
            "add {source} {destination} {protocol} {spi:#x} -m tunnel -E aes-gcm-16 0x{};",
            key.as_str()
        );
        let template = format!("ipsec esp/tunnel/{source}-{destination}/require");
        policies(&mut script, end, from, &template);
    }
    script
}

/// One policy lets all between the networks pass, behind others that concern nobody.
pub(super) fn clear(end: End, policies_in_all: u32) -> Zeroizing<String> {
    let mut script = String::new();
    for number in 1..policies_in_all {
        let [_, a, b, c] = number.to_be_bytes();
        let _ = writeln!(
            script,
            "spdadd 172.{a}.{b}.{c} 203.0.113.1 any -P out discard;"
        );
    }
    for from in End::ALL {
        policies(&mut script, end, from, "none");
    }
    Zeroizing::new(script)
}

/// What is done to all from this end, in both families.
fn policies(script: &mut String, end: End, from: End, what: &str) {
    let direction = if from == end { "out" } else { "in" };
    for family in FAMILIES {
        let network = |end| {
            let (network, length) = address::inner_network(end, family);
            format!("{network}/{length}")
        };
        let (source, destination) = (network(from), network(from.other()));
        let _ = writeln!(
            script,
            "spdadd {source} {destination} any -P {direction} {what};"
        );
    }
}
