//! Rules that pile up under one hash: blocks of at most 64, each with an index by interval.
//!
//! ```text
//! pile:   block 0 (the best 64) ▸ block 1 ▸ …                       in the order of the rules
//! block:  rules  0  1  2  …  63                                     a bit for each
//!         axis "second port":   0 … 79 │ 80 │ 81 … 1023 │ 1024 …    where the set of rules changes
//!                               {0,5}    …      …          …        which rules an interval is in
//! ```
//!
//! A lookup takes one set from each axis; the rules in all of them are candidates, the best first.
//! A pile is never changed: the writer replaces it, and of its blocks the one that is concerned.

use std::sync::Arc;

use crate::address::Address;
use crate::record::Content;
use crate::rule::{Key, Order, Ports, Range};

/// The most rules of a block: bits of a word.
const BLOCK: usize = 64;
/// Rules of each block when rules come in bulk, so that more fit in between.
const FILL: usize = 48;
/// The most rules of a pile.
pub(crate) const PILE: usize = 4096;

/// Rules under one hash.
#[derive(Debug)]
pub(crate) struct Pile<A> {
    blocks: Vec<Part<A>>,
}

/// A block, and what it takes to pass it over.
#[derive(Clone, Debug)]
struct Part<A> {
    first: Order,
    /// Of each port, which of 64 equal parts some rule of the block takes.
    covers: [u64; 2],
    block: Arc<Block<A>>,
}

impl<A: Address> Part<A> {
    fn new(members: Vec<Member<A>>) -> Self {
        let cover = |at: usize| {
            let ranges = members.iter().map(|member| member.ports[at]);
            ranges.fold(0, |cover, range| cover | parts_of(range))
        };
        Part {
            first: members[0].order,
            covers: [cover(0), cover(1)],
            block: Arc::new(Block::new(members)),
        }
    }

    #[inline]
    fn may_take(&self, ports: Ports) -> bool {
        match ports {
            Ports::Known([first, second]) => {
                self.covers[0] >> (first >> 10) & self.covers[1] >> (second >> 10) & 1 != 0
            }
            Ports::Absent | Ports::Hidden | Ports::HiddenWithProtocol => true,
        }
    }
}

/// Which of 64 equal parts of all ports a range touches.
fn parts_of(range: Range<u16>) -> u64 {
    let up_to = u64::MAX >> (63 - (range.last() >> 10));
    up_to & u64::MAX << (range.first() >> 10)
}

/// A rule of a pile: its record, and what the axes are made from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Member<A> {
    pub(crate) record: u32,
    order: Order,
    source: Range<A>,
    destination: Range<A>,
    ports: [Range<u16>; 2],
}

impl<A: Address> Member<A> {
    pub(crate) fn new(record: u32, content: &Content<A>) -> Self {
        let rule = &content.rule;
        Member {
            record,
            order: content.order,
            source: rule.source,
            destination: rule.destination,
            ports: rule.ports.unwrap_or([Range::ALL_PORTS; 2]),
        }
    }
}

/// Up to 64 rules, in their order.
#[derive(Debug)]
struct Block<A> {
    members: Vec<Member<A>>,
    source: Axis<A>,
    destination: Axis<A>,
    ports: [Axis<u16>; 2],
}

impl<A: Address> Block<A> {
    fn new(members: Vec<Member<A>>) -> Self {
        Block {
            source: Axis::new(members.iter().map(|member| member.source)),
            destination: Axis::new(members.iter().map(|member| member.destination)),
            ports: [0, 1].map(|at| Axis::new(members.iter().map(|member| member.ports[at]))),
            members,
        }
    }

    /// A bit for each rule that may take the packet.
    #[inline]
    fn candidates(&self, key: &Key<A>) -> u64 {
        let addresses = self.source.set(key.source) & self.destination.set(key.destination);
        match key.ports {
            Ports::Known([first, second]) => {
                addresses & self.ports[0].set(first) & self.ports[1].set(second)
            }
            Ports::Absent | Ports::Hidden | Ports::HiddenWithProtocol => addresses,
        }
    }
}

/// For one field: in which rules' range a value is.
#[derive(Debug)]
struct Axis<T> {
    /// Where the set changes: the first values of all intervals but the first.
    bounds: Box<[T]>,
    /// The set of each interval, one more than there are bounds.
    sets: Box<[u64]>,
}

/// A field's value.
trait Value: Copy + Ord {
    fn after(self) -> Option<Self>;
    const LEAST: Self;
}

impl<A: Address> Value for A {
    fn after(self) -> Option<Self> {
        self.next()
    }
    const LEAST: Self = A::LOWEST;
}

impl Value for u16 {
    fn after(self) -> Option<Self> {
        self.checked_add(1)
    }
    const LEAST: Self = 0;
}

impl<T: Value> Axis<T> {
    fn new(ranges: impl Iterator<Item = Range<T>>) -> Self {
        let mut current = 0;
        let mut changes = Vec::with_capacity(2 * BLOCK);
        for (bit, range) in ranges.enumerate() {
            if range.first() == T::LEAST {
                current |= 1 << bit;
            } else {
                changes.push((range.first(), 1u64 << bit));
            }
            changes.extend(range.last().after().map(|after| (after, 1 << bit)));
        }
        changes.sort_unstable_by_key(|(at, _)| *at);
        let mut bounds = Vec::with_capacity(changes.len());
        let mut sets = Vec::with_capacity(changes.len() + 1);
        sets.push(current);
        for (at, bit) in changes {
            current ^= bit;
            if bounds.last() == Some(&at) {
                sets.pop();
            } else {
                bounds.push(at);
            }
            sets.push(current);
        }
        Axis {
            bounds: bounds.into(),
            sets: sets.into(),
        }
    }

    #[inline]
    fn set(&self, value: T) -> u64 {
        let interval = if self.bounds.is_empty() {
            0
        } else {
            self.bounds.partition_point(|bound| *bound <= value)
        };
        self.sets.get(interval).copied().unwrap_or(0)
    }
}

impl<A: Address> Pile<A> {
    /// A pile of these rules.
    pub(crate) fn new(mut members: Vec<Member<A>>) -> Self {
        members.sort_unstable_by_key(|member| member.order);
        Pile {
            blocks: members
                .chunks(FILL)
                .map(|part| Part::new(part.to_vec()))
                .collect(),
        }
    }

    /// How many rules it has.
    pub(crate) fn len(&self) -> usize {
        self.blocks
            .iter()
            .map(|part| part.block.members.len())
            .sum()
    }

    /// All records, the best first.
    pub(crate) fn records(&self) -> impl Iterator<Item = u32> {
        let members = self.blocks.iter().flat_map(|part| &part.block.members);
        members.map(|member| member.record)
    }

    /// Asks `judge` of each rule that may take the packet and is better than `worst`, the best
    /// first, until it says yes.
    #[inline]
    pub(crate) fn find(&self, key: &Key<A>, worst: Order, mut judge: impl FnMut(u32) -> bool) {
        for part in &self.blocks {
            if part.first >= worst {
                return;
            }
            if !part.may_take(key.ports) {
                continue;
            }
            let block = &part.block;
            let mut candidates = block.candidates(key);
            while candidates != 0 {
                let member = &block.members[candidates.trailing_zeros() as usize];
                if judge(member.record) {
                    return;
                }
                candidates &= candidates - 1;
            }
        }
    }

    /// The block in which a rule of this order is or would be.
    fn block_of(&self, order: Order) -> usize {
        self.blocks
            .partition_point(|part| part.first <= order)
            .saturating_sub(1)
    }

    /// The same with one more rule, and how many rules were written anew.
    pub(crate) fn with(&self, member: Member<A>) -> (Self, usize) {
        let mut blocks = self.blocks.clone();
        let at = self.block_of(member.order);
        let mut members = blocks[at].block.members.clone();
        let place = members.partition_point(|other| other.order <= member.order);
        members.insert(place, member);
        let moved = members.len();
        if moved <= BLOCK {
            blocks[at] = Part::new(members);
        } else if at + 1 == blocks.len() && place == moved - 1 {
            // Rules that come in order leave full blocks behind.
            blocks.push(Part::new(vec![member]));
        } else {
            let second = members.split_off(moved / 2);
            blocks.splice(at..=at, [Part::new(members), Part::new(second)]);
        }
        (Pile { blocks }, moved)
    }

    /// The same without a rule; `None` if that was the last.
    pub(crate) fn without(&self, record: u32, order: Order) -> (Option<Self>, usize) {
        let mut blocks = self.blocks.clone();
        let holds = |part: &Part<A>| part.block.members.iter().any(|m| m.record == record);
        let guess = self.block_of(order);
        let at = if self.blocks.get(guess).is_some_and(holds) {
            Some(guess)
        } else {
            // Rules of one order may stand on both sides of a bound between blocks.
            self.blocks.iter().position(holds)
        };
        let Some(at) = at else {
            return (Some(Pile { blocks }), 0);
        };
        let mut members = blocks[at].block.members.clone();
        members.retain(|member| member.record != record);
        let moved = members.len();
        if members.is_empty() {
            blocks.remove(at);
        } else {
            blocks[at] = Part::new(members);
        }
        ((!blocks.is_empty()).then_some(Pile { blocks }), moved)
    }
}
