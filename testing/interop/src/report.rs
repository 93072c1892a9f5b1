//! One line a row, and the sum of them.

use std::time::Instant;

use crate::ledger::stop_if_ending;

/// Counts rows and prints each as it ends.
#[derive(Debug, Default)]
pub struct Report {
    passed: usize,
    failed: usize,
}

impl Report {
    /// Runs a row and prints `ok NAME` with its seconds, or `FAILED NAME: why`.
    pub fn row(&mut self, name: &str, run: impl FnOnce() -> anyhow::Result<()>) {
        let start = Instant::now();
        let result = run();
        stop_if_ending();
        match result {
            Ok(()) => {
                self.passed += 1;
                println!("ok {name} ({:.1} s)", start.elapsed().as_secs_f32());
            }
            Err(error) => {
                self.failed += 1;
                println!("FAILED {name}: {error:#}");
            }
        }
    }

    /// Prints `N passed, M failed`, and says whether that is a success: nothing failed, and
    /// something passed.
    pub fn finish(&self) -> bool {
        println!("{} passed, {} failed", self.passed, self.failed);
        self.failed == 0 && self.passed > 0
    }

    /// How many rows have passed so far.
    pub fn passed(&self) -> usize {
        self.passed
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
        let mut report = Report::default();
        report.row("good", || Ok(()));
        assert!(report.finish());
        report.row("bad", || anyhow::bail!("as expected"));
        assert!(!report.finish());
        assert_eq!(report.passed(), 1);
    }
}
