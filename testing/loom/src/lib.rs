//! What the workers of an engine share, in every order in which their steps can be taken, as far as
//! loom knows: with Relaxed loads that see old values, too.
//!
//! The files of `crates/core` are compiled here once more, with loom's atomic words in the place of
//! the processor's. So nothing else has to be built anew, as it would be with `--cfg loom`, and
//! these tests run among all others. Threads and numbers are few, since the orders are many; the
//! bound on preemptions is loom's own advice (most faults show with two).
#![forbid(unsafe_code)]

mod numbers;
mod windows;

#[allow(dead_code, missing_docs, unreachable_pub)]
mod sad;

/// In the place of the engine's module of this name.
mod sync {
    pub(crate) use loom::sync::atomic;
}

pub use numbers::*;
pub use windows::*;

/// Runs `scenario` in every order with at most this many preemptions.
fn in_every_order(preemptions: usize, scenario: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(preemptions);
    model.check(scenario);
}

/// A word that no run of the model shares with another.
fn word() -> &'static loom::sync::atomic::AtomicU64 {
    Box::leak(Box::new(loom::sync::atomic::AtomicU64::new(0)))
}
