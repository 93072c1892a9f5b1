//! The Maximum Segment Size in SYNs.

use sealway_packet::{Packet, Train};
use sealway_wire::{Layout, build, checksum, protocol, tcp};

use super::harness::*;
use crate::sad::SaMode;
use crate::spd::{Action, Direction};
use crate::*;

/// A SYN that tells 1460 octets.
fn syn(source: &str, destination: &str) -> Vec<u8> {
    let header = [
        0x13,
        0x88,
        0,
        80,
        0,
        0,
        0,
        1,
        0,
        0,
        0,
        0,
        0x60,
        tcp::SYN,
        0xff,
        0xff,
        0,
        0,
        0,
        0,
        2,
        4,
        0x05,
        0xb4,
    ];
    let packet = build::Packet::new(ip(source), ip(destination));
    let mut packet = packet.payload(protocol::TCP, &header);
    let layout = Layout::parse(&packet).unwrap();
    checksum::fill_transport(&mut packet, &layout);
    packet
}

fn told(packet: &[u8]) -> u16 {
    let layout = Layout::parse(packet).unwrap();
    assert!(checksum::verify_transport(packet, &layout));
    let at = usize::from(layout.upper) + 22;
    u16::from_be_bytes([packet[at], packet[at + 1]])
}

/// A gateway that protects both directions.
fn gateway(local: &str, peer: &str, mss: Mss) -> Engine {
    let protect = |direction, source, destination| {
        let action = Action::Protect(vec![tunnel(source, destination)]);
        Command::AddPolicy(policy(direction, sealway_wire::Family::V4, action))
    };
    let commands = vec![
        add_sa(sa(local, peer, 0x1000, SaMode::Tunnel)),
        add_sa(sa(peer, local, 0x1000, SaMode::Tunnel)),
        protect(Direction::Out, local, peer),
        protect(Direction::Fwd, peer, local),
    ];
    let config = EngineConfig {
        datapath: DatapathConfig {
            mss,
            ..DatapathConfig::default()
        },
        ..EngineConfig::default()
    };
    engine_with(config, &[local], commands)
}

#[test]
fn syns_are_lowered_in_both_directions_where_asked_for() {
    for (near, far, expected) in [
        (Mss::Clamped, Mss::Kept, 1406),
        (Mss::Kept, Mss::Clamped, 1406),
        (Mss::Kept, Mss::Kept, 1460),
    ] {
        let (mut a, mut b) = (gateway(LEFT, RIGHT, near), gateway(RIGHT, LEFT, far));
        let (egress, train) = send(&mut a, &syn("10.1.0.9", "10.2.0.9"));
        let came = deliver(&mut b, arrive(egress, train.packet()));
        assert_eq!(told(&came), expected);
    }
}

#[test]
fn a_segment_of_the_size_that_is_told_fits() {
    let mut a = gateway(LEFT, RIGHT, Mss::Clamped);
    let segment = |octets: usize| {
        let packet = build::Packet::new(ip("10.1.0.9"), ip("10.2.0.9")).dont_fragment();
        packet.tcp(5000, 80, tcp::ACK, &vec![7; octets])
    };
    send(&mut a, &segment(1406));
    let more = Packet::new(Train::detached(&segment(1407)), ());
    assert!(matches!(
        a.output(more),
        Verdict::Dropped(DropReason::TooBig)
    ));
}
