//! The Security Association Database (RFC 4301 §4.4.2): configuration apart from run-time state.
//!
//! Owned and written by `control`; datapaths read a [`View`]. What changes per packet (sequence
//! number, replay window, counters) lives in the SA's own [`Runtime`], each cell with the one
//! writer that DESIGN's table of owners names.

mod config;
mod lifetime;
mod numbers;
mod published;
mod replay;
mod runtime;
mod sa;
mod view;

pub(crate) use config::Applied;
pub use config::{
    DontFragmentRule, Peer, Protocol, SaConfig, SaError, SaId, SaMode, SequenceRules, Spi,
    UdpEncapsulation,
};
pub(crate) use lifetime::Reached;
pub use lifetime::{Lifetime, Lifetimes, Limit};
pub(crate) use numbers::NoNumber;
pub use numbers::{Continuation, Progress, Reserved};
pub use published::Published;
pub use replay::{Commit, ReplayWindow, WindowSize};
pub use runtime::Runtime;
pub use sa::{Sa, Serial};
pub(crate) use view::serves;
pub use view::{Index, View};
