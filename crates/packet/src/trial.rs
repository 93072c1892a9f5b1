//! Whether datagrams that a device handed over together were damaged by that.
//!
//! Damaged datagrams prove nothing: anybody can send them, and where datagrams come in trains those of
//! a stranger come in trains too. So a suspicion is tried by lot: rounds in which datagrams come
//! together and rounds in which each comes alone, in an order that nobody outside can know. Only where
//! every round of the one kind has the damage and no round of the other is the device found guilty.
//! Whoever sends damaged datagrams does not know when to stop, and guesses all rounds of a trial
//! right once in 12 870. See ADR 14.

use std::time::Duration;

/// How datagrams are to be received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arm {
    /// In trains.
    Together,
    /// One by one.
    Alone,
}

/// What a trial has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Datagrams are damaged where they come together, and only there.
    Guilty,
    /// They are not, or not only there.
    Innocent,
}

/// Damaged datagrams of trains within a second that make a suspicion, …
const SUSPICIOUS: u32 = 32;
/// … if they are one of so many, which is also what makes a round bad.
const SHARE: u32 = 64;
/// Rounds of a trial, half of each kind.
const ROUNDS: usize = 16;
/// Datagrams of a round.
const ROUND: u32 = 256;
/// The longest that a round may take; a trial that sees too little is given up.
const LONGEST_ROUND: Duration = Duration::from_secs(1);
/// From a trial that showed nothing to the next suspicion, doubled each time up to the longest.
const REST: Duration = Duration::from_secs(60);
const LONGEST_REST: Duration = Duration::from_secs(3600);

/// Watches what comes in trains, and tries a suspicion.
#[derive(Debug)]
pub struct Trial {
    phase: Phase,
    /// Nothing is suspected before.
    rests_until: Duration,
    rest: Duration,
}

#[derive(Debug)]
enum Phase {
    Watching {
        since: Duration,
        seen: Count,
    },
    Trying {
        /// How each round is; bit 1: together.
        order: u16,
        round: usize,
        since: Duration,
        seen: Count,
    },
    Over,
}

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    datagrams: u32,
    damaged: u32,
}

impl Count {
    fn add(&mut self, datagrams: u32, damaged: u32) {
        self.datagrams = self.datagrams.saturating_add(datagrams);
        self.damaged = self.damaged.saturating_add(damaged);
    }

    fn is_bad(self) -> bool {
        self.damaged > self.datagrams / SHARE
    }
}

impl Default for Trial {
    fn default() -> Self {
        Trial::new()
    }
}

impl Trial {
    /// Nothing is suspected.
    pub fn new() -> Self {
        Trial {
            phase: Phase::Watching {
                since: Duration::ZERO,
                seen: Count::default(),
            },
            rests_until: Duration::ZERO,
            rest: REST,
        }
    }

    /// How datagrams are to be received now.
    pub fn arm(&self) -> Arm {
        match self.phase {
            Phase::Watching { .. } => Arm::Together,
            Phase::Trying { order, round, .. } => arm_of(order, round),
            Phase::Over => Arm::Alone,
        }
    }

    /// Whether datagrams that come alone are looked at, too.
    #[inline]
    pub fn is_on(&self) -> bool {
        matches!(self.phase, Phase::Trying { .. })
    }

    /// So many datagrams came in this way, of which so many could not be opened. `now` is the time
    /// since any moment; `random` is asked for chance when a trial begins. What came otherwise than
    /// the present round has it was on its way before, and does not count.
    #[inline]
    pub fn note(
        &mut self,
        (came, datagrams, damaged): (Arm, u32, u32),
        now: Duration,
        random: &mut dyn FnMut(&mut [u8]),
    ) -> Option<Verdict> {
        match &mut self.phase {
            Phase::Watching { .. } if damaged == 0 => None,
            Phase::Watching { since, seen } => {
                if now.saturating_sub(*since) > LONGEST_ROUND {
                    (*since, *seen) = (now, Count::default());
                }
                seen.add(datagrams, damaged);
                // Trains without damage were not counted: a suspicion is soon had, a trial decides.
                if seen.damaged >= SUSPICIOUS && seen.is_bad() && now >= self.rests_until {
                    self.begin(now, random);
                }
                None
            }
            Phase::Trying { order, round, .. } if arm_of(*order, *round) != came => None,
            Phase::Trying { seen, .. } => {
                seen.add(datagrams, damaged);
                self.judge(now)
            }
            Phase::Over => None,
        }
    }

    /// Time passes; to be told about once a second.
    pub fn pass(&mut self, now: Duration) -> Option<Verdict> {
        match self.phase {
            Phase::Trying { since, .. } if now.saturating_sub(since) > LONGEST_ROUND => {
                Some(self.acquit(now))
            }
            _ => None,
        }
    }

    #[cold]
    fn begin(&mut self, now: Duration, random: &mut dyn FnMut(&mut [u8])) {
        self.phase = Phase::Trying {
            order: shuffled(random),
            round: 0,
            since: now,
            seen: Count::default(),
        };
    }

    /// Ends a round that has seen enough, and the trial with its last or with one that speaks for
    /// the device.
    fn judge(&mut self, now: Duration) -> Option<Verdict> {
        let Phase::Trying {
            order,
            round,
            since,
            seen,
        } = &mut self.phase
        else {
            return None;
        };
        if seen.datagrams < ROUND {
            return self.pass(now);
        }
        if seen.is_bad() != (arm_of(*order, *round) == Arm::Together) {
            return Some(self.acquit(now));
        }
        *round += 1;
        (*since, *seen) = (now, Count::default());
        if *round < ROUNDS {
            return None;
        }
        self.phase = Phase::Over;
        Some(Verdict::Guilty)
    }

    fn acquit(&mut self, now: Duration) -> Verdict {
        self.rests_until = now + self.rest;
        self.rest = (self.rest * 2).min(LONGEST_REST);
        self.phase = Phase::Watching {
            since: now,
            seen: Count::default(),
        };
        Verdict::Innocent
    }
}

fn arm_of(order: u16, round: usize) -> Arm {
    match order >> round & 1 {
        1 => Arm::Together,
        _ => Arm::Alone,
    }
}

/// Eight ones among sixteen bits, each order as likely as any other (Fisher and Yates).
fn shuffled(random: &mut dyn FnMut(&mut [u8])) -> u16 {
    let mut order: u16 = 0x00ff;
    for last in (1..ROUNDS).rev() {
        let mut chance = [0; 8];
        random(&mut chance);
        // The bias of a modulus is below 2^-59.
        let other = (u64::from_ne_bytes(chance) % (last as u64 + 1)) as usize;
        let differ = (order >> last ^ order >> other) & 1;
        order ^= differ << last | differ << other;
    }
    order
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A source of chance, and not a good one.
    fn chance(seed: u64) -> impl FnMut(&mut [u8]) {
        let mut state = seed;
        move |octets| {
            for octet in octets {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                *octet = (state >> 56) as u8;
            }
        }
    }

    /// Runs datagrams through a trial; `damages` says for each batch of 64, and how they come, how
    /// many are damaged.
    fn run(
        trial: &mut Trial,
        seed: u64,
        mut damages: impl FnMut(u64, Arm) -> u32,
    ) -> Option<Verdict> {
        let mut random = chance(seed);
        (0..2000).find_map(|batch| {
            let (arm, now) = (trial.arm(), Duration::from_millis(batch));
            trial.note((arm, 64, damages(batch, arm)), now, &mut random)
        })
    }

    #[test]
    fn a_device_that_damages_what_it_puts_together_is_found_guilty() {
        for seed in 0..50 {
            let mut trial = Trial::new();
            let lies = |_, arm| if arm == Arm::Together { 8 } else { 0 };
            assert_eq!(run(&mut trial, seed, lies), Some(Verdict::Guilty));
            assert_eq!((trial.arm(), trial.is_on()), (Arm::Alone, false));
        }
    }

    #[test]
    fn damage_that_comes_either_way_acquits() {
        for damaged in [2, 8, 64] {
            let mut trial = Trial::new();
            let verdict = run(&mut trial, 1, |_, _| damaged);
            assert_eq!(verdict, Some(Verdict::Innocent));
            assert_eq!(trial.arm(), Arm::Together);
        }
    }

    #[test]
    fn an_attacker_who_sends_in_bursts_does_not_guess_the_order() {
        // Whatever the rhythm, in four thousand trials.
        let guilty = (0..4000u64).filter(|seed| {
            let (rhythm, lot) = (seed % 23 + 1, seed % 7);
            let bursts = |batch: u64, _| {
                if (batch / rhythm + lot).is_multiple_of(2) {
                    60
                } else {
                    0
                }
            };
            run(&mut Trial::new(), *seed, bursts) == Some(Verdict::Guilty)
        });
        assert!(guilty.count() <= 3);
    }

    #[test]
    fn damage_now_and_then_is_not_even_suspicious_and_silence_ends_a_trial() {
        let mut trial = Trial::new();
        let rare = |batch: u64, _| u32::from(batch.is_multiple_of(100));
        assert_eq!(run(&mut trial, 1, rare), None);
        assert!(!trial.is_on());
        let mut random = chance(2);
        trial.note(
            (Arm::Together, 64, 64),
            Duration::from_secs(10),
            &mut random,
        );
        assert!(trial.is_on());
        assert_eq!(trial.pass(Duration::from_secs(11)), None);
        assert_eq!(trial.pass(Duration::from_secs(12)), Some(Verdict::Innocent));
    }

    #[test]
    fn what_was_suspected_in_vain_is_left_in_peace_ever_longer() {
        let mut trial = Trial::new();
        let mut random = chance(3);
        let mut now = Duration::from_secs(1);
        let mut waits = Vec::new();
        while waits.len() < 9 {
            let last = now;
            while !trial.is_on() {
                now += Duration::from_millis(500);
                trial.note((Arm::Together, 64, 64), now, &mut random);
            }
            waits.push((now - last).as_secs());
            now += Duration::from_secs(2);
            assert_eq!(trial.pass(now), Some(Verdict::Innocent));
        }
        assert_eq!(waits[1..], [60, 120, 240, 480, 960, 1920, 3600, 3600]);
    }

    proptest! {
        #[test]
        fn every_order_has_as_many_rounds_of_each_kind(seed: u64) {
            prop_assert_eq!(shuffled(&mut chance(seed)).count_ones(), 8);
        }

        #[test]
        fn nothing_that_comes_breaks_it(
            notes in proptest::collection::vec((any::<bool>(), any::<u32>(), any::<u32>(), 0u64..5000), 0..200)
        ) {
            let mut trial = Trial::new();
            let mut random = chance(1);
            for (together, datagrams, damaged, at) in notes {
                let arm = if together { Arm::Together } else { Arm::Alone };
                let now = Duration::from_millis(at);
                let _ = trial.note((arm, datagrams, damaged), now, &mut random);
                let _ = trial.pass(now);
            }
        }
    }
}
