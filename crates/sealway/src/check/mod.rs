//! `sealway check FILE`: is a file sound, and does it say what its writer can have meant? It asks no
//! daemon and changes nothing.

mod files;
mod findings;
mod looks;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use sealway_setkey::Colour;

use crate::show::{self, Format};
use findings::{Report, Severity};

/// What `sealway check` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// A configuration (TOML), or a script in setkey's language
    file: PathBuf,
    /// End with 1 if there are warnings
    #[arg(long)]
    strict: bool,
    /// One JSON value instead of text
    #[arg(long)]
    json: bool,
}

/// The file cannot be used.
const ERRORS: u8 = 2;
/// It can, and something is worth a look.
const WARNINGS: u8 = 1;

/// Checks the file: exit code 0 if it can be used, 2 if it cannot, and with `--strict` 1 if there is
/// a warning.
///
/// # Errors
/// If the outcome cannot be printed.
pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let findings = files::check(&arguments.file);
    let report = findings.report();
    let format = if arguments.json {
        Format::Json
    } else {
        Format::Text
    };
    if format == Format::Text {
        eprint!("{}", findings.render(colour()));
    }
    show::print(&report, format, summary)?;
    Ok(match report.worst() {
        Some(Severity::Error) => ExitCode::from(ERRORS),
        Some(Severity::Warning) if arguments.strict => ExitCode::from(WARNINGS),
        Some(Severity::Warning) | None => ExitCode::SUCCESS,
    })
}

fn colour() -> Colour {
    if std::io::stderr().is_terminal() {
        Colour::Always
    } else {
        Colour::Never
    }
}

fn summary(report: &Report) -> String {
    let elsewhere = "what the daemon's configuration says, else discard";
    let default = report.default.as_deref().unwrap_or(elsewhere);
    let counted = |count, one: &str, many: &str| match count {
        1 => format!("1 {one}"),
        count => format!("{count} {many}"),
    };
    let found = |severity| {
        let found = report.findings.iter();
        found.filter(|finding| finding.severity == severity).count()
    };
    format!(
        "{}: {}, {}; without a policy: {default}; {}, {}",
        report.file,
        counted(report.policies, "policy", "policies"),
        counted(report.sas, "SA", "SAs"),
        counted(found(Severity::Error), "error", "errors"),
        counted(found(Severity::Warning), "warning", "warnings")
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
