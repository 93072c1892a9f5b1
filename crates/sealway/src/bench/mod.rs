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
    /// What streams and small datagrams reach through two gateways, beside the bare link; needs root
    ///
    /// All of it takes some 20 minutes; `--streams 1 --direction forth` a quarter of that, and
    /// `--rounds 1` a seventh. The traffic is Sealway's own: streams of 128 KB writes over the
    /// kernel's TCP, and datagrams of 64 octets at the highest rate of which at most 1 % is lost.
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
