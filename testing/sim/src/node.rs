//! An engine with its oracle and, if wanted, a twin whose caches are as small as they can be.

use std::time::Duration;

use sealway_core::sad::{Reserved, SaId};
use sealway_core::{
    ClearPath, Command, DatapathConfig, DefaultAction, Engine, EngineConfig, Event, Time,
};
use sealway_oracle::{Book, Mapping, Observed, Oracle, Outcome, Sending, ToldLimit, Verdict};
use sealway_packet::{Arrival, Pool};

use crate::adaptor;
use crate::dice::Dice;
use crate::plant::Plant;
use crate::world::Side;

/// One site.
pub struct Node {
    /// Which.
    pub side: Side,
    engine: Engine,
    twin: Option<Engine>,
    oracle: Oracle,
    plant: Plant,
}

/// Whether a second engine with minimal caches goes along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Twin {
    /// Yes.
    Present,
    /// No.
    Absent,
}

/// How a node is made.
#[derive(Clone, Debug)]
pub struct Setup {
    /// What is done without a policy.
    pub default: DefaultAction,
    /// The link's MTU.
    pub link_mtu: u16,
    /// Whether there is a clear device.
    pub clear: ClearPath,
    /// Seed of the engine's randomness.
    pub seed: u64,
    /// Buffers: more than the engine may hold at once.
    pub pool: Pool,
}

/// What became of a packet, as the engine says and the oracle agrees.
pub struct Judged {
    /// The engine's word.
    pub observed: Observed,
    /// What the oracle knows of what was sent.
    pub sending: Option<Sending>,
    /// Peers that were heard elsewhere.
    pub mappings: Vec<Mapping>,
}

impl Node {
    /// A site without policies and SAs.
    pub fn new(side: Side, setup: Setup, twin: Twin, plant: Plant) -> Node {
        let oracle = Oracle::new(setup.default, setup.link_mtu);
        Node {
            side,
            engine: engine(&setup, DatapathConfig::default()),
            twin: (twin == Twin::Present).then(|| {
                let least = DatapathConfig {
                    flows: 1,
                    bundles: 1,
                    ..DatapathConfig::default()
                };
                engine(&setup, least)
            }),
            oracle: match setup.clear {
                ClearPath::Present => oracle,
                ClearPath::Absent => oracle.without_clear_device(),
            },
            plant,
        }
    }

    /// Applies commands everywhere, and says whether they were accepted.
    pub fn apply(&mut self, commands: &[Command]) -> Result<bool, String> {
        let expected = self.oracle.apply(self.plant.told(commands));
        let real = self.engine.apply(commands.to_vec());
        let real = real.map_err(|refused| (refused.index, refused.to_string()));
        if let Some(twin) = &mut self.twin {
            let other = twin.apply(commands.to_vec());
            if other.is_ok() != real.is_ok() {
                return Err("the twin answers otherwise to a command".into());
            }
        }
        match (expected, real) {
            (Ok(()), Ok(())) => Ok(true),
            (Err(expected), Err((index, _))) if expected == index => Ok(false),
            (expected, real) => Err(format!(
                "commands: the engine says {real:?}, the oracle {expected:?}"
            )),
        }
    }

    /// Tells everywhere that storage has reserved numbers for an SA.
    pub fn reserve(&mut self, id: &SaId, to: Reserved) {
        self.oracle.reserve(id, to);
        for engine in [Some(&self.engine), self.twin.as_ref()]
            .into_iter()
            .flatten()
        {
            if let Some(sa) = engine.control().tables().sad.find(id)
                && sa.runtime.is_kept()
            {
                sa.runtime.reserve_sent(to.send);
                sa.runtime.reserve_received(to.receive);
            }
        }
    }

    /// Starts a batch.
    pub fn begin(&mut self, elapsed: Duration) -> Result<(), String> {
        let now = Time::since_start(elapsed);
        self.engine.begin(now);
        if let Some(twin) = &mut self.twin {
            twin.begin(now);
        }
        if self.plant != Plant::TimeUntold {
            self.oracle.begin(now);
        }
        self.compare_events().map(|_| ())
    }

    /// What was told of SAs' limits and peers, in any order.
    fn compare_events(&mut self) -> Result<Vec<Mapping>, String> {
        let expected = Events {
            limits: self.oracle.told(),
            mappings: self.oracle.mappings(),
        };
        let (expected, real) = (expected.sorted(), events(&mut self.engine));
        if let Some(twin) = &mut self.twin
            && events(twin) != real
        {
            return Err("the twin tells of other events".into());
        }
        match expected == real {
            true => Ok(real.mappings),
            false => Err(format!(
                "events: the engine tells {real:?}, the oracle {expected:?}"
            )),
        }
    }

    /// Judges a packet from the inside.
    pub fn output(&mut self, octets: &[u8]) -> Result<Judged, String> {
        let outcome = self.oracle.output(octets);
        let observed = adaptor::output(&mut self.engine, octets);
        let other = self.twin.as_mut().map(|twin| adaptor::output(twin, octets));
        self.compare(outcome, observed, other)
    }

    /// Judges a packet from the outside.
    pub fn input(
        &mut self,
        arrival: Arrival,
        octets: &[u8],
        book: &Book,
    ) -> Result<Judged, String> {
        let outcome = self.oracle.input(&arrival, octets, book);
        let octets = self.plant.read(octets);
        let observed = adaptor::input(&mut self.engine, arrival, &octets);
        let twin = self.twin.as_mut();
        let other = twin.map(|twin| adaptor::input(twin, arrival, &octets));
        self.compare(outcome, observed, other)
    }

    fn compare(
        &mut self,
        outcome: Outcome,
        observed: Observed,
        other: Option<Observed>,
    ) -> Result<Judged, String> {
        let originated = adaptor::originated(&mut self.engine);
        outcome.agrees(&observed, &originated)?;
        let mappings = self.compare_events()?;
        if !self.engine.stats().balances() {
            return Err(format!("it does not balance: {:?}", self.engine.stats()));
        }
        if let Some(twin) = &mut self.twin {
            if adaptor::originated(twin) != originated || other.as_ref() != Some(&observed) {
                return Err(format!(
                    "with small caches: {other:?}, with large ones {observed:?}"
                ));
            }
            if twin.stats() != self.engine.stats() {
                return Err("the twin counts otherwise".into());
            }
        }
        let sending = match outcome.verdict {
            Verdict::Sent(sending) => Some(sending),
            Verdict::Delivered(_) | Verdict::Dropped(_) | Verdict::Consumed => None,
        };
        Ok(Judged {
            observed,
            sending,
            mappings,
        })
    }
}

/// What an engine tells.
#[derive(Debug, Default, PartialEq)]
struct Events {
    limits: Vec<ToldLimit>,
    mappings: Vec<Mapping>,
}

impl Events {
    fn sorted(mut self) -> Events {
        self.limits.sort_by_key(|told| (told.id, told.is_hard));
        self.mappings.sort_unstable();
        self
    }
}

fn events(engine: &mut Engine) -> Events {
    let mut told = Events::default();
    while let Some(event) = engine.poll_event() {
        let (sa, is_hard, limit) = match event {
            Event::SoftLimit { sa, limit } => (sa, false, limit),
            Event::HardLimit { sa, limit } => (sa, true, limit),
            Event::Mapping { sa, old, new } => {
                let sa = sa.config.id;
                told.mappings.push(Mapping { sa, old, new });
                continue;
            }
            Event::ReserveMore { .. } | Event::Acquire(_) => continue,
        };
        told.limits.push(ToldLimit {
            id: sa.config.id,
            is_hard,
            limit,
        });
    }
    told.sorted()
}

fn engine(setup: &Setup, caches: DatapathConfig) -> Engine {
    let mut dice = Dice::new(setup.seed);
    let random = move |octets: &mut [u8]| {
        for octet in octets {
            *octet = dice.octet();
        }
    };
    let config = EngineConfig {
        default: setup.default,
        link_mtu: setup.link_mtu,
        datapath: DatapathConfig {
            clear: setup.clear,
            ..caches
        },
        pool: setup.pool.clone(),
    };
    Engine::new(config, Box::new(random))
}
