//! Which reports of packets that were too big are believed.

use std::time::Duration;

use sealway_wire::{Quoted, TooBig};

use super::Datapath;
use crate::sad::{Protocol, Sa, SaId, Spi};

/// How long after a packet a report that shows no SPI may be about it.
const RECENT: Duration = Duration::from_secs(1);

impl Datapath {
    /// Whether a report can be about a packet of ours. Anyone can send one: it must quote the SPI of
    /// an SA between those ends, or, where only UDP's header is quoted, the four-tuple of one that
    /// has sealed within the second. Whom to tell what it says is the caller's affair:
    /// [`Command::LearnPathMtu`](crate::Command::LearnPathMtu).
    #[must_use]
    pub fn believes(&self, report: &TooBig) -> bool {
        let named = |spi| {
            let id = SaId {
                destination: report.destination,
                protocol: Protocol::Esp,
                spi: Spi::new(spi).ok()?,
            };
            self.tables.sad.find(&id)
        };
        match report.quoted {
            Quoted::Esp { spi } => named(spi).is_some_and(|sa| left_as(sa, report)),
            Quoted::Udp { spi: Some(spi), .. } => named(spi).is_some_and(|sa| left_as(sa, report)),
            Quoted::Udp { spi: None, .. } => {
                let is_recent = |sa: &Sa| {
                    let sealed = sa.runtime.usage.sealed();
                    sealed.is_some_and(|sealed| self.now.since(sealed) <= RECENT)
                };
                let mut sas = self.tables.sad.iter();
                sas.any(|sa| {
                    sa.config.id.destination == report.destination
                        && left_as(sa, report)
                        && is_recent(sa)
                })
            }
        }
    }
}

/// Whether the SA's packets have that source, and its ports if they are in UDP.
fn left_as(sa: &Sa, report: &TooBig) -> bool {
    let form = match (sa.config.encapsulation, report.quoted) {
        (None, Quoted::Esp { .. }) => true,
        (
            Some(udp),
            Quoted::Udp {
                source,
                destination,
                ..
            },
        ) => (udp.source, udp.destination) == (source, destination),
        _ => false,
    };
    form && sa.config.source == report.source
}
