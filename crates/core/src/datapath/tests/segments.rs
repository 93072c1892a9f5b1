//! Super-packets: cut just in time, seen again at the other end segment by segment.

use super::harness::*;
use crate::path::LocalAddresses;
use crate::sad::*;
use crate::spd::*;
use crate::*;
use proptest::prelude::*;
use sealway_packet::{Checksum, DontFragment, Egress, Offload, Packet, Segmentation};
use sealway_packet::{SuperPacket, Train};
use sealway_wire::{Family, Layout, build, protocol, tcp};

const ACK_PSH: u8 = tcp::ACK | tcp::PSH;

pub(super) fn from(family: Family) -> build::Packet {
    match family {
        Family::V4 => build::Packet::new(ip("10.1.0.9"), ip("10.2.0.9")),
        Family::V6 => build::Packet::new(ip("fd00:1::9"), ip("fd00:2::9")),
    }
}

pub(super) fn tcp(family: Family, octets: usize) -> Vec<u8> {
    let data: Vec<u8> = (0..octets).map(|n| (n % 251) as u8).collect();
    from(family).dont_fragment().tcp(4000, 80, ACK_PSH, &data)
}

/// The packet as a device hands it over that leaves checksum and segmentation to us.
pub(super) fn offloaded(packet: &[u8], segmentation: Segmentation) -> Packet<()> {
    let layout = Layout::parse(packet).unwrap();
    let checksum = Checksum::Partial {
        start: layout.upper,
        offset: match layout.protocol {
            protocol::UDP => 6,
            _ => 16,
        },
    };
    let mut buffer = sealway_packet::Pool::new(1, 1)
        .take(sealway_packet::SizeClass::Large)
        .unwrap();
    buffer.buffer_mut()[Train::HEADROOM..][..packet.len()].copy_from_slice(packet);
    buffer.set_single(Train::HEADROOM, packet.len());
    Packet {
        train: buffer,
        offload: Offload {
            checksum,
            segmentation: Some(segmentation),
        },
        meta: (),
    }
}

/// What the segments are, cut here and not in the engine.
pub(super) fn segments(packet: &[u8], segmentation: Segmentation) -> Vec<Vec<u8>> {
    let layout = Layout::parse(packet).unwrap();
    let whole = SuperPacket::new(packet, &layout, segmentation).unwrap();
    let segment = |index| {
        let mut octets = vec![0; whole.octets(index)];
        whole.write(index, &mut octets).unwrap();
        octets
    };
    (0..whole.count()).map(segment).collect()
}

/// All trains that a super-packet leaves in, each taken before the next is made.
fn leave(engine: &mut Engine, packet: Packet<()>, mut take: impl FnMut(Egress, Train)) {
    let mut next = match engine.output(packet) {
        Verdict::Sent(transmit) => Some(transmit),
        other => panic!("not sent: {other:?}"),
    };
    while let Some(transmit) = next {
        let (egress, train, offload) = transmit.into_parts();
        assert_eq!(offload, Offload::default());
        take(egress, train);
        next = engine.more();
    }
}

pub(super) fn trains(engine: &mut Engine, packet: Packet<()>) -> Vec<(Egress, Train)> {
    let mut trains = Vec::new();
    leave(engine, packet, |egress, train| trains.push((egress, train)));
    trains
}

/// What arrives of a super-packet at the other end.
pub(super) fn through(a: &mut Engine, b: &mut Engine, packet: Packet<()>) -> Vec<Vec<u8>> {
    let mut arrived = Vec::new();
    leave(a, packet, |egress, train| {
        for segment in train.segments() {
            arrived.push(deliver(b, arrive(egress, segment)));
        }
    });
    assert!(a.stats().balances() && b.stats().balances());
    arrived
}

fn in_udp(mut config: SaConfig) -> SaConfig {
    config.encapsulation = Some(UdpEncapsulation {
        source: 4500,
        destination: 4500,
        peer: Peer::Stays,
    });
    config
}

#[test]
fn a_super_packet_leaves_as_one_gapless_train_after_one_lookup() {
    for family in [Family::V4, Family::V6] {
        let sas = vec![in_udp(sa(LEFT, RIGHT, 0x1000, SaMode::Tunnel))];
        let (mut a, mut b) = pair(family, vec![tunnel(LEFT, RIGHT)], sas);
        let packet = tcp(family, 60_000);
        let trains = trains(&mut a, offloaded(&packet, Segmentation::Tcp(1348)));
        let [(egress, train)] = &trains[..] else {
            panic!("{} trains", trains.len());
        };
        let (octets, step) = train.contiguous().unwrap();
        assert_eq!(train.count(), 60_000_usize.div_ceil(1348));
        let arrived: Vec<_> = octets
            .chunks(step)
            .map(|datagram| deliver(&mut b, arrive(*egress, datagram)))
            .collect();
        assert_eq!(arrived, segments(&packet, Segmentation::Tcp(1348)));
        let stats = a.stats();
        assert_eq!((stats.received_inside, stats.sent), (1, 1));
        assert_eq!(stats.segments, train.count() as u64);
        assert!(stats.balances());
    }
}

#[test]
fn what_finds_no_room_in_one_train_leaves_in_the_next() {
    let sas = vec![sa(LEFT, RIGHT, 0x1000, SaMode::Tunnel)];
    let (mut a, mut b) = pair(Family::V4, vec![tunnel(LEFT, RIGHT)], sas);
    let packet = tcp(Family::V4, 40_000);
    let arrived = through(&mut a, &mut b, offloaded(&packet, Segmentation::Tcp(100)));
    assert_eq!(arrived, segments(&packet, Segmentation::Tcp(100)));
    assert!(a.more().is_none());
    assert_eq!((a.stats().sent, a.stats().partial), (1, 0));
}

#[test]
fn who_does_not_ask_for_more_loses_the_rest_and_it_is_counted() {
    let sas = vec![sa(LEFT, RIGHT, 0x1000, SaMode::Tunnel)];
    let (mut a, _) = pair(Family::V4, vec![tunnel(LEFT, RIGHT)], sas);
    let packet = tcp(Family::V4, 40_000);
    for _ in 0..2 {
        let verdict = a.output(offloaded(&packet, Segmentation::Tcp(100)));
        assert!(matches!(verdict, Verdict::Sent(_)));
    }
    assert_eq!(a.stats().partial, 1);
}

#[test]
fn a_transport_sa_and_nested_sas_take_segments_as_they_take_packets() {
    let tunnel_sa = || sa(LEFT, RIGHT, 0x1000, SaMode::Tunnel);
    let around = || sa(LEFT6, RIGHT6, 0x2000, SaMode::Tunnel);
    let cases = [
        (vec![tunnel(LEFT, RIGHT)], vec![tunnel_sa()]),
        (
            vec![tunnel(LEFT, RIGHT), tunnel(LEFT6, RIGHT6)],
            vec![tunnel_sa(), around()],
        ),
    ];
    for (templates, sas) in cases {
        let (mut a, mut b) = pair(Family::V4, templates, sas);
        let packet = tcp(Family::V4, 9000);
        let arrived = through(&mut a, &mut b, offloaded(&packet, Segmentation::Tcp(1000)));
        assert_eq!(arrived, segments(&packet, Segmentation::Tcp(1000)));
    }
    for (family, left, right) in [(Family::V4, LEFT, RIGHT), (Family::V6, LEFT6, RIGHT6)] {
        let sas = vec![sa(left, right, 0x1000, SaMode::Transport)];
        let (mut a, mut b) = pair(family, vec![TRANSPORT], sas);
        let data = vec![3; 9000];
        let packet = build::Packet::new(ip(left), ip(right)).tcp(1, 2, ACK_PSH, &data);
        let arrived = through(&mut a, &mut b, offloaded(&packet, Segmentation::Tcp(1000)));
        let ports_and_data = |packet: &Vec<u8>| {
            let layout = Layout::parse(packet).unwrap();
            layout.payload(packet).to_vec()
        };
        let wanted = segments(&packet, Segmentation::Tcp(1000));
        let both = [arrived, wanted].map(|all| all.iter().map(ports_and_data).collect::<Vec<_>>());
        assert_eq!(both[0], both[1]);
    }
}

#[test]
fn options_stay_in_front_of_every_segment_in_transport_mode() {
    let sas = vec![sa(LEFT, RIGHT, 0x1000, SaMode::Transport)];
    let (mut a, mut b) = pair(Family::V4, vec![TRANSPORT], sas);
    let packet = build::Packet::new(ip(LEFT), ip(RIGHT))
        .options(&[0x94, 4, 0, 0])
        .id(9)
        .tcp(1, 2, ACK_PSH, &[5; 5000]);
    let mut ids = Vec::new();
    for (egress, train) in trains(&mut a, offloaded(&packet, Segmentation::Tcp(1000))) {
        assert!(matches!(egress, Egress::Whole(_)));
        for segment in train.segments() {
            ids.push(u16::from_be_bytes([segment[4], segment[5]]));
            deliver(&mut b, arrive(egress, segment));
        }
    }
    assert_eq!(ids, [9, 10, 11, 12, 13]);
}

#[test]
fn local_tcp_is_cut_smaller_where_the_path_takes_less_and_forwarded_tcp_is_told() {
    let learn = Command::LearnPathMtu {
        destination: ip(RIGHT),
        mtu: 1280,
    };
    let sas = vec![sa(LEFT, RIGHT, 0x1000, SaMode::Tunnel)];
    let (mut a, mut b) = pair(Family::V4, vec![tunnel(LEFT, RIGHT)], sas);
    a.apply(vec![learn]).unwrap();
    a.begin(Time::default());
    let packet = tcp(Family::V4, 9000);
    let refused = a.output(offloaded(&packet, Segmentation::Tcp(1348)));
    assert!(matches!(refused, Verdict::Dropped(DropReason::TooBig)));
    assert!(a.poll_originated().is_some());

    let local = LocalAddresses::new(vec![ip(LEFT), ip("10.1.0.9")]);
    a.apply(vec![Command::SetLocalAddresses(local)]).unwrap();
    a.begin(Time::default());
    let mut arrived = Vec::new();
    for (egress, train) in trains(&mut a, offloaded(&packet, Segmentation::Tcp(1348))) {
        for sealed in train.segments() {
            assert!(sealed.len() + 20 <= 1280);
            arrived.push(deliver(&mut b, arrive(egress, sealed)));
        }
    }
    let data: Vec<u8> = arrived.iter().flat_map(|s| s[40..].to_vec()).collect();
    assert_eq!(data, packet[40..]);
}

#[test]
fn datagrams_that_are_too_large_are_never_cut_anew() {
    let sas = vec![sa(LEFT, RIGHT, 0x1000, SaMode::Tunnel)];
    let (mut a, mut b) = pair(Family::V4, vec![tunnel(LEFT, RIGHT)], sas);
    let packet = from(Family::V4).udp(1, 2, &[1; 6000]);
    let trains = trains(&mut a, offloaded(&packet, Segmentation::Udp(2000)));
    let mut arrived = Vec::new();
    for (egress, train) in trains {
        assert_eq!(outer_of(egress).dont_fragment, DontFragment::Clear);
        arrived.extend(train.segments().map(|s| deliver(&mut b, arrive(egress, s))));
    }
    assert_eq!(arrived, segments(&packet, Segmentation::Udp(2000)));
    let packet = from(Family::V4).dont_fragment().udp(1, 2, &[1; 6000]);
    let refused = a.output(offloaded(&packet, Segmentation::Udp(2000)));
    assert!(matches!(refused, Verdict::Dropped(DropReason::TooBig)));
}

#[test]
fn a_clear_flow_keeps_its_super_packets() {
    let bypass = policy(Direction::Out, Family::V4, Action::Bypass);
    let mut a = engine(&[LEFT], vec![Command::AddPolicy(bypass)]);
    let packet = tcp(Family::V4, 60_000);
    let wanted = offloaded(&packet, Segmentation::Tcp(1460)).offload;
    let Verdict::Sent(transmit) = a.output(offloaded(&packet, Segmentation::Tcp(1460))) else {
        panic!("not sent");
    };
    let (egress, train, offload) = transmit.into_parts();
    assert_eq!((egress, offload), (Egress::Clear, wanted));
    assert_eq!((train.count(), train.packet()), (1, &packet[..]));
    assert_eq!(a.stats().segments, 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn segments_arrive_as_if_they_had_been_sent_one_by_one(
        v6: bool, in_tunnel: bool, encapsulated: bool, extended_numbers: bool, is_udp: bool,
        size in 1u16..1300, octets in 1usize..20_000,
    ) {
        let family = if v6 { Family::V6 } else { Family::V4 };
        let (left, right) = if v6 { (LEFT6, RIGHT6) } else { (LEFT, RIGHT) };
        let mode = if in_tunnel { SaMode::Tunnel } else { SaMode::Transport };
        let mut config = sa(left, right, 0x1000, mode);
        if extended_numbers { config = extended(config); }
        if encapsulated { config = in_udp(config); }
        let template = if in_tunnel { tunnel(left, right) } else { TRANSPORT };
        let from = if in_tunnel { from(family) } else {
            build::Packet::new(ip(left), ip(right))
        };
        let data = vec![7; octets];
        let (packet, segmentation) = if is_udp {
            (from.udp(1, 2, &data), Segmentation::Udp(size))
        } else {
            (from.tcp(1, 2, ACK_PSH, &data), Segmentation::Tcp(size))
        };
        let pairs = || pair(family, vec![template], vec![config.clone()]);
        let (mut a, mut b) = pairs();
        let together = through(&mut a, &mut b, offloaded(&packet, segmentation));
        let (mut c, mut d) = pairs();
        let one_by_one: Vec<_> = segments(&packet, segmentation)
            .iter()
            .map(|segment| {
                let (egress, train) = send(&mut c, segment);
                deliver(&mut d, arrive(egress, train.packet()))
            })
            .collect();
        prop_assert_eq!(together, one_by_one);
    }
}

#[test]
fn a_checksum_that_is_not_where_the_device_says_drops_the_packet_by_name() {
    let (mut a, _) = pair(
        Family::V4,
        vec![tunnel(LEFT, RIGHT)],
        vec![sa(LEFT, RIGHT, 0x1000, SaMode::Tunnel)],
    );
    let packet = tcp(Family::V4, 3000);
    for (start, offset) in [
        (0, 16),
        (20, 6),
        (24, 12),
        (40, 16),
        (3030, 16),
        (u16::MAX, u16::MAX),
    ] {
        for segmentation in [None, Some(Segmentation::Tcp(1300))] {
            let mut packet = offloaded(&packet, Segmentation::Tcp(1300));
            packet.offload = Offload {
                checksum: Checksum::Partial { start, offset },
                segmentation,
            };
            let verdict = a.output(packet);
            assert!(matches!(verdict, Verdict::Dropped(DropReason::Checksum)));
        }
    }
    assert!(a.stats().balances());
}

#[test]
fn what_cannot_be_cut_as_the_device_says_is_dropped_by_name() {
    let (mut a, _) = pair(
        Family::V4,
        vec![tunnel(LEFT, RIGHT)],
        vec![sa(LEFT, RIGHT, 0x1000, SaMode::Tunnel)],
    );
    let tcp = tcp(Family::V4, 3000);
    let udp = from(Family::V4).udp(5, 6, &[7; 3000]);
    let with_data = |octets| self::tcp(Family::V4, octets);
    let with_offset = |offset: u8| {
        let mut packet = tcp.clone();
        packet[32] = offset << 4;
        packet
    };
    for (packet, segmentation) in [
        // No size, another protocol than it says, …
        (tcp.clone(), Segmentation::Tcp(0)),
        (udp.clone(), Segmentation::Udp(0)),
        (tcp.clone(), Segmentation::Udp(1000)),
        (udp, Segmentation::Tcp(1000)),
        // … a header shorter than TCP's, and nothing behind it.
        (with_offset(4), Segmentation::Tcp(1000)),
        (with_offset(0), Segmentation::Tcp(1000)),
        (with_data(0), Segmentation::Tcp(1000)),
    ] {
        let verdict = a.output(offloaded(&packet, segmentation));
        assert!(matches!(
            verdict,
            Verdict::Dropped(DropReason::Segmentation)
        ));
    }
    let mut cut_off = offloaded(&tcp, Segmentation::Tcp(1000));
    cut_off.train.truncate(30);
    assert!(matches!(a.output(cut_off), Verdict::Dropped(_)));
    assert!(a.stats().balances());
}
