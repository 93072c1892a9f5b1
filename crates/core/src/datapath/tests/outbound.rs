//! The outbound road, its inner packets seen again at the other end.

use super::harness::*;
use crate::sad::*;
use crate::spd::*;
use crate::*;
use sealway_crypto::{SecretKey, Suite};
use sealway_packet::{DontFragment, Egress, Encapsulation};
use sealway_wire::{Family, Layout, build, ecn, protocol};

#[test]
fn a_tunnel_carries_either_family_in_either_family() {
    for (left, right) in [(LEFT, RIGHT), (LEFT6, RIGHT6)] {
        for family in [Family::V4, Family::V6] {
            let sas = vec![sa(left, right, 0x1000, SaMode::Tunnel)];
            let (mut a, mut b) = pair(family, vec![tunnel(left, right)], sas);
            for octets in [0, 1, 2, 3, 100, 1300] {
                let packet = inside(family, octets);
                let (egress, train) = send(&mut a, &packet);
                let outer = outer_of(egress);
                assert_eq!((outer.source, outer.destination), (ip(left), ip(right)));
                assert_eq!(deliver(&mut b, arrive(egress, train.packet())), packet);
            }
            assert!(a.stats().balances() && b.stats().balances());
        }
    }
}

#[test]
fn every_suite_carries_packets_with_and_without_extended_numbers() {
    for suite in Suite::all() {
        for extend in [false, true] {
            let mut config = sa(LEFT, RIGHT, 0x1000, SaMode::Tunnel);
            config.suite = suite;
            config.encryption_key = SecretKey::new(vec![7; suite.key_octets()]);
            config.authentication_key = SecretKey::new(vec![9; suite.authentication_key_octets()]);
            if extend {
                config = extended(config);
                config.sequence.start = 0xffff_fffe;
            }
            let (mut a, mut b) = pair(Family::V4, vec![tunnel(LEFT, RIGHT)], vec![config]);
            for octets in 0..40 {
                let packet = inside(Family::V4, octets);
                let (egress, train) = send(&mut a, &packet);
                let came = deliver(&mut b, arrive(egress, train.packet()));
                assert_eq!(came, packet, "{}", suite.name());
            }
        }
    }
}

#[test]
fn transport_mode_keeps_the_header_in_both_families() {
    for (left, right, family) in [(LEFT, RIGHT, Family::V4), (LEFT6, RIGHT6, Family::V6)] {
        let sas = vec![sa(left, right, 0x1000, SaMode::Transport)];
        let (mut a, mut b) = pair(family, vec![TRANSPORT], sas);
        let packet = build::Packet::new(ip(left), ip(right))
            .tos(0x28)
            .hop_limit(9)
            .udp(1, 2, b"hello");
        let (egress, train) = send(&mut a, &packet);
        let outer = outer_of(egress);
        assert!(matches!(egress, Egress::Payload(_)));
        assert_eq!((outer.tos, outer.hop_limit), (0x28, 9));
        assert_eq!(deliver(&mut b, arrive_whole(egress, &train)), {
            let mut expected = packet.clone();
            if family == Family::V4 {
                expected[4..6].copy_from_slice(&[0, 7]);
                sealway_wire::ipv4::update_checksum(&mut expected);
            }
            expected
        });
    }
}

#[test]
fn transport_mode_leaves_options_and_extension_headers_in_front() {
    let v6 = build::Packet::new(ip(LEFT6), ip(RIGHT6))
        .extension(protocol::HOP_BY_HOP, &[1, 4, 0, 0, 0, 0])
        .extension(protocol::DESTINATION_OPTIONS, &[1, 4, 0, 0, 0, 0])
        .udp(1, 2, b"hello");
    let v4 = build::Packet::new(ip(LEFT), ip(RIGHT))
        .options(&[148, 4, 0, 0])
        .udp(1, 2, b"hello");
    for (packet, left, right) in [(v6, LEFT6, RIGHT6), (v4, LEFT, RIGHT)] {
        let family = Layout::parse(&packet).unwrap().family;
        let sas = vec![sa(left, right, 0x1000, SaMode::Transport)];
        let (mut a, mut b) = pair(family, vec![TRANSPORT], sas);
        let (egress, train) = send(&mut a, &packet);
        assert!(matches!(egress, Egress::Whole(_)));
        let layout = Layout::parse(train.packet()).unwrap();
        assert_eq!(layout.protocol, protocol::ESP);
        assert_eq!(deliver(&mut b, arrive(egress, train.packet())), packet);
    }
}

#[test]
fn transport_inside_a_tunnel_and_a_tunnel_inside_another_come_out_again() {
    let packet = udp(LEFT, RIGHT, 200);
    let templates = vec![TRANSPORT, tunnel(LEFT6, RIGHT6)];
    let sas = vec![
        sa(LEFT, RIGHT, 0x1000, SaMode::Transport),
        sa(LEFT6, RIGHT6, 0x1001, SaMode::Tunnel),
    ];
    let (mut a, mut b) = pair(Family::V4, templates, sas);
    let (egress, train) = send(&mut a, &packet);
    assert_eq!(outer_of(egress).destination, ip(RIGHT6));
    let came = deliver(&mut b, arrive(egress, train.packet()));
    assert_eq!(came[20..], packet[20..]);

    let templates = vec![tunnel(LEFT, RIGHT), tunnel(LEFT6, RIGHT6)];
    let sas = vec![
        sa(LEFT, RIGHT, 0x1000, SaMode::Tunnel),
        sa(LEFT6, RIGHT6, 0x1001, SaMode::Tunnel),
    ];
    let (mut a, mut b) = pair(Family::V4, templates, sas);
    let packet = inside(Family::V4, 500);
    let (egress, train) = send(&mut a, &packet);
    assert_eq!(deliver(&mut b, arrive(egress, train.packet())), packet);
}

#[test]
fn esp_in_udp_says_its_ports_and_comes_out_at_the_other_end() {
    for (mode, template) in [
        (SaMode::Tunnel, tunnel(LEFT, RIGHT)),
        (SaMode::Transport, TRANSPORT),
    ] {
        let mut config = sa(LEFT, RIGHT, 0x1000, mode);
        config.encapsulation = Some(UdpEncapsulation {
            source: 4500,
            destination: 4501,
            peer: Peer::Stays,
        });
        let (mut a, mut b) = pair(Family::V4, vec![template], vec![config]);
        let packet = udp(LEFT, RIGHT, 50);
        let (egress, train) = send(&mut a, &packet);
        let expected = Encapsulation::Udp {
            source: 4500,
            destination: 4501,
        };
        assert_eq!(outer_of(egress).encapsulation, expected);
        assert_eq!(
            deliver(&mut b, arrive(egress, train.packet()))[20..],
            packet[20..]
        );
    }
}

#[test]
fn esp_in_udp_inside_a_tunnel_has_its_udp_header_whatever_options_the_packet_had() {
    let mut inner = sa(LEFT, RIGHT, 0x1000, SaMode::Transport);
    inner.encapsulation = Some(UdpEncapsulation {
        source: 4500,
        destination: 4501,
        peer: Peer::Stays,
    });
    let outer = sa(LEFT6, RIGHT6, 0x1001, SaMode::Tunnel);
    let (mut a, _) = pair(
        Family::V4,
        vec![TRANSPORT, tunnel(LEFT6, RIGHT6)],
        vec![inner, outer.clone()],
    );
    let mut b = engine(&[RIGHT6], vec![add_sa(outer)]);
    let lax = policy(Direction::Fwd, Family::V4, {
        Action::Protect(vec![tunnel(LEFT6, RIGHT6)])
    });
    b.apply(vec![Command::AddPolicy(lax)]).unwrap();
    b.begin(Time::default());
    let packet = build::Packet::new(ip(LEFT), ip(RIGHT));
    for packet in [packet.clone(), packet.options(&[148, 4, 0, 0])] {
        let (egress, train) = send(&mut a, &packet.udp(1, 2, b"hello"));
        let came = deliver(&mut b, arrive(egress, train.packet()));
        let layout = Layout::parse(&came).unwrap();
        assert_eq!(layout.protocol, protocol::UDP);
        let (source, destination) = (4500, 4501);
        assert_eq!(
            layout.ports,
            sealway_wire::Ports::Pair {
                source,
                destination
            }
        );
    }
}

#[test]
fn the_outer_header_takes_dscp_ecn_and_dont_fragment_as_the_standards_say() {
    let cases = [
        (DontFragmentRule::Copy, true, DontFragment::Set),
        (DontFragmentRule::Copy, false, DontFragment::Clear),
        (DontFragmentRule::Set, false, DontFragment::Set),
        (DontFragmentRule::Clear, true, DontFragment::Clear),
    ];
    for (rule, inner, outer_bit) in cases {
        let mut config = sa(LEFT, RIGHT, 0x1000, SaMode::Tunnel);
        config.dont_fragment = rule;
        let (mut a, mut b) = pair(Family::V4, vec![tunnel(LEFT, RIGHT)], vec![config]);
        let mut packet = build::Packet::new(ip("10.1.0.9"), ip("10.2.0.9")).tos(0xb8 | ecn::ECT_0);
        if inner {
            packet = packet.dont_fragment();
        }
        let packet = packet.udp(1, 2, b"x");
        let (egress, train) = send(&mut a, &packet);
        let mut outer = outer_of(egress);
        assert_eq!(
            (outer.tos, outer.dont_fragment),
            (0xb8 | ecn::ECT_0, outer_bit)
        );
        outer.tos |= ecn::CE;
        let came = deliver(&mut b, arrive(Egress::Payload(outer), train.packet()));
        assert_eq!(
            came[1],
            0xb8 | ecn::CE,
            "congestion seen outside is told inside"
        );
        assert!(sealway_wire::ipv4::checksum_ok(&came));
    }
}

#[test]
fn a_packet_that_may_be_fragmented_is_before_the_tunnel() {
    let sas = vec![sa(LEFT, RIGHT, 0x1000, SaMode::Tunnel)];
    let (mut a, mut b) = pair(Family::V4, vec![tunnel(LEFT, RIGHT)], sas);
    let packet = inside(Family::V4, 4000);
    let (egress, train) = send(&mut a, &packet);
    assert_eq!(train.count(), 3);
    let mut data = Vec::new();
    for segment in train.segments() {
        assert!(segment.len() + 20 <= 1500);
        let fragment = deliver(&mut b, arrive(egress, segment));
        data.extend_from_slice(&fragment[20..]);
    }
    assert_eq!(data, packet[20..]);
    assert!(a.stats().balances());
}

#[test]
fn the_largest_packet_fits_exactly_and_one_more_octet_is_too_big() {
    for suite in Suite::all() {
        for (left, right, header) in [(LEFT, RIGHT, 20), (LEFT6, RIGHT6, 40)] {
            let mut config = sa(left, right, 0x1000, SaMode::Tunnel);
            config.suite = suite;
            config.encryption_key = SecretKey::new(vec![7; suite.key_octets()]);
            config.authentication_key = SecretKey::new(vec![9; suite.authentication_key_octets()]);
            let (mut a, _) = pair(Family::V6, vec![tunnel(left, right)], vec![config]);
            let mut octets = 1500;
            while let Verdict::Dropped(reason) = a.output(sealway_packet::Packet::new(
                sealway_packet::Train::detached(&inside(Family::V6, octets)),
                (),
            )) {
                assert_eq!(reason, DropReason::TooBig);
                octets -= 1;
            }
            let told = a.poll_originated().unwrap().octets().to_vec();
            let mtu = u32::from_be_bytes(told[44..48].try_into().unwrap());
            assert_eq!(mtu as usize, octets + 48, "{}", suite.name());
            let (_, train) = send(&mut a, &inside(Family::V6, octets));
            let outer = train.packet().len() + header;
            assert!(
                outer <= 1500 && outer + suite.block().max(4) > 1500,
                "{outer}"
            );
            assert!(a.stats().balances());
        }
    }
}

#[test]
fn no_sender_is_asked_to_go_below_the_minimum_of_its_protocol() {
    let sas = vec![sa(LEFT6, RIGHT6, 0x1000, SaMode::Tunnel)];
    let (mut a, mut b) = pair(Family::V6, vec![tunnel(LEFT6, RIGHT6)], sas);
    let shrink = Command::LearnPathMtu {
        destination: ip(RIGHT6),
        mtu: 1280,
    };
    a.apply(vec![shrink]).unwrap();
    a.begin(Time::default());
    assert_eq!(
        refuse(&mut a, &inside(Family::V6, 1400)),
        DropReason::TooBig
    );
    let told = a.poll_originated().unwrap().octets().to_vec();
    assert_eq!(u32::from_be_bytes(told[44..48].try_into().unwrap()), 1280);
    let packet = inside(Family::V6, 1280 - 48);
    let (egress, train) = send(&mut a, &packet);
    assert_eq!(outer_of(egress).dont_fragment, DontFragment::Clear);
    assert_eq!(deliver(&mut b, arrive(egress, train.packet())), packet);
}

#[test]
fn transport_mode_makes_fragments_whole_before_it_protects_them() {
    let sas = vec![sa(LEFT, RIGHT, 0x1000, SaMode::Transport)];
    let (mut a, mut b) = pair(Family::V4, vec![TRANSPORT], sas);
    let packet = udp(LEFT, RIGHT, 3000);
    let layout = Layout::parse(&packet).unwrap();
    let split = sealway_wire::fragment::Split::new(&packet, &layout, 1500, 0).unwrap();
    let mut sent = None;
    for piece in split.pieces() {
        let mut octets = [0; 1500];
        let length = split.write(&packet, &piece, &mut octets).unwrap();
        let train = sealway_packet::Train::detached(&octets[..length]);
        match a.output(sealway_packet::Packet::new(train, ())) {
            Verdict::Consumed => {}
            Verdict::Sent(transmit) => sent = Some(transmit.into_parts()),
            other => panic!("{other:?}"),
        }
    }
    let (egress, train, _) = sent.unwrap();
    assert_eq!(outer_of(egress).dont_fragment, DontFragment::Clear);
    assert_eq!(
        deliver(&mut b, arrive(egress, train.packet()))[20..],
        packet[20..]
    );
    assert!(a.stats().balances());
}

#[test]
fn overlapping_fragments_are_dropped_with_their_datagram() {
    let sas = vec![sa(LEFT, RIGHT, 0x1000, SaMode::Transport)];
    let (mut a, _) = pair(Family::V4, vec![TRANSPORT], sas);
    let packet = udp(LEFT, RIGHT, 3000);
    let layout = Layout::parse(&packet).unwrap();
    let split = sealway_wire::fragment::Split::new(&packet, &layout, 1500, 0).unwrap();
    let piece = |n| {
        let mut octets = [0; 1500];
        let piece = split.pieces().nth(n).unwrap();
        let length = split.write(&packet, &piece, &mut octets).unwrap();
        sealway_packet::Packet::new(sealway_packet::Train::detached(&octets[..length]), ())
    };
    assert!(matches!(a.output(piece(0)), Verdict::Consumed));
    assert!(matches!(
        a.output(piece(0)),
        Verdict::Dropped(DropReason::FragmentOverlap)
    ));
    assert!(matches!(a.output(piece(1)), Verdict::Consumed));
    assert!(
        matches!(a.output(piece(2)), Verdict::Consumed),
        "the first is missing"
    );
}

#[test]
fn a_missing_sa_drops_by_name_and_level_use_goes_in_the_clear_until_it_comes() {
    let (mut a, _) = pair(Family::V4, vec![tunnel(LEFT, RIGHT)], vec![]);
    assert_eq!(refuse(&mut a, &inside(Family::V4, 9)), DropReason::NoSaOut);

    let lax = Template {
        level: Level::Use,
        ..TRANSPORT
    };
    let (mut a, _) = pair(Family::V4, vec![lax], vec![]);
    let packet = udp(LEFT, RIGHT, 9);
    assert_eq!(send(&mut a, &packet).0, Egress::Clear);
    let config = sa(LEFT, RIGHT, 0x1000, SaMode::Transport);
    a.apply(vec![add_sa(config)]).unwrap();
    a.begin(Time::default());
    assert!(
        matches!(send(&mut a, &packet).0, Egress::Payload(_)),
        "from the first packet on"
    );
}

#[test]
fn the_newest_sa_is_used_as_soon_as_it_appears_and_no_longer_once_it_is_gone() {
    let sas = vec![sa(LEFT, RIGHT, 0x1000, SaMode::Tunnel)];
    let (mut a, _) = pair(Family::V4, vec![tunnel(LEFT, RIGHT)], sas);
    let packet = inside(Family::V4, 9);
    let spi =
        |train: &sealway_packet::Train| u32::from_be_bytes(train.packet()[..4].try_into().unwrap());
    assert_eq!(spi(&send(&mut a, &packet).1), 0x1000);
    let newer = sa(LEFT, RIGHT, 0x2000, SaMode::Tunnel);
    let id = newer.id;
    a.apply(vec![add_sa(newer)]).unwrap();
    assert_eq!(
        spi(&send(&mut a, &packet).1),
        0x1000,
        "a batch is judged by one version"
    );
    a.begin(Time::default());
    assert_eq!(spi(&send(&mut a, &packet).1), 0x2000);
    a.apply(vec![Command::DeleteSa(id)]).unwrap();
    a.begin(Time::default());
    assert_eq!(spi(&send(&mut a, &packet).1), 0x1000);
}

#[test]
fn stale_bundle_is_not_used_after_policy_insert() {
    let sas = vec![sa(LEFT, RIGHT, 0x1000, SaMode::Tunnel)];
    let (mut a, _) = pair(Family::V4, vec![tunnel(LEFT, RIGHT)], sas);
    let packet = inside(Family::V4, 9);
    let _ = send(&mut a, &packet);
    let mut discard = policy(Direction::Out, Family::V4, Action::Discard);
    discard.priority = 1;
    a.apply(vec![Command::AddPolicy(discard)]).unwrap();
    a.begin(Time::default());
    assert_eq!(refuse(&mut a, &packet), DropReason::PolicyDiscardOut);
}

#[test]
fn an_sa_stops_at_its_last_number_and_never_comes_round() {
    let mut config = sa(LEFT, RIGHT, 0x1000, SaMode::Tunnel);
    config.sequence.start = u64::from(u32::MAX) - 2;
    let (mut a, _) = pair(Family::V4, vec![tunnel(LEFT, RIGHT)], vec![config]);
    let packet = inside(Family::V4, 9);
    let _ = send(&mut a, &packet);
    let _ = send(&mut a, &packet);
    for _ in 0..3 {
        assert_eq!(refuse(&mut a, &packet), DropReason::SequenceExhausted);
    }
}

#[test]
fn an_sa_added_again_with_the_same_keys_continues_its_sequence() {
    let config = sa(LEFT, RIGHT, 0x1000, SaMode::Tunnel);
    let (mut a, mut b) = pair(Family::V4, vec![tunnel(LEFT, RIGHT)], vec![config.clone()]);
    let packet = inside(Family::V4, 9);
    let (egress, train) = send(&mut a, &packet);
    let _ = deliver(&mut b, arrive(egress, train.packet()));
    a.apply(vec![Command::DeleteSa(config.id), add_sa(config.clone())])
        .unwrap();
    a.begin(Time::default());
    let (egress, train) = send(&mut a, &packet);
    assert_eq!(train.packet()[4..8], [0, 0, 0, 2]);
    let _ = deliver(&mut b, arrive(egress, train.packet()));
}

#[test]
fn without_policies_the_default_decides_and_the_links_own_talk_has_its_own_name() {
    let mut a = engine(&[LEFT], vec![]);
    assert_eq!(
        refuse(&mut a, &inside(Family::V4, 9)),
        DropReason::NoPolicyOut
    );
    let mld = build::Packet::new(ip("fe80::1"), ip("ff02::16")).icmp(143, 0, 0, &[]);
    assert_eq!(refuse(&mut a, &mld), DropReason::LinkLocal);
    a.apply(vec![Command::SetDefault(DefaultAction::Bypass)])
        .unwrap();
    a.begin(Time::default());
    assert_eq!(send(&mut a, &inside(Family::V4, 9)).0, Egress::Clear);
}

#[test]
fn no_flow_passes_any_more_once_the_default_is_to_discard() {
    let elsewhere = PolicyConfig {
        selector: ports(Family::V4, protocol::TCP, 1),
        ..policy(Direction::Out, Family::V4, Action::Discard)
    };
    let mut a = engine(
        &[LEFT],
        vec![
            Command::AddPolicy(elsewhere),
            Command::SetDefault(DefaultAction::Bypass),
        ],
    );
    assert_eq!(send(&mut a, &inside(Family::V4, 9)).0, Egress::Clear);
    a.apply(vec![Command::SetDefault(DefaultAction::Discard)])
        .unwrap();
    a.begin(Time::default());
    assert_eq!(
        refuse(&mut a, &inside(Family::V4, 9)),
        DropReason::NoPolicyOut
    );
}

#[test]
fn later_fragments_go_where_their_first_went() {
    let mut guarded = policy(
        Direction::Out,
        Family::V4,
        Action::Protect(vec![tunnel(LEFT, RIGHT)]),
    );
    guarded.selector = ports(Family::V4, protocol::UDP, 53);
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
    let packet = inside(Family::V4, 3000);
    let layout = Layout::parse(&packet).unwrap();
    let split = sealway_wire::fragment::Split::new(&packet, &layout, 1000, 0).unwrap();
    let pieces: Vec<Vec<u8>> = split
        .pieces()
        .map(|piece| {
            let mut octets = [0; 1500];
            let length = split.write(&packet, &piece, &mut octets).unwrap();
            octets[..length].to_vec()
        })
        .collect();
    assert_eq!(refuse(&mut a, &pieces[1]), DropReason::FragmentNoState);
    for piece in &pieces {
        assert!(matches!(send(&mut a, piece).0, Egress::Payload(_)));
    }
}

#[test]
fn an_sa_that_was_removed_gives_no_number_that_its_successor_will_use() {
    let config = sa(LEFT, RIGHT, 0x1000, SaMode::Tunnel);
    let (mut a, mut b) = pair(Family::V4, vec![tunnel(LEFT, RIGHT)], vec![config.clone()]);
    let packet = inside(Family::V4, 9);
    let (egress, train) = send(&mut a, &packet);
    let _ = deliver(&mut b, arrive(egress, train.packet()));
    a.apply(vec![Command::DeleteSa(config.id), add_sa(config)])
        .unwrap();
    // Still the batch that was begun under the old tables.
    assert_eq!(refuse(&mut a, &packet), DropReason::SequenceExhausted);
    a.begin(Time::default());
    let (egress, train) = send(&mut a, &packet);
    let _ = deliver(&mut b, arrive(egress, train.packet()));
}

#[test]
fn a_batch_that_was_begun_sends_by_an_sa_that_is_removed_and_its_keys_go_on_above_that() {
    let config = sa(LEFT, RIGHT, 0x1000, SaMode::Tunnel);
    let sas = vec![config.clone()];
    let (mut a, _) = pair(Family::V4, vec![tunnel(LEFT, RIGHT)], sas);
    let packet = inside(Family::V4, 9);
    let number = |engine: &mut Engine| {
        let (_, train) = send(engine, &packet);
        let (spi, number) = train.packet()[..8].split_at(4);
        [spi, number].map(|word| u32::from_be_bytes(word.try_into().unwrap()))
    };
    assert_eq!(number(&mut a), [0x1000, 1]);
    let other = sa(LEFT, RIGHT, 0x1001, SaMode::Tunnel);
    let removal = Command::DeleteSa(config.id);
    a.apply(vec![removal, add_sa(other.clone())]).unwrap();
    // Packets of a moment ago: nothing is lost while SAs are replaced.
    assert_eq!(number(&mut a), [0x1000, 2]);
    a.begin(Time::default());
    assert_eq!(number(&mut a), [0x1001, 1]);
    a.apply(vec![Command::DeleteSa(other.id), add_sa(config)])
        .unwrap();
    a.begin(Time::default());
    assert_eq!(number(&mut a), [0x1000, 3]);
}

#[test]
fn on_a_path_below_the_minimum_outer_packets_may_be_fragmented() {
    let sas = vec![sa(LEFT, RIGHT, 0x1000, SaMode::Tunnel)];
    let (mut a, _) = pair(Family::V4, vec![tunnel(LEFT, RIGHT)], sas);
    let packet = build::Packet::new(ip("10.1.0.9"), ip("10.2.0.9")).dont_fragment();
    let packet = packet.udp(4000, 53, &[7; 300]);
    for (mtu, expected) in [
        (576, DontFragment::Set),
        (400, DontFragment::Clear),
        (300, DontFragment::Clear),
    ] {
        let destination = ip(RIGHT);
        a.apply(vec![Command::LearnPathMtu { destination, mtu }])
            .unwrap();
        a.begin(Time::default());
        let (egress, _) = send(&mut a, &packet);
        assert_eq!(outer_of(egress).dont_fragment, expected, "MTU {mtu}");
    }
}
