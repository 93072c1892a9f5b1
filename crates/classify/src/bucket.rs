//! Buckets: a cache line of eight tags and eight heads, and pages of them.
//!
//! A lane belongs to one chain. Its tag holds fifteen bits of the chain's hash (never zero; zero is
//! an empty lane), its head the chain's first record, its rest the bits of the hash that say on
//! which page it is, so that a page is split without a look at the records. A chain whose bucket is
//! full lives in the next one, and the bucket's overflow mark tells readers to look there too.

use crate::sync::{Acquire, AtomicU16, AtomicU32, AtomicU64, Relaxed, Release};

/// Lanes of a bucket.
pub(crate) const LANES: usize = 8;
/// Buckets of a page; a page is four kibibytes.
pub(crate) const BUCKETS: usize = if cfg!(loom) { 2 } else { 64 };

/// The hash of a chain.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Hash(u64);

/// Bits of [`Hash::page`].
pub(crate) const PAGE_BITS: u32 = 15;
const PAGE: u64 = (1 << PAGE_BITS) - 1;
/// In every tag, so that none is zero.
const TAKEN: u16 = 0x4000;
/// All lanes' lowest bits.
const ONES: u64 = 0x0001_0001_0001_0001;
/// All lanes' tags.
const TAGS: u64 = 0x7fff * ONES;
/// In the first tag: some chain of this bucket lives in the next one.
const OVERFLOWS: u64 = 1 << 15;
/// In a lane's rest: it belongs to the bucket before.
const STRAY: u16 = 1 << 15;

impl Hash {
    #[inline]
    pub(crate) fn of(number: u64) -> Self {
        Hash(number)
    }

    /// The bucket of a page.
    #[inline]
    pub(crate) fn bucket(self) -> usize {
        self.0 as usize % BUCKETS
    }

    /// Which page: the low bits of it, as many as the directory is deep.
    #[inline]
    pub(crate) fn page(self) -> u16 {
        (self.0 >> 16 & PAGE) as u16
    }

    /// What the lane shows.
    #[inline]
    pub(crate) fn tag(self) -> u16 {
        (self.0 >> 32) as u16 & 0x3fff | TAKEN
    }

    /// Put together from what a page says of a chain.
    fn join(bucket: usize, page: u16, tag: u16) -> Self {
        Hash(u64::from(tag) << 32 | u64::from(page) << 16 | bucket as u64)
    }
}

/// A bucket: one cache line.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(crate) struct Bucket {
    tags: [AtomicU64; 2],
    heads: [AtomicU32; LANES],
    rests: [AtomicU16; LANES],
}

/// Lanes that show a tag: bit 15 of sixteen for each lane of the first word, bit 14 for the second.
/// Bit 0: the next bucket is to be looked at too.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lanes(u64);

impl Lanes {
    /// No lane.
    pub(crate) const NONE: Lanes = Lanes(0);

    /// Whether the next bucket is to be looked at too.
    #[inline]
    fn overflows(self) -> bool {
        self.0 & 1 != 0
    }

    /// Whether no lane shows the tag, here or in the next bucket.
    #[inline]
    pub(crate) fn is_nothing(self) -> bool {
        self.0 == 0
    }
}

impl Iterator for Lanes {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        let lanes = self.0 & !1;
        if lanes == 0 {
            return None;
        }
        self.0 &= lanes - 1;
        let bit = lanes.trailing_zeros() as usize;
        Some(bit / 16 + (!bit & 1) * 4)
    }
}

impl Bucket {
    /// The lanes with this tag.
    #[inline]
    pub(crate) fn lanes(&self, tag: u16) -> Lanes {
        let words = [self.tags[0].load(Acquire), self.tags[1].load(Acquire)];
        let wanted = u64::from(tag) * ONES;
        // A lane that matches becomes zero, and only zero stays below the top bit.
        let [first, second] = words.map(|word| !(((word & TAGS) ^ wanted) + TAGS) & !TAGS);
        Lanes(first | second >> 1 | words[0] >> 15 & 1)
    }

    /// The head of a lane.
    #[inline]
    pub(crate) fn head(&self, lane: usize) -> u32 {
        self.heads[lane % LANES].load(Acquire)
    }

    /// Lets the lane begin with another record.
    pub(crate) fn set_head(&self, lane: usize, head: u32) {
        self.heads[lane % LANES].store(head, Release);
    }

    /// The lane of a chain that belongs to this bucket or, if stray, to the one before.
    fn find(&self, hash: Hash, stray: u16) -> Option<usize> {
        let rest = hash.page() | stray;
        self.lanes(hash.tag())
            .find(|lane| self.rests[lane % LANES].load(Relaxed) == rest)
    }

    fn set_tag(&self, lane: usize, tag: u16) {
        let (word, shift) = (&self.tags[lane / 4], lane % 4 * 16);
        let others = word.load(Relaxed) & !(0x7fff << shift);
        word.store(others | u64::from(tag) << shift, Release);
    }

    /// Puts a chain into a free lane; `false` if there is none.
    fn put(&self, hash: Hash, stray: u16, head: u32) -> bool {
        let Some(lane) = self.lanes(0).next() else {
            return false;
        };
        self.rests[lane].store(hash.page() | stray, Relaxed);
        self.set_head(lane, head);
        self.set_tag(lane, hash.tag());
        true
    }

    fn is_stray(&self, lane: usize) -> bool {
        self.rests[lane].load(Relaxed) & STRAY != 0
    }

    fn is_used(&self, lane: usize) -> bool {
        self.tags[lane / 4].load(Relaxed) >> (lane % 4 * 16) & 0x7fff != 0
    }

    fn set_overflows(&self, mark: u64) {
        let tags = self.tags[0].load(Relaxed) & !OVERFLOWS;
        self.tags[0].store(tags | mark, Release);
    }

    fn clear(&self) {
        self.tags.iter().for_each(|word| word.store(0, Relaxed));
    }
}

/// A page of buckets.
#[derive(Debug)]
pub(crate) struct Page {
    buckets: [Bucket; BUCKETS],
}

impl Default for Page {
    fn default() -> Self {
        Page {
            buckets: std::array::from_fn(|_| Bucket::default()),
        }
    }
}

/// A lane of a page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Lane {
    bucket: usize,
    lane: usize,
}

impl Page {
    #[inline]
    pub(crate) fn bucket(&self, number: usize) -> &Bucket {
        &self.buckets[number % BUCKETS]
    }

    /// The first records of all chains that show a hash, given its bucket's lanes.
    #[inline]
    pub(crate) fn heads(&self, hash: Hash, lanes: Lanes, mut visit: impl FnMut(u32)) {
        let bucket = self.bucket(hash.bucket());
        for lane in lanes {
            visit(bucket.head(lane));
        }
        if lanes.overflows() {
            let next = self.bucket(hash.bucket() + 1);
            for lane in next.lanes(hash.tag()) {
                visit(next.head(lane));
            }
        }
    }

    /// Where a chain is.
    pub(crate) fn find(&self, hash: Hash) -> Option<Lane> {
        let at = |bucket: usize, stray| {
            let bucket = bucket % BUCKETS;
            let lane = self.buckets[bucket].find(hash, stray)?;
            Some(Lane { bucket, lane })
        };
        at(hash.bucket(), 0).or_else(|| at(hash.bucket() + 1, STRAY))
    }

    /// A chain's first record.
    pub(crate) fn head(&self, at: Lane) -> u32 {
        self.bucket(at.bucket).head(at.lane)
    }

    /// Lets a chain begin with another record.
    pub(crate) fn set_head(&self, at: Lane, head: u32) {
        self.bucket(at.bucket).set_head(at.lane, head);
    }

    /// Takes a chain in; `false` if there is no room for it.
    pub(crate) fn put(&self, hash: Hash, head: u32) -> bool {
        if self.bucket(hash.bucket()).put(hash, 0, head) {
            return true;
        }
        let is_put = self.bucket(hash.bucket() + 1).put(hash, STRAY, head);
        if is_put {
            self.bucket(hash.bucket()).set_overflows(OVERFLOWS);
        }
        is_put
    }

    /// Removes a chain that has no record any more.
    pub(crate) fn remove(&self, at: Lane) {
        let bucket = self.bucket(at.bucket);
        bucket.set_tag(at.lane, 0);
        bucket.set_head(at.lane, 0);
        let is_last = |lane| !(bucket.is_used(lane) && bucket.is_stray(lane));
        if bucket.is_stray(at.lane) && (0..LANES).all(is_last) {
            self.bucket(at.bucket + BUCKETS - 1).set_overflows(0);
        }
    }

    /// Every chain, those at home first: put into other pages in this order, they fit.
    pub(crate) fn chains(&self) -> impl Iterator<Item = (Hash, u32)> {
        [0, STRAY].into_iter().flat_map(move |stray| {
            self.buckets
                .iter()
                .enumerate()
                .flat_map(move |(number, bucket)| {
                    let lanes = (0..LANES).filter(|lane| bucket.is_used(*lane));
                    lanes.filter_map(move |lane| {
                        let rest = bucket.rests[lane].load(Relaxed);
                        let home = if stray == 0 {
                            number
                        } else {
                            number + BUCKETS - 1
                        };
                        let tag = bucket.tags[lane / 4].load(Relaxed) >> (lane % 4 * 16);
                        let hash = Hash::join(home % BUCKETS, rest & !STRAY, tag as u16 & 0x7fff);
                        (rest & STRAY == stray).then(|| (hash, bucket.head(lane)))
                    })
                })
        })
    }

    /// Empties a page that no reader can reach.
    pub(crate) fn clear(&self) {
        self.buckets.iter().for_each(Bucket::clear);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn hash(bucket: usize, tag: u16) -> Hash {
        Hash::join(bucket, tag / 3, tag | TAKEN)
    }

    #[test]
    fn a_bucket_is_one_cache_line() {
        assert_eq!(size_of::<Bucket>(), 64);
        assert_eq!(size_of::<Page>(), 4096);
    }

    #[test]
    fn a_full_bucket_overflows_into_the_next_and_the_mark_goes_with_the_last_stray() {
        let page = Page::default();
        let last = BUCKETS - 1;
        for tag in 1..=10 {
            assert!(page.put(hash(last, tag), u32::from(tag) * 7));
        }
        assert!(page.bucket(last).lanes(1).overflows());
        for tag in 1..=10 {
            let at = page.find(hash(last, tag)).map(|at| page.head(at));
            assert_eq!(at, Some(u32::from(tag) * 7));
        }
        assert_eq!(page.chains().count(), 10);
        for tag in [9, 10] {
            assert!(page.bucket(last).lanes(1).overflows());
            page.find(hash(last, tag))
                .into_iter()
                .for_each(|at| page.remove(at));
        }
        assert!(!page.bucket(last).lanes(1).overflows());
        assert_eq!(page.find(hash(last, 9)), None);
        assert!(page.find(hash(last, 8)).is_some());
    }

    #[test]
    fn lanes_match_whole_tags_only() {
        let page = Page::default();
        for tag in [0x7fff, 0x7ffe, 0x4001, 0x4000] {
            assert!(page.put(hash(0, tag), u32::from(tag)));
        }
        for tag in [0x7fff, 0x7ffe, 0x4001, 0x4000] {
            let bucket = page.bucket(0);
            let heads: Vec<_> = bucket.lanes(tag).map(|lane| bucket.head(lane)).collect();
            assert_eq!(heads, [u32::from(tag)]);
        }
        assert_eq!(page.bucket(0).lanes(0x4002).next(), None);
    }
}
