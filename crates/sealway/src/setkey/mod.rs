//! `sealway setkey`: setkey(8) against the running daemon; and what its language means to the
//! engine.

mod carrier;
mod dump;
mod script;
mod study;
mod translate;
mod watch;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::ArgGroup;
use zeroize::Zeroizing;

use crate::daemon::client::{self, Error};
use crate::daemon::config::{CONTROL, Diagnosed};
use crate::daemon::protocol::{Effect, KeyDisplay, Request, Script};
use crate::show;
pub use carrier::Carrier;
pub(crate) use dump::Written;
pub use script::{Applied, Mistakes, Source, apply, examine, replace};
pub(crate) use script::{Language, apply_in, examine_in};
pub use study::{Place, Study, study};
pub(crate) use translate::priority_of;

/// What `sealway setkey` takes: setkey's own flags, and where the daemon is.
#[derive(Debug, clap::Args)]
#[command(group(ArgGroup::new("action").required(true).args(["commands", "file", "dump", "flush", "messages"])))]
pub struct Arguments {
    /// Read commands from standard input
    #[arg(short = 'c')]
    commands: bool,
    /// Read commands from a file, `-` for standard input
    #[arg(short = 'f', value_name = "FILE")]
    file: Option<PathBuf>,
    /// Show every SA; with -P every policy
    #[arg(short = 'D')]
    dump: bool,
    /// Remove every SA; with -P every policy
    #[arg(short = 'F')]
    flush: bool,
    /// Policies instead of SAs, with -D or -F
    #[arg(short = 'P', conflicts_with_all = ["commands", "file"])]
    policies: bool,
    /// Dead SAs too, with -D: there are none, a deleted SA is gone at once
    #[arg(short = 'a')]
    all: bool,
    /// Go on and on, one line for each SA, with -D
    #[arg(short = 'l', requires = "dump", conflicts_with_all = ["policies", "keys"])]
    forever: bool,
    /// Check what is read, and change nothing
    #[arg(short = 'n', conflicts_with_all = ["dump", "flush"])]
    no_action: bool,
    /// Show each command as it was understood
    #[arg(short = 'v')]
    verbose: bool,
    /// The kernel's view of policies for forwarded packets: also what is shown without it
    #[arg(short = 'k', conflicts_with = "standards")]
    kernel: bool,
    /// RFC 4301's view of policies for forwarded packets, as without it
    #[arg(short = 'r')]
    standards: bool,
    /// With ports: they are always shown
    #[arg(short = 'p')]
    ports: bool,
    /// Policies of the whole host only, with -DP: there are no others
    #[arg(short = 'g')]
    global: bool,
    /// What happens, as `sealway monitor` tells it
    #[arg(short = 'x')]
    messages: bool,
    /// Show keys
    #[arg(long)]
    keys: bool,
    /// Show keys without asking
    #[arg(long, requires = "keys")]
    yes: bool,
    /// The daemon's control socket
    #[arg(long, value_name = "SOCKET", default_value = CONTROL)]
    control: PathBuf,
}

/// Runs the command. As with every setkey, the exit code is 0 if all was done and 1 if not.
///
/// # Errors
/// What went wrong, as a sentence or as text that underlines the mistakes.
pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    if arguments.messages {
        return crate::ask::monitor(crate::ask::Arguments::of(arguments.control));
    }
    if arguments.forever {
        return watch::run(&arguments.control);
    }
    let (name, text) = script(&arguments)?;
    if arguments.keys && !arguments.yes && !show::is_agreed()? {
        return Ok(ExitCode::FAILURE);
    }
    if arguments.verbose {
        eprint!("{}", understood(&text));
    }
    let request = Request::Apply(Script {
        text,
        name,
        keys: if arguments.keys {
            KeyDisplay::Shown
        } else {
            KeyDisplay::Masked
        },
        effect: if arguments.no_action {
            Effect::Check
        } else {
            Effect::Apply
        },
    });
    let answer: Result<(Zeroizing<String>, String), Error> =
        client::ask_warned(&arguments.control, &request);
    match answer {
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

/// The commands of a text in their canonical form, keys masked; nothing of one with mistakes, which
/// the daemon will tell.
fn understood(text: &str) -> String {
    let script = sealway_setkey::parse(text).unwrap_or_default();
    let lines = script
        .commands
        .iter()
        .map(|command| format!("{}\n", command.value));
    lines.collect()
}

/// What is to be done, as a script, and what messages call it.
fn script(arguments: &Arguments) -> anyhow::Result<(String, Zeroizing<String>)> {
    let own = |text: &str| Ok(("setkey".into(), Zeroizing::new(text.into())));
    match (&arguments.file, arguments.dump, arguments.policies) {
        (Some(path), ..) if path != Path::new("-") => {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("cannot read {}", path.display()))?;
            Ok((path.display().to_string(), Zeroizing::new(text)))
        }
        _ if arguments.commands || arguments.file.is_some() => {
            let mut text = Zeroizing::new(String::new());
            std::io::stdin()
                .read_to_string(&mut text)
                .context("cannot read standard input")?;
            Ok(("stdin".into(), text))
        }
        (_, true, true) => own("spddump;"),
        (_, true, false) => own("dump;"),
        (_, false, true) => own("spdflush;"),
        (_, false, false) => own("flush;"),
    }
}
