//! Bundles: a policy with the SAs that its templates chose, ready to be applied. The only place
//! where SPD and SAD meet.
//!
//! Owned by its datapath's worker. A bundle is fresh while its policy's generation, its SAs and
//! its path are what they were when it was resolved; that is asked at each use, and nothing is
//! ever searched to be flushed.

mod resolve;
mod table;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use sealway_packet::{Encapsulation, Outer};

use crate::sad::{Applied, Index, Sa};
use crate::spd::{Action, Policy, PolicyConfig};
use crate::tables::Tables;
use crate::xform::Fields;

pub(crate) use resolve::{Missing, largest, resolve};
pub(crate) use table::{Reference, Table};

/// What is done to the packets of a flow.
#[derive(Debug)]
pub(crate) struct Bundle {
    /// The policy that decided; `None`: the default.
    pub(crate) policy: Option<Arc<Policy>>,
    pub(crate) treatment: Treatment,
    /// The largest packet of the plain header length that fits the path, as `(header, octets)`.
    pub(crate) largest: (u16, u16),
    /// Whether the path takes less than that, so that outer packets may be fragmented.
    pub(crate) is_narrow: bool,
    /// The SAD's generation, if a template went without an SA (level `use`).
    waiting: Option<u64>,
    paths: u64,
}

/// The outcome of a policy for an outbound packet.
#[derive(Debug)]
pub(crate) enum Treatment {
    Bypass,
    Discard,
    /// These SAs, the first innermost; none, where every template could be left out.
    Protect(Vec<Step>),
}

/// One SA of a bundle.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) sa: Arc<Sa>,
    /// As the template asks for it.
    applied: Applied,
    index: Index,
    generation: u32,
    /// Where its peer is, if it has roamed.
    moved: Option<Box<SocketAddr>>,
}

impl Step {
    /// Whether whole IP packets are carried.
    #[inline]
    pub(crate) fn is_tunnel(&self) -> bool {
        self.applied == Applied::Tunnel
    }

    /// The whole header of a packet that its SA sealed.
    #[inline]
    pub(crate) fn outer(&self, fields: Fields) -> Outer {
        let mut outer = fields.outer(&self.sa);
        if let Some(peer) = &self.moved {
            outer.destination = peer.ip();
            if let Encapsulation::Udp { destination, .. } = &mut outer.encapsulation {
                *destination = peer.port();
            }
        }
        outer
    }

    /// Where it goes.
    fn far_end(&self) -> IpAddr {
        let moved = self.moved.as_ref().map(|peer| peer.ip());
        moved.unwrap_or(self.sa.config.id.destination)
    }
}

impl Bundle {
    /// Whether resolving again would give the same.
    #[inline]
    pub(crate) fn is_fresh(&self, tables: &Tables) -> bool {
        let steps_are_fresh = match &self.treatment {
            Treatment::Protect(steps) => steps
                .iter()
                .all(|step| tables.sad.is_fresh(&step.sa, step.index, step.generation)),
            Treatment::Bypass | Treatment::Discard => true,
        };
        steps_are_fresh
            && self.paths == tables.paths.generation()
            && self
                .waiting
                .is_none_or(|generation| generation == tables.sad.generation())
    }

    pub(crate) fn steps(&self) -> &[Step] {
        match &self.treatment {
            Treatment::Protect(steps) => steps,
            Treatment::Bypass | Treatment::Discard => &[],
        }
    }

    /// Where the outermost header of a packet to `destination` goes.
    pub(crate) fn far_end(&self, destination: IpAddr) -> IpAddr {
        self.steps().last().map_or(destination, Step::far_end)
    }
}

/// What tells a bundle from others: the policy, the SAs with how they are applied, and whether it lets packets pass as they
/// are, which without a policy the default decides.
pub(crate) type Identity = (Option<u32>, [u64; PolicyConfig::MAX_TEMPLATES], bool);

impl Bundle {
    fn identity(&self) -> Identity {
        let mut serials = [u64::MAX; PolicyConfig::MAX_TEMPLATES];
        for (serial, step) in serials.iter_mut().zip(self.steps()) {
            *serial = step.sa.serial.0 << 1 | u64::from(step.is_tunnel());
        }
        let bypass = matches!(self.treatment, Treatment::Bypass);
        let policy = self.policy.as_ref().map(|policy| policy.id.0);
        (policy, serials, bypass)
    }
}

impl Treatment {
    fn of(action: &Action) -> Option<Treatment> {
        match action {
            Action::Bypass => Some(Treatment::Bypass),
            Action::Discard => Some(Treatment::Discard),
            Action::Protect(_) => None,
        }
    }
}
