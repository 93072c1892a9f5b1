//! Trains that come in: each datagram judged alone, what is let in coalesced.

use super::harness::*;
use crate::sad::*;
use crate::spd::*;
use crate::*;
use proptest::prelude::*;
use sealway_packet::{Arrival, Egress, Offload, Packet, Pool, SizeClass, SuperPacket, Train};
use sealway_wire::{Family, Layout, build, tcp};

/// Sealed packets as a socket with GRO hands them over: one behind the other.
pub(super) fn train_of(egress: Egress, sealed: &[Vec<u8>]) -> Packet<Arrival> {
    let full = sealed[0].len();
    let mut train = Pool::new(1, 1).take(SizeClass::Large).unwrap();
    let last = sealed.last().unwrap().len();
    train.set_segments(Train::HEADROOM, full, 0, sealed.len() as u16, (full, last));
    for (index, octets) in sealed.iter().enumerate() {
        train.segment_mut(index).copy_from_slice(octets);
    }
    Packet::new(train, Arrival::Payload(outer_of(egress)))
}

/// What a device makes of what it is given.
fn cut(octets: &[u8], offload: Offload) -> Vec<Vec<u8>> {
    let Some(segmentation) = offload.segmentation else {
        return vec![octets.to_vec()];
    };
    let layout = Layout::parse(octets).unwrap();
    let whole = SuperPacket::new(octets, &layout, segmentation).unwrap();
    let segment = |index| {
        let mut octets = vec![0; whole.octets(index)];
        whole.write(index, &mut octets).unwrap();
        octets
    };
    (0..whole.count()).map(segment).collect()
}

/// What is delivered of a train: in how many pieces, and the packets.
pub(super) fn take_in(engine: &mut Engine, train: Packet<Arrival>) -> (usize, Vec<Vec<u8>>) {
    let (mut pieces, mut packets) = (0, Vec::new());
    engine.input_train(train, &mut |part| {
        let (octets, offload) = part.into_parts();
        pieces += 1;
        packets.extend(cut(octets, offload));
    });
    assert!(engine.stats().balances());
    (pieces, packets)
}

fn coalescing(local: &[&str], commands: Vec<Command>) -> Engine {
    let mut config = EngineConfig::default();
    config.datapath.coalescing = Coalescing::TcpAndUdp;
    engine_with(config, local, commands)
}

/// A sender, and a receiver that coalesces.
pub(super) fn ends(family: Family, template: Template, sa: SaConfig) -> (Engine, Engine) {
    let protect =
        |direction| Command::AddPolicy(policy(direction, family, Action::Protect(vec![template])));
    let left = vec![protect(Direction::Out), add_sa(sa.clone())];
    let right = vec![protect(Direction::In), add_sa(sa)];
    let left = engine(&[LEFT, LEFT6], left);
    (left, coalescing(&[RIGHT, RIGHT6], right))
}

/// A stream of TCP.
pub(super) fn stream(from: &build::Packet, count: u32, size: usize) -> Vec<Vec<u8>> {
    let segment = |n: u32| {
        let mut header = tcp::Header::new(1, 2, tcp::ACK);
        header.sequence.set(n * size as u32);
        from.tcp_segment(header, &vec![n as u8; size])
    };
    (0..count).map(segment).collect()
}

pub(super) fn seal_all(engine: &mut Engine, packets: &[Vec<u8>]) -> (Egress, Vec<Vec<u8>>) {
    let all: Vec<_> = packets.iter().map(|packet| send(engine, packet)).collect();
    let egress = all[0].0;
    (
        egress,
        all.iter()
            .map(|(_, train)| train.packet().to_vec())
            .collect(),
    )
}

#[test]
fn a_train_of_one_stream_is_delivered_as_one_super_packet() {
    for family in [Family::V4, Family::V6] {
        let config = sa(LEFT, RIGHT, 0x1000, SaMode::Tunnel);
        let (mut a, mut b) = ends(family, tunnel(LEFT, RIGHT), config);
        let from = match family {
            Family::V4 => build::Packet::new(ip("10.1.0.9"), ip("10.2.0.9")).dont_fragment(),
            Family::V6 => build::Packet::new(ip("fd00:1::9"), ip("fd00:2::9")),
        };
        let packets = stream(&from, 40, 1300);
        let (egress, sealed) = seal_all(&mut a, &packets);
        let (pieces, delivered) = take_in(&mut b, train_of(egress, &sealed));
        assert_eq!(pieces, 1);
        assert_eq!(delivered.len(), packets.len());
        let data = |packets: &[Vec<u8>]| -> Vec<Vec<u8>> {
            packets
                .iter()
                .map(|p| p[p.len() - 1300..].to_vec())
                .collect()
        };
        assert_eq!(data(&delivered), data(&packets));
        assert_eq!((b.stats().delivered, b.stats().coalesced), (40, 39));
    }
}

#[test]
fn a_datagram_that_is_refused_leaves_the_others_alone() {
    let config = sa(LEFT, RIGHT, 0x1000, SaMode::Tunnel);
    let (mut a, mut b) = ends(Family::V4, tunnel(LEFT, RIGHT), config);
    let from = build::Packet::new(ip("10.1.0.9"), ip("10.2.0.9")).dont_fragment();
    let packets = stream(&from, 5, 1000);
    let (egress, mut sealed) = seal_all(&mut a, &packets);
    sealed[1][30] ^= 1;
    sealed[3] = sealed[2].clone();
    let (pieces, delivered) = take_in(&mut b, train_of(egress, &sealed));
    let last = |packet: &Vec<u8>| *packet.last().unwrap();
    assert_eq!(delivered.iter().map(last).collect::<Vec<_>>(), [0, 2, 4]);
    assert_eq!(pieces, 3);
    assert_eq!(b.stats().dropped(DropReason::Integrity), 1);
    assert_eq!(b.stats().dropped(DropReason::Replay), 1);
}

#[test]
fn without_coalescing_every_packet_comes_alone() {
    let config = sa(LEFT, RIGHT, 0x1000, SaMode::Tunnel);
    let (mut a, _) = ends(Family::V4, tunnel(LEFT, RIGHT), config.clone());
    let protect = policy(
        Direction::In,
        Family::V4,
        Action::Protect(vec![tunnel(LEFT, RIGHT)]),
    );
    let commands = vec![Command::AddPolicy(protect), add_sa(config)];
    let mut b = engine(&[RIGHT], commands);
    let from = build::Packet::new(ip("10.1.0.9"), ip("10.2.0.9"));
    let packets = stream(&from, 5, 1000);
    let (egress, sealed) = seal_all(&mut a, &packets);
    assert_eq!(take_in(&mut b, train_of(egress, &sealed)), (5, packets));
}

#[derive(Clone, Copy, Debug)]
enum Harm {
    None,
    Flip,
    Repeat,
}

fn harm() -> impl Strategy<Value = Harm> {
    prop_oneof![8 => Just(Harm::None), 1 => Just(Harm::Flip), 1 => Just(Harm::Repeat)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// A train is a way to read datagrams, and nothing more.
    #[test]
    fn a_train_brings_what_its_datagrams_bring_one_by_one(
        v6: bool, in_tunnel: bool, streams in proptest::collection::vec((0u8..3, harm()), 1..40),
        size in 1usize..1000,
    ) {
        let family = if v6 { Family::V6 } else { Family::V4 };
        let (left, right) = if v6 { (LEFT6, RIGHT6) } else { (LEFT, RIGHT) };
        let mode = if in_tunnel { SaMode::Tunnel } else { SaMode::Transport };
        let template = if in_tunnel { tunnel(left, right) } else { TRANSPORT };
        let config = sa(left, right, 0x1000, mode);
        let (mut a, mut b) = ends(family, template, config.clone());
        let (_, mut twin) = ends(family, template, config);
        let from = build::Packet::new(ip(left), ip(right)).dont_fragment();
        let mut next = [0u32; 2];
        let packets: Vec<_> = streams.iter().map(|(flow, _)| {
            let Some(sequence) = next.get_mut(usize::from(*flow)) else {
                return from.udp(7, 8, &vec![*flow; size + 12]);
            };
            let mut header = tcp::Header::new(u16::from(*flow), 80, tcp::ACK);
            header.sequence.set(*sequence);
            *sequence += size as u32;
            from.tcp_segment(header, &vec![*flow; size])
        }).collect();
        let (egress, mut sealed) = seal_all(&mut a, &packets);
        for index in 0..sealed.len() {
            match streams[index].1 {
                Harm::None => {}
                Harm::Flip => sealed[index][20] ^= 4,
                Harm::Repeat => sealed[index] = sealed[0].clone(),
            }
        }
        let (_, together) = take_in(&mut b, train_of(egress, &sealed));
        let one_by_one: Vec<_> = sealed.iter().filter_map(|octets| {
            match twin.input(arrive(egress, octets)) {
                Verdict::Delivered(admitted) => Some(admitted.octets().to_vec()),
                _ => None,
            }
        }).collect();
        let without_id = |packets: Vec<Vec<u8>>| -> Vec<Vec<u8>> {
            packets.into_iter().map(|mut packet| {
                if !v6 { packet[4..6].fill(0); packet[10..12].fill(0); }
                packet
            }).collect()
        };
        // Within each flow the order is the same; a super-packet may overtake another flow's.
        let sorted = |packets: Vec<Vec<u8>>| { let mut p = without_id(packets); p.sort(); p };
        prop_assert_eq!(sorted(together), sorted(one_by_one));
        prop_assert_eq!(b.stats().dropped_in_all(), twin.stats().dropped_in_all());
        prop_assert_eq!(b.stats().delivered, twin.stats().delivered);
    }
}
