//! The replay window (RFC 4303 §3.4.3, appendix A2).

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use sealway_crypto::Sequence;

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

/// What was received, as a ring of bits around the highest number whose ICV verified.
///
/// [`check`](Self::check) reads without the lock: it only spares a decryption and may be out of
/// date. [`commit`](Self::commit) is a test-and-set under the lock, after the ICV verified, and
/// its answer is the verdict.
#[derive(Debug)]
pub struct ReplayWindow {
    size: u64,
    form: Sequence,
    top: AtomicU64,
    /// One more word than the window needs, so that a word being cleared is never looked at.
    words: Box<[AtomicU64]>,
    writer: Mutex<()>,
}

impl ReplayWindow {
    /// A window at its start: every number above `start` is new, and none up to it.
    pub fn new(size: WindowSize, form: Sequence, start: u64) -> Self {
        let words = (u64::from(size.0).div_ceil(64) + 1).next_power_of_two();
        let at_start = |index: u64| {
            if index == start / 64 % words {
                u64::MAX >> (63 - start % 64)
            } else {
                u64::MAX
            }
        };
        ReplayWindow {
            size: u64::from(size.0),
            form,
            top: AtomicU64::new(start),
            words: (0..words).map(|index| at_start(index).into()).collect(),
            writer: Mutex::new(()),
        }
    }

    /// The highest number accepted.
    pub fn top(&self) -> u64 {
        self.top.load(Relaxed)
    }

    /// The whole number that the 32 bits of a packet stand for: its own, or with ESN the one
    /// whose high half puts it nearest to the window (RFC 4303 appendix A2.1). A number below the
    /// beginning of time comes back as 0, which [`check`](Self::check) refuses.
    #[inline]
    pub fn infer(&self, low: u32) -> u64 {
        if self.form == Sequence::Short {
            return u64::from(low);
        }
        let top = self.top();
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
        let top = self.top();
        sequence != 0 && (sequence > top || (top - sequence < self.size && !self.is_set(sequence)))
    }

    /// Accepts the number, unless it was accepted before or lies behind the window. To be called
    /// once the ICV verified.
    #[inline]
    pub fn commit(&self, sequence: u64) -> bool {
        let _writer = self.lock();
        if !self.check(sequence) {
            return false;
        }
        let top = self.top();
        if sequence > top {
            self.forget(top, sequence);
            self.top.store(sequence, Relaxed);
        }
        let word = self.word(sequence);
        word.store(word.load(Relaxed) | 1 << (sequence % 64), Relaxed);
        true
    }

    /// Clears the words that the window enters as it moves from `top` to `sequence`.
    fn forget(&self, top: u64, sequence: u64) {
        let ahead = (sequence / 64 - top / 64).min(self.words.len() as u64);
        for step in 1..=ahead {
            self.word_at(top / 64 + step).store(0, Relaxed);
        }
    }

    fn is_set(&self, sequence: u64) -> bool {
        self.word(sequence).load(Relaxed) & 1 << (sequence % 64) != 0
    }

    #[inline]
    fn word(&self, sequence: u64) -> &AtomicU64 {
        self.word_at(sequence / 64)
    }

    #[inline]
    fn word_at(&self, index: u64) -> &AtomicU64 {
        &self.words[index as usize & (self.words.len() - 1)]
    }

    fn lock(&self) -> MutexGuard<'_, ()> {
        // Nothing under the lock panics; were it to, the window would still be sound.
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn window(size: u32) -> ReplayWindow {
        ReplayWindow::new(WindowSize::new(size).unwrap(), Sequence::Short, 0)
    }

    #[test]
    fn a_number_is_accepted_once() {
        let window = window(64);
        assert!(window.commit(1));
        assert!(!window.check(1) && !window.commit(1));
        assert!(!window.check(0) && !window.commit(0));
    }

    #[test]
    fn numbers_up_to_the_start_were_used_before() {
        for start in [0u64, 1, 62, 63, 64, 65, 1000, 1 << 33] {
            let window = ReplayWindow::new(WindowSize::DEFAULT, Sequence::Extended, start);
            for sequence in start.saturating_sub(1100)..=start {
                assert!(!window.check(sequence), "{sequence} of {start}");
            }
            for sequence in (start + 1..start + 200).rev() {
                assert!(window.commit(sequence), "{sequence} of {start}");
            }
            assert!(!window.commit(start));
        }
    }

    #[test]
    fn the_window_ends_exactly_at_its_size() {
        for size in [1, 2, 32, 63, 64, 65, 1024, 65_536] {
            let window = window(size);
            let top = 200_000;
            assert!(window.commit(top));
            let oldest = top - u64::from(size) + 1;
            assert!(!window.commit(oldest - 1), "size {size}");
            assert_eq!(window.commit(oldest), size != 1, "size {size}");
        }
    }

    #[test]
    fn a_great_leap_forgets_everything_behind() {
        let window = window(128);
        for sequence in 1..=128 {
            assert!(window.commit(sequence));
        }
        assert!(window.commit(1 << 30));
        for sequence in (1 << 30) - 127..1 << 30 {
            assert!(window.commit(sequence), "{sequence}");
        }
    }

    #[test]
    fn the_high_half_is_inferred_across_the_wrap_of_the_low_one() {
        let size = WindowSize::new(1024).unwrap();
        let window = ReplayWindow::new(size, Sequence::Extended, 0);
        assert_eq!(window.infer(5), 5);
        assert!(window.commit(0xffff_fff0));
        assert_eq!(window.infer(3), 0x1_0000_0003);
        assert!(window.commit(0x1_0000_0003));
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
    fn sizes_outside_the_bounds_are_refused() {
        assert!(WindowSize::new(0).is_none() && WindowSize::new(65_537).is_none());
        assert_eq!(WindowSize::new(65_536), Some(WindowSize::MAX));
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
                prop_assert_eq!(window.commit(sequence), fresh);
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
