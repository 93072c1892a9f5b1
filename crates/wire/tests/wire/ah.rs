//! AH's header.

use sealway_wire::{ah, protocol, put, view};

#[test]
fn the_length_counts_words_without_two() {
    // RFC 4302 §2.2: "payload length" of 4 for an ICV of 96 bits.
    let header = ah::Header::new(protocol::TCP, 12, 0x100, 1);
    assert_eq!(
        (header.length, header.octets(), header.icv_octets()),
        (4, 24, Some(12))
    );
    let longest = ah::Header::new(protocol::TCP, 1016, 0x100, 1);
    assert_eq!((longest.octets(), longest.icv_octets()), (1028, Some(1016)));
    let mut octets = [0; 12];
    put(&mut octets, 0, &header).unwrap();
    assert_eq!(octets, [6, 4, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]);
    octets[1] = 0;
    assert_eq!(view::<ah::Header>(&octets, 0).unwrap().icv_octets(), None);
}
