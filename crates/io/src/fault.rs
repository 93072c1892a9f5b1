//! A device that loses, repeats, delays, reorders and damages what is sent through it, the same
//! way for the same seed.

use std::mem;

use sealway_packet::{Arrival, Egress, Packet, Train};

use crate::memory::singles;
use crate::{Device, SendError};

/// How often each fault befalls a segment, in thousandths; above 1000 is always.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    /// It is lost.
    pub loss: u16,
    /// It arrives twice.
    pub duplicate: u16,
    /// It is overtaken by the next one sent.
    pub reorder: u16,
    /// One of its bits flips.
    pub flip: u16,
    /// It loses some of its end.
    pub truncate: u16,
    /// It waits 1 to [`Rates::longest_delay`] steps.
    pub delay: u16,
    /// In steps; each [`Device::receive`] on the faulty device is one.
    pub longest_delay: u16,
}

/// What befell so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Segments given to the device.
    pub sent: u64,
    /// Lost.
    pub lost: u64,
    /// Sent twice.
    pub duplicated: u64,
    /// Overtaken.
    pub reordered: u64,
    /// With a flipped bit.
    pub flipped: u64,
    /// Cut short.
    pub truncated: u64,
    /// Held back for some steps.
    pub delayed: u64,
    /// Held back, and refused by the device when their time came.
    pub refused: u64,
}

/// A small, fast, seeded generator (SplitMix64); not for secrets.
#[derive(Clone, Debug)]
pub struct Prng(u64);

impl Prng {
    /// The generator of this seed.
    pub fn new(seed: u64) -> Self {
        Prng(seed)
    }

    /// The next 64 bits.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    /// A number below `bound`; 0 if `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        // The bias of a modulus is below 2^-32 for any bound used here.
        if bound == 0 { 0 } else { self.draw() % bound }
    }
}

/// A device through which what is sent meets faults. What is received passes as it is: wrap the
/// other end, too, for faults both ways.
///
/// Each segment of a train meets its own. A segment that is held back leaves in a later
/// [`Device::send`] or [`Device::receive`]; if the device refuses it then, that is only counted.
#[derive(Debug)]
pub struct Faults<D> {
    device: D,
    rates: Rates,
    prng: Prng,
    tally: Tally,
    step: u64,
    held: Vec<Held>,
}

/// A segment that waits.
#[derive(Debug)]
struct Held {
    until: Until,
    egress: Egress,
    train: Train,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Until {
    /// Another segment has left, or the next step.
    Overtaken,
    /// This step.
    Step(u64),
}

impl<D: Device> Faults<D> {
    /// Wraps a device.
    pub fn new(device: D, rates: Rates, prng: Prng) -> Self {
        Faults {
            device,
            rates,
            prng,
            tally: Tally::default(),
            step: 0,
            held: Vec::new(),
        }
    }

    /// The device inside.
    pub fn device(&mut self) -> &mut D {
        &mut self.device
    }

    /// From here on, other rates.
    pub fn set_rates(&mut self, rates: Rates) {
        self.rates = rates;
    }

    /// What befell so far.
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// Segments that are held back.
    pub fn waiting(&self) -> usize {
        self.held.len()
    }

    fn send_one(&mut self, egress: Egress, mut train: Train) -> Result<(), SendError> {
        self.tally.sent += 1;
        // Every die is thrown for every segment, so that one rate does not shift another's luck.
        let [lost, duplicated, reordered, flipped, truncated, delayed] = [
            self.rates.loss,
            self.rates.duplicate,
            self.rates.reorder,
            self.rates.flip,
            self.rates.truncate,
            self.rates.delay,
        ]
        .map(|rate| self.prng.below(1000) < u64::from(rate));
        let (place, delay) = (self.prng.draw(), self.prng.draw());
        if lost {
            self.tally.lost += 1;
            return Ok(());
        }
        if flipped {
            self.tally.flipped += flip(&mut train, place);
        }
        if truncated {
            self.tally.truncated += truncate(&mut train, place);
        }
        if duplicated {
            self.tally.duplicated += 1;
            let copy = Train::detached(train.packet());
            self.device.send(egress, copy)?;
        }
        if delayed && self.rates.longest_delay > 0 {
            self.tally.delayed += 1;
            let steps = 1 + delay % u64::from(self.rates.longest_delay);
            self.hold(Until::Step(self.step + steps), egress, train);
            return Ok(());
        }
        if reordered {
            self.tally.reordered += 1;
            self.hold(Until::Overtaken, egress, train);
            return Ok(());
        }
        let sent = self.device.send(egress, train);
        self.release(|until| until == Until::Overtaken);
        sent
    }

    fn hold(&mut self, until: Until, egress: Egress, train: Train) {
        self.held.push(Held {
            until,
            egress,
            train,
        });
    }

    /// Sends those whose time has come, in the order in which they were held back.
    fn release(&mut self, due: impl Fn(Until) -> bool) {
        let (leaving, staying) = mem::take(&mut self.held)
            .into_iter()
            .partition(|held| due(held.until));
        self.held = staying;
        for held in leaving {
            if self.device.send(held.egress, held.train).is_err() {
                self.tally.refused += 1;
            }
        }
    }
}

impl<D: Device> Device for Faults<D> {
    fn send(&mut self, egress: Egress, train: Train) -> Result<(), SendError> {
        singles(train).try_for_each(|single| self.send_one(egress, single))
    }

    fn receive(&mut self, sink: &mut dyn FnMut(Packet<Arrival>)) {
        self.step += 1;
        let now = self.step;
        self.release(|until| match until {
            Until::Overtaken => true,
            Until::Step(step) => step <= now,
        });
        self.device.receive(sink);
    }
}

/// Flips one bit; how many segments that changed.
fn flip(train: &mut Train, place: u64) -> u64 {
    let packet = train.packet_mut();
    let bits = packet.len() as u64 * 8;
    if bits == 0 {
        return 0;
    }
    let bit = place % bits;
    if let Some(octet) = packet.get_mut((bit / 8) as usize) {
        *octet ^= 1 << (bit % 8);
    }
    1
}

/// Cuts off at least one octet; how many segments that changed.
fn truncate(train: &mut Train, place: u64) -> u64 {
    let length = train.packet().len() as u64;
    if length == 0 {
        return 0;
    }
    train.truncate((place % length) as usize);
    1
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::memory::{End, Link};

    fn faulty(rates: Rates, seed: u64) -> (Faults<End>, End) {
        let (left, right) = Link::default().ends();
        (Faults::new(left, rates, Prng::new(seed)), right)
    }

    /// Sends the numbers below `count`, with a step after each eighth, and says what arrives.
    fn run(rates: Rates, seed: u64, count: u32) -> (Vec<Vec<u8>>, Tally) {
        let (mut left, mut right) = faulty(rates, seed);
        let mut arrived = Vec::new();
        for number in 0..count {
            let train = Train::detached(&number.to_be_bytes());
            left.send(Egress::Clear, train).unwrap();
            if number % 8 == 7 {
                left.receive(&mut |_| ());
            }
            right.receive(&mut |packet| arrived.push(packet.train.packet().to_vec()));
        }
        while left.waiting() > 0 {
            left.receive(&mut |_| ());
        }
        right.receive(&mut |packet| arrived.push(packet.train.packet().to_vec()));
        (arrived, left.tally())
    }

    fn numbers(count: u32) -> Vec<Vec<u8>> {
        (0..count).map(|n| n.to_be_bytes().to_vec()).collect()
    }

    const ALL: Rates = Rates {
        loss: 100,
        duplicate: 100,
        reorder: 100,
        flip: 100,
        truncate: 100,
        delay: 100,
        longest_delay: 5,
    };

    #[test]
    fn the_same_seed_does_the_same_and_another_does_not() {
        assert_eq!(run(ALL, 7, 2000), run(ALL, 7, 2000));
        assert_ne!(run(ALL, 7, 2000).0, run(ALL, 8, 2000).0);
    }

    #[test]
    fn without_faults_everything_passes_as_it_is() {
        assert_eq!(run(Rates::default(), 7, 100).0, numbers(100));
    }

    #[test]
    fn what_arrives_is_what_the_tally_says() {
        let (arrived, tally) = run(ALL, 3, 2000);
        assert_eq!(
            arrived.len() as u64,
            tally.sent - tally.lost + tally.duplicated
        );
        for fault in [
            tally.lost,
            tally.duplicated,
            tally.reordered,
            tally.flipped,
            tally.truncated,
            tally.delayed,
        ] {
            assert!(
                (100..300).contains(&fault),
                "about a tenth of 2000: {tally:?}"
            );
        }
        let short = arrived.iter().filter(|octets| octets.len() < 4).count() as u64;
        assert!(short >= tally.truncated);
    }

    #[test]
    fn a_reordered_segment_is_overtaken_by_the_next() {
        let rates = Rates {
            reorder: 1000,
            ..Rates::default()
        };
        let (mut left, mut right) = faulty(rates, 1);
        left.send(Egress::Clear, Train::detached(b"first")).unwrap();
        assert_eq!((left.waiting(), right.waiting()), (1, 0));
        left.set_rates(Rates::default());
        left.send(Egress::Clear, Train::detached(b"second"))
            .unwrap();
        let mut arrived = Vec::new();
        right.receive(&mut |packet| arrived.push(packet.train.packet().to_vec()));
        assert_eq!(arrived, [b"second".to_vec(), b"first".to_vec()]);
    }

    #[test]
    fn a_delayed_segment_comes_within_its_steps_and_loss_is_for_ever() {
        let rates = Rates {
            delay: 1000,
            longest_delay: 3,
            ..Rates::default()
        };
        let (arrived, tally) = run(rates, 5, 64);
        assert_eq!((tally.delayed, arrived.len()), (64, 64));
        let rates = Rates {
            loss: 1000,
            ..Rates::default()
        };
        assert!(run(rates, 5, 64).0.is_empty());
    }

    #[test]
    fn one_flipped_bit_is_one_bit() {
        let rates = Rates {
            flip: 1000,
            ..Rates::default()
        };
        let (arrived, _) = run(rates, 5, 64);
        for (is, was) in arrived.iter().zip(numbers(64)) {
            let bits = is.iter().zip(&was).map(|(a, b)| (a ^ b).count_ones());
            assert_eq!(bits.sum::<u32>(), 1);
        }
    }
}
