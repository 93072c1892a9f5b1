//! The TUN device against the running kernel. Needs root and /dev/net/tun.
#![allow(clippy::unwrap_used)]

mod common;

use std::net::UdpSocket;
use std::os::fd::AsFd;
use std::time::Duration;

use common::{ip, namespace, until};
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::UdpGsoSegment;
use sealway_io::clear::Clear;
use sealway_io::netlink::{Address, Netlink, State};
use sealway_io::offload::{self, Kind, Kinds};
use sealway_io::tun::{OpenError, Tun};
use sealway_packet::{Arrival, Checksum, Offload, Pool, Segmentation, SizeClass, Train};

/// A TUN device `seal0`, up, with 10.1.0.1/24 and fd00:1::1/64.
fn tun() -> Tun {
    let tun = Tun::open("seal0").unwrap();
    bring_up(&tun);
    tun
}

fn bring_up(tun: &Tun) {
    let mut netlink = Netlink::open().unwrap();
    netlink.set_state(tun.index(), State::Up).unwrap();
    for (address, prefix_length) in [("10.1.0.1", 24), ("fd00:1::1", 64)] {
        let address = Address {
            interface: tun.index(),
            address: ip(address),
            prefix_length,
        };
        netlink.add_address(&address).unwrap();
    }
}

/// Swaps the addresses and ports of a UDP packet: the checksums stay right.
fn turned_round(packet: &[u8]) -> Vec<u8> {
    let mut packet = packet.to_vec();
    let (source, destination, udp) = if packet[0] >> 4 == 4 {
        (12, 16, 20)
    } else {
        (8, 24, 40)
    };
    for index in 0..destination - source {
        packet.swap(source + index, destination + index);
    }
    packet.swap(udp, udp + 2);
    packet.swap(udp + 1, udp + 3);
    packet
}

#[test]
fn a_udp_packet_of_the_kernel_comes_out_and_its_echo_goes_in() {
    namespace().run(|| {
        let tun = tun();
        let pool = Pool::new(4, 4);
        for (own, peer, header) in [
            ("10.1.0.1", "10.1.0.2", 28u16),
            ("fd00:1::1", "fd00:1::2", 48),
        ] {
            for length in [1, 64, 1400] {
                let socket = UdpSocket::bind((ip(own), 0)).unwrap();
                socket.connect((ip(peer), 7)).unwrap();
                socket
                    .set_read_timeout(Some(Duration::from_secs(5)))
                    .unwrap();
                let payload = vec![length as u8; length];
                socket.send(&payload).unwrap();
                let packet = until(tun.as_fd(), || tun.read(&pool).unwrap());
                let left = Checksum::Partial {
                    start: header - 8,
                    offset: 6,
                };
                assert_eq!(
                    (packet.offload.checksum, packet.offload.segmentation),
                    (left, None)
                );
                assert_eq!(packet.train.packet().len(), length + usize::from(header));
                assert_eq!(packet.train.headroom(), Train::HEADROOM);
                assert_eq!(packet.train.capacity(), SizeClass::Small.octets());
                tun.write(&turned_round(packet.train.packet()), &packet.offload)
                    .unwrap();
                let mut echo = vec![0; 2000];
                let octets = socket.recv(&mut echo).unwrap();
                assert_eq!(echo[..octets], payload);
            }
        }
        assert!(
            tun.read(&pool).unwrap().is_none(),
            "a device that sends nothing of its own"
        );
    });
}

#[test]
fn datagrams_come_out_as_one_super_packet_and_go_in_as_one() {
    namespace().run(|| {
        let tun = tun();
        if !tun.knows_uso() {
            // Before Linux 6.2 the kernel cuts UDP itself.
            return;
        }
        let pool = Pool::new(4, 4);
        for (own, peer) in [("10.1.0.1", "10.1.0.2"), ("fd00:1::1", "fd00:1::2")] {
            let socket = UdpSocket::bind((ip(own), 0)).unwrap();
            socket.connect((ip(peer), 7)).unwrap();
            let limit = Some(Duration::from_secs(5));
            socket.set_read_timeout(limit).unwrap();
            setsockopt(&socket, UdpGsoSegment, &1000).unwrap();
            let payload: Vec<u8> = (0..4500).map(|n| (n % 251) as u8).collect();
            socket.send(&payload).unwrap();
            let packet = until(tun.as_fd(), || tun.read(&pool).unwrap());
            assert_eq!(packet.offload.segmentation, Some(Segmentation::Udp(1000)));
            tun.write(&turned_round(packet.train.packet()), &packet.offload)
                .unwrap();
            for part in payload.chunks(1000) {
                let mut echo = vec![0; 2000];
                let octets = socket.recv(&mut echo).unwrap();
                assert_eq!(&echo[..octets], part);
            }
        }
    });
}

#[test]
fn each_offload_is_left_out_alone_and_what_needs_it_with_it() {
    use offload::State::{Off, On, Without};
    namespace().run(|| {
        let tun = tun();
        let states = || tun.states().map(|(_, state)| state).collect::<Vec<_>>();
        let usual = states();
        for (place, (kind, _)) in tun.states().enumerate().skip(1) {
            tun.want(Kinds::ALL.without(kind)).unwrap();
            let mut expected = usual.clone();
            expected[place] = Off;
            assert_eq!(states(), expected);
            tun.want(Kinds::ALL).unwrap();
            assert_eq!(states(), usual);
        }
        tun.want(Kinds::ALL.without(Kind::Checksum)).unwrap();
        let left_out = states().into_iter().zip(&usual).skip(1);
        assert_eq!(states()[0], Off);
        for (state, usual) in left_out.filter(|(_, usual)| **usual == On) {
            assert_eq!(state, Without(Kind::Checksum), "instead of {usual:?}");
        }
    });
}

#[test]
fn datagrams_come_out_alone_where_uso_is_not_wanted_or_not_trusted() {
    namespace().run(|| {
        let tun = tun();
        let pool = Pool::new(4, 4);
        let socket = UdpSocket::bind((ip("10.1.0.1"), 0)).unwrap();
        setsockopt(&socket, UdpGsoSegment, &1000).unwrap();
        let come_alone = || {
            socket.send_to(&[7; 4500], (ip("10.1.0.2"), 7)).unwrap();
            for length in [1000, 1000, 1000, 1000, 500] {
                let packet = until(tun.as_fd(), || tun.read(&pool).unwrap());
                assert_eq!(packet.offload.segmentation, None);
                assert_eq!(packet.train.packet().len(), 28 + length);
            }
        };
        tun.want(Kinds::ALL.without(Kind::Uso)).unwrap();
        come_alone();
        tun.want(Kinds::ALL).unwrap();
        tun.distrust(Kind::Uso).unwrap();
        come_alone();
    });
}

#[test]
fn a_packet_too_long_for_a_small_buffer_comes_in_a_large_one() {
    namespace().run(|| {
        let tun = tun();
        let pool = Pool::new(1, 1);
        Netlink::open().unwrap().set_mtu(tun.index(), 9000).unwrap();
        let socket = UdpSocket::bind((ip("10.1.0.1"), 0)).unwrap();
        let payload: Vec<u8> = (0..8000).map(|index| (index % 251) as u8).collect();
        socket.send_to(&payload, (ip("10.1.0.2"), 7)).unwrap();
        let packet = until(tun.as_fd(), || tun.read(&pool).unwrap());
        assert_eq!(packet.train.packet()[28..], payload);
        assert_eq!(packet.train.capacity(), SizeClass::Large.octets());
    });
}

#[test]
fn an_empty_pool_leaves_the_packet_in_the_kernel() {
    namespace().run(|| {
        let tun = tun();
        let pool = Pool::new(1, 1);
        let held = (pool.take(SizeClass::Small), pool.take(SizeClass::Large));
        let socket = UdpSocket::bind((ip("10.1.0.1"), 0)).unwrap();
        socket.send_to(b"later", (ip("10.1.0.2"), 7)).unwrap();
        let error = tun.read(&pool).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::OutOfMemory);
        drop(held);
        let packet = until(tun.as_fd(), || tun.read(&pool).unwrap());
        assert_eq!(packet.train.packet()[28..], *b"later");
    });
}

#[test]
fn a_device_that_is_dropped_is_gone_and_one_that_is_held_is_busy() {
    namespace().run(|| {
        let tun = tun();
        let error = Tun::open("seal0").unwrap_err();
        assert!(matches!(error, OpenError::Busy(_)));
        assert_eq!(
            error.to_string(),
            "the device seal0 is in use by another process: \
             stop that process or choose another name"
        );
        let error = Tun::open("lo").unwrap_err();
        assert!(matches!(error, OpenError::OtherKind(_)), "{error}");
        assert!(matches!(Tun::open("a/b"), Err(OpenError::BadName(_))));
        drop(tun);
        assert!(Netlink::open().unwrap().link("seal0").is_err());
    });
}

#[test]
fn a_packet_written_while_the_device_is_down_is_an_error_and_no_more() {
    namespace().run(|| {
        let tun = Tun::open("seal0").unwrap();
        let error = tun.write(&[0x45; 20], &Offload::default()).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EIO));
        bring_up(&tun);
        assert_eq!(
            tun.write(&[0x15; 20], &Offload::default())
                .unwrap_err()
                .raw_os_error(),
            Some(libc::EINVAL)
        );
        assert!(tun.write(&[0x45; 20], &Offload::default()).is_ok());
    });
}

#[test]
fn the_clear_device_hands_out_whole_packets() {
    namespace().run(|| {
        let clear = Clear::open("seal-clear").unwrap();
        bring_up(clear.tun());
        let pool = Pool::new(2, 2);
        let socket = UdpSocket::bind((ip("10.1.0.1"), 0)).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(5)))
            .unwrap();
        socket.send_to(b"clear", (ip("10.1.0.2"), 7)).unwrap();
        let packet = until(clear.as_fd(), || clear.read(&pool).unwrap());
        let interface = clear.tun().index();
        assert_eq!(packet.meta, Arrival::Whole { interface });
        let train = Train::detached(&turned_round(packet.train.packet()));
        clear.send(&train, &packet.offload).unwrap();
        let mut octets = [0; 16];
        assert_eq!(socket.recv(&mut octets).unwrap(), 5);
    });
}
