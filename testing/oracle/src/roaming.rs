//! Peers that roam (RFC 7296 §2.23): who says where they are, and who hears it.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use sealway_core::sad::{Peer, SaConfig, SaId};
use sealway_packet::{Encapsulation, Outer};

use crate::Oracle;
use crate::sa::{Sa, Sad};

/// An SA's newest packet came from elsewhere than the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mapping {
    /// The SA.
    pub sa: SaId,
    /// Where its peer was.
    pub old: SocketAddr,
    /// Where it is.
    pub new: SocketAddr,
}

/// How long an SA is silent after it has told.
const PAUSE: Duration = Duration::from_millis(250);

/// Source and destination, if the peer may roam.
fn ends(config: &SaConfig) -> Option<[SocketAddr; 2]> {
    let udp = config.encapsulation?;
    (udp.peer == Peer::Roams).then(|| {
        [
            SocketAddr::new(config.source, udp.source),
            SocketAddr::new(config.id.destination, udp.destination),
        ]
    })
}

/// Whether it is where no host can be.
fn is_nowhere(peer: SocketAddr) -> bool {
    let special = match peer.ip() {
        IpAddr::V4(v4) => matches!(v4.octets()[0], 0 | 127) || v4.octets()[0] >= 224,
        IpAddr::V6(v6) => v6.is_unspecified() || v6.is_loopback() || v6.octets()[0] == 0xff,
    };
    special || peer.port() == 0
}

impl Sa {
    /// Whether its peer may be anywhere.
    pub(crate) fn roams(&self) -> bool {
        ends(&self.config).is_some()
    }
}

impl Sad {
    /// An SA that is new knows what others between the same ends know.
    pub(crate) fn inherit(&self, new: &mut Sa) {
        let Some([source, destination]) = ends(&new.config) else {
            return;
        };
        for sa in &self.list {
            match ends(&sa.config) {
                Some(ends) if ends == [source, destination] => {
                    (new.heard, new.sends) = (sa.heard, sa.sends);
                }
                Some(ends) if ends == [destination, source] => {
                    (new.heard, new.sends) = (sa.sends, sa.heard);
                }
                _ => {}
            }
        }
    }

    /// The peer of this SA is there.
    pub(crate) fn map(&mut self, id: &SaId, to: SocketAddr) -> Option<()> {
        let [source, destination] = ends(&self.named(id)?.config)?;
        for sa in &mut self.list {
            let ends = ends(&sa.config);
            if ends == Some([source, destination]) {
                sa.heard = Some(to);
            }
            if ends == Some([destination, source]) {
                sa.sends = Some(to);
            }
        }
        Some(())
    }
}

impl Oracle {
    /// What SAs told of their peers since this was last asked.
    pub fn mappings(&mut self) -> Vec<Mapping> {
        std::mem::take(&mut self.mappings)
    }

    /// A packet of the SA was accepted that is newer than any before.
    pub(crate) fn heard(&mut self, id: &SaId, outer: &Outer) {
        let Encapsulation::Udp { source: port, .. } = outer.encapsulation else {
            return;
        };
        let new = SocketAddr::new(outer.source, port);
        let now = self.now;
        if is_nowhere(new) || self.is_ours(new.ip()) {
            return;
        }
        let Some(sa) = self.tables.sad.named(id) else {
            return;
        };
        let Some([source, _]) = ends(&sa.config) else {
            return;
        };
        let old = sa.heard.unwrap_or(source);
        let is_silent = sa.spoke.is_some_and(|spoke| now.since(spoke) < PAUSE);
        if new == old || is_silent {
            return;
        }
        sa.spoke = Some(now);
        let (age, config) = (sa.age, sa.config.clone());
        let takes_its_place = |other: &Sa| {
            other.age > age
                && other.has_carried()
                && other.config.encapsulation == config.encapsulation
                && other.config.source == config.source
                && other.config.id.destination == config.id.destination
                && other.config.reqid == config.reqid
                && other.config.selector == config.selector
        };
        if !self.tables.sad.list.iter().any(takes_its_place) {
            self.mappings.push(Mapping { sa: *id, old, new });
        }
    }
}
