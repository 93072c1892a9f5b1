//! Where an SA shows how far it has come, for a run that comes after it.

use std::sync::OnceLock;

use crate::sync::atomic::{
    AtomicU64,
    Ordering::{Relaxed, Release},
};

/// Two words of whoever keeps the numbers, in memory that outlives the process. The engine raises
/// them as it takes numbers and accepts them, so before anybody has a packet with one of them: a
/// process that dies at any moment has shown every number that it has used.
#[derive(Clone, Copy, Debug)]
pub struct Published {
    /// The number that is sent next.
    pub next: &'static AtomicU64,
    /// The highest number accepted.
    pub top: &'static AtomicU64,
}

/// One of the words, once there is one.
#[derive(Debug, Default)]
pub(super) struct Shown(OnceLock<&'static AtomicU64>);

impl Shown {
    /// The first that is given stays.
    pub(super) fn set(&self, word: &'static AtomicU64) {
        let _ = self.0.set(word);
    }

    pub(super) fn is_set(&self) -> bool {
        self.0.get().is_some()
    }

    /// Shows that it has come to `number`.
    #[inline]
    pub(super) fn raise(&self, number: u64) {
        if let Some(word) = self.0.get() {
            raise(word, number);
        }
    }
}

/// Of several threads each sees to it that its own number is covered, so that none of them relies on
/// what another has still to do. (A call, so that the road of SAs that show nothing stays short.)
#[inline(never)]
fn raise(word: &AtomicU64, number: u64) {
    if word.load(Relaxed) < number {
        word.fetch_max(number, Release);
    }
}

#[cfg(test)]
#[cfg(not(loom))]
#[allow(clippy::unwrap_used)]
mod tests {
    use sealway_crypto::Sequence;

    use super::super::numbers::Outgoing;
    use super::super::{Commit, ReplayWindow, WindowSize};
    use super::*;

    fn word() -> &'static AtomicU64 {
        Box::leak(Box::default())
    }

    #[test]
    fn whatever_thread_has_a_number_has_shown_it_or_a_higher_one() {
        let (next, top) = (word(), word());
        let numbers = Outgoing::new(0, u64::MAX - 1);
        numbers.published.set(next);
        let window = ReplayWindow::new(WindowSize::DEFAULT, Sequence::Extended, 0);
        window.published.set(top);
        let take = || {
            for count in (1..4).cycle().take(5000) {
                let first = numbers.take(count).unwrap();
                assert!(next.load(Relaxed) >= first + count);
                if window.commit(first) == Commit::Accepted {
                    assert!(top.load(Relaxed) >= first);
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(take);
            }
        });
        assert_eq!(next.load(Relaxed), numbers.next());
        assert!(top.load(Relaxed) >= window.top());
    }

    #[test]
    fn what_is_refused_is_not_shown() {
        let (next, top) = (word(), word());
        let numbers = Outgoing::new(0, 1000);
        numbers.published.set(next);
        numbers.confine(10);
        assert!(numbers.take(11).is_none() && numbers.take_late(11, || true).is_err());
        assert_eq!(next.load(Relaxed), 0);
        assert_eq!(numbers.take_late(10, || true), Ok(1));
        assert_eq!(next.load(Relaxed), 11);
        let window = ReplayWindow::new(WindowSize::DEFAULT, Sequence::Extended, 0);
        window.published.set(top);
        window.confine(0, 64);
        for (number, shown) in [(65, 0), (64, 64), (64, 64), (3, 64), (66, 64)] {
            let _ = window.commit(number);
            assert_eq!(top.load(Relaxed), shown);
        }
    }
}
