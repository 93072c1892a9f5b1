//! The Security Policy Database (RFC 4301 §4.4.1): which traffic is protected, bypassed or
//! discarded.
//!
//! Owned and written by `control`; datapaths read a [`View`] that does not change under them. The
//! inside is plain: one list per direction in order of priority. Whoever makes it faster keeps
//! this interface.

mod policy;
mod template;
mod view;

pub use policy::{Action, Direction, Policy, PolicyConfig, PolicyError, PolicyId};
pub use template::{Level, Mode, Template};
pub use view::{Found, Place, View};
