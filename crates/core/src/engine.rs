//! Control and one datapath on one thread: for embedders, tests and examples.

use std::time::Duration;

use sealway_crypto::Provider;
use sealway_packet::{Arrival, Packet, Pool};
use sealway_wire::TooBig;

use crate::control::{Command, Control, Keeper, Refused, Replaced};
use crate::datapath::{Datapath, DatapathConfig, Keepalive, Randomness, Stats};
use crate::event::Event;
use crate::tables::DefaultAction;
use crate::time::Time;
use crate::verdict::{Admitted, AdmittedPart, Transmit, Verdict};

/// How an [`Engine`] is made.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// What to do with traffic that no policy speaks of.
    pub default: DefaultAction,
    /// The largest IP packet that the link outside takes, in octets.
    pub link_mtu: u16,
    /// The datapath's bounds.
    pub datapath: DatapathConfig,
    /// Buffers for what the engine makes itself.
    pub pool: Pool,
}

impl Default for EngineConfig {
    fn default() -> Self {
        EngineConfig {
            default: DefaultAction::Discard,
            link_mtu: 1500,
            datapath: DatapathConfig::default(),
            pool: Pool::new(64, 64),
        }
    }
}

/// An IPsec engine.
///
/// There are four kinds of methods. *Commands* ([`apply`](Self::apply)) change what it does.
/// [`begin`](Self::begin) tells it the time. *Packets* are given to [`output`](Self::output) and
/// [`input`](Self::input), each of which answers with the packet's one verdict. What it made itself
/// is asked for with [`poll_originated`](Self::poll_originated), after each batch.
pub struct Engine {
    control: Control,
    datapath: Datapath,
}

impl Engine {
    /// An engine without policies and SAs.
    pub fn new(config: EngineConfig, random: Box<dyn Randomness + Send>) -> Self {
        let control = Control::new(config.default, config.link_mtu);
        let datapath = Datapath::new(control.shared(), config.datapath, config.pool, random);
        Engine { control, datapath }
    }

    /// Applies all of the commands or none; packets see them at the next
    /// [`begin`](Self::begin).
    ///
    /// # Errors
    /// The first command that cannot be.
    pub fn apply(&mut self, commands: Vec<Command>) -> Result<(), Refused> {
        self.control.apply(commands)
    }

    /// Makes policies and SAs what these commands would make of empty databases; packets see it at
    /// the next [`begin`](Self::begin).
    ///
    /// # Errors
    /// The first command that cannot be.
    pub fn replace(&mut self, commands: Vec<Command>) -> Result<Replaced, Refused> {
        self.control.replace(commands)
    }

    /// Takes the cryptography of SAs that are added from now on from this provider.
    pub fn use_provider(&mut self, provider: &'static dyn Provider) {
        self.control.use_provider(provider);
    }

    /// Has the numbers of SAs that are added from now on kept beyond this engine's life.
    pub fn use_keeper(&mut self, keeper: Box<dyn Keeper + Send>) {
        self.control.use_keeper(keeper);
    }

    /// Starts a batch of packets at this time, without the SAs that have reached a hard limit.
    pub fn begin(&mut self, now: Time) {
        self.control.begin(now);
        self.datapath.begin(now);
    }

    /// Judges a packet from the protected side.
    pub fn output(&mut self, packet: Packet<()>) -> Verdict {
        self.datapath.output(packet)
    }

    /// Judges a packet from the unprotected side.
    pub fn input(&mut self, packet: Packet<Arrival>) -> Verdict {
        self.datapath.input(packet)
    }

    /// Judges a train from the unprotected side; see [`Datapath::input_train`].
    pub fn input_train(
        &mut self,
        packet: Packet<Arrival>,
        deliver: &mut impl FnMut(AdmittedPart<'_>),
    ) {
        self.datapath.input_train(packet, deliver);
    }

    /// The verdict of a packet that waited for an SA, if one is due: to be asked when a batch has
    /// begun and before its first packet, until there is none.
    pub fn resume(&mut self) -> Option<Verdict> {
        self.datapath.resume()
    }

    /// Its road, to be looked into.
    #[cfg(test)]
    pub(crate) fn datapath(&mut self) -> &mut Datapath {
        &mut self.datapath
    }

    /// More of the super-packet that left last; see [`Datapath::more`].
    pub fn more(&mut self) -> Option<Transmit> {
        self.datapath.more()
    }

    /// The next packet that the engine made for the inside.
    pub fn poll_originated(&mut self) -> Option<Admitted> {
        self.datapath.poll_originated()
    }

    /// The next thing that happened, if there is one. To be asked after each batch; at most 256 of
    /// the road's wait, and what finds no place is told later.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.control
            .poll_event()
            .or_else(|| self.datapath.poll_event())
    }

    /// The keepalives that are due, for ways on which nothing has left for `interval`
    /// (RFC 3948 §4).
    #[must_use]
    pub fn keepalives(&mut self, interval: Duration, kind: Keepalive) -> Vec<Transmit> {
        self.datapath.keepalives(interval, kind)
    }

    /// Whether a report of a packet that was too big can be about one of ours.
    #[must_use]
    pub fn believes(&self, report: &TooBig) -> bool {
        self.datapath.believes(report)
    }

    /// The counters.
    pub const fn stats(&self) -> &Stats {
        self.datapath.stats()
    }

    /// Policies and SAs as they stand.
    pub const fn control(&self) -> &Control {
        &self.control
    }
}
