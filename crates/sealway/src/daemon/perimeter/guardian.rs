//! The guardian: the process that alone runs nft.
//!
//! The daemon reads packets from strangers and is therefore on a leash, under which nobody runs
//! programs. The guard follows the network, though, and nft is a program. So before the first packet
//! the daemon starts itself once more, as a guardian: it is told by what configuration to guard, and
//! then does three things when asked, by a pipe. It takes no rules from the daemon, only the names
//! and networks of interfaces that the configuration speaks of. It ends with the daemon.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::{Context, anyhow, bail, ensure};
use caps::Capability;
use sealway_io::leash::{self, Reach};
use sealway_io::process;
use serde::{Deserialize, Serialize};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::{Site, Surroundings, guard};
use crate::daemon::config::Leash;
use crate::daemon::privileges;

/// The hidden command that it is started by.
const COMMAND: &str = "guardian";

/// The guardian, seen from the daemon.
#[derive(Debug)]
pub(super) struct Guardian {
    _process: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

/// What it is told first.
#[derive(Debug, Serialize, Deserialize)]
struct Orders {
    site: Site,
    leash: Leash,
}

/// What it does when asked.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Request {
    /// Say whether there is a guard.
    Look,
    /// Put the guard in place, or in the place of the one that is there.
    Replace(Surroundings),
    /// Take it away.
    Remove,
}

impl Guardian {
    /// Starts it, in the calling thread's namespace. It ends when the calling thread does.
    pub(super) fn start(site: &Site, leash: Leash) -> anyhow::Result<Guardian> {
        let mut command = Command::new("/proc/self/exe");
        command
            .arg0("sealway")
            .arg(COMMAND)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // What a terminal sends is for the daemon, which still needs its guardian then.
            .process_group(0);
        let mut process = process::die_with_us(&mut command)
            .spawn()
            .context("the process that guards the host cannot be started")?;
        let (Some(requests), Some(answers)) = (process.stdin.take(), process.stdout.take()) else {
            bail!("the process that guards the host has no pipes");
        };
        let mut guardian = Guardian {
            _process: process,
            requests,
            answers: BufReader::new(answers),
        };
        guardian.say(&Orders {
            site: site.clone(),
            leash,
        })?;
        Ok(guardian)
    }

    /// Whether there is a guard.
    pub(super) fn look(&mut self) -> anyhow::Result<bool> {
        self.ask(&Request::Look)
    }

    /// Puts the guard in place.
    pub(super) fn replace(&mut self, surroundings: &Surroundings) -> anyhow::Result<()> {
        self.ask(&Request::Replace(surroundings.clone())).map(drop)
    }

    /// Takes it away.
    pub(super) fn remove(&mut self) -> anyhow::Result<()> {
        self.ask(&Request::Remove).map(drop)
    }

    fn ask(&mut self, request: &Request) -> anyhow::Result<bool> {
        self.say(request)?;
        let mut answer = String::new();
        let length = self.answers.read_line(&mut answer).map_err(gone)?;
        if length == 0 {
            return Err(gone(io::ErrorKind::UnexpectedEof.into()));
        }
        let answer: Result<bool, String> = serde_json::from_str(&answer)?;
        answer.map_err(|message| anyhow!(message))
    }

    fn say(&mut self, what: &impl Serialize) -> anyhow::Result<()> {
        let mut line = serde_json::to_vec(what)?;
        line.push(b'\n');
        self.requests.write_all(&line).map_err(gone)
    }
}

fn gone(error: io::Error) -> anyhow::Error {
    anyhow!(
        "the process that guards the host has ended ({error}): the guard stays as it is; restart the daemon, or end it and clear the guard away with `sealway down FILE`"
    )
}

/// `sealway guardian`: guards until standard input ends. For the daemon alone.
///
/// # Errors
/// What makes it unfit.
pub(crate) fn run() -> anyhow::Result<ExitCode> {
    // Best effort: a name for those who list processes.
    let _ = nix::sys::prctl::set_name(c"sealway-guard");
    // A service manager that ends all processes at once would end the guard's only servant first.
    for signal in [SIGHUP, SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false)))?;
    }
    let mut lines = io::stdin().lock().lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    let Orders { site, leash } =
        serde_json::from_str(&first).context("this command is for the daemon")?;
    privileges::keep_for_programs(Capability::CAP_NET_ADMIN)?;
    if leash == Leash::On {
        leash::hold_files(&Reach::nothing().run(Path::new("/")))?;
        leash::hold_helper()?;
    }
    for line in lines {
        let answer = match serde_json::from_str(&line?) {
            Ok(request) => obey(&site, request).map_err(|error| format!("{error:#}")),
            Err(error) => Err(format!(
                "the guardian was asked for what it cannot do: {error}"
            )),
        };
        let mut answer = serde_json::to_vec(&answer)?;
        answer.push(b'\n');
        io::stdout().write_all(&answer)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn obey(site: &Site, request: Request) -> anyhow::Result<bool> {
    let table = site.table();
    match request {
        Request::Look => guard::is_there(&table),
        Request::Replace(surroundings) => {
            let known = |name| site.interfaces.contains(name);
            ensure!(
                surroundings.interfaces.iter().all(known),
                "the guardian was told of interfaces that the configuration does not name"
            );
            guard::replace(&guard::text(site, &surroundings)).map(|()| true)
        }
        Request::Remove => guard::remove(&table).map(|()| false),
    }
}
