//! Two gateways that may be killed at any time, whose storage may be cut off at any of its steps, an
//! eavesdropper who sends everything again, and the naive twin: everything that was ever sent or
//! accepted.

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use proptest::prelude::*;
use sealway_core::path::LocalAddresses;
use sealway_core::{
    Command, Control, Datapath, DatapathConfig, DefaultAction, DropReason, Keeper, Time, Verdict,
};
use sealway_packet::{Arrival, Egress, Packet, Pool, Train};
use sealway_setkey::Keys;
use sealway_wire::build;
use zeroize::Zeroizing;

use super::super::progress::{self, Place};
use super::*;
use crate::setkey::{Source, apply};

/// Storage that survives its writer.
#[derive(Clone, Default)]
struct Disk(Arc<Mutex<Kept>>);

#[derive(Default)]
struct Kept {
    octets: Option<Vec<u8>>,
    power: Power,
    /// Another one after each failure.
    boot: u8,
    /// The words in use, and those that were before them.
    words: [&'static [AtomicU64]; 2],
}

/// When the power fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Power {
    #[default]
    On,
    /// Before the next write has taken the old one's place.
    FailsBefore,
    /// After that, before the writer hears of it.
    FailsAfter,
}

impl Storage for Disk {
    fn replace(&mut self, octets: &[u8]) -> io::Result<()> {
        let mut kept = self.0.lock().unwrap();
        if kept.power != Power::FailsBefore {
            kept.octets = Some(octets.to_vec());
        }
        match kept.power {
            Power::On => Ok(()),
            Power::FailsBefore | Power::FailsAfter => Err(io::Error::other("no power")),
        }
    }

    fn shown(&mut self, _most: usize) -> io::Result<Vec<u8>> {
        let mut octets = Vec::new();
        for word in self.0.lock().unwrap().words[0] {
            octets.extend_from_slice(&word.load(Relaxed).to_ne_bytes());
        }
        Ok(octets)
    }

    fn new_words(&mut self, count: usize) -> io::Result<&'static [AtomicU64]> {
        let mut kept = self.0.lock().unwrap();
        kept.words.swap(0, 1);
        if kept.words[0].is_empty() {
            let words: Vec<AtomicU64> = (0..count).map(|_| AtomicU64::new(0)).collect();
            kept.words[0] = words.leak();
        }
        kept.words[0].iter().for_each(|word| word.store(0, Relaxed));
        Ok(kept.words[0])
    }
}

/// Where the IVs start.
const IV_START: u64 = 1 << 63;

/// A ledger that its control and its test share.
#[derive(Clone)]
struct Shared(Arc<Mutex<Ledger<Disk>>>, Instant);

impl Keeper for Shared {
    fn admit(&mut self, added: &[Arc<Sa>]) -> Result<Vec<Continuation>, String> {
        let mut draw = || IV_START;
        let mut ledger = self.0.lock().unwrap();
        let admitted = ledger.admit(added, &mut draw, self.1);
        admitted.map_err(|error| error.to_string())
    }
}

/// What has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Death {
    /// The daemon alone.
    Daemon,
    /// The machine, with all that stood in its memory.
    Machine,
}

/// One gateway.
struct Gateway {
    disk: Disk,
    control: Control,
    datapath: Datapath,
    ledger: Shared,
    script: String,
}

const ADD: &str = "add 192.0.2.1 192.0.2.2 esp 0x10001 -m tunnel -esn
    -E aes-gcm-16 0x000102030405060708090a0b0c0d0e0f10111213;";

fn script(direction: &str) -> String {
    let tunnel = "esp/tunnel/192.0.2.1-192.0.2.2";
    format!("{ADD} spdadd 10.1.0.0/16 10.2.0.0/16 any -P {direction} ipsec {tunnel};")
}

impl Gateway {
    fn start(disk: Disk, script: String, now: Instant) -> Gateway {
        Gateway::try_start(disk, script, now).unwrap()
    }

    fn try_start(mut disk: Disk, script: String, now: Instant) -> Result<Gateway, String> {
        let (octets, boot) = {
            let kept = disk.0.lock().unwrap();
            (kept.octets.clone(), [kept.boot; 16])
        };
        let mut book =
            octets.map_or_else(|| Book::new([1; 32]), |octets| Book::read(&octets).unwrap());
        let run = (u128::from_be_bytes(book.run) + 1).to_be_bytes();
        let begun = progress::begin(&mut book, &mut disk, Some(boot), run)
            .map_err(|error| error.to_string())?;
        let progress = begun.progress.unwrap();
        let ledger = Ledger::new(book, disk.clone(), Some(progress));
        let ledger = Shared(Arc::new(Mutex::new(ledger)), now);
        let mut control = Control::new(DefaultAction::Discard, 1500);
        control.use_keeper(Box::new(ledger.clone()));
        let local = ["192.0.2.1", "192.0.2.2"].map(|address| address.parse().unwrap());
        let local = Command::SetLocalAddresses(LocalAddresses::new(local.to_vec()));
        control.apply(vec![local]).unwrap();
        let random = Box::new(|octets: &mut [u8]| octets.fill(3));
        let config = DatapathConfig {
            flows: 1,
            bundles: 1,
            ..DatapathConfig::default()
        };
        let mut gateway = Gateway {
            disk,
            datapath: Datapath::new(control.shared(), config, Pool::new(1, 1), random),
            control,
            ledger,
            script: script.clone(),
        };
        gateway.apply(&script)?;
        Ok(gateway)
    }

    fn apply(&mut self, script: &str) -> Result<(), String> {
        let sources = [Source {
            name: "test".into(),
            text: Zeroizing::new(script.into()),
        }];
        let applied = apply(&mut self.control, &sources, Keys::Masked);
        self.datapath.begin(Time::default());
        let colour = sealway_setkey::Colour::Never;
        applied
            .map(drop)
            .map_err(|mistakes| mistakes.render(&sources, colour))
    }

    fn round(&self, now: Instant) {
        // Without power nothing is raised, and nobody may fail for that.
        let _ = self.ledger.0.lock().unwrap().round(now, &|| true);
    }

    /// Dies, with its machine or alone, and starts again.
    fn restart(&mut self, now: Instant, death: Death) {
        {
            let mut kept = self.disk.0.lock().unwrap();
            kept.power = Power::On;
            kept.boot += u8::from(death == Death::Machine);
        }
        *self = Gateway::start(self.disk.clone(), self.script.clone(), now);
    }

    /// What the daemon leaves behind of its one SA, were it killed now.
    fn shown(&self) -> Place {
        let mut ledger = self.ledger.0.lock().unwrap();
        let print = ledger.watched[0].print;
        let begun = Place { next: 0, top: 0 };
        let published = ledger
            .progress
            .as_mut()
            .unwrap()
            .open(print, begun)
            .unwrap();
        Place {
            next: published.next.load(Relaxed),
            top: published.top.load(Relaxed),
        }
    }
}

/// Both gateways and everything that happened.
struct World {
    left: Gateway,
    right: Gateway,
    captured: Vec<(Egress, Vec<u8>)>,
    /// Numbers and IVs that were sent.
    sent: HashSet<Vec<u8>>,
    accepted: HashSet<usize>,
    now: Instant,
}

impl World {
    fn new() -> World {
        let now = Instant::now();
        World {
            left: Gateway::start(Disk::default(), script("out"), now),
            right: Gateway::start(Disk::default(), script("in"), now),
            captured: Vec::new(),
            sent: HashSet::new(),
            accepted: HashSet::new(),
            now,
        }
    }

    /// Sends a packet; whether it was accepted.
    fn send(&mut self) -> bool {
        let ends = ["10.1.0.1", "10.2.0.1"].map(|address| address.parse().unwrap());
        let packet = build::Packet::new(ends[0], ends[1]).udp(1, 2, b"text");
        let verdict = self
            .left
            .datapath
            .output(Packet::new(Train::detached(&packet), ()));
        let transmit = match verdict {
            Verdict::Sent(transmit) => transmit,
            Verdict::Dropped(DropReason::UnreservedOut) => return false,
            other => panic!("{other:?}"),
        };
        let octets = transmit.train().packet().to_vec();
        // Shown before anybody has it: a daemon that is killed now has sent nothing else.
        assert!(self.left.shown().next > number(&octets));
        // The low half of the number and the IV, which tells the whole number.
        assert!(self.sent.insert(octets[4..16].to_vec()), "sent twice");
        self.captured.push((*transmit.egress(), octets));
        self.arrive(self.captured.len() - 1)
    }

    fn arrive(&mut self, place: usize) -> bool {
        let (Egress::Payload(outer), octets) = &self.captured[place] else {
            panic!("a tunnel's header is data");
        };
        let arrival = Packet::new(Train::detached(octets), Arrival::Payload(*outer));
        match self.right.datapath.input(arrival) {
            Verdict::Delivered(_) => {
                let has_window = !self.right.script.contains("-window 0");
                assert!(!has_window || self.right.shown().top >= number(octets));
                assert!(self.accepted.insert(place), "accepted twice");
                true
            }
            Verdict::Dropped(
                DropReason::Replay | DropReason::UnreservedIn | DropReason::Integrity,
            ) => false,
            other => panic!("{other:?}"),
        }
    }

    fn side(&mut self, is_left: bool) -> &mut Gateway {
        if is_left {
            &mut self.left
        } else {
            &mut self.right
        }
    }

    fn do_one(&mut self, step: &Step) {
        let now = self.now;
        match *step {
            Step::Send(count) => {
                for _ in 0..count {
                    self.send();
                }
            }
            Step::Lose(count) => {
                for _ in 0..count {
                    let captured = self.captured.len();
                    self.send();
                    self.captured.truncate(captured + 1);
                }
            }
            Step::Again => {
                for place in 0..self.captured.len() {
                    self.arrive(place);
                }
            }
            Step::Wait(millis) => {
                self.now += Duration::from_millis(millis);
                for gateway in [&self.left, &self.right] {
                    gateway.round(self.now);
                }
            }
            Step::PowerFails(is_left, power) => {
                self.side(is_left).disk.0.lock().unwrap().power = power;
            }
            Step::Restart(is_left, death) => self.side(is_left).restart(now, death),
            Step::DiesInStart(is_left, power, death) => {
                let side = self.side(is_left);
                side.disk.0.lock().unwrap().power = power;
                let (disk, script) = (side.disk.clone(), side.script.clone());
                assert!(Gateway::try_start(disk, script, now).is_err());
                side.restart(now, death);
            }
            Step::Readd(is_left) => {
                let change = format!("delete 192.0.2.1 192.0.2.2 esp 0x10001; {ADD}");
                // Refused without power.
                let _ = self.side(is_left).apply(&change);
            }
            Step::Close(is_left) => {
                let _ = self.side(is_left).ledger.0.lock().unwrap().close();
                self.side(is_left).restart(now, Death::Machine);
            }
        }
    }
}

/// The number of a packet: what its IV is ahead of the first.
fn number(packet: &[u8]) -> u64 {
    u64::from_be_bytes(packet[8..16].try_into().unwrap()) - IV_START
}

#[derive(Clone, Debug)]
enum Step {
    Send(usize),
    Lose(usize),
    /// The eavesdropper sends everything again.
    Again,
    /// So many milliseconds, then a look at all SAs.
    Wait(u64),
    PowerFails(bool, Power),
    Restart(bool, Death),
    /// Dies, and again at the first write of the next run.
    DiesInStart(bool, Power, Death),
    /// The same SA goes and comes.
    Readd(bool),
    /// An end in good order, and a start.
    Close(bool),
}

fn step() -> impl Strategy<Value = Step> {
    let power = || prop::sample::select(vec![Power::FailsBefore, Power::FailsAfter]);
    let death = || prop::sample::select(vec![Death::Daemon, Death::Machine]);
    prop_oneof![
        4 => (1usize..120).prop_map(Step::Send),
        1 => (1usize..40).prop_map(Step::Lose),
        2 => Just(Step::Again),
        6 => prop::sample::select(vec![1u64, 20, 300, 2000, 30_000]).prop_map(Step::Wait),
        2 => (any::<bool>(), power()).prop_map(|(left, power)| Step::PowerFails(left, power)),
        5 => (any::<bool>(), death()).prop_map(|(left, death)| Step::Restart(left, death)),
        2 => (any::<bool>(), power(), death())
            .prop_map(|(left, power, death)| Step::DiesInStart(left, power, death)),
        1 => any::<bool>().prop_map(Step::Readd),
        1 => any::<bool>().prop_map(Step::Close),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn whenever_daemon_or_machine_die_no_number_is_sent_twice_and_none_accepted_twice(
        steps in proptest::collection::vec(step(), 1..40)
    ) {
        let mut world = World::new();
        for step in &steps {
            world.do_one(step);
        }
        // With power, traffic goes on.
        for side in [true, false] {
            world.side(side).disk.0.lock().unwrap().power = Power::On;
        }
        world.do_one(&Step::Wait(2000));
        let goes_on = (0..4000).any(|_| {
            let accepted = world.send();
            world.do_one(&Step::Wait(1));
            accepted
        });
        prop_assert!(goes_on);
        world.do_one(&Step::Again);
    }
}

#[test]
fn a_slow_peer_loses_at_most_its_reserve_and_an_orderly_end_loses_nothing() {
    let mut world = World::new();
    for _ in 0..10 {
        assert!(world.send());
    }
    world.do_one(&Step::Close(false));
    world.do_one(&Step::Again);
    assert!(world.send());
    world.do_one(&Step::Restart(false, Death::Machine));
    let refused = (0..1000).take_while(|_| !world.send()).count();
    assert_eq!(refused as u64, ahead_received(0) - 1);
}

#[test]
fn a_killed_daemon_sends_the_next_number_and_accepts_the_next_and_none_before() {
    let mut world = World::new();
    for count in [1, 0, 5, 30, 30, 30] {
        world.do_one(&Step::Send(count));
        world.do_one(&Step::Wait(1));
        for is_left in [false, true] {
            world.do_one(&Step::Restart(is_left, Death::Daemon));
            world.do_one(&Step::Again);
            assert!(world.send(), "{count} before");
        }
    }
    // None was skipped.
    assert_eq!(world.left.shown().next, world.captured.len() as u64 + 1);
}

#[test]
fn a_silent_peer_may_send_half_of_its_reserve_while_more_is_written() {
    let mut world = World::new();
    let half = ahead_received(0) / 2;
    for _ in 0..3 {
        // Its packets ask, the write takes as long as as many more.
        assert!((0..half).all(|_| world.send()));
        assert!((0..half).all(|_| world.send()));
        world.do_one(&Step::Wait(1));
        // Silent again.
        world.do_one(&Step::Wait(60_000));
    }
    assert_eq!(world.right.datapath.stats().dropped_in_all(), 0);
}

#[test]
fn what_a_burst_reserved_is_given_back_when_the_peer_is_slow_again() {
    let mut world = World::new();
    for _ in 0..200 {
        world.do_one(&Step::Send(20));
        world.do_one(&Step::Wait(1));
    }
    let reserve = |world: &World| {
        let tables = world.right.control.tables();
        let progress = tables.sad.iter().next().unwrap().runtime.progress();
        progress.reserved.receive - progress.top
    };
    assert!(reserve(&world) > 1000, "{}", reserve(&world));
    for _ in 0..60 {
        world.do_one(&Step::Wait(300));
    }
    assert!(
        reserve(&world) <= 2 * ahead_received(0),
        "{}",
        reserve(&world)
    );
    world.do_one(&Step::Restart(false, Death::Machine));
    world.do_one(&Step::Again);
    let refused = (0..1000).take_while(|_| !world.send()).count();
    assert!(refused <= 2 * ahead_received(0) as usize, "{refused}");
}

#[test]
fn an_sa_with_other_keys_starts_anew() {
    let mut gateway = Gateway::start(Disk::default(), script("out"), Instant::now());
    let next = |gateway: &Gateway| {
        let tables = gateway.control.tables();
        tables.sad.iter().next().unwrap().runtime.next_sequence()
    };
    assert_eq!(next(&gateway), 1);
    gateway.restart(Instant::now(), Death::Machine);
    let skipped = next(&gateway);
    assert!(skipped > 1000);
    gateway.script = gateway.script.replace("0x0001", "0xff01");
    gateway.restart(Instant::now(), Death::Machine);
    assert_eq!(next(&gateway), 1);
    gateway.script = gateway.script.replace("0xff01", "0x0001");
    gateway.restart(Instant::now(), Death::Machine);
    assert!(next(&gateway) > skipped);
}

#[test]
fn without_storage_a_transaction_is_refused_whole() {
    let mut gateway = Gateway::start(Disk::default(), script("out"), Instant::now());
    gateway.disk.0.lock().unwrap().power = Power::FailsBefore;
    let refused = gateway
        .apply(&ADD.replace("0x10001", "0x10002"))
        .unwrap_err();
    assert!(refused.contains("no power"), "{refused}");
    assert_eq!(gateway.control.tables().sad.iter().len(), 1);
}

#[test]
fn an_sa_that_had_no_window_may_get_one_and_accepts_from_then_on() {
    let mut world = World::new();
    let (with, without) = (world.right.script.clone(), "-window 0");
    let esn = |script: &str, instead: &str| script.replace("-esn", instead);
    world.left.script = esn(&world.left.script, "");
    world.right.script = esn(&with, without);
    let now = world.now;
    world.left.restart(now, Death::Machine);
    world.right.restart(now, Death::Machine);
    for _ in 0..100 {
        world.do_one(&Step::Send(200));
        world.do_one(&Step::Wait(300));
    }
    world.right.script = esn(&with, "");
    world.right.restart(now, Death::Machine);
    let goes_on = (0..100).any(|_| {
        let accepted = world.send();
        world.do_one(&Step::Wait(10));
        accepted
    });
    assert!(goes_on);
}
