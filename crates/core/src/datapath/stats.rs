//! A datapath's counters. One worker writes them; whoever shows them sums those of all.

use crate::verdict::DropReason;

/// What became of the packets of one datapath.
///
/// `received + originated = sent + delivered + dropped + held + pending + consumed`, always.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stats {
    /// Packets read from the inside.
    pub received_inside: u64,
    /// Packets read from the outside.
    pub received_outside: u64,
    /// Packets that the engine made itself (ICMP errors).
    pub originated: u64,
    /// Packets that left towards the outside.
    pub sent: u64,
    /// Packets let in, those that the engine made among them.
    pub delivered: u64,
    /// Packets that wait for an SA.
    pub held: u64,
    /// Packets whose transform is under way.
    pub pending: u64,
    /// Packets that ended as they should: fragments made whole, dummies.
    pub consumed: u64,
    /// Segments that super-packets were cut into, each super-packet being one of the packets above.
    pub segments: u64,
    /// Super-packets of which some segments were sent and the rest was not.
    pub partial: u64,
    /// Delivered packets that were handed over as part of the super-packet before them.
    pub coalesced: u64,
    dropped: [u64; DropReason::ALL.len()],
}

impl Default for Stats {
    fn default() -> Self {
        Stats {
            received_inside: 0,
            received_outside: 0,
            originated: 0,
            sent: 0,
            delivered: 0,
            held: 0,
            pending: 0,
            consumed: 0,
            segments: 0,
            partial: 0,
            coalesced: 0,
            dropped: [0; DropReason::ALL.len()],
        }
    }
}

impl Stats {
    /// Packets dropped for this reason.
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.dropped[reason as usize]
    }

    /// Packets dropped, whatever the reason.
    pub fn dropped_in_all(&self) -> u64 {
        self.dropped.iter().sum()
    }

    /// Packets dropped on their way in as a packet is that was damaged, wherever the damage was done.
    pub fn damaged(&self) -> u64 {
        let reasons = [
            DropReason::NoSaIn,
            DropReason::EspLength,
            DropReason::Replay,
            DropReason::UnreservedIn,
            DropReason::Integrity,
        ];
        reasons.into_iter().map(|reason| self.dropped(reason)).sum()
    }

    /// Whether every packet has had exactly one verdict.
    pub fn balances(&self) -> bool {
        let came = self.received_inside + self.received_outside + self.originated;
        let went = self.sent
            + self.delivered
            + self.dropped_in_all()
            + self.held
            + self.pending
            + self.consumed;
        came == went
    }

    pub(super) fn drop_for(&mut self, reason: DropReason) {
        self.dropped[reason as usize] += 1;
    }
}
