//! Don't Fragment, fragments, and packets that are too big.

use crate::{
    UDP, hosts, ipv4_packet, ipv6_packet, may_fragment, numbered, outer4, outer6, sent_packets,
};
use sealway_io::SendError;
use sealway_io::outside::Inlet;
use sealway_packet::{Egress, Encapsulation, Outer};

#[test]
fn dont_fragment_on_the_wire_is_as_asked_for() {
    let (left, _right) = hosts(1500);
    let mut capture = left.capture();
    for encapsulation in [UDP, Encapsulation::Esp] {
        let outer = outer4(encapsulation);
        left.send(Egress::Payload(outer), &numbered(100)).unwrap();
        left.send(Egress::Payload(may_fragment(outer)), &numbered(100))
            .unwrap();
        let packets = sent_packets(&mut capture, 2);
        let flags: Vec<_> = packets.iter().map(|packet| packet[6]).collect();
        assert_eq!(flags, [0x40, 0]);
        for packet in packets {
            assert_eq!((packet[1], packet[8]), (0xb9, 61));
            if encapsulation == UDP {
                assert_eq!(packet[20..24], [0x11, 0x94, 0x11, 0x94]);
                assert_eq!(packet[26..28], [0, 0], "no checksum over IPv4");
            }
        }
    }
    left.send(Egress::Payload(outer6(UDP)), &numbered(100))
        .unwrap();
    let packets = sent_packets(&mut capture, 1);
    assert_ne!(packets[0][46..48], [0, 0], "a checksum over IPv6");
    assert_eq!(capture.statistics().unwrap().dropped, 0);
}

#[test]
fn what_may_be_fragmented_is_and_arrives_in_one_piece() {
    let (left, right) = hosts(1500);
    for (inlet, outer) in [
        (Inlet::Udp4, outer4(UDP)),
        (Inlet::Esp4, outer4(Encapsulation::Esp)),
        (Inlet::Udp6, outer6(UDP)),
        (Inlet::Esp6, outer6(Encapsulation::Esp)),
    ] {
        let mut capture = left.capture();
        let payload = numbered(4000);
        left.send(Egress::Payload(may_fragment(outer)), &payload)
            .unwrap();
        let packets = sent_packets(&mut capture, 3);
        assert!(packets.iter().all(|packet| packet.len() <= 1500));
        let packet = right.receive_packet(inlet);
        let octets = packet.train.packet();
        match inlet {
            Inlet::Esp4 => {
                assert_eq!(octets[2..4], 4020u16.to_be_bytes());
                assert_eq!(
                    (octets[6] & 0x3f, octets[7]),
                    (0, 0),
                    "no fragment any more"
                );
                assert_eq!(octets[20..], payload);
            }
            _ => assert_eq!(octets, payload),
        }
    }
}

#[test]
fn the_longest_datagram_passes_and_a_longer_one_is_too_big() {
    let (left, right) = hosts(1500);
    for (inlet, outer, longest) in [
        (Inlet::Udp4, outer4(UDP), 65_507),
        (Inlet::Udp6, outer6(UDP), 65_527),
        (Inlet::Esp4, outer4(Encapsulation::Esp), 65_515),
    ] {
        let egress = Egress::Payload(may_fragment(outer));
        left.send(egress, &numbered(longest)).unwrap();
        let packet = right.receive_packet(inlet);
        assert!(packet.train.packet().ends_with(&numbered(longest)));
        let error = left.send(egress, &numbered(longest + 1)).unwrap_err();
        assert!(
            matches!(error, SendError::TooBig { mtu: Some(65_535) }),
            "{error}"
        );
    }
}

#[test]
fn what_may_not_be_fragmented_is_too_big_and_the_mtu_is_told() {
    let (left, _right) = hosts(1400);
    for (outer, headers) in [
        (outer4(UDP), 28),
        (outer4(Encapsulation::Esp), 20),
        (outer6(UDP), 48),
        (outer6(Encapsulation::Esp), 40),
    ] {
        for interface in [0, left.interface] {
            let egress = Egress::Payload(Outer { interface, ..outer });
            left.send(egress, &numbered(1400 - headers)).unwrap();
            let error = left.send(egress, &numbered(1401 - headers)).unwrap_err();
            assert!(
                matches!(error, SendError::TooBig { mtu: Some(1400) }),
                "{error}"
            );
        }
    }
    let whole = ipv4_packet(51, &[], &numbered(1400));
    let egress = Egress::Whole(may_fragment(outer4(Encapsulation::Ah)));
    let error = left.send(egress, &whole).unwrap_err();
    assert!(
        matches!(error, SendError::TooBig { mtu: Some(1400) }),
        "{error}"
    );
    let whole = ipv6_packet(51, &numbered(1400));
    let error = left
        .send(Egress::Whole(outer6(Encapsulation::Ah)), &whole)
        .unwrap_err();
    assert!(
        matches!(error, SendError::TooBig { mtu: Some(1400) }),
        "{error}"
    );
}
