//! Reading into the smallest buffer that fits without knowing how long the packet is: the kernel is
//! offered a small buffer and, behind it, the rest of a large one.

use std::io::IoSliceMut;

use sealway_packet::{Pool, SizeClass, Train};

/// Buffers on offer to the kernel, kept from one read to the next.
pub(crate) struct Intake<'p> {
    pool: &'p Pool,
    /// Octets that the device writes before the packet.
    front: usize,
    small: Option<Train>,
    large: Option<Train>,
}

impl<'p> Intake<'p> {
    pub(crate) fn new(pool: &'p Pool, front: usize) -> Self {
        Intake {
            pool,
            front,
            small: None,
            large: None,
        }
    }

    /// Where the next packet is to be read to; `None` if the pool has no large buffer, for without
    /// one a long packet would be cut short. Without a small one the large one serves alone.
    #[inline]
    pub(crate) fn offer(&mut self) -> Option<[IoSliceMut<'_>; 2]> {
        if self.small.is_none() {
            self.small = self.pool.take(SizeClass::Small);
        }
        if self.large.is_none() {
            self.large = self.pool.take(SizeClass::Large);
        }
        let start = Train::HEADROOM - self.front;
        let small = self.small.as_mut().map_or(&mut [][..], |t| room(t, start));
        let behind = start + small.len();
        let large = room(self.large.as_mut()?, behind);
        Some([IoSliceMut::new(small), IoSliceMut::new(large)])
    }

    /// The train that now holds the packet, of whose `octets` the device wrote, what stood before
    /// the packet included. (More than was offered counts as what was offered.)
    #[inline]
    pub(crate) fn take(&mut self, octets: usize) -> Option<Train> {
        let start = Train::HEADROOM - self.front;
        let length = octets.saturating_sub(self.front);
        if let Some(small) = &mut self.small {
            let part = room(small, start);
            if octets <= part.len() {
                let mut train = self.small.take()?;
                train.set_single(Train::HEADROOM, length);
                return Some(train);
            }
            let large = self.large.as_mut()?;
            large.buffer_mut()[start..start + part.len()].copy_from_slice(part);
        }
        let mut train = self.large.take()?;
        let length = length.min(train.capacity() - Train::TAILROOM - Train::HEADROOM);
        train.set_single(Train::HEADROOM, length);
        Some(train)
    }

    /// What the device wrote before the packet now held by `train`.
    pub(crate) fn front<'t>(&self, train: &'t mut Train) -> &'t [u8] {
        &train.buffer_mut()[Train::HEADROOM - self.front..Train::HEADROOM]
    }
}

/// The buffer from `start` to where the room for trailers begins.
fn room(train: &mut Train, start: usize) -> &mut [u8] {
    let end = train.capacity() - Train::TAILROOM;
    &mut train.buffer_mut()[start..end]
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Does what the kernel does with the offer.
    fn read(intake: &mut Intake<'_>, packet: &[u8]) -> usize {
        let mut rest = packet;
        for part in &mut intake.offer().unwrap() {
            let (now, later) = rest.split_at(rest.len().min(part.len()));
            part[..now.len()].copy_from_slice(now);
            rest = later;
        }
        packet.len() - rest.len()
    }

    proptest! {
        #[test]
        fn any_length_arrives_whole_in_the_smallest_buffer(length in 10usize..65_600) {
            let pool = Pool::new(2, 2);
            let mut intake = Intake::new(&pool, 10);
            let packet: Vec<u8> = (0..length).map(|index| (index % 251) as u8).collect();
            let octets = read(&mut intake, &packet);
            let mut train = intake.take(octets).unwrap();
            prop_assert_eq!(train.packet(), &packet[10..]);
            prop_assert_eq!(intake.front(&mut train), &packet[..10]);
            let small = SizeClass::Small.octets();
            let fits = length - 10 + Train::HEADROOM + Train::TAILROOM <= small;
            prop_assert_eq!(train.capacity() == small, fits);
            prop_assert!(train.headroom() >= Train::HEADROOM);
            prop_assert!(train.tailroom() >= Train::TAILROOM);
        }
    }

    #[test]
    fn without_a_large_buffer_nothing_is_offered_and_without_a_small_one_the_large_serves() {
        let pool = Pool::new(1, 1);
        let small = pool.take(SizeClass::Small);
        let large = pool.take(SizeClass::Large);
        assert!(Intake::new(&pool, 0).offer().is_none());
        drop(small);
        assert!(Intake::new(&pool, 0).offer().is_none());
        let small = pool.take(SizeClass::Small);
        drop(large);
        let mut intake = Intake::new(&pool, 0);
        assert_eq!(read(&mut intake, &[7; 100]), 100);
        let train = intake.take(100).unwrap();
        assert_eq!(train.packet(), [7; 100]);
        assert_eq!(train.capacity(), SizeClass::Large.octets());
        drop(small);
    }
}
