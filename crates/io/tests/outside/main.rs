//! The outside's sockets between two namespaces. Needs root.
#![allow(clippy::unwrap_used)]

#[path = "../common/mod.rs"]
mod common;

mod arrival;
mod capture;
mod size;
mod udp_only;
mod way_out;
mod whole;

use std::net::IpAddr;
use std::os::fd::AsFd;

use common::{ip, joined, until};
use sealway_io::SendError;
use sealway_io::capture::{Capture, Direction};
use sealway_io::namespace::Namespace;
use sealway_io::netlink::Netlink;
use sealway_io::offload::Kinds;
use sealway_io::outside::{Carriers, Config, Inlet, Outside, Received, Stop};
use sealway_packet::{Arrival, DontFragment, Egress, Encapsulation, Outer, Packet, Pool, Train};

/// An outside in a namespace of its own.
struct Host {
    namespace: Namespace,
    outside: Outside,
    /// Index of its `veth`.
    interface: u32,
    pool: Pool,
}

const PORT: u16 = 4500;

fn config(addresses: &[&str], port: u16) -> Config {
    Config {
        addresses: addresses.iter().map(|text| ip(text)).collect(),
        port,
        buffer: 1 << 20,
        carriers: Carriers::All,
        offloads: Kinds::ALL,
    }
}

fn hosts(mtu: u32) -> (Host, Host) {
    let (left, right) = joined(mtu);
    (host(left, 1), host(right, 2))
}

fn host(namespace: Namespace, number: u8) -> Host {
    let addresses = [format!("192.0.2.{number}"), format!("2001:db8::{number}")];
    let (outside, interface) = namespace.run(move || {
        let config = config(&addresses.each_ref().map(String::as_str), PORT);
        let interface = Netlink::open().unwrap().link("veth").unwrap().index;
        (Outside::open(&config).unwrap(), interface)
    });
    Host {
        namespace,
        outside,
        interface,
        pool: Pool::new(8, 8),
    }
}

impl Host {
    fn send(&self, egress: Egress, octets: &[u8]) -> Result<(), SendError> {
        self.outside.send(&egress, &Train::detached(octets))
    }

    fn receive(&self, inlet: Inlet) -> Received {
        let (_, fd) = self.outside.inlets().find(|(i, _)| *i == inlet).unwrap();
        until(fd, || {
            let mut all = self.receive_now(inlet);
            assert!(all.len() <= 1);
            all.pop()
        })
    }

    fn receive_now(&self, inlet: Inlet) -> Vec<Received> {
        let mut all = Vec::new();
        let stop = self
            .outside
            .receive(inlet, &self.pool, &mut |received| all.push(received));
        assert_eq!(stop.unwrap(), Stop::Drained);
        all
    }

    fn receive_packet(&self, inlet: Inlet) -> Packet<Arrival> {
        match self.receive(inlet) {
            Received::Packet(packet) => packet,
            other => panic!("not ESP: {other:?}"),
        }
    }

    fn capture(&self) -> Capture {
        let interface = self.interface;
        self.namespace
            .run(move || Capture::open(interface, 1 << 20).unwrap())
    }
}

const UDP: Encapsulation = Encapsulation::Udp {
    source: PORT,
    destination: PORT,
};

fn outer4(encapsulation: Encapsulation) -> Outer {
    Outer {
        source: ip("192.0.2.1"),
        destination: ip("192.0.2.2"),
        interface: 0,
        tos: 0xb9,
        hop_limit: 61,
        dont_fragment: DontFragment::Set,
        encapsulation,
    }
}

fn outer6(encapsulation: Encapsulation) -> Outer {
    Outer {
        source: ip("2001:db8::1"),
        destination: ip("2001:db8::2"),
        ..outer4(encapsulation)
    }
}

fn may_fragment(outer: Outer) -> Outer {
    Outer {
        dont_fragment: DontFragment::Clear,
        ..outer
    }
}

/// What the other host says of a packet sent with these facts.
fn arrived(outer: Outer, interface: u32) -> Outer {
    Outer {
        interface,
        ..may_fragment(outer)
    }
}

fn numbered(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index % 251 + 1) as u8).collect()
}

/// The IP packets that left by the captured interface, once there are `count` of them.
fn sent_packets(capture: &mut Capture, count: usize) -> Vec<Vec<u8>> {
    let fd = capture.as_fd().try_clone_to_owned().unwrap();
    let mut packets = Vec::new();
    until(fd.as_fd(), || {
        while let Some(frame) = capture.read().unwrap() {
            // UDP, ESP and their fragments; not what the kernel sends of its own accord.
            let packet = &frame.octets[14..];
            let is_ours = match packet[0] >> 4 {
                4 => [17, 50].contains(&packet[9]),
                _ => [17, 50, 44].contains(&packet[6]),
            };
            if is_ours && frame.direction == Direction::Out {
                assert_eq!(frame.length, frame.octets.len());
                packets.push(packet.to_vec());
            }
        }
        (packets.len() >= count).then_some(())
    });
    packets
}

fn ones_complement(octets: &[u8]) -> u16 {
    let words = octets
        .chunks(2)
        .map(|w| u32::from(w[0]) << 8 | u32::from(*w.get(1).unwrap_or(&0)));
    let sum: u32 = words.sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    !((sum & 0xffff) + (sum >> 16)) as u16
}

/// An IPv4 header of 20 octets and options for `payload`.
fn ipv4_packet(protocol: u8, options: &[u8], payload: &[u8]) -> Vec<u8> {
    let length = (20 + options.len() + payload.len()) as u16;
    let mut packet = vec![0x40 | (5 + options.len() / 4) as u8, 0xb9];
    packet.extend(length.to_be_bytes());
    packet.extend([
        0x12, 0x34, 0x40, 0, 61, protocol, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2,
    ]);
    packet.extend(options);
    let sum = ones_complement(&packet);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet.extend(payload);
    packet
}

/// An IPv6 packet whose first header behind the IPv6 header is `next_header`, at the start of
/// `behind`; class 0xb9, flow label 0x12345, hop limit 61.
fn ipv6_packet(next_header: u8, behind: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x6b, 0x91, 0x23, 0x45];
    packet.extend((behind.len() as u16).to_be_bytes());
    packet.extend([next_header, 61]);
    for address in ["2001:db8::1", "2001:db8::2"] {
        let IpAddr::V6(address) = ip(address) else {
            unreachable!()
        };
        packet.extend(address.octets());
    }
    packet.extend(behind);
    packet
}
