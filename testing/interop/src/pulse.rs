//! Timer signals for user-mode Linux, which on a busy machine can lose its own.
//!
//! Its idle loop sleeps only while its timer is armed, and the timer is armed by the handler of
//! `SIGALRM`. When that signal arrives between the two, the kernel spins and no time passes in it
//! until the next interrupt. One signal too many is harmless: the handler looks what is due.

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How long a kernel may stand still.
const PERIOD: Duration = Duration::from_millis(250);

/// Sends a kernel its timer signal until it is dropped.
#[derive(Debug)]
pub(crate) struct Pulse {
    /// Dropped to stop the thread.
    running: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Pulse {
    /// For the kernel that is process `pid`: booted, since before that the signal would end it, and
    /// not waited for as long as this lives.
    pub(crate) fn start(pid: u32) -> Result<Self> {
        let pid = Pid::from_raw(i32::try_from(pid).context("a process number out of range")?);
        let (running, stop) = mpsc::channel::<()>();
        let thread = thread::spawn(move || {
            while stop.recv_timeout(PERIOD) == Err(RecvTimeoutError::Timeout) {
                if kill(pid, Signal::SIGALRM).is_err() {
                    return;
                }
            }
        });
        Ok(Pulse {
            running: Some(running),
            thread: Some(thread),
        })
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        self.running.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
