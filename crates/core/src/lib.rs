//! The IPsec engine: it judges packets, and seals and opens those that its policies protect.
//!
//! It does no I/O: no clock, no randomness, no socket, no thread, no log. Packets, the time and
//! random octets are arguments; what is to be done is returned. [`Engine`] is the whole of it on
//! one thread; a daemon with several workers takes [`control::Control`] and one
//! [`datapath::Datapath`] per worker.
//!
//! A packet from the protected side goes through [`Datapath::output`](datapath::Datapath::output),
//! one from the unprotected side through [`input`](datapath::Datapath::input); each leaves by
//! exactly one [`verdict::Verdict`]. Only the output path can build a [`verdict::Transmit`], only
//! the inbound policy check a [`verdict::Admitted`].
#![forbid(unsafe_code)]

mod bundle;
pub mod control;
pub mod datapath;
mod engine;
mod event;
pub mod flow;
pub mod path;
pub mod sad;
pub mod selector;
pub mod spd;
mod sync;
mod tables;
mod time;
pub mod verdict;
mod xform;

pub use control::{Command, CommandError, Control, Keeper, Refused, Replaced};
pub use datapath::{
    ClearPath, Coalescing, Datapath, DatapathConfig, Keepalive, Mss, Randomness, Shortcut, Stats,
};
pub use engine::{Engine, EngineConfig};
pub use event::{Acquire, Event};
pub use tables::{DefaultAction, KeyManager, Shared, Tables};
pub use time::Time;
pub use verdict::{Admitted, AdmittedPart, DropReason, Transmit, Verdict};
pub use xform::materialise;
