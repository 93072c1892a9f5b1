//! Octets of any content: no panic, and no offset outside the packet.

use proptest::collection::vec;
use proptest::prelude::*;
use sealway_wire::fragment::Split;
use sealway_wire::{Family, Fragment, Layout, Ports, checksum, ecn, icmp, icmpv6, ipv4, ipv6};

use crate::strategies;

/// What holds of every layout.
fn check(packet: &[u8], layout: &Layout) {
    let (upper, unfragmentable) = (
        usize::from(layout.upper),
        usize::from(layout.unfragmentable),
    );
    let (length, named_at) = (layout.length as usize, usize::from(layout.next_header_at));
    assert!(length <= packet.len());
    assert!(named_at < unfragmentable && unfragmentable <= upper && upper <= length);
    assert_eq!(layout.octets(packet).len(), length);
    assert_eq!(layout.payload(packet).len(), length - upper);
    if unfragmentable == upper {
        assert_eq!(packet[named_at], layout.protocol);
    }
    match layout.family {
        Family::V4 => assert_eq!(ipv4::header_octets(packet).map(<[u8]>::len), Some(upper)),
        Family::V6 => assert!(unfragmentable >= ipv6::HEADER),
    }
    if !layout.is_first() {
        assert_eq!(layout.ports, Ports::Unavailable);
    }
}

/// Everything that one can do with a packet and its layout, whether they belong together or not.
fn use_all(packet: &mut [u8], layout: &Layout) {
    layout.source(packet);
    layout.destination(packet);
    layout.tos(packet);
    layout.hop_limit(packet);
    layout.dont_fragment(packet);
    layout.octets(packet);
    layout.payload(packet);
    ipv6::final_destination(packet, layout);
    icmp::may_answer(packet, layout);
    icmp::quoted(packet, layout);
    icmp::reported_mtu(packet, layout);
    checksum::verify_transport(packet, layout);
    checksum::fill_transport(packet, layout);
    ecn::set_ecn(packet, layout, ecn::CE);
    ipv4::checksum_ok(packet);
    ipv4::header_octets(packet).map(|header| ipv4::options(header).count());
    let mut out = [0; 1500];
    let answer = icmp::Answer {
        source: [192, 0, 2, 1].into(),
        destination: [0; 4].into(),
    };
    answer.too_big(&mut out, packet, 1400);
    let answer = icmpv6::Answer {
        source: [1; 16].into(),
        destination: [0; 16].into(),
    };
    answer.too_big(&mut out, packet, 1400);
    for mtu in [0, 68, 100, 1280] {
        let Ok(split) = Split::new(packet, layout, mtu, 1) else {
            continue;
        };
        for piece in split.pieces() {
            assert!(piece.octets() <= mtu);
            split.write(packet, &piece, &mut out);
        }
    }
    ipv4::update_checksum(packet);
}

fn examine(octets: &[u8]) {
    for layout in [Layout::parse(octets), Layout::parse_quoted(octets)]
        .into_iter()
        .flatten()
    {
        check(octets, &layout);
        use_all(&mut octets.to_vec(), &layout);
        use_all(&mut octets[..octets.len() / 2].to_vec(), &layout);
    }
    ipv4::update_checksum(&mut octets.to_vec());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn random_octets_never_panic(octets in strategies::noise()) {
        examine(&octets);
    }

    #[test]
    fn damaged_packets_never_panic(octets in strategies::damaged()) {
        examine(&octets);
    }

    #[test]
    fn sound_packets_are_laid_out(packet in strategies::packet()) {
        let layout = Layout::parse(&packet).unwrap();
        prop_assert_eq!(layout.length as usize, packet.len());
        check(&packet, &layout);
        // Where nothing is cut off, a quoted packet is a packet.
        let quoted = Layout::parse_quoted(&packet).unwrap();
        if layout.ports != Ports::Unavailable {
            prop_assert_eq!(quoted, layout);
        }
    }

    #[test]
    fn a_layout_of_another_packet_does_no_harm(
        packet in strategies::packet(),
        mut other in vec(any::<u8>(), 0..100),
    ) {
        let layout = Layout::parse(&packet).unwrap();
        use_all(&mut other, &layout);
    }

    #[test]
    fn a_layout_of_nonsense_does_no_harm(
        mut packet in strategies::packet(),
        numbers in any::<(u32, u16, u16, u16, u8)>(),
        fragment in prop::option::of(any::<(u16, bool, u32)>()),
        v4: bool,
    ) {
        let (length, unfragmentable, next_header_at, upper, protocol) = numbers;
        let layout = Layout {
            length,
            fragment: fragment.map(|(offset, more, id)| Fragment { offset, more, id }),
            ports: Ports::None,
            unfragmentable,
            next_header_at,
            upper,
            protocol,
            family: if v4 { Family::V4 } else { Family::V6 },
        };
        use_all(&mut packet, &layout);
        use_all(&mut packet, &Layout { length: length % 200, unfragmentable: unfragmentable % 60,
            next_header_at: next_header_at % 60, upper: upper % 100, ..layout });
    }

    #[test]
    fn quotes_of_sound_packets_keep_their_headers(
        packet in strategies::packet(),
        cut in any::<prop::sample::Index>(),
    ) {
        let layout = Layout::parse(&packet).unwrap();
        let cut = usize::from(layout.upper) + cut.index(layout.payload(&packet).len() + 1);
        let quoted = Layout::parse_quoted(&packet[..cut]).unwrap();
        prop_assert_eq!(quoted.length as usize, cut);
        prop_assert_eq!(quoted.upper, layout.upper);
        prop_assert_eq!(quoted.protocol, layout.protocol);
    }
}
