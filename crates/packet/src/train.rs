//! One buffer, one or more segments of equal size.

use std::ops::Range;
use std::sync::Arc;

use crate::pool::Home;

use crate::{Pool, SizeClass};

/// There is not enough room before or behind the segments for what is to be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRoom;

/// Segments in one buffer, `stride` octets apart. All have `full` octets but the last, which has
/// `last`: what `UDP_SEGMENT` and `UDP_GRO` call a train, and what just-in-time segmentation
/// writes. A single packet is a train of one.
///
/// ```text
///  base                    base + stride               base + 2·stride
///  │ head │ segment 0 │ …  │ head │ segment 1 │ …       │ head │ segment 2 │ …
///          ◀─ full ──▶             ◀─ full ──▶                  ◀─ last ─▶
/// ```
///
/// Headers are put before every segment at once by [`grow_front`](Train::grow_front), headers and
/// trailers by [`grow`](Train::grow), so a transform treats a train as it would a packet.
pub struct Train {
    octets: Box<[u8]>,
    home: Option<Arc<Home>>,
    base: u32,
    stride: u32,
    head: u32,
    /// Octets of every segment but the last; of the only one.
    full: u32,
    last: u32,
    count: u16,
}

impl Train {
    /// Room that devices leave before a packet they read: enough for the outer IPv6 header, UDP,
    /// ESP and its IV, twice (nested SAs).
    pub const HEADROOM: usize = 160;
    /// Room that devices leave behind a packet they read: padding and the longest ICV, twice.
    pub const TAILROOM: usize = 128;

    pub(crate) fn over(octets: Box<[u8]>, home: Option<Arc<Home>>) -> Self {
        let stride = octets.len() as u32;
        Train {
            octets,
            home,
            base: 0,
            stride,
            head: 0,
            full: 0,
            last: 0,
            count: 0,
        }
    }

    /// A train of its own buffer, outside any pool: for tests and the cold path. Holds `packet`
    /// with the usual room around it.
    pub fn detached(packet: &[u8]) -> Self {
        let mut octets = vec![0; Train::HEADROOM + packet.len() + Train::TAILROOM];
        octets[Train::HEADROOM..Train::HEADROOM + packet.len()].copy_from_slice(packet);
        let mut train = Train::over(octets.into_boxed_slice(), None);
        train.set_single(Train::HEADROOM, packet.len());
        train
    }

    /// The whole buffer, for a device to fill; say afterwards what it holds with
    /// [`set_single`](Train::set_single) or [`set_segments`](Train::set_segments).
    pub fn buffer_mut(&mut self) -> &mut [u8] {
        &mut self.octets
    }

    /// Octets in the buffer.
    pub fn capacity(&self) -> usize {
        self.octets.len()
    }

    /// The buffer holds one packet of `length` octets at `start`.
    ///
    /// # Panics
    /// If the packet would not lie inside the buffer (a device's fault, not the network's).
    pub fn set_single(&mut self, start: usize, length: usize) {
        assert!(start + length <= self.octets.len());
        self.base = 0;
        self.stride = self.octets.len() as u32;
        self.head = start as u32;
        self.full = length as u32;
        self.last = length as u32;
        self.count = 1;
    }

    /// The buffer holds `count` segments: slots of `stride` octets from `base`, in each of which
    /// the segment starts `head` octets in; `full` octets each, the last `last`.
    ///
    /// # Panics
    /// If a segment would not lie inside its slot or the buffer, if `last > full`, or if `count`
    /// is 0.
    pub fn set_segments(
        &mut self,
        base: usize,
        stride: usize,
        head: usize,
        count: u16,
        (full, last): (usize, usize),
    ) {
        assert!(count > 0 && last <= full && head + full <= stride);
        assert!(base + (count as usize - 1) * stride + head + last <= self.octets.len());
        self.base = base as u32;
        self.stride = stride as u32;
        self.head = head as u32;
        self.full = full as u32;
        self.last = last as u32;
        self.count = count;
    }

    /// A train from `pool` with segments at the same places, of undefined content; `None` if no
    /// buffer is free that holds them.
    pub fn empty_like(&self, pool: &Pool) -> Option<Train> {
        let end = self.range(self.count().checked_sub(1)?).end;
        let mut train = pool.take(SizeClass::holding(end)?)?;
        if self.count > 1 {
            let lengths = (self.full as usize, self.last as usize);
            let (base, stride) = (self.base as usize, self.stride as usize);
            train.set_segments(base, stride, self.head as usize, self.count, lengths);
        } else {
            train.set_single((self.base + self.head) as usize, self.full as usize);
        }
        Some(train)
    }

    /// Number of segments; 0 for a train that nobody has filled.
    pub fn count(&self) -> usize {
        usize::from(self.count)
    }

    /// Whether nobody has filled it.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Octets of all segments together.
    pub fn octets(&self) -> usize {
        match self.count {
            0 => 0,
            n => (usize::from(n) - 1) * self.full as usize + self.last as usize,
        }
    }

    /// Octets of the longest segment.
    #[inline]
    pub fn longest(&self) -> usize {
        self.full as usize
    }

    /// Octets of the last segment.
    #[inline]
    pub fn last(&self) -> usize {
        self.last as usize
    }

    fn range(&self, index: usize) -> Range<usize> {
        let start = self.base as usize + index * self.stride as usize + self.head as usize;
        let length = if index + 1 == self.count() {
            self.last
        } else {
            self.full
        };
        start..start + length as usize
    }

    /// Segment `index`; empty if there is none.
    #[inline]
    pub fn segment(&self, index: usize) -> &[u8] {
        if index >= self.count() {
            return &[];
        }
        self.octets.get(self.range(index)).unwrap_or(&[])
    }

    /// Segment `index`, to be written; empty if there is none.
    #[inline]
    pub fn segment_mut(&mut self, index: usize) -> &mut [u8] {
        if index >= self.count() {
            return &mut [];
        }
        let range = self.range(index);
        self.octets.get_mut(range).unwrap_or(&mut [])
    }

    /// Where the segments stand in the buffer, in order: as they are now, whatever becomes of the
    /// train.
    pub fn places(&self) -> impl ExactSizeIterator<Item = Range<usize>> + use<> {
        let start = (self.base + self.head) as usize;
        let (stride, full, last) = (self.stride as usize, self.full as usize, self.last as usize);
        let count = self.count();
        (0..count).map(move |index| {
            let start = start + index * stride;
            start..start + if index + 1 == count { last } else { full }
        })
    }

    /// The buffer holds one packet at `place`, and nothing in front of `floor` belongs to it.
    ///
    /// # Panics
    /// If the packet would not lie inside the buffer and behind `floor`.
    pub fn set_behind(&mut self, floor: usize, place: Range<usize>) {
        assert!(floor <= place.start && place.start <= place.end);
        self.set_single(place.start, place.len());
        self.base = floor as u32;
        self.stride -= self.base;
        self.head -= self.base;
    }

    /// Where the first segment stands in the buffer.
    pub fn place(&self) -> Range<usize> {
        let start = (self.base + self.head) as usize;
        start..start + self.full as usize
    }

    /// The segments in order.
    pub fn segments(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        (0..self.count()).map(|index| self.segment(index))
    }

    /// The first segment: the packet of a train of one.
    #[inline]
    pub fn packet(&self) -> &[u8] {
        let start = (self.base + self.head) as usize;
        self.octets
            .get(start..start + self.full as usize)
            .unwrap_or(&[])
    }

    /// The first segment, to be written.
    #[inline]
    pub fn packet_mut(&mut self) -> &mut [u8] {
        let start = (self.base + self.head) as usize;
        self.octets
            .get_mut(start..start + self.full as usize)
            .unwrap_or(&mut [])
    }

    /// Octets free before every segment.
    #[inline]
    pub fn headroom(&self) -> usize {
        self.head as usize
    }

    /// Octets free behind every segment.
    #[inline]
    pub fn tailroom(&self) -> usize {
        let slot = (self.stride - self.head).saturating_sub(self.full) as usize;
        let end = self.range(self.count().saturating_sub(1)).end;
        let behind_last = self.octets.len().saturating_sub(end);
        if self.count > 1 {
            slot.min(behind_last)
        } else {
            behind_last
        }
    }

    /// Makes every segment longer at its front by `front` octets and at its end: all but the last
    /// by `behind[0]`, the last by `behind[1]` (of undefined content).
    #[inline]
    pub fn grow(&mut self, front: usize, behind: [usize; 2]) -> Result<(), NoRoom> {
        let [full, last] = behind;
        if front > self.head as usize {
            return Err(NoRoom);
        }
        let last = self.last as usize + last;
        let full = if self.count <= 1 {
            last
        } else {
            self.full as usize + full
        };
        let before_last = usize::from(self.count).saturating_sub(1) * self.stride as usize;
        let end_of_last = (self.base + self.head) as usize + before_last + last;
        let fits_slot = self.count <= 1 || self.head as usize + full <= self.stride as usize;
        if !fits_slot || end_of_last > self.octets.len() {
            return Err(NoRoom);
        }
        self.head -= front as u32;
        self.full = (front + full) as u32;
        self.last = (front + last) as u32;
        Ok(())
    }

    /// Makes every segment longer at its front by `octets` (of undefined content).
    ///
    /// # Errors
    /// If there is not that much room.
    #[inline]
    pub fn grow_front(&mut self, octets: usize) -> Result<(), NoRoom> {
        self.grow(octets, [0, 0])
    }

    /// Takes `octets` off the front of every segment (no more than the shortest has).
    #[inline]
    pub fn trim_front(&mut self, octets: usize) {
        let octets = (octets as u32).min(self.last).min(self.full);
        self.head += octets;
        self.full -= octets;
        self.last -= octets;
    }

    /// Cuts the packet of a train of one down to `length` octets; longer is left alone.
    #[inline]
    pub fn truncate(&mut self, length: usize) {
        if self.count == 1 {
            self.last = self.last.min(length as u32);
            self.full = self.last;
        }
    }

    /// The segments as one run of octets and the distance between their starts, if no gap is
    /// between them: what a device with segmentation offload sends at once.
    pub fn contiguous(&self) -> Option<(&[u8], usize)> {
        let gapless = self.count == 1 || (self.count > 1 && self.full == self.stride);
        if !gapless {
            return None;
        }
        let start = self.range(0).start;
        let end = self.range(self.count() - 1).end;
        Some((self.octets.get(start..end)?, self.full as usize))
    }
}

impl Drop for Train {
    fn drop(&mut self) {
        if let Some(home) = self.home.take() {
            home.take_back(std::mem::take(&mut self.octets));
        }
    }
}

impl std::fmt::Debug for Train {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Train({} segments, {} octets)",
            self.count(),
            self.octets()
        )
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn headers_and_trailers_go_round_every_segment() {
        let mut train = Train::over(vec![0; 64].into_boxed_slice(), None);
        train.set_segments(0, 20, 6, 3, (10, 4));
        for (index, fill) in [(0, 1), (1, 2), (2, 3)] {
            train.segment_mut(index).fill(fill);
        }
        train.grow_front(6).unwrap();
        train.grow(0, [4, 2]).unwrap();
        let lengths: Vec<_> = train.segments().map(<[u8]>::len).collect();
        assert_eq!(lengths, [20, 20, 12]);
        assert_eq!(train.segment(1)[6..16], [2; 10]);
        assert_eq!(
            train.contiguous().map(|(all, step)| (all.len(), step)),
            Some((52, 20))
        );
        assert_eq!(train.grow_front(1), Err(NoRoom));
        assert_eq!(train.grow(0, [1, 1]), Err(NoRoom));
    }

    #[test]
    fn a_detached_packet_has_the_usual_room() {
        let mut train = Train::detached(b"packet");
        assert_eq!(train.packet(), b"packet");
        assert_eq!(
            (train.headroom(), train.tailroom()),
            (Train::HEADROOM, Train::TAILROOM)
        );
        train.trim_front(2);
        train.truncate(3);
        assert_eq!(train.packet(), b"cke");
        assert_eq!(train.segment(1), b"");
    }

    proptest! {
        #[test]
        fn a_single_packet_grows_and_shrinks_like_a_deque(
            steps in proptest::collection::vec((0u8..4, 0usize..40), 0..60)
        ) {
            let mut train = Train::detached(&[7; 50]);
            let mut twin = std::collections::VecDeque::from(vec![7u8; 50]);
            for (step, octets) in steps {
                match step {
                    0 if train.grow_front(octets).is_ok() => {
                        for octet in &mut train.packet_mut()[..octets] { *octet = 1; }
                        for _ in 0..octets { twin.push_front(1); }
                    }
                    1 if train.grow(0, [octets; 2]).is_ok() => {
                        let length = train.packet().len();
                        train.packet_mut()[length - octets..].fill(2);
                        twin.extend(std::iter::repeat_n(2, octets));
                    }
                    2 => {
                        train.trim_front(octets);
                        for _ in 0..octets { twin.pop_front(); }
                    }
                    3 => {
                        let keep = train.packet().len().saturating_sub(octets);
                        train.truncate(keep);
                        twin.truncate(keep);
                    }
                    _ => {}
                }
                prop_assert_eq!(train.packet(), twin.make_contiguous());
            }
        }
    }
}
