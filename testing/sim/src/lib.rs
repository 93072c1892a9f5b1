//! Two engines joined in memory, each beside its oracle, under random traffic, random
//! configuration and attack. Everything follows from a seed: the same seed, the same run.
//!
//! After each packet the engine's verdict, and what it sends or lets in, must be the oracle's, and
//! its counters must balance. [`run()`] plays one seed; `cargo run -p sealway-sim --release` plays
//! many.
#![forbid(unsafe_code)]
#![allow(clippy::indexing_slicing)]

pub mod adaptor;
mod attack;
mod change;
pub mod dice;
pub mod insider;
pub mod node;
pub mod plan;
mod plant;
mod run;
mod tally;
pub mod traffic;
mod wire;
pub mod world;

pub use node::Twin;
pub use plant::Plant;
pub use run::{Failure, Options, run};
pub use tally::Tally;
