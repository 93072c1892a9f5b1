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
    small: Arc<Home>,
    large: Arc<Home>,
}

/// Where the buffers of one class are. What came back last is lent first, for it may still be in the
/// processor's cache: of large buffers that take turns most would not.
#[derive(Debug)]
pub(crate) struct Home {
    near: ArrayQueue<Box<[u8]>>,
    far: ArrayQueue<Box<[u8]>>,
}

/// Buffers of one class that are kept near: as many as a packet and its segments need.
const NEAR: usize = 2;

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
        let octets = home.lend()?;
        Some(Train::over(octets, Some(Arc::clone(home))))
    }

    /// How many buffers of the class are at home.
    pub fn available(&self, class: SizeClass) -> usize {
        match class {
            SizeClass::Small => self.small.available(),
            SizeClass::Large => self.large.available(),
        }
    }
}

impl Home {
    fn lend(&self) -> Option<Box<[u8]>> {
        self.near.pop().or_else(|| self.far.pop())
    }

    /// A home that is full never lent this buffer; it is freed then.
    pub(crate) fn take_back(&self, octets: Box<[u8]>) {
        if let Err(octets) = self.near.push(octets) {
            let _ = self.far.push(octets);
        }
    }

    fn available(&self) -> usize {
        self.near.len() + self.far.len()
    }
}

fn filled(count: usize, class: SizeClass) -> Arc<Home> {
    let home = Home {
        near: ArrayQueue::new(NEAR),
        far: ArrayQueue::new(count),
    };
    for _ in 0..count {
        home.take_back(vec![0; class.octets()].into_boxed_slice());
    }
    Arc::new(home)
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
    fn the_buffer_that_came_back_last_is_lent_next() {
        let pool = Pool::new(8, 8);
        let take = || {
            pool.take(SizeClass::Large).map(|mut train| {
                let place = train.buffer_mut().as_ptr();
                (train, place)
            })
        };
        let mut held: Vec<_> = std::iter::from_fn(take).collect();
        assert_eq!((held.len(), pool.available(SizeClass::Large)), (8, 0));
        let last = held.pop().map(|(_, place)| place);
        assert_eq!(take().map(|(_, place)| place), last);
        drop(held);
        assert_eq!(pool.available(SizeClass::Large), 8);
        let (first, again) = (take(), take());
        assert_ne!(first.map(|(_, place)| place), again.map(|(_, place)| place));
    }

    #[test]
    fn the_smaller_class_that_holds_the_octets_is_chosen() {
        assert_eq!(SizeClass::holding(2048), Some(SizeClass::Small));
        assert_eq!(SizeClass::holding(2049), Some(SizeClass::Large));
        assert_eq!(SizeClass::holding(1 << 20), None);
    }
}
