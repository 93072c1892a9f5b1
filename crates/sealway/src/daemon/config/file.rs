//! What may stand in the file, as serde reads it, and what to say where serde is not content.

use sealway_setkey::{Diagnostic, Span};
use serde::Deserialize;
use toml::Spanned;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    #[serde(default)]
    pub(super) inside: Vec<Spanned<Inside>>,
    #[serde(default)]
    pub(super) outside: Vec<Spanned<Outside>>,
    #[serde(default)]
    pub(super) policy: Policy,
    #[serde(default)]
    pub(super) daemon: Daemon,
    #[serde(default)]
    pub(super) run: Run,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Inside {
    pub(super) device: Spanned<String>,
    #[serde(default)]
    pub(super) addresses: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) routes: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) interfaces: Vec<Spanned<String>>,
    pub(super) mtu: Option<Spanned<u32>>,
    pub(super) namespace: Option<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Outside {
    pub(super) addresses: Spanned<Vec<Spanned<String>>>,
    pub(super) port: Option<u16>,
    pub(super) clear: Option<Spanned<String>>,
    #[serde(rename = "mtu-expires")]
    pub(super) mtu_expires: Option<Spanned<u32>>,
    pub(super) keepalive: Option<u32>,
    #[serde(rename = "keepalive-packet")]
    pub(super) keepalive_packet: Option<Spanned<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Policy {
    #[serde(default)]
    pub(super) setkey: Vec<Spanned<String>>,
    pub(super) default: Option<Spanned<String>>,
    #[serde(rename = "clamp-mss", default)]
    pub(super) clamp_mss: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Daemon {
    pub(super) control: Option<String>,
    pub(super) guard: Option<bool>,
    pub(super) leash: Option<bool>,
    pub(super) offload: Option<Spanned<toml::Value>>,
    pub(super) workers: Option<Spanned<toml::Value>>,
    pub(super) state: Option<String>,
    pub(super) metrics: Option<Spanned<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Run {
    pub(super) resolv: Option<Vec<Spanned<String>>>,
    pub(super) search: Option<Vec<Spanned<String>>>,
}

impl File {
    pub(super) fn parse(text: &str) -> Result<File, Box<Diagnostic>> {
        toml::from_str(text).map_err(|error| Box::new(diagnostic(&error, text)))
    }
}

/// Serde's message, with its list of names made a suggestion and with words for what it calls by
/// the names of Rust's types.
fn diagnostic(error: &toml::de::Error, text: &str) -> Diagnostic {
    let span = error.span().unwrap_or(0..0);
    let message = error.message();
    let mut quoted = message.split('`').skip(1).step_by(2);
    let diagnostic = match (message.starts_with("unknown field"), quoted.next()) {
        (true, Some(unknown)) => {
            let known: Vec<&str> = quoted.collect();
            let message = format!("there is no key `{unknown}` here");
            unknown_name(unknown, &known, message, span.into())
        }
        _ => {
            let message = message.trim_end().replace('\n', ": ");
            Diagnostic::new(first_line(span, text), plain(&message))
        }
    };
    diagnostic.without_keys()
}

/// Something else was probably meant.
pub(super) fn unknown_name(
    unknown: &str,
    known: &[&str],
    message: String,
    span: Span,
) -> Diagnostic {
    let label = match closest(unknown, known) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("expected {}", listed(known)),
    };
    Diagnostic::new(span, message).label(label).without_keys()
}

/// Without the line's end, and of a section only its first line.
pub(super) fn first_line(span: std::ops::Range<usize>, text: &str) -> Span {
    let marked = text.get(span.clone()).unwrap_or("");
    let line = marked.lines().next().unwrap_or("").trim_end();
    Span::new(span.start, span.start + line.len())
}

/// Serde's words in a user's.
fn plain(message: &str) -> String {
    if message == "invalid type: map, expected a sequence" {
        return "this section is one of a list: write its name in double brackets, as in [[inside]]"
            .into();
    }
    let words = [
        ("missing field", "this section lacks the key"),
        ("invalid type: ", "here stands "),
        ("invalid value: ", "here stands "),
        (", expected a boolean", ", expected true or false"),
        (", expected a sequence", ", expected a list in [ ]"),
        (", expected u16", ", expected a number from 0 to 65535"),
        (", expected u32", ", expected a number"),
        (", expected a boolean", ", expected true or false"),
        (", expected struct File", ", expected a file of keys"),
        (
            ", expected struct Inside",
            ", expected a section [[inside]]",
        ),
        (
            ", expected struct Outside",
            ", expected a section [[outside]]",
        ),
        (", expected struct Policy", ", expected a section [policy]"),
        (", expected struct Daemon", ", expected a section [daemon]"),
        (", expected struct Run", ", expected a section [run]"),
    ];
    let start = message.to_owned();
    words
        .into_iter()
        .fold(start, |text, (from, to)| text.replace(from, to))
}

fn listed(known: &[&str]) -> String {
    let known: Vec<String> = known.iter().map(|key| format!("`{key}`")).collect();
    match known.as_slice() {
        [] => "no key at all".into(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

/// The key that was probably meant: cut short, or at most one wrong letter in three.
fn closest<'a>(unknown: &str, known: &[&'a str]) -> Option<&'a str> {
    known
        .iter()
        .map(|key| (distance(unknown, key), *key))
        .filter(|(distance, key)| {
            *distance <= key.len().div_ceil(3) || (unknown.len() > 2 && key.starts_with(unknown))
        })
        .min()
        .map(|(_, key)| key)
}

/// How many letters must be put in, taken out or replaced (Levenshtein).
fn distance(word: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (above, letter) in word.chars().enumerate() {
        let mut next = vec![above + 1];
        for ((left, pair), wanted) in (0..).zip(row.windows(2)).zip(&other) {
            let &[diagonal, up] = pair else { continue };
            let here: &usize = next.get::<usize>(left).unwrap_or(&0);
            next.push(
                (diagonal + usize::from(letter != *wanted))
                    .min(up + 1)
                    .min(here + 1),
            );
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}
