//! Buffers of two sizes that return to the pool they came from.

use std::sync::Arc;

use crossbeam_queue::ArrayQueue;

use crate::Train;

/// The size of a buffer, room for headers and trailers included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SizeClass {
    /// 2 KiB: a packet of an ordinary link.
    Small,
    /// 72 KiB: the largest IP packet, cut into segments with their headers, or a received train.
    Large,
}

impl SizeClass {
    /// Octets in a buffer of this class.
    pub const fn octets(self) -> usize {
        match self {
            SizeClass::Small => 2048,
            SizeClass::Large => 72 * 1024,
        }
    }

    /// The smaller class that holds `octets`, or `None` if neither does.
    pub const fn holding(octets: usize) -> Option<SizeClass> {
        if octets <= SizeClass::Small.octets() {
            Some(SizeClass::Small)
        } else if octets <= SizeClass::Large.octets() {
            Some(SizeClass::Large)
        } else {
            None
        }
    }
}

/// A fixed number of buffers, made once. An empty pool is not an error: whoever reads packets
/// stops reading and counts it (DESIGN: buffers have one owner).
///
/// A train that is dropped finds its own way home, from whichever thread drops it.
#[derive(Clone, Debug)]
pub struct Pool {
    small: Arc<ArrayQueue<Box<[u8]>>>,
    large: Arc<ArrayQueue<Box<[u8]>>>,
}

impl Pool {
    /// A pool of `small` and `large` buffers.
    ///
    /// # Panics
    /// If either number is 0.
    pub fn new(small: usize, large: usize) -> Self {
        Pool {
            small: filled(small, SizeClass::Small),
            large: filled(large, SizeClass::Large),
        }
    }

    /// An empty train over a buffer of the class, or `None` if all are in use.
    pub fn take(&self, class: SizeClass) -> Option<Train> {
        let home = match class {
            SizeClass::Small => &self.small,
            SizeClass::Large => &self.large,
        };
        let octets = home.pop()?;
        Some(Train::over(octets, Some(Arc::clone(home))))
    }

    /// How many buffers of the class are at home.
    pub fn available(&self, class: SizeClass) -> usize {
        match class {
            SizeClass::Small => self.small.len(),
            SizeClass::Large => self.large.len(),
        }
    }
}

fn filled(count: usize, class: SizeClass) -> Arc<ArrayQueue<Box<[u8]>>> {
    let queue = ArrayQueue::new(count);
    for _ in 0..count {
        // The queue was made for exactly this many.
        let _ = queue.push(vec![0; class.octets()].into_boxed_slice());
    }
    Arc::new(queue)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_train_returns_home_and_an_empty_pool_gives_none() {
        let pool = Pool::new(1, 1);
        let train = pool.take(SizeClass::Small);
        assert!(train.is_some());
        assert!(pool.take(SizeClass::Small).is_none());
        drop(train);
        assert_eq!(pool.available(SizeClass::Small), 1);
        assert!(pool.take(SizeClass::Small).is_some());
    }

    #[test]
    fn the_smaller_class_that_holds_the_octets_is_chosen() {
        assert_eq!(SizeClass::holding(2048), Some(SizeClass::Small));
        assert_eq!(SizeClass::holding(2049), Some(SizeClass::Large));
        assert_eq!(SizeClass::holding(1 << 20), None);
    }
}
