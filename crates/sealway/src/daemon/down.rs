//! `sealway down`: ends the daemon, or clears away what a crash left of it.

use std::io::ErrorKind;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, ensure};
use sealway_io::netlink::Netlink;
use sealway_setkey::Colour;

use super::client::{self, Error};
use super::config::Config;
use super::perimeter::{self, Before};
use super::protocol::Request;
use crate::show::report::Status;

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
    let socket = config.control_socket();
    match client::ask::<Status>(socket, &Request::Status {}) {
        Ok(status) => {
            is_its_own(&arguments.file, &status)?;
            client::end(socket)?;
            return Ok(ExitCode::SUCCESS);
        }
        Err(Error::NoDaemon(_)) => {}
        Err(error) => return Err(error.into()),
    }
    let mut netlink = Netlink::open()?;
    let left = perimeter::clear_away(&config, &mut netlink)
        .context("what a daemon left behind cannot be removed")?;
    remove_socket(socket)?;
    if left == Before::Nothing {
        eprintln!("sealway: no daemon of this file is running, and none has left anything");
    }
    Ok(ExitCode::SUCCESS)
}

/// Files that name no control socket share one: the daemon there may be another's. A file that is
/// gone may have been renamed.
fn is_its_own(file: &Path, status: &Status) -> anyhow::Result<()> {
    let is_anothers = match (file.canonicalize(), Path::new(&status.file).canonicalize()) {
        (Ok(own), Ok(its)) => own != its,
        _ => false,
    };
    ensure!(
        !is_anothers,
        "the daemon that answers there was started with {file}: `sealway down {file}` ends it",
        file = status.file
    );
    Ok(())
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
