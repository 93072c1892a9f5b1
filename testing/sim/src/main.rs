//! `cargo run -p sealway-sim --release -- --seeds N`: many runs, and what they came to.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use sealway_sim::{Options, Tally, Twin, run};

const USAGE: &str = "usage: sealway-sim [--from SEED] [--seeds N] [--steps N] [--twin]";

fn main() -> ExitCode {
    let mut options = Options::default();
    let (mut from, mut seeds) = (0, 1000);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        if argument == "--twin" {
            options.twin = Twin::Present;
            continue;
        }
        let Some(value) = arguments.next().and_then(|value| value.parse::<u64>().ok()) else {
            eprintln!("{USAGE}");
            return ExitCode::FAILURE;
        };
        match argument.as_str() {
            "--from" => from = value,
            "--seeds" => seeds = value,
            "--steps" => options.steps = value as usize,
            _ => {
                eprintln!("{USAGE}");
                return ExitCode::FAILURE;
            }
        }
    }
    let mut tally = Tally::default();
    for seed in from..from + seeds {
        match run(seed, options) {
            Ok(more) => tally.add(&more),
            Err(failure) => {
                println!("{failure}");
                return ExitCode::FAILURE;
            }
        }
    }
    println!(
        "{seeds} seeds from {from}, {} steps each, all agree",
        options.steps
    );
    print!("{tally}");
    ExitCode::SUCCESS
}
