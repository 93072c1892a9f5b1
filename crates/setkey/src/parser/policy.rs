//! The commands about policies.

use std::net::IpAddr;

use super::values::{Families, split};
use super::{Lost, Parsed, Parser, sa, shown};
use crate::diagnostic::Diagnostic;
use crate::lexer::Token;
use crate::mask::is_flag;
use crate::span::Spanned;
use crate::suggest;
use crate::tree::{
    Action, Direction, Endpoint, Endpoints, Level, Mode, Policy, Protocol, Selector, SpdDelete,
    SpdEntry, Template,
};

/// What stands behind `-P`.
struct Said {
    direction: Option<Spanned<Direction>>,
    priority: Option<Spanned<i64>>,
    /// Whether the text goes on behind direction and priority.
    goes_on: bool,
    action: Option<Spanned<Action>>,
}

impl<'a> Parser<'a> {
    /// `src_range dst_range upperspec -P direction [priority] action`
    pub(super) fn spd_entry(&mut self) -> Parsed<SpdEntry> {
        let (selector, said) = self.selector_and_policy()?;
        if !said.goes_on {
            return Err(self.unexpected("discard, none or ipsec"));
        }
        Ok((|| {
            Some(SpdEntry {
                selector: selector?,
                policy: Policy {
                    direction: said.direction?,
                    priority: said.priority,
                    action: said.action?,
                },
            })
        })())
    }

    /// `src_range dst_range upperspec -P direction`; what else a policy may say
    /// is read, as every setkey does, and means nothing.
    pub(super) fn spd_delete(&mut self) -> Parsed<SpdDelete> {
        let (selector, said) = self.selector_and_policy()?;
        Ok((|| {
            Some(SpdDelete {
                selector: selector?,
                direction: said.direction?,
            })
        })())
    }

    fn selector_and_policy(&mut self) -> Result<(Option<Selector>, Said), Lost> {
        if let Some(place) = self.take_word("tagged") {
            let error =
                Diagnostic::refused(place, "policies by packet filter tag are not supported");
            return Err(self.lose(error.help("select by addresses, ports and protocol")));
        }
        let families = self.families();
        let selector = self.selector(families)?;
        if let Some(flag) = self.take_word("-ctx") {
            self.refuse_security_context(flag)?;
        }
        if self.take_word("-P").is_none() {
            return Err(self.unexpected("`-P` and a direction"));
        }
        let direction = self.choice("a direction", &DIRECTIONS)?;
        let priority = self.priority()?;
        let goes_on = self.peek_word().is_some();
        let action = if goes_on { self.action()? } else { None };
        let said = Said {
            direction,
            priority,
            goes_on,
            action,
        };
        Ok((selector, said))
    }

    // ---- Priority ----------------------------------------------------------

    /// `prio N`, `prio -N`, `prio BASE`, `prio BASE + N`, `prio BASE - N`, with
    /// or without white space around the sign.
    fn priority(&mut self) -> Parsed<Spanned<i64>> {
        if self.take_word("prio").is_none() && self.take_word("priority").is_none() {
            return Ok(None);
        }
        let first = self.word("a priority")?;
        let base = BASES.into_iter().find_map(|(name, value)| {
            let rest = first.value.strip_prefix(name)?;
            let starts_offset = rest.is_empty() || rest.starts_with(['+', '-']);
            starts_offset.then(|| (value, tail(first, rest.len())))
        });
        let is_number = first
            .value
            .starts_with(|sign: char| sign.is_ascii_digit() || matches!(sign, '+' | '-'));
        if base.is_none() && !is_number {
            self.at -= 1;
            return Err(self.unexpected("low, def, high or a number"));
        }
        let (base, offset, bounds) = match base {
            Some((base, rest)) if rest.value.is_empty() => (base, self.offset(), FROM_BASE),
            Some((base, rest)) => (base, Some(rest), FROM_BASE),
            None => (0, Some(first), FROM_ZERO),
        };
        let Some(offset) = offset else {
            return Ok(Some(Spanned::new(base, first.span)));
        };
        let (is_negative, mut digits) = match offset.value.strip_prefix('-') {
            Some(digits) => (true, tail(offset, digits.len())),
            None => {
                let digits = offset.value.strip_prefix('+').unwrap_or(offset.value);
                (false, tail(offset, digits.len()))
            }
        };
        if digits.value.is_empty() {
            digits = self.word("a number behind the sign")?;
        }
        let (below, above) = bounds;
        let highest = if is_negative { below } else { above };
        let magnitude = self.number_of(digits, "a priority", 0..=highest);
        Ok(magnitude.and_then(|magnitude| {
            let magnitude = i64::try_from(magnitude.value).ok()?;
            let offset = if is_negative { -magnitude } else { magnitude };
            Some(Spanned::new(base + offset, first.span.to(digits.span)))
        }))
    }

    /// A word that goes on with `+` or `-`.
    fn offset(&mut self) -> Option<Spanned<&'a str>> {
        let word = self
            .peek_word()
            .filter(|word| word.value.starts_with(['+', '-']) && !is_flag(word.value))?;
        self.at += 1;
        Some(word)
    }

    // ---- Action ------------------------------------------------------------

    fn action(&mut self) -> Parsed<Spanned<Action>> {
        let word = self.word("discard, none or ipsec")?;
        match word.value {
            "discard" => Ok(Some(Spanned::new(Action::Discard, word.span))),
            "none" => Ok(Some(Spanned::new(Action::None, word.span))),
            "ipsec" => self.templates(word),
            "bypass" | "entrust" => {
                let message = format!("`{}` is for the policies of sockets", word.value);
                let error = Diagnostic::refused(word.span, message);
                self.report(error.help("write none to let packets pass in the clear"));
                Ok(None)
            }
            "prio" | "priority" => {
                let error = Diagnostic::new(word.span, "the priority is given twice");
                Err(self.lose(error))
            }
            other => {
                let found = shown(other);
                let message = format!("expected discard, none or ipsec, found {found}");
                let error = Diagnostic::new(word.span, message);
                let meant = suggest::closest(other, ["discard", "none", "ipsec"]);
                Err(self.lose(match meant {
                    Some(meant) => error.help(format!("did you mean `{meant}`?")),
                    None => error.label("expected discard, none or ipsec"),
                }))
            }
        }
    }

    fn templates(&mut self, ipsec: Spanned<&str>) -> Parsed<Spanned<Action>> {
        let mut templates = Vec::new();
        let mut all = true;
        while let Some(first) = self.peek_word() {
            match self.template()? {
                Some(template) => {
                    let span = first.span.to(self.last_span());
                    templates.push(Spanned::new(template, span));
                }
                None => all = false,
            }
        }
        if all && templates.is_empty() {
            let error = Diagnostic::new(ipsec.span, "`ipsec` needs at least one template");
            self.report(error.help("write for example `ipsec esp/transport//require`"));
            return Ok(None);
        }
        let span = ipsec.span.to(self.last_span());
        Ok(all.then(|| Spanned::new(Action::Ipsec(templates), span)))
    }

    // ---- Templates ---------------------------------------------------------

    /// `protocol/mode[/[src-dst][/[level]]]`
    fn template(&mut self) -> Parsed<Template> {
        let protocol = self.template_protocol()?;
        self.expect(Token::Slash, "`/` and a mode")?;
        let mode = self.choice("a mode", &MODES)?;
        let mut endpoints = Some(None);
        let mut level = Some((Spanned::new(Level::Default, self.last_span()), None));
        if self.take(Token::Slash).is_some() {
            if self.template_goes_on() {
                endpoints = self.endpoints()?.map(Some);
            }
            if self.take(Token::Slash).is_some() && self.template_goes_on() {
                level = self.level()?;
            }
        }
        if let (Some(mode), Some(None)) = (mode, &endpoints)
            && mode.value == Mode::Tunnel
        {
            let error = Diagnostic::new(mode.span, "a tunnel needs its two endpoints");
            self.report(error.help("write protocol/tunnel/SOURCE-DESTINATION/level"));
            endpoints = None;
        }
        if let (Some(protocol), Some(Some(endpoints))) = (protocol, &endpoints) {
            self.check_ports_of_ends(protocol, endpoints);
        }
        Ok((|| {
            let (level, reqid) = level?;
            Some(Template {
                protocol: protocol?,
                mode: mode?,
                endpoints: endpoints?,
                level,
                reqid,
            })
        })())
    }

    fn template_protocol(&mut self) -> Parsed<Spanned<Protocol>> {
        let word = self.word("a template such as esp/transport//require")?;
        match word.value {
            "esp" => Ok(Some(Spanned::new(Protocol::Esp, word.span))),
            "ah" => Ok(Some(Spanned::new(Protocol::Ah, word.span))),
            "ipcomp" => {
                self.report(sa::no_protocol(word.value, word.span));
                Ok(None)
            }
            other => {
                let found = shown(other);
                let error =
                    Diagnostic::new(word.span, format!("expected a template, found {found}"));
                Err(self.lose(error.label("expected esp/… or ah/…, or `;`")))
            }
        }
    }

    /// Whether the next token is a word of this template, and not the next
    /// template's first.
    fn template_goes_on(&self) -> bool {
        self.peek_word()
            .is_some_and(|word| !matches!(word.value, "esp" | "ah" | "ipcomp"))
    }

    /// `src[port]-dst[port]`
    fn endpoints(&mut self) -> Parsed<Endpoints> {
        let first = self.word("endpoints SOURCE-DESTINATION")?;
        if matches!(first.value, "me-any" | "any-me") {
            let error = Diagnostic::refused(first.span, "`me` and `any` are for sockets");
            self.report(error.help("write both addresses"));
            return Ok(None);
        }
        let (first, second) = match split(first, '-') {
            Some((first, second)) => (first, Some(second)),
            None => (first, None),
        };
        let families = Families::default();
        let source = self.address_of(first, "the sending end", families);
        let (source_port, second) = match second {
            Some(second) => (Some(None), second),
            None => (self.end_port()?, self.behind_hyphen()?),
        };
        let second = match second.value {
            "" => self.word("the receiving end")?,
            _ => second,
        };
        let destination = self.address_of(second, "the receiving end", families);
        let destination_port = self.end_port()?;
        self.same_family(source, destination);
        let end = |address: Option<Spanned<IpAddr>>, port: Option<Option<Spanned<u16>>>| {
            Some(Endpoint {
                address: address?,
                port: port?,
            })
        };
        Ok((|| {
            Some(Endpoints {
                source: end(source, source_port)?,
                destination: end(destination, destination_port)?,
            })
        })())
    }

    /// The rest of the word that starts with `-`.
    fn behind_hyphen(&mut self) -> Result<Spanned<&'a str>, Lost> {
        let word = self.peek_word();
        let rest = word.and_then(|word| Some(tail(word, word.value.strip_prefix('-')?.len())));
        match rest {
            Some(rest) => {
                self.at += 1;
                Ok(rest)
            }
            None => Err(self.unexpected("`-` and the receiving end")),
        }
    }

    /// `level` or `level:N`
    fn level(&mut self) -> Parsed<(Spanned<Level>, Option<Spanned<u32>>)> {
        let word = self.word("a level")?;
        let (name, id) = match split(word, ':') {
            Some((name, id)) => (name, Some(id)),
            None => (word, None),
        };
        let level = self.choice_of(name, "a level", &LEVELS);
        let Some(id) = id else {
            return Ok(level.map(|level| (level, None)));
        };
        if id.value == "0" {
            let error = Diagnostic::new(id.span, "0 is no number of an SA");
            self.report(
                error.help("write 1 or above, the number of the SA's `-u`, or leave `:0` out"),
            );
            return Ok(None);
        }
        let reqid = self.number_of(id, "the number of an SA", 1..=u64::from(u32::MAX));
        Ok((|| {
            let reqid = reqid?;
            let value = reqid.value.try_into().ok()?;
            Some((level?, Some(Spanned::new(value, reqid.span))))
        })())
    }

    fn check_ports_of_ends(&mut self, protocol: Spanned<Protocol>, ends: &Endpoints) {
        let ports = [ends.source.port, ends.destination.port];
        for port in ports.into_iter().flatten() {
            if protocol.value == Protocol::Ah {
                let error = Diagnostic::new(port.span, "a port here is for ESP in UDP only");
                self.report(error.help("leave the port out"));
            }
        }
    }
}

const DIRECTIONS: [(&str, Direction); 3] = [
    ("in", Direction::In),
    ("out", Direction::Out),
    ("fwd", Direction::Fwd),
];

const MODES: [(&str, Mode); 2] = [("transport", Mode::Transport), ("tunnel", Mode::Tunnel)];

const LEVELS: [(&str, Level); 4] = [
    ("default", Level::Default),
    ("use", Level::Use),
    ("require", Level::Require),
    ("unique", Level::Unique),
];

/// What `low`, `def` and `high` stand for (ipsec_set_policy(3)).
const BASES: [(&str, i64); 3] = [("low", -(1 << 30)), ("def", 0), ("high", 1 << 30)];

/// How far an offset may go down and up: as far as the Linux kernel's 32 bits.
const FROM_ZERO: (u64, u64) = (2_147_483_647, 2_147_483_648);
const FROM_BASE: (u64, u64) = (1_073_741_823, 1_073_741_824);

/// The last `length` octets of a word.
fn tail(word: Spanned<&str>, length: usize) -> Spanned<&str> {
    let mut span = word.span;
    span.start = span.end - length;
    Spanned::new(&word.value[word.value.len() - length..], span)
}
