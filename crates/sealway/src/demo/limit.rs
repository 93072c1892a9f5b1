//! How long something may take, and whether somebody wants it to end.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

/// Whether SIGINT, SIGTERM or SIGHUP came. Cloned, it is the same.
#[derive(Clone, Debug)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// From now on these signals only leave word here: whoever works looks, ends, and cleans up.
    /// A second signal ends the process where it stands.
    pub(crate) fn catch() -> Result<Interrupt> {
        let came = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            flag::register_conditional_shutdown(signal, 1, Arc::clone(&came))
                .and_then(|_| flag::register(signal, Arc::clone(&came)))
                .context("cannot watch for signals")?;
        }
        Ok(Interrupt(came))
    }

    /// Whether one came.
    pub(crate) fn came(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Ends what is not to go on.
    pub(crate) fn check(&self) -> Result<()> {
        if self.came() {
            bail!("interrupted; nothing is left behind");
        }
        Ok(())
    }

    /// A limit of this much time from now.
    pub(crate) fn within(&self, time: Duration) -> Limit {
        Limit {
            end: Instant::now() + time,
            interrupt: self.clone(),
        }
    }
}

/// The end of somebody's patience.
#[derive(Clone, Debug)]
pub(crate) struct Limit {
    end: Instant,
    interrupt: Interrupt,
}

impl Limit {
    /// The same, but no later than `other`.
    pub(crate) fn and(mut self, other: &Limit) -> Limit {
        self.end = self.end.min(other.end);
        self
    }

    /// An error once the time is over or a signal came; `doing` says what was going on.
    pub(crate) fn check(&self, doing: &str) -> Result<()> {
        self.interrupt.check()?;
        if Instant::now() >= self.end {
            bail!("{doing} takes too long");
        }
        Ok(())
    }

    /// Repeats an operation on a socket whose timeout is [`TICK`] until it succeeds, fails, or the
    /// limit is reached.
    pub(crate) fn retry<T>(
        &self,
        doing: &str,
        mut operation: impl FnMut() -> io::Result<T>,
    ) -> Result<T> {
        loop {
            match operation() {
                Ok(value) => return Ok(value),
                Err(error) if is_temporary(&error) => self.check(doing)?,
                Err(error) => return Err(error).with_context(|| format!("{doing} failed")),
            }
        }
    }
}

/// How long one wait may take before the limit is looked at again.
pub(crate) const TICK: Duration = Duration::from_millis(50);

fn is_temporary(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted
    )
}
