//! The time that the caller tells.

use std::time::Duration;

/// A moment, counted from whatever start the caller chose. It never goes back; the engine reads no
/// clock and asks for the time once per batch.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Time(Duration);

impl Time {
    /// This long after the start.
    pub const fn since_start(elapsed: Duration) -> Self {
        Time(elapsed)
    }

    /// How long ago `earlier` was; zero if it was not.
    pub const fn since(self, earlier: Time) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}
