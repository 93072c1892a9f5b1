//! How long an SA lasts (RFC 4301 §4.4.2.1): by octets, by packets, by time.
//!
//! The road compares what it counts with *marks*: the nearest value at which something is to be
//! done. Only where one is reached does anybody look what that is.

use std::sync::atomic::{
    AtomicU8, AtomicU64,
    Ordering::{Relaxed, SeqCst},
};
use std::time::Duration;

use crate::time::Time;

/// Limits of one severity. A limit is reached when what it limits is as large as it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lifetime {
    /// Octets protected, without what ESP adds.
    pub octets: Option<u64>,
    /// Packets sealed or opened.
    pub packets: Option<u64>,
    /// Time since the SA was added.
    pub since_added: Option<Duration>,
    /// Time since the SA sealed or opened its first packet.
    pub since_used: Option<Duration>,
}

/// An SA's limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lifetimes {
    /// At which the SA ends: its packets are dropped, and it is removed.
    pub hard: Lifetime,
    /// At which whoever replaces it is told.
    pub soft: Lifetime,
}

impl Lifetimes {
    /// Whether there is any limit.
    pub fn is_limited(&self) -> bool {
        *self != Lifetimes::default()
    }

    pub(super) fn has_zero(&self) -> bool {
        [self.hard, self.soft].iter().any(|lifetime| {
            let times = [lifetime.since_added, lifetime.since_used];
            [lifetime.octets, lifetime.packets].contains(&Some(0))
                || times.contains(&Some(Duration::ZERO))
        })
    }
}

/// Which limit of an SA was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Limit {
    /// [`Lifetime::octets`].
    Octets,
    /// [`Lifetime::packets`].
    Packets,
    /// [`Lifetime::since_added`].
    SinceAdded,
    /// [`Lifetime::since_used`].
    SinceUsed,
}

impl Limit {
    /// Its name: `octets`, `packets`, `since_added`, `since_used`.
    pub const fn name(self) -> &'static str {
        match self {
            Limit::Octets => "octets",
            Limit::Packets => "packets",
            Limit::SinceAdded => "since_added",
            Limit::SinceUsed => "since_used",
        }
    }
}

impl std::fmt::Display for Limit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Limit::Octets => "octets",
            Limit::Packets => "packets",
            Limit::SinceAdded => "time since it was added",
            Limit::SinceUsed => "time since it was first used",
        })
    }
}

/// What is to be told of an SA's limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reached {
    Soft(Limit),
    Hard(Limit),
}

/// What an SA has done, and when somebody is to look at it.
#[derive(Debug)]
pub(crate) struct Usage {
    packets: AtomicU64,
    octets: AtomicU64,
    /// More packets than this: look.
    packet_mark: AtomicU64,
    octet_mark: AtomicU64,
    /// From this moment on: look.
    time_mark: AtomicU64,
    added: Time,
    /// When it was used first; [`Time::NEVER`] while it was not.
    first: AtomicU64,
    /// When it sealed last; [`Time::NEVER`] while it did not.
    sealed: AtomicU64,
    flags: AtomicU8,
}

/// A hard limit was reached.
const ENDED: u8 = 1;
/// A soft limit was told.
const SOFT_TOLD: u8 = 2;
/// A hard limit was told.
const HARD_TOLD: u8 = 4;

impl Usage {
    pub(crate) fn new(lifetimes: &Lifetimes, added: Time) -> Self {
        let usage = Usage {
            packets: AtomicU64::new(0),
            octets: AtomicU64::new(0),
            packet_mark: AtomicU64::new(0),
            octet_mark: AtomicU64::new(u64::MAX),
            time_mark: AtomicU64::new(u64::MAX),
            added,
            first: AtomicU64::new(Time::NEVER.nanoseconds()),
            sealed: AtomicU64::new(Time::NEVER.nanoseconds()),
            flags: AtomicU8::new(0),
        };
        usage.set_marks(lifetimes);
        usage
    }

    pub(crate) fn packets(&self) -> u64 {
        self.packets.load(Relaxed)
    }

    pub(crate) fn octets(&self) -> u64 {
        self.octets.load(Relaxed)
    }

    pub(crate) fn added(&self) -> Time {
        self.added
    }

    /// When it was used first.
    pub(crate) fn first(&self) -> Option<Time> {
        let first = Time::from_nanoseconds(self.first.load(Relaxed));
        (first != Time::NEVER).then_some(first)
    }

    /// When it sealed last.
    pub(crate) fn sealed(&self) -> Option<Time> {
        let sealed = Time::from_nanoseconds(self.sealed.load(Relaxed));
        (sealed != Time::NEVER).then_some(sealed)
    }

    /// It seals now.
    #[inline]
    pub(crate) fn seals(&self, now: Time) {
        self.sealed.store(now.nanoseconds(), Relaxed);
    }

    /// Whether the SA is to be looked at before it is used: it has ended, or a limit of time was
    /// reached.
    #[inline]
    pub(crate) fn is_due(&self, now: Time) -> bool {
        now.nanoseconds() >= self.time_mark.load(Relaxed)
    }

    /// Counts; whether the SA is to be looked at. One worker writes this: plain loads and stores.
    #[inline]
    #[must_use]
    pub(crate) fn count(&self, packets: u64, octets: u64) -> bool {
        let packets = self.packets.load(Relaxed) + packets;
        self.packets.store(packets, Relaxed);
        let octets = self.octets.load(Relaxed) + octets;
        self.octets.store(octets, Relaxed);
        packets > self.packet_mark.load(Relaxed) || octets > self.octet_mark.load(Relaxed)
    }

    /// Whether a hard limit was reached.
    pub(crate) fn has_ended(&self) -> bool {
        self.flags.load(Relaxed) & ENDED != 0
    }

    /// Looks: notes the first use, ends the SA where a hard limit is reached, and tells once of
    /// each severity. What `tell` cannot take will be told the next time.
    #[cold]
    pub(crate) fn look(
        &self,
        lifetimes: &Lifetimes,
        now: Time,
        mut tell: impl FnMut(Reached) -> bool,
    ) {
        let unused = Time::NEVER.nanoseconds();
        if self.packets() > 0 && self.first.load(Relaxed) == unused {
            self.first.store(now.nanoseconds(), SeqCst);
        }
        if let Some(limit) = self.reached(&lifetimes.hard, now) {
            self.flags.fetch_or(ENDED, SeqCst);
            self.once(HARD_TOLD, || tell(Reached::Hard(limit)));
        } else if let Some(limit) = self.reached(&lifetimes.soft, now) {
            self.once(SOFT_TOLD, || tell(Reached::Soft(limit)));
        }
        self.set_marks(lifetimes);
    }

    fn once(&self, flag: u8, tell: impl FnOnce() -> bool) {
        let is_first = self.flags.fetch_or(flag, SeqCst) & flag == 0;
        if is_first && !tell() {
            self.flags.fetch_and(!flag, SeqCst);
        }
    }

    fn reached(&self, lifetime: &Lifetime, now: Time) -> Option<Limit> {
        let [added, used] = self.ends(lifetime);
        let is = |limit: Option<u64>, value: u64| limit.is_some_and(|limit| value >= limit);
        let reached = [
            (Limit::Octets, is(lifetime.octets, self.octets())),
            (Limit::Packets, is(lifetime.packets, self.packets())),
            (Limit::SinceAdded, now >= added),
            (Limit::SinceUsed, now >= used),
        ];
        let first = reached.iter().find(|(_, is_reached)| *is_reached)?;
        Some(first.0)
    }

    /// The moments at which the limits of time are reached.
    fn ends(&self, lifetime: &Lifetime) -> [Time; 2] {
        let added = lifetime.since_added.map(|wait| self.added.after(wait));
        let used = lifetime.since_used;
        let used = used.and_then(|wait| Some(self.first()?.after(wait)));
        [added, used].map(|end| end.unwrap_or(Time::NEVER))
    }

    /// Looks again where `control` and a worker look at the same time.
    fn set_marks(&self, lifetimes: &Lifetimes) {
        let seen = || (self.flags.load(SeqCst), self.first.load(SeqCst));
        loop {
            let before = seen();
            self.set_marks_by(lifetimes, before.0);
            if seen() == before {
                return;
            }
        }
    }

    fn set_marks_by(&self, lifetimes: &Lifetimes, flags: u8) {
        let mut time = Time::NEVER;
        let (mut packets, mut octets) = (u64::MAX, u64::MAX);
        let waits = [
            (&lifetimes.hard, flags & ENDED == 0),
            (&lifetimes.soft, flags & (SOFT_TOLD | ENDED) == 0),
        ];
        for (lifetime, _) in waits.iter().filter(|(_, waits)| *waits) {
            let [added, used] = self.ends(lifetime);
            time = time.min(added).min(used);
            let mark = |limit: Option<u64>| limit.map_or(u64::MAX, |limit| limit.saturating_sub(1));
            packets = packets.min(mark(lifetime.packets));
            octets = octets.min(mark(lifetime.octets));
        }
        if flags & ENDED != 0 {
            time = Time::default();
        }
        if self.first().is_none() {
            packets = 0;
        }
        self.packet_mark.store(packets, SeqCst);
        self.octet_mark.store(octets, SeqCst);
        self.time_mark.store(time.nanoseconds(), SeqCst);
    }
}

#[cfg(test)]
mod tests;
