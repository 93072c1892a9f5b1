//! Hides keys in text that is to be shown.

use crate::algorithm;
use crate::lexer::{self, Comments, Token};
use crate::span::{Span, Spanned};

/// More hex digits than an SPI has: a key.
const SPI_DIGITS: usize = 8;

/// Hex digits without `0x`, where no setkey word is so long: a key whose
/// writer forgot the prefix.
const BARE_DIGITS: usize = 16;

/// Octets of a word that a message quotes.
const LONGEST_WORD: usize = 64;

/// `text` with stars for everything that is a key or may have been meant as
/// one, commented out or not; offsets stay as they are.
pub(crate) fn keys(text: &str) -> String {
    let (tokens, _) = lexer::tokens(text, Comments::Read);
    let mut masked = String::with_capacity(text.len());
    for (index, token) in tokens.iter().enumerate() {
        let Some(secret) = secret_part(&tokens[..index], token) else {
            continue;
        };
        masked.push_str(&text[masked.len()..secret.start]);
        for sign in text[secret.range()].chars() {
            let stars = if sign == '"' { "\"" } else { "****" };
            masked.push_str(&stars[..sign.len_utf8()]);
        }
    }
    masked.push_str(&text[masked.len()..]);
    masked
}

/// A word as a message may quote it, given what stands before it.
pub(crate) fn word(before: &[Spanned<Token<'_>>], word: &str) -> String {
    let token = Spanned::new(Token::Word(word), Span::new(0, word.len()));
    let shown = secret_part(before, &token).map_or(word.len(), |secret| secret.start);
    let shown = shown.min(word.floor_char_boundary(LONGEST_WORD));
    let rest = if shown < word.len() { "…" } else { "" };
    format!("{}{rest}", &word[..shown])
}

/// Whether a word is a flag such as `-E`, and not a number such as `-5`.
pub(crate) fn is_flag(word: &str) -> bool {
    let mut signs = word.chars();
    signs.next() == Some('-') && signs.next().is_some_and(|sign| sign.is_ascii_alphabetic())
}

/// The part of `token` that must not be shown, given what stands before it.
fn secret_part(before: &[Spanned<Token<'_>>], token: &Spanned<Token<'_>>) -> Option<Span> {
    let Span { start, end } = token.span;
    let word = match token.value {
        Token::Quoted(_) => return Some(token.span),
        Token::Word(word) if !is_flag(word) => word,
        _ => return None,
    };
    let hex = word.strip_prefix("0x").or_else(|| word.strip_prefix("0X"));
    let is_key = match (operand_of_algorithm(before), hex) {
        (Some(0), Some(_)) => true,
        (Some(0), None) => !algorithm::resembles_name(word),
        (Some(_), _) => true,
        (None, Some(digits)) => digits.len() > SPI_DIGITS,
        (None, None) => {
            word.len() >= BARE_DIGITS && word.bytes().all(|digit| digit.is_ascii_hexdigit())
        }
    };
    let prefix = if hex.is_some() { 2 } else { 0 };
    is_key.then_some(Span::new(start + prefix, end))
}

/// Which operand of `-E` or `-A` comes next, counted from 0: the name.
fn operand_of_algorithm(before: &[Spanned<Token<'_>>]) -> Option<usize> {
    for (operand, token) in before.iter().rev().enumerate() {
        match token.value {
            Token::Word("-E" | "-A") => return Some(operand),
            Token::Word(word) if is_flag(word) => return None,
            Token::End => return None,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::keys;

    #[test]
    fn what_stands_behind_an_algorithm_is_hidden() {
        assert_eq!(
            keys("-E aes-cbc 0x12 -A hmac-sha1 secret words -m tunnel"),
            "-E aes-cbc 0x** -A hmac-sha1 ****** ***** -m tunnel"
        );
        assert_eq!(keys("-E \"kay\" -A pass"), "-E \"***\" -A ****");
    }

    #[test]
    fn names_numbers_and_addresses_are_shown() {
        for text in [
            "add 10.0.0.1 2001:db8::1 esp 0x12345678 -E aes-gmc-16",
            "spdadd 10.0.0.0/8[80] ::/0 any -P out prio -5 discard ; # from here on\nflush;",
            "-E null -sel 10.0.0.0/8 10.0.0.0/8 icmp 8,0",
        ] {
            assert_eq!(keys(text), text);
        }
    }

    #[test]
    fn keys_out_of_place_are_hidden() {
        assert_eq!(keys("0x123456789 \"é\""), "0x********* \"**\"");
        assert_eq!(keys("0123456789abcdef"), "****************");
        assert_eq!(keys("# -A x 0x1234\nadd"), "# -A * 0x****\nadd");
        assert_eq!(keys("\"open"), "\"****");
    }
}
