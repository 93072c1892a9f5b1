//! SPIs that were given to a key manager and have no SA yet (RFC 2367 §3.1.1).

use std::net::IpAddr;
use std::time::Duration;

use crate::sad::{Protocol, SaId};
use crate::time::Time;

/// Larval SAs, oldest first.
#[derive(Debug, Default)]
pub(super) struct Larval(Vec<(SaId, Time)>);

impl Larval {
    /// The most that wait.
    const MOST: usize = 1024;
    /// How long one waits.
    const LIFETIME: Duration = Duration::from_secs(30);

    pub(super) fn contains(&self, destination: IpAddr, protocol: Protocol, spi: u32) -> bool {
        self.0.iter().any(|(id, _)| {
            id.spi.value() == spi && id.destination == destination && id.protocol == protocol
        })
    }

    /// `false` if there are too many.
    pub(super) fn insert(&mut self, id: SaId, now: Time) -> bool {
        let has_room = self.0.len() < Larval::MOST;
        if has_room {
            self.0.push((id, now));
        }
        has_room
    }

    pub(super) fn remove(&mut self, id: &SaId) {
        self.0.retain(|(larval, _)| larval != id);
    }

    pub(super) fn expire(&mut self, now: Time) {
        self.0
            .retain(|(_, since)| now.since(*since) < Larval::LIFETIME);
    }
}
