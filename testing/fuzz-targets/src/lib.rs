//! What the fuzzers feed: each parser and both roads, as functions of octets that must not panic.
//!
//! `fuzz/` has a libFuzzer program for each. The test of this crate feeds them the committed corpora
//! again, on a stable toolchain.
#![forbid(unsafe_code)]
#![allow(clippy::expect_used, clippy::indexing_slicing)]

mod beside;
mod icmp;
mod language;
mod road;
mod wire;

/// A target: its name, which is its corpus's too, and what it does with octets.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: [Target; 9] = [
    ("layout", wire::layout),
    ("fragment", wire::fragment),
    ("icmp", icmp::icmp),
    ("setkey", language::setkey),
    ("toml", language::toml),
    ("xfrm", language::xfrm),
    ("inbound", road::inbound),
    ("outbound", road::outbound),
    ("oracle", beside::oracle),
];

/// Feeds octets to the target of this name.
///
/// # Panics
/// If there is none, or if the fuzzer has found something.
pub fn run(name: &str, octets: &[u8]) {
    let target = TARGETS.iter().find(|(known, _)| *known == name);
    let (_, feed) = target.unwrap_or_else(|| panic!("there is no target {name}"));
    feed(octets);
}
