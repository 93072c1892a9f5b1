//! What the daemon still reaches once it serves; `docs/privileges.md` is its manual.

use std::path::Path;

use anyhow::Context;
use sealway_io::leash::{self, Duty, Hold, Reach, Unlisted};

use super::config::{Config, Leash};
use super::metrics::Place;
use crate::show::report;

/// The line that an error ends with where a file cannot be read any more.
const BEYOND: &str = "help: a running daemon reads only what stands in the directories of its file and of the scripts that this named at the start: put it there, or restart the daemon\n";

/// How to do without.
const WITHOUT: &str =
    "the daemon cannot be put on its leash; `leash = false` in [daemon] does without";

/// Gives up all files but those that a reload reads, and those that the daemon keeps. For the thread
/// that starts all others, before it does. `file` is the configuration's, `socket` the control socket.
///
/// # Errors
/// If the kernel knows how and refuses.
pub(super) fn hold_files(
    config: &Config,
    file: &Path,
    socket: Option<&Path>,
) -> anyhow::Result<Option<Hold>> {
    if config.leash == Leash::Off {
        return Ok(None);
    }
    let hold = leash::hold_files(&reach(config, file, socket)).context(WITHOUT)?;
    if hold != Hold::Whole {
        tracing::warn!("the leash: files are {hold}");
    }
    Ok(Some(hold))
}

/// Gives up all system calls but those that a daemon makes that has its sockets, devices and threads.
///
/// # Errors
/// If the kernel knows how and refuses.
pub(super) fn hold_calls(config: &Config, duty: Duty) -> anyhow::Result<Option<Hold>> {
    if config.leash == Leash::Off {
        return Ok(None);
    }
    // What the list lacks is to be found by tests, and not to end a gateway.
    let unlisted = match cfg!(debug_assertions) {
        true => Unlisted::Ends,
        false => Unlisted::Fails,
    };
    let hold = leash::hold_calls(duty, unlisted).context(WITHOUT)?;
    if hold != Hold::Whole {
        tracing::warn!("the leash: system calls are {hold}");
    }
    Ok(Some(hold))
}

/// What `status` tells of it.
pub(super) fn report(files: Option<Hold>, calls: Option<Hold>) -> report::Leash {
    let text = |hold: Option<Hold>| hold.map_or_else(|| "off".into(), |hold| hold.to_string());
    report::Leash {
        files: text(files),
        calls: text(calls),
    }
}

/// The diagnosis, with a word about the leash where that may be why.
pub(super) fn explained(mut diagnosis: String) -> String {
    let refusal = std::io::Error::from_raw_os_error(nix::libc::EACCES).to_string();
    if diagnosis.contains(&refusal) {
        diagnosis += BEYOND;
    }
    diagnosis
}

fn reach(config: &Config, file: &Path, socket: Option<&Path>) -> Reach {
    let mut reach = Reach::nothing();
    if let Some(socket) = socket {
        reach = reach.clear(directory(socket));
    }
    let scripts = config.scripts.iter().map(|script| script.path.as_path());
    for path in [file].into_iter().chain(scripts) {
        // Directories, not files: an editor replaces a file by another of its name.
        reach = reach.read(directory(path));
        // Where a link leads.
        if let Ok(target) = path.canonicalize() {
            reach = reach.read(directory(&target));
        }
    }
    if let Some(state) = &config.state {
        reach = reach.keep(state);
    }
    if let Some(Place::Socket(path)) = &config.metrics {
        reach = reach.clear(directory(path));
    }
    reach
}

fn directory(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}
