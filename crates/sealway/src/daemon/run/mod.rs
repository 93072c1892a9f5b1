//! `sealway run`: one command in a network namespace of its own, whose every packet obeys the
//! policy. `docs/run.md` is its manual.
//!
//! The daemon is that of `up`, turned inside out: its sockets are opened on the host and stay there,
//! and then the process leaves the host. In the namespace that it makes there is the inside device
//! and no other way, so there is nothing to be guarded; and whoever may make a user namespace needs
//! no other right.

mod apart;
mod command;
mod linger;
mod names;

use std::ffi::OsString;
use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, bail};
use sealway_io::leash::Duty;
use sealway_io::netlink::Netlink;
use sealway_io::outside::Carriers;

use super::config::Config;
use super::control::{Files, Signals, Socket, counted_packets};
use super::metrics::Listener;
use super::network::{Network, Vantage};
use super::state::State;
use super::worker::Snapshot;
use super::{Engine, Means, Serving, devices, examine, privileges, start_log, summary};
use crate::show::{self, Format};
use command::{Heard, Running};

/// What `sealway run` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// What to do, in TOML: addresses, files with policies and SAs
    #[arg(short, long, value_name = "FILE")]
    config: PathBuf,
    /// At the end, say on standard error what became of packets
    #[arg(long)]
    stats: bool,
    /// The same as one JSON object
    #[arg(long, requires = "stats")]
    json: bool,
    /// Do not say that it is ready
    #[arg(short, long)]
    quiet: bool,
    /// The command, and what it takes
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        required = true,
        value_name = "CMD"
    )]
    command: Vec<OsString>,
}

/// The exit code where the command has not been run: neither it nor a shell has said so.
pub const FAILED: u8 = 125;

/// Runs the command and ends as it does.
///
/// # Errors
/// What kept it from being run, as a sentence or as text that underlines the mistake.
pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let colour = start_log();
    let (config, sources) = Config::load(&arguments.config, colour)?;
    refuse_what_is_not_here(&config)?;
    examine(&config, &sources, Carriers::UdpOnly, colour)?;
    let state = config.state.as_deref().map(State::open).transpose()?;
    let socket = config.control.as_deref().map(Socket::claim).transpose()?;
    let metrics = config.metrics.as_ref().map(Listener::bind).transpose()?;
    let outside = devices::open_outside(&config, Carriers::UdpOnly)?;
    let mut engine = Engine::new(&config, &sources, &outside, state, colour)?;
    drop(sources);
    remind_of_numbers(&engine);
    // Follows the host, wherever we go.
    let mut network = Network::open(Vantage::Apart(apart::addresses(&config)))?;
    let picture = network.picture(&config.outside.addresses)?;
    picture.complain();
    engine.meet(&config, &picture)?;
    let heard = Heard::from_here_on().context("signals cannot be handled")?;

    let right = apart::leave_host()?;
    privileges::forbid_dumps();
    let devices = devices::open(&config, outside)?;
    let mut inside = Netlink::open()?;
    devices::dress(&devices, &config, &mut inside, picture.mtu)?;
    let report = devices::report(&config, &devices, &mut inside)?;
    apart::let_ping();
    names::provide(&config)?;

    if !arguments.quiet {
        let ready = summary(&config, &engine.control.tables(), &report);
        // Whoever started it may not want to hear that it is ready.
        let _ = writeln!(std::io::stderr(), "sealway: ready: {ready}");
    }
    // What it sends waits in the device until the worker runs. It starts before we give up what it
    // may keep.
    let (ended, end) = UnixStream::pair()?;
    // Nothing says to read the files again but the control socket.
    let (reload, _never) = UnixStream::pair()?;
    let command = match Running::start(&arguments.command, right, heard, end) {
        Ok(command) => command,
        Err(not_started) => {
            eprintln!("sealway: {not_started}");
            return Ok(ExitCode::from(not_started.code()));
        }
    };
    privileges::lock_memory();
    let mut means = Means {
        socket,
        metrics,
        network,
        perimeter: None,
        signals: Signals { end: ended, reload },
        files: Files::new(arguments.config, config.clone(), &engine.control.tables()),
    };
    let serving = privileges::drop_all_capabilities().and_then(|()| {
        let seen = (picture, report);
        Serving::start(&config, engine, devices, seen, &mut means, Duty::Parent)
    });
    let outcome = serving.and_then(|serving| {
        let daemon = serving.into_daemon(&config, means);
        let board = Arc::clone(&daemon.worker.board);
        daemon.run().map(|()| board)
    });
    let code = command.wait();
    let board = outcome?;
    if arguments.stats {
        tell(&board, arguments.json)?;
    }
    Ok(code)
}

/// What the file may say to `up` and means nothing here.
fn refuse_what_is_not_here(config: &Config) -> anyhow::Result<()> {
    if config.outside.clear.is_some() {
        bail!(
            "`sealway run` has no way out in the clear, so no device for it: leave `clear` in \
             [[outside]] out (what policies let pass is counted as bypass_refused)"
        );
    }
    if !config.inside.interfaces.is_empty() {
        bail!(
            "`sealway run` protects its command and no hosts: leave `interfaces` in [[inside]] out"
        );
    }
    Ok(())
}

/// Commands come and go, and the peer remembers the numbers of the last.
fn remind_of_numbers(engine: &Engine) {
    if engine.state.is_none() && engine.control.tables().sad.iter().len() > 0 {
        tracing::warn!(
            "the numbers of SAs start anew with each run, and a peer drops those that it has seen: \
             name a directory for them, `state` in [daemon]"
        );
    }
}

fn tell(board: &Mutex<Snapshot>, as_json: bool) -> anyhow::Result<()> {
    let snapshot = board.lock().unwrap_or_else(PoisonError::into_inner);
    let format = match as_json {
        true => Format::Json,
        false => Format::Text,
    };
    let text = show::stats(&counted_packets(&snapshot), format)?;
    // Whoever asked for it may have gone.
    let _ = write!(std::io::stderr(), "{text}");
    Ok(())
}
