//! The subject of the measurements: an engine with a hundred policies, its packets, and the bare
//! cipher beside it.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::process::ExitCode;

use anyhow::{Context as _, bail, ensure};
use sealway_core::path::LocalAddresses;
use sealway_core::sad::{
    DontFragmentRule, Lifetimes, Protocol, SaConfig, SaId, SaMode, SequenceRules, Spi, WindowSize,
};
use sealway_core::selector::{AddressRange, Selector, Upper};
use sealway_core::spd::{Action, Direction, Level, Mode, PolicyConfig, Template};
use sealway_core::{Command, Engine, EngineConfig, Time, Verdict};
use sealway_crypto::{Context, Numbers, SecretKey, Sequence, Suite};
use sealway_packet::{Arrival, Packet, Train};
use sealway_wire::{build, esp};

/// Policies in each direction; the one that decides is the last that is asked.
const POLICIES: usize = 100;

/// Which way packets go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(super) enum Way {
    Out,
    In,
}

/// What is measured.
#[derive(Clone, Copy, Debug)]
pub(super) struct Case {
    pub(super) suite: Suite,
    /// Octets of the inner packet.
    pub(super) octets: usize,
    pub(super) way: Way,
    /// SAs that packets are spread over.
    pub(super) sas: usize,
}

/// Two engines, sender and receiver, with the same SAs.
pub(super) struct Road {
    case: Case,
    sender: Engine,
    receiver: Engine,
    packets: Vec<Vec<u8>>,
    next: usize,
}

/// Work prepared for one round: what a device has just filled.
pub(super) enum Prepared {
    Out(Vec<Packet<()>>),
    In(Vec<Packet<Arrival>>),
}

fn v4(a: u8, b: u8, c: u8, d: u8) -> IpAddr {
    Ipv4Addr::new(a, b, c, d).into()
}

impl Road {
    /// Engines for a case.
    pub(super) fn new(case: Case) -> anyhow::Result<Self> {
        ensure!(
            case.sas == 1 || (case.sas.is_multiple_of(POLICIES) && case.sas / POLICIES <= 250),
            "1 SA, or a multiple of {POLICIES} up to {}",
            POLICIES * 250
        );
        let mut packets = Vec::with_capacity(case.sas);
        let mut order: Vec<usize> = (0..case.sas).collect();
        shuffle(&mut order);
        for sa in order {
            let destination = inner_address(case.sas, sa);
            let empty = build::Packet::new(v4(10, 255, 0, 1), destination).dont_fragment();
            let data = case.octets.checked_sub(28).context("at least 28 octets")?;
            packets.push(empty.udp(4000, 5000, &vec![0x5a; data]));
        }
        Ok(Road {
            sender: engine(v4(192, 0, 2, 1), case, Direction::Out)?,
            receiver: engine(v4(192, 0, 2, 2), case, Direction::In)?,
            case,
            packets,
            next: 0,
        })
    }

    /// Packets of a round, in buffers of their own.
    pub(super) fn prepare(&mut self, count: usize) -> anyhow::Result<Prepared> {
        let mut out = Vec::with_capacity(count);
        for _ in 0..count {
            let packet = &self.packets[self.next % self.packets.len()];
            self.next += 1;
            out.push(Packet::new(Train::detached(packet), ()));
        }
        if self.case.way == Way::Out {
            return Ok(Prepared::Out(out));
        }
        let mut arrived = Vec::with_capacity(count);
        for packet in out {
            let Verdict::Sent(transmit) = self.sender.output(packet) else {
                bail!("the sender did not send");
            };
            let outer = match transmit.egress() {
                sealway_packet::Egress::Payload(outer) => *outer,
                other => bail!("the sender sent {other:?}"),
            };
            let train = Train::detached(transmit.train().packet());
            arrived.push(Packet::new(train, Arrival::Payload(outer)));
        }
        Ok(Prepared::In(arrived))
    }

    /// The round itself. `verdicts` has room for all; what is in it is dropped by the caller, when
    /// the clock has stopped.
    #[inline(never)]
    pub(super) fn run(&mut self, prepared: Prepared, verdicts: &mut Vec<Verdict>) {
        match prepared {
            Prepared::Out(packets) => {
                for packet in packets {
                    verdicts.push(self.sender.output(packet));
                }
            }
            Prepared::In(packets) => {
                for packet in packets {
                    verdicts.push(self.receiver.input(packet));
                }
            }
        }
    }
}

/// Whether every packet of a round got through.
pub(super) fn all_passed(verdicts: &[Verdict]) -> bool {
    verdicts
        .iter()
        .all(|verdict| matches!(verdict, Verdict::Sent(_) | Verdict::Delivered(_)))
}

/// Where SA number `sa` leads inside.
fn inner_address(sas: usize, sa: usize) -> IpAddr {
    let per_policy = (sas / POLICIES).max(1);
    let policy = if sas == 1 {
        POLICIES - 1
    } else {
        sa / per_policy
    };
    v4(10, policy as u8, 0, (sa % per_policy) as u8 + 1)
}

fn prefix(policy: usize) -> anyhow::Result<Selector> {
    let any = AddressRange::prefix(v4(10, 255, 0, 0), 16)?;
    let there = AddressRange::prefix(v4(10, policy as u8, 0, 0), 16)?;
    Ok(Selector::new(any, there, Upper::Any)?)
}

fn engine(local: IpAddr, case: Case, direction: Direction) -> anyhow::Result<Engine> {
    let random = |octets: &mut [u8]| octets.fill(0x42);
    let config = EngineConfig {
        link_mtu: 16_000,
        ..EngineConfig::default()
    };
    let mut engine = Engine::new(config, Box::new(random));
    let mut commands = vec![Command::SetLocalAddresses(LocalAddresses::new(vec![local]))];
    for policy in 0..POLICIES {
        commands.push(Command::AddPolicy(PolicyConfig {
            direction,
            selector: prefix(policy)?,
            priority: 1000,
            action: Action::Protect(vec![Template {
                protocol: Protocol::Esp,
                mode: Mode::Tunnel {
                    source: v4(192, 0, 2, 1),
                    destination: v4(192, 0, 2, 2),
                },
                level: Level::Require,
                reqid: None,
            }]),
        }));
    }
    for sa in 0..case.sas {
        commands.push(Command::AddSa(Box::new(sa_config(case, sa)?)));
    }
    engine.apply(commands)?;
    engine.begin(Time::default());
    Ok(engine)
}

fn sa_config(case: Case, sa: usize) -> anyhow::Result<SaConfig> {
    let suite = case.suite;
    let any = AddressRange::prefix(v4(10, 255, 0, 0), 16)?;
    let selector = match case.sas {
        1 => None,
        sas => {
            let host = AddressRange::host(inner_address(sas, sa));
            Some(Selector::new(any, host, Upper::Any)?)
        }
    };
    let key = |octets| SecretKey::new((0..octets).map(|n| (n + sa) as u8).collect());
    Ok(SaConfig {
        id: SaId {
            destination: v4(192, 0, 2, 2),
            protocol: Protocol::Esp,
            spi: Spi::new(0x1000 + sa as u32)?,
        },
        source: v4(192, 0, 2, 1),
        mode: SaMode::Tunnel,
        suite,
        encryption_key: key(suite.key_octets()),
        authentication_key: key(suite.authentication_key_octets()),
        sequence: SequenceRules {
            window: Some(WindowSize::DEFAULT),
            ..SequenceRules::default()
        },
        encapsulation: None,
        reqid: 0,
        selector,
        dont_fragment: DontFragmentRule::Copy,
        before_nat: None,
        lifetimes: Lifetimes::default(),
    })
}

/// A fixed shuffle (xorshift), so that every run meets the SAs in the same order.
fn shuffle(order: &mut [usize]) {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for last in (1..order.len()).rev() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        order.swap(last, (state % (last as u64 + 1)) as usize);
    }
}

/// The bare cipher on texts of the same length with the same associated data.
pub(super) struct Bare {
    case: Case,
    context: Box<dyn Context>,
    text: usize,
    sequence: u64,
}

/// Texts of one round.
pub(super) struct Texts(Vec<Text>);

struct Text {
    numbers: Numbers,
    iv: Vec<u8>,
    octets: Vec<u8>,
}

impl Bare {
    pub(super) fn new(case: Case) -> anyhow::Result<Self> {
        let config = sa_config(case, 0)?;
        let suite = case.suite;
        let context = sealway_crypto::context(
            &suite,
            config.encryption_key.expose(),
            config.authentication_key.expose(),
        )?;
        let text = case.octets + esp::TRAILER + esp::pad_length(case.octets, suite.block().max(4));
        Ok(Bare {
            case,
            context,
            text,
            sequence: 0,
        })
    }

    /// Texts of a round, in buffers of their own: for opening, sealed.
    pub(super) fn prepare(&mut self, count: usize) -> anyhow::Result<Texts> {
        let suite = &self.case.suite;
        let mut texts = Vec::with_capacity(count);
        for _ in 0..count {
            self.sequence += 1;
            let mut text = Text {
                numbers: Numbers {
                    spi: 0x1000,
                    sequence: self.sequence,
                    sequence_form: Sequence::Short,
                },
                iv: vec![self.sequence as u8; suite.iv_octets()],
                octets: vec![0x5a; self.text + suite.icv_octets()],
            };
            if self.case.way == Way::In {
                let (body, icv) = text.octets.split_at_mut(self.text);
                self.context.seal(&text.numbers, &text.iv, body, icv)?;
            }
            texts.push(text);
        }
        Ok(Texts(texts))
    }

    /// The round itself; how many succeeded.
    #[inline(never)]
    pub(super) fn run(&self, texts: &mut Texts) -> usize {
        let mut passed = 0;
        for text in &mut texts.0 {
            let (body, icv) = text.octets.split_at_mut(self.text);
            let ok = match self.case.way {
                Way::Out => self
                    .context
                    .seal(&text.numbers, &text.iv, body, icv)
                    .is_ok(),
                Way::In => self
                    .context
                    .open(&text.numbers, &text.iv, body, icv)
                    .is_ok(),
            };
            passed += usize::from(black_box(ok));
        }
        passed
    }
}

/// What an instruction counter is pointed at.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The engine's road, or the bare cipher
    #[arg(long, value_enum)]
    part: Part,
    #[arg(long, value_enum)]
    way: Way,
    #[arg(long, default_value = "aes-128-gcm-16")]
    suite: Suite,
    /// Octets of the inner packet
    #[arg(long, default_value_t = 64)]
    octets: usize,
    /// SAs that packets are spread over
    #[arg(long, default_value_t = 1)]
    sas: usize,
    /// Packets that are prepared, all of them the same whatever is run
    #[arg(long, default_value_t = 4000)]
    prepared: usize,
    /// Packets of those that are run
    #[arg(long)]
    run: usize,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Part {
    Road,
    Bare,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let case = Case {
        suite: arguments.suite,
        octets: arguments.octets,
        way: arguments.way,
        sas: arguments.sas,
    };
    let passed = match arguments.part {
        Part::Road => {
            let mut road = Road::new(case)?;
            let mut prepared = road.prepare(arguments.prepared)?;
            match &mut prepared {
                Prepared::Out(packets) => packets.truncate(arguments.run),
                Prepared::In(packets) => packets.truncate(arguments.run),
            }
            let mut verdicts = Vec::with_capacity(arguments.run);
            road.run(prepared, &mut verdicts);
            ensure!(all_passed(&verdicts), "a packet did not get through");
            verdicts.len()
        }
        Part::Bare => {
            let mut bare = Bare::new(case)?;
            let mut texts = bare.prepare(arguments.prepared)?;
            texts.0.truncate(arguments.run);
            bare.run(&mut texts)
        }
    };
    ensure!(
        passed == arguments.run,
        "{passed} of {} got through",
        arguments.run
    );
    Ok(ExitCode::SUCCESS)
}
