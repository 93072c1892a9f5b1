//! `sealway demo`: two hosts exchange traffic through ESP and past it, and everything between them
//! is searched for what it should not show.
//!
//! | module | what it is |
//! |---|---|
//! | `flow`, `marker` | what flows, and the octets that tell flows apart |
//! | `address`, `script` | who lives where, and what the gateways are told |
//! | `namespaces` | the hosts in network namespaces, with `sealway up` on the gateways |
//! | `memory` | the hosts in memory, with two engines |
//! | `tally` | what was seen on the way |
//! | `report`, `stage`, `sent` | what is said about it |

pub(crate) mod address;
mod flow;
pub(crate) mod limit;
mod marker;
mod measure;
mod memory;
pub(crate) mod namespaces;
mod report;
mod script;
mod sent;
mod stage;
mod tally;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;
use sealway_crypto::Suite;
use sealway_io::namespace;

use flow::{Flow, Traffic, Treatment};
use limit::{Interrupt, Limit};
use marker::Run;
use measure::Measured;
use namespaces::Hosts;
use report::{Place, Report};
use script::Plan;
use stage::{Audience, Stage};
use tally::Tally;

/// What the command takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// One JSON object on standard output
    #[arg(long)]
    json: bool,
    /// Let one protected flow out in the clear, to see that the counter of leaks counts
    #[arg(long)]
    sabotage: bool,
    /// Two engines in memory, without network namespaces
    #[arg(long)]
    memory: bool,
    /// The suite of every SA
    #[arg(long, value_name = "NAME", default_value = "aes-128-gcm-16")]
    suite: Suite,
    /// Mebibytes that each TCP flow carries
    #[arg(long, value_name = "MIB", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1024))]
    stream: u16,
    /// Write every frame between the gateways to this file, as pcapng
    #[arg(long, value_name = "FILE")]
    pcap: Option<PathBuf>,
    /// Write the SAs, keys and all, to this file as Wireshark's table `esp_sa`
    #[arg(long, value_name = "FILE", conflicts_with = "memory")]
    wireshark: Option<PathBuf>,
    /// Write the datagrams that were sent to this file, a JSON object in a line for each
    #[arg(long, value_name = "FILE")]
    sent: Option<PathBuf>,
}

/// Runs the command: exit code 0 if every flow arrived and no protected one could be read.
///
/// # Errors
/// What went wrong before there was anything to report, as a sentence.
pub fn run(arguments: Arguments) -> Result<ExitCode> {
    let interrupt = Interrupt::catch()?;
    let flows = Flow::all(&Run::new()?);
    let plan = Plan::new(&flows, arguments.suite)?;
    let audience = match arguments.json {
        true => Audience::Machine,
        false => Audience::People,
    };
    let stage = Stage::new(audience, flows.len());
    let order = Order {
        flows: &flows,
        plan: &plan,
        sabotaged: arguments.sabotage.then(|| sabotaged(&flows)).flatten(),
        interrupt: &interrupt,
        limit: &interrupt.within(ALL),
        stage: &stage,
        stream: usize::from(arguments.stream) << 20,
        pcap: arguments.pcap.as_deref(),
        wireshark: arguments.wireshark.as_deref(),
        sent: arguments.sent.as_deref(),
    };
    let start = Instant::now();
    let (place, played) = match hosts(&arguments, &stage) {
        Some(hosts) => {
            stage.draw(Place::Namespaces);
            (Place::Namespaces, hosts.play(&order)?)
        }
        None => {
            stage.draw(Place::Memory);
            (Place::Memory, memory::play(&order)?)
        }
    };
    let report = Report::new(
        place,
        arguments.suite,
        start.elapsed().as_secs_f64(),
        &flows,
        played.outcomes,
        &played.tally,
    );
    if let Some(log) = played.log {
        stage.tell(&log);
    }
    stage.close(&report)?;
    Ok(match report.is_ok() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// What is to be played.
struct Order<'a> {
    flows: &'a [Flow],
    plan: &'a Plan,
    /// The flow that is let out in the clear.
    sabotaged: Option<&'a str>,
    interrupt: &'a Interrupt,
    /// The end of the whole.
    limit: &'a Limit,
    stage: &'a Stage,
    /// Octets of each TCP flow.
    stream: usize,
    pcap: Option<&'a Path>,
    wireshark: Option<&'a Path>,
    sent: Option<&'a Path>,
}

/// What came of it.
struct Played {
    /// For each flow.
    outcomes: Vec<Result<Measured>>,
    tally: Tally,
    /// What helps to understand a failure.
    log: Option<String>,
}

/// The hosts in namespaces, unless they are not wanted or cannot be: then it says why.
fn hosts(arguments: &Arguments, stage: &Stage) -> Option<Hosts> {
    if arguments.memory {
        return None;
    }
    match enter_user_namespace().and_then(|()| Hosts::new()) {
        Ok(hosts) => Some(hosts),
        Err(error) => {
            stage.tell(&format!(
                "No network namespaces here, so two engines meet in memory instead: {error:#}."
            ));
            None
        }
    }
}

/// Who may not make network namespaces may do so in a user namespace. Not once the process has a
/// second thread, so this comes before everything that starts one.
fn enter_user_namespace() -> Result<()> {
    let is_admin = effective_capabilities() & (1 << CAP_SYS_ADMIN) != 0;
    if !is_admin {
        namespace::unshare_user()?;
    }
    Ok(())
}

/// From the kernel's file about us; none if it cannot be read.
fn effective_capabilities() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let digits = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    digits
        .and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok())
        .unwrap_or(0)
}

/// The flow that sabotage lets out: datagrams that should go through a tunnel.
fn sabotaged(flows: &[Flow]) -> Option<&str> {
    let is_it = |flow: &&Flow| {
        flow.traffic == Traffic::Udp && matches!(flow.treatment, Treatment::Tunnel(..))
    };
    flows.iter().find(is_it).map(|flow| flow.name.as_str())
}

/// How long this flow may take.
fn flow_limit(flow: &Flow, order: &Order<'_>) -> Limit {
    let time = match flow.traffic {
        Traffic::Ping | Traffic::Udp => Duration::from_secs(8),
        Traffic::Tcp => Duration::from_secs(20),
    };
    order.interrupt.within(time).and(order.limit)
}

/// Linux's number of the capability.
const CAP_SYS_ADMIN: u32 = 21;
/// How long the whole may take.
const ALL: Duration = Duration::from_secs(55);
/// How long the gateways may take until they are ready.
const SETUP: Duration = Duration::from_secs(10);
