//! Where the headers are.

use sealway_wire::build::Packet;
use sealway_wire::protocol::{DESTINATION_OPTIONS, FRAGMENT, HOP_BY_HOP, ROUTING};
use sealway_wire::{Family, Fragment, Layout, Malformed, Ports, ipv4, protocol, tcp, view_mut};

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

const PAIR: Ports = Ports::Pair {
    source: 5000,
    destination: 53,
};

#[test]
fn a_layout_stays_within_half_a_cache_line() {
    assert!(size_of::<Layout>() <= 32);
    assert!(size_of::<Result<Layout, Malformed>>() <= 32);
}

#[test]
fn plain_ipv4_is_laid_out() {
    let packet = v4()
        .tos(0xb9)
        .hop_limit(7)
        .dont_fragment()
        .udp(5000, 53, b"question");
    let layout = Layout::parse(&packet).unwrap();
    let expected = Layout {
        length: 36,
        fragment: None,
        ports: PAIR,
        unfragmentable: 20,
        next_header_at: 9,
        upper: 20,
        protocol: protocol::UDP,
        family: Family::V4,
    };
    assert_eq!(layout, expected);
    assert_eq!(layout.source(&packet).to_string(), "192.0.2.1");
    assert_eq!(layout.destination(&packet).to_string(), "198.51.100.2");
    assert_eq!((layout.tos(&packet), layout.hop_limit(&packet)), (0xb9, 7));
    assert!(layout.dont_fragment(&packet));
    assert_eq!(&layout.payload(&packet)[8..], b"question");
}

#[test]
fn plain_ipv6_is_laid_out() {
    let packet = v6()
        .tos(0xb9)
        .hop_limit(7)
        .flow_label(0xfffff)
        .tcp(5000, 53, tcp::SYN, b"");
    let layout = Layout::parse(&packet).unwrap();
    let expected = Layout {
        length: 60,
        fragment: None,
        ports: PAIR,
        unfragmentable: 40,
        next_header_at: 6,
        upper: 40,
        protocol: protocol::TCP,
        family: Family::V6,
    };
    assert_eq!(layout, expected);
    assert_eq!(layout.source(&packet).to_string(), "2001:db8::1");
    assert_eq!(layout.destination(&packet).to_string(), "2001:db8:1::2");
    assert_eq!((layout.tos(&packet), layout.hop_limit(&packet)), (0xb9, 7));
    assert!(layout.dont_fragment(&packet));
}

#[test]
fn ipv4_options_belong_to_the_unfragmentable_part() {
    let packet = v4().options(&[0x94, 4, 0, 0, 1]).udp(5000, 53, b"");
    let layout = Layout::parse(&packet).unwrap();
    assert_eq!(
        (layout.unfragmentable, layout.upper, layout.ports),
        (28, 28, PAIR)
    );
}

#[test]
fn link_padding_is_left_out_and_not_trimmed() {
    let mut packet = v4().udp(5000, 53, b"x");
    packet.resize(60, 0);
    let layout = Layout::parse(&packet).unwrap();
    assert_eq!(layout.length, 29);
    assert_eq!(layout.octets(&packet).len(), 29);
    assert_eq!(layout.payload(&packet).len(), 9);
}

#[test]
fn every_order_of_extension_headers_has_its_unfragmentable_part() {
    const H: u8 = HOP_BY_HOP;
    const R: u8 = ROUTING;
    const D: u8 = DESTINATION_OPTIONS;
    const F: u8 = FRAGMENT;
    // Every header has 8 octets here. After the headers: how many of them are unfragmentable.
    let orders: [(&[u8], usize); 18] = [
        (&[], 0),
        (&[H], 1),
        (&[R], 1),
        (&[D], 0),
        (&[F], 0),
        (&[H, R], 2),
        (&[H, D], 1),
        (&[H, F], 1),
        (&[D, R], 2),
        (&[R, D], 1),
        (&[D, F], 1),
        (&[F, D], 0),
        (&[H, D, R], 3),
        (&[H, D, R, D], 3),
        (&[H, D, R, F], 3),
        (&[H, D, R, F, D], 3),
        (&[R, F, R], 1),
        (&[D, R, D, R, D, D], 4),
    ];
    for (order, unfragmentable) in orders {
        let packet = order.iter().fold(v6(), |packet, number| match *number {
            FRAGMENT => packet.fragment(Fragment {
                offset: 0,
                more: false,
                id: 9,
            }),
            number => packet.extension(number, &[0; 6]),
        });
        let packet = packet.udp(5000, 53, b"data");
        let layout = Layout::parse(&packet).unwrap();
        let at = 40 + 8 * unfragmentable;
        assert_eq!(usize::from(layout.unfragmentable), at, "{order:?}");
        let named_at = if unfragmentable == 0 { 6 } else { at - 8 };
        assert_eq!(usize::from(layout.next_header_at), named_at, "{order:?}");
        let named = order.get(unfragmentable).copied().unwrap_or(protocol::UDP);
        assert_eq!(packet[named_at], named, "{order:?}");
        assert_eq!(usize::from(layout.upper), 40 + 8 * order.len(), "{order:?}");
        assert_eq!(
            (layout.protocol, layout.ports),
            (protocol::UDP, PAIR),
            "{order:?}"
        );
        assert_eq!(layout.fragment.is_some(), order.contains(&F), "{order:?}");
        assert!(!layout.is_fragment());
    }
}

#[test]
fn extension_headers_may_be_long() {
    let packet = v6()
        .extension(HOP_BY_HOP, &[0; 2046])
        .extension(ROUTING, &[0; 14])
        .udp(5000, 53, b"");
    let layout = Layout::parse(&packet).unwrap();
    assert_eq!(
        (layout.unfragmentable, layout.upper),
        (40 + 2048 + 16, 40 + 2048 + 16)
    );
    assert_eq!(layout.next_header_at, 40 + 2048);
    assert_eq!(layout.ports, PAIR);
}

#[test]
fn protocols_that_selectors_know_end_the_walk() {
    for number in [
        protocol::ESP,
        protocol::AH,
        protocol::HIP,
        protocol::SHIM6,
        protocol::NONE,
    ] {
        let packet = v6()
            .extension(DESTINATION_OPTIONS, &[])
            .payload(number, &[0; 24]);
        let layout = Layout::parse(&packet).unwrap();
        assert_eq!(
            (layout.protocol, layout.ports, layout.upper),
            (number, Ports::None, 48)
        );
    }
    for number in [protocol::SCTP, protocol::DCCP, protocol::UDP_LITE] {
        let packet = v4().payload(number, &[0x13, 0x88, 0, 53, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(Layout::parse(&packet).unwrap().ports, PAIR);
    }
    let packet = v6().payload(protocol::MOBILITY, &[59, 0, 5, 0, 0, 0, 0, 0]);
    assert_eq!(
        Layout::parse(&packet).unwrap().ports,
        Ports::Mobility { kind: 5 }
    );
    let packet = v6().icmp(1, 4, 0, &[]);
    assert_eq!(
        Layout::parse(&packet).unwrap().ports,
        Ports::Icmp { kind: 1, code: 4 }
    );
    let packet = v4().echo_request(1, 1, &[]);
    assert_eq!(
        Layout::parse(&packet).unwrap().ports,
        Ports::Icmp { kind: 8, code: 0 }
    );
}

#[test]
fn ports_of_a_header_that_is_cut_off_are_unavailable() {
    let fixed = [
        (protocol::TCP, 20),
        (protocol::UDP, 8),
        (protocol::SCTP, 12),
        (protocol::ICMP, 4),
    ];
    for (number, octets) in fixed {
        let cut = v4().payload(number, &vec![0; octets - 1]);
        assert_eq!(
            Layout::parse(&cut).unwrap().ports,
            Ports::Unavailable,
            "{number}"
        );
        let whole = v4().payload(number, &vec![0; octets]);
        assert_ne!(
            Layout::parse(&whole).unwrap().ports,
            Ports::Unavailable,
            "{number}"
        );
    }
}

#[test]
fn ipv4_fragments_tell_their_place() {
    let mut packet = v4().id(77).udp(5000, 53, &[0; 16]);
    let set = |packet: &mut [u8], field: u16| {
        view_mut::<ipv4::Header>(packet, 0)
            .unwrap()
            .flags_fragment
            .set(field);
    };
    set(&mut packet, ipv4::MORE_FRAGMENTS);
    let first = Layout::parse(&packet).unwrap();
    assert_eq!(
        first.fragment,
        Some(Fragment {
            offset: 0,
            more: true,
            id: 77
        })
    );
    assert_eq!(
        (first.is_fragment(), first.is_first(), first.ports),
        (true, true, PAIR)
    );
    set(&mut packet, 185);
    let last = Layout::parse(&packet).unwrap();
    assert_eq!(
        last.fragment,
        Some(Fragment {
            offset: 1480,
            more: false,
            id: 77
        })
    );
    assert_eq!((last.is_fragment(), last.is_first()), (true, false));
    assert_eq!(
        (last.ports, last.protocol),
        (Ports::Unavailable, protocol::UDP)
    );
    set(&mut packet, 8191);
    assert_eq!(Layout::parse(&packet), Err(Malformed::FragmentShape));
}

#[test]
fn ipv6_fragments_tell_their_place() {
    let fragment = |offset, more| {
        v6().fragment(Fragment {
            offset,
            more,
            id: 0xdead_beef,
        })
    };
    let packet = fragment(0, true)
        .extension(DESTINATION_OPTIONS, &[])
        .udp(5000, 53, &[0; 8]);
    let first = Layout::parse(&packet).unwrap();
    assert_eq!(
        first.fragment,
        Some(Fragment {
            offset: 0,
            more: true,
            id: 0xdead_beef
        })
    );
    assert_eq!(
        (first.unfragmentable, first.upper, first.ports),
        (40, 56, PAIR)
    );
    assert!(first.is_fragment() && first.is_first());
    // Whatever the Fragment header names stands in the first fragment, not in this one.
    let packet = fragment(8, false).payload(DESTINATION_OPTIONS, &[0xff; 5]);
    let last = Layout::parse(&packet).unwrap();
    assert_eq!(
        last.fragment,
        Some(Fragment {
            offset: 8,
            more: false,
            id: 0xdead_beef
        })
    );
    assert_eq!(
        (last.protocol, last.upper, last.ports),
        (DESTINATION_OPTIONS, 48, Ports::Unavailable)
    );
    assert!(last.is_fragment() && !last.is_first());
}

#[test]
fn an_atomic_fragment_is_a_whole_packet() {
    let packet = v6()
        .fragment(Fragment {
            offset: 0,
            more: false,
            id: 1,
        })
        .udp(5000, 53, b"abc");
    let layout = Layout::parse(&packet).unwrap();
    assert!(layout.fragment.is_some() && !layout.is_fragment() && layout.is_first());
    assert_eq!(
        (layout.ports, layout.unfragmentable, layout.upper),
        (PAIR, 40, 48)
    );
}

#[test]
fn fragments_of_impossible_shape_are_malformed() {
    let fragment = |offset, more, octets| {
        let packet = v6().fragment(Fragment {
            offset,
            more,
            id: 1,
        });
        Layout::parse(&packet.payload(protocol::UDP, &vec![0; octets])).map(|_| ())
    };
    assert_eq!(fragment(0, true, 8), Ok(()));
    assert_eq!(fragment(0, true, 12), Err(Malformed::FragmentShape));
    assert_eq!(fragment(0, true, 0), Err(Malformed::FragmentShape));
    assert_eq!(fragment(8, false, 0), Err(Malformed::FragmentShape));
    assert_eq!(fragment(65528, false, 7), Ok(()));
    assert_eq!(fragment(65528, false, 8), Err(Malformed::FragmentShape));
    let mut packet = v4().payload(protocol::UDP, &[0; 12]);
    view_mut::<ipv4::Header>(&mut packet, 0)
        .unwrap()
        .flags_fragment
        .set(ipv4::MORE_FRAGMENTS);
    assert_eq!(Layout::parse(&packet), Err(Malformed::FragmentShape));
}

#[test]
fn malformed_packets_are_told_apart() {
    let sound4 = v4().udp(1, 2, b"data");
    let sound6 = v6().udp(1, 2, b"data");
    let changed = |packet: &[u8], at: usize, value| {
        let mut packet = packet.to_vec();
        packet[at] = value;
        Layout::parse(&packet)
    };
    assert_eq!(Layout::parse(&[]), Err(Malformed::Empty));
    assert_eq!(changed(&sound4, 0, 0x55), Err(Malformed::Version));
    assert_eq!(Layout::parse(&sound4[..19]), Err(Malformed::Truncated));
    assert_eq!(Layout::parse(&sound6[..39]), Err(Malformed::Truncated));
    assert_eq!(changed(&sound4, 0, 0x44), Err(Malformed::HeaderLength));
    assert_eq!(changed(&sound4, 0, 0x4f), Err(Malformed::TotalLength));
    assert_eq!(changed(&sound4, 3, 19), Err(Malformed::TotalLength));
    assert_eq!(changed(&sound4, 3, 33), Err(Malformed::TotalLength));
    assert_eq!(changed(&sound6, 5, 13), Err(Malformed::TotalLength));
    assert_eq!(Layout::parse(&sound6[..40]), Err(Malformed::TotalLength));
}

#[test]
fn malformed_extension_chains_are_told_apart() {
    let late = v6()
        .extension(DESTINATION_OPTIONS, &[])
        .extension(HOP_BY_HOP, &[]);
    assert_eq!(
        Layout::parse(&late.udp(1, 2, b"")),
        Err(Malformed::HopByHopPlace)
    );
    let twice = v6().extension(HOP_BY_HOP, &[]).extension(HOP_BY_HOP, &[]);
    assert_eq!(
        Layout::parse(&twice.udp(1, 2, b"")),
        Err(Malformed::HopByHopPlace)
    );
    let atomic = Fragment {
        offset: 0,
        more: false,
        id: 1,
    };
    let nested = v6().fragment(atomic).fragment(atomic);
    assert_eq!(
        Layout::parse(&nested.udp(1, 2, b"")),
        Err(Malformed::ExtensionOrder)
    );
    let sixteen = (0..16).fold(v6(), |packet, _| packet.extension(DESTINATION_OPTIONS, &[]));
    assert_eq!(
        Layout::parse(&sixteen.udp(1, 2, b"")).map(|layout| layout.upper),
        Ok(168)
    );
    let seventeen = sixteen.extension(DESTINATION_OPTIONS, &[]);
    assert_eq!(
        Layout::parse(&seventeen.udp(1, 2, b"")),
        Err(Malformed::ExtensionChain)
    );
    let beyond = v6().payload(DESTINATION_OPTIONS, &[17, 1, 0, 0, 0, 0, 0, 0]);
    assert_eq!(Layout::parse(&beyond), Err(Malformed::ExtensionChain));
    for number in [DESTINATION_OPTIONS, ROUTING, FRAGMENT] {
        let nothing = v6().payload(number, &[]);
        assert_eq!(Layout::parse(&nothing), Err(Malformed::ExtensionChain));
    }
    let mut jumbo = v6()
        .extension(HOP_BY_HOP, &[0xc2, 4, 0, 1, 0, 0])
        .udp(1, 2, b"");
    jumbo[4..6].fill(0);
    assert_eq!(Layout::parse(&jumbo), Err(Malformed::Jumbogram));
}

#[test]
fn a_packet_without_payload_is_sound() {
    let packet = v6().payload(protocol::NONE, &[]);
    let layout = Layout::parse(&packet).unwrap();
    assert_eq!(
        (layout.length, layout.upper, layout.ports),
        (40, 40, Ports::None)
    );
    let packet = v4().payload(protocol::UDP, &[]);
    let layout = Layout::parse(&packet).unwrap();
    assert_eq!(
        (layout.length, layout.upper, layout.ports),
        (20, 20, Ports::Unavailable)
    );
}

#[test]
fn the_longest_packets_are_laid_out() {
    let packet = v6().udp(5000, 53, &[0; 65527]);
    assert_eq!(
        Layout::parse(&packet).map(|layout| (layout.length, layout.ports)),
        Ok((65575, PAIR))
    );
    let packet = v4().udp(5000, 53, &[0; 65507]);
    assert_eq!(
        Layout::parse(&packet).map(|layout| (layout.length, layout.ports)),
        Ok((65535, PAIR))
    );
}

#[test]
fn a_quoted_packet_may_be_cut_off_behind_its_headers() {
    let whole = v4().options(&[1; 4]).tcp(5000, 53, tcp::SYN, &[0; 1000]);
    let quote = Layout::parse_quoted(&whole[..32]).unwrap();
    assert_eq!((quote.length, quote.upper, quote.ports), (32, 24, PAIR));
    assert_eq!(
        Layout::parse_quoted(&whole[..27]).unwrap().ports,
        Ports::Unavailable
    );
    assert_eq!(
        Layout::parse_quoted(&whole[..23]),
        Err(Malformed::Truncated)
    );
    assert_eq!(
        Layout::parse_quoted(&whole).map(|layout| layout.length),
        Ok(1044)
    );
    let whole = v6()
        .extension(DESTINATION_OPTIONS, &[])
        .udp(5000, 53, &[0; 2000]);
    let quote = Layout::parse_quoted(&whole[..52]).unwrap();
    assert_eq!((quote.length, quote.upper, quote.ports), (52, 48, PAIR));
    assert_eq!(
        Layout::parse_quoted(&whole[..47]),
        Err(Malformed::ExtensionChain)
    );
}

#[test]
fn every_kind_of_malformed_has_its_own_name_and_sentence() {
    let mut names: Vec<_> = Malformed::ALL
        .iter()
        .map(|malformed| malformed.name())
        .collect();
    let mut texts: Vec<_> = Malformed::ALL.iter().map(ToString::to_string).collect();
    names.sort_unstable();
    names.dedup();
    texts.sort_unstable();
    texts.dedup();
    assert_eq!(
        (names.len(), texts.len()),
        (Malformed::ALL.len(), Malformed::ALL.len())
    );
}
