//! What can be asked of the engine.

use std::net::IpAddr;

use crate::path::LocalAddresses;
use crate::sad::{Protocol, SaConfig, SaId};
use crate::selector::Selector;
use crate::spd::{Direction, PolicyConfig};
use crate::tables::DefaultAction;

/// One change.
#[derive(Clone, Debug)]
pub enum Command {
    /// A new SA.
    AddSa(Box<SaConfig>),
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
    /// How large a packet the link takes, in octets of the IP packet.
    SetLinkMtu(u16),
    /// A path takes no more than this.
    LearnPathMtu {
        /// The outer destination.
        destination: IpAddr,
        /// Octets of the IP packet.
        mtu: u16,
    },
}
