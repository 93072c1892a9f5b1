//! The numbers that an SA sends, and how far it may go.
//!
//! Where storage that outlives the process hands the numbers out, none is used before it was
//! reserved there. Whoever keeps the storage is asked for more when half of what it reserved is
//! used, and raises the limit once more of them are safe.

use super::published::Shown;
use crate::sync::atomic::{
    AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};

/// Where an SA goes on that an earlier run began, and how far storage lets it go
/// (see [`Command::Continue`](crate::Command::Continue)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Continuation {
    /// Every number up to this may have been sent before.
    pub sent: u64,
    /// Every number up to this may have been accepted before: none of them is accepted again.
    pub received: u64,
    /// Where the explicit IVs of counter modes start, the same as long as the keys are the same:
    /// an IV is this plus the sequence number, so that it comes back only if the number does.
    pub iv_start: u64,
    /// What storage has reserved.
    pub reserved: Reserved,
}

/// The numbers that are reserved on storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reserved {
    /// The last that may be sent.
    pub send: u64,
    /// The highest that may be accepted.
    pub receive: u64,
}

/// How far an SA's numbers have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The number that is sent next.
    pub next: u64,
    /// The highest number accepted, and every number up to the start; 0 without a replay window.
    pub top: u64,
    /// The highest number that came and verified, accepted or not; 0 without a replay window.
    pub wanted: u64,
    /// How far they may go.
    pub reserved: Reserved,
}

/// Why there is no number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoNumber {
    /// The last was used (RFC 4303 §3.3.3).
    Exhausted,
    /// More must be reserved first.
    Unreserved,
}

/// The numbers of the packets that an SA sends.
#[derive(Debug)]
pub(crate) struct Outgoing {
    next: AtomicU64,
    /// Numbers below this are free to take; from there on somebody looks. Never above `end`.
    mark: AtomicU64,
    /// Numbers below this are reserved.
    end: AtomicU64,
    /// One more than the last number that there is.
    last_end: u64,
    /// The number that would have been next when it was closed; 0: it is open.
    closed_at: AtomicU64,
    pub(super) published: Shown,
}

impl Outgoing {
    /// The first number is the one above `start`, the last one is `last`; all are reserved.
    pub(crate) fn new(start: u64, last: u64) -> Self {
        let end = last.saturating_add(1);
        Outgoing {
            next: AtomicU64::new(start + 1),
            mark: AtomicU64::new(end),
            end: AtomicU64::new(end),
            last_end: end,
            closed_at: AtomicU64::new(0),
            published: Shown::default(),
        }
    }

    /// The number that is next, or would be if it were not closed: read first, since it is the
    /// first that closing changes.
    pub(crate) fn next(&self) -> u64 {
        let next = self.next.load(Acquire);
        match self.closed_at.load(Relaxed) {
            0 => next,
            closed_at => closed_at,
        }
    }

    /// The last number that is reserved.
    pub(crate) fn reserved(&self) -> u64 {
        self.end.load(Relaxed) - 1
    }

    /// Takes `count` numbers at once; the first of them, or `None` where
    /// [`take_late`](Self::take_late) has to be asked. None is ever given twice.
    #[inline]
    pub(crate) fn take(&self, count: u64) -> Option<u64> {
        self.take_below(count, self.mark.load(Acquire))
    }

    #[inline]
    fn take_below(&self, count: u64, bound: u64) -> Option<u64> {
        let mut next = self.next.load(Relaxed);
        loop {
            let end = next.checked_add(count).filter(|end| *end <= bound)?;
            match self.next.compare_exchange_weak(next, end, Relaxed, Relaxed) {
                Ok(_) => {
                    self.published.raise(end);
                    return Some(next);
                }
                Err(changed) => next = changed,
            }
        }
    }

    /// The same up to the end of what is reserved. `ask` asks for more and says whether it was
    /// heard; then it is not asked again before [`reserve`](Self::reserve) or the end.
    ///
    /// # Errors
    /// There is none.
    #[cold]
    pub(crate) fn take_late(
        &self,
        count: u64,
        ask: impl FnOnce() -> bool,
    ) -> Result<u64, NoNumber> {
        let end = self.end.load(Acquire);
        let taken = self.take_below(count, end);
        if end < self.last_end && ask() && taken.is_some() {
            self.mark.store(end, Release);
        }
        match taken {
            Some(first) => Ok(first),
            None if self
                .next
                .load(Relaxed)
                .checked_add(count)
                .is_some_and(|next| next <= self.last_end) =>
            {
                Err(NoNumber::Unreserved)
            }
            None => {
                // What cannot number a whole train numbers no other either: it has ended.
                self.next.fetch_max(self.last_end, Relaxed);
                Err(NoNumber::Exhausted)
            }
        }
    }

    /// Continues above what was used before.
    pub(crate) fn continue_from(&self, next: u64) {
        self.next.fetch_max(next.min(self.last_end), Relaxed);
    }

    /// Gives no number from now on; the one that would have been next. A worker that still holds an
    /// older version of the tables takes none either, so whoever goes on with the same keys can
    /// start there.
    pub(crate) fn close(&self) -> u64 {
        let next = self.next.fetch_max(self.last_end, Relaxed);
        // A second time there is nothing new to say.
        let _ = self.closed_at.compare_exchange(0, next, Relaxed, Relaxed);
        self.next()
    }

    /// Begins to keep within what storage has reserved: up to `last`.
    pub(crate) fn confine(&self, last: u64) {
        self.set_end(last);
    }

    /// More are reserved: up to `last`.
    pub(crate) fn reserve(&self, last: u64) {
        if last > self.reserved() {
            self.set_end(last);
        }
    }

    /// Who sees that a number is reserved sees storage as it was when that was said.
    fn set_end(&self, last: u64) {
        let end = last.saturating_add(1).min(self.last_end);
        let next = self.next();
        let mark = match end == self.last_end {
            true => end,
            false => next + end.saturating_sub(next) / 2,
        };
        self.mark.store(mark.min(end), Release);
        self.end.store(end, Release);
    }
}

#[cfg(test)]
#[cfg(not(loom))]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_are_taken_up_to_the_last() {
        let numbers = Outgoing::new(7, 20);
        assert_eq!(numbers.take(10), Some(8));
        assert_eq!(numbers.take(3), Some(18));
        assert_eq!(numbers.take(1), None);
        assert_eq!(
            numbers.take_late(1, || panic!("nobody can help")),
            Err(NoNumber::Exhausted)
        );
    }

    #[test]
    fn a_train_that_cannot_be_numbered_whole_ends_the_sa() {
        let numbers = Outgoing::new(u64::MAX - 4, u64::MAX - 1);
        assert_eq!(numbers.take(4), None);
        assert_eq!(numbers.take_late(4, || true), Err(NoNumber::Exhausted));
        assert_eq!(numbers.take_late(1, || true), Err(NoNumber::Exhausted));
        assert_eq!(numbers.next(), u64::MAX);
    }

    #[test]
    fn more_is_asked_for_at_half_and_once() {
        let numbers = Outgoing::new(0, 1000);
        numbers.confine(100);
        assert_eq!(numbers.take(50), Some(1));
        let mut asked = 0;
        let mut late = |count| {
            numbers.take(count).map_or_else(
                || {
                    numbers.take_late(count, || {
                        asked += 1;
                        true
                    })
                },
                Ok,
            )
        };
        assert_eq!(late(1), Ok(51));
        assert_eq!(late(49), Ok(52));
        assert_eq!(late(1), Err(NoNumber::Unreserved));
        assert_eq!(asked, 2);
        numbers.reserve(101);
        assert_eq!(numbers.take(1), None);
        assert_eq!(numbers.take_late(1, || true), Ok(101));
        numbers.reserve(2000);
        assert_eq!(numbers.take(899), Some(102));
        assert_eq!(numbers.take_late(1, || true), Err(NoNumber::Exhausted));
    }

    proptest! {
        /// The naive twin: a list of what was given.
        #[test]
        fn no_number_is_given_twice_or_unreserved(
            steps in proptest::collection::vec((1u64..40, 0u64..60), 1..60)
        ) {
            let numbers = Outgoing::new(0, 900);
            numbers.confine(10);
            let (mut next, mut end) = (1, 10);
            for (count, more) in steps {
                let taken = numbers.take(count).or_else(|| numbers.take_late(count, || more > 3).ok());
                let expected = (next + count - 1 <= end).then_some(next);
                prop_assert_eq!(taken, expected);
                match expected {
                    Some(_) => next += count,
                    None if next + count - 1 > 900 => next = 901,
                    None => {}
                }
                if more > 30 {
                    end = end.max((next + more).min(900));
                    numbers.reserve(next + more);
                }
            }
        }
    }
}
