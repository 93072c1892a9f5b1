//! `sealway up`: the daemon, in the foreground.
//!
//! Two threads. The *worker* owns the devices and one datapath and moves packets; the *control*
//! thread (the main one) alone changes policies and SAs, speaks with clients, follows the network
//! and waits for signals. They meet through the engine's published tables, a queue in each
//! direction and a board for the counters.

pub mod client;
pub mod config;
mod control;
mod devices;
pub mod down;
mod leash;
mod manager;
pub mod metrics;
mod network;
mod perimeter;
mod privileges;
pub mod protocol;
mod state;
mod worker;

use std::io::{IsTerminal, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

use anyhow::Context;
use sealway_core::path::LocalAddresses;
use sealway_core::{ClearPath, Command, Control, Datapath, DatapathConfig};
use sealway_io::readiness::Wake;
use sealway_packet::Pool;
use sealway_setkey::{Colour, Keys};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::{setkey, show};
use config::{Config, Diagnosed};
use control::{Daemon, Files, Signals, Socket, WorkerHandle};
use manager::Manager;
use metrics::Listener;
use network::{Network, Picture};
pub(crate) use perimeter::guardian::run as guardian;
use perimeter::{Before, Perimeter};
use state::{Bell, Reserver, State};
use worker::{Devices, Snapshot, Ways};

/// What `sealway up` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// What to do, in TOML: devices, addresses, files with policies and SAs
    file: PathBuf,
}

/// Events of the worker that may wait for control; more are lost.
const EVENTS: usize = 256;

/// Buffers of each size for what the engine makes itself: ICMP errors, fragments, datagrams being
/// put together.
const ENGINE_BUFFERS: usize = 64;

/// Runs the daemon until SIGINT or SIGTERM.
///
/// # Errors
/// What went wrong, as a sentence or as text that underlines the mistake.
pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let colour = start_log();
    privileges::keep_memory();
    let (config, sources) = Config::load(&arguments.file, colour)?;
    // The engine has no packets yet: a script that it refuses has touched nothing.
    let mut control = Control::new(config.default, 1500);
    let state = config.state.as_deref().map(State::open).transpose()?;
    if let Some(state) = &state {
        control.use_keeper(Box::new(state.clone()));
    }
    match setkey::apply(&mut control, &sources, Keys::Masked) {
        Ok(applied) => eprint!("{}", applied.warnings.render(&sources, colour)),
        Err(mistakes) => return Err(Diagnosed(mistakes.render(&sources, colour)).into()),
    }
    drop(sources);
    let signals = signals().context("signals cannot be handled")?;
    let manager = Manager::find();
    let socket = Socket::claim(&config.control)?;
    let metrics = config.metrics.as_ref().map(Listener::bind).transpose()?;
    let files = Files::new(arguments.file, config.clone(), &control.tables());
    let daemon = start(&config, control, state, (socket, metrics), signals, files)?;
    // Whoever started it may not want to hear that it is ready.
    let _ = writeln!(
        std::io::stderr(),
        "sealway: ready: {}",
        summary(&config, &daemon)
    );
    manager.tell("READY=1");
    let outcome = daemon.run();
    manager.tell("STOPPING=1");
    outcome.map(|()| ExitCode::SUCCESS)
}

/// Opens the devices, guards the host and starts the worker. Where that fails, the guard is as it
/// was before.
fn start(
    config: &Config,
    control: Control,
    state: Option<State>,
    (socket, metrics): (Socket, Option<Listener>),
    signals: Signals,
    files: Files,
) -> anyhow::Result<Daemon> {
    let mut network = Network::open()?;
    // Whoever has the device has the guard of that name, too.
    let devices = devices::open(config)?;
    let mut perimeter = Perimeter::new(config);
    let before = perimeter.raise(devices.outside.port(), network.netlink())?;
    let serving = begin(
        (config, files.path()),
        (control, state, metrics),
        devices,
        &mut network,
        &mut perimeter,
    );
    if serving.is_err()
        && before == Before::Nothing
        && let Err(error) = perimeter.lower(network.netlink())
    {
        tracing::warn!("the guard stays: {error:#}");
    }
    let Serving {
        control,
        picture,
        started,
        report,
        leash,
        metrics,
        worker,
        reserver,
    } = serving?;
    Ok(Daemon {
        control,
        socket,
        network,
        picture,
        started,
        perimeter,
        outside: config.outside.addresses.clone(),
        devices: report,
        leash,
        metrics,
        worker,
        reserver,
        signals,
        asked_to_end: false,
        files,
        reloads: 0,
        clients: 0,
        news: Vec::new(),
    })
}

/// What serves once the host is guarded.
struct Serving {
    control: Control,
    picture: Picture,
    started: Instant,
    report: Vec<show::report::Device>,
    leash: show::report::Leash,
    /// Where the thread that serves metrics asks.
    metrics: Option<UnixStream>,
    worker: WorkerHandle,
    reserver: Option<Reserver>,
}

/// Everything that runs beside control starts here, and then the leash is put on.
fn begin(
    (config, file): (&Config, &Path),
    (mut control, state, metrics): (Control, Option<State>, Option<Listener>),
    devices: Devices,
    network: &mut Network,
    perimeter: &mut Perimeter,
) -> anyhow::Result<Serving> {
    let outside = &config.outside.addresses;
    let link_mtu = network.picture(outside)?.mtu;
    devices::dress(&devices, config, network.netlink(), link_mtu)?;
    perimeter.follow(network.netlink())?;
    let report = devices::report(config, &devices, network.netlink())?;
    let picture = network.picture(outside)?;
    picture.complain();
    control.apply(vec![
        Command::SetLinkMtu(picture.mtu),
        Command::SetMtuMemory(config.outside.mtu_expires),
        Command::SetLocalAddresses(LocalAddresses::new(picture.local.clone())),
    ])?;
    privileges::drop_capabilities()?;
    let held_files = leash::hold_files(config, file)?;
    let started = Instant::now();
    let (bell, hearer) = Bell::new();
    let worker = start_worker(config, &control, devices, bell.clone(), started)?;
    let pass_batch = worker.batch_passer();
    let reserver = state
        .map(|state| Reserver::start(state, (bell, hearer), pass_batch))
        .transpose()?;
    worker.ask(worker::Request::Interfaces(picture.interfaces.clone()));
    let metrics = metrics.map(Listener::serve).transpose()?;
    let held_calls = leash::hold_calls(config)?;
    Ok(Serving {
        control,
        picture,
        started,
        report,
        leash: leash::report(held_files, held_calls),
        metrics,
        worker,
        reserver,
    })
}

fn start_worker(
    config: &Config,
    control: &Control,
    devices: Devices,
    bell: Bell,
    started: Instant,
) -> anyhow::Result<WorkerHandle> {
    let datapath = Datapath::new(
        control.shared(),
        DatapathConfig {
            clear: match devices.clear {
                Some(_) => ClearPath::Present,
                None => ClearPath::Absent,
            },
            mss: config.mss,
            ..DatapathConfig::default()
        },
        Pool::new(ENGINE_BUFFERS, ENGINE_BUFFERS),
        Box::new(random),
    );
    let (requests, asked) = mpsc::channel();
    let (told, events) = mpsc::sync_channel(EVENTS);
    let (wake, wake_control) = (Arc::new(Wake::new()?), Arc::new(Wake::new()?));
    let board = Arc::new(Mutex::new(Snapshot::default()));
    let ways = Ways {
        requests: asked,
        wake: Arc::clone(&wake),
        events: told,
        bell,
        wake_control: Arc::clone(&wake_control),
        board: Arc::clone(&board),
    };
    let addresses = config.outside.addresses.clone();
    let keepalive = config.outside.keepalive;
    let end = WakeAtEnd(Arc::clone(&wake_control));
    let thread = thread::Builder::new()
        .name("worker".into())
        .spawn(move || {
            let _end = end;
            worker::run(datapath, &devices, &addresses, started, keepalive, ways);
        })?;
    Ok(WorkerHandle {
        thread,
        requests,
        wake,
        events,
        wake_control,
        board,
    })
}

/// Tells control that the worker has ended, however it ended.
struct WakeAtEnd(Arc<Wake>);

impl Drop for WakeAtEnd {
    fn drop(&mut self) {
        self.0.wake();
    }
}

/// The kernel's randomness, which is there once the machine has started.
fn random(octets: &mut [u8]) {
    if let Err(error) = getrandom::fill(octets) {
        // An IV that can be guessed would be worse than an end.
        panic!("the kernel gives no random octets: {error}");
    }
}

/// Streams that become readable when a signal says to end, and when one says to reload.
fn signals() -> std::io::Result<Signals> {
    let stream = |signals: &[i32]| {
        let (stream, sender) = UnixStream::pair()?;
        for signal in signals {
            signal_hook::low_level::pipe::register(*signal, sender.try_clone()?)?;
        }
        stream.set_nonblocking(true)?;
        std::io::Result::Ok(stream)
    };
    Ok(Signals {
        end: stream(&[SIGINT, SIGTERM])?,
        reload: stream(&[SIGHUP])?,
    })
}

/// Logs to standard error from here on; whether it takes colours.
fn start_log() -> Colour {
    let is_terminal = std::io::stderr().is_terminal();
    // Fails where there is a log already: a caller's.
    let _ = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(is_terminal)
        .with_target(false)
        .log_internal_errors(false)
        .try_init();
    if is_terminal {
        Colour::Always
    } else {
        Colour::Never
    }
}

/// `seal0, outside 192.0.2.1 port 4500, 4 policies, 2 SAs`
fn summary(config: &Config, daemon: &Daemon) -> String {
    let tables = daemon.control.tables();
    let addresses: Vec<String> = config
        .outside
        .addresses
        .iter()
        .map(ToString::to_string)
        .collect();
    let port = daemon
        .devices
        .iter()
        .find_map(|device| device.port)
        .unwrap_or_default();
    format!(
        "{}, outside {} port {port}, {}, {}",
        config.inside.device,
        addresses.join(", "),
        counted(tables.spd.iter().count(), "policy", "policies"),
        counted(tables.sad.iter().len(), "SA", "SAs"),
    )
}

fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}
