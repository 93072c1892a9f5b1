//! What a run makes outside its own memory, written down before it is used.
//!
//! A run owns one directory under `ROOT`, named by its process id. In it stand its files and one
//! line for each process and namespace that must end with it. Dropping the [`Ledger`] ends them;
//! so do SIGINT and SIGTERM; what a killed run left behind, the next one ends before it starts.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// Where every run keeps its directory.
const ROOT: &str = "/run/sealway-interop";
/// The file inside it that lists what must end.
const ENTRIES: &str = "ledger";
/// How long a process group may take to end after SIGTERM before it gets SIGKILL.
const GRACE: Duration = Duration::from_secs(2);

/// Whether a signal has told the run to end.
static ENDING: AtomicBool = AtomicBool::new(false);

/// The list of what this run has made, and the directory for its files.
#[derive(Debug)]
pub struct Ledger {
    directory: PathBuf,
}

impl Ledger {
    /// Ends what dead runs left behind and opens this run's own ledger.
    ///
    /// # Errors
    /// If the directory cannot be made, which takes root.
    pub fn open() -> Result<Arc<Self>> {
        sweep_dead_runs();
        let own = std::process::id();
        let started = start_time(own).unwrap_or_default();
        let directory = Path::new(ROOT).join(format!("{own}.{started}"));
        fs::create_dir_all(&directory).with_context(|| {
            format!(
                "cannot make {}: the interop runs need root",
                directory.display()
            )
        })?;
        let ledger = Arc::new(Self { directory });
        end_on_signal(ledger.directory.clone())?;
        Ok(ledger)
    }

    /// The directory for this run's files.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// A namespace name that no other run uses, written down to be removed.
    ///
    /// # Errors
    /// If the ledger cannot be written.
    pub fn namespace(&self, purpose: &str) -> Result<String> {
        let name = format!("sw{}-{purpose}", std::process::id());
        self.write("namespace", &name)?;
        Ok(name)
    }

    /// Writes down a process that leads its own process group; the whole group ends with the run.
    ///
    /// # Errors
    /// If the ledger cannot be written.
    pub fn process_group(&self, leader: u32) -> Result<()> {
        let started = start_time(leader).unwrap_or_default();
        self.write("process", &format!("{leader} {started}"))
    }

    fn write(&self, kind: &str, what: &str) -> Result<()> {
        let path = self.directory.join(ENTRIES);
        let mut file = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .with_context(|| format!("cannot open {}", path.display()))?;
        writeln!(file, "{kind} {what}").with_context(|| format!("cannot write {}", path.display()))
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        sweep(&self.directory);
    }
}

/// Does not return once a signal has told the run to end: what fails then is of no interest.
pub(crate) fn stop_if_ending() {
    while ENDING.load(Ordering::SeqCst) {
        thread::park();
    }
}

/// Ends a process group: SIGTERM, [`GRACE`], SIGKILL. No error: it may be gone.
pub(crate) fn end_group(leader: u32) {
    let Ok(raw) = i32::try_from(leader) else {
        return;
    };
    let group = Pid::from_raw(raw);
    if killpg(group, Signal::SIGTERM).is_err() {
        return;
    }
    let limit = Instant::now() + GRACE;
    while Instant::now() < limit && is_running(leader) {
        thread::sleep(Duration::from_millis(20));
    }
    let _ = killpg(group, Signal::SIGKILL);
}

fn end_on_signal(directory: PathBuf) -> Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM]).context("cannot watch for signals")?;
    thread::spawn(move || {
        if let Some(signal) = signals.forever().next() {
            ENDING.store(true, Ordering::SeqCst);
            sweep(&directory);
            std::process::exit(128 + signal);
        }
    });
    Ok(())
}

fn sweep_dead_runs() {
    let Ok(runs) = fs::read_dir(ROOT) else {
        return;
    };
    for run in runs.flatten() {
        let name = run.file_name().to_string_lossy().into_owned();
        if !name
            .split_once('.')
            .is_some_and(|(pid, started)| is_same(pid, started))
        {
            sweep(&run.path());
        }
    }
}

/// Ends everything that the ledger in `directory` lists, newest first, and removes the directory.
fn sweep(directory: &Path) {
    let entries = fs::read_to_string(directory.join(ENTRIES)).unwrap_or_default();
    for entry in entries.lines().rev() {
        let mut words = entry.split(' ');
        match (words.next(), words.next(), words.next()) {
            (Some("process"), Some(pid), Some(started)) if is_same(pid, started) => {
                end_group(pid.parse().unwrap_or_default());
            }
            (Some("namespace"), Some(name), None) => {
                let _ = Command::new("ip").args(["netns", "del", name]).output();
            }
            _ => {}
        }
    }
    let _ = fs::remove_dir_all(directory);
}

/// Whether the process still runs. A process id is used again; its start time tells whether it is
/// the same.
fn is_same(pid: &str, started: &str) -> bool {
    pid.parse()
        .is_ok_and(|pid| is_running(pid) && start_time(pid).as_deref() == Some(started))
}

/// Field 22 of `/proc/PID/stat`, which tells apart two processes that had the same id.
fn start_time(pid: u32) -> Option<String> {
    stat_fields(pid)?.get(19).cloned()
}

/// Whether the process exists and is more than a zombie.
pub(crate) fn is_running(pid: u32) -> bool {
    stat_fields(pid).is_some_and(|fields| fields.first().is_some_and(|state| state != "Z"))
}

/// The fields of `/proc/PID/stat` behind the command name, which may hold blanks itself.
fn stat_fields(pid: u32) -> Option<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    Some(fields.split_whitespace().map(str::to_owned).collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_a_start_time_and_an_impossible_one_has_none() {
        assert!(
            start_time(std::process::id())
                .unwrap()
                .parse::<u64>()
                .is_ok()
        );
        assert!(is_running(std::process::id()));
        assert_eq!(start_time(u32::MAX), None);
        assert!(!is_same("1", "no time"));
    }
}
