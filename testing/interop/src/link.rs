//! The two ends of the link and their addresses.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Sealway's inside device.
pub const INSIDE: &str = "seal0";

/// One end of the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Sealway's, or that of the kernel that stands in for it.
    Ours,
    /// The peer's.
    Peer,
}

/// The family of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl End {
    /// The other end.
    pub fn other(self) -> Self {
        match self {
            End::Ours => End::Peer,
            End::Peer => End::Ours,
        }
    }

    /// 1 for ours, 2 for the peer's: what tells apart its addresses.
    fn number(self) -> u8 {
        match self {
            End::Ours => 1,
            End::Peer => 2,
        }
    }

    /// The address on the link: a tunnel's endpoint, and a host that transport mode protects.
    pub fn outer(self, family: Family) -> IpAddr {
        match family {
            Family::V4 => Ipv4Addr::new(192, 0, 2, self.number()).into(),
            Family::V6 => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, self.number().into()).into(),
        }
    }

    /// An address on the link that no SA knows.
    pub fn stranger(family: Family) -> IpAddr {
        match family {
            Family::V4 => Ipv4Addr::new(192, 0, 2, 3).into(),
            Family::V6 => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 3).into(),
        }
    }

    /// The address of a host in the network behind this end.
    pub fn inner(self, family: Family) -> IpAddr {
        self.host(family, 1)
    }

    /// Another host in the same network, which sends through this end.
    pub fn behind(self, family: Family) -> IpAddr {
        self.host(family, 9)
    }

    /// The host with this number in the network behind this end.
    pub fn host(self, family: Family, number: u8) -> IpAddr {
        match family {
            Family::V4 => Ipv4Addr::new(10, self.number(), 0, number).into(),
            Family::V6 => {
                let (network, host) = (self.number().into(), number.into());
                Ipv6Addr::new(0xfd00, network, 0, 0, 0, 0, 0, host).into()
            }
        }
    }

    /// The network behind this end.
    pub fn network(self, family: Family) -> String {
        match family {
            Family::V4 => format!("10.{}.0.0/24", self.number()),
            Family::V6 => format!("fd00:{}::/64", self.number()),
        }
    }

    /// The Ethernet address of its device on the link.
    pub fn mac_octets(self) -> [u8; 6] {
        [2, 0, 0, 0, 0, self.number()]
    }

    /// The same in words.
    pub fn mac(self) -> String {
        self.mac_octets()
            .map(|octet| format!("{octet:02x}"))
            .join(":")
    }
}

impl Family {
    /// Both.
    pub const ALL: [Family; 2] = [Family::V4, Family::V6];

    /// The length of a host's prefix.
    pub fn bits(self) -> u8 {
        match self {
            Family::V4 => 32,
            Family::V6 => 128,
        }
    }

    /// The prefix that holds every address.
    pub fn everything(self) -> &'static str {
        match self {
            Family::V4 => "0.0.0.0/0",
            Family::V6 => "::/0",
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Family::V4 => "v4",
            Family::V6 => "v6",
        })
    }
}

/// The script that gives `device` at `end` its addresses, the way to the other end, and the other
/// end's Ethernet address, so that no row waits for ARP or neighbour discovery.
pub fn address_script(end: End, device: &str) -> String {
    let mut script = String::from("set -e\n");
    for (family, length) in [(Family::V4, 24), (Family::V6, 64)] {
        let (ours, theirs) = (end.outer(family), end.other().outer(family));
        let nodad = if family == Family::V6 { "nodad" } else { "" };
        script += &format!("ip addr add {ours}/{length} dev {device} {nodad}\n");
        script += &format!(
            "ip neigh replace {theirs} lladdr {} dev {device} nud permanent\n",
            end.other().mac()
        );
    }
    script
}
