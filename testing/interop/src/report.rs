//! One line a row, and the sum of them; benches that work side by side share one.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Instant;

use crate::ledger::stop_if_ending;

/// Counts rows and prints each as it ends.
#[derive(Debug, Default)]
pub struct Report {
    passed: AtomicUsize,
    failed: AtomicUsize,
}

impl Report {
    /// Runs a row and prints `ok NAME` with its seconds, or `FAILED NAME: why`; says whether it is ok.
    pub fn row(&self, name: &str, run: impl FnOnce() -> anyhow::Result<()>) -> bool {
        let start = Instant::now();
        let result = run();
        stop_if_ending();
        match &result {
            Ok(()) => {
                self.passed.fetch_add(1, Relaxed);
                println!("ok {name} ({:.1} s)", start.elapsed().as_secs_f32());
            }
            Err(error) => {
                self.failed.fetch_add(1, Relaxed);
                println!("FAILED {name}: {error:#}");
            }
        }
        result.is_ok()
    }

    /// Prints `N passed, M failed`, and says whether that is a success: nothing failed, and
    /// something passed.
    pub fn finish(&self) -> bool {
        let (passed, failed) = (self.passed(), self.failed.load(Relaxed));
        println!("{passed} passed, {failed} failed");
        failed == 0 && passed > 0
    }

    /// How many rows have passed so far.
    pub fn passed(&self) -> usize {
        self.passed.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_passed_is_no_success() {
        assert!(!Report::default().finish());
    }

    #[test]
    fn one_failure_is_no_success() {
        let report = Report::default();
        assert!(report.row("good", || Ok(())));
        assert!(report.finish());
        assert!(!report.row("bad", || anyhow::bail!("as expected")));
        assert!(!report.finish());
        assert_eq!(report.passed(), 1);
    }
}
