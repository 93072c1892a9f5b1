//! Packets that are sent and received with their IP header.

use crate::{hosts, ipv4_packet, ipv6_packet, numbered, outer4, outer6};
use sealway_io::outside::Inlet;
use sealway_packet::{Arrival, Egress, Encapsulation};

#[test]
fn whole_ipv4_packets_arrive_as_they_were_sent_options_and_all() {
    let (left, right) = hosts(1500);
    let router_alert = [0x94, 4, 0, 0];
    for (protocol, inlet) in [(50, Inlet::Esp4), (51, Inlet::Ah4)] {
        for options in [&[][..], &router_alert] {
            let sent = ipv4_packet(protocol, options, &numbered(200));
            let egress = Egress::Whole(outer4(Encapsulation::Ah));
            left.send(egress, &sent).unwrap();
            let packet = right.receive_packet(inlet);
            assert_eq!(packet.train.packet(), sent);
            let interface = right.interface;
            assert_eq!(packet.meta, Arrival::Whole { interface });
        }
    }
}

#[test]
fn whole_ipv6_packets_are_rebuilt_with_their_extension_headers() {
    let (left, right) = hosts(1500);
    let egress = Egress::Whole(outer6(Encapsulation::Ah));
    // Each option a PadN (RFC 8200 section 4.2) that fills its header.
    let header = |next: u8| vec![next, 0, 1, 4, 0, 0, 0, 0];
    // A routing header of a type that nobody knows, with nothing left to visit.
    let routing = |next: u8| vec![next, 0, 253, 0, 0, 0, 0, 0];
    let (hop, dst, rt) = (0, 60, 43);
    for (last, inlet) in [(51, Inlet::Ah6), (50, Inlet::Esp6)] {
        for (first, extensions) in [
            (dst, header(last)),
            (hop, header(last)),
            (hop, [header(dst), header(last)].concat()),
            (hop, [header(dst), header(rt), routing(last)].concat()),
            (dst, [header(rt), routing(dst), header(last)].concat()),
        ] {
            let behind = [extensions, numbered(64)].concat();
            let sent = ipv6_packet(first, &behind);
            left.send(egress, &sent).unwrap();
            let packet = right.receive_packet(inlet);
            assert_eq!(packet.train.packet(), sent);
            let interface = right.interface;
            assert_eq!(packet.meta, Arrival::Whole { interface });
        }
    }
    let sent = ipv6_packet(51, &numbered(64));
    left.send(egress, &sent).unwrap();
    assert_eq!(right.receive_packet(Inlet::Ah6).train.packet(), sent);
}

#[test]
fn a_long_options_header_is_rebuilt_too() {
    let (left, right) = hosts(9000);
    // Experimental options (RFC 4727) that whoever does not know them skips.
    let mut options = vec![51, 255];
    for _ in 0..7 {
        options.extend([0x1e, 255]);
        options.extend([7; 255]);
    }
    let rest = 2048 - options.len();
    options.extend([0x1e, (rest - 2) as u8]);
    options.resize(2048, 7);
    let sent = ipv6_packet(60, &[options, numbered(64)].concat());
    let egress = Egress::Whole(outer6(Encapsulation::Ah));
    left.send(egress, &sent).unwrap();
    assert_eq!(right.receive_packet(Inlet::Ah6).train.packet(), sent);
}
