//! Reports of packets that were too big, as raw sockets give them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;
use sealway_wire::build::Packet;
use sealway_wire::{Quoted, TooBig, icmp, icmpv6, ipv6, protocol};

const US: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
];
const PEER: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(198, 51, 100, 2)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 2)),
];
const SPI: [u8; 8] = [0, 1, 0, 2, 0, 0, 0, 9];

/// What a router says that quotes `octets` of the packet.
fn said(family: usize, packet: &[u8], octets: usize, mtu: u16) -> Option<TooBig> {
    let mut out = [0; 2000];
    let quote = &packet[..packet.len().min(octets)];
    match (US[family], PEER[family]) {
        (IpAddr::V4(us), IpAddr::V4(router)) => {
            let answer = icmp::Answer {
                source: router,
                destination: us,
            };
            let length = answer.too_big(&mut out, quote, mtu).unwrap();
            TooBig::of_v4(&out[..length])
        }
        (IpAddr::V6(us), IpAddr::V6(router)) => {
            let answer = icmpv6::Answer {
                source: router,
                destination: us,
            };
            let length = answer.too_big(&mut out, quote, mtu.into()).unwrap();
            TooBig::of_v6(&out[ipv6::HEADER..length])
        }
        _ => unreachable!(),
    }
}

fn esp(family: usize) -> Vec<u8> {
    Packet::new(US[family], PEER[family])
        .payload(protocol::ESP, &[SPI.as_slice(), &[7; 1400]].concat())
}

fn udp(family: usize) -> Vec<u8> {
    Packet::new(US[family], PEER[family]).udp(4500, 4501, &[SPI.as_slice(), &[7; 1400]].concat())
}

#[test]
fn esp_is_known_by_its_spi_and_udp_by_its_ports_too() {
    for (family, header) in [(0, 20), (1, 40)] {
        let heard = said(family, &esp(family), 2000, 1300).unwrap();
        let expected = TooBig {
            source: US[family],
            destination: PEER[family],
            mtu: 1300,
            quoted: Quoted::Esp { spi: 0x10002 },
        };
        assert_eq!(heard, expected);
        for (octets, spi) in [(2000, Some(0x10002)), (header + 8, None)] {
            let heard = said(family, &udp(family), octets, 1300).unwrap();
            let quoted = Quoted::Udp {
                source: 4500,
                destination: 4501,
                spi,
            };
            assert_eq!(heard, TooBig { quoted, ..expected });
        }
        assert_eq!(said(family, &udp(family), header + 3, 1300), None);
        assert_eq!(said(family, &esp(family), header + 3, 1300), None);
    }
}

#[test]
fn a_router_that_names_no_mtu_means_the_next_that_is_usual() {
    assert_eq!(said(0, &esp(0), 28, 0).unwrap().mtu, 1006);
}

#[test]
fn a_wrong_checksum_is_heard_by_nobody() {
    let answer = icmp::Answer {
        source: Ipv4Addr::new(192, 0, 2, 254),
        destination: Ipv4Addr::new(192, 0, 2, 1),
    };
    let mut out = [0; 600];
    let length = answer.too_big(&mut out, &esp(0), 1300).unwrap();
    assert!(TooBig::of_v4(&out[..length]).is_some());
    out[27] ^= 1;
    assert_eq!(TooBig::of_v4(&out[..length]), None);
}

proptest! {
    #[test]
    fn random_octets_never_panic(octets in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = (TooBig::of_v4(&octets), TooBig::of_v6(&octets));
    }

    #[test]
    fn random_quotes_never_panic(quote in prop::collection::vec(any::<u8>(), 0..200), family in 0usize..2) {
        let _ = said(family, &quote, 2000, 1300);
    }
}
