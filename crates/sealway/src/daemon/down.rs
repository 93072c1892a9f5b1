//! `sealway down`: ends the daemon, or clears away what a crash left of it.

use std::io::ErrorKind;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use sealway_io::netlink::Netlink;
use sealway_setkey::Colour;

use super::client::{self, Error};
use super::config::Config;
use super::perimeter::{self, Before};

/// What `sealway down` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The file that `sealway up` was given
    file: PathBuf,
}

/// Ends the daemon that was started with this file; where it has crashed, removes the guard, routes
/// and rules that it left.
///
/// # Errors
/// What could not be done, and what is wrong in the file.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let config = Config::load_alone(&arguments.file, Colour::Never)?;
    match client::end(config.control_socket()) {
        Ok(()) => return Ok(ExitCode::SUCCESS),
        Err(Error::NoDaemon(_)) => {}
        Err(error) => return Err(error.into()),
    }
    let mut netlink = Netlink::open()?;
    let left = perimeter::clear_away(&config, &mut netlink)
        .context("what a daemon left behind cannot be removed")?;
    remove_socket(config.control_socket())?;
    if left == Before::Nothing {
        eprintln!("sealway: no daemon of this file is running, and none has left anything");
    }
    Ok(ExitCode::SUCCESS)
}

/// A socket that nobody answers at.
fn remove_socket(path: &Path) -> anyhow::Result<()> {
    let is_stale =
        UnixStream::connect(path).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused);
    if is_stale {
        std::fs::remove_file(path)
            .with_context(|| format!("the socket {} cannot be removed", path.display()))?;
    }
    Ok(())
}
