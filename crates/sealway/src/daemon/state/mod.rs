//! The numbers of SAs, kept where a crash does not reach them (DESIGN: nonces and restarts).
//!
//! An SA whose keys stand in a file comes back with the same keys after a restart. It must not send
//! a number again, and must not accept again what was recorded before. So numbers are *reserved*:
//! none is sent, and none accepted, above a limit that stands on storage already. After a crash an
//! SA goes on above the limits, unless it was only the daemon that crashed: then it goes on where it
//! was. `docs/adr/0006-numbers-reserved-ahead.md` and `0012-progress-outlives-the-daemon.md` say why
//! it is done so.
//!
//! [`directory`] is the place, [`book`] what stands there, [`progress`] what a killed daemon leaves
//! behind, [`ledger`] what has to be written before SAs may go on, [`amounts`] how far ahead. Here is
//! the thread that does it, off the hot path.

mod amounts;
mod book;
mod directory;
mod ledger;
mod progress;

use std::path::Path;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::Context;
use sealway_core::sad::{Continuation, Sa};

use book::Book;
pub(super) use directory::ClaimError;
use directory::Directory;
use ledger::{Ledger, Pace};
use progress::Doubt;

/// How often moving SAs are looked at, if none asks.
const TICK: Duration = Duration::from_millis(250);
/// How often SAs that rest are.
const REST: Duration = Duration::from_secs(5);
/// How long to wait before storage that failed is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// The state directory with all that stands in it, claimed by this process.
#[derive(Clone)]
pub(super) struct State(Arc<Mutex<Ledger<Directory>>>);

impl State {
    /// Claims the directory, and finds out how far the last run has come.
    pub(super) fn open(path: &Path) -> Result<State, ClaimError> {
        let (mut directory, kept) = Directory::claim(path)?;
        let mut book = match &kept {
            None => Book::new(drawn()),
            Some(octets) => Book::read(octets).map_err(|what| directory.damaged(what))?,
        };
        let (words, boot) = (directory.words(), progress::boot());
        let begun = progress::begin(&mut book, &mut directory, boot, drawn());
        let begun = begun.map_err(|error| directory.failed(error))?;
        if let (Some(_), Err(doubt)) = (&kept, &begun.found) {
            tell(&words, doubt);
        }
        let progress = begun
            .progress
            .inspect_err(|error| tracing::warn!("{}: {error}; {UNSHOWN}", words.display()))
            .ok();
        let ledger = Ledger::new(book, directory, progress);
        Ok(State(Arc::new(Mutex::new(ledger))))
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger<Directory>> {
        // A book is whole between any two of its changes.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What it means that a run cannot show its progress.
const UNSHOWN: &str = "should this daemon be killed, its SAs go on above what is reserved, as after a crash of the machine";

/// Tells why what the last run has shown is not believed.
fn tell(words: &Path, doubt: &Doubt) {
    let (words, so) = (
        words.display(),
        "SAs go on above what was reserved: after a crash the next packets of their peers are refused",
    );
    match doubt {
        Doubt::OtherBoot => tracing::info!("{words}: {doubt}; {so}"),
        _ => tracing::warn!("{words} is not believed: {doubt}; {so}"),
    }
}

/// Random octets.
fn drawn<const N: usize>() -> [u8; N] {
    let mut octets = [0; N];
    super::random(&mut octets);
    octets
}

impl sealway_core::Keeper for State {
    fn admit(&mut self, added: &[Arc<Sa>]) -> Result<Vec<Continuation>, String> {
        let mut draw = || u64::from_be_bytes(drawn());
        self.ledger()
            .admit(added, &mut draw, Instant::now())
            .map_err(|error| {
                format!("the new SAs' numbers cannot be kept in the state directory: {error}")
            })
    }
}

/// The thread that reserves numbers ahead of need.
pub(super) struct Reserver {
    state: State,
    bell: Bell,
    thread: JoinHandle<()>,
}

/// Rung where numbers become scarce.
#[derive(Clone, Debug)]
pub(super) struct Bell(SyncSender<Ring>);

#[derive(Debug)]
enum Ring {
    Scarce,
    Stop,
}

impl Bell {
    /// A bell, and who hears it.
    pub(super) fn new() -> (Bell, Hearer) {
        let (bell, hearer) = mpsc::sync_channel(1);
        (Bell(bell), Hearer(hearer))
    }

    /// Numbers have become scarce. Whoever is rung for already need not be rung for again.
    pub(super) fn ring(&self) {
        let _ = self.0.try_send(Ring::Scarce);
    }
}

/// Hears a [`Bell`].
pub(super) struct Hearer(Receiver<Ring>);

impl Reserver {
    /// Starts the thread. `pass_batch` waits until every worker has begun another batch, and says
    /// whether it has.
    pub(super) fn start(
        state: State,
        (bell, hearer): (Bell, Hearer),
        pass_batch: impl Fn() -> bool + Send + 'static,
    ) -> std::io::Result<Reserver> {
        let kept = state.clone();
        let thread = thread::Builder::new()
            .name("state".into())
            .spawn(move || keep(&kept, &hearer.0, &pass_batch))?;
        Ok(Reserver {
            state,
            bell,
            thread,
        })
    }

    /// Ends the thread, when all workers have ended, and notes how far every SA came: a restart
    /// after this loses nothing.
    ///
    /// # Errors
    /// Storage failed: a restart goes on above what was reserved.
    pub(super) fn end(self) -> anyhow::Result<()> {
        let _ = self.bell.0.send(Ring::Stop);
        let _ = self.thread.join();
        self.state
            .ledger()
            .close()
            .context("the last numbers cannot be kept in the state directory")
    }
}

fn keep(state: &State, hearer: &Receiver<Ring>, pass_batch: &dyn Fn() -> bool) {
    let mut wait = TICK;
    let mut fails = false;
    loop {
        match hearer.recv_timeout(wait) {
            Ok(Ring::Scarce) | Err(RecvTimeoutError::Timeout) => {}
            Ok(Ring::Stop) | Err(RecvTimeoutError::Disconnected) => return,
        }
        let outcome = state.ledger().round(Instant::now(), pass_batch);
        wait = match &outcome {
            Ok(Pace::Still) => REST,
            Ok(Pace::Moving) => TICK,
            Err(_) => AGAIN,
        };
        match outcome {
            Ok(_) => fails = false,
            Err(error) if !fails => {
                fails = true;
                tracing::error!(
                    "the state directory cannot be written: {error}; SAs that use up what is reserved drop their packets until it can"
                );
            }
            Err(_) => {}
        }
    }
}
