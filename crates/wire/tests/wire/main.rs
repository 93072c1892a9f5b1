//! What the wire layer promises, in sentences; and two independent parsers as its judges.
#![allow(clippy::unwrap_used)]

mod ah;
mod checksum;
mod ecn;
mod esp;
mod fragment;
mod icmp;
mod ipv4;
mod layout;
mod oracles;
mod robustness;
mod strategies;
mod tcp;
mod too_big;
