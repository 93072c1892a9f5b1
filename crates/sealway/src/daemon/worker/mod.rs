//! The worker: one thread that moves packets between the devices and the engine. It owns its
//! datapath, its devices and its counters, and learns of everything else by [`Request`].

mod canary;
mod counters;
pub(super) mod ike;
mod let_out;
mod own;

use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::sync::mpsc::{Receiver, Sender, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use sealway_core::{Admitted, Datapath, Keepalive, Time, Verdict};
use sealway_io::SendError;
use sealway_io::clear::Clear;
use sealway_io::outside::{Gathering, Inlet, Outside, Received, Stop, UdpKind};
use sealway_io::poll;
use sealway_io::readiness::Wake;
use sealway_io::tun::Tun;
use sealway_packet::{Arrival, Egress, Packet, Pool};
use sealway_wire::TooBig;

use super::state::Bell;
use crate::adaptor::{self, Exits};

use canary::Canary;
pub(super) use counters::{Counters, Failure, Offloads, Snapshot};
use let_out::LetOut;
use own::Own;

/// The most packets read from one descriptor before the others have their turn.
const BATCH: usize = sealway_io::outside::BATCH;
/// How often the counters are published.
const PUBLISH: Duration = Duration::from_secs(1);
/// How often a kind of failure is told.
const TELL: Duration = Duration::from_secs(10);

/// What control asks of the worker; it is woken for each.
#[derive(Debug)]
pub(super) enum Request {
    /// Publish the counters at once and say so.
    Publish(Sender<()>),
    /// The interface that each of our addresses belongs to, sorted.
    Interfaces(Vec<(IpAddr, u32)>),
    /// Links, addresses or routes have changed: offer the kernel again what it has refused.
    AskAgain,
    /// A device that was gone is there again.
    IsBack(Role),
    /// Whether a key manager's datagrams are to be handed on.
    HearIke(ike::Hearing),
    /// Send a key manager's datagram.
    Ike(ike::Datagram),
    /// End.
    Stop,
}

/// What the worker tells control.
#[derive(Debug)]
pub(super) enum Event {
    /// A packet was larger than its path takes.
    TooBig {
        /// The outer destination.
        destination: IpAddr,
        /// What the path takes, in octets of the IP packet.
        mtu: u16,
    },
    /// A device is gone; told about once a second until it is there again.
    Gone(Role),
    /// A kind of failure, told once in a while.
    Failed(String),
    /// A datagram for a key manager.
    Ike(ike::Datagram),
    /// What the engine tells.
    Engine(sealway_core::Event),
}

/// The devices of a worker and the buffers that they fill.
#[derive(Debug)]
pub(super) struct Devices {
    pub(super) inside: Tun,
    pub(super) outside: Outside,
    pub(super) clear: Option<Clear>,
    pub(super) pool: Pool,
}

/// A TUN device by what it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// The protected side.
    Inside,
    /// BYPASS traffic.
    Clear,
}

impl Role {
    /// In reports.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Role::Inside => "inside",
            Role::Clear => "clear",
        }
    }
}

/// The ways between a worker and control.
pub(super) struct Ways {
    pub(super) requests: Receiver<Request>,
    /// Wakes the worker.
    pub(super) wake: Arc<Wake>,
    pub(super) events: SyncSender<Event>,
    /// Wakes control.
    pub(super) wake_control: Arc<Wake>,
    /// Rung where reserved numbers become scarce.
    pub(super) bell: Bell,
    /// Where the counters are published.
    pub(super) board: Arc<Mutex<Snapshot>>,
}

/// What can be read from.
#[derive(Clone, Copy)]
enum Source {
    Inside,
    Clear,
    Outside(Inlet),
}

/// Whether to go on.
enum Next {
    Continue,
    Stop,
}

/// Moves packets until it is told to stop. `addresses` are those of the outside; the engine's time
/// is counted from `start`. `keepalive`: how long nothing may leave in UDP before a keepalive does, and
/// which.
pub(super) fn run(
    datapath: Datapath,
    devices: &Devices,
    addresses: &[IpAddr],
    start: Instant,
    keepalive: Option<(Duration, Keepalive)>,
    ways: Ways,
) {
    let wake = Arc::clone(&ways.wake);
    let mut worker = Worker {
        datapath,
        devices,
        own: Own::new(addresses, devices.outside.port()),
        let_out: LetOut::new(),
        interfaces: Vec::new(),
        waiting: Gathering::default(),
        ike_hearing: ike::Hearing::default(),
        ike: ike::Queue::default(),
        keepalive,
        canary: Canary::default(),
        counters: Counters::default(),
        told: [None; Failure::ALL.len()],
        gone: Vec::new(),
        now: Duration::ZERO,
        ways,
    };
    let mut gone = Vec::new();
    let (mut sources, mut fds) = polled(devices, &wake, &gone);
    let mut published = Duration::ZERO;
    loop {
        if gone != worker.gone {
            gone.clone_from(&worker.gone);
            (sources, fds) = polled(devices, &wake, &gone);
        }
        if let Err(error) = poll::wait(&mut fds, Some(PUBLISH)) {
            worker.fail(Failure::Read, &error);
        }
        worker.now = start.elapsed();
        let (woken, readable) = fds.split_at(1);
        if woken.iter().any(poll::is_ready)
            && let Next::Stop = worker.requests()
        {
            break;
        }
        worker.datapath.begin(Time::since_start(worker.now));
        while let Some(verdict) = worker.datapath.resume() {
            worker.carry_out(verdict);
            worker.send_more();
        }
        worker.flush();
        let ready = readable
            .iter()
            .zip(&sources)
            .filter(|(fd, _)| poll::is_ready(fd));
        for (_, source) in ready {
            worker.read(*source);
        }
        if worker.now.saturating_sub(published) >= PUBLISH {
            published = worker.now;
            worker.keep_alive();
            worker.miss_devices();
            worker.pass_canary();
            worker.flush();
            worker.publish();
        }
    }
    worker.publish();
}

/// What is waited for: to be woken first, then each device that is there.
fn polled<'d>(
    devices: &'d Devices,
    wake: &'d Wake,
    gone: &[Role],
) -> (Vec<Source>, Vec<poll::PollFd<'d>>) {
    let is_there = |role: &Role| !gone.contains(role);
    let inside = (Role::Inside, Source::Inside, devices.inside.as_fd());
    let clear = devices.clear.iter();
    let clear = clear.map(|clear| (Role::Clear, Source::Clear, clear.as_fd()));
    let tuns = [inside].into_iter().chain(clear);
    let tuns = tuns.filter(|(role, ..)| is_there(role));
    let inlets = devices.outside.inlets();
    let inlets = inlets.map(|(inlet, fd)| (Source::Outside(inlet), fd));
    let tuns = tuns.map(|(_, source, fd)| (source, fd));
    let (sources, fds): (Vec<_>, Vec<_>) = tuns.chain(inlets).unzip();
    let fds = [wake.as_fd()].into_iter().chain(fds);
    (sources, fds.map(poll::readable).collect())
}

struct Worker<'d> {
    datapath: Datapath,
    devices: &'d Devices,
    own: Own,
    let_out: LetOut,
    interfaces: Vec<(IpAddr, u32)>,
    /// Empty whenever the worker waits.
    waiting: Gathering,
    ike_hearing: ike::Hearing,
    /// Datagrams that wait for control to hand them on.
    ike: ike::Queue,
    keepalive: Option<(Duration, Keepalive)>,
    canary: Canary,
    counters: Counters,
    /// When each kind of failure was told last.
    told: [Option<Duration>; Failure::ALL.len()],
    /// Devices that were removed and are not there again.
    gone: Vec<Role>,
    /// Since the start; read once per batch.
    now: Duration,
    ways: Ways,
}

impl Worker<'_> {
    fn requests(&mut self) -> Next {
        self.ways.wake.clear();
        while let Ok(request) = self.ways.requests.try_recv() {
            match request {
                Request::Publish(done) => {
                    self.publish();
                    // Who asked may have lost patience.
                    let _ = done.send(());
                }
                Request::Interfaces(interfaces) => self.interfaces = interfaces,
                Request::IsBack(role) => self.gone.retain(|gone| *gone != role),
                Request::AskAgain => self.devices.outside.ask_again(),
                Request::HearIke(hearing) => self.ike_hearing = hearing,
                Request::Ike(datagram) => self.send_ike(&datagram),
                Request::Stop => return Next::Stop,
            }
        }
        Next::Continue
    }

    fn publish(&self) {
        let mut worker = self.counters.clone();
        worker.ike_dropped += self.ike.in_vain();
        let snapshot = Snapshot {
            engine: self.datapath.stats().clone(),
            worker,
            outside: self.devices.outside.counters(),
            offloads: Offloads::of(self.devices, &self.datapath),
            samples: self.datapath.samples(),
        };
        *self
            .ways
            .board
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = snapshot;
    }

    /// One batch.
    fn read(&mut self, source: Source) {
        let devices = self.devices;
        match source {
            Source::Inside => self.read_inside(),
            Source::Clear => self.read_clear(),
            Source::Outside(inlet) => {
                let stop = devices
                    .outside
                    .receive(inlet, &devices.pool, &mut |received| self.arrived(received));
                match stop {
                    Ok(Stop::Drained | Stop::Budget) => {}
                    Ok(Stop::PoolEmpty) => self.counters.pool_empty += 1,
                    Err(error) => self.fail(Failure::Read, &error),
                }
            }
        }
        self.heed();
        self.flush();
        while let Some(made) = self.datapath.poll_originated() {
            self.deliver(made);
        }
        while let Some(event) = self.datapath.poll_event() {
            match event {
                sealway_core::Event::ReserveMore { .. } => self.ways.bell.ring(),
                event => {
                    if let sealway_core::Event::Mapping { .. } = event {
                        self.counters.peers_moved += 1;
                    }
                    self.tell(Event::Engine(event));
                }
            }
        }
    }

    fn read_inside(&mut self) {
        for _ in 0..BATCH {
            match self.devices.inside.read(&self.devices.pool) {
                Ok(Some(packet)) => self.leave(packet),
                Ok(None) => break,
                Err(error) => return self.unreadable(Role::Inside, &error),
            }
        }
    }

    fn read_clear(&mut self) {
        let Some(clear) = &self.devices.clear else {
            return;
        };
        for _ in 0..BATCH {
            match clear.read(&self.devices.pool) {
                Ok(Some(packet)) => {
                    let verdict = self.datapath.input(packet);
                    self.carry_out(verdict);
                }
                Ok(None) => break,
                Err(error) => return self.unreadable(Role::Clear, &error),
            }
        }
    }

    #[inline]
    fn leave(&mut self, packet: Packet<()>) {
        let octets = packet.train.packet();
        if self.own.sent(octets) || self.let_out.is_back(octets, self.now) {
            self.counters.loops += 1;
            return;
        }
        let verdict = self.datapath.output(packet);
        self.carry_out(verdict);
        self.send_more();
    }

    /// What of a super-packet found no room in one train.
    #[inline]
    fn send_more(&mut self) {
        while let Some(transmit) = self.datapath.more() {
            self.carry_out(Verdict::Sent(transmit));
        }
    }

    #[inline]
    fn arrived(&mut self, received: Received) {
        match received {
            Received::Packet(packet) if packet.train.count() > 1 => self.train_arrived(packet),
            Received::Packet(packet) => {
                let before = self.is_on_trial(&packet).then(|| self.damaged());
                let verdict = self.datapath.input(packet);
                self.carry_out(verdict);
                if let Some(before) = before {
                    self.single_judged(before);
                }
            }
            Received::Datagram { kind, outer, train } => match kind {
                UdpKind::Keepalive => self.counters.keepalives += 1,
                UdpKind::NonEsp | UdpKind::Esp => self.heard_ike(&outer, train.packet()),
            },
            Received::TooBig(report) => self.hear(&report),
        }
    }

    fn train_arrived(&mut self, train: Packet<Arrival>) {
        let inside = &self.devices.inside;
        let (datagrams, damaged) = (train.train.count(), self.damaged());
        let (mut failures, mut failure) = (0, None);
        self.datapath.input_train(train, &mut |part| {
            if let Err(error) = adaptor::deliver_part(part, inside) {
                failures += 1;
                failure = Some(error);
            }
        });
        self.train_judged(datagrams, damaged);
        if let Some(error) = failure {
            self.counters.failures[Failure::Deliver as usize] += failures - 1;
            self.fail(Failure::Deliver, &error);
        }
    }

    #[inline]
    fn carry_out(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Sent(transmit) => {
                if let Egress::Clear = transmit.egress() {
                    let segments = transmit.train().segments();
                    segments.for_each(|packet| self.let_out.note(packet, self.now));
                }
                let exits = Exits {
                    outside: &self.devices.outside,
                    clear: self.devices.clear.as_ref(),
                    interfaces: &self.interfaces,
                };
                if let Err(error) = adaptor::transmit(transmit, &exits, &mut self.waiting) {
                    self.not_sent(None, &error);
                }
                self.tell_failures();
            }
            Verdict::Delivered(admitted) => self.deliver(admitted),
            // The engine has counted it.
            Verdict::Dropped(_) | Verdict::Held | Verdict::Pending | Verdict::Consumed => {}
        }
    }

    /// Sends what waits for company. To be called where no more is read for now.
    fn flush(&mut self) {
        self.devices.outside.flush(&mut self.waiting);
        self.tell_failures();
    }

    #[inline]
    fn tell_failures(&mut self) {
        while let Some((destination, error)) = self.waiting.poll_failure() {
            self.not_sent(Some(destination), &error);
        }
    }

    #[inline]
    fn deliver(&mut self, admitted: Admitted) {
        if let Err(error) = adaptor::deliver(admitted, &self.devices.inside) {
            self.fail(Failure::Deliver, &error);
        }
    }

    /// Sends keepalives where nothing else keeps a NAT's mapping alive.
    fn keep_alive(&mut self) {
        let Some((interval, kind)) = self.keepalive else {
            return;
        };
        for keepalive in self.datapath.keepalives(interval, kind) {
            self.counters.keepalives_sent += 1;
            self.carry_out(Verdict::Sent(keepalive));
        }
    }

    /// What a router says, if it is believed and news.
    #[cold]
    fn hear(&mut self, report: &TooBig) {
        if !self.datapath.believes(report) {
            self.counters.too_big_disbelieved += 1;
            return;
        }
        self.counters.too_big_heard += 1;
        let TooBig {
            destination, mtu, ..
        } = *report;
        if mtu < self.datapath.tables().paths.mtu(destination) {
            self.tell(Event::TooBig { destination, mtu });
        }
    }

    /// Nothing is originated for a packet that was too big: the next one like it gets its answer
    /// from the engine, which then knows the path.
    #[cold]
    fn not_sent(&mut self, destination: Option<IpAddr>, error: &SendError) {
        let failure = Failure::of(error);
        if let (SendError::TooBig { mtu: Some(mtu) }, Some(destination)) = (error, destination) {
            self.counters.failures[failure as usize] += 1;
            let mtu = u16::try_from(*mtu).unwrap_or(u16::MAX);
            return self.tell(Event::TooBig { destination, mtu });
        }
        self.fail(failure, error);
    }

    #[cold]
    fn unreadable(&mut self, role: Role, error: &io::Error) {
        if error.kind() == io::ErrorKind::OutOfMemory {
            self.counters.pool_empty += 1;
            return;
        }
        match error.raw_os_error().map(Errno::from_raw) {
            Some(Errno::EIO | Errno::EBADFD) => {
                self.gone.push(role);
                self.tell(Event::Gone(role));
            }
            _ => self.fail(Failure::Read, error),
        }
    }

    /// Control may not have been told, or not have succeeded.
    fn miss_devices(&self) {
        self.gone
            .iter()
            .for_each(|role| self.tell(Event::Gone(*role)));
    }

    /// Counts a failure, and tells of it if none of its kind was told for a while.
    #[cold]
    fn fail(&mut self, failure: Failure, error: &dyn std::error::Error) {
        self.counters.failures[failure as usize] += 1;
        let told = &mut self.told[failure as usize];
        if told.is_none_or(|told| self.now.saturating_sub(told) >= TELL) {
            *told = Some(self.now);
            self.tell(Event::Failed(format!("{}: {error}", failure.words())));
        }
    }

    /// If control has fallen behind, it is not told.
    fn tell(&self, event: Event) {
        let _ = self.ways.events.try_send(event);
        self.ways.wake_control.wake();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
