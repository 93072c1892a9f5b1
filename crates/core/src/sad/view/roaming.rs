//! Peers that roam: where they are, as long as that is not where their SAs say.
//!
//! It is kept for the way between two configured ends, not for an SA: an SA that comes to replace
//! another sends where that one's peer was heard. What SAs are called does not change: templates,
//! lookups and storage know the ends as they were configured.

use std::net::SocketAddr;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::{Entry, Siblings, View};
use crate::sad::{Sa, SaConfig, SaError, SaId};

/// The configured ends of SAs in UDP, as we see them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Way {
    ours: SocketAddr,
    theirs: SocketAddr,
}

impl Way {
    /// Of an SA that we open.
    #[inline]
    fn inbound(config: &SaConfig) -> Option<Way> {
        let (source, destination) = ends(config)?;
        Some(Way {
            ours: destination,
            theirs: source,
        })
    }

    /// Of an SA that we seal.
    #[inline]
    fn outbound(config: &SaConfig) -> Option<Way> {
        let (source, destination) = ends(config)?;
        Some(Way {
            ours: source,
            theirs: destination,
        })
    }
}

/// Source and destination of an SA whose peer may roam.
#[inline]
fn ends(config: &SaConfig) -> Option<(SocketAddr, SocketAddr)> {
    let udp = config.encapsulation.filter(|_| config.may_roam())?;
    Some((
        SocketAddr::new(config.source, udp.source),
        SocketAddr::new(config.id.destination, udp.destination),
    ))
}

/// Where the peers are that are not where they were configured to be.
#[derive(Clone, Debug, Default)]
pub(super) struct Roamers(HashMap<Way, SocketAddr, FixedState>);

impl Roamers {
    #[inline]
    fn peer(&self, way: &Way) -> SocketAddr {
        self.0.get(way).copied().unwrap_or(way.theirs)
    }
}

impl View {
    /// Where the peer is whose packets the SA opens: where it was heard last. `None` if it does not
    /// roam.
    #[inline]
    pub fn heard_at(&self, sa: &Sa) -> Option<SocketAddr> {
        Some(self.roamers.peer(&Way::inbound(&sa.config)?))
    }

    /// Where packets go that the SA seals. `None` if its peer does not roam.
    pub fn sent_to(&self, sa: &Sa) -> Option<SocketAddr> {
        Some(self.roamers.peer(&Way::outbound(&sa.config)?))
    }

    /// Where packets go that the SA seals, if that is not where it was configured to send.
    pub(crate) fn moved(&self, sa: &Sa) -> Option<SocketAddr> {
        self.roamers.0.get(&Way::outbound(&sa.config)?).copied()
    }

    /// All SAs with this SPI, whatever their destination.
    pub(crate) fn with_spi(&self, spi: u32) -> impl Iterator<Item = &Sa> {
        let places = self.by_spi.get(&spi).into_iter().flatten();
        places.filter_map(|place| Some(&*self.entries.get(*place as usize)?.sa))
    }

    /// Whether a newer SA that has already received stands in this one's place: what still comes
    /// through the old one may have been on its way for long.
    pub(crate) fn is_replaced(&self, old: &Sa) -> bool {
        let config = &old.config;
        let pair = (config.source, config.id.destination);
        let siblings = self.by_pair.get(&pair).into_iter().flat_map(Siblings::iter);
        siblings
            .filter_map(|place| self.entries.get(place as usize))
            .any(|Entry { sa, .. }| {
                sa.serial > old.serial
                    && sa.config.encapsulation == config.encapsulation
                    && sa.config.reqid == config.reqid
                    && sa.config.selector == config.selector
                    && sa.runtime.packets() > 0
            })
    }

    /// The peer of this SA, which we open, is there from now on. Choices of SAs that send to it
    /// are made again.
    pub(crate) fn move_peer(&mut self, id: &SaId, to: SocketAddr) -> Result<(), SaError> {
        let sa = self.find(id).ok_or(SaError::Missing(*id))?;
        let way = Way::inbound(&sa.config).ok_or(SaError::NotRoaming(*id))?;
        if to == way.theirs {
            self.roamers.0.remove(&way);
        } else {
            self.roamers.0.insert(way, to);
        }
        let pair = (way.ours.ip(), way.theirs.ip());
        for place in self.by_pair.get(&pair).into_iter().flat_map(Siblings::iter) {
            if let Some(entry) = self.entries.get_mut(place as usize)
                && Way::outbound(&entry.sa.config) == Some(way)
            {
                entry.generation = entry.generation.wrapping_add(1);
            }
        }
        Ok(())
    }

    /// Forgets where peers were to whom no SA leads any more.
    pub(super) fn forget_roamers(&mut self) {
        if self.roamers.0.is_empty() {
            return;
        }
        let mut left = Roamers::default();
        for entry in &self.entries {
            let config = &entry.sa.config;
            for way in [Way::inbound(config), Way::outbound(config)] {
                if let Some((way, peer)) = way.and_then(|way| self.roamers.0.get_key_value(&way)) {
                    left.0.insert(*way, *peer);
                }
            }
        }
        self.roamers = left;
    }
}
