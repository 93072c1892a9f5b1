//! Values of one or two words: numbers, addresses, ports, keys.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use super::{Lost, Parsed, Parser, shown};
use crate::diagnostic::Diagnostic;
use crate::lexer::Token;
use crate::span::{Span, Spanned};
use crate::tree::Ports;

/// What `-4` and `-6` allow.
#[derive(Clone, Copy, Default)]
pub(super) struct Families {
    /// The flag, and whether it asks for IPv4.
    only: Option<Spanned<bool>>,
}

impl<'a> Parser<'a> {
    /// `-4`, `-6`, `-n` and their combinations, before the addresses.
    pub(super) fn families(&mut self) -> Families {
        let mut families = Families::default();
        while let Some(flag) = self.peek_word() {
            let Some(letters) = flag.value.strip_prefix('-') else {
                break;
            };
            if letters.is_empty() || !letters.bytes().all(|letter| b"46n".contains(&letter)) {
                break;
            }
            self.at += 1;
            match letters.bytes().rfind(|letter| *letter != b'n') {
                Some(b'4') => families.only = Some(Spanned::new(true, flag.span)),
                Some(b'6') => families.only = Some(Spanned::new(false, flag.span)),
                _ => {}
            }
        }
        families
    }

    // ---- Numbers -----------------------------------------------------------

    /// A decimal number, or with `0x` a hexadecimal one.
    pub(super) fn number(
        &mut self,
        what: &str,
        allowed: RangeInclusive<u64>,
    ) -> Parsed<Spanned<u64>> {
        let word = self.word(what)?;
        Ok(self.number_of(word, what, allowed))
    }

    /// The same from a word that was read already.
    pub(super) fn number_of(
        &mut self,
        word: Spanned<&str>,
        what: &str,
        allowed: RangeInclusive<u64>,
    ) -> Option<Spanned<u64>> {
        let value = digits(word.value);
        if let Some(Some(value)) = value
            && allowed.contains(&value)
        {
            return Some(Spanned::new(value, word.span));
        }
        let found = shown(word.value);
        let message = match value {
            Some(_) => format!("{found} is out of range for {what}"),
            None => format!("expected {what}, found {found}"),
        };
        let (lowest, highest) = (allowed.start(), allowed.end());
        let error = Diagnostic::new(word.span, message);
        self.report(error.label(format!("expected a number from {lowest} to {highest}")));
        None
    }

    /// The SPI of an SA.
    pub(super) fn spi(&mut self) -> Parsed<Spanned<u32>> {
        let word = self.word("an SPI")?;
        let Some(spi) = self.number_of(word, "an SPI", 0..=u64::from(u32::MAX)) else {
            return Ok(None);
        };
        if spi.value < 256 {
            let message = format!(
                "SPI {} is below 256: RFC 4303 §2.1 reserves those",
                word.value
            );
            self.report(Diagnostic::new(word.span, message).help("choose 0x100 or above"));
            return Ok(None);
        }
        Ok(narrow(spi))
    }

    // ---- Words of a short list ---------------------------------------------

    /// One of a few words.
    pub(super) fn choice<T: Copy>(
        &mut self,
        what: &str,
        choices: &[(&'static str, T)],
    ) -> Parsed<Spanned<T>> {
        let word = self.word(what)?;
        Ok(self.choice_of(word, what, choices))
    }

    /// The same from a word that was read already.
    pub(super) fn choice_of<T: Copy>(
        &mut self,
        word: Spanned<&str>,
        what: &str,
        choices: &[(&'static str, T)],
    ) -> Option<Spanned<T>> {
        let known = choices.iter().find(|(name, _)| *name == word.value);
        if let Some((_, choice)) = known {
            return Some(Spanned::new(*choice, word.span));
        }
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        let found = shown(word.value);
        self.report(
            Diagnostic::new(word.span, format!("expected {what}, found {found}"))
                .label(format!("expected {}", either(&names))),
        );
        None
    }

    // ---- Addresses ---------------------------------------------------------

    /// One numeric address.
    pub(super) fn address(&mut self, what: &str, families: Families) -> Parsed<Spanned<IpAddr>> {
        let word = self.word(what)?;
        Ok(self.address_of(word, what, families))
    }

    /// The same from a word that was read already.
    pub(super) fn address_of(
        &mut self,
        word: Spanned<&str>,
        what: &str,
        families: Families,
    ) -> Option<Spanned<IpAddr>> {
        let Ok(address) = word.value.parse::<IpAddr>() else {
            self.report(no_address(word, what));
            return None;
        };
        if let Some(only) = families.only.filter(|only| only.value != address.is_ipv4()) {
            let flag = if only.value { "-4" } else { "-6" };
            let error = Diagnostic::new(
                word.span,
                format!("{} is an {} address", word.value, family(address)),
            );
            self.report(error.related(only.span, format!("`{flag}` asks for the other family")));
            return None;
        }
        Some(Spanned::new(address, word.span))
    }

    /// Reports two addresses that must be of one family and are not.
    pub(super) fn same_family(
        &mut self,
        first: Option<Spanned<IpAddr>>,
        second: Option<Spanned<IpAddr>>,
    ) -> Option<()> {
        let (first, second) = (first?, second?);
        if first.is_ipv4() == second.is_ipv4() {
            return Some(());
        }
        let error = Diagnostic::new(
            second.span,
            "source and destination are of different families",
        )
        .label(format!("this is {}", family(second.value)))
        .related(first.span, format!("this is {}", family(first.value)));
        self.report(error);
        None
    }

    // ---- Ports -------------------------------------------------------------

    /// `[any]`, `[N]`, `[N-M]`, or nothing.
    pub(super) fn ports(&mut self) -> Parsed<Spanned<Ports>> {
        let Some(open) = self.take(Token::Open) else {
            let here = Span::new(self.last_span().end, self.last_span().end);
            return Ok(Some(Spanned::new(Ports::Any, here)));
        };
        let word = self.word("a port, a range of ports or `any`")?;
        let close = self.expect(Token::Close, "`]`")?;
        let ports = match word.value {
            "any" => Some(Ports::Any),
            "0" => {
                let error = Diagnostic::new(word.span, "port 0 is not used");
                self.report(error.help("write `[any]` for every port, `[0-0]` for port 0 itself"));
                None
            }
            _ => self
                .range_of(word, "a port", u16::MAX.into())
                .and_then(|(first, last)| {
                    Some(Ports::Range {
                        first: first.try_into().ok()?,
                        last: last.try_into().ok()?,
                    })
                }),
        };
        Ok(ports.map(|ports| Spanned::new(ports, open.to(close))))
    }

    /// `[N]`, `[any]` or nothing behind the address of an end of ESP in UDP.
    pub(super) fn end_port(&mut self) -> Parsed<Option<Spanned<u16>>> {
        if self.take(Token::Open).is_none() {
            return Ok(Some(None));
        }
        let word = self.word("a port")?;
        let port = match word.value {
            "any" | "0" => Some(None),
            _ => self
                .number_of(word, "a port", 1..=u16::MAX.into())
                .map(narrow),
        };
        self.expect(Token::Close, "`]`")?;
        Ok(port)
    }

    /// `N` or `N-M`.
    pub(super) fn range_of(
        &mut self,
        word: Spanned<&str>,
        what: &str,
        highest: u64,
    ) -> Option<(u64, u64)> {
        let Some((low, high)) = split(word, '-') else {
            let one = self.number_of(word, what, 0..=highest)?;
            return Some((one.value, one.value));
        };
        let first = self.number_of(low, what, 0..=highest);
        let last = self.number_of(high, what, 0..=highest);
        let (first, last) = (first?, last?);
        if first.value > last.value {
            let error = Diagnostic::new(
                word.span,
                format!("the range {} runs backwards", word.value),
            );
            self.report(error.help(format!("write {}-{}", last.value, first.value)));
            return None;
        }
        Some((first.value, last.value))
    }

    // ---- Refused ------------------------------------------------------------

    /// `DOI ALGORITHM "CONTEXT"`, the operands of `-ctx`.
    pub(super) fn refuse_security_context(&mut self, flag: Span) -> Result<(), Lost> {
        self.number("a domain of interpretation", 0..=u64::from(u8::MAX))?;
        self.number("an algorithm of the label", 0..=u64::from(u8::MAX))?;
        match self.peek() {
            Some(token) if matches!(token.value, Token::Quoted(_)) => self.at += 1,
            _ => return Err(self.unexpected("a context in `\"`")),
        }
        let error = Diagnostic::refused(flag, "security labels (`-ctx`) are not supported");
        self.report(error.help("leave `-ctx` and its operands out"));
        Ok(())
    }
}

/// The two sides of a sign inside a word.
pub(super) fn split(word: Spanned<&str>, sign: char) -> Option<(Spanned<&str>, Spanned<&str>)> {
    let (left, right) = word.value.split_once(sign)?;
    let Span { start, end } = word.span;
    Some((
        Spanned::new(left, Span::new(start, start + left.len())),
        Spanned::new(right, Span::new(end - right.len(), end)),
    ))
}

/// A number that is known to fit.
pub(super) fn narrow<T: TryFrom<u64>>(wide: Spanned<u64>) -> Option<Spanned<T>> {
    let value = wide.value.try_into().ok()?;
    Some(Spanned::new(value, wide.span))
}

/// `a, b or c`
fn either(names: &[&str]) -> String {
    match names {
        [first @ .., last] if !first.is_empty() => format!("{} or {last}", first.join(", ")),
        _ => names.concat(),
    }
}

/// What to call the family of an address.
pub(super) fn family(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "IPv4" } else { "IPv6" }
}

/// `None`: no number; `Some(None)`: one that is too large for everything.
fn digits(word: &str) -> Option<Option<u64>> {
    let (digits, radix) = match word.strip_prefix("0x").or_else(|| word.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None => (word, 10),
    };
    let is_number = !digits.is_empty() && digits.chars().all(|digit| digit.is_digit(radix));
    is_number.then(|| u64::from_str_radix(digits, radix).ok())
}

/// What is wrong with a word that is no address.
fn no_address(word: Spanned<&str>, what: &str) -> Diagnostic {
    let is_address = |text: &str| text.parse::<IpAddr>().is_ok();
    let text = word.value;
    if text
        .split_once('%')
        .is_some_and(|(left, _)| is_address(left))
    {
        return Diagnostic::refused(word.span, "an address with a zone (`%`) is not supported")
            .help("write the address without its zone");
    }
    if text
        .split_once('-')
        .is_some_and(|(left, _)| is_address(left))
    {
        return Diagnostic::new(word.span, format!("expected {what}, found a range"))
            .label("expected one address");
    }
    let is_keyword = super::sa::PROTOCOLS.contains(&text) || text == "any";
    let is_name = text.bytes().any(|letter| letter.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|letter| letter.is_ascii_alphanumeric() || b"-._".contains(&letter));
    if is_name && !is_keyword {
        let message = format!(
            "host names are not looked up: {} is no address",
            shown(text)
        );
        return Diagnostic::refused(word.span, message).help("write the numeric address");
    }
    Diagnostic::new(word.span, format!("expected {what}, found {}", shown(text)))
        .label("expected a numeric IPv4 or IPv6 address")
}
