//! The road of a packet, one per worker: [`output`](Datapath::output) from the protected side,
//! [`input`](Datapath::input) from the unprotected one.
//!
//! A datapath owns its caches (flows, bundles, fragments) and its counters. Policies and SAs it
//! reads through a view that it pins for a batch. It reads no clock and draws no randomness of its
//! own: both are arguments.

mod admit;
mod canary;
mod hold;
mod input;
mod keepalive;
mod mss;
mod output;
mod reassemble;
mod roaming;
mod sec_path;
mod segment;
mod stats;
mod too_big;
mod trains;
mod turn_around;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;

use sealway_packet::{Arrival, Egress, Offload, Packet, Pool};

use crate::bundle;
use crate::event::{Event, Events};
use crate::flow;
use crate::tables::{Shared, Tables};
use crate::time::Time;
use crate::verdict::{Admitted, DropReason, Transmit, Verdict};
use crate::xform::HeaderStore;
use canary::Canary;
use hold::{Acquires, Hold};
use input::{Batch, Inbound};
use segment::Rest;

pub use canary::Shortcut;
pub use keepalive::Keepalive;
pub use mss::Mss;
pub use reassemble::Reassembly;
pub use stats::Stats;
pub use trains::Coalescing;

/// Where random octets come from. The engine asks once when an SA first sends.
pub trait Randomness {
    /// Fills `octets` with unpredictable ones.
    fn fill(&mut self, octets: &mut [u8]);
}

impl<F: FnMut(&mut [u8])> Randomness for F {
    fn fill(&mut self, octets: &mut [u8]) {
        self(octets);
    }
}

/// Whether traffic that a BYPASS policy lets out has a way out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClearPath {
    /// There is a clear device.
    Present,
    /// There is none: such traffic is refused and counted.
    Absent,
}

/// How a datapath is made.
#[derive(Clone, Copy, Debug)]
pub struct DatapathConfig {
    /// Flows that each of the two caches remembers at least.
    pub flows: usize,
    /// Bundles that are kept.
    pub bundles: usize,
    /// Packets that wait for an SA, each in a buffer of the engine's pool: at most half of those.
    pub held: usize,
    /// Way out for BYPASS traffic.
    pub clear: ClearPath,
    /// What becomes of the Maximum Segment Size in TCP's SYNs.
    pub mss: Mss,
    /// What is handed over as super-packets.
    pub coalescing: Coalescing,
}

impl Default for DatapathConfig {
    fn default() -> Self {
        DatapathConfig {
            flows: 32_768,
            bundles: 16_384,
            held: 32,
            clear: ClearPath::Present,
            mss: Mss::Kept,
            coalescing: Coalescing::Nothing,
        }
    }
}

/// One worker's road.
pub struct Datapath {
    shared: Shared,
    tables: Arc<Tables>,
    now: Time,
    config: DatapathConfig,
    pool: Pool,
    random: Box<dyn Randomness + Send>,
    out_flows: flow::Cache<bundle::Reference>,
    inbound: Inbound,
    bundles: bundle::Table,
    out_fragments: flow::Fragments,
    reassembly: Reassembly,
    header_store: HeaderStore,
    /// IPv4 identification and IPv6 fragment identification of what we make.
    next_id: u32,
    originated: VecDeque<Admitted>,
    /// What of the super-packet that left last has still to leave.
    rest: Option<Rest>,
    hold: Hold,
    acquires: Acquires,
    canary: Canary,
    events: Events,
    stats: Stats,
}

impl Datapath {
    /// A datapath that reads what `shared` publishes and takes buffers for what it makes itself
    /// from `pool`.
    pub fn new(
        shared: Shared,
        config: DatapathConfig,
        pool: Pool,
        mut random: Box<dyn Randomness + Send>,
    ) -> Self {
        let mut seed = [0; 12];
        random.fill(&mut seed);
        let [a, b, c, d, e, f, g, h, id @ ..] = seed;
        let seed = u64::from_ne_bytes([a, b, c, d, e, f, g, h]);
        Datapath {
            tables: shared.tables(),
            shared,
            now: Time::default(),
            config,
            pool,
            random,
            out_flows: flow::Cache::new(config.flows, seed),
            inbound: Inbound::new(flow::Cache::new(config.flows, seed.rotate_left(32))),
            bundles: bundle::Table::new(config.bundles),
            out_fragments: flow::Fragments::new(),
            reassembly: Reassembly::new(),
            header_store: HeaderStore::new(),
            next_id: u32::from_ne_bytes(id),
            originated: VecDeque::new(),
            rest: None,
            hold: Hold::new(config.held),
            acquires: Acquires::new(),
            canary: Canary::default(),
            events: Events::new(),
            stats: Stats::default(),
        }
    }

    /// Starts a batch: everything until the next call is judged by the version in force now, at
    /// this time. To be called before the first packet and whenever packets were waited for.
    #[inline]
    pub fn begin(&mut self, now: Time) {
        self.now = now;
        self.shared.pin(&mut self.tables);
        self.reassembly.expire(now);
        self.hold.look_again(&self.tables, now);
    }

    /// Judges a packet from the protected side.
    #[inline]
    pub fn output(&mut self, mut packet: Packet<()>) -> Verdict {
        self.stats.received_inside += 1;
        let exit = self.send(&mut packet.train, packet.offload);
        if let Ok(output::Exit::WaitsForSa) = exit {
            return self.hold(&packet);
        }
        self.leave(packet, exit)
    }

    /// The verdict of a packet that waited for an SA, if one is due: to be asked when a batch has
    /// begun and before its first packet, until there is none, so that packets stay in order.
    pub fn resume(&mut self) -> Option<Verdict> {
        while let Some(mut held) = self.hold.next() {
            self.stats.held -= 1;
            let packet = &mut held.packet;
            let exit = self.send(&mut packet.train, packet.offload);
            let Ok(output::Exit::WaitsForSa) = exit else {
                return Some(self.leave(held.packet, exit));
            };
            if held.has_expired(self.now) {
                return Some(self.dropped(DropReason::AcquireExpired));
            }
            self.stats.held += 1;
            self.hold.put_back(held);
        }
        None
    }

    #[cold]
    fn hold(&mut self, packet: &Packet<()>) -> Verdict {
        match self.hold.keep(packet, &self.pool, self.now) {
            Some(()) => {
                self.stats.held += 1;
                Verdict::Held
            }
            None => self.dropped(DropReason::HoldFull),
        }
    }

    #[allow(clippy::inline_always)]
    #[inline(always)]
    fn leave(&mut self, packet: Packet<()>, exit: Result<output::Exit, DropReason>) -> Verdict {
        let (egress, offload) = match exit {
            Ok(output::Exit::Protected(reference, sealed)) => {
                match self.egress(reference, sealed) {
                    Some(egress) => (egress, Offload::default()),
                    None => return self.dropped(DropReason::Internal),
                }
            }
            Ok(output::Exit::Clear) => (Egress::Clear, packet.offload),
            Ok(output::Exit::Waits) => return self.consumed(),
            // Held by the caller.
            Ok(output::Exit::WaitsForSa) => return self.dropped(DropReason::Internal),
            Err(reason) => return self.dropped(reason),
        };
        self.stats.sent += 1;
        Verdict::Sent(Transmit::new(egress, packet.train, offload))
    }

    /// Judges a packet from the unprotected side, from the clear device too. A train of several is
    /// [`input_train`](Datapath::input_train)'s.
    #[inline]
    pub fn input(&mut self, mut packet: Packet<Arrival>) -> Verdict {
        debug_assert!(packet.train.count() <= 1);
        self.stats.received_outside += 1;
        let mut batch = Batch {
            tables: &self.tables,
            now: self.now,
            events: &mut self.events,
        };
        let exit = (self.inbound).receive(&mut batch, &mut packet.train, &packet.meta);
        let offload = match exit {
            Ok(input::Exit::Admitted(input::Came::InTheClear)) => packet.offload,
            Ok(input::Exit::Admitted(input::Came::ThroughSas)) => {
                if self.config.mss == Mss::Clamped {
                    self.clamp_inbound(&mut packet.train);
                }
                Offload::default()
            }
            Ok(input::Exit::Ended) => return self.consumed(),
            Err(reason) => return self.dropped(reason),
        };
        self.stats.delivered += 1;
        Verdict::Delivered(Admitted::new(Packet {
            train: packet.train,
            offload,
            meta: (),
        }))
    }

    fn dropped(&mut self, reason: DropReason) -> Verdict {
        self.stats.drop_for(reason);
        Verdict::Dropped(reason)
    }

    fn consumed(&mut self) -> Verdict {
        self.stats.consumed += 1;
        Verdict::Consumed
    }

    /// The next packet that the engine made for the inside (an ICMP error), if there is one. To be
    /// asked after each batch.
    pub fn poll_originated(&mut self) -> Option<Admitted> {
        self.originated.pop_front()
    }

    /// The next event, if there is one. To be asked after each batch: at most 256 wait, and what
    /// finds no place is told later.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.poll()
    }

    /// The counters.
    pub const fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Whether a shortcut is taken: until a sample has differed from what the plain way makes of the
    /// same packet.
    pub fn trusts(&self, shortcut: Shortcut) -> bool {
        self.canary.trusts(shortcut)
    }

    /// Samples of shortcuts that were compared with the plain way.
    pub fn samples(&self) -> u64 {
        self.canary.samples()
    }

    /// Which packets are put together on their way in.
    pub const fn coalescing(&self) -> Coalescing {
        self.config.coalescing
    }

    /// The version that the present batch is judged by.
    pub fn tables(&self) -> &Tables {
        &self.tables
    }
}
