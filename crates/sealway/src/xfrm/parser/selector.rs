//! Selectors: `[src ADDR[/PLEN]] [dst ADDR[/PLEN]] [proto …]`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use sealway_core::selector::AddressRange;
use sealway_setkey::{
    Addresses, Codes, Diagnostic, IcmpVersion, Ports, Selector, Side, Span, Spanned, Upper,
};
use sealway_wire::protocol;

use super::{Parsed, Words, expected, once, refused};

/// What is said of a selector so far.
#[derive(Default)]
pub(super) struct Said {
    source: Option<Spanned<Addresses>>,
    destination: Option<Spanned<Addresses>>,
    protocol: Option<Spanned<u8>>,
    sport: Option<Spanned<u16>>,
    dport: Option<Spanned<u16>>,
    kind: Option<Spanned<u8>>,
    code: Option<Spanned<u8>>,
    first: Option<Span>,
}

/// Upper protocols by name; others by number.
const PROTOCOLS: [(&str, u8); 13] = [
    ("tcp", protocol::TCP),
    ("udp", protocol::UDP),
    ("icmp", protocol::ICMP),
    ("ipv6-icmp", protocol::ICMPV6),
    ("sctp", protocol::SCTP),
    ("dccp", protocol::DCCP),
    ("udplite", protocol::UDP_LITE),
    ("gre", protocol::GRE),
    ("esp", protocol::ESP),
    ("ah", protocol::AH),
    ("ipencap", protocol::IPIP),
    ("ipv6", protocol::IPV6),
    ("any", 0),
];

impl Words<'_> {
    /// Takes one word of a selector with what belongs to it; whether the next word was one.
    pub(super) fn selector_word(&mut self, said: &mut Said) -> Parsed<bool> {
        let Some(name) = self.peek() else {
            return Ok(false);
        };
        self.at += 1;
        match name.value {
            "src" => {
                let addresses = self.prefix()?;
                once(&mut said.source, addresses, &name)?;
            }
            "dst" => {
                let addresses = self.prefix()?;
                once(&mut said.destination, addresses, &name)?;
            }
            "proto" => {
                let number = self.upper()?;
                once(&mut said.protocol, number, &name)?;
            }
            "sport" => {
                let port = self.number("a port")?;
                once(&mut said.sport, port, &name)?;
            }
            "dport" => {
                let port = self.number("a port")?;
                once(&mut said.dport, port, &name)?;
            }
            "type" => {
                let kind = self.number("a type of ICMP")?;
                once(&mut said.kind, kind, &name)?;
            }
            "code" => {
                let code = self.number("a code of ICMP")?;
                once(&mut said.code, code, &name)?;
            }
            "dev" => {
                let help = "leave it out: the inside device is the only one";
                return Err(refused(
                    name.span,
                    "selecting by device is not supported",
                    help,
                ));
            }
            "key" => {
                let help = "select by addresses and `proto gre`";
                return Err(refused(name.span, "a GRE key cannot be selected by", help));
            }
            _ => {
                self.at -= 1;
                return Ok(false);
            }
        }
        said.first.get_or_insert(name.span);
        Ok(true)
    }

    /// `ADDRESS[/LENGTH]`, or `any`.
    fn prefix(&mut self) -> Parsed<Spanned<Addresses>> {
        let word = self.next("an address")?;
        if matches!(word.value, "any" | "all" | "default") {
            return Ok(Spanned::new(everything(self.is_v6), word.span));
        }
        let (address, length) = match word.value.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (word.value, None),
        };
        let wrong = || expected("an address with or without /LENGTH", &word);
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        self.same_family(address, word.span)?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let length = match length {
            None => most,
            Some(length) => length.parse().map_err(|_| wrong())?,
        };
        let range = AddressRange::prefix(address, length).map_err(|_| wrong())?;
        let network = range.first();
        Ok(Spanned::new(
            Addresses::Prefix { network, length },
            word.span,
        ))
    }

    fn upper(&mut self) -> Parsed<Spanned<u8>> {
        let word = self.next("a protocol")?;
        let known = PROTOCOLS.iter().find(|(name, _)| *name == word.value);
        let number = known.map(|(_, number)| *number);
        number
            .or_else(|| super::number(word.value)?.try_into().ok())
            .map(|number| Spanned::new(number, word.span))
            .ok_or_else(|| expected("a protocol: its number, tcp, udp, icmp, …", &word))
    }

    /// The selector that was said. What was left out is anything, of the family of the rest.
    pub(super) fn selector(&self, said: Said) -> Parsed<Selector> {
        let here = said.first.unwrap_or(self.end());
        let any = || Spanned::new(everything(self.is_v6), here);
        // `any` may have been read before the family was known.
        let settle = |addresses: Option<Spanned<Addresses>>| match addresses {
            Some(given) if !is_everything(given.value) => given,
            _ => any(),
        };
        let (source, destination) = (settle(said.source), settle(said.destination));
        let (upper, ports) = upper(&said, here)?;
        let [sport, dport] = ports;
        Ok(Selector {
            source: Side {
                addresses: source,
                ports: sport,
            },
            destination: Side {
                addresses: destination,
                ports: dport,
            },
            upper,
        })
    }
}

fn everything(is_v6: Option<bool>) -> Addresses {
    let network = match is_v6 {
        Some(true) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        Some(false) | None => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
    };
    Addresses::Prefix { network, length: 0 }
}

fn is_everything(addresses: Addresses) -> bool {
    matches!(addresses, Addresses::Prefix { length: 0, .. })
}

type Above = (Spanned<Upper>, [Spanned<Ports>; 2]);

fn upper(said: &Said, here: Span) -> Parsed<Above> {
    let number = said.protocol.map_or(0, |protocol| protocol.value);
    let place = said.protocol.map_or(here, |protocol| protocol.span);
    let has_ports = [
        protocol::TCP,
        protocol::UDP,
        protocol::SCTP,
        protocol::DCCP,
        protocol::UDP_LITE,
    ]
    .contains(&number);
    if let Some(port) = said.sport.or(said.dport).filter(|_| !has_ports) {
        let message = "ports need a protocol that has them, such as `proto tcp`";
        return Err(Box::new(Diagnostic::new(port.span, message)));
    }
    // Zero is any port to Linux.
    let port = |port: Option<Spanned<u16>>| match port.filter(|port| port.value != 0) {
        Some(port) => port.map(|port| Ports::Range {
            first: port,
            last: port,
        }),
        None => Spanned::new(Ports::Any, here),
    };
    let version = match number {
        protocol::ICMP => Some(IcmpVersion::V4),
        protocol::ICMPV6 => Some(IcmpVersion::V6),
        _ => None,
    };
    let upper = match (said.kind, said.code, version) {
        (None, None, _) if number == 0 => Upper::Any,
        (None, None, _) => Upper::Protocol(number),
        (Some(kind), code, Some(version)) => Upper::Icmp {
            version,
            message_type: kind.value,
            codes: code.map_or(Codes::Any, |code| Codes::Range {
                first: code.value,
                last: code.value,
            }),
        },
        (None, Some(code), Some(_)) => {
            return Err(Box::new(Diagnostic::new(
                code.span,
                "a code needs its `type`",
            )));
        }
        (Some(Spanned { span, .. }), _, None) | (None, Some(Spanned { span, .. }), None) => {
            let message = "type and code need `proto icmp` or `proto ipv6-icmp`";
            return Err(Box::new(Diagnostic::new(span, message)));
        }
    };
    Ok((
        Spanned::new(upper, place),
        [port(said.sport), port(said.dport)],
    ))
}
