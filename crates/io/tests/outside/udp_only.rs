//! An outside without raw sockets.

use std::os::fd::AsFd;
use std::time::Duration;

use crate::{
    Host, PORT, UDP, config, hosts, ipv4_packet, ipv6_packet, ones_complement, outer4, outer6,
};
use sealway_io::SendError;
use sealway_io::offload::Kinds;
use sealway_io::outside::{Carriers, Config, Inlet, Outside, Received};
use sealway_io::poll;
use sealway_packet::{Egress, Encapsulation, Outer};
use sealway_wire::{Quoted, TooBig};

/// The right one has UDP alone.
fn a_router_and_a_host() -> (Host, Host) {
    let (left, mut right) = hosts(1500);
    // So that the port is free again.
    let port = 4501;
    right.outside = right.namespace.run(move || {
        let config = Config {
            carriers: Carriers::UdpOnly,
            offloads: Kinds::ALL,
            ..config(&["192.0.2.2", "2001:db8::2"], port)
        };
        Outside::open(&config).unwrap()
    });
    (left, right)
}

fn from_right(outer: Outer) -> Outer {
    Outer {
        source: outer.destination,
        destination: outer.source,
        encapsulation: Encapsulation::Udp {
            source: 4501,
            destination: PORT,
        },
        ..outer
    }
}

#[test]
fn esp_in_udp_passes_and_nothing_else_is_sent() {
    let (left, right) = a_router_and_a_host();
    for (outer, inlet) in [(outer4(UDP), Inlet::Udp4), (outer6(UDP), Inlet::Udp6)] {
        let there = from_right(outer);
        right.send(Egress::Payload(there), b"ESP in UDP").unwrap();
        let packet = left.receive_packet(inlet);
        assert_eq!(packet.train.packet(), b"ESP in UDP");
        let back = Outer {
            encapsulation: Encapsulation::Udp {
                source: PORT,
                destination: 4501,
            },
            ..outer
        };
        left.send(Egress::Payload(back), b"and back").unwrap();
        assert_eq!(right.receive_packet(inlet).train.packet(), b"and back");
        let bare = Outer {
            encapsulation: Encapsulation::Esp,
            ..there
        };
        for egress in [Egress::Payload(bare), Egress::Whole(bare)] {
            let refused = right.send(egress, b"bare").unwrap_err();
            assert!(matches!(refused, SendError::Unsupported(_)), "{refused}");
        }
    }
    let inlets: Vec<_> = right.outside.inlets().map(|(inlet, _)| inlet).collect();
    assert_eq!(inlets, [Inlet::Udp4, Inlet::Udp6]);
}

#[test]
fn what_a_router_says_of_sizes_is_heard_and_spoils_nothing() {
    let (left, right) = a_router_and_a_host();
    for (outer, inlet) in [(outer4(UDP), Inlet::Udp4), (outer6(UDP), Inlet::Udp6)] {
        let there = from_right(outer);
        for quoted in [Some(0x0102_0304), None] {
            left.outside
                .send(&Egress::Whole(outer), &report(outer, quoted))
                .unwrap();
            let Received::TooBig(report) = right.receive(inlet) else {
                panic!("no report");
            };
            let expected = TooBig {
                source: there.source,
                destination: there.destination,
                mtu: 1300,
                quoted: Quoted::Udp {
                    source: 4501,
                    destination: PORT,
                    spi: quoted,
                },
            };
            assert_eq!(report, expected);
        }
        // Nobody listens there: an error that is not about sizes.
        let nobody = Outer {
            encapsulation: Encapsulation::Udp {
                source: 4501,
                destination: 9,
            },
            ..there
        };
        right.send(Egress::Payload(nobody), b"knock").unwrap();
        right.send(Egress::Payload(there), b"still").unwrap();
        assert_eq!(left.receive_packet(inlet).train.packet(), b"still");
        let (_, fd) = right.outside.inlets().find(|(i, _)| *i == inlet).unwrap();
        poll::wait(&mut [poll::readable(fd)], None).unwrap();
        assert!(right.receive_now(inlet).is_empty());
        let none = poll::wait(&mut [poll::readable(fd.as_fd())], Some(Duration::ZERO));
        assert_eq!(
            none.unwrap(),
            0,
            "an error that nobody takes would wake for ever"
        );
    }
}

/// The left host says that a packet of the right one's was too big for 1300 octets.
fn report(outer: Outer, spi: Option<u32>) -> sealway_packet::Train {
    let udp = [4501u16, PORT, 1408, 0].map(u16::to_be_bytes).concat();
    let quoted = [
        udp,
        spi.map_or(Vec::new(), |spi| spi.to_be_bytes().to_vec()),
    ]
    .concat();
    let octets = if outer.source.is_ipv4() {
        let mut packet = ipv4_packet(17, &[], &quoted);
        turn_round(&mut packet, 12, 4);
        let mut message = [&[3, 4, 0, 0, 0, 0][..], &1300u16.to_be_bytes(), &packet].concat();
        let sum = ones_complement(&message);
        message[2..4].copy_from_slice(&sum.to_be_bytes());
        ipv4_packet(1, &[], &message)
    } else {
        let mut packet = ipv6_packet(17, &quoted);
        turn_round(&mut packet, 8, 16);
        let message = [&[2, 0, 0, 0][..], &1300u32.to_be_bytes(), &packet].concat();
        let mut whole = ipv6_packet(58, &message);
        let length = message.len() as u32;
        let pseudo = [
            &whole[8..40],
            &length.to_be_bytes(),
            &[0, 0, 0, 58],
            &message,
        ]
        .concat();
        let sum = ones_complement(&pseudo);
        whole[42..44].copy_from_slice(&sum.to_be_bytes());
        whole
    };
    sealway_packet::Train::detached(&octets)
}

/// Exchanges source and destination, which are at `start`.
fn turn_round(packet: &mut [u8], start: usize, octets: usize) {
    let (source, destination) = packet[start..start + 2 * octets].split_at_mut(octets);
    source.swap_with_slice(destination);
}
