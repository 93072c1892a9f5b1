//! AH's header, and what its ICV covers of the headers before it.

use proptest::collection::vec;
use proptest::prelude::*;
use sealway_wire::build::Packet;
use sealway_wire::{Layout, ah, ecn, ipv4, ipv6, protocol, put, view, view_mut};

use crate::strategies;

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

/// The headers of `packet` as the ICV covers them.
fn zeroed(packet: &[u8]) -> Option<Vec<u8>> {
    let layout = Layout::parse(packet).unwrap();
    let mut headers = packet[..usize::from(layout.upper)].to_vec();
    ah::zero_mutable(&mut headers)?;
    Some(headers)
}

#[test]
fn the_length_counts_words_without_two() {
    // RFC 4302 §2.2: "payload length" of 4 for an ICV of 96 bits.
    let header = ah::Header::new(protocol::TCP, 12, 0x100, 1);
    assert_eq!(
        (header.length, header.octets(), header.icv_octets()),
        (4, 24, Some(12))
    );
    let longest = ah::Header::new(protocol::TCP, 1016, 0x100, 1);
    assert_eq!((longest.octets(), longest.icv_octets()), (1028, Some(1016)));
    let mut octets = [0; 12];
    put(&mut octets, 0, &header).unwrap();
    assert_eq!(octets, [6, 4, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]);
    octets[1] = 0;
    assert_eq!(view::<ah::Header>(&octets, 0).unwrap().icv_octets(), None);
}

#[test]
fn mutable_ipv4_fields_become_zero_and_the_others_stay() {
    // Router alert, timestamp, no operation.
    let options = [0x94, 4, 0, 0, 0x44, 4, 5, 9, 1];
    let packet = v4().tos(0xff).id(0x1234).dont_fragment().options(&options);
    let packet = packet.payload(protocol::AH, &[]);
    let mut expected = packet.clone();
    expected[1] = 0;
    expected[6..9].fill(0);
    expected[10..12].fill(0);
    expected[24..28].fill(0);
    assert_eq!(zeroed(&packet), Some(expected));
}

#[test]
fn a_source_route_counts_as_if_it_had_been_followed() {
    let last = [203, 0, 113, 7];
    let route = |pointer| [&[0x83, 11, pointer, 10, 0, 0, 1][..], &last].concat();
    let at_the_sender = zeroed(&v4().options(&route(4)).payload(protocol::AH, &[])).unwrap();
    assert_eq!(
        view::<ipv4::Header>(&at_the_sender, 0)
            .unwrap()
            .destination()
            .octets(),
        last
    );
    assert_eq!(at_the_sender[20..], [0; 12]);
    // At its end the destination is in the header, and the route tells where the packet was.
    let arrived = Packet::new("192.0.2.1".parse().unwrap(), last.into()).options(&route(12));
    assert_eq!(
        zeroed(&arrived.payload(protocol::AH, &[])),
        Some(at_the_sender)
    );
}

#[test]
fn mutable_ipv6_fields_become_zero_and_the_others_stay() {
    // A mutable option of two octets, a padding option, an immutable one of one octet.
    let options = [0x3e, 2, 7, 7, 0, 1, 0, 0x1e, 1, 9];
    let packet = v6()
        .tos(0xff)
        .flow_label(0xfffff)
        .extension(protocol::HOP_BY_HOP, &options)
        .extension(protocol::DESTINATION_OPTIONS, &options)
        .payload(protocol::AH, &[]);
    let mut expected = packet.clone();
    expected[0..4].copy_from_slice(&[0x60, 0, 0, 0]);
    expected[7] = 0;
    expected[44..46].fill(0);
    expected[60..62].fill(0);
    assert_eq!(zeroed(&packet), Some(expected));
}

#[test]
fn a_routing_header_counts_as_if_it_had_been_followed() {
    let (a, b, c) = ([0x2a; 16], [0x2b; 16], [0x2c; 16]);
    let packet = |destination: [u8; 16], left: u8, list: [[u8; 16]; 2]| {
        let body = [&[0, left, 0, 0, 0, 0][..], &list.concat()].concat();
        Packet::new("2001:db8::1".parse().unwrap(), destination.into())
            .extension(protocol::ROUTING, &body)
            .payload(protocol::AH, &[])
    };
    let arrived = zeroed(&packet(c, 0, [a, b]));
    assert_eq!(
        arrived.as_ref().map(|headers| headers[24..40] == c),
        Some(true)
    );
    assert_eq!(zeroed(&packet(b, 1, [a, c])), arrived);
    assert_eq!(zeroed(&packet(a, 2, [b, c])), arrived);
    assert_eq!(zeroed(&packet(a, 3, [b, c])), None);
}

#[test]
fn headers_that_are_not_sound_have_no_icv() {
    let mut headers = v4().options(&[0x94, 4, 0, 0]).payload(protocol::AH, &[]);
    assert_eq!(ah::zero_mutable(&mut headers[..20]), None);
    assert_eq!(ah::zero_mutable(&mut []), None);
    let segments = v6().extension(
        protocol::ROUTING,
        &[[4, 1, 0, 0, 0, 0].as_slice(), &[1; 16]].concat(),
    );
    assert_eq!(zeroed(&segments.payload(protocol::AH, &[])), None);
    let mut headers = v6()
        .extension(protocol::ROUTING, &[0; 6])
        .payload(protocol::AH, &[]);
    assert_eq!(ah::zero_mutable(&mut headers[..44]), None);
    headers.push(0);
    assert_eq!(ah::zero_mutable(&mut headers), None);
}

proptest! {
    #[test]
    fn what_routers_do_does_not_matter(packet in strategies::packet(), tos: u8, hops: u8) {
        let layout = Layout::parse(&packet).unwrap();
        let mut forwarded = packet.clone();
        ecn::set_tos(&mut forwarded, &layout, tos);
        match layout.family {
            sealway_wire::Family::V4 => {
                view_mut::<ipv4::Header>(&mut forwarded, 0).unwrap().ttl = hops;
                ipv4::update_checksum(&mut forwarded);
            }
            sealway_wire::Family::V6 => {
                view_mut::<ipv6::Header>(&mut forwarded, 0).unwrap().hop_limit = hops;
            }
        }
        prop_assert_eq!(zeroed(&packet), zeroed(&forwarded));
    }

    #[test]
    fn random_headers_never_panic(
        mut octets in prop_oneof![strategies::damaged(), vec(any::<u8>(), 0..100)],
        length in 0usize..200,
    ) {
        let length = length.min(octets.len());
        ah::zero_mutable(&mut octets[..length]);
        if let Ok(layout) = Layout::parse(&octets) {
            ah::zero_mutable(&mut octets[..usize::from(layout.upper)]);
        }
        ipv6::options(&octets).count();
    }
}
