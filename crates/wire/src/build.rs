//! Packets for tests and for generated traffic. The only module that allocates.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use zerocopy::IntoBytes;

use crate::{Layout, checksum, icmp, icmpv6, ipv4, ipv6, protocol, tcp, udp};

/// A packet being described: the IP header first, then one call that says what it carries and
/// returns its octets, checksums right.
///
/// ```
/// use sealway_wire::build::Packet;
///
/// let source = "2001:db8::1".parse().unwrap();
/// let destination = "2001:db8::2".parse().unwrap();
/// let ping = Packet::new(source, destination).hop_limit(1).echo_request(7, 1, b"hello");
/// assert_eq!(ping.len(), 40 + 8 + 5);
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Packet {
    addresses: Addresses,
    tos: u8,
    hop_limit: u8,
    id: u16,
    dont_fragment: bool,
    flow_label: u32,
    options: Vec<u8>,
    /// Extension headers in order, each without its next header octet.
    extensions: Vec<(u8, Vec<u8>)>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Addresses {
    V4(Ipv4Addr, Ipv4Addr),
    V6(Ipv6Addr, Ipv6Addr),
}

impl Packet {
    /// A packet from `source` to `destination`; if only one of them is IPv4, it is mapped into
    /// IPv6.
    pub fn new(source: IpAddr, destination: IpAddr) -> Packet {
        let mapped = |address| match address {
            IpAddr::V4(address) => address.to_ipv6_mapped(),
            IpAddr::V6(address) => address,
        };
        let addresses = match (source, destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => Addresses::V4(source, destination),
            (source, destination) => Addresses::V6(mapped(source), mapped(destination)),
        };
        Packet {
            addresses,
            tos: 0,
            hop_limit: 64,
            id: 0,
            dont_fragment: false,
            flow_label: 0,
            options: Vec::new(),
            extensions: Vec::new(),
        }
    }

    /// The TOS octet or traffic class.
    pub fn tos(mut self, tos: u8) -> Self {
        self.tos = tos;
        self
    }

    /// TTL or hop limit; 64 unless told.
    pub fn hop_limit(mut self, hop_limit: u8) -> Self {
        self.hop_limit = hop_limit;
        self
    }

    /// The IPv4 identification; without effect in IPv6.
    pub fn id(mut self, id: u16) -> Self {
        self.id = id;
        self
    }

    /// Sets DF; without effect in IPv6.
    pub fn dont_fragment(mut self) -> Self {
        self.dont_fragment = true;
        self
    }

    /// The IPv6 flow label, 20 bits; without effect in IPv4.
    pub fn flow_label(mut self, flow_label: u32) -> Self {
        self.flow_label = flow_label;
        self
    }

    /// IPv4 options, at most 40 octets of which are taken; padded with End of Option List to a
    /// multiple of 4. Without effect in IPv6.
    pub fn options(mut self, options: &[u8]) -> Self {
        self.options = options.iter().copied().take(40).collect();
        self.options
            .resize(self.options.len().next_multiple_of(4), 0);
        self
    }

    /// Adds an IPv6 extension header: its number and everything in it behind next header and
    /// length. Padded with zeros to a multiple of 8 octets. Without effect in IPv4.
    pub fn extension(mut self, number: u8, body: &[u8]) -> Self {
        let mut octets = vec![0];
        octets.extend_from_slice(body);
        octets.resize((octets.len() + 1).next_multiple_of(8) - 1, 0);
        if let Some(length) = octets.first_mut() {
            *length = (body.len() + 2).div_ceil(8).saturating_sub(1) as u8;
        }
        self.extensions.push((number, octets));
        self
    }

    /// Adds an IPv6 Fragment header. Without effect in IPv4.
    pub fn fragment(mut self, fragment: crate::Fragment) -> Self {
        let header = ipv6::FragmentHeader::new(0, fragment);
        let octets = header.as_bytes().iter().copied().skip(1).collect();
        self.extensions.push((protocol::FRAGMENT, octets));
        self
    }

    /// The packet with `payload` as what `number` names. A checksum in it stays as it is. More
    /// than the 65535 octets that an IP header can state make a packet that states too few.
    pub fn payload(&self, number: u8, payload: &[u8]) -> Vec<u8> {
        match self.addresses {
            Addresses::V4(source, destination) => {
                let header = ipv4::HEADER + self.options.len();
                let length = (header + payload.len()) as u16;
                let mut ip = ipv4::Header::new(source, destination, number, length);
                ip.version_ihl = 0x40 | (header / 4) as u8;
                ip.tos = self.tos;
                ip.ttl = self.hop_limit;
                ip.id.set(self.id);
                ip.flags_fragment.set(if self.dont_fragment {
                    ipv4::DONT_FRAGMENT
                } else {
                    0
                });
                let mut packet = ip.as_bytes().to_vec();
                packet.extend_from_slice(&self.options);
                ipv4::update_checksum(&mut packet);
                packet.extend_from_slice(payload);
                packet
            }
            Addresses::V6(source, destination) => {
                let extensions: usize =
                    self.extensions.iter().map(|(_, body)| body.len() + 1).sum();
                let length = (extensions + payload.len()) as u16;
                let mut names = self
                    .extensions
                    .iter()
                    .map(|(number, _)| *number)
                    .chain([number]);
                let first = names.next().unwrap_or(number);
                let mut ip = ipv6::Header::new(source, destination, first, length);
                ip.hop_limit = self.hop_limit;
                ip.set_traffic_class(self.tos);
                ip.set_flow_label(self.flow_label);
                let mut packet = ip.as_bytes().to_vec();
                for ((_, body), next) in self.extensions.iter().zip(names) {
                    packet.push(next);
                    packet.extend_from_slice(body);
                }
                packet.extend_from_slice(payload);
                packet
            }
        }
    }

    /// A UDP datagram.
    pub fn udp(&self, source: u16, destination: u16, data: &[u8]) -> Vec<u8> {
        let length = (udp::HEADER + data.len()) as u16;
        let header = udp::Header::new(source, destination, length);
        self.summed(protocol::UDP, header.as_bytes(), data)
    }

    /// A TCP segment: a header with ports and flags (see [`tcp::SYN`] and the others), and data.
    pub fn tcp(&self, source: u16, destination: u16, flags: u8, data: &[u8]) -> Vec<u8> {
        self.tcp_segment(tcp::Header::new(source, destination, flags), data)
    }

    /// A TCP segment with all of its header given, but for the checksum.
    pub fn tcp_segment(&self, header: tcp::Header, data: &[u8]) -> Vec<u8> {
        self.summed(protocol::TCP, header.as_bytes(), data)
    }

    /// An ICMP or ICMPv6 echo request.
    pub fn echo_request(&self, identifier: u16, sequence: u16, data: &[u8]) -> Vec<u8> {
        let kind = match self.addresses {
            Addresses::V4(..) => icmp::ECHO_REQUEST,
            Addresses::V6(..) => icmpv6::ECHO_REQUEST,
        };
        self.icmp(
            kind,
            0,
            u32::from(identifier) << 16 | u32::from(sequence),
            data,
        )
    }

    /// An ICMP or ICMPv6 echo reply.
    pub fn echo_reply(&self, identifier: u16, sequence: u16, data: &[u8]) -> Vec<u8> {
        let kind = match self.addresses {
            Addresses::V4(..) => icmp::ECHO_REPLY,
            Addresses::V6(..) => icmpv6::ECHO_REPLY,
        };
        self.icmp(
            kind,
            0,
            u32::from(identifier) << 16 | u32::from(sequence),
            data,
        )
    }

    /// An ICMP message in IPv4, an ICMPv6 message in IPv6. `rest` is what follows the checksum.
    pub fn icmp(&self, kind: u8, code: u8, rest: u32, data: &[u8]) -> Vec<u8> {
        let number = match self.addresses {
            Addresses::V4(..) => protocol::ICMP,
            Addresses::V6(..) => protocol::ICMPV6,
        };
        self.summed(number, icmp::Header::new(kind, code, rest).as_bytes(), data)
    }

    fn summed(&self, number: u8, header: &[u8], data: &[u8]) -> Vec<u8> {
        let mut packet = self.payload(number, &[header, data].concat());
        if let Ok(layout) = Layout::parse(&packet) {
            checksum::fill_transport(&mut packet, &layout);
        }
        packet
    }
}
