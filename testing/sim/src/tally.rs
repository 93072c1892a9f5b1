//! How often what happened: a simulation that never delivers proves nothing.

use std::fmt;

use sealway_core::DropReason;
use sealway_oracle::Observed;

/// Verdicts so far.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Packets that left.
    pub sent: u64,
    /// Packets let in.
    pub delivered: u64,
    /// Fragments and dummies.
    pub consumed: u64,
    /// Transactions.
    pub commands: u64,
    /// Peers that were heard elsewhere than before.
    pub moved: u64,
    dropped: Vec<(DropReason, u64)>,
}

impl Tally {
    pub(crate) fn count(&mut self, observed: &Observed) {
        match observed {
            Observed::Sent(..) => self.sent += 1,
            Observed::Delivered(_) => self.delivered += 1,
            Observed::Dropped(reason) => self.drop(*reason, 1),
            Observed::Consumed => self.consumed += 1,
            Observed::Held | Observed::Pending => {}
        }
    }

    fn drop(&mut self, reason: DropReason, count: u64) {
        match self.dropped.iter_mut().find(|(other, _)| *other == reason) {
            Some((_, sum)) => *sum += count,
            None => self.dropped.push((reason, count)),
        }
    }

    /// Packets dropped for this reason.
    pub fn dropped(&self, reason: DropReason) -> u64 {
        let found = self.dropped.iter().find(|(other, _)| *other == reason);
        found.map_or(0, |(_, count)| *count)
    }

    /// Packets judged.
    pub fn packets(&self) -> u64 {
        let dropped: u64 = self.dropped.iter().map(|(_, count)| count).sum();
        self.sent + self.delivered + self.consumed + dropped
    }

    /// Adds another run's.
    pub fn add(&mut self, other: &Tally) {
        self.sent += other.sent;
        self.delivered += other.delivered;
        self.consumed += other.consumed;
        self.commands += other.commands;
        self.moved += other.moved;
        for (reason, count) in &other.dropped {
            self.drop(*reason, *count);
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:>10} packets", self.packets())?;
        writeln!(f, "{:>10} transactions", self.commands)?;
        writeln!(f, "{:>10} sent", self.sent)?;
        writeln!(f, "{:>10} delivered", self.delivered)?;
        writeln!(f, "{:>10} consumed", self.consumed)?;
        writeln!(f, "{:>10} peers moved", self.moved)?;
        for reason in DropReason::ALL {
            writeln!(f, "{:>10} {}", self.dropped(*reason), reason.name())?;
        }
        Ok(())
    }
}
