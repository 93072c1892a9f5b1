use super::*;
use proptest::prelude::*;
use sealway_wire::build::Packet;
use std::net::IpAddr;

fn from(family: Family) -> Packet {
    let (a, b): (IpAddr, IpAddr) = match family {
        Family::V4 => ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap()),
        Family::V6 => ("fd00::1".parse().unwrap(), "fd00::2".parse().unwrap()),
    };
    Packet::new(a, b).id(0xfffe).tos(0x2c).dont_fragment()
}

fn tcp(family: Family, flags: u8, sequence: u32, data: &[u8]) -> Vec<u8> {
    let mut header = tcp::Header::new(4000, 80, flags);
    header.sequence.set(sequence);
    header.acknowledgment.set(77);
    header.window.set(512);
    from(family).tcp_segment(header, data)
}

/// What a sender without offloads would have made: one packet per part of the data.
fn plain_tcp(family: Family, flags: u8, sequence: u32, data: &[u8], size: usize) -> Vec<Vec<u8>> {
    let last = data.len().div_ceil(size) - 1;
    let packet = |(index, part): (usize, &[u8])| {
        let mut flags = flags;
        if index > 0 {
            flags &= !tcp::CWR;
        }
        if index < last {
            flags &= !(tcp::FIN | tcp::PSH);
        }
        let sequence = sequence.wrapping_add((index * size) as u32);
        with_id(tcp(family, flags, sequence, part), index)
    };
    data.chunks(size).enumerate().map(packet).collect()
}

fn plain_udp(family: Family, data: &[u8], size: usize) -> Vec<Vec<u8>> {
    let packet = |(index, part)| with_id(from(family).udp(5000, 6000, part), index);
    data.chunks(size).enumerate().map(packet).collect()
}

/// The sender numbers its packets.
fn with_id(mut packet: Vec<u8>, index: usize) -> Vec<u8> {
    if packet[0] >> 4 == 4 {
        let header: &mut ipv4::Header = view_mut(&mut packet, 0).unwrap();
        header.id.set(0xfffe_u16.wrapping_add(index as u16));
        ipv4::update_checksum(&mut packet);
    }
    packet
}

fn cut(packet: &[u8], segmentation: Segmentation) -> Option<Vec<Vec<u8>>> {
    let layout = Layout::parse(packet).ok()?;
    let packet = SuperPacket::new(packet, &layout, segmentation).ok()?;
    Some(segments(&packet))
}

fn segments(packet: &SuperPacket<'_>) -> Vec<Vec<u8>> {
    let segment = |index| {
        let mut out = vec![0xee; packet.octets(index)];
        packet.write(index, &mut out).unwrap();
        out
    };
    (0..packet.count()).map(segment).collect()
}

fn either() -> impl Strategy<Value = Family> {
    prop_oneof![Just(Family::V4), Just(Family::V6)]
}

proptest! {
    #[test]
    fn tcp_segments_are_what_a_sender_without_offloads_would_send(
        family in either(), flags: u8, sequence: u32, size in 1usize..2000,
        data in proptest::collection::vec(any::<u8>(), 1..9000),
    ) {
        let packet = tcp(family, flags, sequence, &data);
        prop_assert_eq!(
            cut(&packet, Segmentation::Tcp(size as u16)).unwrap(),
            plain_tcp(family, flags, sequence, &data, size)
        );
    }

    #[test]
    fn udp_datagrams_are_what_a_sender_without_offloads_would_send(
        family in either(), size in 1usize..2000,
        data in proptest::collection::vec(any::<u8>(), 1..9000),
    ) {
        let packet = from(family).udp(5000, 6000, &data);
        prop_assert_eq!(
            cut(&packet, Segmentation::Udp(size as u16)).unwrap(),
            plain_udp(family, &data, size)
        );
    }

    #[test]
    fn nothing_that_a_device_says_of_any_octets_panics(
        octets in proptest::collection::vec(any::<u8>(), 0..200),
        like_a_packet in any::<bool>(), size: u16, udp: bool, recut in 0usize..200,
    ) {
        let mut octets = octets;
        if like_a_packet && octets.len() >= 20 {
            octets[0] = 0x45;
            let length = octets.len() as u16;
            octets[2..4].copy_from_slice(&length.to_be_bytes());
            octets[9] = if udp { 17 } else { 6 };
        }
        let segmentation = if udp { Segmentation::Udp(size) } else { Segmentation::Tcp(size) };
        if let Ok(layout) = Layout::parse(&octets)
            && let Ok(packet) = SuperPacket::new(&octets, &layout, segmentation)
        {
            segments(&packet);
            if let Ok(smaller) = packet.recut(recut) {
                segments(&smaller);
            }
        }
    }
}

#[test]
fn options_and_extension_headers_stand_in_every_segment() {
    let mut packet = tcp(Family::V4, tcp::ACK, 1, &[7; 100]);
    // The first 12 octets of the data become options.
    packet[20 + 12] = 8 << 4;
    let layout = Layout::parse(&packet).unwrap();
    checksum::fill_transport(&mut packet, &layout);
    let segments = cut(&packet, Segmentation::Tcp(50)).unwrap();
    assert_eq!(segments.len(), 2);
    for segment in &segments {
        let layout = Layout::parse(segment).unwrap();
        assert!(checksum::verify_transport(segment, &layout) && ipv4::checksum_ok(segment));
        assert_eq!(segment[40..52], [7; 12]);
    }
}

#[test]
fn a_smaller_size_cuts_tcp_anew_and_never_udp() {
    let packet = tcp(Family::V6, tcp::ACK | tcp::PSH, 9, &[1; 3000]);
    let layout = Layout::parse(&packet).unwrap();
    let at = SuperPacket::new(&packet, &layout, Segmentation::Tcp(1400)).unwrap();
    let smaller = segments(&at.recut(1060).unwrap());
    assert_eq!(
        smaller,
        plain_tcp(Family::V6, tcp::ACK | tcp::PSH, 9, &[1; 3000], 1000)
    );
    assert!(at.recut(60).is_err() && at.recut(0).is_err());
    let packet = from(Family::V4).udp(1, 2, &[0; 3000]);
    let layout = Layout::parse(&packet).unwrap();
    let datagrams = SuperPacket::new(&packet, &layout, Segmentation::Udp(1400)).unwrap();
    assert!(datagrams.recut(1000).is_err());
}

#[test]
fn a_device_that_lies_is_not_believed() {
    let packet = tcp(Family::V4, tcp::ACK, 1, &[7; 100]);
    assert!(cut(&packet, Segmentation::Tcp(0)).is_none());
    assert!(cut(&packet, Segmentation::Udp(50)).is_none());
    let empty = tcp(Family::V4, tcp::ACK, 1, &[]);
    assert!(cut(&empty, Segmentation::Tcp(50)).is_none());
    let mut short = packet.clone();
    short[20 + 12] = 4 << 4;
    assert!(cut(&short, Segmentation::Tcp(50)).is_none());
    let mut long = packet;
    long[20 + 12] = 15 << 4;
    long.truncate(70);
    long[2..4].copy_from_slice(&70u16.to_be_bytes());
    assert!(cut(&long, Segmentation::Tcp(50)).is_none());
}
