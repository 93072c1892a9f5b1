//! `sealway up`: the daemon, in the foreground; [`run`] is the same around one command.
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
pub mod run;
mod state;
mod worker;

use std::io::{IsTerminal, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

use anyhow::Context;
use sealway_core::path::LocalAddresses;
use sealway_core::{ClearPath, Coalescing, Command, Control, Datapath, DatapathConfig, Tables};
use sealway_io::leash::Duty;
use sealway_io::offload::Kind;
use sealway_io::outside::{Carriers, Outside};
use sealway_io::readiness::Wake;
use sealway_packet::Pool;
use sealway_setkey::{Colour, Keys};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::setkey::{Carrier, Language, Source};
use crate::{setkey, show};
use config::{Config, Diagnosed};
use control::{Daemon, Files, Signals, Socket, WorkerHandle};
use manager::Manager;
use metrics::Listener;
use network::{Network, Picture, Vantage};
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
pub fn up(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let colour = start_log();
    privileges::keep_memory();
    let (config, sources) = Config::load(&arguments.file, colour)?;
    examine(&config, &sources, Carriers::All, colour)?;
    let state = config.state.as_deref().map(State::open).transpose()?;
    let signals = signals().context("signals cannot be handled")?;
    let manager = Manager::find();
    let socket = Socket::claim(config.control_socket())?;
    let metrics = config.metrics.as_ref().map(Listener::bind).transpose()?;
    let outside = devices::open_outside(&config, Carriers::All)?;
    let engine = Engine::new(&config, &sources, &outside, state, colour)?;
    drop(sources);
    let means = Means {
        socket: Some(socket),
        metrics,
        network: Network::open(Vantage::Host)?,
        perimeter: None,
        signals,
        files: Files::new(arguments.file, config.clone(), &engine.control.tables()),
    };
    let daemon = start(&config, engine, outside, means)?;
    // Whoever started it may not want to hear that it is ready.
    let _ = writeln!(
        std::io::stderr(),
        "sealway: ready: {}",
        summary(&config, &daemon.control.tables(), &daemon.devices)
    );
    manager.tell("READY=1");
    let outcome = daemon.run();
    manager.tell("STOPPING=1");
    outcome.map(|()| ExitCode::SUCCESS)
}

/// Finds the mistakes of scripts that can be found before anything is opened.
fn examine(
    config: &Config,
    sources: &[Source],
    carriers: Carriers,
    colour: Colour,
) -> Result<(), Diagnosed> {
    let carrier = Carrier {
        addresses: config.outside.addresses.clone(),
        carriers,
        chosen_port: None,
    };
    let nothing = Control::new(config.default, 1500).tables();
    match setkey::examine_in(Language::Setkey, &carrier, &nothing, sources) {
        Ok(_) => Ok(()),
        Err(mistakes) => Err(Diagnosed(mistakes.render(sources, colour))),
    }
}

/// The engine, which has no packets yet, and what keeps its numbers.
struct Engine {
    control: Control,
    state: Option<State>,
    carrier: Carrier,
}

impl Engine {
    /// With what the scripts say.
    fn new(
        config: &Config,
        sources: &[Source],
        outside: &Outside,
        state: Option<State>,
        colour: Colour,
    ) -> anyhow::Result<Engine> {
        let carrier = Carrier {
            addresses: config.outside.addresses.clone(),
            carriers: outside.carriers(),
            chosen_port: (config.outside.port == 0).then(|| outside.port()),
        };
        let mut control = Control::new(config.default, 1500);
        if let Some(state) = &state {
            control.use_keeper(Box::new(state.clone()));
        }
        let language = Language::Setkey;
        match setkey::apply_in(language, &carrier, &mut control, sources, Keys::Masked) {
            Ok(applied) => eprint!("{}", applied.warnings.render(sources, colour)),
            Err(mistakes) => return Err(Diagnosed(mistakes.render(sources, colour)).into()),
        }
        Ok(Engine {
            control,
            state,
            carrier,
        })
    }

    /// Tells it of the host.
    fn meet(&mut self, config: &Config, picture: &Picture) -> anyhow::Result<()> {
        self.control.apply(vec![
            Command::SetLinkMtu(picture.mtu),
            Command::SetMtuMemory(config.outside.mtu_expires),
            Command::SetLocalAddresses(LocalAddresses::new(picture.local.clone())),
        ])?;
        Ok(())
    }
}

/// What a daemon serves with, beside its engine and devices.
struct Means {
    socket: Option<Socket>,
    metrics: Option<Listener>,
    network: Network,
    perimeter: Option<Perimeter>,
    signals: Signals,
    files: Files,
}

/// Opens the devices, guards the host and starts the worker. Where that fails, the guard is as it
/// was before.
fn start(
    config: &Config,
    engine: Engine,
    outside: Outside,
    mut means: Means,
) -> anyhow::Result<Daemon> {
    // Whoever has the device has the guard of that name, too.
    let devices = devices::open(config, outside)?;
    let mut perimeter = Perimeter::new(config);
    let before = perimeter.raise(devices.outside.port(), means.network.netlink())?;
    let serving = begin(config, engine, devices, &mut means, &mut perimeter);
    if serving.is_err()
        && before == Before::Nothing
        && let Err(error) = perimeter.lower(means.network.netlink())
    {
        tracing::warn!("the guard stays: {error:#}");
    }
    means.perimeter = Some(perimeter);
    Ok(serving?.into_daemon(config, means))
}

/// Begins to serve, once the host is guarded.
fn begin(
    config: &Config,
    mut engine: Engine,
    devices: Devices,
    means: &mut Means,
    perimeter: &mut Perimeter,
) -> anyhow::Result<Serving> {
    let outside = &config.outside.addresses;
    let network = &mut means.network;
    let link_mtu = network.picture(outside)?.mtu;
    devices::dress(&devices, config, network.netlink(), link_mtu)?;
    perimeter.follow(network.netlink())?;
    let report = devices::report(config, &devices, network.netlink())?;
    let picture = network.picture(outside)?;
    picture.complain();
    engine.meet(config, &picture)?;
    privileges::drop_capabilities()?;
    Serving::start(
        config,
        engine,
        devices,
        (picture, report),
        means,
        Duty::Alone,
    )
}

/// What serves.
struct Serving {
    control: Control,
    carrier: Carrier,
    picture: Picture,
    started: Instant,
    own: Arc<Devices>,
    report: Vec<show::report::Device>,
    leash: show::report::Leash,
    /// Where the thread that serves metrics asks.
    metrics: Option<UnixStream>,
    worker: WorkerHandle,
    reserver: Option<Reserver>,
}

impl Serving {
    /// Packets move from here on: everything that runs beside control starts here, and then the
    /// leash is put on.
    fn start(
        config: &Config,
        engine: Engine,
        devices: Devices,
        (picture, report): (Picture, Vec<show::report::Device>),
        means: &mut Means,
        duty: Duty,
    ) -> anyhow::Result<Serving> {
        let Engine {
            control,
            state,
            carrier,
        } = engine;
        let socket = means.socket.as_ref().map(Socket::path);
        let held_files = leash::hold_files(config, means.files.path(), socket)?;
        let started = Instant::now();
        let (bell, hearer) = Bell::new();
        let own = Arc::new(devices);
        let worker = start_worker(config, &control, &own, bell.clone(), started)?;
        let pass_batch = worker.batch_passer();
        let reserver = state
            .map(|state| Reserver::start(state, (bell, hearer), pass_batch))
            .transpose()?;
        worker.ask(worker::Request::Interfaces(picture.interfaces.clone()));
        let metrics = means.metrics.take().map(Listener::serve).transpose()?;
        let held_calls = leash::hold_calls(config, duty)?;
        Ok(Serving {
            control,
            carrier,
            picture,
            started,
            own,
            report,
            leash: leash::report(held_files, held_calls),
            metrics,
            worker,
            reserver,
        })
    }

    fn into_daemon(self, config: &Config, means: Means) -> Daemon {
        Daemon {
            control: self.control,
            socket: means.socket,
            network: means.network,
            picture: self.picture,
            started: self.started,
            perimeter: means.perimeter,
            carrier: self.carrier,
            outside: config.outside.addresses.clone(),
            own: self.own,
            missing: Vec::new(),
            devices: self.report,
            leash: self.leash,
            metrics: self.metrics,
            worker: self.worker,
            reserver: self.reserver,
            signals: means.signals,
            asked_to_end: false,
            files: means.files,
            reloads: 0,
            clients: 0,
            news: Vec::new(),
            ike_hearing: worker::ike::Hearing::Nobody,
            ike: Vec::new(),
            ike_out: worker::ike::Queue::default(),
        }
    }
}

fn start_worker(
    config: &Config,
    control: &Control,
    devices: &Arc<Devices>,
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
            coalescing: match config.offload.has(Kind::Coalesce) {
                false => Coalescing::Nothing,
                true if devices.inside.knows_uso() => Coalescing::TcpAndUdp,
                true => Coalescing::Tcp,
            },
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
    let outside = &config.outside;
    let keepalive = outside
        .keepalive
        .map(|interval| (interval, outside.keepalive_packet));
    let devices = Arc::clone(devices);
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
fn summary(config: &Config, tables: &Tables, devices: &[show::report::Device]) -> String {
    let addresses: Vec<String> = config
        .outside
        .addresses
        .iter()
        .map(ToString::to_string)
        .collect();
    let port = devices
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
