//! What the writer and all readers share.

use std::fmt;

use crate::address::Address;
use crate::paged::Paged;
use crate::pile::Pile;
use crate::plan::Plan;
use crate::record::Record;
use crate::sync::Swap;
use crate::table::Pages;
use crate::version::Versions;
use crate::{Config, TABLES};

/// In a lane's head: the rest is a pile's number, not a record's.
pub(crate) const IS_PILE: u32 = 1 << 31;

/// Records by number; number 0 is none.
pub(crate) type Records<A> = Paged<Record<A>, { if cfg!(loom) { 4 } else { 2048 } }>;
/// Piles by number.
pub(crate) type Piles<A> = Paged<Swap<Pile<A>>, { if cfg!(loom) { 1 } else { 64 } }>;

/// Records, pages and piles, and the plan that says which tables to ask.
pub(crate) struct Index<A: Address> {
    pub(crate) seed: [u64; 4],
    pub(crate) versions: Versions,
    pub(crate) plan: Swap<Plan<A>>,
    pub(crate) pages: Pages,
    pub(crate) records: Records<A>,
    pub(crate) piles: Piles<A>,
}

impl<A: Address> Index<A> {
    pub(crate) fn new(config: &Config) -> Self {
        let rules = config.rules as usize;
        // A rule may be in the tables twice while it moves from one to another, and what is dead
        // waits in limbo.
        let records = 2 * rules + config.limbo + 2;
        Index {
            seed: config.seed.map(|word| word | 1),
            versions: Versions::new(config.readers),
            plan: Swap::default(),
            pages: Paged::new(rules / 32 + 2 * TABLES),
            records: Paged::new(records),
            piles: Paged::new(rules / 8 + 1),
        }
    }

    /// Octets of all that is shared.
    pub(crate) fn octets(&self) -> usize {
        self.pages.octets() + self.records.octets() + self.piles.octets()
    }
}

impl<A: Address> fmt::Debug for Index<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Index").finish_non_exhaustive()
    }
}
