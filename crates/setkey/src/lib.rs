//! setkey(8)'s language: lexer, tree with spans, printer; knows no engine.
//!
//! [`parse`] turns the text of a script into a [`Script`] in which every value
//! that a later check may object to still knows where it was written, or into
//! *all* the [`Diagnostic`]s of the script, each with its place and with what
//! would have been right. [`Command`] prints back as text that parses to an
//! equal tree. `docs/setkey.md` is the manual of the language.
//!
//! What this crate does not do: it resolves no names, knows no key lengths and
//! applies nothing.
//!
//! ```
//! use sealway_setkey::{parse, Colour, Command};
//!
//! let text = "add 192.0.2.1 192.0.2.2 esp 0x10001 -E aes-gcm-16 0x00112233445566778899aabbccddeeff01020304;";
//! let script = parse(text).unwrap();
//! assert!(matches!(script.commands[0].value, Command::Add(_)));
//!
//! let text = "add 192.0.2.1 192.0.2.2 esp 0x10 -E aes-gcm-16 0x00112233445566778899aabbccddeeff01020304;";
//! let errors = parse(text).unwrap_err();
//! let shown = errors[0].render("site.setkey", text, Colour::Never);
//! assert!(shown.contains("site.setkey:1:29"));
//! assert!(!shown.contains("00112233"));
//! ```
#![forbid(unsafe_code)]

pub mod algorithm;
pub mod diagnostic;
mod lexer;
mod mask;
mod parser;
pub mod printer;
pub mod span;
mod suggest;
pub mod tree;

pub use algorithm::{Authentication, Encryption};
pub use diagnostic::{Colour, Diagnostic, Kind};
pub use parser::parse;
pub use printer::Keys;
pub use span::{Span, Spanned};
pub use tree::{
    Action, Add, Addresses, Codes, Command, Df, Direction, Endpoint, Endpoints, IcmpVersion, Key,
    KeyedAlgorithm, Level, Lifetime, Mode, Original, Padding, Policy, Ports, Protocol, SaId,
    SaPair, Script, Selector, Side, SpdDelete, SpdEntry, Template, UdpEncapsulation, Upper,
};
