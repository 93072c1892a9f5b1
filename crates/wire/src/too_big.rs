//! What routers say of packets of ours that were too big for their next link (RFC 1191, RFC 8201).

use std::net::IpAddr;

use crate::{Family, Layout, Ports, U16, U32, checksum, icmp, icmpv6, protocol, view};

/// An ICMP "fragmentation needed" or ICMPv6 "packet too big" about ESP. Anyone can have written
/// it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TooBig {
    /// Where the quoted packet came from.
    pub source: IpAddr,
    /// Where it went.
    pub destination: IpAddr,
    /// The largest IP packet that the link takes, in octets.
    pub mtu: u16,
    /// What it was.
    pub quoted: Quoted,
}

/// What is quoted of a packet that carried ESP.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Quoted {
    /// Protocol 50.
    Esp {
        /// The SPI.
        spi: u32,
    },
    /// UDP, and perhaps ESP in it (RFC 3948).
    Udp {
        /// The source's port.
        source: u16,
        /// The destination's port.
        destination: u16,
        /// What stands in the place of an SPI; `None` where that is not quoted: RFC 792 asks for
        /// no more than the UDP header.
        spi: Option<u32>,
    },
}

/// What routers that name no MTU may mean (RFC 1191 §7.1): the next of these below the packet.
const PLATEAUS: [u16; 8] = [32_000, 17_914, 8166, 4352, 2002, 1492, 1006, 508];

impl TooBig {
    /// Reads a whole IPv4 packet, as a raw socket gives it. `None`: it is something else, about
    /// something else, or its checksum is wrong, which the kernel has not looked at.
    pub fn of_v4(packet: &[u8]) -> Option<TooBig> {
        let layout = Layout::parse(packet).ok()?;
        if layout.protocol != protocol::ICMP || !checksum::verify_transport(packet, &layout) {
            return None;
        }
        let mtu = icmp::reported_mtu(packet, &layout)?;
        TooBig::about(icmp::quoted(packet, &layout)?, mtu)
    }

    /// Reads an ICMPv6 message without its IP header, as a raw socket gives it; the kernel has
    /// verified the checksum. `None`: it is something else, or about something else.
    pub fn of_v6(message: &[u8]) -> Option<TooBig> {
        let header: &icmpv6::Header = view(message, 0)?;
        if header.kind != icmpv6::TOO_BIG {
            return None;
        }
        TooBig::about(message.get(icmpv6::HEADER..)?, header.rest.get())
    }

    fn about(quote: &[u8], mtu: u32) -> Option<TooBig> {
        let layout = Layout::parse_quoted(quote).ok()?;
        if !layout.is_first() {
            return None;
        }
        let spi_at = |offset| {
            let field: &U32 = view(layout.payload(quote), offset)?;
            Some(field.get())
        };
        let quoted = match (layout.protocol, layout.ports) {
            (protocol::ESP, _) => Quoted::Esp { spi: spi_at(0)? },
            (
                protocol::UDP,
                Ports::Pair {
                    source,
                    destination,
                },
            ) => Quoted::Udp {
                source,
                destination,
                spi: spi_at(crate::udp::HEADER),
            },
            _ => return None,
        };
        let mtu = match (mtu, layout.family) {
            (0, Family::V4) => plateau_below(view::<U16>(quote, 2)?.get()),
            (mtu, _) => u16::try_from(mtu).unwrap_or(u16::MAX),
        };
        Some(TooBig {
            source: layout.source(quote),
            destination: layout.destination(quote),
            mtu,
            quoted,
        })
    }
}

fn plateau_below(octets: u16) -> u16 {
    let mut plateaus = PLATEAUS.into_iter();
    plateaus.find(|plateau| *plateau < octets).unwrap_or(68)
}
