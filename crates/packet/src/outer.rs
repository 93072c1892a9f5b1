//! The outermost IP header as data, and where a packet leaves.

use std::net::IpAddr;

/// How protected octets travel directly behind the outermost IP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encapsulation {
    /// IP protocol 50 (RFC 4303).
    Esp,
    /// IP protocol 51 (RFC 4302).
    Ah,
    /// ESP in UDP (RFC 3948).
    Udp {
        /// Source port.
        source: u16,
        /// Destination port.
        destination: u16,
    },
}

/// What the outer Don't Fragment bit is to be. IPv6 has none: routers never fragment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DontFragment {
    /// The network may fragment.
    Clear,
    /// The network may not; a packet that is too big comes back as such.
    Set,
}

impl From<bool> for DontFragment {
    /// As the bit stands in a header.
    #[inline]
    fn from(is_set: bool) -> Self {
        if is_set {
            DontFragment::Set
        } else {
            DontFragment::Clear
        }
    }
}

/// The facts of an outermost IP header, sent or received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outer {
    /// Source address; same family as the destination.
    pub source: IpAddr,
    /// Destination address.
    pub destination: IpAddr,
    /// Index of the interface it leaves or came by; 0 where that is not known or does not matter.
    pub interface: u32,
    /// DSCP and ECN: IPv4's TOS octet, IPv6's traffic class.
    pub tos: u8,
    /// TTL or hop limit.
    pub hop_limit: u8,
    /// Don't Fragment, as sent; what an arrival had is in its header, if it came whole.
    pub dont_fragment: DontFragment,
    /// What stands between this header and ESP or AH.
    pub encapsulation: Encapsulation,
}

/// How a packet came in from the outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// The train starts at the ESP header; a socket took the headers before it and these are
    /// their facts.
    Payload(Outer),
    /// The train starts at the IP header (protocol 50 or 51 with everything that precedes it, or
    /// clear traffic).
    Whole {
        /// Index of the interface it came by, 0 where that is not known.
        interface: u32,
    },
}

/// Where a packet leaves towards the outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Egress {
    /// The train holds what follows the IP header (and the UDP header, if so encapsulated);
    /// whoever sends it writes those.
    Payload(Outer),
    /// The train holds whole protected packets, IP header included (IPv4 options, IPv6 extension
    /// headers or AH need it so). The facts repeat what the header says.
    Whole(Outer),
    /// The train holds whole packets that no SA protects: for the clear device.
    Clear,
}
