//! From text to tokens.
//!
//! setkey's own lexers change their rules behind `-A`, `-E` and `-P`. Here a
//! word is simply what stands between white space and the signs below, and
//! those who expect an address, a range or a priority take it apart: so the
//! lexer cannot disagree with the parser about where it is.

use crate::diagnostic::Diagnostic;
use crate::span::{Span, Spanned};

/// A piece of the script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token<'a> {
    /// Anything that is not one of the others, a flag such as `-E` included.
    Word(&'a str),
    /// What stands between two `"`.
    Quoted(&'a str),
    /// `/`
    Slash,
    /// `[`
    Open,
    /// `]`
    Close,
    /// `;`
    End,
}

/// What `#` means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comments {
    /// The rest of the line is skipped.
    Skipped,
    /// The tokens of the rest of the line are seen too, between two `End`s.
    Read,
}

/// All tokens of `text`, and the mistakes among them.
pub(crate) fn tokens(text: &str, comments: Comments) -> (Vec<Spanned<Token<'_>>>, Vec<Diagnostic>) {
    let mut lexer = Lexer {
        text,
        at: 0,
        tokens: Vec::new(),
        errors: Vec::new(),
    };
    let mut in_comment = false;
    while let Some(first) = lexer.rest().chars().next() {
        match first {
            '#' if comments == Comments::Skipped => lexer.at += line_length(lexer.rest()),
            '#' => {
                in_comment = true;
                lexer.push(Token::End, 1);
            }
            '\n' if in_comment => {
                in_comment = false;
                lexer.push(Token::End, 1);
            }
            '\u{feff}' => lexer.at += first.len_utf8(),
            _ if first.is_whitespace() => lexer.at += first.len_utf8(),
            '"' => lexer.quoted(),
            '/' => lexer.push(Token::Slash, 1),
            '[' => lexer.push(Token::Open, 1),
            ']' => lexer.push(Token::Close, 1),
            ';' => lexer.push(Token::End, 1),
            _ => lexer.word(),
        }
    }
    (lexer.tokens, lexer.errors)
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    tokens: Vec<Spanned<Token<'a>>>,
    errors: Vec<Diagnostic>,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn push(&mut self, token: Token<'a>, length: usize) {
        let span = Span::new(self.at, self.at + length);
        self.tokens.push(Spanned::new(token, span));
        self.at = span.end;
    }

    fn word(&mut self) {
        let rest = self.rest();
        let length = rest.find(ends_word).unwrap_or(rest.len());
        self.push(Token::Word(&rest[..length]), length);
    }

    /// A string ends on its line: a forgotten `"` does not swallow the script,
    /// nor the `;` at the end of the line.
    fn quoted(&mut self) {
        let rest = self.rest();
        let line = rest[..line_length(rest)].trim_end();
        let inside = &line[1..];
        if let Some(length) = inside.find('"') {
            return self.push(Token::Quoted(&inside[..length]), length + 2);
        }
        let inside = inside.strip_suffix(';').unwrap_or(inside);
        self.push(Token::Quoted(inside), inside.len() + 1);
        let span = self.tokens.last().map(|string| string.span);
        self.errors.push(
            Diagnostic::new(
                span.unwrap_or_default(),
                "this string has no end on its line",
            )
            .label("the closing `\"` is missing"),
        );
    }
}

fn ends_word(sign: char) -> bool {
    sign.is_whitespace() || matches!(sign, '"' | '/' | '[' | ']' | ';' | '#')
}

fn line_length(text: &str) -> usize {
    text.find('\n').unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(text: &str) -> Vec<Token<'_>> {
        let (tokens, errors) = tokens(text, Comments::Skipped);
        assert_eq!(errors, []);
        tokens.into_iter().map(|token| token.value).collect()
    }

    #[test]
    fn signs_end_words_without_white_space() {
        use Token::*;
        assert_eq!(
            seen("10.0.0.0/8[80-90]icmp6 135,0;# rest"),
            [
                Word("10.0.0.0"),
                Slash,
                Word("8"),
                Open,
                Word("80-90"),
                Close,
                Word("icmp6"),
                Word("135,0"),
                End
            ]
        );
    }

    #[test]
    fn a_comment_ends_with_its_line() {
        use Token::*;
        assert_eq!(seen("flush # \" ; [\n;\r\n# x"), [Word("flush"), End]);
    }

    #[test]
    fn a_string_may_hold_signs() {
        assert_eq!(seen("\"a;b#c/d\""), [Token::Quoted("a;b#c/d")]);
        assert_eq!(seen("\"\""), [Token::Quoted("")]);
    }

    #[test]
    fn an_open_string_is_an_error_and_ends_with_its_line() {
        let (tokens, errors) = tokens("a \"b c ;\nd", Comments::Skipped);
        assert_eq!(errors.len(), 1);
        assert_eq!(errors[0].span, Span::new(2, 7));
        let tokens: Vec<_> = tokens.into_iter().map(|token| token.value).collect();
        use Token::*;
        assert_eq!(tokens, [Word("a"), Quoted("b c "), End, Word("d")]);
    }

    #[test]
    fn a_comment_that_is_read_stands_between_ends() {
        let (tokens, _) = tokens("a # b\nc", Comments::Read);
        let tokens: Vec<_> = tokens.into_iter().map(|token| token.value).collect();
        use Token::*;
        assert_eq!(tokens, [Word("a"), End, Word("b"), End, Word("c")]);
    }
}
