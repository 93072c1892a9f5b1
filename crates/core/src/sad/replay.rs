//! The replay window (RFC 4303 §3.4.3, appendix A2).

use sealway_crypto::Sequence;

use super::published::Shown;
use crate::sync::atomic::{
    AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};

/// How many numbers behind the highest one are remembered: 1 to 65 536.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WindowSize(u32);

impl WindowSize {
    /// 1024: enough for a network that reorders within a train or two.
    pub const DEFAULT: WindowSize = WindowSize(1024);
    /// The largest.
    pub const MAX: WindowSize = WindowSize(65_536);

    /// A window of `packets`, or `None` if that is 0 or above [`MAX`](Self::MAX).
    pub const fn new(packets: u32) -> Option<Self> {
        if packets == 0 || packets > WindowSize::MAX.0 {
            None
        } else {
            Some(WindowSize(packets))
        }
    }

    /// Its size in packets.
    pub const fn packets(self) -> u32 {
        self.0
    }
}

/// What was received, as a ring of words around the highest number whose ICV verified.
///
/// Each word holds a block of 32 numbers: which block in its upper half, one bit a number in its
/// lower one. A block that enters the window replaces the one whose place it takes, in the same
/// compare-and-swap that sets its first bit, so there is nothing to clear and nothing to lock: a
/// word only moves on to later blocks and its bits are only ever set, and so no number is accepted
/// twice whatever threads do at once.
///
/// [`check`](Self::check) only spares a decryption and may be out of date by the time that is
/// done. [`commit`](Self::commit) is a test-and-set after the ICV verified, and its answer is the
/// verdict.
///
/// Where storage that outlives the process keeps what was received, numbers are accepted only up
/// to a limit that is reserved there: after a crash everything up to it counts as seen.
#[derive(Debug)]
pub struct ReplayWindow {
    size: u64,
    form: Sequence,
    /// Where the window ends. Threads that store it at the same time may leave the lower value: the
    /// window is wider until the next number above, which its words do not depend on.
    edge: AtomicU64,
    /// The highest number that may be accepted, and from where on more is asked for.
    limit: AtomicU64,
    mark: AtomicU64,
    /// The highest number that came above the limit.
    wanted: AtomicU64,
    pub(super) published: Shown,
    /// A power of two, and at least one more than the window needs.
    words: Box<[AtomicU64]>,
}

/// Numbers in a block.
const BLOCK: u64 = 32;

/// A word of the ring.
#[derive(Clone, Copy)]
struct Word(u64);

impl Word {
    fn new(block: u64, bits: u32) -> Self {
        Word(block << 32 | u64::from(bits))
    }

    /// How many blocks `block` is ahead of this word's, modulo 2³². No number that the window infers
    /// is so far ahead that the sign would be in doubt.
    #[inline]
    const fn behind(self, block: u64) -> i32 {
        (block as u32).wrapping_sub((self.0 >> 32) as u32) as i32
    }

    /// The highest number in it, unless its block lies before `block`.
    fn highest(self, block: u64) -> Option<u64> {
        let ahead = u64::try_from(-i64::from(self.behind(block))).ok()?;
        let highest = u64::from((self.0 as u32).checked_ilog2()?);
        Some((block + ahead) * BLOCK + highest)
    }

    /// The word with the number accepted; `None` if it was before, or if its block has gone.
    #[inline]
    fn with(self, sequence: u64) -> Option<Word> {
        let bit = 1 << (sequence % BLOCK);
        match self.behind(sequence / BLOCK) {
            0 if self.0 & bit == 0 => Some(Word(self.0 | bit)),
            1.. => Some(Word::new(sequence / BLOCK, bit as u32)),
            _ => None,
        }
    }
}

/// What became of a number whose ICV verified.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Commit {
    /// It is accepted.
    Accepted,
    /// It is accepted, and there is not much left of what storage reserved: ask for more.
    Scarce,
    /// It was accepted before, or lies behind the window.
    Replayed,
    /// It lies above what storage has reserved.
    Unreserved,
}

impl ReplayWindow {
    /// A window at its start: every number above `start` is new, and none up to it.
    pub fn new(size: WindowSize, form: Sequence, start: u64) -> Self {
        let words = (u64::from(size.0).div_ceil(BLOCK) + 1).next_power_of_two();
        let window = ReplayWindow {
            size: u64::from(size.0),
            form,
            edge: AtomicU64::new(start),
            limit: AtomicU64::new(u64::MAX),
            mark: AtomicU64::new(u64::MAX),
            wanted: AtomicU64::new(0),
            published: Shown::default(),
            words: (0..words).map(|_| AtomicU64::new(0)).collect(),
        };
        window.begin_at(start);
        window
    }

    /// Of a window that nobody uses yet: every number up to `start` counts as accepted.
    fn begin_at(&self, start: u64) {
        let (words, newest) = (self.words.len() as u64, start / BLOCK);
        for (index, word) in (0..words).zip(&self.words) {
            // The last block up to the newest that has its place there, all of it accepted.
            let block = newest.wrapping_sub(newest.wrapping_sub(index) % words);
            let bits = match block == newest {
                true => u32::MAX >> (BLOCK - 1 - start % BLOCK),
                false => u32::MAX,
            };
            word.store(Word::new(block, bits).0, Relaxed);
        }
        self.edge.store(start, Relaxed);
    }

    /// Before the first packet: everything up to `start` counts as accepted, and nothing above
    /// `limit` is until it is [reserved](Self::reserve).
    pub(crate) fn confine(&self, start: u64, limit: u64) {
        if start > self.top() {
            self.begin_at(start);
        }
        self.set_limit(limit);
    }

    /// Numbers up to `limit` may be accepted, though none below what was accepted: also less than
    /// before, which is certain when every datapath has begun another batch. What the limit is now.
    pub(crate) fn reserve(&self, limit: u64) -> u64 {
        let limit = limit.max(self.top());
        self.set_limit(limit);
        limit
    }

    fn set_limit(&self, limit: u64) {
        let top = self.top();
        let mark = top + limit.saturating_sub(top) / 2;
        self.limit.store(limit, Release);
        self.mark.store(mark, Release);
    }

    /// Somebody has heard that there is not much left: until the end of it he need not be told.
    pub(crate) fn asked(&self) {
        self.mark.store(self.limit.load(Acquire), Release);
    }

    /// The highest number that may be accepted.
    pub fn limit(&self) -> u64 {
        self.limit.load(Acquire)
    }

    /// The highest number that verified, accepted or not.
    pub fn wanted(&self) -> u64 {
        self.wanted.load(Relaxed).max(self.top())
    }

    /// The highest number accepted, by every word of the ring: what is kept beyond this window's
    /// life has to be exact.
    pub fn top(&self) -> u64 {
        let edge = self.edge();
        let words = self.words.iter().map(|word| Word(word.load(Relaxed)));
        let later = words.filter_map(|word| word.highest(edge / BLOCK));
        later.fold(edge, u64::max)
    }

    /// Whether no number above this one, which was accepted, has been.
    pub(crate) fn is_newest(&self, sequence: u64) -> bool {
        self.top() == sequence
    }

    /// Whether it may be the newest: a look, to spare the whole question.
    #[inline]
    pub(crate) fn is_at_edge(&self, sequence: u64) -> bool {
        self.edge() == sequence
    }

    #[inline]
    fn edge(&self) -> u64 {
        self.edge.load(Relaxed)
    }

    /// The whole number that the 32 bits of a packet stand for: its own, or with ESN the one
    /// whose high half puts it nearest to the window (RFC 4303 appendix A2.1). A number below the
    /// beginning of time comes back as 0, which [`check`](Self::check) refuses.
    #[inline]
    pub fn infer(&self, low: u32) -> u64 {
        if self.form == Sequence::Short {
            return u64::from(low);
        }
        let top = self.edge();
        let (top_high, top_low) = (top >> 32, top as u32);
        let bottom = top_low.wrapping_sub(self.size as u32 - 1);
        let high = if u64::from(top_low) >= self.size - 1 {
            // The window lies within one subspace: what is below it belongs to the next.
            if low >= bottom {
                Some(top_high)
            } else {
                top_high.checked_add(1)
            }
        } else if low >= bottom {
            // The window spans two, and this is in the lower of them.
            top_high.checked_sub(1)
        } else {
            Some(top_high)
        };
        match high {
            Some(high) if high <= u64::from(u32::MAX) => high << 32 | u64::from(low),
            _ => 0,
        }
    }

    /// Whether the number could be accepted now.
    #[inline]
    pub fn check(&self, sequence: u64) -> bool {
        let word = Word(self.word(sequence).load(Relaxed));
        self.is_inside(sequence) && word.with(sequence).is_some()
    }

    /// Accepts the number, unless it was accepted before, lies behind the window or above the
    /// limit. To be called once the ICV verified.
    #[inline]
    pub fn commit(&self, sequence: u64) -> Commit {
        if !self.is_inside(sequence) {
            return Commit::Replayed;
        }
        let mut answer = Commit::Accepted;
        if sequence > self.mark.load(Acquire) {
            answer = self.beyond_mark(sequence);
            if answer == Commit::Unreserved {
                return answer;
            }
        }
        let accepted = self
            .word(sequence)
            .fetch_update(Relaxed, Relaxed, |word| {
                Word(word).with(sequence).map(|word| word.0)
            })
            .is_ok();
        if !accepted {
            return Commit::Replayed;
        }
        if sequence > self.edge() {
            self.edge.store(sequence, Relaxed);
        }
        self.published.raise(sequence);
        answer
    }

    #[cold]
    fn beyond_mark(&self, sequence: u64) -> Commit {
        if sequence <= self.limit() {
            return Commit::Scarce;
        }
        self.wanted.fetch_max(sequence, Relaxed);
        Commit::Unreserved
    }

    #[inline]
    fn is_inside(&self, sequence: u64) -> bool {
        sequence != 0 && self.edge().saturating_sub(sequence) < self.size
    }

    #[inline]
    fn word(&self, sequence: u64) -> &AtomicU64 {
        let index = (sequence / BLOCK) as usize & (self.words.len() - 1);
        &self.words[index]
    }
}

#[cfg(test)]
#[cfg(not(loom))]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn window(size: u32) -> ReplayWindow {
        ReplayWindow::new(WindowSize::new(size).unwrap(), Sequence::Short, 0)
    }

    fn accepts(window: &ReplayWindow, sequence: u64) -> bool {
        window.commit(sequence) == Commit::Accepted
    }

    #[test]
    fn a_number_is_accepted_once() {
        let window = window(64);
        assert!(accepts(&window, 1));
        assert!(!window.check(1) && !accepts(&window, 1));
        assert!(!window.check(0) && !accepts(&window, 0));
    }

    #[test]
    fn numbers_up_to_the_start_were_used_before() {
        for start in [0u64, 1, 62, 63, 64, 65, 1000, 1 << 33] {
            let window = ReplayWindow::new(WindowSize::DEFAULT, Sequence::Extended, start);
            for sequence in start.saturating_sub(1100)..=start {
                assert!(!window.check(sequence), "{sequence} of {start}");
            }
            for sequence in (start + 1..start + 200).rev() {
                assert!(accepts(&window, sequence), "{sequence} of {start}");
            }
            assert!(!accepts(&window, start));
        }
    }

    #[test]
    fn the_window_ends_exactly_at_its_size() {
        for size in [1, 2, 32, 63, 64, 65, 1024, 65_536] {
            let window = window(size);
            let top = 200_000;
            assert!(accepts(&window, top));
            let oldest = top - u64::from(size) + 1;
            assert!(!accepts(&window, oldest - 1), "size {size}");
            assert_eq!(accepts(&window, oldest), size != 1, "size {size}");
        }
    }

    #[test]
    fn a_great_leap_forgets_everything_behind() {
        let window = window(128);
        for sequence in 1..=128 {
            assert!(accepts(&window, sequence));
        }
        assert!(accepts(&window, 1 << 30));
        for sequence in (1 << 30) - 127..1 << 30 {
            assert!(accepts(&window, sequence), "{sequence}");
        }
    }

    #[test]
    fn the_high_half_is_inferred_across_the_wrap_of_the_low_one() {
        let size = WindowSize::new(1024).unwrap();
        let window = ReplayWindow::new(size, Sequence::Extended, 0);
        assert_eq!(window.infer(5), 5);
        assert!(accepts(&window, 0xffff_fff0));
        assert_eq!(window.infer(3), 0x1_0000_0003);
        assert!(accepts(&window, 0x1_0000_0003));
        assert_eq!(window.infer(0xffff_fff1), 0xffff_fff1);
        assert_eq!(window.infer(4), 0x1_0000_0004);
    }

    #[test]
    fn before_the_first_subspace_there_is_nothing() {
        let size = WindowSize::new(1024).unwrap();
        let window = ReplayWindow::new(size, Sequence::Extended, 0);
        assert_eq!(window.infer(0xffff_fff0), 0);
        assert!(!window.check(0));
    }

    #[test]
    fn nothing_above_the_limit_is_accepted_and_more_is_asked_for_at_half() {
        let window = window(64);
        window.confine(100, 200);
        assert_eq!(window.commit(100), Commit::Replayed);
        assert_eq!(window.commit(150), Commit::Accepted);
        assert_eq!(window.commit(151), Commit::Scarce);
        window.asked();
        assert_eq!(window.commit(200), Commit::Accepted);
        assert_eq!(window.commit(201), Commit::Unreserved);
        assert_eq!((window.top(), window.wanted()), (200, 201));
        assert_eq!(window.reserve(210), 210);
        assert_eq!(window.commit(201), Commit::Accepted);
        // Less than before, but never less than was accepted.
        assert_eq!(window.reserve(190), 201);
        assert_eq!(window.commit(202), Commit::Unreserved);
        assert_eq!(window.commit(199), Commit::Accepted);
    }

    #[test]
    fn a_window_that_skips_ahead_has_seen_everything_behind() {
        for start in [1u64, 63, 64, 65, 5000, 1 << 33] {
            let window = ReplayWindow::new(WindowSize::DEFAULT, Sequence::Extended, 0);
            window.commit(start / 2);
            window.confine(start, start + 4000);
            for sequence in start.saturating_sub(1100)..=start {
                assert!(!window.check(sequence), "{sequence} of {start}");
            }
            for sequence in (start + 1..start + 200).rev() {
                assert!(accepts(&window, sequence), "{sequence} of {start}");
            }
        }
    }

    #[test]
    fn sizes_outside_the_bounds_are_refused() {
        assert!(WindowSize::new(0).is_none() && WindowSize::new(65_537).is_none());
        assert_eq!(WindowSize::new(65_536), Some(WindowSize::MAX));
    }

    #[test]
    fn no_number_is_accepted_by_two_threads() {
        let window = window(256);
        let accepted = std::thread::scope(|scope| {
            let commit = || {
                (1..20_000)
                    .filter(|n| accepts(&window, *n))
                    .collect::<Vec<_>>()
            };
            let threads = [(); 4].map(|()| scope.spawn(commit));
            threads.map(|thread| thread.join().unwrap()).concat()
        });
        let distinct: BTreeSet<_> = accepted.iter().collect();
        assert_eq!(distinct.len(), accepted.len());
        assert_eq!(window.top(), 19_999);
    }

    proptest! {
        /// The naive twin: the set of all numbers accepted.
        #[test]
        fn the_window_agrees_with_a_set_of_all_numbers(
            size in prop::sample::select(vec![1u32, 31, 32, 64, 100, 1024]),
            start in 0u64..2000,
            steps in proptest::collection::vec(-300i64..400, 1..400),
        ) {
            let size = WindowSize::new(size).unwrap();
            let window = ReplayWindow::new(size, Sequence::Short, start);
            let mut seen = BTreeSet::new();
            let mut top = start;
            for step in steps {
                let sequence = top.saturating_add_signed(step);
                let fresh = sequence > start
                    && !seen.contains(&sequence)
                    && sequence + u64::from(size.packets()) > top;
                prop_assert_eq!(window.check(sequence), fresh);
                prop_assert_eq!(accepts(&window, sequence), fresh);
                if fresh {
                    seen.insert(sequence);
                    top = top.max(sequence);
                }
                prop_assert_eq!(window.top(), top);
            }
        }

        /// A sender and a receiver whose numbers drift by less than half the low space agree.
        #[test]
        fn inference_finds_the_number_that_was_sent(
            top in 1u64 << 33..1 << 40, ahead in -1000i64..1 << 31
        ) {
            let size = WindowSize::new(1024).unwrap();
            let window = ReplayWindow::new(size, Sequence::Extended, top);
            let sent = top.saturating_add_signed(ahead);
            prop_assert_eq!(window.infer(sent as u32), sent);
        }
    }
}
