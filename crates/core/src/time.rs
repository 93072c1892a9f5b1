//! The time that the caller tells.

use std::time::Duration;

/// A moment, counted from whatever start the caller chose, to the nanosecond, for some five hundred
/// years. It never goes back; the engine reads no clock and asks for the time once per batch.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Time(u64);

impl Time {
    /// A moment that never comes.
    pub(crate) const NEVER: Time = Time(u64::MAX);

    /// This long after the start.
    pub const fn since_start(elapsed: Duration) -> Self {
        let nanoseconds = elapsed.as_nanos();
        if nanoseconds < u64::MAX as u128 {
            Time(nanoseconds as u64)
        } else {
            Time(u64::MAX - 1)
        }
    }

    /// How long ago `earlier` was; zero if it was not.
    pub const fn since(self, earlier: Time) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// The moment this long after.
    pub(crate) const fn after(self, wait: Duration) -> Time {
        let nanoseconds = wait.as_nanos();
        if nanoseconds < (u64::MAX - self.0) as u128 {
            Time(self.0 + nanoseconds as u64)
        } else {
            Time::NEVER
        }
    }

    pub(crate) const fn nanoseconds(self) -> u64 {
        self.0
    }

    pub(crate) const fn from_nanoseconds(nanoseconds: u64) -> Time {
        Time(nanoseconds)
    }
}
