//! Flows: the key by which packets that meet the same policy are known, and the worker's cache of
//! what was decided for them.

mod cache;
mod fragments;
mod key;

pub use cache::Cache;
pub(crate) use fragments::Fragments;
pub use key::Key;
