//! `sealway bench path`: a transfer over a path that loses, repeats and reorders packets, and that
//! shrinks and grows again, through two gateways and beside them.
//!
//! | module | what it is |
//! |---|---|
//! | `scene`, `wire` | the path |
//! | `transfer` | what passes it |

mod scene;
mod transfer;
mod wire;

use std::fmt;
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, Result};
use comfy_table::{CellAlignment, Table};
use indicatif::ProgressBar;
use sealway_wire::Family;

use super::FamilyName;
use super::script::Carrier;
use crate::demo::address::{self, End, FAMILIES};
use crate::demo::limit::Interrupt;
use scene::{NARROW, Road, Scene, WIDE};

/// How long a gateway may take to start, and a transfer to pass, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(300);

/// What to transfer.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// One JSON object on standard output
    #[arg(long)]
    json: bool,
    /// The first seed: what befalls which packet depends on it
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many seeds, one after the other
    #[arg(long, default_value_t = 3, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=1000))]
    seeds: u16,
    /// One family inside only
    #[arg(long)]
    family: Option<FamilyName>,
    /// 10⁶ octets to transfer
    #[arg(long, default_value_t = 4, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=1000))]
    megabytes: u16,
}

/// What is shown.
#[derive(Debug, serde::Serialize)]
struct Shown {
    megabytes: u16,
    /// The most that a transfer through Sealway stood still longer than the same beside it, seconds.
    longest_more_s: f64,
    rows: Vec<Row>,
}

/// One transfer.
#[derive(Debug, serde::Serialize)]
struct Row {
    subject: &'static str,
    inside: &'static str,
    outside: Option<&'static str>,
    seed: u64,
    seconds: f64,
    /// The longest time in which nothing came, seconds …
    stall_s: f64,
    /// … and how much longer that is than over the bare path with the same seed.
    stall_more_s: Option<f64>,
    /// Packets, in both directions.
    lost: u64,
    repeated: u64,
    reordered: u64,
}

/// Runs it. That the content arrives as it was sent is not a figure: it is an error if it does not.
///
/// # Errors
/// What went wrong, as a sentence.
pub(super) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let interrupt = Interrupt::catch()?;
    let seeds = (0..u64::from(arguments.seeds)).map(|more| arguments.seed.wrapping_add(more));
    let families = FAMILIES.into_iter();
    let inside: Vec<_> = families
        .filter(|family| FamilyName::takes(arguments.family, *family))
        .collect();
    let progress =
        ProgressBar::new((usize::from(arguments.seeds) * inside.len() * roads().len()) as u64);
    let mut rows: Vec<Row> = Vec::new();
    for seed in seeds {
        for &inside in &inside {
            let mut plain = None;
            for road in roads() {
                interrupt.check()?;
                let row = transfer(road, inside, seed, arguments, &interrupt)
                    .with_context(|| format!("{road}, {inside:?} inside, seed {seed}"))?;
                let stall = *plain.get_or_insert(row.stall_s);
                let more = (road != Road::Plain).then(|| rounded(row.stall_s - stall));
                rows.push(Row {
                    stall_more_s: more,
                    ..row
                });
                progress.inc(1);
            }
        }
    }
    progress.finish_and_clear();
    let more = rows.iter().filter_map(|row| row.stall_more_s);
    let shown = Shown {
        megabytes: arguments.megabytes,
        longest_more_s: more.fold(f64::NEG_INFINITY, f64::max),
        rows,
    };
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&shown)?);
    } else {
        println!("{}", shown.table());
        println!(
            "stood still at most {:.3} s longer than the bare path",
            shown.longest_more_s
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// The bare path is the first.
fn roads() -> Vec<Road> {
    let mut roads = vec![Road::Plain];
    for carrier in [Carrier::Udp, Carrier::Esp] {
        roads.extend(FAMILIES.map(|outside| Road::Tunnel(carrier, outside)));
    }
    roads
}

/// One transfer from left to right. When a third has come the path shrinks, and when two have it grows
/// again.
fn transfer(
    road: Road,
    inside: Family,
    seed: u64,
    arguments: &Arguments,
    interrupt: &Interrupt,
) -> Result<Row> {
    let limit = interrupt.within(PATIENCE);
    let directory = tempfile::Builder::new()
        .prefix("sealway-bench-")
        .tempdir()
        .context("cannot make a directory for the gateways' files")?;
    let scene = Scene::start(road, seed, directory.path(), &limit)?;
    let octets = u64::from(arguments.megabytes) * 1_000_000;
    let place = |end| (&scene.side(end).inner, address::inner_host(end, inside));
    let mut changes = [(octets / 3, NARROW), (octets / 3 * 2, WIDE)]
        .into_iter()
        .peekable();
    let transferred = transfer::run(
        place(End::Left),
        place(End::Right),
        (octets, seed),
        &limit,
        |received| match changes.next_if(|(from, _)| received >= *from) {
            Some((_, octets)) => scene.set_link(octets),
            None => Ok(()),
        },
    )?;
    let (subject, outside) = road.names();
    let tally = &scene.wire.tally;
    Ok(Row {
        subject,
        inside: name(inside),
        outside,
        seed,
        seconds: rounded(transferred.time.as_secs_f64()),
        stall_s: rounded(transferred.stall.as_secs_f64()),
        stall_more_s: None,
        lost: tally.lost.load(Ordering::Relaxed),
        repeated: tally.repeated.load(Ordering::Relaxed),
        reordered: tally.reordered.load(Ordering::Relaxed),
    })
}

const fn name(family: Family) -> &'static str {
    match family {
        Family::V4 => "ipv4",
        Family::V6 => "ipv6",
    }
}

fn rounded(seconds: f64) -> f64 {
    (seconds * 1e3).round() / 1e3
}

impl Road {
    const fn names(self) -> (&'static str, Option<&'static str>) {
        match self {
            Road::Plain => ("path", None),
            Road::Tunnel(Carrier::Udp, outside) => ("sealway-udp", Some(name(outside))),
            Road::Tunnel(Carrier::Esp, outside) => ("sealway-esp", Some(name(outside))),
        }
    }
}

impl fmt::Display for Road {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (subject, outside) = self.names();
        match outside {
            None => f.write_str(subject),
            Some(outside) => write!(f, "{subject} over {outside}"),
        }
    }
}

impl Shown {
    fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(comfy_table::presets::UTF8_HORIZONTAL_ONLY);
        table.set_header([
            "seed",
            "inside",
            "subject",
            "outside",
            "seconds",
            "longest stall",
            "more",
            "lost",
            "repeated",
            "reordered",
        ]);
        for row in &self.rows {
            table.add_row([
                row.seed.to_string(),
                row.inside.to_owned(),
                row.subject.to_owned(),
                row.outside.unwrap_or_default().to_owned(),
                format!("{:.1}", row.seconds),
                format!("{:.3}", row.stall_s),
                row.stall_more_s
                    .map(|more| format!("{more:+.3}"))
                    .unwrap_or_default(),
                row.lost.to_string(),
                row.repeated.to_string(),
                row.reordered.to_string(),
            ]);
        }
        for column in table.column_iter_mut() {
            column.set_cell_alignment(CellAlignment::Right);
        }
        table
    }
}
