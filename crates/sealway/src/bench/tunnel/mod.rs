//! `sealway bench tunnel`: streams and small datagrams through two gateways, beside the bare link and
//! whatever else can be run here, interleaved in one run.
//!
//! | module | what it is |
//! |---|---|
//! | `subject`, `shuttle`, `peer` | what is measured, and how it is set up |
//! | `stream`, `datagram` | the traffic |
//! | `report`, `plot` | medians, and how they are shown |

mod datagram;
mod peer;
mod plot;
mod report;
mod shuttle;
mod stream;
mod subject;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};

use super::FamilyName;
use crate::demo::address::{End, FAMILIES};
use crate::demo::limit::Interrupt;
use peer::Peer;
use report::{Case, Report, Sample};
use subject::{Scene, Subject};

/// What to measure.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// One JSON object on standard output
    #[arg(long)]
    json: bool,
    /// A chart of the medians, as SVG
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    /// Subjects to measure, by name; several may be given
    #[arg(long = "subject", value_name = "NAME")]
    subjects: Vec<Subject>,
    /// Other programs to measure, if they are installed
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    peers: Vec<Peer>,
    /// One family inside only
    #[arg(long)]
    family: Option<FamilyName>,
    /// Streams, or flows of datagrams, at once; several may be given [default: 1, 4]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=64))]
    streams: Vec<u16>,
    /// From left to right (forth) or from right to left (back) only
    #[arg(long)]
    direction: Option<Direction>,
    /// Streams (tcp) or small datagrams (udp) only
    #[arg(long)]
    traffic: Option<Traffic>,
    /// Seconds that streams are measured for each time
    #[arg(long, default_value_t = 0.5, value_parser = seconds)]
    seconds: f64,
    /// Rounds; the medians are shown
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u16).range(1..=1001))]
    rounds: u16,
}

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Traffic {
    Tcp,
    Udp,
}

/// Which way the data go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
enum Direction {
    /// From left to right.
    Forth,
    /// From right to left.
    Back,
}

impl Direction {
    /// Who sends.
    const fn sender(self) -> End {
        match self {
            Direction::Forth => End::Left,
            Direction::Back => End::Right,
        }
    }
}

impl std::fmt::Display for Direction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Direction::Forth => "forth",
            Direction::Back => "back",
        })
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| "a number is needed".to_owned())?;
    if (0.1..=60.0).contains(&seconds) {
        Ok(seconds)
    } else {
        Err("0.1 to 60 seconds are".to_owned())
    }
}

/// Runs it.
///
/// # Errors
/// What went wrong, as a sentence.
pub(super) fn run(arguments: &Arguments) -> Result<ExitCode> {
    for peer in &arguments.peers {
        peer.check()?;
    }
    let interrupt = Interrupt::catch()?;
    let progress = ProgressBar::new(0);
    let style = ProgressStyle::with_template("{spinner} {pos}/{len} {bar:24} {msg} {eta}");
    progress.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let directory = tempfile::Builder::new()
        .prefix("sealway-bench-")
        .tempdir()
        .context("cannot make a directory for the gateways' files")?;
    let mut scenes = Vec::new();
    for subject in subjects(arguments) {
        interrupt.check()?;
        progress.set_message(format!("starting {subject}"));
        let place = directory.path().join(subject.to_string());
        std::fs::create_dir(&place).context("cannot make a directory")?;
        let scene = Scene::start(subject, &place, &interrupt);
        scenes.push(scene.with_context(|| format!("cannot start {subject}"))?);
    }
    let cases = cases(arguments);
    progress.set_length((scenes.len() * cases.len() * usize::from(arguments.rounds)) as u64);
    let mut report = Report::new(arguments.rounds, arguments.seconds);
    for _ in 0..arguments.rounds {
        for &case in &cases {
            for scene in &scenes {
                interrupt.check()?;
                progress.set_message(scene.subject().to_string());
                let subject = scene.subject();
                let last = report.last_rate(subject, case);
                let sample = measure(scene, case, arguments, last)
                    .with_context(|| format!("{subject} failed"))?;
                report.add(subject, case, sample);
                progress.inc(1);
            }
        }
    }
    progress.finish_and_clear();
    drop(scenes);
    let shown = report.finish();
    if let Some(file) = &arguments.plot {
        plot::draw(&shown, file).with_context(|| format!("cannot draw into {}", file.display()))?;
    }
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&shown)?);
    } else {
        println!("{}", shown.table());
    }
    Ok(ExitCode::SUCCESS)
}

fn subjects(arguments: &Arguments) -> Vec<Subject> {
    let mut subjects = match arguments.subjects.as_slice() {
        [] => Subject::USUAL.to_vec(),
        some => some.to_vec(),
    };
    subjects.extend(arguments.peers.iter().map(|peer| Subject::Peer(*peer)));
    let mut once = Vec::new();
    for subject in subjects {
        if !once.contains(&subject) {
            once.push(subject);
        }
    }
    once
}

fn cases(arguments: &Arguments) -> Vec<Case> {
    let families = FAMILIES
        .into_iter()
        .filter(|family| FamilyName::takes(arguments.family, *family));
    let streams = match arguments.streams.as_slice() {
        [] => &[1, 4],
        some => some,
    };
    let directions: Vec<_> = [Direction::Forth, Direction::Back]
        .into_iter()
        .filter(|direction| arguments.direction.is_none_or(|only| only == *direction))
        .collect();
    let mut cases = Vec::new();
    for family in families {
        for &streams in streams {
            for &direction in &directions {
                cases.push(Case {
                    family,
                    streams,
                    direction,
                });
            }
        }
    }
    cases
}

/// Streams and datagrams through one subject; `last` is the rate of datagrams that was found before.
fn measure(scene: &Scene, case: Case, arguments: &Arguments, last: Option<f64>) -> Result<Sample> {
    let ends = scene.ends(case.family, case.direction.sender());
    let flows = usize::from(case.streams);
    let mut sample = Sample::default();
    if arguments.traffic != Some(Traffic::Udp) {
        let time = Duration::from_secs_f64(arguments.seconds);
        let before = scene.cpu()?;
        let moved = stream::run(&ends, flows, time)?;
        let cpu = scene.cpu()?.saturating_sub(before);
        if moved.octets == 0 {
            bail!("nothing arrived");
        }
        sample.gbps = Some(moved.gbps());
        sample.cpu_s_per_gb = Some(cpu.as_secs_f64() / (moved.octets_in_all as f64 / 1e9));
    }
    if arguments.traffic != Some(Traffic::Tcp) {
        sample.rate = Some(datagram::search(&ends, flows, last)?);
    }
    Ok(sample)
}
