//! Headers: found, read, split, answered.

use sealway_wire::fragment::Split;
use sealway_wire::{Layout, checksum, icmp, icmpv6, ipv4, ipv6, tcp};

/// Finds the headers and reads all there is to read.
pub(crate) fn layout(octets: &[u8]) {
    for layout in [Layout::parse(octets), Layout::parse_quoted(octets)] {
        let Ok(layout) = layout else { continue };
        assert!(layout.length as usize <= octets.len());
        assert!(u32::from(layout.unfragmentable) <= layout.length);
        assert!(u32::from(layout.upper) <= layout.length);
        let (source, destination) = (layout.source(octets), layout.destination(octets));
        assert_eq!(source.is_ipv4(), destination.is_ipv4());
        let _ = (layout.tos(octets), layout.hop_limit(octets));
        let _ = (layout.payload(octets), layout.dont_fragment(octets));
        let _ = checksum::verify_transport(octets, &layout);
        let _ = ipv6::final_destination(octets, &layout);
        let _ = ipv4::checksum_ok(octets);
        let _ = icmp::reported_mtu(octets, &layout);
        if let Some(quoted) = icmp::quoted(octets, &layout) {
            let _ = Layout::parse_quoted(quoted);
        }
        answer(octets, &layout);
        filled(octets, &layout);
    }
}

/// A checksum that was filled verifies.
fn filled(octets: &[u8], layout: &Layout) {
    let mut copy = octets.to_vec();
    if checksum::fill_transport(&mut copy, layout) {
        assert!(checksum::verify_transport(&copy, layout));
        tcp::clamp_mss(&mut copy, layout, 536);
        assert!(checksum::verify_transport(&copy, layout));
    }
}

/// An ICMP error about the packet is a packet.
fn answer(octets: &[u8], layout: &Layout) {
    use std::net::IpAddr::{V4, V6};
    let mut room = [0; 1500];
    let length = match (layout.destination(octets), layout.source(octets)) {
        (V4(source), V4(destination)) => icmp::Answer {
            source,
            destination,
        }
        .too_big(&mut room, octets, 1400),
        (V6(source), V6(destination)) => icmpv6::Answer {
            source,
            destination,
        }
        .too_big(&mut room, octets, 1400),
        _ => None,
    };
    let made = length.and_then(|length| room.get(..length));
    assert!(made.is_none_or(|made| Layout::parse(made).is_ok()));
}

/// Splits a packet at an MTU that the first two octets choose; every piece is a fragment.
pub(crate) fn fragment(octets: &[u8]) {
    let Some(([high, low], packet)) = octets.split_first_chunk::<2>() else {
        return;
    };
    let mtu = usize::from(u16::from_be_bytes([*high, *low]));
    let Ok(layout) = Layout::parse(packet) else {
        return;
    };
    let Ok(split) = Split::new(packet, &layout, mtu, 7) else {
        return;
    };
    let mut room = vec![0; mtu];
    for piece in split.pieces().take(1000) {
        let length = split.write(packet, &piece, &mut room);
        let written = length.and_then(|length| room.get(..length));
        if let Some(written) = written {
            assert!(Layout::parse(written).is_ok_and(|piece| piece.fragment.is_some()));
        }
    }
}
