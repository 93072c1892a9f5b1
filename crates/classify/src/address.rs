//! Addresses as numbers: `u32` for IPv4, `u128` for IPv6.

use std::fmt::Debug;
use std::hash::Hash;
use std::ops::{BitAnd, BitOr, BitXor, Not};

use crate::sync::{AtomicU64, Relaxed};

/// An address of one family. It is implemented for `u32` and `u128`, and for nothing else.
pub trait Address:
    Copy
    + Ord
    + Hash
    + Debug
    + Default
    + Send
    + Sync
    + BitAnd<Output = Self>
    + BitOr<Output = Self>
    + BitXor<Output = Self>
    + Not<Output = Self>
    + sealed::Sealed
    + 'static
{
    /// How many bits it has.
    const BITS: u8;
    /// All bits zero.
    const LOWEST: Self;
    /// All bits one.
    const HIGHEST: Self;
    /// Room for the four ends of a source and a destination range, shared among threads.
    #[doc(hidden)]
    type Ends: Default + Debug + Send + Sync;

    /// A number with the first `length` bits set.
    #[doc(hidden)]
    fn mask(length: u8) -> Self;
    /// How many first bits two addresses share.
    #[doc(hidden)]
    fn shared_bits(self, other: Self) -> u8;
    /// The next address; `None` after the highest.
    #[doc(hidden)]
    fn next(self) -> Option<Self>;
    /// One number from two addresses and another, as random as `seed`.
    #[doc(hidden)]
    fn mix(seed: &[u64; 4], source: Self, destination: Self, ports: u64) -> u64;
    /// Writes source first, source last, destination first, destination last.
    #[doc(hidden)]
    fn store(ends: &Self::Ends, values: [Self; 4]);
    /// Reads them.
    #[doc(hidden)]
    fn load(ends: &Self::Ends) -> [Self; 4];
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for u32 {}
    impl Sealed for u128 {}
}

/// The halves of the product. Once is not enough where only a few low bits of a factor differ (the
/// ports of one pair of hosts): whole buckets would stay empty and others overflow.
#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

impl Address for u32 {
    const BITS: u8 = 32;
    const LOWEST: Self = 0;
    const HIGHEST: Self = u32::MAX;
    type Ends = [AtomicU64; 2];

    #[inline]
    fn mask(length: u8) -> Self {
        u32::MAX
            .checked_shl(32 - u32::from(length.min(32)))
            .unwrap_or(0)
    }

    fn shared_bits(self, other: Self) -> u8 {
        (self ^ other).leading_zeros() as u8
    }

    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }

    #[inline]
    fn mix(seed: &[u64; 4], source: Self, destination: Self, ports: u64) -> u64 {
        let addresses = u64::from(source) << 32 | u64::from(destination);
        let first = fold(addresses ^ seed[0], ports ^ seed[1]);
        fold(first ^ seed[2], seed[3])
    }

    fn store(ends: &Self::Ends, [a, b, c, d]: [Self; 4]) {
        ends[0].store(u64::from(a) << 32 | u64::from(b), Relaxed);
        ends[1].store(u64::from(c) << 32 | u64::from(d), Relaxed);
    }

    #[inline]
    fn load(ends: &Self::Ends) -> [Self; 4] {
        let (source, destination) = (ends[0].load(Relaxed), ends[1].load(Relaxed));
        let first = |word: u64| (word >> 32) as u32;
        [
            first(source),
            source as u32,
            first(destination),
            destination as u32,
        ]
    }
}

impl Address for u128 {
    const BITS: u8 = 128;
    const LOWEST: Self = 0;
    const HIGHEST: Self = u128::MAX;
    type Ends = [AtomicU64; 8];

    #[inline]
    fn mask(length: u8) -> Self {
        u128::MAX
            .checked_shl(128 - u32::from(length.min(128)))
            .unwrap_or(0)
    }

    fn shared_bits(self, other: Self) -> u8 {
        (self ^ other).leading_zeros() as u8
    }

    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }

    #[inline]
    fn mix(seed: &[u64; 4], source: Self, destination: Self, ports: u64) -> u64 {
        let high = |address: u128| (address >> 64) as u64;
        let a = fold(high(source) ^ seed[0], source as u64 ^ seed[1]);
        let b = fold(high(destination) ^ seed[1], destination as u64 ^ seed[2]);
        let first = fold(a ^ b.rotate_left(32) ^ seed[2], ports ^ seed[3]);
        fold(first ^ seed[0], seed[1])
    }

    fn store(ends: &Self::Ends, values: [Self; 4]) {
        for (pair, value) in ends.as_chunks::<2>().0.iter().zip(values) {
            pair[0].store((value >> 64) as u64, Relaxed);
            pair[1].store(value as u64, Relaxed);
        }
    }

    #[inline]
    fn load(ends: &Self::Ends) -> [Self; 4] {
        [0, 2, 4, 6].map(|at| {
            u128::from(ends[at].load(Relaxed)) << 64 | u128::from(ends[at + 1].load(Relaxed))
        })
    }
}
