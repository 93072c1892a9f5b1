//! The engine's files, as they are.

#[path = "../../../crates/core/src/sad/numbers.rs"]
pub(crate) mod numbers;
#[path = "../../../crates/core/src/sad/published.rs"]
pub(crate) mod published;
#[path = "../../../crates/core/src/sad/replay.rs"]
pub(crate) mod replay;

/// Has an SA show the number that it sends next.
pub(crate) fn show(numbers: &numbers::Outgoing, word: &'static crate::sync::atomic::AtomicU64) {
    numbers.published.set(word);
}
