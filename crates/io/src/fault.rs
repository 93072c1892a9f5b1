//! A device that loses, repeats, delays, reorders and damages what is sent through it, the same
//! way for the same seed.

use sealway_packet::{Arrival, Egress, Packet, Train};

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
#[derive(Debug)]
pub struct Faults<D> {
    device: D,
    rates: Rates,
    prng: Prng,
    tally: Tally,
}

impl<D: Device> Faults<D> {
    /// Wraps a device.
    pub fn new(device: D, rates: Rates, prng: Prng) -> Self {
        Faults {
            device,
            rates,
            prng,
            tally: Tally::default(),
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
}

impl<D: Device> Device for Faults<D> {
    fn send(&mut self, egress: Egress, train: Train) -> Result<(), SendError> {
        let _ = (self.prng.draw(), self.rates);
        self.device.send(egress, train)
    }

    fn receive(&mut self, sink: &mut dyn FnMut(Packet<Arrival>)) {
        self.device.receive(sink);
    }
}
