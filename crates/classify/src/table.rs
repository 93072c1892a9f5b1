//! A table: all chains of one shape, in pages that are split one at a time (extendible hashing).

use std::sync::Arc;

use crate::bucket::{Hash, Lane, PAGE_BITS, Page};
use crate::paged::{Numbers, Paged};

/// Pages by number.
pub(crate) type Pages = Paged<Page, { if cfg!(loom) { 1 } else { 16 } }>;

/// Which page has which chains: as many low bits of a hash as the directory is deep choose an entry.
/// Readers get a copy with each plan; a page that a plan names is not changed in a way that its
/// version could tell, and not used anew before readers of that plan have passed.
#[derive(Debug, Default)]
pub(crate) struct Table {
    directory: Vec<u32>,
    /// The copy for readers, unless the directory changed since.
    shown: Option<Arc<[u32]>>,
}

impl Table {
    /// The directory as it is now.
    pub(crate) fn show(&mut self) -> Arc<[u32]> {
        let directory = &self.directory;
        Arc::clone(
            self.shown
                .get_or_insert_with(|| directory.as_slice().into()),
        )
    }

    fn index(&self, hash: Hash) -> usize {
        usize::from(hash.page()) & (self.directory.len() - 1)
    }

    /// The page on which chains of this hash are.
    pub(crate) fn page<'a>(&self, pages: &'a Pages, hash: Hash) -> Option<&'a Page> {
        pages.get(*self.directory.get(self.index(hash))?)
    }

    /// Where a chain is.
    pub(crate) fn find<'a>(&self, pages: &'a Pages, hash: Hash) -> Option<(&'a Page, Lane)> {
        let page = self.page(pages, hash)?;
        page.find(hash).map(|at| (page, at))
    }

    /// Begins a table that no reader knows.
    pub(crate) fn found(pages: &Pages, book: &mut PageBook) -> Result<Self, Full> {
        let page = book.take(pages, 0).ok_or(Full::Pages)?;
        Ok(Table {
            directory: vec![page],
            shown: None,
        })
    }

    /// Gives all pages of a table up that no reader knows any more.
    pub(crate) fn end(mut self, book: &mut PageBook) {
        self.directory.sort_unstable();
        self.directory.dedup();
        self.directory.into_iter().for_each(|page| book.give(page));
    }

    /// Takes a chain in that is not yet there, and splits its page if it must.
    pub(crate) fn put(
        &mut self,
        pages: &Pages,
        book: &mut PageBook,
        hash: Hash,
        head: u32,
    ) -> Result<(), Full> {
        while !self
            .page(pages, hash)
            .is_some_and(|page| page.put(hash, head))
        {
            self.split(pages, book, hash)?;
        }
        Ok(())
    }

    /// Writes the two halves of a page beside it, and names them in its place.
    fn split(&mut self, pages: &Pages, book: &mut PageBook, hash: Hash) -> Result<(), Full> {
        let old = self.directory[self.index(hash)];
        let depth = book.depths[old as usize];
        if u32::from(depth) == PAGE_BITS {
            return Err(Full::Depth);
        }
        let low = book.take(pages, depth + 1).ok_or(Full::Pages)?;
        let Some(high) = book.take(pages, depth + 1) else {
            book.give(low);
            return Err(Full::Pages);
        };
        let halves = [low, high];
        for (chain, head) in pages.get(old).into_iter().flat_map(Page::chains) {
            let half = halves[usize::from(chain.page() >> depth & 1)];
            let is_put = pages.get(half).is_some_and(|page| page.put(chain, head));
            debug_assert!(is_put, "a half has room for what the whole had");
            book.moved += 1;
        }
        if self.directory.len() == 1 << depth {
            self.directory.extend_from_within(..);
        }
        let first = usize::from(hash.page()) & ((1 << depth) - 1);
        let entries = self.directory.iter_mut().skip(first).step_by(1 << depth);
        for (turn, entry) in entries.enumerate() {
            *entry = halves[turn & 1];
        }
        book.split.push(old);
        self.shown = None;
        Ok(())
    }
}

/// What a bound was reached: see [`crate::Limit`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Full {
    /// No page is left.
    Pages,
    /// The directory has its full depth.
    Depth,
}

/// What the writer knows of pages.
#[derive(Debug, Default)]
pub(crate) struct PageBook {
    numbers: Numbers,
    /// How many bits of a hash all chains of the page share.
    depths: Vec<u8>,
    /// Pages that readers may still see, to be retired.
    pub(crate) split: Vec<u32>,
    /// Chains that were moved, ever.
    pub(crate) moved: u64,
}

impl PageBook {
    fn take(&mut self, pages: &Pages, depth: u8) -> Option<u32> {
        let number = self.numbers.take(pages.capacity())?;
        pages.make(number)?.clear();
        let index = number as usize;
        if self.depths.len() <= index {
            self.depths.resize(index + 1, 0);
        }
        self.depths[index] = depth;
        Some(number)
    }

    /// No reader sees the page any more.
    pub(crate) fn give(&mut self, page: u32) {
        self.numbers.give(page);
    }
}
