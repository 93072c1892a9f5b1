use super::*;
use crate::SuperPacket;
use proptest::prelude::*;
use sealway_wire::build::Packet;

fn from(v6: bool) -> Packet {
    let ends = match v6 {
        false => ["10.0.0.1", "10.0.0.2"],
        true => ["fd00::1", "fd00::2"],
    };
    let [a, b] = ends.map(|end| end.parse().unwrap());
    Packet::new(a, b).id(7)
}

fn tcp(v6: bool, flags: u8, sequence: u32, data: &[u8]) -> Vec<u8> {
    let mut header = tcp::Header::new(4000, 80, flags);
    header.sequence.set(sequence);
    from(v6).tcp_segment(header, data)
}

/// A buffer in which the packets stand with gaps, and where.
fn laid_out(packets: &[Vec<u8>], gap: usize) -> (Vec<u8>, Vec<Range<usize>>) {
    let mut buffer = Vec::new();
    let mut places = Vec::new();
    for packet in packets {
        buffer.extend(std::iter::repeat_n(0xee, gap));
        places.push(buffer.len()..buffer.len() + packet.len());
        buffer.extend(packet);
    }
    (buffer, places)
}

/// What a device would be given for these packets.
fn coalesce(packets: &[Vec<u8>], gap: usize) -> Vec<(Vec<u8>, Offload)> {
    let (mut buffer, places) = laid_out(packets, gap);
    let mut out = Vec::new();
    let mut open: Option<Coalesced> = None;
    for place in places {
        let layout = Layout::parse(&buffer[place.clone()]).unwrap();
        if let Some(open) = &mut open
            && open.join(&mut buffer, place.clone(), &layout)
        {
            continue;
        }
        let next = Coalesced::begin(&buffer, place, &layout);
        if let Some(done) = open.replace(next) {
            let (place, offload) = done.finish(&mut buffer);
            out.push((buffer[place].to_vec(), offload));
        }
    }
    if let Some(done) = open {
        let (place, offload) = done.finish(&mut buffer);
        out.push((buffer[place].to_vec(), offload));
    }
    out
}

/// What the device would make of it.
fn cut(packet: &[u8], offload: &Offload) -> Vec<Vec<u8>> {
    let Some(segmentation) = offload.segmentation else {
        return vec![packet.to_vec()];
    };
    let layout = Layout::parse(packet).unwrap();
    assert!(layout.family == Family::V6 || ipv4::checksum_ok(packet));
    let whole = SuperPacket::new(packet, &layout, segmentation).unwrap();
    let segment = |index| {
        let mut out = vec![0; whole.octets(index)];
        whole.write(index, &mut out).unwrap();
        out
    };
    (0..whole.count()).map(segment).collect()
}

fn segments(packet: &[u8], segmentation: Segmentation) -> Vec<Vec<u8>> {
    let offload = Offload {
        checksum: Checksum::Complete,
        segmentation: Some(segmentation),
    };
    cut(packet, &offload)
}

#[test]
fn the_segments_of_a_super_packet_become_that_super_packet() {
    for v6 in [false, true] {
        let flags = tcp::ACK | tcp::PSH;
        let whole = tcp(v6, flags, u32::MAX - 5000, &[9; 30_000]);
        let parts = segments(&whole, Segmentation::Tcp(1400));
        let joined = coalesce(&parts, 50);
        let [(packet, offload)] = &joined[..] else {
            panic!("{} packets", joined.len());
        };
        assert_eq!(offload.segmentation, Some(Segmentation::Tcp(1400)));
        assert_eq!(cut(packet, offload), parts);
        // The device completes the pseudo-header's sum.
        let Checksum::Partial { start, offset } = offload.checksum else {
            panic!("{offload:?}");
        };
        let mut complete = packet.clone();
        let sum = checksum::sum(&packet[usize::from(start)..]).finish();
        let at = usize::from(start + offset);
        complete[at..at + 2].copy_from_slice(&sum.to_be_bytes());
        assert_eq!(complete, whole);
    }
}

#[test]
fn what_is_not_the_next_segment_begins_another() {
    let first = tcp(false, tcp::ACK, 1, &[1; 100]);
    let others = [
        ("a gap", tcp(false, tcp::ACK, 102, &[2; 100])),
        ("again", first.clone()),
        ("longer", tcp(false, tcp::ACK, 101, &[2; 101])),
        ("empty", tcp(false, tcp::ACK, 101, &[])),
        ("SYN", tcp(false, tcp::ACK | tcp::SYN, 101, &[2; 100])),
        ("CWR", tcp(false, tcp::ACK | tcp::CWR, 101, &[2; 100])),
        ("ECE", tcp(false, tcp::ACK | tcp::ECE, 101, &[2; 100])),
        ("IPv6", tcp(true, tcp::ACK, 101, &[2; 100])),
    ];
    for (name, other) in others {
        assert_eq!(coalesce(&[first.clone(), other], 40).len(), 2, "{name}");
    }
    for (name, at) in [
        ("TOS", 1),
        ("TTL", 8),
        ("source", 15),
        ("port", 21),
        ("window", 34),
    ] {
        let mut next = tcp(false, tcp::ACK, 101, &[2; 100]);
        next[at] ^= 4;
        let layout = Layout::parse(&next).unwrap();
        ipv4::update_checksum(&mut next);
        checksum::fill_transport(&mut next, &layout);
        assert_eq!(coalesce(&[first.clone(), next], 40).len(), 2, "{name}");
    }
}

#[test]
fn a_wrong_checksum_is_never_made_right() {
    for at in [11, 50] {
        for wrong in [0, 1] {
            let whole = tcp(false, tcp::ACK, 1, &[1; 200]);
            let mut parts = segments(&whole, Segmentation::Tcp(100));
            parts[wrong][at] ^= 1;
            let joined = coalesce(&parts, 40);
            let (packets, offloads): (Vec<_>, Vec<_>) = joined.into_iter().unzip();
            assert_eq!(packets, parts);
            assert!(
                offloads
                    .iter()
                    .all(|offload| *offload == Offload::default())
            );
        }
    }
}

#[test]
fn a_push_or_a_short_segment_ends_it() {
    let parts = [
        tcp(false, tcp::ACK, 1, &[1; 100]),
        tcp(false, tcp::ACK | tcp::PSH, 101, &[2; 100]),
        tcp(false, tcp::ACK, 201, &[3; 100]),
        tcp(false, tcp::ACK, 301, &[4; 50]),
        tcp(false, tcp::ACK, 351, &[5; 50]),
    ]
    .map(with_id);
    let counts: Vec<_> = coalesce(&parts, 40)
        .iter()
        .map(|(packet, offload)| cut(packet, offload).len())
        .collect();
    assert_eq!(counts, [2, 2, 1]);
}

/// With Don't Fragment, so that the identification means nothing.
fn with_id(mut packet: Vec<u8>) -> Vec<u8> {
    packet[6] |= 0x40;
    ipv4::update_checksum(&mut packet);
    packet
}

#[test]
fn room_is_made_before_the_next_packet_and_nothing_is_lost() {
    let parts = segments(&tcp(true, tcp::ACK, 1, &[1; 200]), Segmentation::Tcp(100));
    let (mut buffer, places) = laid_out(&parts, 30);
    let layout = Layout::parse(&parts[0]).unwrap();
    let mut open = Coalesced::begin(&buffer, places[0].clone(), &layout);
    assert!(!open.clone().make_room(&mut buffer, places[1].start, 40));
    assert!(open.make_room(&mut buffer, places[1].start, 30));
    assert_eq!(open.end(), places[0].end);
    assert!(open.clone().make_room(&mut buffer, places[1].start, 31) == (places[0].start >= 31));
    let mut front = vec![0; 100];
    front.extend(buffer);
    let moved = |place: &Range<usize>| place.start + 100..place.end + 100;
    let mut open = Coalesced::begin(&front, moved(&places[0]), &layout);
    assert!(open.make_room(&mut front, moved(&places[1]).start, 64));
    assert_eq!(open.end(), places[0].end + 36);
    front[open.end()..moved(&places[1]).start].fill(0xaa);
    assert!(open.join(&mut front, moved(&places[1]), &layout));
    let (place, offload) = open.finish(&mut front);
    assert_eq!(cut(&front[place], &offload), parts);
}

#[test]
fn datagrams_of_one_length_become_one() {
    for v6 in [false, true] {
        let whole = from(v6).udp(1, 2, &[6; 5500]);
        let parts = segments(&whole, Segmentation::Udp(1000));
        let joined = coalesce(&parts, 60);
        assert_eq!(joined.len(), 1);
        let (packet, offload) = &joined[0];
        assert_eq!(cut(packet, offload), parts);
    }
}

#[test]
fn nothing_grows_beyond_the_longest_packet() {
    let size = 1000;
    let parts: Vec<_> = (0..70u32)
        .map(|n| with_id(tcp(false, tcp::ACK, n * size, &[n as u8; 1000])))
        .collect();
    let joined = coalesce(&parts, 40);
    assert_eq!(joined.len(), 2);
    let all: Vec<_> = joined
        .iter()
        .flat_map(|(p, o)| cut(p, o))
        .map(|p| p[40..].to_vec())
        .collect();
    let wanted: Vec<_> = parts.iter().map(|p| p[40..].to_vec()).collect();
    assert_eq!(all, wanted);
}

proptest! {
    /// Whatever comes, a device that cuts what it is given hands on what came.
    #[test]
    fn what_a_device_cuts_is_what_was_joined(
        flows in proptest::collection::vec((any::<bool>(), any::<bool>(), 0u8..3, 1usize..300), 1..40),
        gap in 18usize..100,
    ) {
        let mut sequence = [0u32; 2];
        let packets: Vec<_> = flows.iter().map(|(v6, udp, kind, octets)| {
            let octets = if *kind == 0 { 100 } else { *octets };
            let data = vec![*kind; octets];
            if *udp {
                return from(*v6).dont_fragment().udp(1, 2, &data);
            }
            let flags = if *kind == 2 { tcp::ACK | tcp::PSH } else { tcp::ACK };
            let next = &mut sequence[usize::from(*v6)];
            let packet = tcp(*v6, flags, *next, &data);
            *next = next.wrapping_add(octets as u32);
            if *v6 { packet } else { with_id(packet) }
        }).collect();
        let handed_on: Vec<_> = coalesce(&packets, gap)
            .iter()
            .flat_map(|(packet, offload)| cut(packet, offload))
            .collect();
        let without_id = |packets: Vec<Vec<u8>>| -> Vec<Vec<u8>> {
            packets.into_iter().map(|mut packet| {
                if packet[0] >> 4 == 4 { packet[4..6].fill(0); packet[10..12].fill(0); }
                packet
            }).collect()
        };
        prop_assert_eq!(without_id(handed_on), without_id(packets));
    }

    #[test]
    fn random_octets_never_panic(
        octets in proptest::collection::vec(any::<u8>(), 0..200), from in 0usize..210, to in 0usize..210,
    ) {
        let mut buffer = octets;
        if let Ok(layout) = Layout::parse(&buffer) {
            let mut open = Coalesced::begin(&buffer, 0..from, &layout);
            let _ = open.join(&mut buffer, from..to.max(from), &layout);
            open.finish(&mut buffer);
        }
    }
}
