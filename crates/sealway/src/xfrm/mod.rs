//! `sealway xfrm`: the text of `ip xfrm state|policy`, against the running daemon.
//! `docs/xfrm.md` is its manual.

mod dump;
mod parser;
pub(crate) mod tree;
mod words;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use zeroize::Zeroizing;

use crate::daemon::client::{self, Error};
use crate::daemon::config::{CONTROL, Diagnosed};
use crate::daemon::protocol::{Effect, KeyDisplay, Request, Script};
use crate::show;
pub(crate) use dump::{policy as dump_policy, sa as dump_sa};
pub(crate) use parser::parse;
pub(crate) use words::masked;

/// What `sealway xfrm` takes: what `ip xfrm` takes behind `xfrm`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Commands from a file, `-` for standard input, a command a line; `-batch FILE` is the same
    #[arg(short, long, value_name = "FILE")]
    batch: Option<PathBuf>,
    /// Show keys
    #[arg(long)]
    keys: bool,
    /// Show keys without asking
    #[arg(long, requires = "keys")]
    yes: bool,
    /// The daemon's control socket
    #[arg(long, value_name = "SOCKET", default_value = CONTROL)]
    control: PathBuf,
    /// `state` or `policy`, and what is to be done
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "COMMAND"
    )]
    words: Vec<String>,
}

/// Runs the command or the file: exit code 0 if all was done and 1 if nothing was.
///
/// # Errors
/// What went wrong, as a sentence or as text that underlines the mistakes.
pub fn run(mut arguments: Arguments) -> anyhow::Result<ExitCode> {
    let (name, text) = text(&mut arguments)?;
    if arguments.keys && !arguments.yes && !show::is_agreed()? {
        return Ok(ExitCode::FAILURE);
    }
    let request = Request::Xfrm(Script {
        text,
        name,
        keys: if arguments.keys {
            KeyDisplay::Shown
        } else {
            KeyDisplay::Masked
        },
        effect: Effect::Apply,
    });
    match client::ask_warned::<Zeroizing<String>>(&arguments.control, &request) {
        Ok((output, warning)) => {
            eprint!("{warning}");
            show::emit(&output)?;
            Ok(ExitCode::SUCCESS)
        }
        Err(Error::Refused { message, mistakes }) if !mistakes.is_empty() => {
            Err(Diagnosed(message).into())
        }
        Err(error) => Err(error.into()),
    }
}

/// What is to be done, and what messages call it.
fn text(arguments: &mut Arguments) -> anyhow::Result<(String, Zeroizing<String>)> {
    let mut words = std::mem::take(&mut arguments.words);
    if words.first().is_some_and(|word| word == "-batch") {
        if words.len() != 2 {
            bail!("-batch takes one FILE, and nothing beside it");
        }
        arguments.batch = words.pop().map(PathBuf::from);
        words.clear();
    }
    match &arguments.batch {
        Some(_) if !words.is_empty() => bail!("say a command or -batch FILE, not both"),
        Some(path) if path != Path::new("-") => {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("cannot read {}", path.display()))?;
            Ok((path.display().to_string(), Zeroizing::new(text)))
        }
        Some(_) => {
            let mut text = Zeroizing::new(String::new());
            std::io::stdin()
                .read_to_string(&mut text)
                .context("cannot read standard input")?;
            Ok(("stdin".into(), text))
        }
        None if words.is_empty() => bail!("say what is to be done, such as `sealway xfrm state`"),
        None => Ok(("command".into(), Zeroizing::new(line(&words)))),
    }
}

/// Words as a line that is split into the same words again.
fn line(words: &[String]) -> String {
    let quoted = words.iter().map(|word| {
        let plain =
            !word.is_empty() && !word.contains(|c: char| c.is_whitespace() || "'\"#\\".contains(c));
        match word.contains('"') {
            _ if plain => word.clone(),
            true => format!("'{word}'"),
            false => format!("\"{word}\""),
        }
    });
    quoted.collect::<Vec<_>>().join(" ")
}

/// Reads a text and shows its mistakes: for fuzzing.
pub fn feed(text: &str) {
    if let Err(mistakes) = parse(text) {
        let shown = masked(text);
        assert_eq!(shown.len(), text.len());
        for mistake in mistakes.iter().take(3) {
            let _ = mistake.render("fuzz.xfrm", &shown, sealway_setkey::Colour::Never);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
