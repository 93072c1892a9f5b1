//! `interop linux`: rows of traffic between Sealway and a Linux kernel.

use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::host::{Host, Namespace};
use crate::ledger::Ledger;
use crate::link::End;
use crate::peer::{Boot, Peer};
use crate::report::Report;
use crate::row::{Extent, Row, rows};
use crate::station::{Kernel, Station};
use crate::traffic::{self, Stream};

/// How long the counters of the two ends may differ after the last packet.
const SETTLE: Duration = Duration::from_secs(3);

/// What to run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Pairwise or all combinations.
    pub extent: Extent,
    /// Only rows whose name holds this; empty for all.
    pub filter: String,
}

/// Runs the rows between two kernels: shows that the rows themselves are sound, without Sealway.
///
/// # Errors
/// If an end cannot be set up.
pub fn self_check(options: &Options) -> Result<bool> {
    let ledger = Ledger::open()?;
    let stream = Stream::create(ledger.directory())?;
    let link = bridge(&ledger)?;
    let ours = kernel(&ledger, &link, "standin", End::Ours, stream.path())?;
    let peer = kernel(&ledger, &link, "peer", End::Peer, stream.path())?;
    let mut report = Report::default();
    traffic_rows(&mut report, options, &ours, &peer, &stream)?;
    Ok(report.finish())
}

/// A namespace with a bridge, to which devices are added.
fn bridge(ledger: &Arc<Ledger>) -> Result<Namespace> {
    let link = Namespace::new(ledger.namespace("link")?)?;
    link.sh(
        "ip link add bridge type bridge mcast_snooping 0 && echo 1 > /proc/sys/net/ipv6/conf/bridge/disable_ipv6 && ip link set bridge up",
        Duration::from_secs(10),
    )?
    .ok()
    .context("cannot make a bridge")?;
    Ok(link)
}

fn kernel(
    ledger: &Arc<Ledger>,
    link: &Namespace,
    name: &str,
    end: End,
    file: &Path,
) -> Result<Kernel> {
    let boot = Boot {
        name,
        mac: &end.mac(),
        files: &[file.to_owned()],
        link: (link.name(), name),
    };
    let peer = Peer::boot(ledger, boot)?;
    link.sh(
        &format!(
            "echo 1 > /proc/sys/net/ipv6/conf/{name}/disable_ipv6; ip link set {name} master bridge"
        ),
        Duration::from_secs(10),
    )?
    .ok()?;
    Kernel::new(peer, end)
}

fn traffic_rows(
    report: &mut Report,
    options: &Options,
    ours: &dyn Station,
    peer: &Kernel,
    stream: &Stream,
) -> Result<()> {
    let suites = peer.suites()?;
    println!(
        "peer: Linux {} with {} suites",
        peer.release(),
        suites.len()
    );
    for (number, row) in (0..).zip(rows(&suites, options.extent)) {
        let name = row.to_string();
        if name.contains(&options.filter) {
            report.row(&name, || traffic_row(&row, number, ours, peer, stream));
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
