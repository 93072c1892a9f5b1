//! How many numbers are reserved ahead: for the next seconds at the rate of the last ones, within
//! bounds. The record of the decision says why these.

use std::time::{Duration, Instant};

use sealway_crypto::Sequence;

/// What a crash of the machine costs a peer that sends hardly anything: so many of its packets are
/// refused. Half of it is what a peer that was silent may send while more is being reserved.
const LEAST_RECEIVED: u64 = 256;
const MOST_RECEIVED: u64 = 1 << 22;

/// Rates are measured over no less than this: a short burst is no sign of a fast peer.
const SHORTEST: Duration = Duration::from_millis(100);

/// How fast a number moves, in numbers a second.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate {
    last: (Instant, u64),
    rate: u64,
}

impl Rate {
    pub(super) fn new(now: Instant, number: u64) -> Rate {
        Rate {
            last: (now, number),
            rate: 0,
        }
    }

    /// What it is now that it has come to `number`. It rises at once, and falls by half in a second.
    pub(super) fn measure(&mut self, now: Instant, number: u64) -> u64 {
        let (then, before) = self.last;
        let since = now.saturating_duration_since(then);
        let elapsed = since.max(SHORTEST);
        let moved = u128::from(number.saturating_sub(before));
        let rate = (moved * 1_000_000 / elapsed.as_micros().max(1)) as u64;
        if since < SHORTEST {
            return rate.max(self.rate);
        }
        let halvings = (-elapsed.as_secs_f64()).exp2();
        let faded = (self.rate as f64 * halvings) as u64;
        self.rate = rate.max(faded);
        self.last = (now, number);
        self.rate
    }
}

/// How many numbers to reserve for sending: four seconds' worth. A restart skips what is left of
/// them, which costs nobody a packet, but 32-bit numbers are not many.
pub(super) fn ahead_sent(form: Sequence, rate: u64) -> u64 {
    let (least, most) = match form {
        Sequence::Short => (1 << 14, 1 << 24),
        Sequence::Extended => (1 << 20, 1 << 28),
    };
    rate.saturating_mul(4).clamp(least, most)
}

/// How many numbers to reserve for accepting: one second's worth. A restart refuses what is left of
/// them.
pub(super) fn ahead_received(rate: u64) -> u64 {
    rate.clamp(LEAST_RECEIVED, MOST_RECEIVED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_rises_at_once_and_fades() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut rate = Rate::new(start, 100);
        assert_eq!(rate.measure(after(1), 1100), 1000);
        assert_eq!(rate.measure(after(2), 1100), 500);
        assert_eq!(rate.measure(after(12), 1100), 0);
        // However short the time, a few packets are no flood, and many are.
        assert_eq!(rate.measure(after(12), 1132), 320);
        assert_eq!(rate.measure(after(12), 1332), 2320);
    }

    #[test]
    fn slow_peers_lose_little_and_fast_ones_a_second() {
        assert_eq!(ahead_received(1), 256);
        assert_eq!(ahead_received(90_000), 90_000);
        assert_eq!(ahead_sent(Sequence::Short, 0), 1 << 14);
        assert_eq!(ahead_sent(Sequence::Extended, 1_000_000), 4_000_000);
    }
}
