//! Two sides and the link between them. One thread moves everything.

use std::cell::RefCell;
use std::fmt::Write;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Result, anyhow, bail};
use sealway_core::path::LocalAddresses;
use sealway_core::{
    Command, Control, Datapath, DatapathConfig, DefaultAction, DropReason, Time, Verdict,
    materialise,
};
use sealway_io::memory::{End as LinkEnd, Link};
use sealway_io::{Device, SendError};
use sealway_packet::{Arrival, Egress, Packet, Pool, Train};
use sealway_setkey::{Colour, Keys};
use sealway_wire::Layout;
use smoltcp::iface::PollResult;

use super::host::Host;
use crate::adaptor;
use crate::demo::Order;
use crate::demo::address::{self, End, FAMILIES};
use crate::demo::flow::{Flow, Treatment};
use crate::demo::limit::Limit;
use crate::demo::tally::{Recorder, Tally};
use crate::setkey::{self, Source};

/// All there is.
pub(super) struct World {
    start: Instant,
    left: Side,
    right: Side,
}

/// What came of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Packets moved.
    Busy,
    /// Everybody waits.
    Idle,
}

impl World {
    /// Two sides that were told what the gateways of the other demo are told.
    pub(super) fn new(order: &Order<'_>, sight: Sight) -> Result<World> {
        let (left, right) = Link::default().ends();
        let side = |end, link| {
            let sight = sight.clone();
            Side::new(end, order, Watched { link, sight })
        };
        Ok(World {
            start: Instant::now(),
            left: side(End::Left, left)?,
            right: side(End::Right, right)?,
        })
    }

    /// The host at this end that takes part in the flow.
    pub(super) fn host(&mut self, end: End, flow: &Flow) -> &mut Host {
        let side = match end {
            End::Left => &mut self.left,
            End::Right => &mut self.right,
        };
        match flow.treatment {
            Treatment::Transport(_) => &mut side.gateway,
            Treatment::Tunnel(..) | Treatment::Clear => &mut side.inner,
        }
    }

    /// Moves packets until `done` has an answer.
    pub(super) fn until<T>(
        &mut self,
        doing: &str,
        limit: &Limit,
        mut done: impl FnMut(&mut World) -> Result<Option<T>>,
    ) -> Result<T> {
        loop {
            if let Some(answer) = done(self)? {
                return Ok(answer);
            }
            limit.check(doing)?;
            if self.step() == Step::Idle {
                std::thread::sleep(std::time::Duration::from_micros(100));
            }
        }
    }

    /// What the engines dropped, by reason.
    pub(super) fn drops(&self) -> String {
        let mut text = String::new();
        for (end, side) in [(End::Left, &self.left), (End::Right, &self.right)] {
            let _ = write!(text, "the {} engine dropped:", end.name());
            for reason in DropReason::ALL {
                let count = side.datapath.stats().dropped(*reason);
                if count > 0 {
                    let _ = write!(text, " {} {count}", reason.name());
                }
            }
            text.push('\n');
        }
        text
    }

    fn step(&mut self) -> Step {
        let now = self.start.elapsed();
        let steps = [&mut self.left, &mut self.right].map(|side| side.step(now));
        if steps.contains(&Step::Busy) {
            Step::Busy
        } else {
            Step::Idle
        }
    }
}

/// A gateway and its hosts.
struct Side {
    datapath: Datapath,
    link: Watched,
    /// The host behind the gateway.
    inner: Host,
    /// The gateway as a host.
    gateway: Host,
}

impl Side {
    fn new(end: End, order: &Order<'_>, link: Watched) -> Result<Side> {
        let mut control = Control::new(DefaultAction::Discard, 1500);
        let sources = [Source {
            name: format!("{}.setkey", end.name()),
            text: order.plan.script(end, order.flows, order.sabotaged),
        }];
        setkey::apply(&mut control, &sources, Keys::Masked)
            .map_err(|mistakes| anyhow!(mistakes.render(&sources, Colour::Never)))?;
        let ours = [address::tunnel_end, address::gateway_host];
        let ours = ours.map(|place| FAMILIES.map(|family| place(end, family)));
        let local = LocalAddresses::new(ours.concat());
        control.apply(vec![Command::SetLocalAddresses(local)])?;
        let datapath = Datapath::new(
            control.shared(),
            DatapathConfig::default(),
            Pool::new(64, 64),
            Box::new(random),
        );
        let mut seed = [0; 8];
        random(&mut seed);
        let seed = u64::from_le_bytes(seed);
        Ok(Side {
            datapath,
            link,
            inner: Host::new(FAMILIES.map(|f| address::inner_host(end, f)), seed),
            gateway: Host::new(FAMILIES.map(|f| address::gateway_host(end, f)), !seed),
        })
    }

    /// Lets the hosts work, sends what they send and delivers what came.
    fn step(&mut self, now: std::time::Duration) -> Step {
        let mut step = Step::Idle;
        self.datapath.begin(Time::since_start(now));
        let moment = smoltcp::time::Instant::from_micros(now.as_micros() as i64);
        for host in [&mut self.inner, &mut self.gateway] {
            if host.poll(moment) == PollResult::SocketStateChanged {
                step = Step::Busy;
            }
            while let Some(packet) = host.next_sent() {
                let packet = Packet::new(Train::detached(&packet), ());
                if let Verdict::Sent(transmit) = self.datapath.output(packet) {
                    // A full link loses packets, as links do.
                    let _ = adaptor::transmit_by(transmit, &mut self.link);
                }
                step = Step::Busy;
            }
        }
        let mut arrived = Vec::new();
        self.link.receive(&mut |packet| arrived.push(packet));
        for packet in arrived {
            if let Verdict::Delivered(admitted) = self.datapath.input(packet) {
                self.deliver(&adaptor::accept(admitted));
            }
            step = Step::Busy;
        }
        while let Some(originated) = self.datapath.poll_originated() {
            self.deliver(&adaptor::accept(originated));
        }
        step
    }

    fn deliver(&mut self, packet: &Packet<()>) {
        let octets = packet.train.packet();
        let Ok(layout) = Layout::parse(octets) else {
            return;
        };
        let destination: IpAddr = layout.destination(octets);
        let mut hosts = [&mut self.inner, &mut self.gateway].into_iter();
        if let Some(host) = hosts.find(|host| host.has(destination)) {
            host.receive(octets.to_vec());
        }
    }
}

fn random(octets: &mut [u8]) {
    if let Err(error) = getrandom::fill(octets) {
        // An IV that can be guessed would be worse than an end.
        panic!("the kernel gives no random octets: {error}");
    }
}

/// What is seen of the link.
#[derive(Clone)]
pub(super) struct Sight(Rc<RefCell<Seen>>);

struct Seen {
    tally: Tally,
    recorder: Option<Recorder>,
    /// What went wrong with the recorder.
    error: Option<anyhow::Error>,
}

impl Sight {
    pub(super) fn new(tally: Tally, recorder: Option<Recorder>) -> Sight {
        Sight(Rc::new(RefCell::new(Seen {
            tally,
            recorder,
            error: None,
        })))
    }

    fn see(&self, packet: &[u8]) {
        let mut seen = self.0.borrow_mut();
        seen.tally.see(packet);
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let recorder = seen.recorder.as_mut();
        let recorded = recorder.map(|recorder| recorder.record(packet, now.unwrap_or_default()));
        if let Some(Err(error)) = recorded {
            seen.recorder = None;
            seen.error = Some(error);
        }
    }

    /// What was seen in all; nobody else may still be looking.
    pub(super) fn finish(self) -> Result<Tally> {
        let Some(seen) = Rc::into_inner(self.0) else {
            bail!("somebody still looks at the link");
        };
        let seen = seen.into_inner();
        seen.error.map_or(Ok(()), Err)?;
        seen.recorder.map_or(Ok(()), Recorder::finish)?;
        Ok(seen.tally)
    }
}

/// An end of the link at which everything that is sent is looked at.
struct Watched {
    link: LinkEnd,
    sight: Sight,
}

impl Device for Watched {
    fn send(&mut self, egress: Egress, train: Train) -> Result<(), SendError> {
        for segment in train.segments() {
            let mut whole = Train::detached(segment);
            if let Egress::Payload(outer) = &egress
                && materialise(&mut whole, outer, 0).is_err()
            {
                return Err(SendError::TooBig { mtu: None });
            }
            self.sight.see(whole.packet());
        }
        self.link.send(egress, train)
    }

    fn receive(&mut self, sink: &mut dyn FnMut(Packet<Arrival>)) {
        self.link.receive(sink);
    }
}
