//! The replay window.

use loom::sync::Arc;
use loom::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use loom::thread;
use sealway_crypto::Sequence;

use crate::sad::replay::{Commit, ReplayWindow, WindowSize};
use crate::{in_every_order, word};

fn window() -> Arc<ReplayWindow> {
    // Two words: each block of 32 numbers takes the place of the last but one.
    let size = WindowSize::new(32).unwrap_or(WindowSize::MAX);
    Arc::new(ReplayWindow::new(size, Sequence::Extended, 0))
}

fn accepted(window: &ReplayWindow, numbers: impl IntoIterator<Item = u64>) -> Vec<u64> {
    let is_accepted =
        |number: &u64| matches!(window.commit(*number), Commit::Accepted | Commit::Scarce);
    numbers.into_iter().filter(is_accepted).collect()
}

/// What two or three workers accept that are given these, and the window then.
fn by_workers(given: &[&'static [u64]]) -> (Vec<u64>, Arc<ReplayWindow>) {
    let window = window();
    let workers: Vec<_> = given[1..]
        .iter()
        .copied()
        .map(|numbers| {
            let window = Arc::clone(&window);
            thread::spawn(move || accepted(&window, numbers.iter().copied()))
        })
        .collect();
    let mut all = accepted(&window, given[0].iter().copied());
    for worker in workers {
        all.extend(worker.join().unwrap_or_default());
    }
    all.sort_unstable();
    (all, window)
}

/// The same packets by way of two workers: each is accepted by exactly one.
pub fn a_number_that_two_workers_have_is_accepted_once() {
    in_every_order(3, || {
        let (all, _) = by_workers(&[&[1, 2], &[2, 1]]);
        assert_eq!(all, [1, 2]);
    });
    in_every_order(2, || {
        let (all, _) = by_workers(&[&[1], &[1], &[1]]);
        assert_eq!(all, [1]);
    });
}

/// Blocks that take each other's place in the ring: what one worker's leap has overtaken may be lost
/// to another, and nothing is accepted twice.
pub fn a_leap_lets_nothing_be_accepted_twice() {
    in_every_order(3, || {
        let (mut all, _) = by_workers(&[&[1, 65, 40], &[65, 1, 40]]);
        let count = all.len();
        all.dedup();
        assert_eq!(all.len(), count);
        assert!(all.contains(&65));
    });
}

/// The top that is kept beyond the window's life is the highest number accepted, also where the
/// store of a lower one came last.
pub fn the_top_is_the_highest_number_accepted() {
    in_every_order(2, || {
        let (all, window) = by_workers(&[&[5, 70], &[40], &[33]]);
        assert_eq!(all.last(), Some(&window.top()));
        assert!(window.is_newest(window.top()));
    });
}

/// None is accepted above what storage has, while that is raised.
pub fn no_number_is_accepted_before_it_is_reserved() {
    in_every_order(2, || {
        let window = window();
        window.confine(0, 4);
        let stored = word();
        stored.store(4, Relaxed);
        let receive = |numbers: &'static [u64]| {
            let window = Arc::clone(&window);
            move || {
                for number in accepted(&window, numbers.iter().copied()) {
                    assert!(number <= stored.load(Relaxed));
                }
            }
        };
        let other = thread::spawn(receive(&[8]));
        let reserver = Arc::clone(&window);
        let reserver = thread::spawn(move || {
            stored.store(100, Relaxed);
            reserver.reserve(100);
        });
        receive(&[3, 7])();
        assert!(other.join().is_ok() && reserver.join().is_ok());
    });
}

/// What was reserved is given back: first here; then every worker begins another batch; and what is
/// then the limit is above everything accepted.
pub fn a_limit_that_is_given_back_stays_above_what_was_accepted() {
    in_every_order(3, || {
        let window = window();
        window.confine(0, 100);
        let (asked, passed) = (word(), word());
        let worker = Arc::clone(&window);
        let worker = thread::spawn(move || {
            let mut all = accepted(&worker, [50, 20]);
            if asked.load(Acquire) == 1 {
                passed.store(1, Release);
                all.extend(accepted(&worker, [60]));
            }
            all
        });
        let limit = window.reserve(10);
        asked.store(1, Release);
        let noted = (passed.load(Acquire) == 1).then(|| window.reserve(limit));
        let all = worker.join().unwrap_or_default();
        if let (Some(noted), Some(highest)) = (noted, all.into_iter().max()) {
            assert!(noted >= highest);
        }
    });
}
