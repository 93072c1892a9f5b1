//! Hides keys in text that is to be shown.

use crate::algorithm;
use crate::lexer::{self, Comments, Token};
use crate::span::{Span, Spanned};

/// More hex digits than an SPI has: a key.
const SPI_DIGITS: usize = 8;

/// Hex digits without `0x`, where no setkey word is so long: a key whose
/// writer forgot the prefix.
const BARE_DIGITS: usize = 16;

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

/// The same for one word that a message quotes.
pub(crate) fn word(word: &str) -> String {
    let token = Spanned::new(Token::Word(word), Span::new(0, word.len()));
    match secret_part(&[], &token) {
        Some(secret) => format!("{}…", &word[..secret.start]),
        None => word.to_owned(),
    }
}

/// The part of `token` that must not be shown, given what stands before it.
fn secret_part(before: &[Spanned<Token<'_>>], token: &Spanned<Token<'_>>) -> Option<Span> {
    let Span { start, end } = token.span;
    let word = match token.value {
        Token::Quoted(_) => return Some(token.span),
        Token::Word(word) => word,
        _ => return None,
    };
    let word_at = |back: usize| match before.len().checked_sub(back).map(|at| before[at].value) {
        Some(Token::Word(word)) => word,
        _ => "",
    };
    let takes_algorithm = |flag: &str| matches!(flag, "-E" | "-A");

    if takes_algorithm(word_at(2)) && !word.starts_with('-') {
        let prefix = if hex_digits(word).is_some() { 2 } else { 0 };
        return Some(Span::new(start + prefix, end));
    }
    if let Some(digits) = hex_digits(word) {
        let is_key = digits.len() > SPI_DIGITS || takes_algorithm(word_at(1));
        return is_key.then_some(Span::new(start + 2, end));
    }
    let is_bare_key =
        word.len() >= BARE_DIGITS && word.bytes().all(|digit| digit.is_ascii_hexdigit());
    let is_key = is_bare_key || takes_algorithm(word_at(1)) && !algorithm::resembles_name(word);
    is_key.then_some(token.span)
}

fn hex_digits(word: &str) -> Option<&str> {
    word.strip_prefix("0x").or_else(|| word.strip_prefix("0X"))
}
