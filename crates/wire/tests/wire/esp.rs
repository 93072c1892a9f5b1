//! ESP's header, trailer and encapsulation in UDP.

use proptest::collection::vec;
use proptest::prelude::*;
use sealway_wire::esp::{self, BadTrailer, Encapsulated};
use sealway_wire::{protocol, put, view};

#[test]
fn the_header_is_big_endian() {
    let mut octets = [0; 10];
    assert_eq!(
        put(&mut octets, 2, &esp::Header::new(0x0102_0304, 5)),
        Some(10)
    );
    assert_eq!(octets, [0, 0, 1, 2, 3, 4, 0, 0, 0, 5]);
    assert_eq!(
        view::<esp::Header>(&octets, 2).unwrap().spi.get(),
        0x0102_0304
    );
    assert_eq!(view::<esp::Header>(&octets, 3), None);
    assert_eq!(put(&mut octets, 3, &esp::Header::new(1, 1)), None);
}

#[test]
fn padding_fills_up_to_the_alignment() {
    assert_eq!(esp::pad_length(0, 4), 2);
    assert_eq!(esp::pad_length(2, 4), 0);
    assert_eq!(esp::pad_length(3, 4), 3);
    assert_eq!(esp::pad_length(14, 16), 0);
    assert_eq!(esp::pad_length(15, 16), 15);
}

#[test]
fn padding_counts_from_one() {
    let mut out = [0xee; 6];
    assert_eq!(esp::write_trailer(&mut out, 3, protocol::IPIP), Some(5));
    assert_eq!(out, [1, 2, 3, 3, 4, 0xee]);
    assert_eq!(esp::write_trailer(&mut out[..4], 3, 4), None);
}

#[test]
fn a_bad_trailer_is_named() {
    assert_eq!(esp::read_trailer(&[]), Err(BadTrailer::Length));
    assert_eq!(esp::read_trailer(&[4]), Err(BadTrailer::Length));
    assert_eq!(esp::read_trailer(&[1, 2, 4]), Err(BadTrailer::Length));
    assert_eq!(esp::read_trailer(&[1, 3, 2, 4]), Err(BadTrailer::Padding));
    assert_eq!(esp::read_trailer(&[0, 4]), Ok((0, 4)));
}

#[test]
fn the_three_kinds_of_datagram_are_told_apart() {
    assert_eq!(esp::in_udp(&[0xff]), Encapsulated::Keepalive);
    assert_eq!(esp::in_udp(&[]), Encapsulated::Runt);
    assert_eq!(esp::in_udp(&[0, 0, 1, 0, 0, 0, 0, 1]), Encapsulated::Runt);
    assert_eq!(esp::in_udp(&[0, 0, 0, 0, 9]), Encapsulated::Ike(&[9]));
    let esp = [0, 0, 1, 0, 0, 0, 0, 1, 7];
    assert_eq!(esp::in_udp(&esp), Encapsulated::Esp(&esp));
}

/// RFC 4303 §2.4, an octet at a time.
fn trailer_by_the_octet(octets: &[u8]) -> Result<(usize, u8), BadTrailer> {
    let [rest @ .., pad_length, next] = octets else {
        return Err(BadTrailer::Length);
    };
    let payload = rest.len().checked_sub(usize::from(*pad_length));
    let payload = payload.ok_or(BadTrailer::Length)?;
    for (index, octet) in rest[payload..].iter().enumerate() {
        if usize::from(*octet) != index + 1 {
            return Err(BadTrailer::Padding);
        }
    }
    Ok((payload, *next))
}

proptest! {
    #[test]
    fn reading_at_once_is_reading_by_the_octet(
        before in vec(any::<u8>(), 0..20),
        pad_length in 0u8..20,
        next: u8,
        room in 0usize..20,
        damage in proptest::option::of((0usize..40, 1u8..=255)),
    ) {
        let trailer = usize::from(pad_length) + esp::TRAILER;
        let mut octets = before.clone();
        octets.resize(before.len() + trailer + room, 0xee);
        let written = esp::write_trailer(&mut octets[before.len()..], pad_length, next);
        prop_assert_eq!(written, Some(trailer));
        octets.truncate(before.len() + trailer);
        prop_assert_eq!(trailer_by_the_octet(&octets), Ok((before.len(), next)));
        if let Some((at, flip)) = damage {
            let at = at % octets.len();
            octets[at] ^= flip;
        }
        prop_assert_eq!(esp::read_trailer(&octets), trailer_by_the_octet(&octets));
    }

    #[test]
    fn a_trailer_reads_as_it_was_written(
        payload in vec(any::<u8>(), 0..100),
        shift in 2u32..9,
        next: u8,
    ) {
        let alignment = 1usize << shift;
        let padding = esp::pad_length(payload.len(), alignment);
        prop_assert!(padding < alignment);
        let mut octets = payload.clone();
        octets.resize(payload.len() + padding + esp::TRAILER, 0);
        esp::write_trailer(&mut octets[payload.len()..], padding as u8, next).unwrap();
        prop_assert_eq!(octets.len() % alignment, 0);
        prop_assert_eq!(esp::read_trailer(&octets), Ok((payload.len(), next)));
    }

    #[test]
    fn random_trailers_never_panic(octets in vec(any::<u8>(), 0..300)) {
        if let Ok((payload, _)) = esp::read_trailer(&octets) {
            prop_assert!(payload + 2 <= octets.len());
        }
        esp::in_udp(&octets);
    }
}
