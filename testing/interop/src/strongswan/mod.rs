//! `interop strongswan`: strongSwan's ESP in user space at the other end. Two charons negotiate; then
//! one of them is killed, which the other does not notice, and Sealway takes its place with the
//! keys that the other has logged.

mod charon;
mod keys;

use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::fault::Fault;
use crate::gate::Link;
use crate::ledger::Ledger;
use crate::link::{End, Family};
use crate::linux::Options;
use crate::report::Report;
use crate::row::Extent;
use crate::sealway::Sealway;
use crate::site::{Encapsulation, Mode, Policy, Sa, Sequence, Site, UDP_PORT, Upper};
use crate::station::Station;
use crate::suite::{self, Suite};
use crate::traffic::{self, Stream};
use charon::Charon;

/// Octets of a row's TCP stream, each way.
const STREAM: usize = 2 << 20;
/// A strongSwan that accepts fewer tunnels than this part lacks its plugins.
const LEAST: (usize, usize) = (3, 4);
/// What may be wrong with a packet of a peer that speaks another ESP than ours.
const FAULTS: [Fault; 8] = [
    Fault::Replay,
    Fault::Integrity,
    Fault::NoSa,
    Fault::Length,
    Fault::Selector,
    Fault::OuterSource,
    Fault::Encapsulation,
    Fault::Unprotected,
];
/// The host with this number has the first tunnel.
const FIRST_HOST: u8 = 20;

/// What one CHILD_SA is to carry: both families, between hosts of its own.
#[derive(Clone, Copy, Debug)]
struct Tunnel {
    suite: Suite,
    outer: Family,
    /// Of its hosts.
    number: u8,
}

impl Tunnel {
    /// Its name in strongSwan's configuration.
    fn name(&self) -> String {
        format!("c{}", self.number)
    }

    /// The name of the row with this family inside.
    fn row(&self, inner: Family) -> String {
        format!("{} tunnel {inner}-in-{} udp", self.suite, self.outer)
    }
}

/// Runs the rows.
///
/// # Errors
/// If an end cannot be set up.
pub fn check(options: &Options, binary: &Path) -> Result<bool> {
    let tunnels = tunnels(options);
    let ledger = Ledger::open()?;
    let stream = Stream::create(ledger.directory(), STREAM)?;
    let link = Link::new(&ledger, 0)?;
    let peer = Charon::start(&ledger, &link, End::Peer, &tunnels)?;
    let predecessor = Charon::start(&ledger, &link, End::Ours, &tunnels)?;
    let accepted: Vec<Tunnel> = tunnels
        .iter()
        .filter(|tunnel| predecessor.initiate(tunnel).is_ok())
        .copied()
        .collect();
    println!(
        "peer: strongSwan with {} of {} tunnels",
        accepted.len(),
        tunnels.len()
    );
    ensure!(
        accepted.len() * LEAST.1 >= tunnels.len() * LEAST.0,
        "strongSwan should accept more: are its plugins installed?"
    );
    predecessor.crash()?;

    let ours = Sealway::start(&ledger, &link, binary)?;
    charon::give_hosts(ours.namespace(), End::Ours, &accepted)?;
    let children = peer.children()?;
    let mut site = Site::default();
    let mut rows = Vec::new();
    for tunnel in &accepted {
        let child = children.iter().find(|child| child.name == tunnel.name());
        let child = child.with_context(|| format!("charon has not logged {}", tunnel.suite))?;
        extend(&mut site, tunnel, child);
        // We are where the end was that initiated: what is inbound for the other, we send.
        rows.push((tunnel, [child.inbound.spi, child.outbound.spi]));
    }
    ours.apply(&site)?;
    let report = Report::default();
    for (tunnel, spis) in rows {
        for inner in Family::ALL {
            let name = tunnel.row(inner);
            if name.contains(&options.filter) {
                report.row(&name, || {
                    row(tunnel, inner, &ours, &peer, &stream)?;
                    counted(spis, &ours, &peer)
                });
            }
        }
    }
    Ok(report.finish())
}

/// Ping, TCP and UDP in both directions.
fn row(
    tunnel: &Tunnel,
    inner: Family,
    ours: &Sealway,
    peer: &Charon,
    stream: &Stream,
) -> Result<()> {
    let [here, there] = [End::Ours, End::Peer].map(|end| end.host(inner, tunnel.number));
    let spaces = [ours.namespace(), peer.namespace()];
    for (from, to, addresses) in [
        (spaces[0], spaces[1], (here, there)),
        (spaces[1], spaces[0], (there, here)),
    ] {
        traffic::ping(from, addresses)?;
        traffic::stream(from, to, addresses, stream)?;
    }
    traffic::datagrams(spaces, [here, there])
}

/// Both ends have counted packets on both SAs, and ours found no fault with one. What strongSwan is
/// too busy to read is lost before it counts: the figures need not be the same.
fn counted(spis: [u32; 2], ours: &Sealway, peer: &Charon) -> Result<()> {
    let (here, there) = (ours.packets()?, peer.packets()?);
    for spi in spis {
        for counts in [&here, &there] {
            let count = counts.get(&spi).copied().unwrap_or_default();
            ensure!(count > 20, "only {count} packets went through an SA");
        }
    }
    let drops = ours.drops()?;
    let dropped = FAULTS.map(Fault::sealway).into_iter().find(|&name| {
        let count = drops.get(name).copied().unwrap_or_default();
        count > 0
    });
    ensure!(dropped.is_none(), "packets were dropped as {dropped:?}");
    Ok(())
}

/// Each cipher in each size, with integrity algorithms and outer families in turn; or every suite
/// in both families. libipsec has no GMAC.
fn tunnels(options: &Options) -> Vec<Tunnel> {
    let mut suites = suite::all();
    suites.retain(|suite| suite.cipher.setkey != "aes-gmac");
    let chosen: Vec<(Suite, Family)> = match options.extent {
        Extent::Full => suites
            .iter()
            .flat_map(|&suite| Family::ALL.map(|family| (suite, family)))
            .collect(),
        Extent::Pairwise => suites
            .chunk_by(|a, b| (a.cipher, a.key) == (b.cipher, b.key))
            .enumerate()
            .map(|(turn, of_size)| (of_size[turn % of_size.len()], Family::ALL[turn % 2]))
            .collect(),
    };
    chosen
        .into_iter()
        .zip(FIRST_HOST..)
        .map(|((suite, outer), number)| Tunnel {
            suite,
            outer,
            number,
        })
        .filter(|tunnel| {
            Family::ALL
                .iter()
                .any(|inner| tunnel.row(*inner).contains(&options.filter))
        })
        .collect()
}

fn extend(site: &mut Site, tunnel: &Tunnel, child: &keys::Child) {
    for (from, half) in [(End::Ours, &child.inbound), (End::Peer, &child.outbound)] {
        site.sas.push(Sa {
            from,
            source: half.source,
            destination: half.destination,
            spi: half.spi,
            mode: Mode::Tunnel,
            suite: tunnel.suite,
            cipher_key: half.cipher_key.clone(),
            integrity_key: half.integrity_key.clone(),
            sequence: Sequence::Short,
            encapsulation: Encapsulation::Udp,
            ports: (UDP_PORT, UDP_PORT),
            roams: false,
            selector: None,
            reqid: Some(tunnel.number.into()),
        });
        for family in Family::ALL {
            let host = |end: End| format!("{}/{}", end.host(family, tunnel.number), family.bits());
            site.policies.push(Policy {
                from,
                source: host(from),
                destination: host(from.other()),
                upper: Upper::Any,
                mode: Mode::Tunnel,
                endpoints: (half.source, half.destination),
                reqid: Some(tunnel.number.into()),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn options(extent: Extent) -> Options {
        Options {
            extent,
            filter: String::new(),
        }
    }

    #[test]
    fn every_cipher_and_every_integrity_algorithm_has_a_tunnel_with_hosts_of_its_own() {
        let tunnels = tunnels(&options(Extent::Pairwise));
        let of = |part: fn(&Suite) -> Option<&'static str>| -> BTreeSet<&str> {
            tunnels
                .iter()
                .filter_map(|tunnel| part(&tunnel.suite))
                .collect()
        };
        assert_eq!(of(|suite| Some(suite.cipher.setkey)).len(), 8);
        assert_eq!(of(|suite| Some(suite.integrity?.setkey)).len(), 5);
        let numbers: BTreeSet<u8> = tunnels.iter().map(|tunnel| tunnel.number).collect();
        assert_eq!(numbers.len(), tunnels.len());
    }

    #[test]
    fn all_tunnels_have_numbers() {
        let tunnels = tunnels(&options(Extent::Full));
        let suites = suite::all().len() - 3;
        assert_eq!(tunnels.len(), suites * 2);
    }
}
