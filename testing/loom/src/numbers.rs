//! The numbers that are sent.

use loom::sync::Arc;
use loom::sync::atomic::Ordering::Relaxed;
use loom::thread;

use crate::sad::numbers::Outgoing;
use crate::sad::show;
use crate::{in_every_order, word};

/// Takes `count` numbers, at the end of what is reserved, too; the first of them.
fn take(numbers: &Outgoing, count: u64) -> Option<u64> {
    let late = || numbers.take_late(count, || true).ok();
    numbers.take(count).or_else(late)
}

/// Two workers that send by one SA while storage reserves more: no number is given twice, none is
/// left out, and none is given before storage has it.
pub fn no_number_is_given_twice_or_before_it_is_reserved() {
    in_every_order(2, || {
        let numbers = Arc::new(Outgoing::new(0, 100));
        numbers.confine(2);
        let stored = word();
        stored.store(2, Relaxed);
        let send = |counts: [u64; 2]| {
            let numbers = Arc::clone(&numbers);
            move || {
                counts.map(|count| {
                    let first = take(&numbers, count);
                    if let Some(first) = first {
                        assert!(first + count - 1 <= stored.load(Relaxed));
                    }
                    first.map(|first| (first, count))
                })
            }
        };
        let one = thread::spawn(send([1, 2]));
        let other = send([2, 1]);
        let reserver = Arc::clone(&numbers);
        let reserver = thread::spawn(move || {
            stored.store(6, Relaxed);
            reserver.reserve(6);
        });
        let mut taken: Vec<_> = other().into_iter().flatten().collect();
        taken.extend(one.join().unwrap_or_default().into_iter().flatten());
        let _ = reserver.join();
        taken.sort_unstable();
        let next = taken.iter().fold(1, |next, (first, count)| {
            assert_eq!(*first, next);
            next + count
        });
        assert_eq!(numbers.next(), next);
    });
}

/// Control closes an SA whose keys another goes on with, while workers still hold it: none of them
/// takes a number from the one on that the other begins with.
pub fn nothing_is_taken_above_where_an_sa_was_closed() {
    in_every_order(3, || {
        let numbers = Arc::new(Outgoing::new(0, 100));
        let workers = [1, 2].map(|count| {
            let numbers = Arc::clone(&numbers);
            thread::spawn(move || take(&numbers, count).map_or(0, |first| first + count - 1))
        });
        let next = numbers.close();
        for worker in workers {
            assert!(worker.join().unwrap_or(u64::MAX) < next);
        }
        assert_eq!(take(&numbers, 1), None);
        assert_eq!(numbers.next(), next);
    });
}

/// A worker that has a number has shown it to the run that comes after, or another a higher one.
pub fn a_number_is_shown_before_it_is_used() {
    in_every_order(3, || {
        let shown = word();
        let numbers = Outgoing::new(0, 100);
        show(&numbers, shown);
        let numbers = Arc::new(numbers);
        let send = |count| {
            let numbers = Arc::clone(&numbers);
            move || {
                let first = take(&numbers, count).unwrap_or(u64::MAX - count);
                assert!(shown.load(Relaxed) >= first + count);
            }
        };
        let others = [1, 2].map(|count| thread::spawn(send(count)));
        send(3)();
        for other in others {
            assert!(other.join().is_ok());
        }
        assert_eq!(shown.load(Relaxed), 7);
    });
}
