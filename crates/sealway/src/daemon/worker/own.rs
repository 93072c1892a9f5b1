//! Our own outside traffic, recognised where a route leads it into the inside device.

use std::net::IpAddr;

use sealway_wire::protocol;

/// What our sockets send: from one of the outside's addresses, ESP, AH, or UDP from our port.
#[derive(Debug)]
pub(super) struct Own {
    v4: Vec<[u8; 4]>,
    v6: Vec<[u8; 16]>,
    port: [u8; 2],
}

impl Own {
    pub(super) fn new(addresses: &[IpAddr], port: u16) -> Self {
        let mut own = Own {
            v4: Vec::new(),
            v6: Vec::new(),
            port: port.to_be_bytes(),
        };
        for address in addresses {
            match address {
                IpAddr::V4(address) => own.v4.push(address.octets()),
                IpAddr::V6(address) => own.v6.push(address.octets()),
            }
        }
        own
    }

    /// Whether we sent the packet. IPv6 extension headers are not walked: our sockets write none.
    /// A later fragment shows no port; it is of use to nobody without the first.
    #[inline]
    pub(super) fn sent(&self, packet: &[u8]) -> bool {
        match packet.first().map(|octet| octet >> 4) {
            Some(4) => self.sent_v4(packet).unwrap_or(false),
            Some(6) => self.sent_v6(packet).unwrap_or(false),
            _ => false,
        }
    }

    fn sent_v4(&self, packet: &[u8]) -> Option<bool> {
        let header: &[u8; 20] = packet.first_chunk()?;
        let payload = usize::from(header[0] & 0xf) * 4;
        let is_first = header[6] & 0x1f == 0 && header[7] == 0;
        let port = packet.get(payload..payload + 2).filter(|_| is_first);
        let is_ours = |address: &[u8; 4]| header[12..16] == *address;
        Some(self.is_carrier(header[9], port) && self.v4.iter().any(is_ours))
    }

    fn sent_v6(&self, packet: &[u8]) -> Option<bool> {
        let header: &[u8; 40] = packet.first_chunk()?;
        let is_ours = |address: &[u8; 16]| header[8..24] == *address;
        Some(self.is_carrier(header[6], packet.get(40..42)) && self.v6.iter().any(is_ours))
    }

    fn is_carrier(&self, number: u8, port: Option<&[u8]>) -> bool {
        match number {
            protocol::ESP | protocol::AH => true,
            protocol::UDP => port == Some(&self.port),
            _ => false,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn own() -> Own {
        let addresses = ["192.0.2.1", "2001:db8::1"].map(|text| text.parse().unwrap());
        Own::new(&addresses, 4500)
    }

    fn ipv4(protocol: u8, source: [u8; 4], port: u16) -> Vec<u8> {
        let mut packet = vec![0; 28];
        packet[0] = 0x45;
        packet[9] = protocol;
        packet[12..16].copy_from_slice(&source);
        packet[20..22].copy_from_slice(&port.to_be_bytes());
        packet
    }

    #[test]
    fn what_our_sockets_send_is_ours_and_nothing_else() {
        let own = own();
        let us = [192, 0, 2, 1];
        assert!(own.sent(&ipv4(17, us, 4500)));
        assert!(own.sent(&ipv4(50, us, 0)));
        assert!(!own.sent(&ipv4(17, us, 53)));
        let mut later = ipv4(17, us, 4500);
        later[7] = 1;
        assert!(!own.sent(&later));
        assert!(!own.sent(&ipv4(6, us, 4500)));
        assert!(!own.sent(&ipv4(17, [10, 0, 0, 1], 4500)));
        let mut packet = vec![0; 48];
        packet[0] = 0x60;
        packet[6] = 50;
        packet[8..24].copy_from_slice(
            &"2001:db8::1"
                .parse::<std::net::Ipv6Addr>()
                .unwrap()
                .octets(),
        );
        assert!(own.sent(&packet));
        packet[6] = 6;
        assert!(!own.sent(&packet));
    }

    proptest! {
        #[test]
        fn random_octets_never_panic(octets in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = own().sent(&octets);
        }
    }
}
