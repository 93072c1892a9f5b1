//! A rule as readers see it: one cache line of atomic words (two for IPv6).
//!
//! The writer fills a record before it links it, and uses it for another rule only after every
//! reader has passed. In between it changes nothing but the link to the next record of the chain
//! and the version in which the rule died.

use crate::address::Address;
use crate::rule::{Hit, Judgement, Key, Order, Ports, Range, Rule};
use crate::sync::{Acquire, AtomicU64, Relaxed, Release};

/// No record, no pile: the end of a chain.
pub(crate) const NONE: u32 = 0;

/// A rule in a table.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(crate) struct Record<A: Address> {
    ends: A::Ends,
    /// First and last of both ports, sixteen bits each.
    ports: AtomicU64,
    order: AtomicU64,
    /// The next record of the chain (32 bits), the table (8), protocol or [`ANY`] (9), flags.
    link: AtomicU64,
    /// The caller's value (32), the rule's number (32).
    value: AtomicU64,
    born: AtomicU64,
    died: AtomicU64,
}

/// The protocol of rules for any.
const ANY: u64 = 0x100;
/// The rule takes only packets that show their ports.
const NEEDS_PORTS: u64 = 1 << 63;
const PROTOCOL: u32 = 40;
const TABLE: u32 = 32;
/// Not dead.
pub(crate) const ALIVE: u64 = u64::MAX;

/// What a record is made from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Content<A> {
    pub(crate) rule: Rule<A>,
    pub(crate) order: Order,
    pub(crate) value: u32,
    /// The rule's number, for the writer.
    pub(crate) number: u32,
}

impl<A: Address> Record<A> {
    /// Fills a record that no reader can reach.
    pub(crate) fn fill(&self, content: &Content<A>, born: u64) {
        let Content { rule, order, .. } = content;
        let (source, destination) = (rule.source, rule.destination);
        A::store(
            &self.ends,
            [
                source.first(),
                source.last(),
                destination.first(),
                destination.last(),
            ],
        );
        let [a, b] = rule.ports.unwrap_or([Range::ALL_PORTS; 2]);
        let ports = [a.first(), a.last(), b.first(), b.last()];
        let packed = ports
            .into_iter()
            .fold(0, |word, port| word << 16 | u64::from(port));
        self.ports.store(packed, Relaxed);
        self.order.store(order.0, Relaxed);
        let protocol = rule.protocol.map_or(ANY, u64::from) << PROTOCOL;
        let flags = if rule.ports.is_some() { NEEDS_PORTS } else { 0 };
        self.link.store(protocol | flags, Relaxed);
        let value = u64::from(content.value) << 32 | u64::from(content.number);
        self.value.store(value, Relaxed);
        self.born.store(born, Relaxed);
        self.died.store(ALIVE, Relaxed);
    }

    /// What it was filled with.
    pub(crate) fn content(&self) -> Content<A> {
        let value = self.value.load(Relaxed);
        Content {
            rule: self.rule(),
            order: self.order(),
            value: (value >> 32) as u32,
            number: value as u32,
        }
    }

    pub(crate) fn rule(&self) -> Rule<A> {
        let [a, b, c, d] = A::load(&self.ends);
        let link = self.link.load(Relaxed);
        let word = self.ports.load(Relaxed);
        let port = |shift: u32| (word >> shift) as u16;
        let range = |first, last| Range::new(first, last).unwrap_or(Range::one(first));
        let ports = [range(port(48), port(32)), range(port(16), port(0))];
        let protocol = link >> PROTOCOL & 0x1ff;
        Rule {
            source: Range::new(a, b).unwrap_or(Range::one(a)),
            destination: Range::new(c, d).unwrap_or(Range::one(c)),
            protocol: (protocol != ANY).then_some(protocol as u8),
            ports: (link & NEEDS_PORTS != 0).then_some(ports),
        }
    }

    #[inline]
    pub(crate) fn order(&self) -> Order {
        Order(self.order.load(Relaxed))
    }

    #[inline]
    pub(crate) fn hit(&self) -> Hit {
        Hit {
            order: self.order(),
            value: (self.value.load(Relaxed) >> 32) as u32,
        }
    }

    /// The next record of its chain.
    #[inline]
    pub(crate) fn next(&self) -> u32 {
        self.link.load(Acquire) as u32
    }

    /// Links the next one; what was written to that one before is seen by who follows.
    pub(crate) fn set_next(&self, next: u32) {
        let rest = self.link.load(Relaxed) & !u64::from(u32::MAX);
        self.link.store(rest | u64::from(next), Release);
    }

    /// The table it is in.
    pub(crate) fn table(&self) -> u8 {
        (self.link.load(Relaxed) >> TABLE) as u8
    }

    /// Says which table it is in, before it is linked.
    pub(crate) fn set_table(&self, table: u8) {
        let rest = self.link.load(Relaxed) & !(0xff << TABLE);
        self.link.store(rest | u64::from(table) << TABLE, Relaxed);
    }

    /// Whether it is among the rules of a version.
    #[inline]
    pub(crate) fn is_in(&self, version: u64) -> bool {
        self.born.load(Relaxed) <= version && version < self.died.load(Relaxed)
    }

    pub(crate) fn born(&self) -> u64 {
        self.born.load(Relaxed)
    }

    pub(crate) fn died(&self) -> u64 {
        self.died.load(Relaxed)
    }

    /// It is in no version from this one on; [`ALIVE`] takes that back.
    pub(crate) fn set_died(&self, version: u64) {
        self.died.store(version, Relaxed);
    }

    /// Whether it takes a packet that shows its ports, or has none to show.
    #[inline]
    pub(crate) fn takes(&self, key: &Whole<A>) -> bool {
        let [a, b, c, d] = A::load(&self.ends);
        let ports = self.ports.load(Relaxed);
        let link = self.link.load(Relaxed);
        let protocol = link >> PROTOCOL & 0x1ff;
        let [first, second] = key.ports;
        (a <= key.source)
            & (key.source <= b)
            & (c <= key.destination)
            & (key.destination <= d)
            & ((protocol == ANY) | (protocol == key.protocol))
            & ((ports >> 48) as u16 <= first)
            & (first <= (ports >> 32) as u16)
            & ((ports >> 16) as u16 <= second)
            & (second <= ports as u16)
            & (link & key.refuses == 0)
    }

    /// What it says of any packet.
    pub(crate) fn judge(&self, key: &Key<A>) -> Judgement {
        self.rule().judge(key)
    }
}

/// A key that hides nothing, as records compare it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Whole<A> {
    pub(crate) source: A,
    pub(crate) destination: A,
    protocol: u64,
    pub(crate) ports: [u16; 2],
    /// Flags of rules that do not take it.
    refuses: u64,
}

impl<A: Address> Whole<A> {
    #[inline]
    pub(crate) fn of(key: &Key<A>) -> Self {
        let (ports, refuses) = match key.ports {
            Ports::Known(ports) => (ports, 0),
            Ports::Absent | Ports::Hidden | Ports::HiddenWithProtocol => ([0; 2], NEEDS_PORTS),
        };
        Whole {
            source: key.source,
            destination: key.destination,
            protocol: u64::from(key.protocol),
            ports,
            refuses,
        }
    }

    /// Whether tables that hash ports may hold a rule for it.
    #[inline]
    pub(crate) fn shows_ports(&self) -> bool {
        self.refuses == 0
    }

    /// Both ports in one word.
    #[inline]
    pub(crate) fn port_word(&self) -> u32 {
        u32::from(self.ports[0]) << 16 | u32::from(self.ports[1])
    }
}
