//! `sealway bench esp`: the engine's road beside the bare cipher, interleaved in one run.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::ensure;
use comfy_table::{CellAlignment, Table};
use indicatif::ProgressBar;
use sealway_core::Verdict;
use sealway_crypto::Suite;

use super::road::{Bare, Case, Road, Way, all_passed};

/// What to measure.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// One JSON object on standard output
    #[arg(long)]
    json: bool,
    /// Suites to measure; several may be given
    #[arg(long = "suite", value_name = "NAME")]
    suites: Vec<Suite>,
    /// Octets of the inner packet; several may be given
    #[arg(long, value_parser = clap::value_parser!(u16).range(28..=9000))]
    octets: Vec<u16>,
    /// SAs that packets are spread over in random order; several may be given
    #[arg(long)]
    sas: Vec<usize>,
    /// One direction only
    #[arg(long)]
    direction: Option<Way>,
    /// Rounds per row; the medians are shown
    #[arg(long, default_value_t = 31, value_parser = clap::value_parser!(u16).range(3..=1001))]
    rounds: u16,
}

/// Suites that are measured unless others are asked for.
const USUAL: [&str; 6] = [
    "aes-128-gcm-16",
    "aes-256-gcm-16",
    "chacha20-poly1305",
    "aes-128-gmac",
    "aes-128-ccm-16",
    "aes-128-cbc+hmac-sha2-256-128",
];
/// Octets of inner packets.
const SIZES: [u16; 4] = [64, 256, 1400, 9000];
/// Numbers of SAs.
const SAS: [usize; 2] = [1, 10_000];

/// One line of the report. Times are nanoseconds per packet.
#[derive(Debug, serde::Serialize)]
struct Row {
    suite: String,
    octets: usize,
    direction: Way,
    sas: usize,
    /// Median of the bare cipher.
    aead_ns: f64,
    /// The cipher's median and the median of the paired differences: what a packet costs.
    road_ns: f64,
    /// Median of the paired differences between road and cipher.
    overhead_ns: f64,
    /// Allocations per packet on the road.
    allocations: f64,
}

#[derive(Debug, serde::Serialize)]
struct Report {
    rounds: u16,
    rows: Vec<Row>,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let cases = cases(arguments);
    let progress = ProgressBar::new(cases.len() as u64);
    let mut rows = Vec::with_capacity(cases.len());
    for case in cases {
        rows.push(measure(case, arguments.rounds)?);
        progress.inc(1);
    }
    progress.finish_and_clear();
    let report = Report {
        rounds: arguments.rounds,
        rows,
    };
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        println!("{}", table(&report));
    }
    Ok(ExitCode::SUCCESS)
}

fn cases(arguments: &Arguments) -> Vec<Case> {
    let usual = || USUAL.iter().filter_map(|name| name.parse().ok()).collect();
    let suites = asked(&arguments.suites, usual);
    let numbers = asked(&arguments.sas, || SAS.to_vec());
    let sizes = asked(&arguments.octets, || SIZES.to_vec());
    let mut cases = Vec::new();
    for suite in suites {
        for &sas in &numbers {
            for &octets in &sizes {
                let octets = usize::from(octets);
                cases.extend([Way::Out, Way::In].map(|way| Case {
                    suite,
                    octets,
                    way,
                    sas,
                }));
            }
        }
    }
    cases.retain(|case| arguments.direction.is_none_or(|only| only == case.way));
    cases
}

fn asked<T: Clone>(values: &[T], usual: impl FnOnce() -> Vec<T>) -> Vec<T> {
    match values {
        [] => usual(),
        values => values.to_vec(),
    }
}

/// Packets of one round: with one SA a batch as a device hands it over, still in the cache that
/// the device filled it through; with many SAs enough that their state is not.
fn per_round(case: &Case) -> usize {
    match case.sas {
        1 => 32,
        _ => 2500,
    }
}

fn measure(case: Case, rounds: u16) -> anyhow::Result<Row> {
    let count = per_round(&case);
    let rounds = if case.sas == 1 { rounds * 4 } else { rounds };
    let mut road = Road::new(case)?;
    let mut bare = Bare::new(case)?;
    let mut verdicts = Vec::with_capacity(count);
    let (mut aead, mut differences, mut allocations) = (Vec::new(), Vec::new(), 0);
    // The first rounds warm caches, of the machine and of the engine (every flow once).
    let warm = 3 + case.sas / count;
    for round in 0..warm + usize::from(rounds) {
        let mut texts = bare.prepare(count)?;
        let prepared = road.prepare(count)?;
        let start = Instant::now();
        let passed = bare.run(&mut texts);
        let bare_ns = start.elapsed().as_nanos() as f64 / count as f64;
        let mut road_ns = 0.0;
        let counted = allocation_counter::measure(|| {
            let start = Instant::now();
            road.run(prepared, &mut verdicts);
            road_ns = start.elapsed().as_nanos() as f64 / count as f64;
        });
        ensure!(
            passed == count && all_passed(&verdicts),
            "a packet did not get through"
        );
        drop_all(&mut verdicts);
        if round >= warm {
            aead.push(bare_ns);
            differences.push(road_ns - bare_ns);
            allocations += counted.count_total;
        }
    }
    let (aead_ns, overhead_ns) = (median(&mut aead), median(&mut differences));
    Ok(Row {
        suite: case.suite.name().to_string(),
        octets: case.octets,
        direction: case.way,
        sas: case.sas,
        aead_ns: round(aead_ns),
        road_ns: round(aead_ns + overhead_ns),
        overhead_ns: round(overhead_ns),
        allocations: allocations as f64 / (count * usize::from(rounds)) as f64,
    })
}

fn drop_all(verdicts: &mut Vec<Verdict>) {
    verdicts.clear();
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

fn round(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

fn table(report: &Report) -> Table {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::UTF8_HORIZONTAL_ONLY);
    table.set_header([
        "suite",
        "SAs",
        "octets",
        "direction",
        "cipher ns",
        "road ns",
        "over it",
        "allocations",
    ]);
    for row in &report.rows {
        table.add_row([
            row.suite.clone(),
            row.sas.to_string(),
            row.octets.to_string(),
            format!("{:?}", row.direction).to_lowercase(),
            format!("{:.1}", row.aead_ns),
            format!("{:.1}", row.road_ns),
            format!("{:+.1}", row.overhead_ns),
            format!("{:.2}", row.allocations),
        ]);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}
