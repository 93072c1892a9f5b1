//! Checksums: full against incremental, and what they cover.

use proptest::collection::vec;
use proptest::prelude::*;
use sealway_wire::build::Packet;
use sealway_wire::{Layout, checksum, ipv4, ipv6, protocol, tcp, udp, view, view_mut};

use crate::strategies;

/// RFC 1071 §4.1, word by word.
fn naive(octets: &[u8]) -> u16 {
    let mut sum = 0u32;
    for pair in octets.chunks(2) {
        sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
        sum = (sum >> 16) + (sum & 0xffff);
    }
    !(sum as u16)
}

fn v4() -> Packet {
    Packet::new(
        "192.0.2.1".parse().unwrap(),
        "198.51.100.2".parse().unwrap(),
    )
}

fn v6() -> Packet {
    Packet::new(
        "2001:db8::1".parse().unwrap(),
        "2001:db8:1::2".parse().unwrap(),
    )
}

#[test]
fn the_example_of_rfc_1071_sums_up() {
    let octets = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
    assert_eq!(checksum::sum(&octets).finish(), !0xddf2);
}

#[test]
fn the_example_of_rfc_1624_adjusts() {
    // §4: the header's checksum was 0xdd2f, a word under it goes from 0x5555 to 0x3285.
    assert_eq!(checksum::adjust(0xdd2f, 0x5555, 0x3285), 0x0000);
}

#[test]
fn long_runs_of_ones_do_not_overflow() {
    let octets = vec![0xff; 200_001];
    assert_eq!(checksum::sum(&octets).finish(), naive(&octets));
}

#[test]
fn a_udp_checksum_that_comes_out_as_zero_is_sent_as_ones() {
    // The data is chosen so that everything under the checksum adds up to ones.
    let mut packet = v4().udp(1, 2, &[0, 0]);
    let layout = Layout::parse(&packet).unwrap();
    let missing = view::<udp::Header>(&packet, 20).unwrap().checksum.get();
    packet[28..].copy_from_slice(&missing.to_be_bytes());
    assert!(checksum::fill_transport(&mut packet, &layout));
    assert_eq!(
        view::<udp::Header>(&packet, 20).unwrap().checksum.get(),
        0xffff
    );
    assert!(checksum::verify_transport(&packet, &layout));
}

#[test]
fn udp_may_go_without_a_checksum_over_ipv4_only() {
    for (mut packet, allowed) in [
        (v4().udp(1, 2, b"abc"), true),
        (v6().udp(1, 2, b"abc"), false),
    ] {
        let layout = Layout::parse(&packet).unwrap();
        let at = usize::from(layout.upper);
        view_mut::<udp::Header>(&mut packet, at)
            .unwrap()
            .checksum
            .set(0);
        assert_eq!(checksum::verify_transport(&packet, &layout), allowed);
    }
}

#[test]
fn udp_covers_what_its_own_length_says() {
    let mut packet = v4().udp(1, 2, b"covered, beyond");
    view_mut::<udp::Header>(&mut packet, 20)
        .unwrap()
        .length
        .set(8 + 7);
    let layout = Layout::parse(&packet).unwrap();
    assert!(checksum::fill_transport(&mut packet, &layout));
    packet[40] ^= 0xff;
    assert!(checksum::verify_transport(&packet, &layout));
    packet[28] ^= 0xff;
    assert!(!checksum::verify_transport(&packet, &layout));
    for nonsense in [7, 24] {
        view_mut::<udp::Header>(&mut packet, 20)
            .unwrap()
            .length
            .set(nonsense);
        assert!(!checksum::fill_transport(&mut packet, &layout));
        assert!(!checksum::verify_transport(&packet, &layout));
    }
}

#[test]
fn udp_lite_covers_what_its_coverage_says() {
    let header = [0, 1, 0, 2, 0, 12, 0, 0];
    let mut packet = v6().payload(protocol::UDP_LITE, &[&header[..], &[7; 20]].concat());
    let layout = Layout::parse(&packet).unwrap();
    assert!(checksum::fill_transport(&mut packet, &layout));
    packet[40 + 13] ^= 0xff;
    assert!(checksum::verify_transport(&packet, &layout));
    packet[40 + 11] ^= 0xff;
    assert!(!checksum::verify_transport(&packet, &layout));
}

#[test]
fn fragments_and_protocols_without_checksum_are_left_alone() {
    let fragment = sealway_wire::Fragment {
        offset: 0,
        more: true,
        id: 1,
    };
    let packets = [
        v6().fragment(fragment).payload(protocol::UDP, &[1; 16]),
        v4().payload(protocol::ESP, &[1; 16]),
        v4().payload(protocol::GRE, &[1; 16]),
    ];
    for packet in packets {
        let layout = Layout::parse(&packet).unwrap();
        let mut filled = packet.clone();
        assert!(!checksum::fill_transport(&mut filled, &layout));
        assert_eq!(packet, filled);
        assert!(checksum::verify_transport(&packet, &layout));
    }
}

#[test]
fn a_header_that_is_cut_off_has_no_right_checksum() {
    for number in [
        protocol::TCP,
        protocol::UDP,
        protocol::ICMP,
        protocol::ICMPV6,
    ] {
        let mut packet = v4().payload(number, &[0; 3]);
        let layout = Layout::parse(&packet).unwrap();
        assert!(!checksum::verify_transport(&packet, &layout));
        assert!(!checksum::fill_transport(&mut packet, &layout));
    }
}

#[test]
fn the_final_destination_is_what_counts_under_a_routing_header() {
    let last: std::net::Ipv6Addr = "2001:db8:ffff::9".parse().unwrap();
    let type_0 = [&[0, 2, 0, 0, 0, 0][..], &[0x20; 16], &last.octets()].concat();
    let type_2 = [&[2, 1, 0, 0, 0, 0][..], &last.octets()].concat();
    let type_4 = [&[4, 1, 1, 0, 0, 0][..], &last.octets(), &[0x20; 16]].concat();
    for body in [type_0, type_2, type_4] {
        let describe = |body: &[u8]| {
            v6().extension(protocol::HOP_BY_HOP, &[])
                .extension(protocol::ROUTING, body)
        };
        let packet = describe(&body).tcp(1, 2, tcp::ACK, b"data");
        let layout = Layout::parse(&packet).unwrap();
        assert_eq!(ipv6::final_destination(&packet, &layout), last);
        assert!(checksum::verify_transport(&packet, &layout));
        // Once there, the destination has been swapped in and no segment is left.
        let mut arrived = packet.clone();
        view_mut::<ipv6::Header>(&mut arrived, 0)
            .unwrap()
            .set_destination(last);
        arrived[40 + 8 + 3] = 0;
        assert_eq!(ipv6::final_destination(&arrived, &layout), last);
        assert!(checksum::verify_transport(&arrived, &layout));
    }
}

#[test]
fn a_routing_header_too_short_for_its_segments_names_no_destination() {
    for kind in [0, 2, 4] {
        let packet = v6()
            .extension(protocol::ROUTING, &[kind, 1, 0, 0, 0, 0])
            .udp(1, 2, &[7; 16]);
        let layout = Layout::parse(&packet).unwrap();
        assert_eq!(
            ipv6::final_destination(&packet, &layout),
            layout.destination(&packet)
        );
    }
}

proptest! {
    #[test]
    fn the_fast_sum_is_the_slow_one(octets in vec(any::<u8>(), 0..300)) {
        prop_assert_eq!(checksum::sum(&octets).finish(), naive(&octets));
    }

    #[test]
    fn sums_of_even_pieces_add_up(octets in vec(any::<u8>(), 0..300), cut in 0usize..150) {
        let (a, b) = octets.split_at(cut.min(octets.len() / 2) * 2);
        let pieces = checksum::sum(a) + checksum::sum(b);
        prop_assert_eq!(pieces.finish(), naive(&octets));
    }

    #[test]
    fn adjusting_a_header_is_computing_it_anew(
        addresses in any::<([u8; 4], [u8; 4], [u8; 4])>(),
        words in any::<(u16, u16, u8, u8)>(),
    ) {
        let (source, destination, other) = addresses;
        let (id, new_id, ttl, new_ttl) = words;
        let mut header = ipv4::Header::new(source.into(), destination.into(), 17, 1000);
        header.id.set(id);
        header.ttl = ttl;
        header.update_checksum();

        let adjusted = checksum::adjust(header.checksum.get(), id, new_id);
        let word = |ttl| u16::from_be_bytes([ttl, 17]);
        let adjusted = checksum::adjust(adjusted, word(ttl), word(new_ttl));
        let by_octets = checksum::adjust_octets(adjusted, &source, &other);
        let by_u32 =
            checksum::adjust_u32(adjusted, u32::from_be_bytes(source), u32::from_be_bytes(other));

        header.id.set(new_id);
        header.ttl = new_ttl;
        header.set_source(other.into());
        header.update_checksum();
        prop_assert_eq!(by_octets, header.checksum.get());
        prop_assert_eq!(by_u32, header.checksum.get());
    }

    #[test]
    fn what_was_filled_verifies_and_what_was_changed_does_not(
        mut packet in strategies::packet(),
        at in any::<prop::sample::Index>(),
        flip in 1u8..,
    ) {
        let layout = Layout::parse(&packet).unwrap();
        let filled = checksum::fill_transport(&mut packet, &layout);
        prop_assert!(checksum::verify_transport(&packet, &layout) || !filled);
        let udp = matches!(layout.protocol, protocol::UDP | protocol::UDP_LITE);
        if filled && !udp {
            let at = usize::from(layout.upper) + at.index(layout.payload(&packet).len());
            packet[at] ^= flip;
            prop_assert!(!checksum::verify_transport(&packet, &layout));
        }
    }
}
