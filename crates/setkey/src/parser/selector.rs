//! Selectors: `src_range dst_range upperspec`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::values::{Families, family, narrow, split};
use super::{Parsed, Parser, shown};
use crate::diagnostic::Diagnostic;
use crate::lexer::Token;
use crate::mask::is_flag;
use crate::printer::PROTOCOL_NAMES;
use crate::span::{Span, Spanned};
use crate::tree::{Addresses, Codes, IcmpVersion, Ports, Selector, Side, Upper};

/// Other names for protocols that `PROTOCOL_NAMES` has.
const PROTOCOL_ALIASES: [(&str, u8); 6] = [
    ("ipencap", 4),
    ("ipip", 4),
    ("ipv6-icmp", 58),
    ("icmpv6", 58),
    ("ipv6-auth", 51),
    ("ipv6-crypt", 50),
];

/// TCP, UDP, DCCP, SCTP, UDP-Lite.
const WITH_PORTS: [u8; 5] = [6, 17, 33, 132, 136];

impl<'a> Parser<'a> {
    pub(super) fn selector(&mut self, families: Families) -> Parsed<Selector> {
        let source = self.side("a source range", families)?;
        let destination = self.side("a destination range", families)?;
        let upper = self.upper()?;
        let (source, destination) = match (source, destination) {
            (Some(source), Some(destination)) => (source, destination),
            _ => return Ok(None),
        };
        let start = |side: &Side| side.addresses.map(|addresses| addresses.first());
        self.same_family(Some(start(&source)), Some(start(&destination)));
        if let Some(upper) = &upper {
            self.check_ports(&source, upper);
            self.check_ports(&destination, upper);
        }
        Ok(upper.map(|upper| Selector {
            source,
            destination,
            upper,
        }))
    }

    // ---- Addresses and ports -----------------------------------------------

    fn side(&mut self, what: &str, families: Families) -> Parsed<Side> {
        let word = self.word(what)?;
        let addresses = match split(word, '-') {
            Some((first, _)) if first.value.parse::<IpAddr>().is_ok() => {
                self.range(word, what, families)
            }
            _ => {
                let address = self.address_of(word, what, families);
                self.prefix(address)?
            }
        };
        if let Some(slash) = self.take(Token::Slash) {
            self.report(
                Diagnostic::new(slash, "a range takes no prefix length")
                    .help("write either first-last or address/length"),
            );
            self.word("a prefix length")?;
        }
        let ports = self.ports()?;
        Ok((|| {
            Some(Side {
                addresses: addresses?,
                ports: ports?,
            })
        })())
    }

    /// `first-last`.
    fn range(
        &mut self,
        word: Spanned<&str>,
        what: &str,
        families: Families,
    ) -> Option<Spanned<Addresses>> {
        let (first, last) = split(word, '-')?;
        let first = self.address_of(first, what, families);
        let last = self.address_of(last, what, families);
        let (first, last) = (first?, last?);
        if first.is_ipv4() != last.is_ipv4() {
            let error = Diagnostic::new(
                word.span,
                "the ends of this range are of different families",
            );
            self.report(error);
            return None;
        }
        if first.value > last.value {
            let error = Diagnostic::new(
                word.span,
                format!("the range {} runs backwards", word.value),
            );
            self.report(error.help(format!("write {}-{}", last.value, first.value)));
            return None;
        }
        let (first, last) = (first.value, last.value);
        Some(Spanned::new(Addresses::Range { first, last }, word.span))
    }

    /// `/length` or nothing, behind an address.
    fn prefix(&mut self, address: Option<Spanned<IpAddr>>) -> Parsed<Spanned<Addresses>> {
        let highest = |address: IpAddr| if address.is_ipv4() { 32 } else { 128 };
        if self.take(Token::Slash).is_none() {
            return Ok(address.map(|address| {
                address.map(|network| Addresses::Prefix {
                    network,
                    length: highest(network),
                })
            }));
        }
        let length = self.number("a prefix length", 0..=128)?;
        let (Some(address), Some(length)) = (address, length) else {
            return Ok(None);
        };
        let longest = highest(address.value);
        if length.value > longest.into() {
            let message = format!(
                "an {} address has no prefix of {} bits",
                family(address.value),
                length.value
            );
            let error = Diagnostic::new(length.span, message);
            self.report(error.label(format!("expected 0 to {longest}")));
            return Ok(None);
        }
        let span = address.span.to(length.span);
        let network = |length: Spanned<u8>| Addresses::Prefix {
            network: network(address.value, length.value),
            length: length.value,
        };
        Ok(narrow(length).map(|length| Spanned::new(network(length), span)))
    }

    // ---- Upper protocol ----------------------------------------------------

    fn upper(&mut self) -> Parsed<Spanned<Upper>> {
        let word = self.word("an upper protocol")?;
        if word.value == "any" {
            return Ok(Some(Spanned::new(Upper::Any, word.span)));
        }
        let Some(protocol) = self.protocol_number(word) else {
            return Ok(None);
        };
        let upper = Spanned::new(Upper::Protocol(protocol), word.span);
        let Some(detail) = self.peek_word().filter(|word| !is_flag(word.value)) else {
            return Ok(Some(upper));
        };
        match protocol {
            1 => self.icmp(IcmpVersion::V4, upper.span),
            58 => self.icmp(IcmpVersion::V6, upper.span),
            47 => {
                self.at += 1;
                let error = Diagnostic::refused(detail.span, "a GRE key cannot be selected by");
                self.report(error.help("leave the key out: the policy then holds for all of GRE"));
                Ok(None)
            }
            _ => Ok(Some(upper)),
        }
    }

    /// A protocol by name or number.
    fn protocol_number(&mut self, word: Spanned<&str>) -> Option<u8> {
        let names = PROTOCOL_NAMES.iter().chain(&PROTOCOL_ALIASES);
        if let Some((_, number)) = names.into_iter().find(|(name, _)| *name == word.value) {
            return Some(*number);
        }
        if word.value.starts_with(|first: char| first.is_ascii_digit()) {
            let number = self.number_of(word, "a protocol", 0..=255)?;
            return number.value.try_into().ok();
        }
        let found = shown(word.value);
        let error = Diagnostic::new(
            word.span,
            format!("expected an upper protocol, found {found}"),
        );
        self.report(error.label("expected any, tcp, udp, icmp, icmp6 or a number"));
        None
    }

    /// `TYPE[,CODE]`; the code may be a range or `any`.
    fn icmp(&mut self, version: IcmpVersion, protocol: Span) -> Parsed<Spanned<Upper>> {
        let word = self.word("an ICMP type")?;
        let (kind, codes) = match split(word, ',') {
            Some((kind, codes)) if codes.value != "any" => {
                let codes = self.range_of(codes, "an ICMP code", 255);
                let range = |(first, last): (u64, u64)| {
                    Some(Codes::Range {
                        first: first.try_into().ok()?,
                        last: last.try_into().ok()?,
                    })
                };
                (kind, codes.and_then(range))
            }
            Some((kind, _)) => (kind, Some(Codes::Any)),
            None => (word, Some(Codes::Any)),
        };
        let kind = self.number_of(kind, "an ICMP type", 0..=255);
        Ok((|| {
            let message_type = kind?.value.try_into().ok()?;
            let upper = Upper::Icmp {
                version,
                message_type,
                codes: codes?,
            };
            Some(Spanned::new(upper, protocol.to(word.span)))
        })())
    }

    // ---- Checks ------------------------------------------------------------

    fn check_ports(&mut self, side: &Side, upper: &Spanned<Upper>) {
        let has_ports = match upper.value {
            Upper::Any => true,
            Upper::Protocol(number) => WITH_PORTS.contains(&number),
            Upper::Icmp { .. } => false,
        };
        if has_ports || side.ports.value == Ports::Any {
            return;
        }
        let error = Diagnostic::new(side.ports.span, "this upper protocol has no ports");
        self.report(
            error
                .related(upper.span, "the upper protocol")
                .help("leave the port out, or choose tcp or udp"),
        );
    }
}

impl Addresses {
    /// The lowest address of the set.
    pub fn first(&self) -> IpAddr {
        match *self {
            Addresses::Prefix { network, .. } => network,
            Addresses::Range { first, .. } => first,
        }
    }
}

/// The address without the bits behind the prefix.
fn network(address: IpAddr, length: u8) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() & mask))
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & mask))
        }
    }
}
