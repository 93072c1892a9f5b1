//! The Maximum Segment Size of a SYN.

use proptest::prelude::*;
use sealway_wire::build::Packet;
use sealway_wire::{Layout, checksum, protocol, tcp, view_mut};

/// A SYN with these options, filled up to whole words.
fn syn(flags: u8, options: &[u8]) -> Vec<u8> {
    let mut header = vec![0x13, 0x88, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0];
    let words = 5 + options.len().div_ceil(4);
    header.extend([(words << 4) as u8, flags, 0xff, 0xff, 0, 0, 0, 0]);
    header.extend(options);
    header.resize(words * 4, 0);
    let addresses = ["10.1.0.9", "10.2.0.9"].map(|text| text.parse().unwrap());
    let mut packet = Packet::new(addresses[0], addresses[1]).payload(protocol::TCP, &header);
    let layout = Layout::parse(&packet).unwrap();
    assert!(checksum::fill_transport(&mut packet, &layout));
    packet
}

fn clamp(packet: &mut [u8], most: u16) -> bool {
    let layout = Layout::parse(packet).unwrap();
    let clamped = tcp::clamp_mss(packet, &layout, most);
    assert!(checksum::verify_transport(packet, &layout));
    clamped
}

const MSS_1460: [u8; 4] = [2, 4, 0x05, 0xb4];

#[test]
fn a_syn_tells_no_more_than_fits_wherever_the_option_stands() {
    // At an even offset, behind others, and across two words.
    for before in [vec![], vec![4, 2, 1, 1], vec![1], vec![3, 3, 7]] {
        let options = [before.as_slice(), &MSS_1460].concat();
        let mut packet = syn(tcp::SYN | tcp::ACK, &options);
        assert!(clamp(&mut packet, 1300));
        let at = 40 + before.len() + 2;
        assert_eq!(packet[at..at + 2], 1300u16.to_be_bytes());
        assert!(!clamp(&mut packet, 1300), "it fits now");
    }
}

#[test]
fn what_is_no_syn_or_tells_nothing_stays_as_it_is() {
    let cut_off = [1, 1, 2, 4];
    let behind_the_end = [&[0], MSS_1460.as_slice()].concat();
    for (flags, options) in [
        (tcp::ACK, MSS_1460.as_slice()),
        (tcp::SYN, &[]),
        (tcp::SYN, &cut_off),
        (tcp::SYN, &behind_the_end),
        (tcp::SYN, &[2, 0, 0x05, 0xb4]),
    ] {
        let mut packet = syn(flags, options);
        let before = packet.clone();
        assert!(!clamp(&mut packet, 1300));
        assert_eq!(packet, before);
    }
}

#[test]
fn an_option_in_the_link_padding_is_none() {
    let mut packet = syn(tcp::SYN, &[1, 1, 1, 1]);
    // The header says that there are more options than the packet holds.
    packet[20 + 12] = 8 << 4;
    let layout = Layout::parse(&packet).unwrap();
    checksum::fill_transport(&mut packet, &layout);
    packet.extend(MSS_1460);
    let before = packet.clone();
    assert!(!clamp(&mut packet, 1300));
    assert_eq!(packet, before);
}

proptest! {
    #[test]
    fn any_options_keep_the_checksum_right(options in prop::collection::vec(any::<u8>(), 0..40), most: u16) {
        clamp(&mut syn(tcp::SYN, &options), most);
    }

    #[test]
    fn likely_options_keep_the_checksum_right(
        before in prop::collection::vec(prop::sample::select(vec![0u8, 1, 2, 3, 4]), 0..12),
        most: u16,
    ) {
        let options = [before.as_slice(), &MSS_1460].concat();
        clamp(&mut syn(tcp::SYN, &options), most);
    }

    #[test]
    fn random_octets_never_panic(octets in prop::collection::vec(any::<u8>(), 0..40), offset: u8, most: u16) {
        let mut packet = syn(tcp::SYN, &octets);
        if let Some(header) = view_mut::<tcp::Header>(&mut packet, 20) {
            header.data_offset = offset;
        }
        let layout = Layout::parse(&packet).unwrap();
        tcp::clamp_mss(&mut packet, &layout, most);
    }
}
