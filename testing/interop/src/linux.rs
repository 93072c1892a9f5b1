//! `interop linux`: rows of traffic between Sealway and a Linux kernel.

use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::gate::{self, Link};
use crate::gateway;
use crate::host::Host;
use crate::ledger::Ledger;
use crate::link::End;
use crate::negative::{self, Bench, Fragments};
use crate::peer::{Boot, Peer};
use crate::report::Report;
use crate::row::{Extent, Row, rows};
use crate::sealway::Sealway;
use crate::station::{Kernel, Station};
use crate::suite;
use crate::traffic::{self, STREAM, Stream};

/// How long the counters of the two ends may differ after the last packet.
const SETTLE: Duration = Duration::from_secs(10);

/// A kernel that accepts fewer suites than this lacks its modules.
const LEAST_SUITES: usize = 40;

/// What to run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Pairwise or all combinations.
    pub extent: Extent,
    /// Only rows whose name holds this; empty for all.
    pub filter: String,
}

/// Runs the rows between Sealway and a kernel.
///
/// # Errors
/// If an end cannot be set up.
pub fn check(options: &Options, binary: &Path) -> Result<bool> {
    let ledger = Ledger::open()?;
    let stream = Stream::create(ledger.directory(), STREAM)?;
    let link = Link::new(&ledger)?;
    let ours = Sealway::start(&ledger, &link, binary)?;
    let peer = kernel(&ledger, &link, gate::PEER, End::Peer, &stream)?;
    let mut report = Report::default();
    rows_between(
        &mut report,
        options,
        &Bench {
            link: &link,
            ours: &ours,
            peer: &peer,
        },
        &stream,
    )?;
    drop((ours, peer, link));
    gateway::rows(&mut report, &options.filter, &ledger, &stream, binary)?;
    Ok(report.finish())
}

/// Runs the rows between two kernels: shows that the rows themselves are sound, without Sealway.
///
/// # Errors
/// If an end cannot be set up.
pub fn self_check(options: &Options) -> Result<bool> {
    let ledger = Ledger::open()?;
    let stream = Stream::create(ledger.directory(), STREAM)?;
    let link = Link::new(&ledger)?;
    let ours = kernel(&ledger, &link, gate::OURS, End::Ours, &stream)?;
    let peer = kernel(&ledger, &link, gate::PEER, End::Peer, &stream)?;
    let mut report = Report::default();
    rows_between(
        &mut report,
        options,
        &Bench {
            link: &link,
            ours: &ours,
            peer: &peer,
        },
        &stream,
    )?;
    Ok(report.finish())
}

fn kernel(
    ledger: &Arc<Ledger>,
    link: &Link,
    port: &str,
    end: End,
    stream: &Stream,
) -> Result<Kernel> {
    let boot = Boot {
        name: port,
        turn: usize::from(end == End::Ours),
        mac: &end.mac(),
        files: &[stream.path().to_owned()],
        link: (link.namespace().name(), port),
    };
    let peer = Peer::boot(ledger, boot)?;
    link.join(port)?;
    Kernel::new(peer, end)
}

/// Runs every row that the options ask for.
fn rows_between(
    report: &mut Report,
    options: &Options,
    bench: &Bench<'_>,
    stream: &Stream,
) -> Result<()> {
    let suites = bench.peer.suites()?;
    println!(
        "peer: Linux {} with {} of {} suites",
        bench.peer.release(),
        suites.len(),
        suite::all().len()
    );
    ensure!(
        suites.len() >= LEAST_SUITES,
        "the peer's kernel should have at least {LEAST_SUITES} suites: are its modules in /usr/lib/uml/modules?"
    );
    let mut numbers = 0..;
    let mut run = |name: String, row: &dyn Fn(u32) -> Result<()>| {
        let number = numbers.next().unwrap_or_default();
        if name.contains(&options.filter) {
            report.row(&name, || row(number));
        }
    };
    for row in rows(&suites, options.extent) {
        run(row.to_string(), &|number| {
            traffic_row(&row, number, bench.ours, bench.peer, stream)
        });
    }
    for negative in negative::rows() {
        if bench.looks_for(negative.attack.fault()) {
            run(negative.to_string(), &|number| bench.run(&negative, number));
        }
    }
    for fragments in Fragments::rows() {
        if bench.looks_for(fragments.fault()) {
            run(fragments.to_string(), &|number| {
                fragments.run(bench, number)
            });
        }
    }
    Ok(())
}

fn traffic_row(
    row: &Row,
    number: u32,
    ours: &dyn Station,
    peer: &Kernel,
    stream: &Stream,
) -> Result<()> {
    let site = row.site(number);
    peer.apply(&site).context("the peer")?;
    ours.apply(&site).context("our end")?;
    let (from, to): (&dyn Host, &dyn Host) = match row.initiator {
        End::Ours => (ours, peer),
        End::Peer => (peer, ours),
    };
    traffic::ping(from, row.addresses())?;
    traffic::stream(from, to, row.addresses(), stream)?;
    counters_agree(number, ours, peer)
}

/// Both ends have counted the same packets on both SAs, and more than the stream needs.
fn counters_agree(number: u32, ours: &dyn Station, peer: &Kernel) -> Result<()> {
    let spis = [End::Ours, End::Peer].map(|from| Row::spi(from, number));
    let limit = Instant::now() + SETTLE;
    loop {
        let (here, there) = (ours.packets()?, peer.packets()?);
        let [[a, b], [c, d]] = [&here, &there]
            .map(|packets| spis.map(|spi| packets.get(&spi).copied().unwrap_or_default()));
        if (a, b) == (c, d) {
            ensure!(
                a > 20 && b > 20,
                "only {a} and {b} packets went through the SAs"
            );
            return Ok(());
        }
        ensure!(
            Instant::now() < limit,
            "the ends count differently: we sent {a} and received {b}, the peer received {c} and sent {d}"
        );
        thread::sleep(Duration::from_millis(100));
    }
}
