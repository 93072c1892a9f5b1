//! `sealway show`: how things stand in the running daemon, as tables or as JSON.

pub mod report;
mod tables;
mod wireshark;

use std::io::{BufRead, ErrorKind, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use serde::Serialize;

use crate::daemon::client;
use crate::daemon::config::CONTROL;
use crate::daemon::protocol::{KeyDisplay, Request, What};

/// What `sealway show` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    subject: Subject,
    /// One JSON value instead of a table
    #[arg(long, global = true)]
    json: bool,
    /// The daemon's control socket
    #[arg(long, value_name = "SOCKET", default_value = CONTROL, global = true)]
    control: PathBuf,
}

#[derive(Debug, clap::Subcommand)]
enum Subject {
    /// Policies, in the order in which they are asked
    Policy,
    /// SAs, oldest first
    Sa {
        /// Their keys, as a table that Wireshark and tshark read (esp_sa)
        #[arg(long)]
        wireshark: bool,
        /// Show keys without asking
        #[arg(long, requires = "wireshark")]
        yes: bool,
    },
    /// Devices and sockets
    Device,
    /// What became of packets
    Stats {
        /// Counters that are zero too
        #[arg(long)]
        all: bool,
    },
}

/// Runs the command.
///
/// # Errors
/// What went wrong, as a sentence.
pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let ask = |what| Request::Show {
        what,
        keys: KeyDisplay::Masked,
    };
    let socket = &arguments.control;
    let format = if arguments.json {
        Format::Json
    } else {
        Format::Text
    };
    match arguments.subject {
        Subject::Policy => {
            let policies: Vec<report::Policy> = client::ask(socket, &ask(What::Policy))?;
            print(&policies, format, |policies| tables::policies(policies))?;
        }
        Subject::Sa {
            wireshark: true,
            yes,
        } => {
            if !yes && !is_agreed()? {
                return Ok(ExitCode::FAILURE);
            }
            let keys = KeyDisplay::Shown;
            let what = What::Sa;
            let sas: Vec<report::Sa> = client::ask(socket, &Request::Show { what, keys })?;
            emit(&wireshark::table(&sas)?)?;
        }
        Subject::Sa { .. } => {
            let sas: Vec<report::Sa> = client::ask(socket, &ask(What::Sa))?;
            print(&sas, format, |sas| tables::sas(sas))?;
        }
        Subject::Device => {
            let devices: Vec<report::Device> = client::ask(socket, &ask(What::Device))?;
            print(&devices, format, |devices| tables::devices(devices))?;
        }
        Subject::Stats { all } => {
            let stats: report::Stats = client::ask(socket, &ask(What::Stats))?;
            let extent = if all {
                tables::Extent::All
            } else {
                tables::Extent::Nonzero
            };
            print(&stats, format, |stats| tables::stats(stats, extent))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Asks on the terminal whether keys may be shown.
///
/// # Errors
/// If there is no terminal to ask on.
pub(crate) fn is_agreed() -> anyhow::Result<bool> {
    let mut input = std::io::stdin().lock();
    if !input.is_terminal() {
        bail!("this prints the keys of all SAs: say --yes where nobody can be asked");
    }
    eprint!("This prints the keys of all SAs. Whoever has them reads the traffic. Go on? [y/N] ");
    std::io::stderr().flush()?;
    let mut answer = String::new();
    input.read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// For whom output is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// People.
    Text,
    /// Programs.
    Json,
}

/// Counters that are not zero, as text that ends with its line.
pub(crate) fn stats(stats: &report::Stats, format: Format) -> anyhow::Result<String> {
    Ok(match format {
        Format::Text => {
            tables::stats(stats, tables::Extent::Nonzero)
                .trim_end()
                .to_owned()
                + "\n"
        }
        Format::Json => serde_json::to_string(stats)? + "\n",
    })
}

/// Prints a report to standard output.
pub(crate) fn print<T: Serialize>(
    report: &T,
    format: Format,
    table: impl FnOnce(&T) -> String,
) -> anyhow::Result<()> {
    let text = match format {
        Format::Text => table(report).trim_end().to_owned(),
        Format::Json if std::io::stdout().is_terminal() => serde_json::to_string_pretty(report)?,
        Format::Json => serde_json::to_string(report)?,
    };
    emit(&(text + "\n"))
}

/// Prints to standard output. Whoever reads it may stop reading: that is no error.
pub(crate) fn emit(text: &str) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
    {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        Ok(()) | Err(_) => Ok(()),
    }
}
