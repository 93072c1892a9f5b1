//! IPv4's header and options.

use sealway_wire::build::Packet;
use sealway_wire::{Layout, ipv4, protocol, view};

fn describe() -> Packet {
    Packet::new(
        "192.0.2.1".parse().unwrap(),
        "198.51.100.2".parse().unwrap(),
    )
}

#[test]
fn the_header_checksum_covers_the_options() {
    let mut packet = describe().options(&[0x94, 4, 0, 0]).udp(1, 2, b"");
    assert!(ipv4::checksum_ok(&packet));
    packet[22] ^= 1;
    assert!(!ipv4::checksum_ok(&packet));
    assert!(ipv4::update_checksum(&mut packet));
    assert!(ipv4::checksum_ok(&packet));
    // Nothing to compute it over.
    packet[0] = 0x44;
    assert!(!ipv4::checksum_ok(&packet));
    assert!(!ipv4::update_checksum(&mut packet));
    assert!(!ipv4::update_checksum(&mut packet[..19]));
}

#[test]
fn a_new_header_is_ready_to_send() {
    let packet = describe().payload(protocol::IPIP, &[]);
    let header = view::<ipv4::Header>(&packet, 0).unwrap();
    let new = ipv4::Header::new(header.source(), header.destination(), protocol::IPIP, 20);
    assert_eq!(*header, new);
    assert!(ipv4::checksum_ok(&packet));
    assert_eq!(
        Layout::parse(&packet).map(|layout| layout.protocol),
        Ok(protocol::IPIP)
    );
}

#[test]
fn options_are_walked_to_their_end() {
    let options = [1, 0x94, 4, 0, 0, 1, 1, 0x44, 3, 5, 0, 0x83, 3, 4];
    let packet = describe()
        .options(&options)
        .payload(protocol::UDP, &[0xff; 8]);
    let header = ipv4::header_octets(&packet).unwrap();
    let found: Vec<_> = ipv4::options(header)
        .map(|option| (option.kind, option.range.clone(), option.is_copied()))
        .collect();
    assert_eq!(found, [(0x94, 21..25, true), (0x44, 27..30, false)]);
}

#[test]
fn options_of_nonsense_length_end_the_walk() {
    for options in [
        &[0x94, 0, 1, 1][..],
        &[0x94, 1, 1, 1],
        &[0x94, 5, 1, 1],
        &[1, 1, 1, 0x94],
    ] {
        let packet = describe()
            .options(options)
            .payload(protocol::UDP, &[0xff; 8]);
        let header = ipv4::header_octets(&packet).unwrap();
        assert_eq!(ipv4::options(header).count(), 0);
    }
}
