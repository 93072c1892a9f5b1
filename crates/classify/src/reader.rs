//! A reader, and the lookups: start here to follow a packet.
//!
//! 1. [`Reader::pin`]: the version of this batch, by its plan.
//! 2. `plan.rs`: few rules are asked one after the other; else each table that may hold a better
//!    rule than the best so far.
//! 3. `shape.rs`: the hash of what the table looks at. `table.rs`: the page. `bucket.rs`: the lanes
//!    that show the hash.
//! 4. `record.rs`: the chain from each lane's head, the best first, until one takes the packet. Or
//!    `pile.rs`, if the chain grew too long.

use std::sync::Arc;

use crate::address::Address;
use crate::bucket::{Hash, Lanes, Page};
use crate::index::{IS_PILE, Index};
use crate::plan::{Plan, Step};
use crate::record::{NONE, Record, Whole};
use crate::rule::{Found, Hit, Judgement, Key, Order, Ports};

/// Looks rules up beside the writer, without a lock. Each thread has its own.
#[derive(Debug)]
pub struct Reader<A: Address> {
    pub(crate) index: Arc<Index<A>>,
    slot: usize,
    plan: Arc<Plan<A>>,
}

impl<A: Address> Reader<A> {
    pub(crate) fn new(index: &Arc<Index<A>>) -> Option<Self> {
        let slot = index.versions.register()?;
        Some(Reader {
            plan: Arc::new(Plan::empty()),
            index: Arc::clone(index),
            slot,
        })
    }

    /// Pins the version in force, for a batch. While a view exists the writer keeps what it may
    /// see: drop it before the thread waits for anything.
    #[inline]
    pub fn pin(&mut self) -> View<'_, A> {
        let published = self.index.versions.begin(self.slot);
        if published != self.plan.version {
            self.plan = self.index.plan.load().unwrap_or_default();
        }
        View {
            index: &self.index,
            plan: &self.plan,
            slot: self.slot,
        }
    }
}

impl<A: Address> Drop for Reader<A> {
    fn drop(&mut self) {
        self.index.versions.leave(self.slot);
    }
}

/// The rules of one version.
#[derive(Debug)]
pub struct View<'a, A: Address> {
    index: &'a Index<A>,
    plan: &'a Plan<A>,
    slot: usize,
}

impl<A: Address> Drop for View<'_, A> {
    #[inline]
    fn drop(&mut self) {
        self.index.versions.end(self.slot);
    }
}

/// The most keys that are looked up together.
const BATCH: usize = 32;

/// The most tables whose buckets are looked at before the first chain.
const AHEAD: usize = 8;

/// What buckets show, one for each place.
struct Probes<'a, const MOST: usize> {
    lanes: [Lanes; MOST],
    hashes: [Hash; MOST],
    pages: [Option<&'a Page>; MOST],
    /// A bit for each place where there is something to follow.
    shows: u32,
}

impl<'a, const MOST: usize> Probes<'a, MOST> {
    #[inline]
    fn new() -> Self {
        Probes {
            lanes: [Lanes::NONE; MOST],
            hashes: [Hash::of(0); MOST],
            pages: [None; MOST],
            shows: 0,
        }
    }

    #[inline]
    fn look(&mut self, at: usize, page: &'a Page, hash: Hash) {
        let lanes = page.bucket(hash.bucket()).lanes(hash.tag());
        let at = at % MOST;
        self.lanes[at] = lanes;
        self.hashes[at] = hash;
        self.pages[at] = Some(page);
        self.shows |= u32::from(!lanes.is_nothing()) << at;
    }

    /// The heads of all chains that may be of the hashes.
    #[inline]
    fn heads(&self, mut visit: impl FnMut(usize, u32)) {
        let mut shows = self.shows;
        while shows != 0 {
            let at = shows.trailing_zeros() as usize % MOST;
            shows &= shows - 1;
            let hash = self.hashes[at];
            if let Some(page) = self.pages[at] {
                page.heads(hash, self.lanes[at], |head| visit(at, head));
            }
        }
    }
}

/// Chains that are to be followed, each with its place and its best order.
struct Chains<const MOST: usize> {
    heads: [u32; MOST],
    orders: [Order; MOST],
    places: [u8; MOST],
    count: usize,
}

impl<const MOST: usize> Chains<MOST> {
    #[inline]
    fn new() -> Self {
        Chains {
            heads: [NONE; MOST],
            orders: [Order(0); MOST],
            places: [0; MOST],
            count: 0,
        }
    }

    /// `false` if there is no room.
    #[inline]
    fn push(&mut self, place: usize, head: u32, order: Order) -> bool {
        let at = self.count;
        if at >= MOST {
            return false;
        }
        self.heads[at] = head;
        self.orders[at] = order;
        self.places[at] = place as u8;
        self.count += 1;
        true
    }

    #[inline]
    fn iter(&self) -> impl Iterator<Item = (usize, u32, Order)> {
        let each = self.heads.iter().zip(&self.orders).zip(&self.places);
        each.take(self.count)
            .map(|((head, order), place)| (usize::from(*place), *head, *order))
    }
}

/// The best rule so far.
#[derive(Clone, Copy)]
struct Best {
    order: Order,
    record: u32,
}

impl Best {
    const NONE: Best = Best {
        order: Order(u64::MAX),
        record: NONE,
    };
}

impl<A: Address> View<'_, A> {
    /// The version: it grows with every change.
    pub fn version(&self) -> u64 {
        self.plan.version
    }

    /// Whether no change is in force or about to be that this view does not show. Who keeps an
    /// answer beyond the view asks this after the lookup and before keeping it.
    pub fn is_current(&self) -> bool {
        self.index.versions.opening() == self.plan.version
    }

    /// Whether there is no rule.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.plan.few.as_ref().is_some_and(Vec::is_empty)
    }

    /// The first rule in order that takes the packet, or might if it showed more.
    #[inline]
    pub fn find(&self, key: &Key<A>) -> Found {
        if let Some(few) = &self.plan.few {
            return first_of(few, key);
        }
        match key.ports {
            Ports::Known(_) | Ports::Absent => self.find_whole(key),
            Ports::Hidden | Ports::HiddenWithProtocol => self.find_partial(key),
        }
    }

    /// The same for many packets: slower for one, faster for many where memory is far. Answers
    /// go to `found`, as many as both have places for.
    pub fn find_batch(&self, keys: &[Key<A>], found: &mut [Found]) {
        for (keys, found) in keys.chunks(BATCH).zip(found.chunks_mut(BATCH)) {
            let is_whole = |key: &Key<A>| matches!(key.ports, Ports::Known(_) | Ports::Absent);
            if self.plan.few.is_some() || !keys.iter().all(is_whole) {
                let each = keys.iter().zip(found);
                each.for_each(|(key, found)| *found = self.find(key));
            } else {
                self.find_many(keys, found);
            }
        }
    }

    fn found(&self, best: Best) -> Found {
        match self.index.records.get(best.record) {
            Some(record) if best.record != NONE => Found::Rule(record.hit()),
            _ => Found::None,
        }
    }

    fn hash(&self, step: &Step<A>, key: &Whole<A>) -> Hash {
        let ports = key.port_word();
        Hash::of(
            step.masks
                .hash(&self.index.seed, key.source, key.destination, ports),
        )
    }

    /// For a packet that hides nothing. Some tables' buckets are looked at before the first record
    /// of any, and those before any chain is followed: loads that do not wait for each other, nor
    /// for a wrong guess of a branch.
    #[inline]
    fn find_whole(&self, key: &Key<A>) -> Found {
        let whole = Whole::of(key);
        let mut best = Best::NONE;
        for steps in self.plan.tables.chunks(AHEAD) {
            if best.order <= steps[0].least {
                break;
            }
            let mut probes = Probes::<AHEAD>::new();
            for (at, step) in steps.iter().enumerate() {
                self.probe(step, &whole, &mut probes, at);
            }
            let mut chains = Chains::<{ 2 * AHEAD }>::new();
            probes.heads(|at, head| {
                let order = steps
                    .get(at)
                    .map_or(Order(0), |step| self.order_of(head, step.least));
                if !chains.push(at, head, order) {
                    self.ask(head, key, &whole, &mut best);
                }
            });
            for (_, head, order) in chains.iter() {
                if order < best.order {
                    self.ask(head, key, &whole, &mut best);
                }
            }
        }
        self.found(best)
    }

    /// Table by table: first every packet's bucket, then every packet's first record, then its
    /// chain.
    fn find_many(&self, keys: &[Key<A>], found: &mut [Found]) {
        let mut best = [Best::NONE; BATCH];
        for step in &self.plan.tables {
            if best
                .iter()
                .zip(keys)
                .all(|(best, _)| best.order <= step.least)
            {
                break;
            }
            let mut probes = Probes::<BATCH>::new();
            for (at, key) in keys.iter().enumerate() {
                self.probe(step, &Whole::of(key), &mut probes, at);
            }
            let mut chains = Chains::<{ 2 * BATCH }>::new();
            let mut ask = |at: usize, head: u32, order: Order| {
                if let (Some(key), Some(best)) = (keys.get(at), best.get_mut(at))
                    && order < best.order
                {
                    self.ask(head, key, &Whole::of(key), best);
                }
            };
            probes.heads(|at, head| {
                if !chains.push(at, head, self.order_of(head, step.least)) {
                    ask(at, head, step.least);
                }
            });
            chains
                .iter()
                .for_each(|(at, head, order)| ask(at, head, order));
        }
        for (best, found) in best.iter().zip(found) {
            *found = self.found(*best);
        }
    }

    /// The best order in a chain, or one that is no worse.
    #[inline]
    fn order_of(&self, head: u32, least: Order) -> Order {
        match self.index.records.get(head & !IS_PILE) {
            Some(record) if head & IS_PILE == 0 => record.order(),
            _ => least,
        }
    }

    /// Looks at one table's bucket.
    #[inline]
    fn probe<'b, const MOST: usize>(
        &'b self,
        step: &Step<A>,
        key: &Whole<A>,
        probes: &mut Probes<'b, MOST>,
        at: usize,
    ) {
        if step.has_ports && !key.shows_ports() {
            return;
        }
        let hash = self.hash(step, key);
        if let Some(page) = step.page(&self.index.pages, hash) {
            probes.look(at, page, hash);
        }
    }

    /// Looks for a better rule in one chain.
    #[inline]
    fn ask(&self, head: u32, key: &Key<A>, whole: &Whole<A>, best: &mut Best) {
        if head & IS_PILE != 0 {
            self.ask_pile(head, key, whole, best);
            return;
        }
        let mut number = head;
        while let Some(record) = self.record(number) {
            let order = record.order();
            if order >= best.order {
                return;
            }
            if record.takes(whole) && record.is_in(self.plan.version) {
                *best = Best {
                    order,
                    record: number,
                };
                return;
            }
            number = record.next();
        }
    }

    #[cold]
    #[inline(never)]
    fn ask_pile(&self, head: u32, key: &Key<A>, whole: &Whole<A>, best: &mut Best) {
        self.in_pile(head, key, best.order, |number, record| {
            let is_it = record.takes(whole)
                && record.is_in(self.plan.version)
                && record.order() < best.order;
            if is_it {
                *best = Best {
                    order: record.order(),
                    record: number,
                };
            }
            is_it
        });
    }

    fn in_pile(
        &self,
        head: u32,
        key: &Key<A>,
        worst: Order,
        mut judge: impl FnMut(u32, &Record<A>) -> bool,
    ) {
        let Some(pile) = self.index.piles.get(head & !IS_PILE) else {
            return;
        };
        pile.with(|pile| {
            let Some(pile) = pile else { return };
            pile.find(key, worst, |number| {
                self.record(number)
                    .is_some_and(|record| judge(number, record))
            });
        });
    }

    #[inline]
    fn record(&self, number: u32) -> Option<&Record<A>> {
        if number == NONE {
            return None;
        }
        self.index.records.get(number)
    }

    /// For a packet that hides its ports: tables that hash ports cannot be asked, so their rules
    /// have shadows in tables that do not.
    #[cold]
    fn find_partial(&self, key: &Key<A>) -> Found {
        let mut best = Found::None;
        let whole = Whole::of(key);
        for (steps, is_shadow) in [(&self.plan.tables, false), (&self.plan.shadows, true)] {
            for step in steps {
                if order_of(best) <= step.least {
                    break;
                }
                if step.has_ports {
                    continue;
                }
                let hash = self.hash(step, &whole);
                if let Some(page) = step.page(&self.index.pages, hash) {
                    let lanes = page.bucket(hash.bucket()).lanes(hash.tag());
                    page.heads(hash, lanes, |head| {
                        self.ask_partial(head, key, is_shadow, &mut best);
                    });
                }
            }
        }
        best
    }

    fn ask_partial(&self, head: u32, key: &Key<A>, is_shadow: bool, best: &mut Found) {
        let mut judge = |record: &Record<A>| {
            if record.order() >= order_of(*best) || !record.is_in(self.plan.version) {
                return false;
            }
            let found = match record.judge(key) {
                Judgement::Misses => return false,
                Judgement::Matches if !is_shadow => Found::Rule(record.hit()),
                Judgement::Matches | Judgement::MayMatch => Found::PortsNeeded(record.hit()),
            };
            *best = found;
            true
        };
        if head & IS_PILE != 0 {
            self.in_pile(head, key, Order(u64::MAX), |_, record| judge(record));
            return;
        }
        let mut number = head;
        while let Some(record) = self.record(number) {
            if judge(record) {
                return;
            }
            number = record.next();
        }
    }
}

/// One after the other.
#[inline]
fn first_of<A: Address>(rules: &[crate::record::Content<A>], key: &Key<A>) -> Found {
    for content in rules {
        let hit = Hit {
            order: content.order,
            value: content.value,
        };
        match content.rule.judge(key) {
            Judgement::Misses => {}
            Judgement::Matches => return Found::Rule(hit),
            Judgement::MayMatch => return Found::PortsNeeded(hit),
        }
    }
    Found::None
}

fn order_of(found: Found) -> Order {
    match found {
        Found::Rule(hit) | Found::PortsNeeded(hit) => hit.order,
        Found::None => Order(u64::MAX),
    }
}
