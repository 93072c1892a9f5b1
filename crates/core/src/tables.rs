//! Everything that datapaths read and only `control` writes, as one version.

use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::path::{LocalAddresses, Paths};
use crate::{sad, spd};

/// What to do with traffic that no policy speaks of.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum DefaultAction {
    /// Drop it.
    #[default]
    Discard,
    /// Let it pass in the clear.
    Bypass,
}

/// Whether somebody answers acquires.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum KeyManager {
    /// Nobody: a packet whose SA is missing is dropped at once.
    #[default]
    Absent,
    /// A key manager: it is asked for the SA, and the packet waits.
    Attached,
}

/// One version of the policies, the SAs and what is known of the network. It does not change:
/// whoever holds it judges every packet of a batch by the same rules.
#[derive(Clone, Debug)]
pub struct Tables {
    /// Policies.
    pub spd: spd::View,
    /// SAs.
    pub sad: sad::View,
    /// Our own addresses.
    pub local: LocalAddresses,
    /// How large a packet each path takes.
    pub paths: Paths,
    /// What to do without a policy.
    pub default: DefaultAction,
    /// Who makes SAs that are missing.
    pub key_manager: KeyManager,
}

impl Tables {
    pub(crate) fn new(default: DefaultAction, link_mtu: u16) -> Self {
        Tables {
            spd: spd::View::default(),
            sad: sad::View::default(),
            local: LocalAddresses::default(),
            paths: Paths::new(link_mtu),
            default,
            key_manager: KeyManager::Absent,
        }
    }

    /// Where the peer of an SA is that lets it [roam](crate::sad::Peer); `None` for other SAs.
    pub fn peer(&self, sa: &sad::Sa) -> Option<SocketAddr> {
        match self.local.contains(sa.config.id.destination) {
            true => self.sad.heard_at(sa),
            false => self.sad.sent_to(sa),
        }
    }
}

/// Where `control` publishes and datapaths look. A reader pins a version at the start of a batch.
#[derive(Clone, Debug)]
pub struct Shared(Arc<ArcSwap<Tables>>);

impl Shared {
    pub(crate) fn new(tables: Tables) -> Self {
        Shared(Arc::new(ArcSwap::from_pointee(tables)))
    }

    /// The version in force.
    pub fn tables(&self) -> Arc<Tables> {
        self.0.load_full()
    }

    /// Makes `pinned` the version in force, without a reference counted if it is that already.
    #[inline]
    pub(crate) fn pin(&self, pinned: &mut Arc<Tables>) {
        let current = self.0.load();
        if !Arc::ptr_eq(&current, pinned) {
            *pinned = Arc::clone(&current);
        }
    }

    pub(crate) fn publish(&self, tables: Tables) {
        self.0.store(Arc::new(tables));
    }
}
