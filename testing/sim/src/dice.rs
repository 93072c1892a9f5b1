//! Random choices, the same for the same seed.

use sealway_io::fault::Prng;

/// A seeded source of choices.
#[derive(Clone, Debug)]
pub struct Dice(Prng);

impl Dice {
    /// That of a seed.
    pub fn new(seed: u64) -> Dice {
        Dice(Prng::new(seed))
    }

    /// Another source, which no later draw of this one changes.
    pub fn fork(&mut self) -> Dice {
        Dice::new(self.0.draw())
    }

    /// For what wants the generator itself.
    pub fn prng(&mut self) -> Prng {
        Prng::new(self.0.draw())
    }

    /// A number below `bound`, which is above 0.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0.below(bound as u64) as usize
    }

    /// A number from `first` to `last`.
    pub fn between(&mut self, first: usize, last: usize) -> usize {
        first + self.below(last - first + 1)
    }

    /// Whether something with this many chances in a hundred happens.
    pub fn percent(&mut self, chances: usize) -> bool {
        self.below(100) < chances
    }

    /// One of several.
    pub fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    /// The first with as many chances as its number says, and so on.
    pub fn weighted<T: Copy>(&mut self, of: &[(usize, T)]) -> T {
        let mut at = self.below(of.iter().map(|(weight, _)| weight).sum());
        for (weight, choice) in of {
            if at < *weight {
                return *choice;
            }
            at -= weight;
        }
        of[0].1
    }

    /// Random octets.
    pub fn octets(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.0.draw() as u8).collect()
    }

    /// A random octet.
    pub fn octet(&mut self) -> u8 {
        self.0.draw() as u8
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0.draw()
    }

    /// Puts them into random order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}
