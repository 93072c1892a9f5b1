//! What is measured, each between hosts of its own.

use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, Result};
use sealway_wire::Family;
use zeroize::Zeroizing;

use super::peer::{self, Peer};
use super::shuttle::Shuttle;
use super::stream::Ends;
use crate::bench::script::{self, Carrier};
use crate::daemon::config::Offload;
use crate::demo::address::{self, End};
use crate::demo::limit::Interrupt;
use crate::demo::namespaces::gateway::{Gateway, Orders};
use crate::demo::namespaces::topology::{Frames, Topology};

/// How long a subject may take to start, on a busy machine.
const START: Duration = Duration::from_secs(120);

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    /// The link between the gateways.
    Veth,
    /// The same, with one packet in a frame, as a plain network card would have it.
    VethPlain,
    /// Two TUN devices and nothing between them, from gateway to gateway …
    Shuttle,
    /// … and from host to host.
    ShuttleHosts,
    /// Sealway, from gateway to gateway.
    Protected(Carrier, Offload),
    /// Sealway in UDP over a link that takes one packet in a frame: the kernel cuts trains before it.
    ProtectedOverPlain,
    /// Sealway, from host to host past all SAs, with so many policies.
    Clear(u32),
    /// Another program, from gateway to gateway.
    Peer(Peer),
}

impl Subject {
    /// What is measured unless something else is asked for.
    pub(super) const USUAL: [Subject; 11] = [
        Subject::Veth,
        Subject::Shuttle,
        Subject::ShuttleHosts,
        Subject::Protected(Carrier::Udp, Offload::On),
        Subject::ProtectedOverPlain,
        Subject::Protected(Carrier::Udp, Offload::Off),
        Subject::Protected(Carrier::Esp, Offload::On),
        Subject::Clear(0),
        Subject::Clear(1),
        Subject::Clear(100),
        Subject::Clear(100_000),
    ];
    /// What is measured if it is asked for by name.
    const SPECIAL: [Subject; 2] = [
        Subject::VethPlain,
        Subject::Protected(Carrier::Esp, Offload::Off),
    ];

    /// What its streams are compared with: no tunnel in user space does better there.
    pub(super) const fn ceiling(self) -> Subject {
        match self {
            Subject::ShuttleHosts | Subject::Clear(_) => Subject::ShuttleHosts,
            _ => Subject::Shuttle,
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Subject::Veth => "veth",
            Subject::VethPlain => "veth-plain",
            Subject::Shuttle => "shuttle",
            Subject::ShuttleHosts => "shuttle-hosts",
            Subject::Protected(Carrier::Udp, Offload::On) => "sealway-udp",
            Subject::ProtectedOverPlain => "sealway-udp-nic",
            Subject::Protected(Carrier::Udp, Offload::Off) => "sealway-udp-plain",
            Subject::Protected(Carrier::Esp, Offload::On) => "sealway-esp",
            Subject::Protected(Carrier::Esp, Offload::Off) => "sealway-esp-plain",
            Subject::Clear(100_000) => "sealway-clear-100k",
            Subject::Clear(policies) => return write!(f, "sealway-clear-{policies}"),
            Subject::Peer(peer) => return write!(f, "{peer}"),
        };
        f.pad(name)
    }
}

impl FromStr for Subject {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let known = || Subject::USUAL.into_iter().chain(Subject::SPECIAL);
        if let Some(found) = known().find(|each| each.to_string() == name) {
            return Ok(found);
        }
        if Peer::ALL.iter().any(|peer| peer.to_string() == name) {
            return Err(format!("other programs are asked for with --peers {name}"));
        }
        let names: Vec<_> = known().map(|each| each.to_string()).collect();
        Err(format!("there are {}", names.join(", ")))
    }
}

/// A subject that runs.
pub(super) struct Scene {
    subject: Subject,
    running: Running,
    topology: Topology,
}

/// What moves packets.
enum Running {
    Nothing,
    Shuttle(Shuttle),
    Gateways(Vec<Gateway>),
    Peer(peer::Running),
}

impl Scene {
    /// Makes its hosts and starts it. `directory`: for its files.
    pub(super) fn start(
        subject: Subject,
        directory: &Path,
        interrupt: &Interrupt,
    ) -> Result<Scene> {
        let topology = Topology::new(match subject {
            Subject::VethPlain | Subject::ProtectedOverPlain => Frames::Alone,
            _ => Frames::Together,
        })?;
        let limit = interrupt.within(START);
        let gateways = |script: &dyn Fn(End) -> Zeroizing<String>, default, offload| {
            let start = |end| {
                let orders = Orders {
                    script: &script(end),
                    default,
                    offload,
                };
                let gateway = &topology.side(end).gateway;
                Gateway::start(end, gateway, directory, &orders, &limit)
            };
            let both = End::ALL.into_iter().map(start);
            both.collect::<Result<_>>().map(Running::Gateways)
        };
        let running = match subject {
            Subject::Veth | Subject::VethPlain => Running::Nothing,
            Subject::Shuttle | Subject::ShuttleHosts => {
                let (left, right) = (&topology.left.gateway, &topology.right.gateway);
                Running::Shuttle(Shuttle::start(left, right)?)
            }
            Subject::Protected(carrier, offload) => {
                let keys = [script::key()?, script::key()?];
                let script = |end| script::protected(end, carrier, Family::V4, &keys);
                gateways(&script, "discard", offload)?
            }
            Subject::ProtectedOverPlain => {
                let keys = [script::key()?, script::key()?];
                let script = |end| script::protected(end, Carrier::Udp, Family::V4, &keys);
                gateways(&script, "discard", Offload::On)?
            }
            Subject::Clear(0) => gateways(&|_| Zeroizing::default(), "bypass", Offload::On)?,
            Subject::Clear(policies) => {
                gateways(&|end| script::clear(end, policies), "discard", Offload::On)?
            }
            Subject::Peer(peer) => Running::Peer(peer.start(&topology, directory, &limit)?),
        };
        Ok(Scene {
            subject,
            running,
            topology,
        })
    }

    pub(super) fn subject(&self) -> Subject {
        self.subject
    }

    /// Who talks.
    pub(super) fn ends(&self, family: Family, sender: End) -> Ends<'_> {
        let place = |end| {
            let side = self.topology.side(end);
            match self.subject {
                Subject::Veth | Subject::VethPlain => {
                    (&side.gateway, address::tunnel_end(end, family))
                }
                Subject::ShuttleHosts | Subject::Clear(_) => {
                    (&side.inner, address::inner_host(end, family))
                }
                Subject::Shuttle
                | Subject::Protected(..)
                | Subject::ProtectedOverPlain
                | Subject::Peer(_) => (&side.gateway, address::inner_gateway(end, family)),
            }
        };
        Ends {
            sender: place(sender),
            receiver: place(sender.other()),
        }
    }

    /// What the tunnel's processes at both ends have used so far, for the user and for the system.
    pub(super) fn cpu(&self) -> Result<Duration> {
        match &self.running {
            Running::Nothing => Ok(Duration::ZERO),
            Running::Shuttle(shuttle) => used(&format!("self/task/{}", shuttle.id())),
            Running::Gateways(both) => both
                .iter()
                .map(|gateway| used(&gateway.process().to_string()))
                .sum(),
            Running::Peer(peer) => {
                let both = peer.processes().into_iter();
                both.map(|process| used(&process.to_string())).sum()
            }
        }
    }
}

/// What a process or thread has used (proc_pid_stat(5)).
fn used(place: &str) -> Result<Duration> {
    let text = std::fs::read_to_string(format!("/proc/{place}/stat"))
        .context("a process that is measured has ended")?;
    let behind_name = text.rsplit(')').next().unwrap_or_default();
    let mut ticks = behind_name.split_ascii_whitespace().skip(11);
    let mut next = || ticks.next().and_then(|text| text.parse::<u64>().ok());
    let (user, system) = (next().unwrap_or(0), next().unwrap_or(0));
    let per_second = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK)?.unwrap_or(100);
    Ok(Duration::from_secs_f64(
        (user + system) as f64 / per_second as f64,
    ))
}
