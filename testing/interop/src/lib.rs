//! Sealway against real peers: a Linux kernel, strongSwan and tshark.
#![forbid(unsafe_code)]

pub mod fault;
pub mod frame;
pub mod gate;
pub mod gateway;
pub mod host;
pub mod ledger;
pub mod link;
pub mod linux;
pub mod negative;
pub mod pairwise;
pub mod peer;
mod pulse;
pub mod queue;
pub mod report;
pub mod row;
pub mod sealway;
pub mod shown;
pub mod site;
pub mod station;
pub mod strongswan;
pub mod suite;
pub mod traffic;
pub mod tshark;
pub mod xfrm;
