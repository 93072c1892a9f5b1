//! `sealway bench`: this machine's own figures.

mod esp;
mod path;
mod road;
mod script;
mod tunnel;

use std::process::ExitCode;

use sealway_wire::Family;

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
    /// All of it takes some 25 minutes; `--streams 1 --direction forth` a quarter of that, and
    /// `--rounds 1` a seventh. The traffic is Sealway's own: streams of 128 KB writes over the
    /// kernel's TCP, and datagrams of 64 octets at the highest rate of which at most 1 % is lost.
    Tunnel(tunnel::Arguments),
    /// What a bad path does to a transfer through two gateways, and beside them; needs root
    ///
    /// Of the packets on the path 5 % are lost, 1 % come twice and 2 % late, which ones, the seed says;
    /// in the middle of the transfer the path takes 1280 octets instead of 1500 for a while. It is an
    /// error if what arrives is not what was sent.
    Path(path::Arguments),
    /// Do one thing a number of times, for an instruction counter
    #[command(hide = true)]
    Road(road::Arguments),
}

/// A family inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum FamilyName {
    Ipv4,
    Ipv6,
}

impl FamilyName {
    /// Whether the family is asked for: both are where nothing is.
    const fn takes(asked: Option<FamilyName>, family: Family) -> bool {
        match asked {
            None => true,
            Some(FamilyName::Ipv4) => matches!(family, Family::V4),
            Some(FamilyName::Ipv6) => matches!(family, Family::V6),
        }
    }
}

/// Runs the benchmark.
///
/// # Errors
/// What went wrong, as a sentence.
pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    match arguments.benchmark {
        Benchmark::Esp(arguments) => esp::run(&arguments),
        Benchmark::Tunnel(arguments) => tunnel::run(&arguments),
        Benchmark::Path(arguments) => path::run(&arguments),
        Benchmark::Road(arguments) => road::run(&arguments),
    }
}
