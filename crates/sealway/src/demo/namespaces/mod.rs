//! The demo with real hosts: network namespaces, veth links, and `sealway up` on both gateways.

pub(crate) mod gateway;
pub(crate) mod topology;
pub(crate) mod traffic;
mod watch;

use std::collections::BTreeSet;
use std::fs::{OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use anyhow::{Context, Result, bail};
use sealway_io::tun::Tun;
use tempfile::TempDir;

use super::address::End;
use super::flow::{Flow, Treatment};
use super::limit::Limit;
use super::measure::{Datagram, Measured};
use super::tally::Tally;
use super::{Order, Played, SETUP, flow_limit};
use crate::daemon::config::Offload;
use gateway::{Gateway, Orders};
use topology::{Frames, INSIDE, LINK, Topology};
use traffic::Talk;
use watch::Watch;

/// The hosts, before Sealway is there.
pub(super) struct Hosts {
    topology: Topology,
}

impl Hosts {
    /// Makes them.
    ///
    /// # Errors
    /// What this machine refuses.
    pub(super) fn new() -> Result<Hosts> {
        let topology = Topology::new(Frames::Alone)?;
        // Asked for here, so that a missing device is no failure of a gateway.
        topology.left.gateway.run(|| Tun::open(INSIDE).map(drop))?;
        Ok(Hosts { topology })
    }

    /// Starts the gateways and sends every flow.
    pub(super) fn play(self, order: &Order<'_>) -> Result<Played> {
        let directory = tempfile::Builder::new()
            .prefix("sealway-demo-")
            .tempdir()
            .context("cannot make a directory for the gateways' files")?;
        order.stage.doing("starting the gateways");
        let tally = Tally::new(order.flows);
        let watch = Watch::start(&self.topology.left.gateway, LINK, tally, order.pcap)?;
        let setup = order.interrupt.within(SETUP).and(order.limit);
        let mut gateways = Vec::new();
        for end in End::ALL {
            gateways.push(self.start(end, &directory, order, &setup)?);
        }
        let mut sent = Vec::new();
        let mut outcomes = Vec::new();
        for flow in order.flows {
            order.stage.doing(&flow.name);
            order.interrupt.check()?;
            let limit = flow_limit(flow, order);
            let mut datagrams = Vec::new();
            let outcome = order
                .limit
                .check("the demo")
                .and_then(|()| all_run(&mut gateways))
                .and_then(|()| self.send(flow, &limit, &mut datagrams, order.stream));
            outcomes.push(outcome.map_err(|error| all_run(&mut gateways).err().unwrap_or(error)));
            sent.push((flow, datagrams));
            order.stage.done();
        }
        order.interrupt.check()?;
        if let Some(path) = order.wireshark {
            write_private(path, &wireshark(&gateways, order.limit)?)?;
        }
        if let Some(path) = order.sent {
            super::sent::write(path, &sent)?;
        }
        let log = words_of_failure(&outcomes, &gateways);
        drop(gateways);
        Ok(Played {
            outcomes,
            tally: watch.finish()?,
            log,
        })
    }

    fn start(
        &self,
        end: End,
        directory: &TempDir,
        order: &Order<'_>,
        limit: &Limit,
    ) -> Result<Gateway> {
        let side = self.topology.side(end);
        let script = order.plan.script(end, order.flows, order.sabotaged);
        let orders = Orders {
            script: &script,
            default: "discard",
            offload: Offload::On,
        };
        Gateway::start(end, &side.gateway, directory.path(), &orders, limit)
    }

    fn send(
        &self,
        flow: &Flow,
        limit: &Limit,
        sent: &mut Vec<Datagram>,
        stream: usize,
    ) -> Result<Measured> {
        let (asking, answering) = flow.ends();
        let host = |end| {
            let side = self.topology.side(end);
            match flow.treatment {
                Treatment::Transport(_) => &side.gateway,
                Treatment::Tunnel(..) | Treatment::Clear => &side.inner,
            }
        };
        let talk = Talk {
            asking: (host(End::Left), asking),
            answering: (host(End::Right), answering),
            port: flow.port().unwrap_or(0),
            marker: flow.marker,
            stream,
        };
        talk.run(flow, limit, sent)
    }
}

/// What both gateways say of their SAs: the same SAs, so each line once.
fn wireshark(gateways: &[Gateway], limit: &Limit) -> Result<String> {
    let mut lines = BTreeSet::new();
    for gateway in gateways {
        let table = gateway
            .wireshark(limit)
            .map_err(|error| gateway.explain(error))?;
        lines.extend(table.lines().map(str::to_owned));
    }
    Ok(lines.into_iter().map(|line| line + "\n").collect())
}

/// A file that only we may read, in the place of any that is there.
fn write_private(path: &Path, text: &str) -> Result<()> {
    let write = || {
        let mut options = OpenOptions::new();
        let options = options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = options.open(path)?;
        file.set_permissions(Permissions::from_mode(0o600))?;
        file.write_all(text.as_bytes())
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

/// An error if a gateway has ended: then no flow can arrive.
fn all_run(gateways: &mut [Gateway]) -> Result<()> {
    match gateways.iter_mut().find_map(Gateway::ended) {
        Some(how) => bail!(how),
        None => Ok(()),
    }
}

/// The ends of the gateways' logs, if a flow did not arrive.
fn words_of_failure(outcomes: &[Result<Measured>], gateways: &[Gateway]) -> Option<String> {
    let failed = outcomes.iter().any(Result::is_err);
    failed.then(|| {
        let words: Vec<String> = gateways.iter().map(Gateway::last_words).collect();
        words.join("\n")
    })
}
