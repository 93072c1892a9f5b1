//! Socket addresses as the octets of their `sockaddr` structures.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A socket address in octets.
#[derive(Clone, Copy)]
pub(crate) struct Name {
    octets: [u8; Name::ROOM],
    used: usize,
}

impl Name {
    /// Octets that any address of ours fits in (`sockaddr_in6` is the longest).
    pub(crate) const ROOM: usize = 28;

    /// An address, its UDP port (of a raw socket: 0) and the interface that gives a link-local
    /// address its meaning.
    pub(crate) fn ip(address: IpAddr, port: u16, interface: u32) -> Name {
        let mut octets = [0; Name::ROOM];
        octets[2..4].copy_from_slice(&port.to_be_bytes());
        let used = match address {
            IpAddr::V4(address) => {
                octets[..2].copy_from_slice(&(libc::AF_INET as u16).to_ne_bytes());
                octets[4..8].copy_from_slice(&address.octets());
                16
            }
            IpAddr::V6(address) => {
                octets[..2].copy_from_slice(&(libc::AF_INET6 as u16).to_ne_bytes());
                octets[8..24].copy_from_slice(&address.octets());
                if address.is_unicast_link_local() {
                    octets[24..].copy_from_slice(&interface.to_ne_bytes());
                }
                28
            }
        };
        Name { octets, used }
    }

    /// All frames (`ETH_P_ALL`) of an interface: `sockaddr_ll`.
    pub(crate) fn link(interface: u32) -> Name {
        let mut octets = [0; Name::ROOM];
        octets[..2].copy_from_slice(&(libc::AF_PACKET as u16).to_ne_bytes());
        octets[2..4].copy_from_slice(&(libc::ETH_P_ALL as u16).to_be_bytes());
        octets[4..8].copy_from_slice(&interface.to_ne_bytes());
        Name { octets, used: 20 }
    }

    pub(crate) fn octets(&self) -> &[u8] {
        &self.octets[..self.used]
    }
}

/// The address and port in the octets of a `sockaddr_in` or `sockaddr_in6`.
#[inline]
pub(crate) fn parse_ip(octets: &[u8]) -> Option<(IpAddr, u16)> {
    let (family, rest) = octets.split_first_chunk()?;
    let (port, rest) = rest.split_first_chunk()?;
    let address = match i32::from(u16::from_ne_bytes(*family)) {
        libc::AF_INET => Ipv4Addr::from(*rest.first_chunk::<4>()?).into(),
        libc::AF_INET6 => Ipv6Addr::from(*rest.get(4..)?.first_chunk::<16>()?).into(),
        _ => return None,
    };
    Some((address, u16::from_be_bytes(*port)))
}

/// `sll_pkttype` of a `sockaddr_ll`: whom a frame was for, or that it left.
pub(crate) fn packet_type(octets: &[u8]) -> Option<u8> {
    octets.get(10).copied()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_address_is_read_as_it_was_written(address: IpAddr, port: u16) {
            let name = Name::ip(address, port, 3);
            prop_assert_eq!(parse_ip(name.octets()), Some((address, port)));
        }

        #[test]
        fn random_octets_never_panic(octets in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = (parse_ip(&octets), packet_type(&octets));
        }
    }
}
