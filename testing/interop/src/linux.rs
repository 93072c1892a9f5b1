//! `interop linux`: rows of traffic between Sealway and a Linux kernel.

use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};

use crate::gate::{self, Link};
use crate::gateway;
use crate::host::Host;
use crate::ledger::Ledger;
use crate::link::End;
use crate::negative::Bench;
use crate::peer::{Boot, Peer};
use crate::queue::{Queue, Task};
use crate::report::Report;
use crate::row::{Extent, Row};
use crate::sealway::Sealway;
use crate::station::{Kernel, Station};
use crate::suite;
use crate::traffic::{self, STREAM, Stream};

/// How many benches work side by side: each kernel keeps one CPU busy, and Sealway what is left.
const BENCHES: usize = 2;

/// How long the counters of the two ends may differ after the last packet.
const SETTLE: Duration = Duration::from_secs(10);

/// A kernel that accepts fewer suites than this lacks its modules.
const LEAST_SUITES: usize = 40;

/// A bench on which so many rows in a row have failed is not used any more.
const LOST: usize = 10;

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
/// If an end cannot be set up, or stops answering.
pub fn check(options: &Options, binary: &Path) -> Result<bool> {
    let ledger = Ledger::open()?;
    let stream = Stream::create(ledger.directory(), STREAM)?;
    let (report, queue) = (Report::default(), Queue::default());
    let result = side_by_side(&queue, |bench| {
        if bench == gateway::BENCH {
            gateway::rows(&report, &options.filter, &ledger, &stream, binary)?;
        }
        let link = Link::new(&ledger, bench)?;
        let ours = Sealway::start(&ledger, &link, binary)?;
        let peer = kernel(&ledger, &link, End::Peer, &stream)?;
        let bench = Bench {
            link: &link,
            ours: &ours,
            peer: &peer,
        };
        work(&report, options, &queue, &bench, &stream)
    });
    let passed = report.finish();
    result.map(|()| passed)
}

/// Runs the rows between two kernels: shows that the rows themselves are sound, without Sealway.
///
/// # Errors
/// If an end cannot be set up, or stops answering.
pub fn self_check(options: &Options) -> Result<bool> {
    let ledger = Ledger::open()?;
    let stream = Stream::create(ledger.directory(), STREAM)?;
    let (report, queue) = (Report::default(), Queue::default());
    let link = Link::new(&ledger, 0)?;
    let ours = kernel(&ledger, &link, End::Ours, &stream)?;
    let peer = kernel(&ledger, &link, End::Peer, &stream)?;
    let bench = Bench {
        link: &link,
        ours: &ours,
        peer: &peer,
    };
    work(&report, options, &queue, &bench, &stream)?;
    Ok(report.finish())
}

/// Runs `work` for each bench at the same time. If one fails, no bench takes another row.
fn side_by_side(queue: &Queue, work: impl Fn(usize) -> Result<()> + Sync) -> Result<()> {
    let work = |bench| {
        let result = work(bench).with_context(|| format!("bench {bench}"));
        if result.is_err() {
            queue.close();
        }
        result
    };
    thread::scope(|scope| {
        let benches: Vec<_> = (0..BENCHES)
            .map(|bench| scope.spawn(move || work(bench)))
            .collect();
        benches
            .into_iter()
            .try_for_each(|bench| bench.join().map_err(|_| anyhow!("a bench panicked"))?)
    })
}

fn kernel(ledger: &Arc<Ledger>, link: &Link, end: End, stream: &Stream) -> Result<Kernel> {
    let port = match end {
        End::Ours => gate::OURS,
        End::Peer => gate::PEER,
    };
    let boot = Boot {
        name: &format!("{port}{}", link.bench()),
        mac: &end.mac(),
        turn: link.bench() + usize::from(end == End::Ours),
        files: &[stream.path().to_owned()],
        link: (link.namespace().name(), port),
    };
    let peer = Peer::boot(ledger, boot)?;
    link.join(port)?;
    Kernel::new(peer, end)
}

/// Runs rows of the queue on a bench until there is none left.
fn work(
    report: &Report,
    options: &Options,
    queue: &Queue,
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
    queue.fill(suites, options, |fault| bench.looks_for(fault))?;
    let mut failed = 0;
    while let Some((number, task)) = queue.next() {
        let passed = report.row(&task.to_string(), || match &task {
            Task::Traffic(row) => traffic_row(row, number, bench.ours, bench.peer, stream),
            Task::Negative(negative) => bench.run(negative, number),
            Task::Fragments(fragments) => fragments.run(bench, number),
        });
        if passed {
            failed = 0;
            continue;
        }
        failed += 1;
        if failed == LOST {
            bail!("{LOST} rows have failed one after the other; the rest is not run");
        }
        bench.peer.answers()?;
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
