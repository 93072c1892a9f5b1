//! Words of the text, as `ip -batch` splits it: a command a line, `\` at its end goes on, `#` starts
//! a comment, a word may stand in quotes.

use sealway_setkey::{Span, Spanned};

/// The words of one command.
pub(super) type Line<'a> = Vec<Spanned<&'a str>>;

/// Every command of the text that has a word.
pub(super) fn lines(text: &str) -> Vec<Line<'_>> {
    let mut lines = vec![Vec::new()];
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        if let Some(ended) = ["\\\n", "\\\r\n"]
            .iter()
            .find(|end| rest.starts_with(**end))
        {
            at += ended.len();
        } else if rest.starts_with('\n') {
            lines.push(Vec::new());
            at += 1;
        } else if rest.starts_with('#') {
            at += rest.find('\n').unwrap_or(rest.len());
        } else if let Some(blank) = rest.chars().next().filter(|sign| sign.is_whitespace()) {
            at += blank.len_utf8();
        } else {
            let (word, length) = word(rest);
            if let Some(line) = lines.last_mut() {
                line.push(Spanned::new(word, Span::new(at, at + length)));
            }
            at += length;
        }
    }
    lines.retain(|line| !line.is_empty());
    lines
}

/// The first word, without its quotes, and its length with them.
fn word(text: &str) -> (&str, usize) {
    let line = &text[..text.find('\n').unwrap_or(text.len())];
    for quote in ['"', '\''] {
        let quoted = line.strip_prefix(quote);
        if let Some((word, _)) = quoted.and_then(|rest| rest.split_once(quote)) {
            return (word, word.len() + 2);
        }
    }
    let end = line.find(char::is_whitespace).unwrap_or(line.len());
    (&line[..end], end)
}

/// Words behind which stand an algorithm's name and its key.
const ALGORITHMS: [&str; 4] = ["enc", "auth", "auth-trunc", "aead"];

/// Hex digits that an SPI or a mark may have; more are a key.
const FEW: usize = 10;

/// The text with stars where keys stand, or what looks like one; offsets stay as they are.
pub(crate) fn masked(text: &str) -> String {
    let mut secrets: Vec<Span> = Vec::new();
    for line in lines(text) {
        for (place, word) in line.iter().enumerate() {
            if ALGORITHMS.contains(&word.value) {
                secrets.extend(line.get(place + 2).map(|key| key.span));
            }
        }
    }
    let blank = |octet: &u8| octet.is_ascii_whitespace();
    let mut at = 0;
    for word in text.as_bytes().split(blank) {
        if word.starts_with(b"0x") && word.len() > 2 + FEW {
            secrets.push(Span::new(at + 2, at + word.len()));
        }
        at += word.len() + 1;
    }
    let mut octets = text.as_bytes().to_vec();
    for secret in secrets {
        if let Some(secret) = octets.get_mut(secret.range()) {
            secret.fill(b'*');
        }
    }
    String::from_utf8_lossy(&octets).into_owned()
}
