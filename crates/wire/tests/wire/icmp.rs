//! Errors: written, and read.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use sealway_wire::build::Packet;
use sealway_wire::{Fragment, Layout, Ports, checksum, icmp, icmpv6, ipv4, protocol, view_mut};

const GATEWAY_4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 254);
const HOST_4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const FAR_4: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 2);
const GATEWAY_6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0xfe);
const HOST_6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
const FAR_6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 2);

fn v4() -> Packet {
    Packet::new(HOST_4.into(), FAR_4.into())
}

fn v6() -> Packet {
    Packet::new(HOST_6.into(), FAR_6.into())
}

fn answer_4() -> icmp::Answer {
    icmp::Answer {
        source: GATEWAY_4,
        destination: HOST_4,
    }
}

fn answer_6() -> icmpv6::Answer {
    icmpv6::Answer {
        source: GATEWAY_6,
        destination: HOST_6,
    }
}

#[test]
fn fragmentation_needed_tells_the_mtu_and_quotes_up_to_576_octets() {
    let offending = v4().dont_fragment().udp(5000, 53, &[7; 1400]);
    let mut out = [0; 1500];
    let length = answer_4().too_big(&mut out, &offending, 1390).unwrap();
    assert_eq!(length, 576);
    let error = &out[..length];
    let layout = Layout::parse(error).unwrap();
    assert_eq!(layout.source(error), GATEWAY_4);
    assert_eq!(layout.destination(error), HOST_4);
    assert_eq!(layout.ports, Ports::Icmp { kind: 3, code: 4 });
    assert!(ipv4::checksum_ok(error) && checksum::verify_transport(error, &layout));
    assert_eq!(icmp::reported_mtu(error, &layout), Some(1390));
    let quote = icmp::quoted(error, &layout).unwrap();
    assert_eq!(quote, &offending[..548]);
    let quoted = Layout::parse_quoted(quote).unwrap();
    assert_eq!(
        quoted.ports,
        Ports::Pair {
            source: 5000,
            destination: 53
        }
    );
    assert_eq!(quoted.source(quote), IpAddr::from(HOST_4));
}

#[test]
fn packet_too_big_tells_the_mtu_and_quotes_up_to_1280_octets() {
    let offending = v6().udp(5000, 53, &[7; 1400]);
    let mut out = [0; 1500];
    let length = answer_6().too_big(&mut out, &offending, 1390).unwrap();
    assert_eq!(length, 1280);
    let error = &out[..length];
    let layout = Layout::parse(error).unwrap();
    assert_eq!(layout.ports, Ports::Icmp { kind: 2, code: 0 });
    assert!(checksum::verify_transport(error, &layout));
    assert_eq!(icmp::reported_mtu(error, &layout), Some(1390));
    assert_eq!(icmp::quoted(error, &layout), Some(&offending[..1232]));
}

#[test]
fn other_errors_tell_no_mtu() {
    let mut out = [0; 1500];
    let small = v4().udp(1, 2, b"x");
    for error in [
        answer_4().unreachable(&mut out.clone(), &small, icmp::PROHIBITED),
        answer_4().time_exceeded(&mut out.clone(), &small),
    ] {
        assert_eq!(error, Some(28 + small.len()));
    }
    let length = answer_4()
        .unreachable(&mut out, &small, icmp::PROHIBITED)
        .unwrap();
    let layout = Layout::parse(&out[..length]).unwrap();
    assert_eq!(layout.ports, Ports::Icmp { kind: 3, code: 13 });
    assert_eq!(icmp::reported_mtu(&out, &layout), None);
    assert_eq!(icmp::quoted(&out, &layout), Some(&small[..]));
    let small = v6().udp(1, 2, b"x");
    let length = answer_6()
        .unreachable(&mut out, &small, icmpv6::PROHIBITED)
        .unwrap();
    let layout = Layout::parse(&out[..length]).unwrap();
    assert_eq!(layout.ports, Ports::Icmp { kind: 1, code: 1 });
    assert!(checksum::verify_transport(&out, &layout));
    let length = answer_6().time_exceeded(&mut out, &small).unwrap();
    let layout = Layout::parse(&out[..length]).unwrap();
    assert_eq!(layout.ports, Ports::Icmp { kind: 3, code: 0 });
    assert_eq!(icmp::reported_mtu(&out, &layout), None);
}

#[test]
fn an_error_that_does_not_fit_is_not_begun() {
    let offending = v4().udp(1, 2, &[0; 100]);
    let mut out = [0xee; 155];
    assert_eq!(answer_4().too_big(&mut out, &offending, 1000), None);
    assert_eq!(answer_6().too_big(&mut out, &offending, 1300), None);
    assert_eq!(out, [0xee; 155]);
    assert_eq!(
        answer_4().too_big(&mut [0; 156], &offending, 1000),
        Some(156)
    );
}

#[test]
fn echoes_and_redirects_quote_nothing() {
    for packet in [
        v4().echo_request(1, 1, &[0; 60]),
        v6().icmp(icmpv6::REDIRECT, 0, 0, &[0; 60]),
    ] {
        let layout = Layout::parse(&packet).unwrap();
        assert_eq!(icmp::quoted(&packet, &layout), None);
        assert_eq!(icmp::reported_mtu(&packet, &layout), None);
    }
}

fn may_answer(packet: &[u8]) -> bool {
    icmp::may_answer(packet, &Layout::parse(packet).unwrap())
}

#[test]
fn plain_packets_may_be_answered() {
    assert!(may_answer(&v4().udp(1, 2, b"")));
    assert!(may_answer(&v6().udp(1, 2, b"")));
    assert!(may_answer(&v4().echo_request(1, 1, b"")));
    assert!(may_answer(&v6().echo_request(1, 1, b"")));
    assert!(may_answer(&v6().payload(protocol::ESP, &[0; 32])));
}

#[test]
fn errors_are_not_answered_with_errors() {
    for kind in [3, 4, 5, 11, 12] {
        assert!(!may_answer(&v4().icmp(kind, 0, 0, &[0; 28])), "{kind}");
    }
    for kind in [1, 2, 3, 4, 100, 127, icmpv6::REDIRECT] {
        assert!(!may_answer(&v6().icmp(kind, 0, 0, &[0; 48])), "{kind}");
    }
    // What is cut off may have been one.
    assert!(!may_answer(&v4().payload(protocol::ICMP, &[8])));
}

#[test]
fn only_the_first_fragment_is_answered() {
    let fragment = |offset| {
        v6().fragment(Fragment {
            offset,
            more: true,
            id: 1,
        })
        .udp(1, 2, &[0; 8])
    };
    assert!(may_answer(&fragment(0)));
    assert!(!may_answer(&fragment(16)));
    let mut packet = v4().udp(1, 2, &[0; 8]);
    view_mut::<ipv4::Header>(&mut packet, 0)
        .unwrap()
        .flags_fragment
        .set(100);
    assert!(!may_answer(&packet));
}

#[test]
fn what_names_no_single_host_is_not_answered() {
    let from = |source: &str, far: IpAddr| Packet::new(source.parse().unwrap(), far).udp(1, 2, b"");
    for source in [
        "0.0.0.0",
        "0.1.2.3",
        "127.0.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
    ] {
        assert!(!may_answer(&from(source, FAR_4.into())), "{source}");
    }
    for source in ["::", "::1", "ff02::1"] {
        assert!(!may_answer(&from(source, FAR_6.into())), "{source}");
    }
    for destination in ["224.0.0.1", "255.255.255.255"] {
        let packet = Packet::new(HOST_4.into(), destination.parse().unwrap()).udp(1, 2, b"");
        assert!(!may_answer(&packet), "{destination}");
    }
    let packet = Packet::new(HOST_6.into(), "ff02::1".parse().unwrap()).udp(1, 2, b"");
    assert!(!may_answer(&packet));
}
