//! The inbound road, driven by packets that a trusted peer made, and by others.

use super::harness::*;
use crate::sad::*;
use crate::spd::*;
use crate::*;
use sealway_packet::{Arrival, Egress, Packet, Train};
use sealway_wire::{Family, build, ecn, protocol};

fn tunnel_pair() -> (Engine, Engine) {
    let sas = vec![sa(LEFT, RIGHT, 0x1000, SaMode::Tunnel)];
    pair(Family::V4, vec![tunnel(LEFT, RIGHT)], sas)
}

#[test]
fn a_packet_is_accepted_once() {
    let (mut a, mut b) = tunnel_pair();
    let (egress, train) = send(&mut a, &inside(Family::V4, 9));
    let _ = deliver(&mut b, arrive(egress, train.packet()));
    assert_eq!(
        reject(&mut b, arrive(egress, train.packet())),
        DropReason::Replay
    );
    assert_eq!(b.stats().dropped(DropReason::Replay), 1);
}

#[test]
fn any_flipped_bit_is_noticed_and_does_not_move_the_window() {
    for suite in [gcm(), cbc()] {
        let mut config = sa(LEFT, RIGHT, 0x1000, SaMode::Tunnel);
        config.suite = suite;
        let key = |octets| sealway_crypto::SecretKey::new(vec![1; octets]);
        config.encryption_key = key(suite.key_octets());
        config.authentication_key = key(suite.authentication_key_octets());
        let (mut a, mut b) = pair(Family::V4, vec![tunnel(LEFT, RIGHT)], vec![config]);
        let (egress, train) = send(&mut a, &inside(Family::V4, 9));
        for bit in 0..train.packet().len() * 8 {
            let mut octets = train.packet().to_vec();
            octets[bit / 8] ^= 1 << (bit % 8);
            let reason = reject(&mut b, arrive(egress, &octets));
            let expected = match bit {
                0..32 => DropReason::NoSaIn,
                // The number becomes 0, which is never sent.
                56 => DropReason::Replay,
                _ => DropReason::Integrity,
            };
            assert_eq!(reason, expected, "bit {bit}");
        }
        let _ = deliver(&mut b, arrive(egress, train.packet()));
    }
}

#[test]
fn a_packet_cut_anywhere_is_dropped_by_name() {
    let (mut a, mut b) = tunnel_pair();
    let (egress, train) = send(&mut a, &inside(Family::V4, 9));
    for length in 0..train.packet().len() {
        let reason = reject(&mut b, arrive(egress, &train.packet()[..length]));
        assert!(
            matches!(reason, DropReason::EspLength | DropReason::Integrity),
            "{reason:?}"
        );
    }
    let _ = deliver(&mut b, arrive(egress, train.packet()));
}

#[test]
fn the_outer_header_must_be_the_sas() {
    let (mut a, mut b) = tunnel_pair();
    let (egress, train) = send(&mut a, &inside(Family::V4, 9));
    let outer = outer_of(egress);
    let mut other = outer;
    other.source = ip("192.0.2.77");
    let arrival = arrive(Egress::Payload(other), train.packet());
    assert_eq!(reject(&mut b, arrival), DropReason::OuterSource);
    let mut other = outer;
    other.destination = ip("192.0.2.77");
    let arrival = arrive(Egress::Payload(other), train.packet());
    assert_eq!(reject(&mut b, arrival), DropReason::NoSaIn);
    let mut other = outer;
    other.encapsulation = sealway_packet::Encapsulation::Udp {
        source: 4500,
        destination: 4500,
    };
    let arrival = arrive(Egress::Payload(other), train.packet());
    assert_eq!(reject(&mut b, arrival), DropReason::EncapsulationMismatch);
    let mut other = outer;
    other.encapsulation = sealway_packet::Encapsulation::Ah;
    let arrival = arrive(Egress::Payload(other), train.packet());
    assert_eq!(reject(&mut b, arrival), DropReason::NoSaIn);
}

#[test]
fn congestion_that_the_inner_packet_cannot_tell_drops_it() {
    let (mut a, mut b) = tunnel_pair();
    let (egress, train) = send(&mut a, &inside(Family::V4, 9));
    let mut outer = outer_of(egress);
    outer.tos |= ecn::CE;
    let arrival = arrive(Egress::Payload(outer), train.packet());
    assert_eq!(reject(&mut b, arrival), DropReason::CongestionMark);
}

#[test]
fn an_sa_with_a_selector_carries_nothing_else() {
    let mut config = sa(LEFT, RIGHT, 0x1000, SaMode::Tunnel);
    let sas = vec![config.clone()];
    let (mut a, _) = pair(Family::V4, vec![tunnel(LEFT, RIGHT)], sas);
    config.selector = Some(ports(Family::V4, 17, 99));
    let (_, mut b) = pair(Family::V4, vec![tunnel(LEFT, RIGHT)], vec![config]);
    let (egress, train) = send(&mut a, &inside(Family::V4, 9));
    assert_eq!(
        reject(&mut b, arrive(egress, train.packet())),
        DropReason::SelectorMismatch
    );
}

#[test]
fn an_sa_for_ports_carries_the_later_fragments_of_what_it_carries() {
    let mut config = sa(LEFT, RIGHT, 0x1000, SaMode::Tunnel);
    config.selector = Some(ports(Family::V4, 17, 53));
    let (mut a, mut b) = pair(Family::V4, vec![tunnel(LEFT, RIGHT)], vec![config]);
    let (egress, train) = send(&mut a, &inside(Family::V4, 3000));
    let [first, later, ..] = &train.segments().map(<[u8]>::to_vec).collect::<Vec<_>>()[..] else {
        panic!("not in fragments");
    };
    let mut early = later.clone();
    assert_eq!(
        reject(&mut b, arrive(egress, &early)),
        DropReason::FragmentNoState
    );
    let _ = deliver(&mut b, arrive(egress, first));
    let (egress, train) = send(&mut a, &inside(Family::V4, 3000));
    early.copy_from_slice(train.segment(1));
    let _ = deliver(&mut b, arrive(egress, &early));
}

#[test]
fn a_stranger_cannot_say_which_ports_our_own_fragments_have() {
    let mut guarded = policy(
        Direction::Out,
        Family::V4,
        Action::Protect(vec![tunnel(LEFT, RIGHT)]),
    );
    guarded.selector = ports(Family::V4, 17, 53);
    guarded.priority = 1;
    let bypass = policy(Direction::Out, Family::V4, Action::Bypass);
    let mut a = engine(
        &[LEFT],
        vec![
            Command::AddPolicy(guarded),
            Command::AddPolicy(bypass),
            add_sa(sa(LEFT, RIGHT, 0x1000, SaMode::Tunnel)),
        ],
    );
    let ours = fragments(&inside(Family::V4, 3000));
    assert!(matches!(send(&mut a, &ours[0]).0, Egress::Payload(_)));
    let forged = build::Packet::new(ip("10.1.0.9"), ip("10.2.0.9")).udp(4000, 99, &[0; 3000]);
    let whole = Arrival::Whole { interface: 1 };
    let forged = Packet::new(Train::detached(&fragments(&forged)[0]), whole);
    let _ = reject(&mut a, forged);
    assert!(
        matches!(send(&mut a, &ours[1]).0, Egress::Payload(_)),
        "a forged fragment took ours out of the tunnel"
    );
}

#[test]
fn whole_packets_that_are_neither_ours_nor_protected_meet_the_policy() {
    let (mut a, mut b) = tunnel_pair();
    let clear = inside(Family::V4, 9);
    let arrival = Packet::new(Train::detached(&clear), Arrival::Whole { interface: 1 });
    assert_eq!(reject(&mut b, arrival), DropReason::Unprotected);
    let (egress, train) = send(&mut a, &clear);
    let transit = {
        let mut outer = outer_of(egress);
        outer.destination = ip("192.0.2.99");
        arrive_whole(Egress::Payload(outer), &train)
    };
    assert_eq!(
        reject(&mut b, transit),
        DropReason::Unprotected,
        "ESP for others is transit"
    );
}

#[test]
fn ah_for_us_and_esp_in_fragments_are_never_taken_for_clear_traffic() {
    let bypass = policy(Direction::In, Family::V4, Action::Bypass);
    let mut b = engine(&[RIGHT], vec![Command::AddPolicy(bypass)]);
    let packet = build::Packet::new(ip(LEFT), ip(RIGHT));
    let whole = |octets: &[u8]| {
        let train = Train::detached(octets);
        Packet::new(train, Arrival::Whole { interface: 1 })
    };
    let ah = packet.payload(protocol::AH, &[0; 40]);
    assert_eq!(reject(&mut b, whole(&ah)), DropReason::NoSaIn);
    for piece in fragments(&packet.payload(protocol::ESP, &[0; 3000])) {
        assert_eq!(reject(&mut b, whole(&piece)), DropReason::EspFragment);
    }
    let transit = build::Packet::new(ip(LEFT), ip("192.0.2.99"));
    let _ = deliver(&mut b, whole(&transit.payload(protocol::AH, &[0; 40])));
}

#[test]
fn garbage_is_malformed() {
    let (_, mut b) = tunnel_pair();
    for octets in [&[][..], &[0x45], &[0xff; 64], &[0x60; 39]] {
        let whole = Packet::new(Train::detached(octets), Arrival::Whole { interface: 1 });
        assert_eq!(reject(&mut b, whole), DropReason::Malformed);
    }
    assert!(b.stats().balances());
}

#[test]
fn numbers_may_come_in_any_order_within_the_window_and_none_behind_it() {
    let mut config = sa(LEFT, RIGHT, 0x1000, SaMode::Tunnel);
    config.sequence.window = WindowSize::new(32);
    let (mut a, mut b) = pair(Family::V4, vec![tunnel(LEFT, RIGHT)], vec![config]);
    let packet = inside(Family::V4, 9);
    let mut sent: Vec<_> = (0..40).map(|_| send(&mut a, &packet)).collect();
    sent.reverse();
    for (n, (egress, train)) in sent.iter().enumerate() {
        let arrival = arrive(*egress, train.packet());
        if n < 32 {
            let _ = deliver(&mut b, arrival);
        } else {
            assert_eq!(reject(&mut b, arrival), DropReason::Replay);
        }
    }
}

#[test]
fn more_sas_inside_one_another_than_are_opened_is_an_error_of_its_own() {
    let sas: Vec<_> = (0..5)
        .map(|n| sa(LEFT, RIGHT, 0x1000 + n, SaMode::Tunnel))
        .collect();
    let mut packet = build::Packet::new(ip(LEFT), ip(RIGHT)).udp(1, 2, b"x");
    for config in &sas {
        let (mut a, _) = pair(Family::V4, vec![tunnel(LEFT, RIGHT)], vec![config.clone()]);
        let (egress, train) = send(&mut a, &packet);
        packet = arrive_whole(egress, &train).train.packet().to_vec();
    }
    let (_, mut b) = pair(Family::V4, vec![tunnel(LEFT, RIGHT)], sas);
    let whole = Packet::new(Train::detached(&packet), Arrival::Whole { interface: 1 });
    assert_eq!(reject(&mut b, whole), DropReason::NestingTooDeep);
}

#[test]
fn a_nat_between_transport_ends_leaves_checksums_right() {
    use sealway_wire::{Layout, checksum};
    let encapsulation = Some(UdpEncapsulation {
        source: 4500,
        destination: 4500,
        peer: Peer::Stays,
    });
    let own = "10.0.0.9";
    let at_home = SaConfig {
        encapsulation,
        ..sa(own, RIGHT, 0x1000, SaMode::Transport)
    };
    let behind = SaConfig {
        source: ip(LEFT),
        before_nat: Some((ip(own), ip(RIGHT))),
        ..at_home.clone()
    };
    let protect = |direction| {
        let action = Action::Protect(vec![TRANSPORT]);
        Command::AddPolicy(policy(direction, Family::V4, action))
    };
    let mut a = engine(&[own], vec![protect(Direction::Out), add_sa(at_home)]);
    let mut b = engine(&[RIGHT], vec![protect(Direction::In), add_sa(behind)]);
    let tcp = build::Packet::new(ip(own), ip(RIGHT)).tcp(4000, 53, 0x18, b"behind a NAT");
    for packet in [udp(own, RIGHT, 20), tcp] {
        let (egress, train) = send(&mut a, &packet);
        let mut outer = outer_of(egress);
        outer.source = ip(LEFT);
        let came = deliver(&mut b, arrive(Egress::Payload(outer), train.packet()));
        let layout = Layout::parse(&came).unwrap();
        assert_eq!(layout.source(&came), ip(LEFT));
        assert!(checksum::verify_transport(&came, &layout));
    }
}

#[test]
fn an_sa_for_any_mode_carries_both() {
    let config = sa(LEFT, RIGHT, 0x1000, SaMode::Any);
    for (template, packet) in [
        (tunnel(LEFT, RIGHT), inside(Family::V4, 9)),
        (TRANSPORT, udp(LEFT, RIGHT, 9)),
    ] {
        let (mut a, mut b) = pair(Family::V4, vec![template], vec![config.clone()]);
        let (egress, train) = send(&mut a, &packet);
        let came = deliver(&mut b, arrive(egress, train.packet()));
        assert_eq!(came[20..], packet[20..]);
    }
}

#[test]
fn an_sa_that_a_replacement_changes_accepts_nothing_twice() {
    let config = sa(LEFT, RIGHT, 0x1000, SaMode::Tunnel);
    let (mut a, mut b) = pair(Family::V4, vec![tunnel(LEFT, RIGHT)], vec![config.clone()]);
    let (egress, train) = send(&mut a, &inside(Family::V4, 9));
    let _ = deliver(&mut b, arrive(egress, train.packet()));
    let changed = SaConfig { reqid: 7, ..config };
    let action = Action::Protect(vec![tunnel(LEFT, RIGHT)]);
    let protect = Command::AddPolicy(policy(Direction::In, Family::V4, action));
    b.replace(vec![add_sa(changed), protect]).unwrap();
    b.begin(Time::default());
    let again = arrive(egress, train.packet());
    assert_eq!(reject(&mut b, again), DropReason::Replay);
    let (egress, train) = send(&mut a, &inside(Family::V4, 9));
    let _ = deliver(&mut b, arrive(egress, train.packet()));
}
