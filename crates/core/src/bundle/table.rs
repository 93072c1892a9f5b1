//! The worker's bounded table of bundles; flows refer to its places.

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::{Bundle, Identity};
use crate::tables::Tables;

/// A place in the table and the stamp that it had.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Reference {
    slot: u32,
    stamp: u32,
}

struct Slot {
    stamp: u32,
    bundle: Bundle,
}

/// Bundles by place. When it is full the places are given anew in turn; a reference to a bundle
/// that had to go finds another stamp there.
pub(crate) struct Table {
    slots: Vec<Slot>,
    by_identity: HashMap<Identity, u32, RandomState>,
    bound: usize,
    turn: usize,
    stamp: u32,
}

impl Table {
    /// A table of at most `bound` bundles.
    pub(crate) fn new(bound: usize) -> Self {
        Table {
            slots: Vec::new(),
            by_identity: HashMap::default(),
            bound: bound.max(1),
            turn: 0,
            stamp: 0,
        }
    }

    /// The bundle at a place, if it is still that bundle.
    #[inline]
    pub(crate) fn get(&self, reference: Reference) -> Option<&Bundle> {
        self.slots
            .get(reference.slot as usize)
            .filter(|slot| slot.stamp == reference.stamp)
            .map(|slot| &slot.bundle)
    }

    /// Keeps a bundle, unless one with the same policy and SAs stands there fresh.
    pub(crate) fn keep(&mut self, bundle: Bundle, tables: &Tables) -> Reference {
        let identity = bundle.identity();
        let known = self.by_identity.get(&identity).map(|slot| *slot as usize);
        if let Some(slot) = known
            && self.slots[slot].bundle.is_fresh(tables)
        {
            return self.reference(slot);
        }
        // A new stamp: another flow that refers to the stale bundle may by now deserve another SA.
        self.stamp = self.stamp.wrapping_add(1);
        let new = Slot {
            stamp: self.stamp,
            bundle,
        };
        let slot = known.unwrap_or_else(|| self.place());
        match self.slots.get_mut(slot) {
            Some(old) => *old = new,
            None => self.slots.push(new),
        }
        self.by_identity.insert(identity, slot as u32);
        self.reference(slot)
    }

    /// A place for a new bundle: one more, or in turn one whose bundle has to go.
    fn place(&mut self) -> usize {
        if self.slots.len() < self.bound {
            return self.slots.len();
        }
        self.turn = (self.turn + 1) % self.bound;
        self.by_identity
            .remove(&self.slots[self.turn].bundle.identity());
        self.turn
    }

    fn reference(&self, slot: usize) -> Reference {
        Reference {
            slot: slot as u32,
            stamp: self.slots[slot].stamp,
        }
    }
}
