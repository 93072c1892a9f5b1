//! From text to tree. Each command is read by itself; of each the first mistake is told.

mod algorithm;
mod policy;
mod selector;
mod state;

use std::net::IpAddr;
use std::str::FromStr;

use sealway_setkey::{Diagnostic, Protocol, Span, Spanned};

use super::tree::Command;
use super::words::{Line, lines};

/// Reads a text.
///
/// # Errors
/// The first mistake of each command that has one.
pub(crate) fn parse(text: &str) -> Result<Vec<Spanned<Command>>, Vec<Diagnostic>> {
    let (mut commands, mut mistakes) = (Vec::new(), Vec::new());
    for line in lines(text) {
        let span = match (line.first(), line.last()) {
            (Some(first), Some(last)) => first.span.to(last.span),
            _ => continue,
        };
        match Words::new(line).command() {
            Ok(command) => commands.push(Spanned::new(command, span)),
            Err(mistake) => mistakes.push(*mistake),
        }
    }
    if mistakes.is_empty() {
        Ok(commands)
    } else {
        Err(mistakes)
    }
}

type Parsed<T> = Result<T, Box<Diagnostic>>;

/// The words of one command, read from left to right.
struct Words<'a> {
    words: Line<'a>,
    at: usize,
    /// `-4` or `-6`, or what addresses have said so far.
    is_v6: Option<bool>,
}

/// What is done, in the order in which `ip` tries abbreviations.
#[derive(Clone, Copy)]
enum Verb {
    Add,
    Update,
    AllocSpi,
    Delete,
    DeleteAll,
    List,
    Get,
    Flush,
    Count,
    Set,
    SetDefault,
    GetDefault,
}

const VERBS: [(&str, Verb); 17] = [
    ("add", Verb::Add),
    ("update", Verb::Update),
    ("allocspi", Verb::AllocSpi),
    ("delete", Verb::Delete),
    ("del", Verb::Delete),
    ("deleteall", Verb::DeleteAll),
    ("delall", Verb::DeleteAll),
    ("list", Verb::List),
    ("show", Verb::List),
    ("lst", Verb::List),
    ("get", Verb::Get),
    ("flush", Verb::Flush),
    ("count", Verb::Count),
    ("set", Verb::Set),
    ("setdefault", Verb::SetDefault),
    ("getdefault", Verb::GetDefault),
    ("deleteall", Verb::DeleteAll),
];

impl<'a> Words<'a> {
    fn new(words: Line<'a>) -> Self {
        Words {
            words,
            at: 0,
            is_v6: None,
        }
    }

    fn command(mut self) -> Parsed<Command> {
        let _ = self.take("ip");
        loop {
            if self.take("-4").is_some() {
                self.is_v6 = Some(false);
            } else if self.take("-6").is_some() {
                self.is_v6 = Some(true);
            } else {
                break;
            }
        }
        let _ = self.take("xfrm");
        let object = self.next("state or policy")?;
        if begins("state", object.value) {
            let verb = self.verb()?;
            return self.state(verb);
        }
        if begins("policy", object.value) {
            let verb = self.verb()?;
            return self.policy(verb);
        }
        if begins("monitor", object.value) {
            return Err(refused(
                object.span,
                "`monitor` is another command here",
                "run `sealway monitor`",
            ));
        }
        Err(expected("state or policy", &object))
    }

    /// What is to be done; a list, if nothing is said.
    fn verb(&mut self) -> Parsed<Spanned<Verb>> {
        let Some(word) = self.peek() else {
            return Ok(Spanned::new(Verb::List, self.end()));
        };
        self.at += 1;
        let known = VERBS.iter().find(|(name, _)| *name == word.value);
        let known = known.or_else(|| VERBS.iter().find(|(name, _)| begins(name, word.value)));
        match known {
            Some((_, verb)) => Ok(Spanned::new(*verb, word.span)),
            None => Err(expected("add, update, delete, get, list or flush", &word)),
        }
    }

    // ---- Words

    fn peek(&self) -> Option<Spanned<&'a str>> {
        self.words.get(self.at).copied()
    }

    /// Takes the next word if it is this one.
    fn take(&mut self, wanted: &str) -> Option<Span> {
        let word = self.peek().filter(|word| word.value == wanted)?;
        self.at += 1;
        Some(word.span)
    }

    fn next(&mut self, what: &str) -> Parsed<Spanned<&'a str>> {
        match self.peek() {
            Some(word) => {
                self.at += 1;
                Ok(word)
            }
            None => {
                let message = format!("expected {what}, but the command ends here");
                Err(Box::new(Diagnostic::new(self.end(), message)))
            }
        }
    }

    /// Behind the last word that was read.
    fn end(&self) -> Span {
        let last = self.at.checked_sub(1).and_then(|at| self.words.get(at));
        let end = last.map_or(0, |word| word.span.end);
        Span::new(end, end)
    }

    /// Nothing may follow.
    fn done(&self) -> Parsed<()> {
        match self.peek() {
            None => Ok(()),
            Some(word) => Err(expected("the end of the command", &word)),
        }
    }

    // ---- Values

    /// A number, decimal or hexadecimal after `0x`.
    fn number<T: TryFrom<u64>>(&mut self, what: &str) -> Parsed<Spanned<T>> {
        let word = self.next(what)?;
        number(word.value)
            .and_then(|number| T::try_from(number).ok())
            .map(|number| Spanned::new(number, word.span))
            .ok_or_else(|| expected(what, &word))
    }

    fn address(&mut self, what: &str) -> Parsed<Spanned<IpAddr>> {
        let word = self.next(what)?;
        let address = IpAddr::from_str(word.value).map_err(|_| expected(what, &word))?;
        self.same_family(address, word.span)?;
        Ok(Spanned::new(address, word.span))
    }

    /// Every address of a selector, and both ends of an SA, are of one family.
    fn same_family(&mut self, address: IpAddr, span: Span) -> Parsed<()> {
        let is_v6 = address.is_ipv6();
        if self.is_v6.is_some_and(|known| known != is_v6) {
            let message = format!("{address} is of another family than what stands before it");
            return Err(Box::new(Diagnostic::new(span, message)));
        }
        self.is_v6 = Some(is_v6);
        Ok(())
    }

    fn protocol(&mut self) -> Parsed<Spanned<Protocol>> {
        let word = self.next("esp or ah")?;
        match word.value {
            "esp" | "50" => Ok(Spanned::new(Protocol::Esp, word.span)),
            "ah" | "51" => Ok(Spanned::new(Protocol::Ah, word.span)),
            "comp" | "108" => Err(refused(
                word.span,
                "compression is not supported",
                "leave it out: compressing beside encrypting leaks what is sent",
            )),
            "route2" | "hao" => Err(refused(
                word.span,
                "Mobile IPv6 is not supported",
                "use esp",
            )),
            _ => Err(expected("esp or ah", &word)),
        }
    }
}

/// Whether the word is the name or the beginning of it.
fn begins(name: &str, word: &str) -> bool {
    !word.is_empty() && name.starts_with(word)
}

/// `0x1f` or `31`.
fn number(word: &str) -> Option<u64> {
    match word.strip_prefix("0x").or_else(|| word.strip_prefix("0X")) {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None if word.starts_with(['+', '-']) => None,
        None => word.parse().ok(),
    }
}

/// The word is not what must stand here. It may be a key that stands in the wrong place: it is
/// underlined, where keys are masked, and not repeated.
fn expected(what: &str, word: &Spanned<&str>) -> Box<Diagnostic> {
    Box::new(Diagnostic::new(word.span, format!("expected {what}")))
}

fn refused(span: Span, message: impl Into<String>, help: &str) -> Box<Diagnostic> {
    Box::new(Diagnostic::refused(span, message).help(help))
}

/// The same thing said twice.
fn once<T>(slot: &mut Option<T>, value: T, name: &Spanned<&str>) -> Parsed<()> {
    if slot.replace(value).is_some() {
        let message = format!("`{}` is given twice", name.value);
        return Err(Box::new(Diagnostic::new(name.span, message)));
    }
    Ok(())
}
