//! The outside's sockets between two namespaces. Needs root.
#![allow(clippy::unwrap_used)]

mod common;

use std::net::{IpAddr, UdpSocket};
use std::os::fd::AsFd;

use common::{ip, joined, namespace, until};
use sealway_io::capture::{Capture, Direction};
use sealway_io::fault::{Faults, Prng, Rates};
use sealway_io::namespace::Namespace;
use sealway_io::netlink::{Address, Netlink, Route, State};
use sealway_io::outside::{Config, Inlet, OpenError, Outside, Pooled, Received, Stop, UdpKind};
use sealway_io::tun::Tun;
use sealway_io::{Device, SendError, poll};
use sealway_packet::{
    Arrival, DontFragment, Egress, Encapsulation, Outer, Packet, Pool, SizeClass, Train,
};

/// An outside in a namespace of its own.
struct Host {
    namespace: Namespace,
    outside: Outside,
    /// Index of its `veth`.
    interface: u32,
    pool: Pool,
}

const PORT: u16 = 4500;

fn config(addresses: &[&str], port: u16) -> Config {
    Config {
        addresses: addresses.iter().map(|text| ip(text)).collect(),
        port,
        buffer: 1 << 20,
    }
}

fn hosts(mtu: u32) -> (Host, Host) {
    let (left, right) = joined(mtu);
    (host(left, 1), host(right, 2))
}

fn host(namespace: Namespace, number: u8) -> Host {
    let addresses = [format!("192.0.2.{number}"), format!("2001:db8::{number}")];
    let (outside, interface) = namespace.run(move || {
        let config = config(&addresses.each_ref().map(String::as_str), PORT);
        let interface = Netlink::open().unwrap().link("veth").unwrap().index;
        (Outside::open(&config).unwrap(), interface)
    });
    Host {
        namespace,
        outside,
        interface,
        pool: Pool::new(8, 8),
    }
}

impl Host {
    fn send(&self, egress: Egress, octets: &[u8]) -> Result<(), SendError> {
        self.outside.send(&egress, &Train::detached(octets))
    }

    fn receive(&self, inlet: Inlet) -> Received {
        let (_, fd) = self.outside.inlets().find(|(i, _)| *i == inlet).unwrap();
        until(fd, || {
            let mut all = self.receive_now(inlet);
            assert!(all.len() <= 1);
            all.pop()
        })
    }

    fn receive_now(&self, inlet: Inlet) -> Vec<Received> {
        let mut all = Vec::new();
        let stop = self
            .outside
            .receive(inlet, &self.pool, &mut |received| all.push(received));
        assert_eq!(stop.unwrap(), Stop::Drained);
        all
    }

    fn receive_packet(&self, inlet: Inlet) -> Packet<Arrival> {
        match self.receive(inlet) {
            Received::Packet(packet) => packet,
            other => panic!("not ESP: {other:?}"),
        }
    }

    fn capture(&self) -> Capture {
        let interface = self.interface;
        self.namespace
            .run(move || Capture::open(interface, 1 << 20).unwrap())
    }
}

const UDP: Encapsulation = Encapsulation::Udp {
    source: PORT,
    destination: PORT,
};

fn outer4(encapsulation: Encapsulation) -> Outer {
    Outer {
        source: ip("192.0.2.1"),
        destination: ip("192.0.2.2"),
        interface: 0,
        tos: 0xb9,
        hop_limit: 61,
        dont_fragment: DontFragment::Set,
        encapsulation,
    }
}

fn outer6(encapsulation: Encapsulation) -> Outer {
    Outer {
        source: ip("2001:db8::1"),
        destination: ip("2001:db8::2"),
        ..outer4(encapsulation)
    }
}

fn may_fragment(outer: Outer) -> Outer {
    Outer {
        dont_fragment: DontFragment::Clear,
        ..outer
    }
}

/// What the other host says of a packet sent with these facts.
fn arrived(outer: Outer, interface: u32) -> Outer {
    Outer {
        interface,
        ..may_fragment(outer)
    }
}

fn numbered(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index % 251 + 1) as u8).collect()
}

/// The IP packets that left by the captured interface, once there are `count` of them.
fn sent_packets(capture: &mut Capture, count: usize) -> Vec<Vec<u8>> {
    let fd = capture.as_fd().try_clone_to_owned().unwrap();
    let mut packets = Vec::new();
    until(fd.as_fd(), || {
        while let Some(frame) = capture.read().unwrap() {
            let is_ip =
                [[0x08, 0x00], [0x86, 0xdd]].contains(&[frame.octets[12], frame.octets[13]]);
            let is_control = frame.octets[14] >> 4 == 6 && frame.octets[20] == 58;
            if is_ip && !is_control && frame.direction == Direction::Out {
                assert_eq!(frame.length, frame.octets.len());
                packets.push(frame.octets[14..].to_vec());
            }
        }
        (packets.len() >= count).then_some(())
    });
    packets
}

fn ones_complement(octets: &[u8]) -> u16 {
    let words = octets
        .chunks(2)
        .map(|w| u32::from(w[0]) << 8 | u32::from(*w.get(1).unwrap_or(&0)));
    let sum: u32 = words.sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    !((sum & 0xffff) + (sum >> 16)) as u16
}

/// An IPv4 header of 20 octets and options for `payload`.
fn ipv4_packet(protocol: u8, options: &[u8], payload: &[u8]) -> Vec<u8> {
    let length = (20 + options.len() + payload.len()) as u16;
    let mut packet = vec![0x40 | (5 + options.len() / 4) as u8, 0xb9];
    packet.extend(length.to_be_bytes());
    packet.extend([
        0x12, 0x34, 0x40, 0, 61, protocol, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2,
    ]);
    packet.extend(options);
    let sum = ones_complement(&packet);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet.extend(payload);
    packet
}

/// An IPv6 packet whose first header behind the IPv6 header is `next_header`, at the start of
/// `behind`; class 0xb9, flow label 0x12345, hop limit 61.
fn ipv6_packet(next_header: u8, behind: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x6b, 0x91, 0x23, 0x45];
    packet.extend((behind.len() as u16).to_be_bytes());
    packet.extend([next_header, 61]);
    for address in ["2001:db8::1", "2001:db8::2"] {
        let IpAddr::V6(address) = ip(address) else {
            unreachable!()
        };
        packet.extend(address.octets());
    }
    packet.extend(behind);
    packet
}

#[test]
fn esp_in_udp_arrives_with_the_facts_it_was_sent_with() {
    let (left, right) = hosts(1500);
    for (inlet, outer) in [(Inlet::Udp4, outer4(UDP)), (Inlet::Udp6, outer6(UDP))] {
        for outer in [outer, may_fragment(outer)] {
            left.send(Egress::Payload(outer), &numbered(100)).unwrap();
            let packet = right.receive_packet(inlet);
            assert_eq!(packet.train.packet(), numbered(100));
            assert_eq!(packet.train.headroom(), Train::HEADROOM);
            let wanted = Arrival::Payload(arrived(outer, right.interface));
            assert_eq!(packet.meta, wanted);
        }
    }
}

#[test]
fn every_segment_of_a_train_is_a_datagram_of_its_own() {
    let (left, right) = hosts(1500);
    let mut train = left.pool.take(SizeClass::Large).unwrap();
    train.set_segments(0, 1200, 100, 5, (1000, 10));
    for index in 0..5 {
        train.segment_mut(index).fill(index as u8 + 1);
    }
    left.outside
        .send(&Egress::Payload(outer4(UDP)), &train)
        .unwrap();
    let wanted: Vec<_> = train.segments().map(<[u8]>::to_vec).collect();
    let got = right.receive_now(Inlet::Udp4);
    let got: Vec<_> = got
        .iter()
        .map(|received| match received {
            Received::Packet(packet) => packet.train.packet().to_vec(),
            other => panic!("not ESP: {other:?}"),
        })
        .collect();
    assert_eq!(got, wanted);
}

#[test]
fn raw_esp_over_ipv4_arrives_whole_with_a_true_header() {
    let (left, right) = hosts(1500);
    for outer in [
        outer4(Encapsulation::Esp),
        may_fragment(outer4(Encapsulation::Esp)),
    ] {
        left.send(Egress::Payload(outer), &numbered(100)).unwrap();
        let packet = right.receive_packet(Inlet::Esp4);
        let interface = right.interface;
        assert_eq!(packet.meta, Arrival::Whole { interface });
        let octets = packet.train.packet();
        assert_eq!(
            octets[..4],
            [0x45, 0xb9, 0, 120],
            "total length in network order"
        );
        let dont_fragment = if outer.dont_fragment == DontFragment::Set {
            0x40
        } else {
            0
        };
        assert_eq!(octets[6..8], [dont_fragment, 0]);
        assert_eq!(octets[8..10], [61, 50]);
        assert_eq!(octets[12..20], [192, 0, 2, 1, 192, 0, 2, 2]);
        assert_eq!(ones_complement(&octets[..20]), 0);
        assert_eq!(octets[20..], numbered(100));
    }
}

#[test]
fn raw_esp_over_ipv6_arrives_as_payload_with_its_facts() {
    let (left, right) = hosts(1500);
    let outer = outer6(Encapsulation::Esp);
    for outer in [outer, may_fragment(outer)] {
        left.send(Egress::Payload(outer), &numbered(100)).unwrap();
        let packet = right.receive_packet(Inlet::Esp6);
        assert_eq!(packet.train.packet(), numbered(100));
        assert_eq!(
            packet.meta,
            Arrival::Payload(arrived(outer, right.interface))
        );
    }
}

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

#[test]
fn keepalives_and_a_key_managers_datagrams_are_not_esp() {
    let (left, right) = hosts(1500);
    for (inlet, sent) in [(Inlet::Udp4, outer4(UDP)), (Inlet::Udp6, outer6(UDP))] {
        for (payload, wanted) in [
            (&[0xff][..], UdpKind::Keepalive),
            (&[0, 0, 0, 0, 1, 2, 3], UdpKind::NonEsp),
        ] {
            left.send(Egress::Payload(sent), payload).unwrap();
            match right.receive(inlet) {
                Received::Datagram { kind, outer, train } => {
                    assert_eq!((kind, train.packet()), (wanted, payload));
                    assert_eq!(outer, arrived(sent, right.interface));
                }
                Received::Packet(packet) => panic!("taken for ESP: {packet:?}"),
            }
        }
        left.send(Egress::Payload(sent), &[]).unwrap();
        assert!(right.receive_packet(inlet).train.packet().is_empty());
    }
}

#[test]
fn only_what_is_sent_to_a_listed_address_is_taken() {
    let (left, mut right) = hosts(1500);
    let interface = right.interface;
    right.namespace.run(move || {
        let address = Address {
            interface,
            address: ip("192.0.2.3"),
            prefix_length: 24,
        };
        Netlink::open().unwrap().add_address(&address).unwrap();
    });
    let destination = ip("192.0.2.3");
    for encapsulation in [UDP, Encapsulation::Esp] {
        let outer = Outer {
            destination,
            ..outer4(encapsulation)
        };
        left.send(Egress::Payload(outer), b"foreign").unwrap();
        left.send(Egress::Payload(outer4(encapsulation)), b"ours")
            .unwrap();
    }
    assert!(
        right
            .receive_packet(Inlet::Udp4)
            .train
            .packet()
            .ends_with(b"ours")
    );
    assert!(
        right
            .receive_packet(Inlet::Esp4)
            .train
            .packet()
            .ends_with(b"ours")
    );
    assert_eq!(right.outside.counters().foreign, 2);
    right.outside.set_addresses(vec![destination]);
    let outer = Outer {
        destination,
        ..outer4(UDP)
    };
    left.send(Egress::Payload(outer), b"listed").unwrap();
    assert_eq!(right.receive_packet(Inlet::Udp4).train.packet(), b"listed");
}

#[test]
fn the_send_only_socket_takes_no_datagram_whoever_sends_it() {
    let (left, right) = hosts(1500);
    let sockets: Vec<_> = left.namespace.run(|| {
        let addresses = ["192.0.2.1", "2001:db8::1"];
        let bind = |number: usize| UdpSocket::bind((ip(addresses[number % 2]), 0)).unwrap();
        (0..200).map(bind).collect()
    });
    for (number, socket) in sockets.iter().enumerate() {
        let to = ["192.0.2.2", "2001:db8::2"][number % 2];
        socket.send_to(b"anything", (ip(to), PORT)).unwrap();
        let inlet = [Inlet::Udp4, Inlet::Udp6][number % 2];
        let packet = right.receive_packet(inlet);
        let Arrival::Payload(outer) = packet.meta else {
            panic!("{packet:?}")
        };
        let source = socket.local_addr().unwrap().port();
        let encapsulation = Encapsulation::Udp {
            source,
            destination: PORT,
        };
        assert_eq!(outer.encapsulation, encapsulation);
    }
}

#[test]
fn a_port_is_ours_alone_and_a_port_of_another_is_in_use() {
    namespace().run(|| {
        let first = Outside::open(&config(&["127.0.0.1", "::1"], 0)).unwrap();
        let port = first.port();
        assert_ne!(port, 0);
        for addresses in [&["127.0.0.1"][..], &["::1"]] {
            let error = Outside::open(&config(addresses, port)).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!(
                    "UDP port {port} is in use by another program: \
                     stop it or choose another port"
                )
            );
        }
        for address in ["0.0.0.0", "127.0.0.1", "::", "::1"] {
            assert!(UdpSocket::bind((ip(address), port)).is_err(), "{address}");
        }
        drop(first);
        let other = UdpSocket::bind(("127.0.0.1", port)).unwrap();
        let error = Outside::open(&config(&["127.0.0.1"], port)).unwrap_err();
        assert!(
            matches!(error, OpenError::PortInUse(p) if p == port),
            "{error}"
        );
        drop(other);
        assert!(Outside::open(&config(&["::1", "127.0.0.1"], port)).is_ok());
        let error = Outside::open(&config(&[], port)).unwrap_err();
        assert!(matches!(error, OpenError::NoAddresses));
    });
}

#[test]
fn what_cannot_be_sent_has_a_reason_and_the_next_packet_passes() {
    let (left, right) = hosts(1500);
    let foreign4 = Outer {
        source: ip("192.0.2.77"),
        ..outer4(UDP)
    };
    let foreign6 = Outer {
        source: ip("2001:db8::77"),
        ..outer6(UDP)
    };
    for outer in [
        foreign4,
        may_fragment(foreign4),
        foreign6,
        may_fragment(foreign6),
    ] {
        for encapsulation in [UDP, Encapsulation::Esp] {
            let outer = Outer {
                encapsulation,
                ..outer
            };
            let error = left.send(Egress::Payload(outer), b"esp").unwrap_err();
            let refused = matches!(error, SendError::NotOurs | SendError::Unreachable);
            assert!(refused, "{outer:?}: {error}");
        }
    }
    let far = Outer {
        destination: ip("203.0.113.1"),
        ..outer4(UDP)
    };
    let error = left.send(Egress::Payload(far), b"esp").unwrap_err();
    assert!(matches!(error, SendError::Unreachable), "{error}");
    let source = PORT + 1;
    let port = Encapsulation::Udp {
        source,
        destination: PORT,
    };
    let mixed = Outer {
        destination: ip("2001:db8::2"),
        ..outer4(UDP)
    };
    for egress in [
        Egress::Payload(outer4(port)),
        Egress::Payload(outer4(Encapsulation::Ah)),
        Egress::Payload(mixed),
        Egress::Clear,
    ] {
        let error = left.send(egress, b"esp").unwrap_err();
        assert!(matches!(error, SendError::Unsupported(_)), "{error}");
    }
    left.send(Egress::Payload(outer4(UDP)), b"esp").unwrap();
    assert_eq!(right.receive_packet(Inlet::Udp4).train.packet(), b"esp");
}

#[test]
fn a_named_interface_escapes_the_route_into_our_own_device() {
    let (left, right) = hosts(1500);
    let tun = left.namespace.run(|| {
        let tun = Tun::open("seal0").unwrap();
        let mut netlink = Netlink::open().unwrap();
        netlink.set_state(tun.index(), State::Up).unwrap();
        for (destination, prefix_length) in [("192.0.2.2", 32), ("2001:db8::2", 128)] {
            let route = Route {
                destination: ip(destination),
                prefix_length,
                via: None,
                interface: Some(tun.index()),
                source: None,
                metric: None,
            };
            netlink.add_route(&route).unwrap();
        }
        tun
    });
    let pool = Pool::new(2, 2);
    for (inlet, outer) in [
        (Inlet::Udp4, outer4(UDP)),
        (Inlet::Esp4, outer4(Encapsulation::Esp)),
        (Inlet::Udp6, outer6(UDP)),
        (Inlet::Esp6, outer6(Encapsulation::Esp)),
    ] {
        left.send(Egress::Payload(outer), b"swallowed").unwrap();
        until(tun.as_fd(), || tun.read(&pool).unwrap());
        let interface = left.interface;
        for outer in [outer, may_fragment(outer)] {
            let outer = Outer { interface, ..outer };
            left.send(Egress::Payload(outer), b"escapes").unwrap();
            let packet = right.receive_packet(inlet);
            assert!(packet.train.packet().ends_with(b"escapes"));
        }
        assert!(tun.read(&pool).unwrap().is_none());
    }
    let interface = left.interface;
    let whole = Outer {
        interface,
        ..outer4(Encapsulation::Ah)
    };
    left.send(Egress::Whole(whole), &ipv4_packet(51, &[], b"ah"))
        .unwrap();
    right.receive_packet(Inlet::Ah4);
    let whole = Outer {
        interface,
        ..outer6(Encapsulation::Ah)
    };
    left.send(Egress::Whole(whole), &ipv6_packet(51, b"ah, eight"))
        .unwrap();
    right.receive_packet(Inlet::Ah6);
}

#[test]
fn an_empty_pool_stops_the_reading_and_nothing_is_lost() {
    let (left, right) = hosts(1500);
    let held: Vec<_> = [SizeClass::Small, SizeClass::Large]
        .into_iter()
        .flat_map(|class| std::iter::from_fn(move || Some(class)).take(8))
        .map(|class| right.pool.take(class).unwrap())
        .collect();
    left.send(Egress::Payload(outer4(UDP)), b"patient").unwrap();
    let (_, fd) = right.outside.inlets().next().unwrap();
    poll::wait(&mut [poll::readable(fd)], None).unwrap();
    let stop = right
        .outside
        .receive(Inlet::Udp4, &right.pool, &mut |_| panic!("no buffer"));
    assert_eq!(stop.unwrap(), Stop::PoolEmpty);
    drop(held);
    assert_eq!(right.receive_packet(Inlet::Udp4).train.packet(), b"patient");
}

#[test]
fn an_answer_by_icmp_spoils_no_later_packet() {
    let (left, right) = hosts(1500);
    // Nobody listens there: the other host answers that the port is unreachable.
    let destination = PORT + 7;
    let nobody = outer4(Encapsulation::Udp {
        source: PORT,
        destination,
    });
    for _ in 0..3 {
        left.send(Egress::Payload(nobody), b"knock").unwrap();
        assert!(left.receive_now(Inlet::Udp4).is_empty());
        left.send(Egress::Payload(outer4(UDP)), b"esp").unwrap();
        right.receive_packet(Inlet::Udp4);
    }
}

#[test]
fn without_capabilities_each_refusal_is_one_sentence() {
    let unprivileged = namespace();
    unprivileged.run(|| {
        // SAFETY: the call takes no pointers; unlike libc's function it concerns this thread only,
        // which runs nothing but this test.
        let done = unsafe { libc::syscall(libc::SYS_setresuid, 65_534, 65_534, 65_534) };
        assert_eq!(done, 0);
        let error = Outside::open(&config(&["127.0.0.1"], 0))
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            "raw sockets are refused: the capability CAP_NET_RAW is missing \
             (run as root, or grant it)"
        );
        let error = Tun::open("seal0").unwrap_err().to_string();
        assert!(error.contains("may not be"), "{error}");
        let error = Namespace::new().unwrap_err().to_string();
        assert!(
            error.starts_with("the kernel refuses a network namespace (EPERM)"),
            "{error}"
        );
        let mut netlink = Netlink::open().unwrap();
        let error = netlink.add_veth("a", "b", None).unwrap_err().to_string();
        assert!(
            error.ends_with("the capability CAP_NET_ADMIN is missing"),
            "{error}"
        );
        assert!(Capture::open(1, 1 << 16).is_err());
    });
}

#[test]
fn more_interfaces_than_socket_sets_take_turns() {
    let (left, right) = hosts(1500);
    let others: Vec<u32> = left.namespace.run(|| {
        let mut netlink = Netlink::open().unwrap();
        (0..6)
            .map(|number| {
                let (name, peer) = (format!("other{number}"), format!("peer{number}"));
                netlink.add_veth(&name, &peer, None).unwrap();
                let index = netlink.link(&name).unwrap().index;
                netlink.set_state(index, State::Up).unwrap();
                index
            })
            .collect()
    });
    for interface in others {
        let outer = Outer {
            interface,
            ..outer6(UDP)
        };
        let error = left.send(Egress::Payload(outer), b"astray").unwrap_err();
        assert!(matches!(error, SendError::Unreachable), "{error}");
        let interface = left.interface;
        let outer = Outer {
            interface,
            ..outer6(UDP)
        };
        left.send(Egress::Payload(outer), b"home").unwrap();
        assert_eq!(right.receive_packet(Inlet::Udp6).train.packet(), b"home");
    }
    let outer = Outer {
        interface: 9999,
        ..outer6(UDP)
    };
    let error = left.send(Egress::Payload(outer), b"nowhere").unwrap_err();
    assert!(matches!(error, SendError::Unreachable), "{error}");
}

#[test]
fn sockets_behind_faults_are_a_device_like_any_other() {
    let (left, right) = hosts(1500);
    let device = Pooled {
        outside: left.outside,
        clear: None,
        pool: left.pool,
    };
    let rates = Rates {
        duplicate: 1000,
        ..Rates::default()
    };
    let mut device = Faults::new(device, rates, Prng::new(1));
    let outer = outer4(UDP);
    device
        .send(Egress::Payload(outer), Train::detached(b"twice"))
        .unwrap();
    let fds: Vec<_> = right.outside.inlets().collect();
    let mut count = 0;
    until(fds[0].1, || {
        count += right.receive_now(Inlet::Udp4).len();
        (count == 2).then_some(())
    });
    let back = Outer {
        source: outer.destination,
        destination: outer.source,
        ..outer
    };
    right.send(Egress::Payload(back), b"answer").unwrap();
    let mut answers = Vec::new();
    device.receive(&mut |packet| answers.push(packet.train.packet().to_vec()));
    assert_eq!(answers, [b"answer".to_vec()]);
    let error = device
        .send(Egress::Clear, Train::detached(b"clear"))
        .unwrap_err();
    assert_eq!(error.to_string(), "this device cannot send clear packets");
}
