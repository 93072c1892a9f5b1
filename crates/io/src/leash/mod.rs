//! The leash: what a process gives up for the rest of its life, so that whoever takes it over by a
//! mistake in its code has little of it.
//!
//! Two laws of the kernel's, neither of which can be taken back:
//!
//! * [`hold_files`] (Landlock): which directories may be read, written, cleared. It binds the calling
//!   thread and those that it starts, so it comes before the first thread.
//! * [`hold_calls`] (seccomp): which system calls there are. It binds all threads, and no new one can
//!   be started, so it comes when everything runs.
//!
//! What needs programs or sockets later does not fit under it and has a process of its own, which
//! [`hold_helper`] keeps from the worst. `docs/adr/0010-leash.md` says why it is done so.

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod calls;
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
#[path = "no_calls.rs"]
mod calls;
mod files;

use std::fmt;
use std::io;

pub use calls::{hold_calls, hold_helper};
pub use files::{Reach, hold_files};

/// What a process still has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Duty {
    /// It minds its own business.
    Alone,
    /// It has a child to signal and to wait for.
    Parent,
}

/// What becomes of a system call that is neither allowed nor forbidden.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unlisted {
    /// It fails as one that the kernel does not have: ENOSYS.
    Fails,
    /// The process ends as for a forbidden one: so tests find what the list lacks.
    Ends,
}

/// How far the kernel holds what it was asked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// Wholly.
    Whole,
    /// Only what this version of Landlock knows.
    Old {
        /// The version of Landlock's interface that the kernel has.
        version: i32,
    },
    /// Not at all, and why not.
    Nothing(&'static str),
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Hold::Whole => f.write_str("held"),
            Hold::Old { version } => write!(f, "held as far as Landlock {version} goes"),
            Hold::Nothing(why) => write!(f, "not held: {why}"),
        }
    }
}

/// Why there is no leash.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A directory that was to stay in reach could not be opened.
    #[error("{path} cannot be kept in reach: {error}")]
    Path {
        /// Which.
        path: std::path::PathBuf,
        /// What the kernel said.
        #[source]
        error: io::Error,
    },
    /// The kernel has Landlock and refuses the rules.
    #[error("files cannot be put out of reach: {0}")]
    Files(landlock::RulesetError),
    /// The kernel has seccomp and refuses the filter.
    #[error("system calls cannot be given up: {0}")]
    Calls(seccompiler::Error),
    /// SIGSYS cannot be handled.
    #[error("forbidden system calls could not be told: {0}")]
    Signal(io::Error),
}
