//! Two parsers by other hands, etherparse and smoltcp, asked the same questions.

use std::net::IpAddr;

use etherparse::{IpNumber, IpSlice, TransportSlice};
use proptest::prelude::*;
use sealway_wire::{Family, Layout, Ports, checksum, ipv4, protocol};
use smoltcp::wire::{
    Icmpv4Packet, Icmpv6Packet, IpAddress, IpProtocol, Ipv4Packet, Ipv6ExtHeader,
    Ipv6FragmentHeader, Ipv6Packet, TcpPacket, UdpPacket,
};

use crate::strategies;

/// etherparse agrees on the addresses, the protocol and where its header starts.
fn agree_with_etherparse(packet: &[u8], layout: &Layout) {
    // It walks through AH, and past Fragment headers whatever their offset; and it takes an IPv6
    // payload length of zero for "all there is".
    let lengthless = layout.family == Family::V6 && layout.length == 40 && packet.len() > 40;
    if layout.protocol == protocol::AH || !layout.is_first() || lengthless {
        return;
    }
    let theirs = IpSlice::from_slice(packet).unwrap();
    assert_eq!(theirs.source_addr(), layout.source(packet));
    assert_eq!(theirs.destination_addr(), layout.destination(packet));
    assert_eq!(theirs.payload_ip_number(), IpNumber(layout.protocol));
    assert_eq!(theirs.payload().payload, layout.payload(packet));
    assert_eq!(theirs.is_fragmenting_payload(), layout.is_fragment());
    let sliced = etherparse::SlicedPacket::from_ip(packet).map(|sliced| sliced.transport);
    let ports = match sliced {
        Ok(Some(TransportSlice::Udp(udp))) => Some((udp.source_port(), udp.destination_port())),
        Ok(Some(TransportSlice::Tcp(tcp))) => Some((tcp.source_port(), tcp.destination_port())),
        _ => None,
    };
    if let Some((source, destination)) = ports {
        assert_eq!(
            layout.ports,
            Ports::Pair {
                source,
                destination
            }
        );
    }
}

/// smoltcp agrees on the fields, the protocol, and where its header starts.
fn agree_with_smoltcp(packet: &[u8], layout: &Layout) {
    match layout.family {
        Family::V4 => {
            let theirs = Ipv4Packet::new_checked(packet).unwrap();
            assert_eq!(IpAddr::from(theirs.src_addr()), layout.source(packet));
            assert_eq!(IpAddr::from(theirs.dst_addr()), layout.destination(packet));
            assert_eq!(u8::from(theirs.next_header()), layout.protocol);
            assert_eq!(theirs.dscp() << 2 | theirs.ecn(), layout.tos(packet));
            assert_eq!(theirs.hop_limit(), layout.hop_limit(packet));
            assert_eq!(theirs.dont_frag(), layout.dont_fragment(packet));
            assert_eq!(theirs.verify_checksum(), ipv4::checksum_ok(packet));
            assert_eq!(theirs.payload(), layout.payload(packet));
            let fragment = layout.fragment.map(|it| (it.offset, it.more, it.id));
            let id = u32::from(theirs.ident());
            let stated = (theirs.frag_offset(), theirs.more_frags(), id);
            assert_eq!(
                fragment,
                Some(stated).filter(|(offset, more, _)| *offset > 0 || *more)
            );
        }
        Family::V6 => {
            let theirs = Ipv6Packet::new_checked(packet).unwrap();
            assert_eq!(IpAddr::from(theirs.src_addr()), layout.source(packet));
            assert_eq!(IpAddr::from(theirs.dst_addr()), layout.destination(packet));
            assert_eq!(theirs.traffic_class(), layout.tos(packet));
            assert_eq!(theirs.hop_limit(), layout.hop_limit(packet));
            let (protocol, upper) = walk(theirs.next_header(), theirs.payload(), layout);
            assert_eq!(u8::from(protocol), layout.protocol);
            assert_eq!(upper, layout.payload(packet));
        }
    }
}

/// Follows the extension headers with smoltcp's views.
fn walk<'a>(mut next: IpProtocol, mut rest: &'a [u8], layout: &Layout) -> (IpProtocol, &'a [u8]) {
    loop {
        match next {
            IpProtocol::HopByHop | IpProtocol::Ipv6Route | IpProtocol::Ipv6Opts => {
                let header = Ipv6ExtHeader::new_checked(rest).unwrap();
                next = header.next_header();
                rest = &rest[usize::from(header.header_len()) * 8 + 8..];
            }
            IpProtocol::Ipv6Frag => {
                let header = Ipv6FragmentHeader::new_checked(&rest[2..]).unwrap();
                let ours = layout.fragment.unwrap();
                assert_eq!(header.frag_offset() * 8, ours.offset);
                assert_eq!((header.more_frags(), header.ident()), (ours.more, ours.id));
                next = IpProtocol::from(rest[0]);
                rest = &rest[8..];
                if !ours.is_first() {
                    return (next, rest);
                }
            }
            _ => return (next, rest),
        }
    }
}

/// What smoltcp says about the upper-layer checksum, if it knows the protocol.
fn smoltcp_verifies(packet: &[u8], layout: &Layout) -> Option<bool> {
    let source = IpAddress::from(layout.source(packet));
    let destination = IpAddress::from(layout.destination(packet));
    let payload = layout.payload(packet);
    Some(match (layout.protocol, source, destination) {
        (protocol::TCP, ..) => TcpPacket::new_checked(payload)
            .ok()?
            .verify_checksum(&source, &destination),
        (protocol::UDP, ..) => UdpPacket::new_checked(payload)
            .ok()?
            .verify_checksum(&source, &destination),
        (protocol::ICMP, ..) => Icmpv4Packet::new_checked(payload).ok()?.verify_checksum(),
        (protocol::ICMPV6, IpAddress::Ipv6(source), IpAddress::Ipv6(destination)) => {
            Icmpv6Packet::new_checked(payload)
                .ok()?
                .verify_checksum(&source, &destination)
        }
        _ => return None,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn sound_packets_look_the_same_to_all(packet in strategies::packet()) {
        let layout = Layout::parse(&packet).unwrap();
        agree_with_etherparse(&packet, &layout);
        agree_with_smoltcp(&packet, &layout);
    }

    #[test]
    fn damaged_packets_that_pass_look_the_same_to_all(packet in strategies::damaged()) {
        if let Ok(layout) = Layout::parse(&packet) {
            agree_with_etherparse(&packet, &layout);
            agree_with_smoltcp(&packet, &layout);
        }
    }

    #[test]
    fn checksums_that_we_fill_are_right_to_smoltcp(mut packet in strategies::packet()) {
        let layout = Layout::parse(&packet).unwrap();
        let routed = sealway_wire::ipv6::final_destination(&packet, &layout);
        if routed != layout.destination(&packet) {
            return Ok(());
        }
        checksum::fill_transport(&mut packet, &layout);
        if let Some(verified) = smoltcp_verifies(&packet, &layout) {
            prop_assert!(verified);
            prop_assert!(checksum::verify_transport(&packet, &layout));
        }
    }

    #[test]
    fn wrong_checksums_are_wrong_to_both(mut packet in strategies::packet(), flip in 1u8..) {
        let layout = Layout::parse(&packet).unwrap();
        let routed = sealway_wire::ipv6::final_destination(&packet, &layout);
        if routed != layout.destination(&packet) || layout.payload(&packet).is_empty() {
            return Ok(());
        }
        let at = usize::from(layout.upper);
        packet[at] ^= flip;
        if let Some(verified) = smoltcp_verifies(&packet, &layout) {
            prop_assert_eq!(verified, checksum::verify_transport(&packet, &layout));
        }
    }
}
