//! Which tables to ask, in which order: one immutable list per version.

use std::sync::Arc;

use crate::address::Address;
use crate::bucket::{Hash, Page};
use crate::record::Content;
use crate::rule::Order;
use crate::shape::Masks;
use crate::table::Pages;

/// The tables of a version. To publish it is to publish the version.
#[derive(Debug, Default)]
pub(crate) struct Plan<A> {
    pub(crate) version: u64,
    /// Tables that hold every rule, by the best order in them.
    pub(crate) tables: Vec<Step<A>>,
    /// Tables for packets that hide their ports (see `groups.rs`), by the best order in them.
    pub(crate) shadows: Vec<Step<A>>,
    /// All rules in their order, while they are few: no table is asked.
    pub(crate) few: Option<Vec<Content<A>>>,
}

/// The most rules that are asked one after the other.
pub(crate) const FEW: usize = if cfg!(loom) { 0 } else { 8 };

/// A table to ask.
#[derive(Clone, Debug)]
pub(crate) struct Step<A> {
    /// No rule of the table is better.
    pub(crate) least: Order,
    pub(crate) masks: Masks<A>,
    pub(crate) has_ports: bool,
    pub(crate) directory: Arc<[u32]>,
}

impl<A: Address> Step<A> {
    /// The page on which chains of this hash are.
    #[inline]
    pub(crate) fn page<'a>(&self, pages: &'a Pages, hash: Hash) -> Option<&'a Page> {
        let index = usize::from(hash.page()) & self.directory.len().wrapping_sub(1);
        pages.get(*self.directory.get(index)?)
    }
}

impl<A: Address> Plan<A> {
    pub(crate) fn empty() -> Self {
        Plan {
            version: 0,
            tables: Vec::new(),
            shadows: Vec::new(),
            few: Some(Vec::new()),
        }
    }
}
