//! What was taken out and may still be in a reader's hands.
//!
//! A dead record is unlinked when no reader looks at a version that has it, and used again when no
//! reader is left that began before it was unlinked.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::Limit;
use crate::address::Address;
use crate::pile::Pile;
use crate::plan::Plan;
use crate::writer::Writer;

/// Something that waits for readers to pass.
#[derive(Debug)]
pub(crate) enum Retired<A> {
    /// A record, to be unlinked.
    Dead(u32),
    /// A record, to be used again.
    Record(u32),
    /// A page that was split.
    Page(u32),
    /// A pile that was replaced.
    Pile(Arc<Pile<A>>),
    /// A pile's place.
    PileNumber(u32),
    /// A table without rules.
    Table(u8),
}

/// What waits, and for which version: all readers that still read must have begun with it or a
/// later one.
#[derive(Debug)]
pub(crate) struct Limbo<A> {
    queue: VecDeque<(u64, Retired<A>)>,
    /// Plans that a reader may still have; who lets go of the last share frees memory, and that
    /// should not be a reader.
    plans: Vec<Arc<Plan<A>>>,
}

impl<A> Default for Limbo<A> {
    fn default() -> Self {
        Limbo {
            queue: VecDeque::new(),
            plans: Vec::new(),
        }
    }
}

impl<A> Limbo<A> {
    /// Versions never decrease from one call to the next.
    pub(crate) fn push(&mut self, version: u64, retired: Retired<A>) {
        self.queue.push_back((version, retired));
    }

    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }

    pub(crate) fn keep_plan(&mut self, plan: Option<Arc<Plan<A>>>) {
        self.plans.retain(|plan| Arc::strong_count(plan) > 1);
        self.plans
            .extend(plan.filter(|plan| Arc::strong_count(plan) > 1));
    }

    fn take(&mut self, oldest: u64) -> Option<Retired<A>> {
        let (version, _) = self.queue.front()?;
        if *version > oldest {
            return None;
        }
        self.queue.pop_front().map(|(_, retired)| retired)
    }
}

impl<A: Address> Writer<A> {
    /// Lets at most this many go that all readers have passed.
    pub(crate) fn pass(&mut self, most: usize) {
        // What is unlinked now waits for another look at the readers.
        let waiting = self.limbo.len().min(most);
        if waiting == 0 {
            return;
        }
        let oldest = self.index.versions.oldest();
        for _ in 0..waiting {
            let Some(retired) = self.limbo.take(oldest) else {
                return;
            };
            self.release(retired);
        }
    }

    fn release(&mut self, retired: Retired<A>) {
        match retired {
            Retired::Dead(number) => {
                self.unlink(number);
                let version = self.next_version();
                self.limbo.push(version, Retired::Record(number));
            }
            Retired::Record(number) => self.records.give(number),
            Retired::Page(number) => self.book.give(number),
            Retired::Pile(pile) => drop(pile),
            Retired::PileNumber(number) => self.piles.give(number),
            Retired::Table(table) => {
                if let Some(sheet) = self.sheets[usize::from(table)].take() {
                    sheet.table.end(&mut self.book);
                }
            }
        }
    }

    /// Pages that were split since wait, too.
    pub(crate) fn retire_pages(&mut self, version: u64) {
        for page in self.book.split.drain(..) {
            self.limbo.push(version, Retired::Page(page));
        }
    }

    /// Room for one more removal.
    pub(crate) fn make_room_in_limbo(&mut self) -> Result<(), Limit> {
        let bound = self.config.limbo;
        if self.limbo.len() + self.log.len() < bound {
            return Ok(());
        }
        // Twice: what the first look unlinks the second frees.
        self.pass(usize::MAX);
        self.pass(usize::MAX);
        if self.limbo.len() + self.log.len() < bound {
            return Ok(());
        }
        Err(Limit::Limbo(bound))
    }
}
