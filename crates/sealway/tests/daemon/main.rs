//! `sealway up` between network namespaces, and what `setkey` and `show` do to it. Needs root.
#![allow(clippy::unwrap_used)]

mod acquire;
mod bad_input;
mod devices;
mod guard;
mod host;
mod killed;
mod leash;
mod life;
mod live;
mod metrics;
mod nat;
mod offloads;
mod path;
mod reload;
mod restart;
mod robustness;
mod run;
mod traffic;
