//! `sealway bench`: this machine's own figures.

mod esp;
mod road;
mod tunnel;

use std::process::ExitCode;

/// What to measure.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    benchmark: Benchmark,
}

#[derive(Debug, clap::Subcommand)]
enum Benchmark {
    /// What the engine costs per packet, beside the bare cipher
    Esp(esp::Arguments),
    /// What streams reach through two gateways, beside the bare link; needs root
    Tunnel(tunnel::Arguments),
    /// Do one thing a number of times, for an instruction counter
    #[command(hide = true)]
    Road(road::Arguments),
}

/// Runs the benchmark.
///
/// # Errors
/// What went wrong, as a sentence.
pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    match arguments.benchmark {
        Benchmark::Esp(arguments) => esp::run(&arguments),
        Benchmark::Tunnel(arguments) => tunnel::run(&arguments),
        Benchmark::Road(arguments) => road::run(&arguments),
    }
}
