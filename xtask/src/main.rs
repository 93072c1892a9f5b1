//! Sealway's own build and test commands: `cargo xtask --help`.
#![forbid(unsafe_code)]

mod demo;
mod instructions;
mod interop;
mod layers;
mod package;
mod sizes;
mod source;
mod steps;
mod tools;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::interop::Rows;
use crate::tools::Missing;

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "Sealway's own build and test commands")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Everything that the README promises, with one summary; needs root for devices and namespaces
    Test {
        /// Install what is missing, with apt-get on Debian and Ubuntu
        #[arg(long)]
        install: bool,
    },
    /// Sealway against a real peer; needs root
    #[command(subcommand)]
    Interop(Interop),
    /// Who may know whom: crate edges, the pure engine, unsafe code, the exits
    Layers,
    /// At most 600 lines a file, tests apart
    Sizes,
    /// A package for Debian and its kin
    Package {
        /// Install it in a copy of this system and see it live under systemd; needs root
        #[arg(long)]
        boot: bool,
    },
    /// Instructions of the engine's road beside the bare cipher's, counted by callgrind
    Instructions,
}

#[derive(Debug, Subcommand)]
enum Interop {
    /// A Linux kernel: one row is suite, mode, families, encapsulation, ESN and direction
    Linux(Rows),
    /// strongSwan with ESP in user space (kernel-libipsec), and the keys of its CHILD_SAs
    Strongswan(Rows),
    /// The same rows between two Linux kernels, without Sealway: are the rows themselves sound?
    SelfCheck(Rows),
    /// tshark decrypts a capture of the demo
    Tshark,
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Test { install } => {
            let missing = if install {
                Missing::Install
            } else {
                Missing::Name
            };
            return if steps::run(missing) {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            };
        }
        Command::Interop(Interop::Linux(rows)) => interop::linux(&rows),
        Command::Interop(Interop::Strongswan(rows)) => interop::strongswan(&rows),
        Command::Interop(Interop::SelfCheck(rows)) => interop::self_check_rows(&rows),
        Command::Interop(Interop::Tshark) => interop::tshark(),
        Command::Layers => layers::run(),
        Command::Sizes => sizes::run(),
        Command::Package { boot: false } => package::run(),
        Command::Package { boot: true } => package::boot(),
        Command::Instructions => instructions::run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
