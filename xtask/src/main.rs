//! Sealway's own build and test commands: `cargo xtask --help`.
#![forbid(unsafe_code)]

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "Sealway's own build and test commands")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Everything that the README promises, with one summary
    Test {
        /// Install what is missing, with apt-get on Debian and Ubuntu
        #[arg(long)]
        install: bool,
    },
}

fn main() {
    let Arguments { command } = Arguments::parse();
    println!("{command:?} is not there yet");
}
