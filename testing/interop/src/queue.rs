//! The rows of a run, dealt out to benches that work side by side.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use anyhow::{Result, ensure};

use crate::fault::Fault;
use crate::linux::Options;
use crate::negative::{self, Fragments, Negative};
use crate::row::{Row, rows};
use crate::suite::Suite;

/// A row of any kind.
#[derive(Clone, Copy, Debug)]
pub enum Task {
    /// Traffic that must pass.
    Traffic(Row),
    /// A spoiled packet.
    Negative(Negative),
    /// Fragments that are no honest part of a datagram.
    Fragments(Fragments),
}

impl Task {
    /// The fault that our end must look for.
    fn fault(&self) -> Option<Fault> {
        match self {
            Task::Traffic(_) => None,
            Task::Negative(negative) => Some(negative.attack.fault()),
            Task::Fragments(fragments) => Some(fragments.fault()),
        }
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Task::Traffic(row) => row.fmt(f),
            Task::Negative(negative) => negative.fmt(f),
            Task::Fragments(fragments) => fragments.fmt(f),
        }
    }
}

/// What a run is to do.
#[derive(Debug)]
struct Plan {
    /// The suites of the peers.
    suites: Vec<Suite>,
    /// Each row with its number.
    tasks: Vec<(u32, Task)>,
}

/// What is left to do. Each row goes to one bench.
#[derive(Debug, Default)]
pub struct Queue {
    /// Made by the first bench that is ready.
    plan: OnceLock<Plan>,
    next: AtomicUsize,
    is_closed: AtomicBool,
}

impl Queue {
    /// Fills the queue with the rows that the options ask for and whose fault our end looks for. All
    /// benches do so, and the first one's rows stand.
    ///
    /// # Errors
    /// If this bench's peer has other suites than another's.
    pub fn fill(
        &self,
        suites: Vec<Suite>,
        options: &Options,
        looks_for: impl Fn(Fault) -> bool,
    ) -> Result<()> {
        let plan = self
            .plan
            .get_or_init(|| plan(suites.clone(), options, looks_for));
        ensure!(
            plan.suites == suites,
            "the peers' kernels differ in their suites"
        );
        Ok(())
    }

    /// The next row, with the number that makes its SPIs its own.
    pub fn next(&self) -> Option<(u32, Task)> {
        if self.is_closed.load(Relaxed) {
            return None;
        }
        let plan = self.plan.get()?;
        plan.tasks.get(self.next.fetch_add(1, Relaxed)).copied()
    }

    /// No more rows: what is left is not run.
    pub fn close(&self) {
        self.is_closed.store(true, Relaxed);
    }
}

fn plan(suites: Vec<Suite>, options: &Options, looks_for: impl Fn(Fault) -> bool) -> Plan {
    let traffic = rows(&suites, options.extent).into_iter().map(Task::Traffic);
    let tasks = traffic
        .chain(negative::rows().into_iter().map(Task::Negative))
        .chain(Fragments::rows().into_iter().map(Task::Fragments))
        .filter(|task| task.fault().is_none_or(&looks_for));
    let numbered = (0..).zip(tasks);
    let wanted = numbered.filter(|(_, task)| task.to_string().contains(&options.filter));
    Plan {
        tasks: wanted.collect(),
        suites,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::row::Extent;
    use crate::suite;
    use std::collections::BTreeSet;

    fn suites() -> Vec<Suite> {
        suite::all().into_iter().take(3).collect()
    }

    fn options(filter: &str) -> Options {
        Options {
            extent: Extent::Pairwise,
            filter: filter.to_owned(),
        }
    }

    #[test]
    fn every_row_is_dealt_out_once_however_many_fill_the_queue() {
        let queue = Queue::default();
        for _ in 0..2 {
            queue.fill(suites(), &options(""), |_| true).unwrap();
        }
        let dealt: Vec<(u32, Task)> = std::iter::from_fn(|| queue.next()).collect();
        let names: BTreeSet<String> = dealt.iter().map(|(_, task)| task.to_string()).collect();
        let numbers: BTreeSet<u32> = dealt.iter().map(|(number, _)| *number).collect();
        assert_eq!((names.len(), numbers.len()), (dealt.len(), dealt.len()));
        let refused = names.iter().filter(|name| name.starts_with("refused: "));
        assert!(refused.count() >= 40);
    }

    #[test]
    fn a_row_keeps_its_number_whatever_the_filter() {
        let (all, some) = (Queue::default(), Queue::default());
        all.fill(suites(), &options(""), |_| true).unwrap();
        let wanted = "refused: replayed, tunnel v6";
        some.fill(suites(), &options(wanted), |_| true).unwrap();
        let (number, task) = some.next().unwrap();
        let same = std::iter::from_fn(|| all.next())
            .find(|(_, other)| other.to_string() == task.to_string());
        assert_eq!(same.unwrap().0, number);
    }

    #[test]
    fn faults_that_our_end_does_not_look_for_have_no_row() {
        let queue = Queue::default();
        queue
            .fill(suites(), &options("refused"), |_| false)
            .unwrap();
        assert!(queue.next().is_none());
    }

    #[test]
    fn a_closed_queue_and_a_peer_that_differs_end_the_run() {
        let queue = Queue::default();
        queue.fill(suites(), &options(""), |_| true).unwrap();
        assert!(queue.fill(Vec::new(), &options(""), |_| true).is_err());
        queue.close();
        assert!(queue.next().is_none());
    }
}
