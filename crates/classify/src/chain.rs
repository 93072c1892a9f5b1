//! Records under one hash, sorted by order: linked one to the next, or a pile.

use std::sync::Arc;

use crate::Limit;
use crate::address::Address;
use crate::bucket::{Hash, Lane, Page};
use crate::index::{IS_PILE, Index};
use crate::limbo::Retired;
use crate::pile::{Member, PILE, Pile};
use crate::record::NONE;
use crate::rule::{Order, Rule};
use crate::table::Full;
use crate::writer::Writer;

impl<A: Address> Writer<A> {
    pub(crate) fn limit(&self, full: Full) -> Limit {
        match full {
            Full::Pages => Limit::Pages(self.index.pages.capacity()),
            Full::Depth => Limit::Directory,
        }
    }

    /// Where a chain is.
    fn find<'a>(&self, index: &'a Index<A>, table: u8, hash: Hash) -> Option<(&'a Page, Lane)> {
        let sheet = self.sheets[usize::from(table)].as_ref()?;
        sheet.table.find(&index.pages, hash)
    }

    fn put(&mut self, table: u8, hash: Hash, head: u32) -> Result<(), Limit> {
        let Some(sheet) = &mut self.sheets[usize::from(table)] else {
            return Ok(());
        };
        let put = sheet
            .table
            .put(&self.index.pages, &mut self.book, hash, head);
        put.map_err(|full| self.limit(full))
    }

    /// The records of a chain, the best first, at most this many.
    pub(crate) fn chain(&self, table: u8, hash: Hash, most: usize) -> Vec<u32> {
        let Some((page, at)) = self.find(&self.index, table, hash) else {
            return Vec::new();
        };
        let head = page.head(at);
        if head & IS_PILE != 0 {
            let pile = self
                .index
                .piles
                .get(head & !IS_PILE)
                .and_then(|pile| pile.load());
            return pile.map_or(Vec::new(), |pile| pile.records().take(most).collect());
        }
        let next = |number: &u32| self.record(*number).map(|record| record.next());
        let numbers = std::iter::successors(Some(head), next);
        numbers
            .take_while(|number| *number != NONE)
            .take(most)
            .collect()
    }

    /// Links a record into the chain of its rule.
    pub(crate) fn link(&mut self, table: u8, number: u32, rule: &Rule<A>) -> Result<(), Limit> {
        let (Some(hash), Some(order)) = (
            self.hash(table, rule),
            self.record(number).map(|record| record.order()),
        ) else {
            return Ok(());
        };
        if let Some(record) = self.record(number) {
            record.set_table(table);
        }
        let index = Arc::clone(&self.index);
        match self.find(&index, table, hash) {
            None => self.put(table, hash, number)?,
            Some((page, at)) if page.head(at) & IS_PILE != 0 => {
                self.add_to_pile(page.head(at) & !IS_PILE, number)?;
            }
            Some((page, at)) => self.link_sorted(page, at, number, order),
        }
        if let Some(sheet) = &mut self.sheets[usize::from(table)] {
            sheet.linked += 1;
            sheet.least = sheet.least.min(order);
        }
        Ok(())
    }

    fn link_sorted(&self, page: &Page, at: Lane, number: u32, order: Order) {
        let mut before = None;
        let mut next = page.head(at);
        while let Some(record) = self.record(next).filter(|record| record.order() <= order) {
            before = Some(record);
            next = record.next();
        }
        if let Some(record) = self.record(number) {
            record.set_next(next);
        }
        match before {
            Some(before) => before.set_next(number),
            None => page.set_head(at, number),
        }
    }

    fn add_to_pile(&mut self, pile: u32, number: u32) -> Result<(), Limit> {
        let index = Arc::clone(&self.index);
        let (Some(place), Some(record)) = (index.piles.get(pile), index.records.get(number)) else {
            return Ok(());
        };
        let Some(old) = place.load() else {
            return Ok(());
        };
        if old.len() >= PILE {
            return Err(Limit::Pile(PILE));
        }
        let (new, moved) = old.with(Member::new(number, &record.content()));
        self.moved += moved as u64;
        drop(old);
        self.retire_pile(place.replace(Some(Arc::new(new))));
        Ok(())
    }

    /// Makes a pile of a chain.
    pub(crate) fn pile_up(&mut self, table: u8, hash: Hash) -> Result<(), Limit> {
        let index = Arc::clone(&self.index);
        let found = self.find(&index, table, hash);
        let Some((page, at)) = found.filter(|(page, at)| page.head(*at) & IS_PILE == 0) else {
            return Ok(());
        };
        let full = Limit::Pile(index.piles.capacity());
        let number = self.piles.take(index.piles.capacity()).ok_or(full)?;
        let place = index.piles.make(number).ok_or(full)?;
        let chain = self.chain(table, hash, usize::MAX);
        self.moved += chain.len() as u64;
        let member = |number: u32| Some(Member::new(number, &self.record(number)?.content()));
        let pile = Pile::new(chain.into_iter().filter_map(member).collect());
        place.replace(Some(Arc::new(pile)));
        page.set_head(at, number | IS_PILE);
        Ok(())
    }

    fn retire_pile(&mut self, pile: Option<Arc<Pile<A>>>) {
        let version = self.next_version();
        if let Some(pile) = pile {
            self.limbo.push(version, Retired::Pile(pile));
        }
    }

    /// Takes a record out of its chain; it keeps its link, for readers that stand on it.
    pub(crate) fn unlink(&mut self, number: u32) {
        let index = Arc::clone(&self.index);
        let Some(record) = index.records.get(number) else {
            return;
        };
        let table = record.table();
        let Some(hash) = self.hash(table, &record.rule()) else {
            return;
        };
        if let Some((page, at)) = self.find(&index, table, hash) {
            let head = page.head(at);
            if head & IS_PILE != 0 {
                self.unlink_from_pile(page, at, number, record.order());
            } else if head == number {
                match record.next() {
                    NONE => page.remove(at),
                    next => page.set_head(at, next),
                }
            } else {
                self.unlink_after(head, number, record.next());
            }
        }
        if let Some(sheet) = &mut self.sheets[usize::from(table)] {
            sheet.linked -= 1;
        }
    }

    fn unlink_after(&self, head: u32, number: u32, next: u32) {
        let mut before = self.record(head);
        while let Some(record) = before {
            if record.next() == number {
                record.set_next(next);
                return;
            }
            before = self.record(record.next());
        }
    }

    fn unlink_from_pile(&mut self, page: &Page, at: Lane, number: u32, order: Order) {
        let pile = page.head(at) & !IS_PILE;
        let index = Arc::clone(&self.index);
        let Some(place) = index.piles.get(pile) else {
            return;
        };
        let Some(old) = place.load() else {
            return;
        };
        let (new, moved) = old.without(number, order);
        drop(old);
        self.moved += moved as u64;
        if new.is_none() {
            page.remove(at);
            let version = self.next_version();
            self.limbo.push(version, Retired::PileNumber(pile));
        }
        self.retire_pile(place.replace(new.map(Arc::new)));
    }
}
