//! The worker's cache: flow → what was decided for it.

use std::hash::BuildHasher;

use foldhash::SharedSeed;
use foldhash::fast::SeedableRandomState;

use super::Key;

const WAYS: usize = 4;

/// A bounded map from flows to decisions. It never refuses a flow for being full: a set that is
/// full gives up one entry, in turn. Whether an entry still holds is the reader's question, asked
/// of the generation stored with it; nothing is ever searched to be invalidated.
///
/// The hash is keyed, so that a stranger cannot choose flows that meet in one set.
pub struct Cache<V> {
    sets: Box<[[Option<Entry<V>>; WAYS]]>,
    hasher: SeedableRandomState,
    /// Where the last flow was found: packets come in bursts of one flow.
    last: usize,
    victim: u8,
}

#[derive(Clone, Copy)]
struct Entry<V> {
    key: Key,
    generation: u64,
    value: V,
}

impl<V: Copy> Cache<V> {
    /// A cache of at least `flows` flows (rounded up to a power of two, at least 4), its hash
    /// keyed by `seed`.
    pub fn new(flows: usize, seed: u64) -> Self {
        let sets = flows.div_ceil(WAYS).next_power_of_two();
        Cache {
            sets: vec![[None; WAYS]; sets].into_boxed_slice(),
            hasher: SeedableRandomState::with_seed(seed, SharedSeed::global_fixed()),
            last: 0,
            victim: 0,
        }
    }

    fn set_of(&self, key: &Key) -> usize {
        self.hasher.hash_one(key) as usize & (self.sets.len() - 1)
    }

    /// What was decided for the flow, if that was under this very `generation`.
    // In line always: a key or a decision that goes through memory is waited for.
    #[allow(clippy::inline_always)]
    #[inline(always)]
    pub fn find(&mut self, key: &Key, generation: u64) -> Option<V> {
        if let Some(value) = self.at(self.last, key, generation) {
            return Some(value);
        }
        self.last = self.search(key, generation)?;
        self.at(self.last, key, generation)
    }

    /// What the place holds of the flow.
    #[allow(clippy::inline_always)]
    #[inline(always)]
    fn at(&self, place: usize, key: &Key, generation: u64) -> Option<V> {
        let entry = self.sets.as_flattened().get(place)?.as_ref()?;
        (entry.generation == generation && entry.key == *key).then_some(entry.value)
    }

    /// The flow's place.
    #[inline(never)]
    fn search(&self, key: &Key, generation: u64) -> Option<usize> {
        let first = self.set_of(key) * WAYS;
        (first..first + WAYS).find(|place| self.at(*place, key, generation).is_some())
    }

    /// Remembers a decision: in place of the flow's own entry, a stale one, an empty place, or
    /// whichever entry of the set is next in turn.
    pub fn fill(&mut self, key: Key, generation: u64, value: V) {
        let index = self.set_of(&key);
        let Some(set) = self.sets.get_mut(index) else {
            return;
        };
        let own = set.iter().position(|way| way.is_some_and(|e| e.key == key));
        let free = || {
            set.iter()
                .position(|way| way.is_none_or(|e| e.generation != generation))
        };
        let way = own.or_else(free).unwrap_or_else(|| {
            self.victim = self.victim.wrapping_add(1);
            usize::from(self.victim) % WAYS
        });
        set[way] = Some(Entry {
            key,
            generation,
            value,
        });
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    fn key(n: u16) -> Key {
        Key::new(
            "10.0.0.1".parse().unwrap(),
            "10.0.0.2".parse().unwrap(),
            17,
            Some([n, 53]),
        )
        .unwrap()
    }

    #[test]
    fn an_entry_of_another_generation_is_not_found() {
        let mut cache = Cache::new(16, 1);
        cache.fill(key(1), 7, 'a');
        assert_eq!(cache.find(&key(1), 7), Some('a'));
        assert_eq!(cache.find(&key(1), 8), None);
        cache.fill(key(1), 8, 'b');
        assert_eq!(cache.find(&key(1), 8), Some('b'));
        assert_eq!(cache.find(&key(1), 7), None);
    }

    #[test]
    fn a_full_cache_takes_the_newest_flow() {
        let mut cache = Cache::new(4, 1);
        for n in 0..1000 {
            cache.fill(key(n), 0, n);
            assert_eq!(cache.find(&key(n), 0), Some(n));
        }
        assert_eq!(
            (0..1000)
                .filter(|n| cache.find(&key(*n), 0).is_some())
                .count(),
            WAYS
        );
    }

    proptest! {
        #[test]
        fn what_the_cache_finds_is_what_the_map_holds(
            steps in proptest::collection::vec((0u16..60, 0u64..3, any::<u32>(), any::<bool>()), 0..400)
        ) {
            let mut cache = Cache::new(16, 42);
            let mut twin: HashMap<u16, (u64, u32)> = HashMap::new();
            for (n, generation, value, write) in steps {
                if write {
                    cache.fill(key(n), generation, value);
                    twin.insert(n, (generation, value));
                } else if let Some(found) = cache.find(&key(n), generation) {
                    prop_assert_eq!(twin.get(&n), Some(&(generation, found)));
                }
            }
        }
    }
}
