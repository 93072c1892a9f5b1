//! Sealway against real peers: a Linux kernel and tshark.
#![forbid(unsafe_code)]

pub mod host;
pub mod ledger;
pub mod peer;
