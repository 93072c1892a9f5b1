//! A slow, plain model of the engine, written from RFC 4301, RFC 4303 and the design's contracts,
//! to predict the one verdict of each packet.
//!
//! Everything is a list that is scanned, every sequence number ever seen is kept, nothing is
//! cached. Of the engine it uses the types in which configuration and verdicts are said, and no
//! code; packets it reads by itself. It does no cryptography: a [`Book`] says what was sealed with
//! which keys, and nothing else opens.
//!
//! An [`Oracle`] stands beside one engine. It is told the same commands, the same time and the
//! same packets, and answers with an [`Outcome`], which [`Outcome::agrees`] compares with what the
//! engine did.
#![forbid(unsafe_code)]
#![allow(clippy::indexing_slicing, clippy::expect_used)]

mod admission;
mod book;
mod commands;
mod compare;
mod fragments;
mod inbound;
mod outbound;
pub mod packet;
pub mod policy;
mod roaming;
mod sa;
mod size;

use std::net::IpAddr;

use sealway_core::{DefaultAction, DropReason, Time};

pub use book::{Book, Octets, Sealed, Text};
pub use compare::Observed;
pub use outbound::{Sending, Way};
pub use roaming::Mapping;
pub use sa::{Keys, Told as ToldLimit};

use commands::Tables;
use fragments::{Firsts, Reassembly};

/// The model of one engine.
#[derive(Clone, Debug)]
pub struct Oracle {
    tables: Tables,
    now: Time,
    has_clear_device: bool,
    firsts_out: Firsts,
    firsts_in: Firsts,
    reassembly: Reassembly,
    /// What SAs told of their limits, until it is asked for.
    told: Vec<sa::Told>,
    /// What SAs told of their peers, until it is asked for.
    mappings: Vec<Mapping>,
}

/// What the model says of one packet.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Its one verdict.
    pub verdict: Verdict,
    /// The ICMP error that its sender gets.
    pub told: Option<Told>,
}

/// What becomes of a packet.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// It leaves.
    Sent(Sending),
    /// It is let in.
    Delivered(Delivery),
    /// It ends here.
    Dropped(DropReason),
    /// It ended as it should.
    Consumed,
}

/// A packet that is let in.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The packet.
    pub packet: Octets,
    /// Its IP header was made of facts: identification, DF and flow label are not its sender's.
    pub rebuilt: bool,
}

/// A packet-too-big error.
#[derive(Clone, Debug)]
pub struct Told {
    /// Whom.
    pub to: IpAddr,
    /// What would have fitted, in octets.
    pub mtu: usize,
    /// The packet that was too big.
    pub quoted: Vec<u8>,
}

impl Oracle {
    /// The model of an engine without policies and SAs.
    pub fn new(default: DefaultAction, link_mtu: u16) -> Oracle {
        Oracle {
            tables: Tables::new(default, link_mtu),
            now: Time::default(),
            has_clear_device: true,
            firsts_out: Firsts::default(),
            firsts_in: Firsts::default(),
            reassembly: Reassembly::default(),
            told: Vec::new(),
            mappings: Vec::new(),
        }
    }

    /// There is no way out for clear traffic.
    pub fn without_clear_device(mut self) -> Oracle {
        self.has_clear_device = false;
        self
    }

    /// A new batch, at this time.
    pub fn begin(&mut self, now: Time) {
        self.now = now;
        self.reassembly.expire(now);
        self.tables.forget(now);
        for sa in &mut self.tables.sad.list {
            self.told.extend(sa.look(now));
        }
        let ended = self.tables.sad.list.iter().filter(|sa| sa.ended);
        let ended: Vec<_> = ended.map(|sa| sa.config.id).collect();
        self.tables.sad.remove(|id| ended.contains(id));
    }

    /// What SAs told of their limits since this was last asked.
    pub fn told(&mut self) -> Vec<sa::Told> {
        std::mem::take(&mut self.told)
    }

    fn is_ours(&self, address: IpAddr) -> bool {
        self.tables.local.iter().any(|ours| ours == address)
    }
}
