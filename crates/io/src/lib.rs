//! Where octets meet the operating system: TUN devices, the sockets of the unprotected side,
//! in-memory and fault-injecting devices, netlink, namespaces, capture.
//!
//! | module | what it is |
//! |---|---|
//! | [`device`] | the one trait that every outside is, and why a send may fail |
//! | [`tun`] | the protected side |
//! | [`outside`] | the unprotected side: UDP, raw protocols 50 and 51, whole packets |
//! | [`clear`] | the device for BYPASS traffic |
//! | [`offload`] | what the kernel and we do for each other on many packets at once |
//! | [`memory`], [`fault`] | an outside without a kernel; one that misbehaves on purpose |
//! | [`netlink`], [`netfilter`], [`sysctl`] | links, addresses, routes, rules; the packet filter's reports; switches |
//! | [`namespace`], [`mount`], [`process`] | namespaces that die with us, what is seen in them, children that die too |
//! | [`leash`] | what a process gives up for good |
//! | [`words`] | numbers in a file, for a process that comes after this one |
//! | [`capture`] | every frame of an interface |
//! | [`poll`], [`readiness`] | waiting, and ending a wait |
//!
//! This crate knows nothing of the engine: it moves [`sealway_packet`] types. It is the only crate
//! with `unsafe`, all of it in one small private module, each block with its argument.
//!
//! Everything here that opens a socket or a device does so in the network namespace of the calling
//! thread, and what was opened stays there whatever the thread does later.

pub mod capture;
pub mod clear;
pub mod device;
pub mod fault;
pub mod leash;
pub mod memory;
pub mod mount;
pub mod namespace;
pub mod netfilter;
pub mod netlink;
pub mod offload;
pub mod outside;
pub mod poll;
pub mod process;
pub mod readiness;
pub mod sysctl;
pub mod tun;
pub mod words;

mod address;
mod control;
mod intake;
mod sys;

pub use device::{Device, SendError};
