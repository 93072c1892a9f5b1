//! Splitting, and that a receiver puts together what was split.

use proptest::prelude::*;
use sealway_wire::build::Packet;
use sealway_wire::fragment::{Split, Unsplittable};
use sealway_wire::{Family, Fragment, Layout, Ports, ipv4, ipv6, protocol, view, view_mut};

use crate::strategies;

fn v4() -> Packet {
    Packet::new(
        "192.0.2.1".parse().unwrap(),
        "198.51.100.2".parse().unwrap(),
    )
}

fn v6() -> Packet {
    Packet::new(
        "2001:db8::1".parse().unwrap(),
        "2001:db8:1::2".parse().unwrap(),
    )
}

fn split(packet: &[u8], mtu: usize) -> Result<Vec<Vec<u8>>, Unsplittable> {
    let layout = Layout::parse(packet).unwrap();
    let split = Split::new(packet, &layout, mtu, 0xabcd_1234)?;
    let pieces = split.pieces().map(|piece| {
        let mut out = vec![0xee; piece.octets()];
        assert_eq!(
            split.write(packet, &piece, &mut out[..piece.octets() - 1]),
            None
        );
        assert_eq!(split.write(packet, &piece, &mut out), Some(piece.octets()));
        out
    });
    Ok(pieces.collect())
}

/// What a receiver does: headers of the first fragment, data of all in order of their offsets.
fn reassemble(pieces: &[Vec<u8>]) -> Vec<u8> {
    let mut pieces: Vec<_> = pieces
        .iter()
        .map(|octets| {
            let layout = Layout::parse(octets).unwrap();
            let header = match layout.family {
                Family::V4 => usize::from(layout.unfragmentable),
                Family::V6 => usize::from(layout.unfragmentable) + ipv6::FRAGMENT_HEADER,
            };
            (
                layout.fragment.unwrap(),
                layout,
                &octets[..header],
                &octets[header..],
            )
        })
        .collect();
    pieces.sort_by_key(|(fragment, ..)| fragment.offset);
    let (_, layout, header, _) = pieces[0];
    let mut packet = header[..usize::from(layout.unfragmentable)].to_vec();
    let unfragmentable = packet.len();
    for (fragment, _, _, data) in &pieces {
        assert_eq!(packet.len() - unfragmentable, usize::from(fragment.offset));
        packet.extend_from_slice(data);
    }
    let length = packet.len();
    match layout.family {
        Family::V4 => {
            let ip: &mut ipv4::Header = view_mut(&mut packet, 0).unwrap();
            ip.flags_fragment
                .set(ip.flags_fragment.get() & ipv4::DONT_FRAGMENT);
            ip.total_length.set(length as u16);
            ipv4::update_checksum(&mut packet);
        }
        Family::V6 => {
            packet[usize::from(layout.next_header_at)] = header[unfragmentable];
            let ip: &mut ipv6::Header = view_mut(&mut packet, 0).unwrap();
            ip.payload_length.set((length - ipv6::HEADER) as u16);
        }
    }
    packet
}

#[test]
fn ipv4_is_split_into_equal_pieces() {
    let packet = v4().id(9).udp(5000, 53, &[7; 3000]);
    let pieces = split(&packet, 1500).unwrap();
    let sizes: Vec<_> = pieces.iter().map(Vec::len).collect();
    assert_eq!(sizes, [1500, 1500, 20 + 48]);
    let layouts: Vec<_> = pieces
        .iter()
        .map(|piece| Layout::parse(piece).unwrap())
        .collect();
    assert_eq!(
        layouts[0].fragment,
        Some(Fragment {
            offset: 0,
            more: true,
            id: 9
        })
    );
    assert_eq!(
        layouts[2].fragment,
        Some(Fragment {
            offset: 2960,
            more: false,
            id: 9
        })
    );
    assert_eq!(
        layouts[0].ports,
        Ports::Pair {
            source: 5000,
            destination: 53
        }
    );
    assert_eq!(layouts[1].ports, Ports::Unavailable);
    assert!(pieces.iter().all(|piece| ipv4::checksum_ok(piece)));
    assert_eq!(reassemble(&pieces), packet);
}

#[test]
fn ipv6_is_split_behind_its_unfragmentable_part() {
    let packet = v6()
        .extension(protocol::HOP_BY_HOP, &[])
        .extension(protocol::ROUTING, &[])
        .extension(protocol::DESTINATION_OPTIONS, &[])
        .udp(5000, 53, &[7; 3000]);
    let pieces = split(&packet, 1280).unwrap();
    assert_eq!(pieces[0].len(), 1280);
    for piece in &pieces {
        assert_eq!(&piece[8..48], &packet[8..48]);
        assert_eq!(piece[48], protocol::FRAGMENT);
        let header: &ipv6::FragmentHeader = view(piece, 56).unwrap();
        assert_eq!(
            (header.next_header, header.id.get()),
            (protocol::DESTINATION_OPTIONS, 0xabcd_1234)
        );
    }
    assert_eq!(reassemble(&pieces), packet);
}

#[test]
fn options_without_copied_flag_stay_in_the_first_piece() {
    // Router alert (copied), record route and timestamp (not copied).
    let options = [0x94, 4, 0, 0, 7, 7, 4, 1, 2, 3, 4, 0x44, 4, 5, 0];
    let packet = v4().options(&options).udp(1, 2, &[7; 100]);
    let pieces = split(&packet, 68).unwrap();
    let kinds = |piece: &[u8]| -> Vec<u8> {
        ipv4::options(ipv4::header_octets(piece).unwrap())
            .map(|option| option.kind)
            .collect()
    };
    assert_eq!(kinds(&pieces[0]), [0x94, 7, 0x44]);
    assert!(pieces.len() > 2);
    for piece in &pieces[1..] {
        assert_eq!(kinds(piece), [0x94]);
        assert!(ipv4::checksum_ok(piece));
    }
    assert_eq!(reassemble(&pieces), packet);
}

#[test]
fn a_fragment_is_split_into_fragments_of_the_same_packet() {
    let whole = v4().id(5).udp(1, 2, &[7; 5000]);
    let large = split(&whole, 1500).unwrap();
    let small: Vec<_> = large
        .iter()
        .flat_map(|piece| split(piece, 576).unwrap_or_else(|_| vec![piece.clone()]))
        .collect();
    assert!(small.len() > large.len() && small.iter().all(|piece| piece.len() <= 576));
    assert_eq!(reassemble(&small), whole);

    let whole = v6()
        .extension(protocol::DESTINATION_OPTIONS, &[])
        .udp(1, 2, &[7; 5000]);
    let large = split(&whole, 1500).unwrap();
    let small: Vec<_> = large
        .iter()
        .flat_map(|piece| split(piece, 1280).unwrap_or_else(|_| vec![piece.clone()]))
        .collect();
    assert!(small.len() > large.len() && small.iter().all(|piece| piece.len() <= 1280));
    assert_eq!(reassemble(&small), whole);
}

#[test]
fn df_is_kept() {
    let packet = v4().dont_fragment().udp(1, 2, &[7; 100]);
    for piece in split(&packet, 68).unwrap() {
        assert!(view::<ipv4::Header>(&piece, 0).unwrap().dont_fragment());
    }
}

#[test]
fn what_cannot_be_split_is_told() {
    let packet = v4().udp(1, 2, &[7; 100]);
    let layout = Layout::parse(&packet).unwrap();
    assert_eq!(split(&packet, packet.len()), Err(Unsplittable::Fits));
    assert_eq!(split(&packet, 27), Err(Unsplittable::MtuTooSmall));
    assert_eq!(split(&packet, 28).map(|pieces| pieces.len()), Ok(14));
    assert_eq!(
        split(&v6().udp(1, 2, &[7; 100]), 55),
        Err(Unsplittable::MtuTooSmall)
    );
    let other = Split::new(&packet[..60], &layout, 50, 0);
    assert_eq!(other, Err(Unsplittable::NotItsLayout));
}

#[test]
fn link_padding_is_not_split() {
    let mut padded = v4().udp(1, 2, &[7; 100]);
    let packet = padded.clone();
    padded.resize(300, 0);
    assert_eq!(reassemble(&split(&padded, 68).unwrap()), packet);
}

proptest! {
    #[test]
    fn what_is_split_reassembles(packet in strategies::packet(), mtu in 68usize..1500) {
        let Ok(pieces) = split(&packet, mtu) else { return Ok(()) };
        let layout = Layout::parse(&packet).unwrap();
        let (last, others) = pieces.split_last().unwrap();
        prop_assert!(others.iter().all(|piece| piece.len() == pieces[0].len()));
        prop_assert!(last.len() <= mtu && pieces[0].len() <= mtu && pieces.len() > 1);
        let reassembled = reassemble(&pieces);
        match (layout.family, layout.fragment) {
            // The Fragment header of an atomic fragment is gone.
            (Family::V6, Some(_)) => {
                let at = usize::from(layout.unfragmentable);
                prop_assert_eq!(&reassembled[at..], &packet[at + ipv6::FRAGMENT_HEADER..]);
                prop_assert!(Layout::parse(&reassembled).unwrap().fragment.is_none());
            }
            _ => prop_assert_eq!(reassembled, packet),
        }
    }
}
