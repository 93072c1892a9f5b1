//! Which reports of packets that were too big are believed.

use std::time::Duration;

use sealway_wire::{Quoted, TooBig};

use super::Datapath;
use crate::sad::{Protocol, Sa};

/// How long after a packet a report that shows no SPI may be about it.
const RECENT: Duration = Duration::from_secs(1);

impl Datapath {
    /// Whether a report can be about a packet of ours. Anyone can send one: it must quote the SPI of
    /// an SA between those ends, or, where only UDP's header is quoted, the four-tuple of one that
    /// has sealed within the second. Whom to tell what it says is the caller's affair:
    /// [`Command::LearnPathMtu`](crate::Command::LearnPathMtu).
    #[must_use]
    pub fn believes(&self, report: &TooBig) -> bool {
        match report.quoted {
            Quoted::Esp { spi } | Quoted::Udp { spi: Some(spi), .. } => {
                let mut named = self.tables.sad.with_spi(spi);
                named.any(|sa| self.left_as(sa, report))
            }
            Quoted::Udp { spi: None, .. } => {
                let is_recent = |sa: &Sa| {
                    let sealed = sa.runtime.usage.sealed();
                    sealed.is_some_and(|sealed| self.now.since(sealed) <= RECENT)
                };
                let mut sas = self.tables.sad.iter();
                sas.any(|sa| self.left_as(sa, report) && is_recent(sa))
            }
        }
    }

    /// Whether the SA's packets have those ends, and its ports if they are in UDP.
    fn left_as(&self, sa: &Sa, report: &TooBig) -> bool {
        let config = &sa.config;
        if config.source != report.source {
            return false;
        }
        let moved = self.tables.sad.moved(sa);
        let far_end = moved.map_or(config.id.destination, |peer| peer.ip());
        let form = match (config.encapsulation, report.quoted) {
            (None, Quoted::Esp { .. }) => true,
            (
                Some(udp),
                Quoted::Udp {
                    source,
                    destination,
                    ..
                },
            ) => {
                let far_port = moved.map_or(udp.destination, |peer| peer.port());
                (udp.source, far_port) == (source, destination)
            }
            _ => false,
        };
        form && far_end == report.destination && config.id.protocol == Protocol::Esp
    }
}
