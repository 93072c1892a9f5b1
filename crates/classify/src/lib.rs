//! An online packet classifier: which of a million rules takes this packet, asked by many threads
//! while one changes the rules.
//!
//! A rule has ranges of addresses and ports, perhaps a protocol, and an order. The first rule in
//! order that takes a packet is found, whether it is precise or not. A packet that hides its ports
//! finds the first rule that takes it or might.
//!
//! ```
//! use sealway_classify::{Config, Found, Key, Order, Ports, Range, Rule, Writer};
//!
//! let mut writer = Writer::<u32>::new(Config::default());
//! let mut reader = writer.reader().ok_or("too many readers")?;
//! let mut change = writer.change();
//! let host = Range::one(0x0a00_0001);
//! change.insert(&Rule { source: host, ..Rule::any() }, Order::new(10, 0), 7)?;
//! change.commit()?;
//!
//! let key = Key { source: 0x0a00_0001, destination: 1, protocol: 6, ports: Ports::Known([1, 2]) };
//! let Found::Rule(hit) = reader.pin().find(&key) else { return Err("not found".into()) };
//! assert_eq!(hit.value, 7);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # How
//!
//! Tuple-space search with few, coarse tables, after TupleMerge (Daly et al., 2019):
//!
//! ```text
//!  plan ──▶ table ──▶ directory ──▶ page ──▶ bucket ──▶ chain of records, sorted
//!  (a list  (a shape:  (15 bits of   (64      (8 tags     or, if long, a pile:
//!  by best   prefixes   the hash)    buckets)  and heads)  blocks of 64 with an
//!  order)    to hash)                                      index by interval)
//! ```
//!
//! *Reading* starts in `reader.rs`, whose head lists the steps. *Writing* starts in `writer.rs`: a
//! [`Change`] places records (`place.rs`: which table; `chain.rs`: link and unlink) that belong to
//! the version to come, and publishes that as a whole. Dead records leave through `limbo.rs`, once
//! no reader can stand on them (`version.rs`). Everything shared is atomic words in arrays that
//! never move (`paged.rs`, `record.rs`, `bucket.rs`, `table.rs`), or replaced whole (`plan.rs`,
//! `pile.rs`). `groups.rs` is for packets that hide their ports.

#![forbid(unsafe_code)]

mod address;
mod bucket;
mod chain;
mod groups;
mod index;
mod limbo;
mod paged;
mod pile;
mod place;
mod plan;
mod reader;
mod record;
mod rule;
mod shape;
mod sync;
mod table;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
mod version;
mod writer;

pub use address::Address;
pub use reader::{Reader, View};
pub use rule::{Found, Hit, Judgement, Key, Order, Ports, Range, Rule};
pub use writer::{Change, RuleId, Stats, Writer};

/// The most tables for rules.
const RULE_TABLES: usize = 64;
/// The most tables for packets that hide their ports.
const SHADOW_TABLES: usize = 16;
const TABLES: usize = RULE_TABLES + SHADOW_TABLES;

/// Bounds, and the secret of the hash.
#[derive(Clone, Debug)]
pub struct Config {
    /// The most rules.
    pub rules: u32,
    /// The most records that wait for readers to pass.
    pub limbo: usize,
    /// The most readers.
    pub readers: usize,
    /// Random numbers, so that nobody can choose rules that collide.
    pub seed: [u64; 4],
}

impl Default for Config {
    fn default() -> Self {
        Config {
            rules: 1 << 21,
            limbo: 1 << 18,
            readers: 64,
            seed: [
                0x243f_6a88_85a3_08d3,
                0x1319_8a2e_0370_7345,
                0xa409_3822_299f_31d1,
                0x082e_fa98_ec4e_6c89,
            ],
        }
    }
}

/// A bound was reached. What was asked for was not done, and nothing else changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Limit {
    /// [`Config::rules`].
    #[error("there are {0} rules, and no more are allowed: remove some or raise the bound")]
    Rules(u32),
    /// No page is left for the tables.
    #[error("the tables have {0} pages, and no more are allowed: raise the bound on rules")]
    Pages(usize),
    /// One table has as many pages as its directory can name.
    #[error("a table has as many pages as its directory can name: spread the rules")]
    Directory,
    /// Too many rules that no table tells apart.
    #[error(
        "there are {0} rules that differ neither in prefixes nor in leading bits of ports, and no \
         more are allowed: merge some"
    )]
    Pile(usize),
    /// [`Config::limbo`].
    #[error(
        "{0} removed rules wait for readers to pass, and no more may: try again, or remove fewer \
         at once"
    )]
    Limbo(usize),
}

impl Limit {
    /// Whether the same may succeed a moment later.
    pub const fn is_passing(&self) -> bool {
        matches!(self, Limit::Limbo(_))
    }
}
