//! The command line: what can be said, and who does it.

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

use crate::daemon::config::Diagnosed;
use crate::{ask, bench, check, daemon, demo, manual, setkey, show, xfrm};

/// IPsec in user space: memory-safe, unprivileged, fast and explainable.
#[derive(Debug, Parser)]
#[command(name = "sealway", version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// Change policies and SAs in setkey's language.
#[derive(Debug, Parser)]
#[command(name = "setkey", version)]
struct Setkey {
    #[command(flatten)]
    arguments: setkey::Arguments,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Watch two hosts exchange traffic through ESP
    Demo(demo::Arguments),
    /// Run the daemon in the foreground
    Up(daemon::Arguments),
    /// Run one command behind a policy, in a network of its own
    ///
    /// The exit code is the command's, or 128 and the number of the signal that ended it; 127 if
    /// there is no such command, 126 if it cannot be executed, 125 if Sealway could not run it.
    Run(daemon::run::Arguments),
    /// End the daemon, or clear away what a crash left of it
    Down(daemon::down::Arguments),
    /// Check a configuration or a script without a daemon
    Check(check::Arguments),
    /// Have the daemon read its files again
    Reload(ask::Arguments),
    /// Say how the daemon is
    Status(ask::Arguments),
    /// Tell what happens, until interrupted
    Monitor(ask::Arguments),
    /// Change policies and SAs in setkey's language
    Setkey(setkey::Arguments),
    /// Change policies and SAs in the words of `ip xfrm`
    Xfrm(xfrm::Arguments),
    /// Show policies, SAs, devices and counters
    Show(show::Arguments),
    /// Measure this machine
    Bench(bench::Arguments),
    /// The process that guards the host, for the daemon
    #[command(hide = true)]
    Guardian,
    /// Print what a shell needs to complete these commands
    Completions(manual::Shell),
    /// Write the manual pages, one a command
    #[command(hide = true)]
    Manual(manual::Directory),
}

/// Runs the command that the arguments ask for. Called by the name `setkey`, it is setkey.
pub fn main() -> ExitCode {
    let by_name = std::env::args_os().next().is_some_and(|name| {
        std::path::Path::new(&name)
            .file_stem()
            .is_some_and(|stem| stem == "setkey")
    });
    let command = if by_name {
        match Setkey::try_parse() {
            Ok(setkey) => Command::Setkey(setkey.arguments),
            Err(usage) => return setkey_usage(&usage),
        }
    } else {
        Cli::parse().command
    };
    let failure = match command {
        Command::Run(_) => ExitCode::from(daemon::run::FAILED),
        _ => ExitCode::FAILURE,
    };
    let outcome = match command {
        Command::Demo(arguments) => demo::run(arguments),
        Command::Up(arguments) => daemon::up(arguments),
        Command::Run(arguments) => daemon::run::run(arguments),
        Command::Down(arguments) => daemon::down::run(&arguments),
        Command::Check(arguments) => check::run(arguments),
        Command::Reload(arguments) => ask::reload(arguments),
        Command::Status(arguments) => ask::status(arguments),
        Command::Monitor(arguments) => ask::monitor(arguments),
        Command::Setkey(arguments) => setkey::run(arguments),
        Command::Xfrm(arguments) => xfrm::run(arguments),
        Command::Show(arguments) => show::run(arguments),
        Command::Bench(arguments) => bench::run(arguments),
        Command::Guardian => daemon::guardian(),
        Command::Completions(shell) => manual::completions(&mut Cli::command(), &shell),
        Command::Manual(directory) => manual::write(Cli::command(), &directory),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            match error.downcast_ref::<Diagnosed>() {
                Some(Diagnosed(shown)) => eprint!("{shown}"),
                None => eprintln!("sealway: {}", sentence(&error)),
            }
            failure
        }
    }
}

/// Every setkey ends with 1 where its arguments are wrong.
fn setkey_usage(usage: &clap::Error) -> ExitCode {
    // There is nobody to tell that nobody can be told.
    let _ = usage.print();
    if usage.use_stderr() {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

/// The error and its causes; what a cause says that was said already is left out.
fn sentence(error: &anyhow::Error) -> String {
    error.chain().fold(String::new(), |text, cause| {
        let cause = cause.to_string();
        if text.is_empty() {
            cause
        } else if text.contains(&cause) {
            text
        } else {
            format!("{text}: {cause}")
        }
    })
}
