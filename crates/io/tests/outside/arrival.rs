//! What arrives, and with which facts.

use std::net::UdpSocket;

use crate::common::{ip, until};
use crate::{PORT, UDP, arrived, hosts, may_fragment, numbered, ones_complement, outer4, outer6};
use sealway_io::fault::{Faults, Prng, Rates};
use sealway_io::netlink::{Address, Netlink};
use sealway_io::outside::{Gathering, Inlet, Pooled, Received, Stop, UdpKind};
use sealway_io::{Device, SendError, poll};
use sealway_packet::{Arrival, DontFragment, Egress, Encapsulation, Outer, Pool, SizeClass, Train};

#[test]
fn esp_in_udp_arrives_with_the_facts_it_was_sent_with() {
    let (left, right) = hosts(1500);
    for (inlet, outer) in [(Inlet::Udp4, outer4(UDP)), (Inlet::Udp6, outer6(UDP))] {
        for outer in [outer, may_fragment(outer)] {
            left.send(Egress::Payload(outer), &numbered(100)).unwrap();
            let packet = right.receive_packet(inlet);
            assert_eq!(packet.train.packet(), numbered(100));
            assert_eq!(packet.train.headroom(), Train::HEADROOM);
            let wanted = Arrival::Payload(arrived(outer, right.interface));
            assert_eq!(packet.meta, wanted);
        }
    }
}

#[test]
fn every_segment_of_a_train_is_a_datagram_of_its_own() {
    let (left, right) = hosts(1500);
    let mut train = left.pool.take(SizeClass::Large).unwrap();
    train.set_segments(0, 1200, 100, 5, (1000, 10));
    for index in 0..5 {
        train.segment_mut(index).fill(index as u8 + 1);
    }
    left.outside
        .send(&Egress::Payload(outer4(UDP)), &train)
        .unwrap();
    let wanted: Vec<_> = train.segments().map(<[u8]>::to_vec).collect();
    let got = right.receive_now(Inlet::Udp4);
    let got: Vec<_> = got
        .iter()
        .map(|received| match received {
            Received::Packet(packet) => packet.train.packet().to_vec(),
            other => panic!("not ESP: {other:?}"),
        })
        .collect();
    assert_eq!(got, wanted);
}

#[test]
fn a_gapless_train_is_sent_and_received_at_once_and_keeps_its_facts() {
    let (left, right) = hosts(1500);
    let udp = Encapsulation::Udp {
        source: PORT,
        destination: PORT,
    };
    for (outer, inlet) in [(outer4(udp), Inlet::Udp4), (outer6(udp), Inlet::Udp6)] {
        let mut train = Pool::new(1, 1).take(SizeClass::Large).unwrap();
        // More than one send takes: 65507 octets.
        train.set_segments(100, 1150, 0, 60, (1150, 300));
        for index in 0..60 {
            train.segment_mut(index).fill(index as u8 + 1);
        }
        left.outside.send(&Egress::Payload(outer), &train).unwrap();
        let mut arrived = Vec::new();
        while arrived.len() < 60 {
            let (_, fd) = right.outside.inlets().find(|(i, _)| *i == inlet).unwrap();
            let all = until(fd, || {
                let all = right.receive_now(inlet);
                (!all.is_empty()).then_some(all)
            });
            for received in all {
                let Received::Packet(packet) = received else {
                    panic!("{received:?}");
                };
                let wanted = Arrival::Payload(self::arrived(outer, right.interface));
                assert_eq!(packet.meta, wanted);
                arrived.extend(packet.train.segments().map(<[u8]>::to_vec));
            }
        }
        let sent: Vec<_> = train.segments().map(<[u8]>::to_vec).collect();
        assert_eq!(arrived, sent);
        assert_eq!(left.outside.counters().trains_refused, 0);
    }
}

#[test]
fn trains_and_single_datagrams_leave_together_whole_and_in_order() {
    let (left, right) = hosts(1500);
    for (outer, inlet) in [(outer4(UDP), Inlet::Udp4), (outer6(UDP), Inlet::Udp6)] {
        let mut waiting = Gathering::default();
        let mut sent = Vec::new();
        // Some fill a call, some are too small to be joined or too long, one ends a train.
        for (number, (count, last)) in [(40, 1400), (1, 1400), (12, 300), (1, 80), (1, 90)]
            .into_iter()
            .enumerate()
        {
            let mut train = Pool::new(1, 1).take(SizeClass::Large).unwrap();
            let size = if count == 1 { last } else { 1400 };
            train.set_segments(100, size, 0, count, (size, last));
            for index in 0..train.count() {
                train
                    .segment_mut(index)
                    .fill((50 * number + index) as u8 | 1);
            }
            sent.extend(train.segments().map(<[u8]>::to_vec));
            left.outside
                .gather(&mut waiting, &Egress::Payload(outer), train);
        }
        left.outside.flush(&mut waiting);
        assert!(waiting.poll_failure().is_none());
        let (_, fd) = right.outside.inlets().find(|(i, _)| *i == inlet).unwrap();
        let mut arrived = Vec::new();
        while arrived.len() < sent.len() {
            let all = until(fd, || {
                let all = right.receive_now(inlet);
                (!all.is_empty()).then_some(all)
            });
            for received in all {
                let Received::Packet(packet) = received else {
                    panic!("{received:?}");
                };
                arrived.extend(packet.train.segments().map(<[u8]>::to_vec));
            }
        }
        assert_eq!(arrived, sent);
        assert_eq!(left.outside.counters().trains_refused, 0);
    }
}

#[test]
fn what_cannot_leave_is_told_with_its_destination_and_keeps_no_other_from_leaving() {
    let (left, right) = hosts(1280);
    let mut waiting = Gathering::default();
    let outer = outer4(UDP);
    let gather = |waiting: &mut Gathering, size| {
        let mut train = Pool::new(1, 1).take(SizeClass::Large).unwrap();
        train.set_segments(100, size, 0, 2, (size, size));
        train.segment_mut(0).fill(1);
        train.segment_mut(1).fill(2);
        left.outside.gather(waiting, &Egress::Payload(outer), train);
    };
    gather(&mut waiting, 1300);
    gather(&mut waiting, 1000);
    left.outside.flush(&mut waiting);
    let (destination, error) = waiting.poll_failure().unwrap();
    assert_eq!(destination, outer.destination);
    assert!(
        matches!(error, SendError::TooBig { mtu: Some(1280) }),
        "{error}"
    );
    assert!(waiting.poll_failure().is_none());
    let packet = right.receive_packet(Inlet::Udp4);
    assert_eq!(packet.train.segments().map(<[u8]>::len).max(), Some(1000));
}

#[test]
fn what_is_not_esp_leaves_its_train() {
    let (left, right) = hosts(1500);
    let mut train = Pool::new(1, 1).take(SizeClass::Large).unwrap();
    train.set_segments(100, 500, 0, 4, (500, 1));
    for index in 0..3 {
        train.segment_mut(index).fill(index as u8 + 1);
    }
    // A key manager's, and a keepalive at the end.
    train.segment_mut(1)[..4].fill(0);
    train.segment_mut(3)[0] = 0xff;
    let outer = outer4(UDP);
    left.outside.send(&Egress::Payload(outer), &train).unwrap();
    let (_, fd) = right
        .outside
        .inlets()
        .find(|(i, _)| *i == Inlet::Udp4)
        .unwrap();
    let mut kinds = Vec::new();
    while kinds.len() < 4 {
        let more = until(fd, || {
            let all = right.receive_now(Inlet::Udp4);
            (!all.is_empty()).then_some(all)
        });
        kinds.extend(more.iter().map(|received| match received {
            Received::Packet(packet) => (UdpKind::Esp, packet.train.octets()),
            Received::Datagram { kind, train, .. } => (*kind, train.octets()),
            Received::TooBig(report) => panic!("{report:?}"),
        }));
    }
    let esp = (UdpKind::Esp, 500);
    let wanted = [esp, (UdpKind::NonEsp, 500), esp, (UdpKind::Keepalive, 1)];
    assert_eq!(kinds, wanted);
}

#[test]
fn a_train_that_is_too_big_or_has_a_foreign_source_keeps_no_other_from_leaving() {
    let (left, right) = hosts(1280);
    let mut train = Pool::new(1, 1).take(SizeClass::Large).unwrap();
    train.set_segments(100, 1300, 0, 3, (1300, 1300));
    for index in 0..3 {
        train.segment_mut(index).fill(index as u8 + 1);
    }
    let send = |outer| left.outside.send(&Egress::Payload(outer), &train);
    for (outer, foreign) in [(outer4(UDP), "192.0.2.77"), (outer6(UDP), "2001:db8::77")] {
        let error = send(outer).unwrap_err();
        assert!(
            matches!(error, SendError::TooBig { mtu: Some(1280) }),
            "{error}"
        );
        let source = ip(foreign);
        let error = send(Outer { source, ..outer }).unwrap_err();
        let refused = matches!(error, SendError::NotOurs | SendError::Unreachable);
        assert!(refused, "{error}");
    }
    send(may_fragment(outer4(UDP))).unwrap();
    let (_, fd) = right.outside.inlets().next().unwrap();
    let mut arrived = Vec::new();
    until(fd, || {
        for received in right.receive_now(Inlet::Udp4) {
            let Received::Packet(packet) = received else {
                panic!("{received:?}");
            };
            arrived.push(packet.train.packet().to_vec());
        }
        (arrived.len() == 3).then_some(())
    });
    assert!(train.segments().eq(&arrived));
    assert_eq!(left.outside.counters().trains_refused, 0);
}

#[test]
fn raw_esp_over_ipv4_arrives_whole_with_a_true_header() {
    let (left, right) = hosts(1500);
    for outer in [
        outer4(Encapsulation::Esp),
        may_fragment(outer4(Encapsulation::Esp)),
    ] {
        left.send(Egress::Payload(outer), &numbered(100)).unwrap();
        let packet = right.receive_packet(Inlet::Esp4);
        let interface = right.interface;
        assert_eq!(packet.meta, Arrival::Whole { interface });
        let octets = packet.train.packet();
        assert_eq!(
            octets[..4],
            [0x45, 0xb9, 0, 120],
            "total length in network order"
        );
        let dont_fragment = if outer.dont_fragment == DontFragment::Set {
            0x40
        } else {
            0
        };
        assert_eq!(octets[6..8], [dont_fragment, 0]);
        assert_eq!(octets[8..10], [61, 50]);
        assert_eq!(octets[12..20], [192, 0, 2, 1, 192, 0, 2, 2]);
        assert_eq!(ones_complement(&octets[..20]), 0);
        assert_eq!(octets[20..], numbered(100));
    }
}

#[test]
fn raw_esp_over_ipv6_arrives_as_payload_with_its_facts() {
    let (left, right) = hosts(1500);
    let outer = outer6(Encapsulation::Esp);
    for outer in [outer, may_fragment(outer)] {
        left.send(Egress::Payload(outer), &numbered(100)).unwrap();
        let packet = right.receive_packet(Inlet::Esp6);
        assert_eq!(packet.train.packet(), numbered(100));
        assert_eq!(
            packet.meta,
            Arrival::Payload(arrived(outer, right.interface))
        );
    }
}

#[test]
fn keepalives_and_a_key_managers_datagrams_are_not_esp() {
    let (left, right) = hosts(1500);
    for (inlet, sent) in [(Inlet::Udp4, outer4(UDP)), (Inlet::Udp6, outer6(UDP))] {
        for (payload, wanted) in [
            (&[0xff][..], UdpKind::Keepalive),
            (&[0, 0, 0, 0, 1, 2, 3], UdpKind::NonEsp),
        ] {
            left.send(Egress::Payload(sent), payload).unwrap();
            match right.receive(inlet) {
                Received::Datagram { kind, outer, train } => {
                    assert_eq!((kind, train.packet()), (wanted, payload));
                    assert_eq!(outer, arrived(sent, right.interface));
                }
                other => panic!("taken for something else: {other:?}"),
            }
        }
        left.send(Egress::Payload(sent), &[]).unwrap();
        assert!(right.receive_packet(inlet).train.packet().is_empty());
    }
}

#[test]
fn only_what_is_sent_to_a_listed_address_is_taken() {
    let (left, mut right) = hosts(1500);
    let interface = right.interface;
    right.namespace.run(move || {
        let address = Address {
            interface,
            address: ip("192.0.2.3"),
            prefix_length: 24,
        };
        Netlink::open().unwrap().add_address(&address).unwrap();
    });
    let destination = ip("192.0.2.3");
    for encapsulation in [UDP, Encapsulation::Esp] {
        let outer = Outer {
            destination,
            ..outer4(encapsulation)
        };
        left.send(Egress::Payload(outer), b"foreign").unwrap();
        left.send(Egress::Payload(outer4(encapsulation)), b"ours")
            .unwrap();
    }
    assert!(
        right
            .receive_packet(Inlet::Udp4)
            .train
            .packet()
            .ends_with(b"ours")
    );
    assert!(
        right
            .receive_packet(Inlet::Esp4)
            .train
            .packet()
            .ends_with(b"ours")
    );
    assert_eq!(right.outside.counters().foreign, 2);
    right.outside.set_addresses(vec![destination]);
    let outer = Outer {
        destination,
        ..outer4(UDP)
    };
    left.send(Egress::Payload(outer), b"listed").unwrap();
    assert_eq!(right.receive_packet(Inlet::Udp4).train.packet(), b"listed");
}

#[test]
fn the_send_only_socket_takes_no_datagram_whoever_sends_it() {
    let (left, right) = hosts(1500);
    let sockets: Vec<_> = left.namespace.run(|| {
        let addresses = ["192.0.2.1", "2001:db8::1"];
        let bind = |number: usize| UdpSocket::bind((ip(addresses[number % 2]), 0)).unwrap();
        (0..200).map(bind).collect()
    });
    for (number, socket) in sockets.iter().enumerate() {
        let to = ["192.0.2.2", "2001:db8::2"][number % 2];
        socket.send_to(b"anything", (ip(to), PORT)).unwrap();
        let inlet = [Inlet::Udp4, Inlet::Udp6][number % 2];
        let packet = right.receive_packet(inlet);
        let Arrival::Payload(outer) = packet.meta else {
            panic!("{packet:?}")
        };
        let source = socket.local_addr().unwrap().port();
        let encapsulation = Encapsulation::Udp {
            source,
            destination: PORT,
        };
        assert_eq!(outer.encapsulation, encapsulation);
    }
}

#[test]
fn an_empty_pool_stops_the_reading_and_nothing_is_lost() {
    let (left, right) = hosts(1500);
    let held: Vec<_> = [SizeClass::Small, SizeClass::Large]
        .into_iter()
        .flat_map(|class| std::iter::from_fn(move || Some(class)).take(8))
        .map(|class| right.pool.take(class).unwrap())
        .collect();
    left.send(Egress::Payload(outer4(UDP)), b"patient").unwrap();
    let (_, fd) = right.outside.inlets().next().unwrap();
    poll::wait(&mut [poll::readable(fd)], None).unwrap();
    let stop = right
        .outside
        .receive(Inlet::Udp4, &right.pool, &mut |_| panic!("no buffer"));
    assert_eq!(stop.unwrap(), Stop::PoolEmpty);
    drop(held);
    assert_eq!(right.receive_packet(Inlet::Udp4).train.packet(), b"patient");
}

#[test]
fn an_answer_by_icmp_spoils_no_later_packet() {
    let (left, right) = hosts(1500);
    // Nobody listens there: the other host answers that the port is unreachable.
    let destination = PORT + 7;
    let nobody = outer4(Encapsulation::Udp {
        source: PORT,
        destination,
    });
    for _ in 0..3 {
        left.send(Egress::Payload(nobody), b"knock").unwrap();
        assert!(left.receive_now(Inlet::Udp4).is_empty());
        left.send(Egress::Payload(outer4(UDP)), b"esp").unwrap();
        right.receive_packet(Inlet::Udp4);
    }
}

#[test]
fn sockets_behind_faults_are_a_device_like_any_other() {
    let (left, right) = hosts(1500);
    let device = Pooled {
        outside: left.outside,
        clear: None,
        pool: left.pool,
    };
    let rates = Rates {
        duplicate: 1000,
        ..Rates::default()
    };
    let mut device = Faults::new(device, rates, Prng::new(1));
    let outer = outer4(UDP);
    device
        .send(Egress::Payload(outer), Train::detached(b"twice"))
        .unwrap();
    let fds: Vec<_> = right.outside.inlets().collect();
    let mut count = 0;
    until(fds[0].1, || {
        count += right.receive_now(Inlet::Udp4).len();
        (count == 2).then_some(())
    });
    let back = Outer {
        source: outer.destination,
        destination: outer.source,
        ..outer
    };
    right.send(Egress::Payload(back), b"answer").unwrap();
    let mut answers = Vec::new();
    device.receive(&mut |packet| answers.push(packet.train.packet().to_vec()));
    assert_eq!(answers, [b"answer".to_vec()]);
    let error = device
        .send(Egress::Clear, Train::detached(b"clear"))
        .unwrap_err();
    assert_eq!(error.to_string(), "this device cannot send clear packets");
}
