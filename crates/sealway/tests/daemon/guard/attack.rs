//! A stranger on the outside, who sends clear packets to inside addresses.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use sealway_io::namespace::Namespace;
use socket2::{Domain, Protocol, Socket, Type};

use super::site::{LEFT, RIGHT, Site, script, sh};
use crate::host::{exchange, until};

/// Where everybody listens.
const PORT: u16 = 4000;

/// What the stranger sends.
const FORGED: &[u8] = b"from a stranger";

#[test]
fn a_strangers_clear_packets_reach_nobody_inside() {
    let site = Site::new();
    let listeners = listeners(&site);
    // What the attack is worth: without the guard, it succeeds.
    let open = LEFT.to_owned() + "guard = false\n";
    let mut a = site.left.up(&open, &script(1));
    let mut b = site.right.up(RIGHT, &script(2));
    attack(&site);
    let received = forged(&listeners, Duration::from_secs(1));
    assert!(received.len() >= 6, "{received:?}");
    for daemon in [&mut a, &mut b] {
        daemon.signal(nix::sys::signal::Signal::SIGTERM);
        assert!(daemon.wait().success());
    }

    let a = site.left.up(LEFT, &script(1));
    let _b = site.right.up(RIGHT, &script(2));
    let sent = attack(&site);
    let received = forged(&listeners, Duration::from_secs(1));
    assert_eq!(received, [""; 0], "of {sent}");
    until(|| guarded_off(&site.left.namespace) >= sent);
    // Meanwhile what is protected passes, in both directions.
    for (here, there) in [
        ("10.1.0.2:5000", "10.2.0.1:5000"),
        ("[fd00:1::2]:5000", "[fd00:2::1]:5000"),
    ] {
        let (here, there) = (bind(&site.inner, here), site.right.socket(there));
        exchange(&here, &there, b"protected");
        exchange(&there, &here, b"protected, too");
    }
    for (here, there) in [
        ("10.1.9.1:5001", "10.2.0.1:5001"),
        ("[fd00:1:9::1]:5001", "[fd00:2::1]:5001"),
    ] {
        exchange(
            &site.left.socket(here),
            &site.right.socket(there),
            b"by the gateway",
        );
    }
    // And the gateway and its protected hosts speak with each other in the clear, as neighbours do.
    exchange(
        &bind(&site.inner, "10.1.0.2:5002"),
        &site.left.socket("10.1.0.1:5002"),
        b"hello",
    );
    assert_eq!(a.dropped("loop"), 0);
}

#[test]
fn with_a_clear_device_a_strangers_packets_are_judged_and_dropped_by_name() {
    let site = Site::new();
    let listeners = listeners(&site);
    let configuration = LEFT
        .replace("[policy]", "clear = \"clear0\"\n[policy]")
        .replace(
            "routes = [",
            "routes = [\"192.0.2.3/32\", \"2001:db8::3/128\", ",
        );
    let bypass = "
        spdadd 10.1.0.0/16 192.0.2.3 udp -P out none;
        spdadd 192.0.2.3[6000] 10.1.0.0/16 udp -P in none;
        spdadd fd00:1::/32 2001:db8::3 udp -P out none;
        spdadd 2001:db8::3[6000] fd00:1::/32 udp -P in none;";
    let a = site.left.up(&configuration, &(script(1) + bypass));
    let _b = site.right.up(RIGHT, &script(2));
    let sent = attack(&site);
    assert_eq!(
        forged(&listeners, Duration::from_secs(1)),
        [""; 0],
        "of {sent}"
    );
    until(|| drops(&a) >= sent);
    // What a policy lets pass does, for protected hosts and for the gateway itself.
    for (here, there) in [
        (bind(&site.inner, "10.1.0.2:6001"), "192.0.2.3:6000"),
        (bind(&site.inner, "[fd00:1::2]:6001"), "[2001:db8::3]:6000"),
        (site.left.socket("10.1.9.1:6001"), "192.0.2.3:6000"),
        (site.left.socket("[fd00:1:9::1]:6001"), "[2001:db8::3]:6000"),
    ] {
        let there = bind(&site.stranger, there);
        exchange(&here, &there, b"out in the clear");
        exchange(&there, &here, b"and back");
    }
    assert_eq!(a.dropped("loop"), 0);
}

#[test]
fn what_was_let_out_and_is_routed_back_is_dropped_as_a_loop() {
    let site = Site::new();
    let configuration = LEFT.replace("[policy]", "clear = \"clear0\"\n[policy]");
    let bypass = "
        spdadd 10.1.0.0/16 10.2.0.0/24 any -P out none;
        spdadd fd00:1::/32 fd00:2::/64 any -P out none;";
    let a = site.left.up(&(configuration + "guard = false\n"), bypass);
    // Before the rules that prevent it.
    let stubborn =
        "ip rule add pref 20 iif clear0 lookup main; ip -6 rule add pref 20 iif clear0 lookup main";
    sh(&site.left.namespace, stubborn);
    for (number, (here, there)) in [
        ("10.1.0.2:7000", "10.2.0.1:7000"),
        ("[fd00:1::2]:7000", "[fd00:2::1]:7000"),
    ]
    .into_iter()
    .enumerate()
    {
        let here = bind(&site.inner, here);
        here.send_to(b"round and round", there).unwrap();
        until(|| a.dropped("loop") == 1 + number as u64);
    }
    assert_eq!(a.show("stats")["sent"], 2);
}

/// How many packets the engine dropped.
fn drops(daemon: &crate::host::Daemon) -> u64 {
    daemon.show("stats")["dropped"].as_u64().unwrap()
}

/// Sockets of everybody inside.
fn listeners(site: &Site) -> Vec<(&'static str, UdpSocket)> {
    let mut listeners = Vec::new();
    for (name, namespace) in [
        ("the inner host", &site.inner),
        ("the gateway", &site.left.namespace),
        ("the peer", &site.right.namespace),
    ] {
        for address in ["0.0.0.0:4000", "[::]:4000", "0.0.0.0:68", "[::]:68"] {
            let listener = namespace.run(move || {
                let address: SocketAddr = address.parse().unwrap();
                let socket = Socket::new(Domain::for_address(address), Type::DGRAM, None).unwrap();
                if address.is_ipv6() {
                    socket.set_only_v6(true).unwrap();
                }
                socket.bind(&address.into()).unwrap();
                UdpSocket::from(socket)
            });
            listeners.push((name, listener));
        }
    }
    listeners
}

/// Who received what the stranger sent.
fn forged(listeners: &[(&'static str, UdpSocket)], patience: Duration) -> Vec<&'static str> {
    std::thread::sleep(patience);
    let mut received = Vec::new();
    for (name, listener) in listeners {
        listener.set_nonblocking(true).unwrap();
        while let Ok((length, _)) = listener.recv_from(&mut [0; 64]) {
            assert_eq!(length, FORGED.len());
            received.push(*name);
        }
    }
    received
}

/// Sends a packet from every address that the stranger might use to every inside address; how many.
fn attack(site: &Site) -> u64 {
    let v4 = (
        [
            "192.0.2.3",
            "10.2.0.1",
            "10.1.0.2",
            "10.1.0.1",
            "10.1.9.7",
            "203.0.113.9",
        ],
        ["10.1.0.2", "10.1.0.1", "10.1.9.1", "10.2.0.1"],
    );
    let v6 = (
        [
            "2001:db8::3",
            "fd00:2::1",
            "fd00:1::2",
            "fd00:1::1",
            "fd00:1:9::7",
            "2001:db8:9::9",
        ],
        ["fd00:1::2", "fd00:1::1", "fd00:1:9::1", "fd00:2::1"],
    );
    let mut packets = Vec::new();
    for (sources, destinations) in [v4, v6] {
        for source in sources {
            for destination in destinations {
                for ports in [(PORT, PORT), (67, 68)] {
                    let [source, destination] =
                        [source, destination].map(|text| text.parse::<IpAddr>().unwrap());
                    packets.push((destination, datagram(source, destination, ports)));
                }
            }
        }
    }
    // What comes from the gateway's own address the kernel itself takes for forged, in IPv4.
    let is_heard = |(_, packet): &&(IpAddr, Vec<u8>)| packet.get(12..16) != Some(&[10, 1, 0, 1]);
    let count = packets.iter().filter(is_heard).count() as u64;
    site.stranger.run(move || {
        // The neighbour is found by an honest packet.
        for (socket, gateway) in [("0.0.0.0:0", "192.0.2.1:9"), ("[::]:0", "[2001:db8::1]:9")] {
            UdpSocket::bind(socket)
                .unwrap()
                .send_to(b"?", gateway)
                .unwrap();
        }
        std::thread::sleep(Duration::from_millis(200));
        let raw = Some(Protocol::from(libc_raw()));
        let v4 = Socket::new(Domain::IPV4, Type::RAW, raw).unwrap();
        let v6 = Socket::new(Domain::IPV6, Type::RAW, raw).unwrap();
        for (destination, packet) in packets {
            let socket = if destination.is_ipv4() { &v4 } else { &v6 };
            let to = SocketAddr::new(destination, 0);
            socket.send_to(&packet, &to.into()).unwrap();
        }
    });
    count
}

/// `IPPROTO_RAW`: with a header of one's own.
fn libc_raw() -> i32 {
    255
}

/// A whole packet.
fn datagram(source: IpAddr, destination: IpAddr, ports: (u16, u16)) -> Vec<u8> {
    let length = (8 + FORGED.len()) as u16;
    let mut udp = Vec::new();
    for field in [ports.0, ports.1, length, 0] {
        udp.extend(field.to_be_bytes());
    }
    udp.extend(FORGED);
    let mut packet = Vec::new();
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            // The kernel fills in the checksum and the length; a UDP checksum may be left out.
            packet.extend([0x45, 0, 0, 0, 0, 7, 0, 0, 64, 17, 0, 0]);
            packet.extend(source.octets());
            packet.extend(destination.octets());
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let pseudo = [source.octets(), destination.octets()].concat();
            let words = pseudo.chunks(2).chain(udp.chunks(2));
            let sum = words.fold(u32::from(length) + 17, |sum, word| {
                sum + u32::from(word[0]) * 256 + u32::from(*word.get(1).unwrap_or(&0))
            });
            let folded = (sum & 0xffff) + (sum >> 16);
            let folded = (folded & 0xffff) + (folded >> 16);
            let checksum = !(folded as u16);
            udp[6..8].copy_from_slice(&checksum.to_be_bytes());
            packet.extend([0x60, 0, 0, 0]);
            packet.extend(length.to_be_bytes());
            packet.extend([17, 64]);
            packet.extend(source.octets());
            packet.extend(destination.octets());
        }
        _ => unreachable!("one family"),
    }
    packet.extend(udp);
    packet
}

/// How many packets the guard has dropped.
fn guarded_off(namespace: &Namespace) -> u64 {
    let table = sh(namespace, "nft list table inet sealway-seal0");
    let after = |line: &str| {
        let rest = line.split("counter packets ").nth(1)?;
        rest.split(' ').next()?.parse::<u64>().ok()
    };
    table.lines().filter_map(after).sum()
}

fn bind(namespace: &Namespace, address: &str) -> UdpSocket {
    let address: SocketAddr = address.parse().unwrap();
    namespace.run(move || UdpSocket::bind(address).unwrap())
}
