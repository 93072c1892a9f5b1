//! Numbers of the IPv4 Protocol and IPv6 Next Header fields (IANA, "Assigned Internet Protocol
//! Numbers").

/// IPv6 Hop-by-Hop Options (RFC 8200 §4.3).
pub const HOP_BY_HOP: u8 = 0;
/// ICMP for IPv4 (RFC 792).
pub const ICMP: u8 = 1;
/// IPv4 in IP (RFC 2003); the next header of a tunnel that carries IPv4.
pub const IPIP: u8 = 4;
/// TCP (RFC 9293).
pub const TCP: u8 = 6;
/// UDP (RFC 768).
pub const UDP: u8 = 17;
/// DCCP (RFC 4340).
pub const DCCP: u8 = 33;
/// IPv6 in IP (RFC 2473); the next header of a tunnel that carries IPv6.
pub const IPV6: u8 = 41;
/// IPv6 Routing header (RFC 8200 §4.4).
pub const ROUTING: u8 = 43;
/// IPv6 Fragment header (RFC 8200 §4.5).
pub const FRAGMENT: u8 = 44;
/// GRE (RFC 2784).
pub const GRE: u8 = 47;
/// Encapsulating Security Payload (RFC 4303).
pub const ESP: u8 = 50;
/// Authentication Header (RFC 4302).
pub const AH: u8 = 51;
/// ICMP for IPv6 (RFC 4443).
pub const ICMPV6: u8 = 58;
/// No next header (RFC 8200 §4.7); inside ESP it marks a dummy packet (RFC 4303 §2.6).
pub const NONE: u8 = 59;
/// IPv6 Destination Options (RFC 8200 §4.6).
pub const DESTINATION_OPTIONS: u8 = 60;
/// IP Payload Compression (RFC 3173).
pub const IPCOMP: u8 = 108;
/// SCTP (RFC 9260).
pub const SCTP: u8 = 132;
/// Mobility header (RFC 6275 §6.1).
pub const MOBILITY: u8 = 135;
/// UDP-Lite (RFC 3828).
pub const UDP_LITE: u8 = 136;
/// Host Identity Protocol (RFC 7401).
pub const HIP: u8 = 139;
/// Shim6 (RFC 5533).
pub const SHIM6: u8 = 140;
