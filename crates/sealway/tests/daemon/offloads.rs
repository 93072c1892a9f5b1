//! Every offload on, and each one off: what passes is the same.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::socket::{setsockopt, sockopt::UdpGsoSegment};
use sealway_io::fault::Prng;
use sealway_io::netlink::Netlink;
use sealway_io::offload::Kind;
use serde_json::Value;

use crate::host::{Daemon, Host, PATIENCE, POLICIES, SAS, TUNNEL, for_host, hosts};

/// Octets of a stream, many super-packets.
const STREAM: usize = 3 << 20;
/// Octets of a datagram, and how many its sender sends at once.
const DATAGRAM: usize = 1000;
const AT_ONCE: usize = 20;

/// The ends of what flows inside, in both families.
const ENDS: [[&str; 2]; 2] = [["10.1.0.1", "10.2.0.1"], ["fd00:1::1", "fd00:2::1"]];

#[test]
fn with_all_offloads_content_is_the_same() {
    carries("true", " esp-udp 0x", None);
}

#[test]
fn without_any_offload_content_is_the_same() {
    carries("false", " esp-udp 0x", None);
}

#[test]
fn with_each_offload_off_content_is_the_same() {
    for kind in Kind::ALL {
        let switch = format!("{{ {} = false }}", kind.name());
        carries(&switch, " esp-udp 0x", Some(kind));
    }
}

#[test]
fn esp_as_protocol_50_carries_the_same_with_offloads_and_without() {
    carries("true", " esp 0x", None);
    carries("false", " esp 0x", None);
}

#[test]
fn over_a_link_that_takes_each_packet_alone_content_is_the_same() {
    let (left, right) = hosts();
    for host in [&left, &right] {
        host.namespace.run(|| {
            let mut netlink = Netlink::open().unwrap();
            let link = netlink.link("veth").unwrap().index;
            netlink.set_gso_segments(link, 1).unwrap();
        });
    }
    between(&left, &right, "true", " esp-udp 0x");
}

/// Streams and datagrams through a tunnel whose both ends have this `offload`.
fn carries(offload: &str, carrier: &str, off: Option<Kind>) {
    let (left, right) = hosts();
    let daemons = between(&left, &right, offload, carrier);
    for daemon in daemons {
        if let Some(kind) = off {
            assert_eq!(state(&daemon, kind), "off", "{}", kind.name());
        }
        let drops = &daemon.show("stats")["drops"];
        for reason in ["integrity", "replay", "malformed"] {
            assert_eq!(drops[reason].as_u64().unwrap_or(0), 0, "{offload}: {drops}");
        }
    }
}

fn between(left: &Host, right: &Host, offload: &str, carrier: &str) -> [Daemon; 2] {
    let up = |host: &Host, number| {
        let configuration = for_host(number, TUNNEL) + &format!("offload = {offload}\n");
        let script = SAS.replace(" esp 0x", carrier) + &for_host(number, POLICIES);
        host.up(&configuration, &script)
    };
    let daemons = [up(left, 1), up(right, 2)];
    for ends in ENDS {
        let ends: [IpAddr; 2] = ends.map(|address| address.parse().unwrap());
        for ((from, source), (to, destination)) in [
            ((left, ends[0]), (right, ends[1])),
            ((right, ends[1]), (left, ends[0])),
        ] {
            stream(from, (to, destination));
            datagrams((from, source), (to, destination));
        }
    }
    daemons
}

/// What `show device` says of the offload, on the first device that has it.
fn state(daemon: &Daemon, kind: Kind) -> String {
    let devices = daemon.show("device");
    let offloads = devices.as_array().unwrap().iter();
    let mut offloads = offloads
        .filter_map(|device| device["offloads"].as_array())
        .flatten();
    let is_it = |offload: &&Value| offload["name"] == kind.name();
    let found = offloads.find(is_it).unwrap();
    found["state"].as_str().unwrap().to_owned()
}

fn content(seed: u64, octets: usize) -> Vec<u8> {
    let mut prng = Prng::new(seed);
    (0..octets).map(|_| prng.draw() as u8).collect()
}

fn stream(from: &Host, (to, address): (&Host, IpAddr)) {
    let listener = to
        .namespace
        .run(move || TcpListener::bind((address, 0)).unwrap());
    let service = listener.local_addr().unwrap();
    let sending = from
        .namespace
        .run(move || TcpStream::connect_timeout(&service, PATIENCE).unwrap());
    let sent = content(1, STREAM);
    let (mut receiving, _) = listener.accept().unwrap();
    for socket in [&sending, &receiving] {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_write_timeout(Some(PATIENCE)).unwrap();
    }
    let mut received = Vec::new();
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut sending = sending;
            sending.write_all(&sent).unwrap();
        });
        receiving.read_to_end(&mut received).unwrap();
    });
    assert!(
        received == sent,
        "{} octets came, and others",
        received.len()
    );
}

/// Datagrams sent at once, so that where the kernel can they come out of the TUN as one. Each arrives
/// as it was sent; what a busy machine loses is sent again.
fn datagrams((from, source): (&Host, IpAddr), (to, destination): (&Host, IpAddr)) {
    let bind = |host: &Host, address: IpAddr| {
        let bound = SocketAddr::new(address, 0);
        host.namespace.run(move || UdpSocket::bind(bound).unwrap())
    };
    let (sender, receiver) = (bind(from, source), bind(to, destination));
    receiver
        .set_read_timeout(Some(Duration::from_millis(300)))
        .unwrap();
    let sent = content(2, DATAGRAM * AT_ONCE);
    setsockopt(&sender, UdpGsoSegment, &(DATAGRAM as i32)).unwrap();
    let mut missing: Vec<&[u8]> = sent.chunks(DATAGRAM).collect();
    let end = Instant::now() + PATIENCE;
    while !missing.is_empty() {
        assert!(
            Instant::now() < end,
            "{} datagrams do not arrive",
            missing.len()
        );
        sender
            .send_to(&sent, receiver.local_addr().unwrap())
            .unwrap();
        let mut buffer = [0; 65_536];
        for _ in 0..AT_ONCE {
            let Ok((octets, _)) = receiver.recv_from(&mut buffer) else {
                break;
            };
            let came = &buffer[..octets];
            assert!(
                sent.chunks(DATAGRAM).any(|one| one == came),
                "{octets} octets came"
            );
            missing.retain(|one| *one != came);
        }
    }
}
