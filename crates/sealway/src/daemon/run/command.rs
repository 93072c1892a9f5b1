//! The command: started, sent the signals that come for it, waited for.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, ExitCode, ExitStatus};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd, siginfo};
use nix::unistd::Pid;
use sealway_io::namespace::Right;
use sealway_io::{poll, process};
use signal_hook::consts::SIGCHLD;

use super::{FAILED, linger, privileges};

/// What is passed on to the command. (It is stopped and continued with us: by the terminal.)
const PASSED_ON: [Signal; 6] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGTERM,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
];

/// How long a command may take to end once it is asked to.
const PATIENCE: Duration = Duration::from_secs(5);

/// Signals that wait to be read instead of doing what they do. One that whoever started us has
/// ignored stays ignored, by the command too: `nohup` works.
pub(super) struct Heard {
    signals: SignalFd,
    /// What was blocked before.
    before: SigSet,
}

impl Heard {
    /// In this thread and those that it starts.
    pub(super) fn from_here_on() -> io::Result<Heard> {
        // Whoever started us may have ignored it, and then nobody would be told of a child's end.
        signal_hook::flag::register(SIGCHLD, Arc::default())?;
        let before = SigSet::thread_get_mask()?;
        let ours: SigSet = PASSED_ON.into_iter().chain([Signal::SIGCHLD]).collect();
        ours.thread_block()?;
        let signals = SignalFd::with_flags(&ours, SfdFlags::SFD_CLOEXEC)?;
        Ok(Heard { signals, before })
    }
}

/// Why there is no command.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotStarted {
    /// Nothing has this name.
    #[error("{0}: there is no such command")]
    Missing(String),
    /// It is no program, or not ours to execute.
    #[error("{program} cannot be executed: {error}")]
    NotExecutable {
        program: String,
        #[source]
        error: io::Error,
    },
    /// We failed.
    #[error("the command cannot be waited for: {0}")]
    Unattended(io::Error),
}

impl NotStarted {
    fn of(program: &OsStr, error: io::Error) -> NotStarted {
        let name = program.display().to_string();
        match error.kind() {
            io::ErrorKind::NotFound => NotStarted::Missing(name),
            // Of a directory in the search path that is closed to us.
            io::ErrorKind::PermissionDenied if is_nowhere(program) => NotStarted::Missing(name),
            _ => NotStarted::NotExecutable {
                program: name,
                error,
            },
        }
    }

    /// As shells have it.
    pub(super) fn code(&self) -> u8 {
        match self {
            NotStarted::Missing(_) => 127,
            NotStarted::NotExecutable { .. } => 126,
            NotStarted::Unattended(_) => FAILED,
        }
    }
}

/// The command, running.
pub(super) struct Running {
    thread: JoinHandle<io::Result<ExitStatus>>,
}

impl Running {
    /// Starts the command. When it has ended, and all that it sent has left, `end` is closed; it is
    /// ended if the other side of `end` is, and killed if we are. What it executes gains no rights,
    /// unless we have them by right.
    ///
    /// It belongs to a thread that has no capability afterwards, but may signal it whatever the
    /// others give up: also when it dies, as a thread's last will is carried out in its own name.
    pub(super) fn start(
        words: &[OsString],
        right: Right,
        heard: Heard,
        end: UnixStream,
    ) -> Result<Running, NotStarted> {
        let mut words = words.iter().cloned();
        let program = words.next().unwrap_or_default();
        let mut command = Command::new(&program);
        command.args(words);
        process::die_with_us(&mut command);
        process::block_only(&mut command, heard.before);
        if right == Right::UserNamespace {
            process::gain_nothing(&mut command);
        }
        let (told, started) = mpsc::channel();
        let live = move || {
            let spawned = command.spawn();
            let (outcome, child) = match spawned {
                Ok(child) => (Ok(()), Some(child)),
                Err(error) => (Err(error), None),
            };
            let _ = told.send(outcome);
            let child = child.ok_or(io::ErrorKind::NotFound)?;
            privileges::drop_all_capabilities().map_err(io::Error::other)?;
            let status = attend(child, &heard.signals, &end);
            linger::until_all_is_sent(&heard.signals, &end);
            status
        };
        let thread = thread::Builder::new().name("command".into()).spawn(live);
        let thread = thread.map_err(NotStarted::Unattended)?;
        match started.recv() {
            Ok(Ok(())) => Ok(Running { thread }),
            Ok(Err(error)) => Err(NotStarted::of(&program, error)),
            Err(_) => Err(NotStarted::Unattended(io::ErrorKind::BrokenPipe.into())),
        }
    }

    /// Waits until it has ended, and says how it did: its exit code, or 128 and the signal that
    /// killed it, as shells have it.
    pub(super) fn wait(self) -> ExitCode {
        match self.thread.join() {
            Ok(Ok(status)) => code(status),
            Ok(Err(error)) => {
                tracing::error!("the command is left alone: {error}");
                ExitCode::from(FAILED)
            }
            Err(_) => ExitCode::from(FAILED),
        }
    }
}

/// Passes signals on until the command has ended; ends it when nobody hears of its end any more.
fn attend(mut child: Child, signals: &SignalFd, end: &UnixStream) -> io::Result<ExitStatus> {
    let mut last: Option<Instant> = None;
    loop {
        let patience = last.map(|last| last.saturating_duration_since(Instant::now()));
        let mut fds = vec![poll::readable(signals.as_fd())];
        if last.is_none() {
            fds.push(poll::readable(end.as_fd()));
        }
        poll::wait(&mut fds, patience)?;
        let is_ready = |place: usize| fds.get(place).is_some_and(poll::is_ready);
        let (is_told, is_over) = (is_ready(0), is_ready(1));
        let told = match is_told {
            true => signals.read_signal()?,
            false => None,
        };
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if let Some(signal) = told.as_ref().and_then(passed_on) {
            send(&child, signal);
        }
        if is_over {
            send(&child, Signal::SIGTERM);
            last = Some(Instant::now() + PATIENCE);
        }
        if last.is_some_and(|last| Instant::now() >= last) {
            child.kill()?;
            return child.wait();
        }
    }
}

/// What came for the command. What the terminal sends, it sends to the command as well.
fn passed_on(told: &siginfo) -> Option<Signal> {
    let signal = Signal::try_from(i32::try_from(told.ssi_signo).ok()?).ok()?;
    (told.ssi_code <= 0 && PASSED_ON.contains(&signal)).then_some(signal)
}

/// To one that has not been waited for: its number is nobody else's.
fn send(child: &Child, signal: Signal) {
    if let Ok(process) = i32::try_from(child.id()) {
        // It may not be ours to signal any more, having become another user.
        let _ = kill(Pid::from_raw(process), signal);
    }
}

/// Whether it is a name, and no directory in the search path that we may look into has it.
fn is_nowhere(program: &OsStr) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut found = env::split_paths(&path).map(|directory| directory.join(program));
    !program.as_encoded_bytes().contains(&b'/') && !found.any(|file| file.exists())
}

fn code(status: ExitStatus) -> ExitCode {
    let by_signal = || status.signal().map_or(1, |signal| 128 + signal);
    let code = status.code().unwrap_or_else(by_signal);
    ExitCode::from(u8::try_from(code).unwrap_or(FAILED))
}
