//! Peers that roam, and those who would move them.

use std::net::SocketAddr;
use std::time::Duration;

use proptest::prelude::*;
use sealway_packet::{Arrival, Egress, Encapsulation, Outer, Packet};
use sealway_wire::{Family, Layout, Quoted, TooBig};

use super::harness::*;
use crate::sad::*;
use crate::spd::*;
use crate::*;

const HOME: &str = "192.0.2.1:4500";
const AWAY: &str = "198.51.100.9:31000";
const ATTACKER: &str = "203.0.113.66:4500";

fn place(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn at(milliseconds: u64) -> Time {
    Time::since_start(Duration::from_millis(milliseconds))
}

/// SAs in UDP from left to right and back.
fn both_ways(peer: Peer, mode: SaMode) -> [SaConfig; 2] {
    let mut sas = [sa(LEFT, RIGHT, 0x1000, mode), sa(RIGHT, LEFT, 0x2000, mode)];
    for sa in &mut sas {
        sa.encapsulation = Some(UdpEncapsulation {
            source: 4500,
            destination: 4500,
            peer,
        });
    }
    sas
}

/// The gateway at `own`, which protects everything between it and the other.
fn gateway(own: &str, sas: &[SaConfig], template: impl Fn(&str, &str) -> Template) -> Engine {
    let peer = if own == LEFT { RIGHT } else { LEFT };
    let mut commands: Vec<_> = sas.iter().cloned().map(add_sa).collect();
    for (direction, template) in [
        (Direction::Out, template(own, peer)),
        (Direction::In, template(peer, own)),
    ] {
        let action = Action::Protect(vec![template]);
        commands.push(Command::AddPolicy(policy(direction, Family::V4, action)));
    }
    engine(&[own], commands)
}

/// The peer, and who follows it.
fn gateways(peer: Peer) -> (Engine, Engine) {
    let sas = both_ways(peer, SaMode::Tunnel);
    (gateway(LEFT, &sas, tunnel), gateway(RIGHT, &sas, tunnel))
}

/// A packet of the peer's, as it comes in from `source`.
fn from(source: &str, sent: (Egress, Vec<u8>)) -> Packet<Arrival> {
    let outer = outer_of(sent.0);
    let source = place(source);
    let Encapsulation::Udp { destination, .. } = outer.encapsulation else {
        panic!("not in UDP");
    };
    let moved = Outer {
        source: source.ip(),
        encapsulation: Encapsulation::Udp {
            source: source.port(),
            destination,
        },
        ..outer
    };
    arrive(Egress::Payload(moved), &sent.1)
}

fn sent(engine: &mut Engine) -> (Egress, Vec<u8>) {
    let (egress, train) = send(engine, &inside(Family::V4, 9));
    (egress, train.packet().to_vec())
}

/// What the engine tells of peers.
fn told(engine: &mut Engine) -> Vec<(SaId, SocketAddr, SocketAddr)> {
    let mappings = std::iter::from_fn(|| engine.poll_event()).map(|event| match event {
        Event::Mapping { sa, old, new } => (sa.config.id, old, new),
        other => panic!("{other:?}"),
    });
    mappings.collect()
}

/// Does what is told.
fn follow(engine: &mut Engine) -> usize {
    let told = told(engine);
    let count = told.len();
    for (sa, _, to) in told {
        engine.apply(vec![Command::Map { sa, to }]).unwrap();
    }
    engine.begin(engine.control().now());
    count
}

/// Where the next packet goes.
fn goes_to(engine: &mut Engine) -> SocketAddr {
    let outer = outer_of(sent(engine).0);
    let Encapsulation::Udp { destination, .. } = outer.encapsulation else {
        panic!("not in UDP");
    };
    SocketAddr::new(outer.destination, destination)
}

#[test]
fn a_peer_that_roams_is_followed_at_its_newest_packet() {
    let (mut peer, mut b) = gateways(Peer::Roams);
    let _ = deliver(&mut b, from(HOME, sent(&mut peer)));
    assert_eq!(told(&mut b), []);
    assert_eq!(goes_to(&mut b), place(HOME));
    let _ = deliver(&mut b, from(AWAY, sent(&mut peer)));
    let id = both_ways(Peer::Roams, SaMode::Tunnel)[0].id;
    assert_eq!(told(&mut b), [(id, place(HOME), place(AWAY))]);
    // Until somebody says so the peer is where it was.
    assert_eq!(goes_to(&mut b), place(HOME));
    let map = Command::Map {
        sa: id,
        to: place(AWAY),
    };
    b.apply(vec![map]).unwrap();
    b.begin(at(0));
    assert_eq!(goes_to(&mut b), place(AWAY));
    let _ = deliver(&mut b, from(AWAY, sent(&mut peer)));
    assert_eq!(told(&mut b), []);
    // And back, by the address alone.
    b.begin(at(1000));
    let _ = deliver(&mut b, from("192.0.2.1:31000", sent(&mut peer)));
    assert_eq!(follow(&mut b), 1);
    b.begin(at(2000));
    let _ = deliver(&mut b, from(HOME, sent(&mut peer)));
    assert_eq!(follow(&mut b), 1);
    assert_eq!(goes_to(&mut b), place(HOME));
}

#[test]
fn a_peer_that_stays_is_not_followed() {
    let (mut peer, mut b) = gateways(Peer::Stays);
    let elsewhere = from(AWAY, sent(&mut peer));
    assert_eq!(reject(&mut b, elsewhere), DropReason::OuterSource);
    let _ = deliver(&mut b, from("192.0.2.1:31000", sent(&mut peer)));
    assert_eq!(told(&mut b), []);
    assert_eq!(goes_to(&mut b), place(HOME));
    let [inbound, _] = both_ways(Peer::Stays, SaMode::Tunnel);
    let map = Command::Map {
        sa: inbound.id,
        to: place(AWAY),
    };
    let refused = b.apply(vec![map]).unwrap_err();
    assert_eq!(
        refused.to_string(),
        format!("the peer of {} does not roam", inbound.id)
    );
}

#[test]
fn a_packet_that_comes_late_comes_again_or_is_forged_moves_nobody() {
    let (mut peer, mut b) = gateways(Peer::Roams);
    let late = sent(&mut peer);
    let newest = sent(&mut peer);
    let _ = deliver(&mut b, from(HOME, newest.clone()));
    let _ = deliver(&mut b, from(ATTACKER, late.clone()));
    assert_eq!(reject(&mut b, from(ATTACKER, late)), DropReason::Replay);
    assert_eq!(reject(&mut b, from(ATTACKER, newest)), DropReason::Replay);
    let (egress, mut forged) = sent(&mut peer);
    forged[20] ^= 1;
    let forged = from(ATTACKER, (egress, forged));
    assert_eq!(reject(&mut b, forged), DropReason::Integrity);
    assert_eq!(told(&mut b), []);
}

#[test]
fn a_peer_is_never_moved_to_where_none_can_be() {
    let (mut peer, mut b) = gateways(Peer::Roams);
    for source in [
        "224.0.0.1:4500",
        "198.51.100.9:0",
        "192.0.2.2:4500",
        "0.0.0.0:1",
        "127.0.0.1:1",
    ] {
        let _ = deliver(&mut b, from(source, sent(&mut peer)));
        assert_eq!(told(&mut b), [], "{source}");
    }
}

#[test]
fn a_change_is_told_once_and_again_if_nobody_heard() {
    let (mut peer, mut b) = gateways(Peer::Roams);
    for millisecond in 0..249 {
        b.begin(at(millisecond));
        let source = ["198.51.100.9:31000", "198.51.100.9:31001"][millisecond as usize % 2];
        let _ = deliver(&mut b, from(source, sent(&mut peer)));
    }
    assert_eq!(told(&mut b).len(), 1);
    b.begin(at(250));
    let _ = deliver(&mut b, from(AWAY, sent(&mut peer)));
    assert_eq!(follow(&mut b), 1);
    for millisecond in 251..1000 {
        b.begin(at(millisecond));
        let _ = deliver(&mut b, from(AWAY, sent(&mut peer)));
    }
    assert_eq!(told(&mut b), []);
}

#[test]
fn an_sa_that_replaces_another_sends_where_its_peer_was_heard_and_alone_moves_it() {
    let (mut peer, mut b) = gateways(Peer::Roams);
    let late = sent(&mut peer);
    let _ = deliver(&mut b, from(AWAY, sent(&mut peer)));
    let withheld = sent(&mut peer);
    assert_eq!(follow(&mut b), 1);
    let mut sas = both_ways(Peer::Roams, SaMode::Tunnel);
    sas[0].id.spi = Spi::new(0x1001).unwrap();
    sas[1].id.spi = Spi::new(0x2001).unwrap();
    for engine in [&mut b, &mut peer] {
        engine
            .apply(sas.iter().cloned().map(add_sa).collect())
            .unwrap();
        engine.begin(at(500));
    }
    assert_eq!(goes_to(&mut b), place(AWAY));
    let _ = deliver(&mut b, from(AWAY, sent(&mut peer)));
    // The newest of the old SA, but the new one has been heard.
    let _ = deliver(&mut b, from(ATTACKER, withheld));
    let _ = deliver(&mut b, from(ATTACKER, late));
    assert_eq!(told(&mut b), []);
}

#[test]
fn a_silent_peer_is_found_by_its_dummy_packets_and_nobody_hears_of_them() {
    for mode in [SaMode::Tunnel, SaMode::Transport] {
        let sas = both_ways(Peer::Roams, mode);
        let (mut peer, mut b) = (gateway(LEFT, &sas, tunnel), gateway(RIGHT, &sas, tunnel));
        peer.begin(at(20_000));
        let due = peer.keepalives(Duration::from_secs(20), Keepalive::Dummy);
        let [dummy] = &due[..] else {
            panic!("{due:?}");
        };
        let sent = (*dummy.egress(), dummy.train().packet().to_vec());
        assert!(matches!(
            b.input(from(AWAY, sent.clone())),
            Verdict::Consumed
        ));
        assert_eq!(follow(&mut b), 1, "{mode:?}");
        // Recorded and sent again.
        let again = b.input(from(ATTACKER, sent));
        assert!(
            matches!(again, Verdict::Dropped(DropReason::Replay)),
            "{again:?}"
        );
        assert_eq!(follow(&mut b), 0);
        assert!(peer.stats().balances() && b.stats().balances());
    }
}

#[test]
fn a_keepalive_is_an_octet_where_no_number_is_left_for_a_dummy() {
    let (mut peer, _) = gateways(Peer::Roams);
    let sa = peer.control().tables().sad.iter().next().unwrap().clone();
    peer.begin(at(20_000));
    sa.runtime.outgoing.take(u64::from(u32::MAX)).unwrap();
    let due = peer.keepalives(Duration::from_secs(20), Keepalive::Dummy);
    assert_eq!(due.len(), 1);
    assert_eq!(due[0].train().packet(), [0xff]);
}

#[test]
fn keepalives_go_and_reports_are_believed_where_the_peer_is() {
    let (mut peer, mut b) = gateways(Peer::Roams);
    let _ = deliver(&mut b, from(AWAY, sent(&mut peer)));
    assert_eq!(follow(&mut b), 1);
    b.begin(at(30_000));
    let due = b.keepalives(Duration::from_secs(20), Keepalive::Octet);
    let ways: Vec<_> = due
        .iter()
        .map(|keepalive| outer_of(*keepalive.egress()))
        .map(|outer| (outer.destination, outer.encapsulation))
        .collect();
    let udp = Encapsulation::Udp {
        source: 4500,
        destination: 31_000,
    };
    assert_eq!(ways, [(place(AWAY).ip(), udp)]);
    let report = |to: &str| TooBig {
        source: ip(RIGHT),
        destination: place(to).ip(),
        mtu: 1300,
        quoted: Quoted::Udp {
            source: 4500,
            destination: place(to).port(),
            spi: Some(0x2000),
        },
    };
    assert!(b.believes(&report(AWAY)));
    assert!(!b.believes(&report(HOME)));
}

#[test]
fn in_transport_mode_a_peer_is_who_it_was_wherever_it_roams() {
    let sas = both_ways(Peer::Roams, SaMode::Transport);
    let transport = |_: &str, _: &str| TRANSPORT;
    let mut peer = gateway(LEFT, &sas, transport);
    let mut b = gateway(RIGHT, &sas, transport);
    let (egress, train) = send(&mut peer, &udp(LEFT, RIGHT, 20));
    let came = deliver(&mut b, from(AWAY, (egress, train.packet().to_vec())));
    let layout = Layout::parse(&came).unwrap();
    assert_eq!(layout.source(&came), ip(LEFT));
    assert_eq!(follow(&mut b), 1);
    let (egress, _) = send(&mut b, &udp(RIGHT, LEFT, 20));
    assert_eq!(outer_of(egress).destination, place(AWAY).ip());
}

#[test]
fn a_reload_leaves_a_peer_where_it_is_and_its_last_sa_takes_that_along() {
    let (mut peer, mut b) = gateways(Peer::Roams);
    let _ = deliver(&mut b, from(AWAY, sent(&mut peer)));
    assert_eq!(follow(&mut b), 1);
    let sas = both_ways(Peer::Roams, SaMode::Tunnel);
    let protect = policy(
        Direction::Out,
        Family::V4,
        Action::Protect(vec![tunnel(RIGHT, LEFT)]),
    );
    let mut commands: Vec<_> = sas.iter().cloned().map(add_sa).collect();
    commands.push(Command::AddPolicy(protect));
    b.replace(commands).unwrap();
    b.begin(at(0));
    assert_eq!(goes_to(&mut b), place(AWAY));
    b.apply(vec![Command::DeleteSa(sas[0].id)]).unwrap();
    b.begin(at(0));
    assert_eq!(goes_to(&mut b), place(AWAY));
    b.apply(vec![Command::DeleteSa(sas[1].id), add_sa(sas[1].clone())])
        .unwrap();
    b.begin(at(0));
    assert_eq!(goes_to(&mut b), place(HOME));
}

#[test]
fn a_peer_that_roams_needs_a_replay_window() {
    let [mut config, _] = both_ways(Peer::Roams, SaMode::Tunnel);
    config.sequence.window = None;
    let mut b = engine(&[RIGHT], vec![]);
    let refused = b.apply(vec![add_sa(config)]).unwrap_err();
    assert_eq!(refused.error, CommandError::Sa(SaError::RoamsWithoutReplay));
}

/// What comes in next.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// A packet of the peer's, from where it is; the attacker keeps a copy.
    Genuine,
    /// The attacker holds the peer's next packet back.
    Withheld,
    /// The peer is elsewhere from now on.
    Moves(u16),
    /// The attacker sends what it has, from its own address, with a bit changed or not.
    Attack(usize, Option<usize>),
    Time(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Genuine),
        1 => Just(Step::Withheld),
        1 => (1u16..5).prop_map(Step::Moves),
        6 => (any::<usize>(), proptest::option::of(any::<usize>()))
            .prop_map(|(which, bit)| Step::Attack(which, bit)),
        1 => (0u64..600).prop_map(Step::Time),
    ]
}

proptest! {
    /// Whoever has no key and is not faster than the peer itself moves nobody: neither by what it
    /// repeats, nor by what it held back, nor by what it makes up.
    #[test]
    fn an_attacker_elsewhere_never_moves_the_peer(
        steps in proptest::collection::vec(step(), 1..120)
    ) {
        let (mut peer, mut b) = gateways(Peer::Roams);
        let (mut now, mut home) = (0, place(HOME));
        let (mut old, mut withheld) = (Vec::new(), Vec::new());
        for step in steps {
            match step {
                Step::Genuine => {
                    let packet = sent(&mut peer);
                    let _ = deliver(&mut b, from(&home.to_string(), packet.clone()));
                    old.append(&mut withheld);
                    old.push(packet);
                }
                Step::Withheld => withheld.push(sent(&mut peer)),
                Step::Moves(port) => home.set_port(31_000 + port),
                Step::Attack(which, bit) => {
                    // What is newer than the peer's own newest can only come changed.
                    let all = old.iter().chain(&withheld).collect::<Vec<_>>();
                    if all.is_empty() {
                        continue;
                    }
                    let which = which % all.len();
                    let (egress, mut octets) = all[which].clone();
                    let bit = bit.or((which >= old.len()).then_some(which));
                    if let Some(bit) = bit {
                        let bit = bit % (octets.len() * 8);
                        octets[bit / 8] ^= 1 << (bit % 8);
                    }
                    let _ = b.input(from(ATTACKER, (egress, octets)));
                }
                Step::Time(milliseconds) => {
                    now += milliseconds;
                    b.begin(at(now));
                }
            }
            for (sa, _, to) in told(&mut b) {
                prop_assert_eq!(to, home);
                b.apply(vec![Command::Map { sa, to }]).unwrap();
                b.begin(at(now));
            }
            prop_assert_ne!(goes_to(&mut b), place(ATTACKER));
        }
    }
}
