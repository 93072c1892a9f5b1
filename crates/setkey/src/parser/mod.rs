//! From text to tree.
//!
//! A recursive descent over the tokens, written by hand: setkey's grammar needs
//! one token of look-ahead, and its users need to hear what is wrong with a
//! value, in which command, with what would be right, for every mistake of the
//! file at once. A combinator library would have made the easy half shorter and
//! the messages worse.
//!
//! Two kinds of mistake: a bad *value* (an SPI of 7) is reported, stands in for
//! `None`, and reading goes on; where the *text* cannot be followed, the command
//! is [`Lost`] and reading goes on behind its `;`.

mod algorithm;
mod policy;
mod sa;
mod selector;
mod values;

use crate::diagnostic::{Diagnostic, Kind};
use crate::lexer::{self, Comments, Token};
use crate::mask::{self, is_flag};
use crate::span::{Span, Spanned};
use crate::suggest;
use crate::tree::{Command, Script};

/// Reads a script.
///
/// # Errors
/// Every mistake of the script, in the order of the text: a command with a
/// mistake is left at its `;` and reading goes on behind it.
pub fn parse(text: &str) -> Result<Script, Vec<Diagnostic>> {
    let (tokens, errors) = lexer::tokens(text, Comments::Skipped);
    let mut parser = Parser {
        text,
        tokens,
        at: 0,
        command_at: 0,
        errors,
        refused_protocol: false,
    };
    let script = parser.script();
    if parser.errors.is_empty() {
        return Ok(script);
    }
    parser.errors.sort_by_key(|error| error.span.start);
    Err(parser.errors)
}

/// The text cannot be followed any further; why has been reported.
struct Lost;

/// A value; `None` if it was wrong and has been reported.
type Parsed<T> = Result<Option<T>, Lost>;

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<Spanned<Token<'a>>>,
    at: usize,
    /// The first token of the command that is being read.
    command_at: usize,
    errors: Vec<Diagnostic>,
    /// The command is about a protocol that was refused: further refusals
    /// would say nothing new.
    refused_protocol: bool,
}

impl<'a> Parser<'a> {
    fn script(&mut self) -> Script {
        let mut script = Script::default();
        while let Some(token) = self.peek() {
            let first = token.span;
            if token.value == Token::End {
                self.at += 1;
                continue;
            }
            self.command_at = self.at;
            self.refused_protocol = false;
            match self.command() {
                Ok(command) => {
                    let span = first.to(self.last_span());
                    let is_exit = command == Some(Command::Exit);
                    script
                        .commands
                        .extend(command.map(|command| Spanned::new(command, span)));
                    if is_exit {
                        self.errors.retain(|error| error.span.start < span.end);
                        break;
                    }
                }
                Err(Lost) => self.recover(),
            }
        }
        script
    }

    fn command(&mut self) -> Parsed<Command> {
        let name = self.word("a command")?;
        let command = match name.value {
            "add" => self.add()?.map(|add| Command::Add(Box::new(add))),
            "get" => self.sa_id()?.map(Command::Get),
            "delete" => self.sa_id()?.map(Command::Delete),
            "deleteall" => self.sa_pair()?.map(Command::DeleteAll),
            "flush" => self.optional_protocol()?.map(Command::Flush),
            "dump" => self.optional_protocol()?.map(Command::Dump),
            "spdadd" => self
                .spd_entry()?
                .map(|entry| Command::SpdAdd(Box::new(entry))),
            "spdupdate" => self
                .spd_entry()?
                .map(|entry| Command::SpdUpdate(Box::new(entry))),
            "spddelete" => self
                .spd_delete()?
                .map(|entry| Command::SpdDelete(Box::new(entry))),
            "spdflush" => Some(Command::SpdFlush),
            "spddump" => Some(Command::SpdDump),
            "exit" | "quit" | "bye" => Some(Command::Exit),
            unknown => {
                let error = Diagnostic::new(
                    name.span,
                    format!("{} is no command of setkey", shown(unknown)),
                );
                let error = match suggest::closest(unknown, COMMANDS) {
                    Some(meant) => error.help(format!("did you mean `{meant}`?")),
                    None => error.help(format!("commands are {}", COMMANDS.join(", "))),
                };
                return Err(self.lose(error));
            }
        };
        self.end_of_command()?;
        Ok(command)
    }

    fn end_of_command(&mut self) -> Result<(), Lost> {
        match self.peek() {
            Some(token) if token.value == Token::End => {
                self.at += 1;
                Ok(())
            }
            _ => Err(self.unexpected("`;`")),
        }
    }

    /// Skips the rest of a command: behind its `;`, or before the next one
    /// where that was forgotten.
    fn recover(&mut self) {
        while let Some(token) = self.peek() {
            if self.starts_command() {
                return;
            }
            self.at += 1;
            if token.value == Token::End {
                return;
            }
        }
    }

    /// Whether the next token is a command's name and the first of its line,
    /// in the middle of another command.
    fn starts_command(&self) -> bool {
        let Some(token) = self.peek().filter(|_| self.at > self.command_at) else {
            return false;
        };
        let gap = self.last_span().end..token.span.start;
        matches!(token.value, Token::Word(word) if COMMANDS.contains(&word))
            && self.text.get(gap).is_some_and(|gap| gap.contains('\n'))
    }

    // ---- Tokens ----------------------------------------------------------

    fn peek(&self) -> Option<Spanned<Token<'a>>> {
        self.tokens.get(self.at).copied()
    }

    /// The next token if it is a word.
    fn peek_word(&self) -> Option<Spanned<&'a str>> {
        match self.peek()? {
            Spanned {
                value: Token::Word(word),
                span,
            } if !self.starts_command() => Some(Spanned::new(word, span)),
            _ => None,
        }
    }

    fn word(&mut self, expected: &str) -> Result<Spanned<&'a str>, Lost> {
        let is_command = self.at == self.command_at;
        match self.peek_word() {
            Some(word) if is_command || !is_flag(word.value) => {
                self.at += 1;
                Ok(word)
            }
            _ => Err(self.unexpected(expected)),
        }
    }

    /// Takes the next token if it is this one.
    fn take(&mut self, wanted: Token<'_>) -> Option<Span> {
        let token = self.peek().filter(|token| token.value == wanted)?;
        self.at += 1;
        Some(token.span)
    }

    /// Takes the next token if it is this word.
    fn take_word(&mut self, wanted: &str) -> Option<Span> {
        let word = self.peek_word().filter(|word| word.value == wanted)?;
        self.at += 1;
        Some(word.span)
    }

    fn expect(&mut self, wanted: Token<'_>, expected: &str) -> Result<Span, Lost> {
        self.take(wanted).ok_or_else(|| self.unexpected(expected))
    }

    /// Where the token before this place stands.
    fn last_span(&self) -> Span {
        let last = self.at.checked_sub(1).and_then(|at| self.tokens.get(at));
        last.map(|token| token.span).unwrap_or_default()
    }

    // ---- Mistakes --------------------------------------------------------

    /// A value is wrong; reading can go on.
    fn report(&mut self, error: Diagnostic) {
        if !(self.refused_protocol && error.kind == Kind::Refused) {
            self.errors.push(error);
        }
    }

    /// The text cannot be followed.
    fn lose(&mut self, error: Diagnostic) -> Lost {
        self.errors.push(error);
        Lost
    }

    /// The next token is not what must stand here.
    fn unexpected(&mut self, expected: &str) -> Lost {
        let behind = Span::new(self.last_span().end, self.last_span().end);
        if self.starts_command() {
            let error = Diagnostic::new(behind, "a command ends with `;`")
                .label(format!("expected {expected}, then `;`"));
            let error = match expected {
                "`;`" => error.label("expected `;`"),
                _ => error,
            };
            return self.lose(error);
        }
        let error = match self.peek() {
            None => Diagnostic::new(
                behind,
                format!("expected {expected}, but the text ends here"),
            ),
            Some(token) => Diagnostic::new(
                token.span,
                format!("expected {expected}, found {}", self.found(token.value)),
            ),
        };
        self.lose(error.label(format!("expected {expected}")))
    }

    /// The next token as a message names it.
    fn found(&self, token: Token<'_>) -> String {
        match token {
            Token::Word(word) => format!("`{}`", mask::word(&self.tokens[..self.at], word)),
            Token::Quoted(_) => "a string".to_owned(),
            Token::Slash => "`/`".to_owned(),
            Token::Open => "`[`".to_owned(),
            Token::Close => "`]`".to_owned(),
            Token::End => "`;`".to_owned(),
        }
    }
}

/// A word as a message quotes it, keys left out.
fn shown(word: &str) -> String {
    format!("`{}`", mask::word(&[], word))
}

const COMMANDS: [&str; 14] = [
    "add",
    "get",
    "delete",
    "deleteall",
    "flush",
    "dump",
    "spdadd",
    "spdupdate",
    "spddelete",
    "spdflush",
    "spddump",
    "exit",
    "quit",
    "bye",
];
