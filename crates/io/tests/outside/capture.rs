//! The capture of an interface.

use std::time::{Duration, SystemTime};

use crate::{UDP, hosts, numbered, outer4};
use sealway_io::capture::{Capture, Direction};
use sealway_io::outside::Inlet;
use sealway_packet::{Egress, Outer};

#[test]
fn both_directions_are_seen_with_their_time_and_length() {
    let (left, right) = hosts(1500);
    let mut capture = left.capture();
    let outer = outer4(UDP);
    let back = Outer {
        source: outer.destination,
        destination: outer.source,
        ..outer
    };
    left.send(Egress::Payload(outer), b"marker there").unwrap();
    right.receive_packet(Inlet::Udp4);
    right.send(Egress::Payload(back), b"marker back").unwrap();
    left.receive_packet(Inlet::Udp4);
    let mut seen = Vec::new();
    while let Some(frame) = capture.read().unwrap() {
        assert_eq!(frame.length, frame.octets.len());
        let age = SystemTime::now().duration_since(frame.time).unwrap();
        assert!(age < Duration::from_secs(60));
        if frame.octets.windows(6).any(|part| part == b"marker") {
            seen.push((frame.direction, frame.length));
        }
    }
    let headers = 14 + 20 + 8;
    let wanted = [
        (Direction::Out, headers + 12),
        (Direction::In, headers + 11),
    ];
    assert_eq!(seen, wanted);
}

#[test]
fn frames_that_find_no_room_are_counted() {
    let (left, right) = hosts(1500);
    let interface = left.interface;
    let mut capture = left
        .namespace
        .run(move || Capture::open(interface, 4096).unwrap());
    for _ in 0..100 {
        left.send(Egress::Payload(outer4(UDP)), &numbered(1000))
            .unwrap();
        right.receive_packet(Inlet::Udp4);
    }
    let mut read = 0;
    while capture.read().unwrap().is_some() {
        read += 1;
    }
    let statistics = capture.statistics().unwrap();
    assert!(statistics.dropped > 0);
    assert_eq!(statistics.seen, read + statistics.dropped);
    assert_eq!(
        capture.statistics().unwrap(),
        statistics,
        "since the beginning"
    );
}

#[test]
fn an_interface_that_is_not_there_cannot_be_captured() {
    let (left, _right) = hosts(1500);
    let error = left
        .namespace
        .run(|| Capture::open(9999, 4096).unwrap_err());
    assert_eq!(error.raw_os_error(), Some(libc::ENODEV));
}
