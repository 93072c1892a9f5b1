//! Versions, and who still reads which.
//!
//! A reader that works has the version it began with in its slot; one that does not has
//! [`IDLE`]. What was taken out of the tables while version *v* was published may be used anew
//! once every slot says at least *v + 1*: whoever announced that came after, and cannot find it.
//!
//! The announcement and the look at it are a store and a load in two threads that must not pass
//! each other; a fence stands on both sides.

use crate::sync::{Acquire, AtomicU64, Relaxed, Release, SeqCst, fence};

/// The reader holds nothing.
const IDLE: u64 = u64::MAX;
/// Nobody has the slot.
const FREE: u64 = u64::MAX - 1;

/// The version in force, the one to come, and the readers.
#[derive(Debug)]
pub(crate) struct Versions {
    published: AtomicU64,
    opening: AtomicU64,
    slots: Box<[Slot]>,
}

/// Each reader writes its own cache line.
#[derive(Debug)]
#[repr(align(64))]
struct Slot(AtomicU64);

impl Versions {
    /// Version 0, with room for this many readers.
    pub(crate) fn new(readers: usize) -> Self {
        Versions {
            published: AtomicU64::new(0),
            opening: AtomicU64::new(0),
            slots: (0..readers).map(|_| Slot(AtomicU64::new(FREE))).collect(),
        }
    }

    /// The version that is in force or about to be.
    #[inline]
    pub(crate) fn opening(&self) -> u64 {
        self.opening.load(Acquire)
    }

    /// What the caller counts next belongs to this version.
    pub(crate) fn open(&self, version: u64) {
        self.opening.store(version, Release);
    }

    /// The version is in force.
    pub(crate) fn publish(&self, version: u64) {
        self.published.store(version, Release);
    }

    /// A slot for a reader; `None` if all are taken.
    pub(crate) fn register(&self) -> Option<usize> {
        let mut slots = self.slots.iter();
        slots.position(|slot| {
            slot.0
                .compare_exchange(FREE, IDLE, Acquire, Relaxed)
                .is_ok()
        })
    }

    /// The reader goes.
    pub(crate) fn leave(&self, slot: usize) {
        self.slots[slot].0.store(FREE, Release);
    }

    /// The reader begins: what it reads from here on is of this version or a later one. Gives the
    /// version in force.
    #[inline]
    pub(crate) fn begin(&self, slot: usize) -> u64 {
        self.slots[slot]
            .0
            .store(self.published.load(Acquire), Release);
        fence(SeqCst);
        self.published.load(Acquire)
    }

    /// The reader holds nothing any more.
    #[inline]
    pub(crate) fn end(&self, slot: usize) {
        self.slots[slot].0.store(IDLE, Release);
    }

    /// The oldest version that a reader may still look at; `u64::MAX` if none reads.
    pub(crate) fn oldest(&self) -> u64 {
        fence(SeqCst);
        let announced = self.slots.iter().map(|slot| match slot.0.load(Acquire) {
            IDLE | FREE => u64::MAX,
            version => version,
        });
        announced.min().unwrap_or(u64::MAX)
    }
}
