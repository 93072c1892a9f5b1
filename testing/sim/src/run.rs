//! One run: a seed, two sites, an attacker between them.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use sealway_core::{ClearPath, Command, DefaultAction};
use sealway_oracle::{Book, Observed, Way};
use sealway_packet::{Arrival, DontFragment, Egress, Encapsulation, Outer, Pool, Train};

use crate::dice::Dice;
use crate::node::{Judged, Node, Setup, Twin};
use crate::plan::{Plan, random_reserved};
use crate::plant::Plant;
use crate::tally::Tally;
use crate::traffic;
use crate::wire;
use crate::world::{Family, Side, stranger};

/// What a run is to be.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Steps: each is some packets, some commands or some time.
    pub steps: usize,
    /// Whether engines with minimal caches go along.
    pub twin: Twin,
    /// What the oracles are not told.
    pub plant: Plant,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            steps: 120,
            twin: Twin::Absent,
            plant: Plant::None,
        }
    }
}

/// Engine and oracle disagree.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The seed that shows it.
    pub seed: u64,
    /// On which step.
    pub step: usize,
    /// In what.
    pub what: String,
    /// What was done before.
    pub trace: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.trace {
            writeln!(f, "{line}")?;
        }
        write!(f, "seed {}, step {}: {}", self.seed, self.step, self.what)
    }
}

/// Runs a seed to its end, or to the first disagreement.
///
/// # Errors
/// The disagreement, with all steps that led to it.
pub fn run(seed: u64, options: Options) -> Result<Tally, Box<Failure>> {
    let mut run = Run::new(seed, options);
    for step in 0..options.steps {
        run.trace.push(format!("step {step}"));
        if let Err(what) = run.step(step) {
            return Err(Box::new(Failure {
                seed,
                step,
                what,
                trace: run.trace,
            }));
        }
    }
    Ok(run.tally)
}

/// A run on its way.
pub(crate) struct Run {
    pub(crate) dice: Dice,
    left: Node,
    right: Node,
    pub(crate) plans: Vec<Plan>,
    pub(crate) book: Book,
    /// What an eavesdropper saw, the newest last.
    pub(crate) captured: Vec<(Side, Egress, Vec<u8>)>,
    elapsed: Duration,
    /// Fragments that leave only when time has passed.
    late: Vec<(Side, Vec<u8>)>,
    pub(crate) next_id: u16,
    /// Whom a NAT shows under another address.
    behind: HashMap<IpAddr, IpAddr>,
    tally: Tally,
    trace: Vec<String>,
}

impl Run {
    fn new(seed: u64, options: Options) -> Run {
        let mut dice = Dice::new(seed);
        let default = dice.weighted(&[(70, DefaultAction::Discard), (30, DefaultAction::Bypass)]);
        let clear = dice.weighted(&[(85, ClearPath::Present), (15, ClearPath::Absent)]);
        let pool = Pool::new(300, 300);
        let mut node = |side| {
            let setup = Setup {
                default,
                link_mtu: dice.weighted(&[(70, 1500), (10, 9000), (10, 1280), (5, 576), (5, 1400)]),
                clear,
                seed: dice.bits(),
                pool: pool.clone(),
            };
            Node::new(side, setup, options.twin, options.plant)
        };
        let (left, right) = (node(Side::Left), node(Side::Right));
        Run {
            left,
            right,
            plans: (0..dice.between(1, 5))
                .map(|_| Plan::random(&mut dice))
                .collect(),
            dice,
            book: Book::default(),
            captured: Vec::new(),
            elapsed: Duration::ZERO,
            late: Vec::new(),
            next_id: 1,
            behind: HashMap::new(),
            tally: Tally::default(),
            trace: Vec::new(),
        }
    }

    fn node(&mut self, side: Side) -> &mut Node {
        match side {
            Side::Left => &mut self.left,
            Side::Right => &mut self.right,
        }
    }

    pub(crate) fn side(&mut self) -> Side {
        *self.dice.one(&[Side::Left, Side::Right])
    }

    fn step(&mut self, step: usize) -> Result<(), String> {
        if step == 0 {
            return self.set_up();
        }
        match self.dice.below(100) {
            0..=59 => self.send(),
            60..=81 => self.attack(),
            82..=87 => self.forge(),
            88..=91 => self.clear_arrival(),
            92..=95 => self.change(),
            96 if self.dice.percent(30) => self.flood(),
            97 => {
                self.reserve();
                Ok(())
            }
            _ => self.wait(),
        }
    }

    /// Storage reserves numbers for an SA, more or fewer than before.
    fn reserve(&mut self) {
        let side = self.side();
        let plan = self.dice.one(&self.plans).clone();
        let sa = self.dice.one(&plan.sas).clone();
        let to = random_reserved(&mut self.dice, sa.sequence.start);
        self.trace
            .push(format!("  {side:?} {} reserves {to:?}", sa.id));
        self.node(side).reserve(&sa.id, to);
    }

    pub(crate) fn apply(&mut self, side: Side, commands: &[Command]) -> Result<bool, String> {
        self.trace.push(format!("  {side:?} {commands:?}"));
        let elapsed = self.elapsed;
        let accepted = self.node(side).apply(commands)?;
        self.trace.push(format!("    accepted: {accepted}"));
        self.node(side).begin(elapsed)?;
        self.tally.commands += 1;
        Ok(accepted)
    }

    /// A packet (or a datagram's fragments) goes out, and what it becomes to the other side.
    fn send(&mut self) -> Result<(), String> {
        let plan = self.dice.one(&self.plans).clone();
        let plan = self.dice.percent(90).then_some(plan);
        let side = match &plan {
            Some(plan) => plan.from,
            None => self.side(),
        };
        self.next_id = self.next_id.wrapping_add(1);
        let id = self.next_id;
        let mut packets = traffic::random_packets(&mut self.dice, side, plan.as_ref(), id);
        if packets.len() > 1 && self.dice.percent(25) {
            let late = packets.swap_remove(self.dice.below(packets.len()));
            self.late.push((side, late));
        }
        let mut sent = Vec::new();
        for packet in packets {
            sent.extend(self.output(side, &packet)?);
        }
        if self.dice.percent(10) {
            self.dice.shuffle(&mut sent);
        }
        for (egress, octets) in sent {
            if self.dice.percent(4) {
                continue;
            }
            let times = 1 + usize::from(self.dice.percent(4));
            for _ in 0..times {
                self.carry(side.other(), egress, &octets)?;
            }
        }
        Ok(())
    }

    pub(crate) fn output(
        &mut self,
        side: Side,
        packet: &[u8],
    ) -> Result<Vec<(Egress, Vec<u8>)>, String> {
        self.trace
            .push(format!("  {side:?} out {}", wire::shown(packet)));
        let judged = self.node(side).output(packet)?;
        self.note(&judged);
        let Judged {
            observed, sending, ..
        } = judged;
        let (Observed::Sent(egress, segments), Some(sending)) = (observed, sending) else {
            return Ok(Vec::new());
        };
        for (expected, octets) in sending.segments.into_iter().zip(&segments) {
            let Some(sealed) = expected.nested else {
                continue;
            };
            debug_assert_ne!(sending.way, Way::Clear);
            self.book
                .enter(octets[expected.front.len()..].to_vec(), *sealed);
        }
        for octets in &segments {
            self.captured.push((side.other(), egress, octets.clone()));
        }
        let excess = self.captured.len().saturating_sub(200);
        self.captured.drain(..excess);
        Ok(segments
            .into_iter()
            .map(|octets| (egress, octets))
            .collect())
    }

    fn note(&mut self, judged: &Judged) {
        self.trace
            .push(format!("    {}", wire::verdict(&judged.observed)));
        self.tally.count(&judged.observed);
    }

    pub(crate) fn input(
        &mut self,
        side: Side,
        arrival: Arrival,
        octets: &[u8],
    ) -> Result<(), String> {
        self.trace
            .push(format!("  {side:?} in {arrival:?} {}", wire::shown(octets)));
        // Not `self.node`: the book is lent beside it.
        let node = match side {
            Side::Left => &mut self.left,
            Side::Right => &mut self.right,
        };
        let judged = node.input(arrival, octets, &self.book)?;
        self.note(&judged);
        for mapping in judged.mappings {
            self.tally.moved += 1;
            if self.dice.percent(80) {
                let (sa, to) = (mapping.sa, mapping.new);
                self.apply(side, &[Command::Map { sa, to }])?;
            }
        }
        Ok(())
    }

    /// A NAT on the way: now and then it shows the sender elsewhere, and it leads back.
    fn translate(&mut self, outer: &mut Outer) {
        let Encapsulation::Udp { source, .. } = &mut outer.encapsulation else {
            return;
        };
        if let Some(home) = self.behind.get(&outer.destination) {
            outer.destination = *home;
        }
        if self.dice.percent(20) {
            *source = *self.dice.one(&[0, 31_000, 31_001, 31_002]);
        }
        if self.dice.percent(20) {
            let shown = stranger(&mut self.dice, Family::of(outer.source));
            self.behind.insert(shown, outer.source);
            outer.source = shown;
        }
    }

    /// Brings what left one side to the other, as sockets or as a raw device would hand it over.
    pub(crate) fn carry(&mut self, to: Side, egress: Egress, octets: &[u8]) -> Result<(), String> {
        let Egress::Payload(mut outer) = egress else {
            return self.input(to, Arrival::Whole { interface: 1 }, octets);
        };
        outer.interface = 1;
        self.translate(&mut outer);
        outer.hop_limit = outer.hop_limit.saturating_sub(self.dice.below(3) as u8);
        if self.dice.percent(5) && outer.tos & 3 != 0 {
            outer.tos |= 3;
        }
        let as_whole = outer.encapsulation == Encapsulation::Esp && self.dice.percent(25);
        if !as_whole {
            return self.input(to, Arrival::Payload(outer), octets);
        }
        for packet in self.whole(&outer, octets) {
            self.input(to, Arrival::Whole { interface: 1 }, &packet)?;
        }
        Ok(())
    }

    /// The whole packet, or its fragments where the network may make some.
    fn whole(&mut self, outer: &Outer, octets: &[u8]) -> Vec<Vec<u8>> {
        let mut train = Train::detached(octets);
        self.next_id = self.next_id.wrapping_add(1);
        if sealway_core::materialise(&mut train, outer, self.next_id).is_err() {
            return Vec::new();
        }
        let packet = train.packet().to_vec();
        let may_split = outer.dont_fragment == DontFragment::Clear && outer.source.is_ipv4();
        if may_split && self.dice.percent(30) {
            return traffic::fragments(&mut self.dice, &packet, u32::from(self.next_id));
        }
        vec![packet]
    }

    /// Time passes; what was late comes.
    fn wait(&mut self) -> Result<(), String> {
        let millis = self
            .dice
            .weighted(&[(60, 10), (20, 5000), (15, 29_000), (5, 31_000)]);
        self.elapsed += Duration::from_millis(millis);
        self.trace.push(format!("  {:?} passed", self.elapsed));
        let elapsed = self.elapsed;
        self.left.begin(elapsed)?;
        self.right.begin(elapsed)?;
        for (side, packet) in std::mem::take(&mut self.late) {
            self.output(side, &packet)?;
        }
        Ok(())
    }
}
