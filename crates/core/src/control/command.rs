//! What can be asked of the engine.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::path::LocalAddresses;
use crate::sad::{Continuation, Protocol, SaConfig, SaId};
use crate::selector::Selector;
use crate::spd::{Direction, PolicyConfig};
use crate::tables::{DefaultAction, KeyManager};

/// One change.
#[derive(Clone, Debug)]
pub enum Command {
    /// A new SA.
    AddSa(Box<SaConfig>),
    /// An SA of this transaction goes on where an earlier run may have come, and keeps within the
    /// numbers that storage has reserved: [`Event::ReserveMore`](crate::Event::ReserveMore) asks
    /// for more, and [`Runtime`](crate::sad::Runtime) takes them.
    Continue {
        /// The SA.
        id: SaId,
        /// Where it goes on.
        from: Continuation,
    },
    /// The peer of this SA, which is opened here and lets its peer roam, is found there from now on:
    /// what goes to it through any SA between the same ends that lets it roam goes there. The answer
    /// to [`Event::Mapping`](crate::Event::Mapping).
    Map {
        /// The SA.
        sa: SaId,
        /// Address and port of the peer; of the SA's family.
        to: SocketAddr,
    },
    /// No more of this SA.
    DeleteSa(SaId),
    /// No more SAs, of one protocol or at all.
    FlushSas(Option<Protocol>),
    /// A new policy.
    AddPolicy(PolicyConfig),
    /// No more of the policy with this direction and selector (the best, if several priorities
    /// have it).
    DeletePolicy {
        /// Its direction.
        direction: Direction,
        /// Its traffic.
        selector: Selector,
    },
    /// No more policies.
    FlushPolicies,
    /// Which addresses are ours.
    SetLocalAddresses(LocalAddresses),
    /// What to do without a policy.
    SetDefault(DefaultAction),
    /// Whether somebody answers acquires.
    SetKeyManager(KeyManager),
    /// How large a packet the link takes, in octets of the IP packet.
    SetLinkMtu(u16),
    /// A path takes no more than this.
    LearnPathMtu {
        /// The outer destination.
        destination: IpAddr,
        /// Octets of the IP packet.
        mtu: u16,
    },
    /// How long path MTUs that are learned from now on are remembered; [`Paths::MEMORY`] until
    /// somebody says so.
    ///
    /// [`Paths::MEMORY`]: crate::path::Paths::MEMORY
    SetMtuMemory(Duration),
}
