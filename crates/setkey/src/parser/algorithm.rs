//! Algorithms and their keys: the operands of `-E` and `-A`.

use super::{Parsed, Parser};
use crate::algorithm::{Authentication, Encryption, Name};
use crate::diagnostic::Diagnostic;
use crate::lexer::Token;
use crate::mask::{self, is_flag};
use crate::span::{Span, Spanned};
use crate::suggest;
use crate::tree::{Key, KeyedAlgorithm};

impl Parser<'_> {
    pub(super) fn encryption(&mut self) -> Parsed<KeyedAlgorithm<Encryption>> {
        let algorithm = self.algorithm("an encryption algorithm", Encryption::names())?;
        match algorithm {
            None => Ok(None),
            Some(null) if null.value == Encryption::Null => self.no_key(null),
            Some(algorithm) => {
                let key = self.key()?;
                Ok(key.map(|key| KeyedAlgorithm { algorithm, key }))
            }
        }
    }

    pub(super) fn authentication(&mut self) -> Parsed<KeyedAlgorithm<Authentication>> {
        let Some(algorithm) =
            self.algorithm("an authentication algorithm", Authentication::names())?
        else {
            return Ok(None);
        };
        let key = self.key()?;
        Ok(key.map(|key| KeyedAlgorithm { algorithm, key }))
    }

    /// `null` stands alone, or with an empty string as FreeBSD wants it.
    fn no_key(&mut self, null: Spanned<Encryption>) -> Parsed<KeyedAlgorithm<Encryption>> {
        let mut key = Spanned::new(Key::default(), null.span);
        if let Some(place) = self.skip_key() {
            if self.text.get(place.range()) != Some("\"\"") {
                let error = Diagnostic::new(place, "`null` takes no key");
                self.report(error.help("leave the key out, or write \"\""));
                return Ok(None);
            }
            key.span = place;
        }
        let algorithm = null;
        Ok(Some(KeyedAlgorithm { algorithm, key }))
    }

    /// A name behind `-E` or `-A`; after a wrong one its key is skipped.
    fn algorithm<T: Copy>(
        &mut self,
        what: &str,
        names: &[(&'static str, Name<T>)],
    ) -> Parsed<Spanned<T>> {
        let before = self.at;
        let word = self.word(what)?;
        let error = match names.iter().find(|(name, _)| *name == word.value) {
            Some((_, Name::Known(algorithm))) => {
                return Ok(Some(Spanned::new(*algorithm, word.span)));
            }
            Some((name, Name::Refused(why, instead))) => {
                Diagnostic::refused(word.span, format!("`{name}` {why}")).help(*instead)
            }
            None => {
                let shown = mask::word(&self.tokens[..before], word.value);
                let known = names.iter().filter_map(|(name, kind)| match kind {
                    Name::Known(_) => Some(*name),
                    Name::Refused(..) => None,
                });
                let error = Diagnostic::new(word.span, format!("`{shown}` is not {what}"));
                error.help(match suggest::closest(word.value, known.clone()) {
                    Some(meant) => format!("did you mean `{meant}`?"),
                    None => format!("known are {}", known.collect::<Vec<_>>().join(", ")),
                })
            }
        };
        self.report(error);
        self.skip_key();
        Ok(None)
    }

    fn skip_key(&mut self) -> Option<Span> {
        let key = self.peek().filter(|token| match token.value {
            Token::Quoted(_) => true,
            Token::Word(word) => !is_flag(word),
            _ => false,
        })?;
        if self.starts_command() {
            return None;
        }
        self.at += 1;
        Some(key.span)
    }

    /// `"text"` or `0x…`.
    fn key(&mut self) -> Parsed<Spanned<Key>> {
        match self.peek().filter(|_| !self.starts_command()) {
            Some(Spanned {
                value: Token::Quoted(text),
                span,
            }) => {
                self.at += 1;
                Ok(Some(Spanned::new(Key::new(text.as_bytes().to_vec()), span)))
            }
            _ => {
                let word = self.word("a key: \"text\" or 0x…")?;
                Ok(self.hex_key(word))
            }
        }
    }

    fn hex_key(&mut self, word: Spanned<&str>) -> Option<Spanned<Key>> {
        let prefixed = word.value.strip_prefix("0x");
        let Some(digits) = prefixed.or_else(|| word.value.strip_prefix("0X")) else {
            let error = Diagnostic::new(
                word.span,
                "a key is a string in `\"` or hex digits after `0x`",
            );
            self.report(error.label("expected \"text\" or 0x…"));
            return None;
        };
        let problem = if digits.is_empty() {
            "this key is empty"
        } else if digits.contains('*') {
            "this key was masked when it was printed: only its owner has it"
        } else if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            "this key holds something other than hex digits"
        } else if digits.len() % 2 == 1 {
            "this key has an odd number of hex digits: one may be missing"
        } else {
            let octets = digits.as_bytes().chunks_exact(2).map(|pair| match pair {
                [high, low] => nibble(*high) << 4 | nibble(*low),
                _ => 0,
            });
            return Some(Spanned::new(Key::new(octets.collect()), word.span));
        };
        self.report(Diagnostic::new(word.span, problem).label("expected pairs of hex digits"));
        None
    }
}

fn nibble(digit: u8) -> u8 {
    char::from(digit).to_digit(16).unwrap_or_default() as u8
}
