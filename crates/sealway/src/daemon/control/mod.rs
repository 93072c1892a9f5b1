//! The control thread: the control socket, signals, the network's changes, what the worker tells.
//! It alone changes policies and SAs.

mod clients;
mod come_and_go;
mod events;
mod ike;
mod reload;
mod report;
mod socket;

use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{self, Receiver, Sender, TryRecvError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::bail;
use sealway_core::path::LocalAddresses;
use sealway_core::sad::{Protocol, Sa};
use sealway_core::{Command, Control, DefaultAction, KeyManager, Time};
use sealway_io::poll;
use sealway_io::readiness::Wake;
use sealway_setkey::{Colour, Keys};

use super::devices;
use super::network::{Network, Picture};
use super::perimeter::Perimeter;
use super::protocol::{Effect, Getspi, KeyDisplay, Reply, Request, Script, What};
use super::state::Reserver;
use super::worker::{self, Devices, Event, Role, Snapshot};
use crate::setkey::{self, Carrier, Language, Source};
use crate::show;
use clients::{Answer, Client, Then};
use events::Watch;
pub(super) use reload::Files;
pub(super) use report::stats as counted_packets;
pub(super) use socket::Socket;

/// How long the worker may take to publish its counters.
const PATIENCE: Duration = Duration::from_secs(1);
/// How late it may be noticed that an SA which nothing passes through has reached its end.
const TICK: Duration = Duration::from_secs(1);

/// Everything that the control thread owns.
pub(super) struct Daemon {
    pub(super) control: Control,
    /// `None`: nobody can speak with it.
    pub(super) socket: Option<Socket>,
    pub(super) network: Network,
    /// The network as it was applied last.
    pub(super) picture: Picture,
    /// What the engine's time is counted from.
    pub(super) started: Instant,
    /// What keeps packets from going round us; `None`: there is no way round.
    pub(super) perimeter: Option<Perimeter>,
    /// What SAs must fit.
    pub(super) carrier: Carrier,
    /// The addresses of the outside.
    pub(super) outside: Vec<IpAddr>,
    /// The devices themselves, which the worker moves packets between.
    pub(super) own: Arc<Devices>,
    /// Those that somebody has removed and that are not there again.
    pub(super) missing: Vec<Role>,
    /// What `show device` tells, but for offloads.
    pub(super) devices: Vec<show::report::Device>,
    /// What `status` tells of what was given up.
    pub(super) leash: show::report::Leash,
    /// A client of our own: who serves metrics.
    pub(super) metrics: Option<UnixStream>,
    pub(super) worker: WorkerHandle,
    /// Keeps the numbers of SAs, if there is a state directory.
    pub(super) reserver: Option<Reserver>,
    pub(super) signals: Signals,
    /// Whether a client said to end.
    pub(super) asked_to_end: bool,
    /// What it was started with.
    pub(super) files: Files,
    /// Times that the files were read again and applied.
    pub(super) reloads: u64,
    /// How many there are.
    pub(super) clients: usize,
    /// What those who monitor have not been told.
    pub(super) news: Vec<show::report::Event>,
    /// Whether anybody wants datagrams of IKE, as the worker knows it.
    pub(super) ike_hearing: worker::ike::Hearing,
    /// Those that have not been handed over.
    pub(super) ike: Vec<worker::ike::Datagram>,
    /// How many wait to be sent.
    pub(super) ike_out: worker::ike::Queue,
}

/// Streams that become readable when a signal comes.
pub(super) struct Signals {
    /// It says to end.
    pub(super) end: UnixStream,
    /// It says to read the files again.
    pub(super) reload: UnixStream,
}

/// A running worker.
pub(super) struct WorkerHandle {
    pub(super) thread: JoinHandle<()>,
    pub(super) requests: Sender<worker::Request>,
    /// Wakes the worker.
    pub(super) wake: Arc<Wake>,
    pub(super) events: Receiver<Event>,
    /// Wakes control.
    pub(super) wake_control: Arc<Wake>,
    pub(super) board: Arc<Mutex<Snapshot>>,
}

/// What is ready.
#[derive(Default)]
struct Ready {
    end: bool,
    reload: bool,
    worker: bool,
    network: bool,
    guard: bool,
    connection: bool,
    clients: Vec<bool>,
}

impl Daemon {
    /// Serves until a signal or a client says to end, and then takes the guard away: who wanted it
    /// to end is not surprised. Where it ends otherwise the guard stays.
    ///
    /// # Errors
    /// What made it end early.
    pub(super) fn run(mut self) -> anyhow::Result<()> {
        // Who asked for the end is told of it when their connection closes: last.
        let mut clients: Vec<Client> = self.metrics.take().map(Client::own).into_iter().collect();
        match self.serve(&mut clients) {
            Ok(()) => self.end(),
            Err(error) => {
                self.worker.stop()?;
                self.reserver.map_or(Ok(()), Reserver::end)?;
                Err(error)
            }
        }
    }

    /// Stops the worker, and with it the devices, then takes the guard away.
    pub(super) fn end(mut self) -> anyhow::Result<()> {
        self.worker.stop()?;
        drop(self.own);
        let kept = self.reserver.map_or(Ok(()), Reserver::end);
        if let Some(mut perimeter) = self.perimeter {
            perimeter.lower(self.network.netlink())?;
        }
        kept
    }

    fn serve(&mut self, clients: &mut Vec<Client>) -> anyhow::Result<()> {
        let mut watch = None;
        loop {
            let ready = self.wait(clients)?;
            self.keep_time();
            self.clients = clients.iter().filter(|client| !client.is_own()).count();
            if ready.end {
                return Ok(());
            }
            if ready.reload {
                self.reload_by_signal();
            }
            if ready.worker {
                self.hear_worker()?;
            }
            if ready.network {
                self.follow_network();
            }
            if ready.guard
                && let Some(perimeter) = &mut self.perimeter
                && let Err(error) = perimeter.mend()
            {
                tracing::error!("the guard was removed and cannot be put back: {error:#}");
            }
            for (client, ready) in clients.iter_mut().zip(ready.clients) {
                if ready {
                    client.serve(|request| self.answer(request));
                }
            }
            if self.asked_to_end {
                return Ok(());
            }
            self.tell(clients, &mut watch);
            self.hand_over_ike(clients);
            self.listen_for_ike(clients);
            clients.retain(|client| !client.is_done());
            self.attend(clients.iter().any(Client::is_key_manager));
            if ready.connection {
                let next = self.socket.as_ref().and_then(Socket::accept);
                clients.extend(next.map(Client::new));
            }
        }
    }

    fn wait(&self, clients: &[Client]) -> anyhow::Result<Ready> {
        let mut fds = vec![
            poll::readable(self.signals.end.as_fd()),
            poll::readable(self.signals.reload.as_fd()),
            poll::readable(self.worker.wake_control.as_fd()),
            poll::readable(self.network.as_fd()),
        ];
        let guard = self.perimeter.as_ref().and_then(Perimeter::watch);
        fds.extend(guard.map(poll::readable));
        let fixed = fds.len();
        fds.extend(clients.iter().map(Client::interest));
        if let Some(socket) = &self.socket
            && clients.len() < clients::MOST
        {
            fds.push(poll::readable(socket.as_fd()));
        }
        let is_watched = clients.iter().any(Client::monitors);
        let patience = (is_watched || self.control.keeps_time()).then_some(TICK);
        poll::wait(&mut fds, patience)?;
        let is_ready = |place: usize| fds.get(place).is_some_and(poll::is_ready);
        Ok(Ready {
            end: is_ready(0),
            reload: is_ready(1),
            worker: is_ready(2),
            network: is_ready(3),
            guard: guard.is_some() && is_ready(4),
            connection: is_ready(fixed + clients.len()),
            clients: (fixed..fixed + clients.len()).map(is_ready).collect(),
        })
    }

    /// Lets packets wait for their SAs as long as somebody answers acquires.
    fn attend(&mut self, is_answered: bool) {
        let key_manager = match is_answered {
            true => KeyManager::Attached,
            false => KeyManager::Absent,
        };
        if key_manager != self.control.tables().key_manager {
            self.change(Command::SetKeyManager(key_manager));
            self.worker.wake.wake();
        }
    }

    /// Tells those who monitor what happened.
    fn tell(&mut self, clients: &mut [Client], watch: &mut Option<Watch>) {
        let mut monitors = clients.iter_mut().filter(|client| client.monitors());
        let Some(first) = monitors.next() else {
            *watch = None;
            self.news.clear();
            return;
        };
        let watch = watch.get_or_insert_with(|| Watch::new(self));
        let mut news = std::mem::take(&mut self.news);
        news.extend(watch.events(self));
        let lines: Vec<Vec<u8>> = news.iter().map(clients::line).collect();
        for client in [first].into_iter().chain(monitors) {
            client.tell(&lines);
        }
    }

    fn hear_worker(&mut self) -> anyhow::Result<()> {
        self.worker.wake_control.clear();
        loop {
            match self.worker.events.try_recv() {
                Ok(Event::TooBig { destination, mtu }) => self.learn_mtu(destination, mtu),
                Ok(Event::Engine(event)) => self.happened(&event),
                Ok(Event::Ike(datagram)) => self.ike.push(datagram),
                Ok(Event::Failed(what)) => tracing::warn!("{what}"),
                Ok(Event::Gone(role)) => self.make_device_again(role)?,
                Err(TryRecvError::Empty) => return Ok(()),
                Err(TryRecvError::Disconnected) => bail!("the worker has ended"),
            }
        }
    }

    fn keep_time(&mut self) {
        self.control.begin(self.now());
        while let Some(event) = self.control.poll_event() {
            self.happened(&event);
        }
    }

    pub(super) fn now(&self) -> Time {
        Time::since_start(self.started.elapsed())
    }

    fn happened(&mut self, event: &sealway_core::Event) {
        match event {
            sealway_core::Event::SoftLimit { sa, limit } => {
                self.news.push(show::report::Event::SoftLimit {
                    sa: self.shown(sa),
                    limit: limit.name().into(),
                });
                tracing::info!("{} has reached its soft limit of {limit}", sa.config.id);
            }
            sealway_core::Event::HardLimit { sa, limit } => {
                self.news.push(show::report::Event::HardLimit {
                    sa: self.shown(sa),
                    limit: limit.name().into(),
                });
                tracing::warn!(
                    "{} has reached its hard limit of {limit} and ends",
                    sa.config.id
                );
                self.control.begin(self.now());
            }
            sealway_core::Event::Acquire(acquire) => {
                let told = report::acquire(acquire);
                self.news.extend(told.map(show::report::Event::Acquire));
            }
            sealway_core::Event::Mapping { sa, new, .. } => self.follow_peer(sa, *new),
            sealway_core::Event::ReserveMore { .. } => {}
        }
    }

    fn shown(&self, sa: &Sa) -> show::report::Sa {
        report::sa(sa, &self.control.tables(), KeyDisplay::Masked, self.now())
    }

    /// The peer of an SA was heard elsewhere; another SA may have said so first.
    fn follow_peer(&mut self, sa: &Arc<Sa>, new: SocketAddr) {
        let tables = self.control.tables();
        let is_there = tables.sad.has(sa);
        let old = tables
            .sad
            .heard_at(sa)
            .filter(|old| is_there && *old != new);
        let Some(old) = old else {
            return;
        };
        let id = sa.config.id;
        self.change(Command::Map { sa: id, to: new });
        tracing::info!("the peer of {id} has moved from {old} to {new}");
        self.news.push(show::report::Event::Mapping {
            sa: self.shown(sa),
            old: report::place(old),
            new: report::place(new),
        });
    }

    /// Many packets may say the same before the first is heard.
    fn learn_mtu(&mut self, destination: IpAddr, mtu: u16) {
        if self.control.tables().paths.mtu(destination) > mtu {
            self.change(Command::LearnPathMtu { destination, mtu });
        }
    }

    fn follow_network(&mut self) {
        let seen = match self.network.has_changed() {
            Ok(false) => return,
            Ok(true) => self.network.picture(&self.outside),
            Err(error) => Err(error),
        };
        match seen {
            Ok(picture) if picture == self.picture => {}
            Ok(picture) => self.apply_picture(picture),
            Err(error) => tracing::warn!("the network's changes cannot be followed: {error}"),
        }
        self.worker.ask(worker::Request::AskAgain);
        if let Some(perimeter) = &mut self.perimeter
            && let Err(error) = perimeter.follow(self.network.netlink())
        {
            tracing::warn!("the network's changes cannot be followed: {error:#}");
        }
    }

    fn apply_picture(&mut self, picture: Picture) {
        // What was learned of paths was learned by other ways: they are found out anew.
        if (picture.mtu, &picture.interfaces) != (self.picture.mtu, &self.picture.interfaces) {
            self.change(Command::SetLinkMtu(picture.mtu));
        }
        if picture.local != self.picture.local {
            let local = LocalAddresses::new(picture.local.clone());
            self.change(Command::SetLocalAddresses(local));
        }
        let interfaces = picture.interfaces.clone();
        self.worker.ask(worker::Request::Interfaces(interfaces));
        picture.complain();
        self.picture = picture;
    }

    /// A change that cannot be refused.
    fn change(&mut self, command: Command) {
        if let Err(refused) = self.control.apply(vec![command]) {
            tracing::error!("{refused}");
        }
    }

    fn answer(&mut self, request: &[u8]) -> Answer {
        let mut then = Then::Nothing;
        let reply = match serde_json::from_slice(request) {
            Ok(Request::Apply(script)) => self.apply(script, Language::Setkey),
            Ok(Request::Xfrm(script)) => self.apply(script, Language::Xfrm),
            Ok(Request::Show { what, keys }) => self.show(what, keys),
            Ok(Request::Reload {}) => self.reload(),
            Ok(Request::Status {}) => self.status(),
            Ok(Request::Monitor {}) => {
                then = Then::Monitor;
                Reply::ok("monitoring")
            }
            Ok(Request::Register { ike }) => {
                then = match ike {
                    true => Then::RegisterForIke,
                    false => Then::Register,
                };
                // Before it is told: what it sends next may need an SA.
                self.attend(true);
                Reply::ok("registered")
            }
            Ok(Request::Ike(datagram)) => self.send_ike(&datagram),
            Ok(Request::Getspi(wanted)) => self.get_spi(&wanted),
            Ok(Request::Down {}) => {
                self.asked_to_end = true;
                Reply::ok(())
            }
            Err(error) => Reply::error(format!("this is no request: {error}")),
        };
        let line = serde_json::to_vec(&reply).unwrap_or_default();
        Answer { line, then }
    }

    fn get_spi(&mut self, wanted: &Getspi) -> Reply {
        let mut start = [0; 4];
        if let Err(error) = getrandom::fill(&mut start) {
            return Reply::error(format!("the kernel gives no random octets: {error}"));
        }
        let range = wanted.min..=wanted.max;
        if range.is_empty() {
            return Reply::error("min is above max: no SPI is between them");
        }
        let width = u64::from(wanted.max - wanted.min) + 1;
        let start = wanted.min + (u64::from(u32::from_ne_bytes(start)) % width) as u32;
        let destination = wanted.destination;
        match (self.control).get_spi(destination, Protocol::Esp, &range, start) {
            Some(spi) => Reply::ok(spi.value()),
            None => Reply::error(format!(
                "no SPI from {:#x} to {:#x} is free for {destination}",
                wanted.min, wanted.max
            )),
        }
    }

    pub(super) fn report_devices(&self, snapshot: &Snapshot) -> Vec<show::report::Device> {
        let mut told = self.devices.clone();
        devices::report_offloads(&mut told, &snapshot.offloads);
        told
    }

    fn status(&self) -> Reply {
        let tables = self.control.tables();
        let snapshot = self.worker.counters();
        let stats = report::stats(&snapshot);
        Reply::ok(show::report::Status {
            version: env!("CARGO_PKG_VERSION").into(),
            pid: std::process::id(),
            uptime: self.started.elapsed().as_secs(),
            file: self.files.path.display().to_string(),
            reloads: self.reloads,
            default: match tables.default {
                DefaultAction::Discard => "discard".into(),
                DefaultAction::Bypass => "bypass".into(),
            },
            policies: tables.spd.iter().count(),
            sas: tables.sad.iter().len(),
            devices: self.report_devices(&snapshot),
            leash: self.leash.clone(),
            sent: stats.sent,
            delivered: stats.delivered,
            dropped: stats.dropped,
            clients: self.clients,
        })
    }

    fn apply(&mut self, script: Script, language: Language) -> Reply {
        let keys = match script.keys {
            KeyDisplay::Masked => Keys::Masked,
            KeyDisplay::Shown => Keys::Shown,
        };
        let source = Source {
            name: script.name,
            text: script.text,
        };
        let sources = [source];
        let outcome = match script.effect {
            Effect::Apply => {
                setkey::apply_in(language, &self.carrier, &mut self.control, &sources, keys)
                    .map(|applied| (applied.output, applied.warnings))
            }
            Effect::Check => {
                setkey::examine_in(language, &self.carrier, &self.control.tables(), &sources)
                    .map(|warnings| (String::new(), warnings))
            }
        };
        if script.effect == Effect::Apply {
            self.worker.pass_batch();
        }
        let sources = language.shown(sources);
        match outcome {
            Ok((output, warnings)) => Reply::Ok {
                result: output.into(),
                warning: warnings.render(&sources, Colour::Never),
                warnings: warnings.places(&sources),
            },
            Err(mistakes) => Reply::Error {
                message: mistakes.render(&sources, Colour::Never),
                mistakes: mistakes.places(&sources),
            },
        }
    }

    fn show(&self, what: What, keys: KeyDisplay) -> Reply {
        let tables = self.control.tables();
        match what {
            What::Policy => Reply::ok(report::policies(&tables)),
            What::Sa => Reply::ok(report::sas(&tables, keys, self.now())),
            What::Device => Reply::ok(self.report_devices(&self.worker.counters())),
            What::Stats => Reply::ok(report::stats(&self.worker.counters())),
        }
    }
}

impl WorkerHandle {
    /// Waits until the worker has begun another batch; whether it has.
    pub(super) fn batch_passer(&self) -> impl Fn() -> bool + Send + 'static {
        let (requests, wake) = (self.requests.clone(), Arc::clone(&self.wake));
        move || {
            let (done, published) = mpsc::channel();
            let is_asked = requests.send(worker::Request::Publish(done)).is_ok();
            wake.wake();
            is_asked && published.recv_timeout(PATIENCE).is_ok()
        }
    }

    /// Waits until the worker has begun another batch, which finds packets too that waited for a
    /// change: it is in force when whoever asked for it has the answer.
    fn pass_batch(&self) {
        if !(self.batch_passer())() {
            tracing::warn!("the worker does not answer; what changed may not be in force yet");
        }
    }

    pub(super) fn ask(&self, request: worker::Request) {
        // A worker that has ended is noticed elsewhere.
        let _ = self.requests.send(request);
        self.wake.wake();
    }

    /// Ends the worker and waits until it has ended.
    fn stop(self) -> anyhow::Result<()> {
        self.ask(worker::Request::Stop);
        if self.thread.join().is_err() {
            bail!("the worker panicked: this is an error of Sealway's, please report it");
        }
        Ok(())
    }

    /// The counters as they are; if the worker does not answer, as they were last published.
    fn counters(&self) -> Snapshot {
        let (done, published) = mpsc::channel();
        self.ask(worker::Request::Publish(done));
        if published.recv_timeout(PATIENCE).is_err() {
            tracing::warn!("the worker does not answer; its counters are old");
        }
        self.board
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}
