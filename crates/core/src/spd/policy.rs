//! One SPD entry.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::{Level, Mode, Template};
use crate::selector::Selector;

/// Which way traffic goes through the IPsec boundary.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub enum Direction {
    /// From the protected side to the unprotected one.
    Out,
    /// From the unprotected side to an address of ours.
    In,
    /// From the unprotected side to somewhere behind us.
    Fwd,
}

impl Direction {
    /// All three.
    pub const ALL: [Direction; 3] = [Direction::Out, Direction::In, Direction::Fwd];
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Direction::Out => "out",
            Direction::In => "in",
            Direction::Fwd => "fwd",
        })
    }
}

/// What a policy does with its traffic (RFC 4301 §4.4.1).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// Through SAs, one per template; the first is applied first.
    Protect(Vec<Template>),
    /// As it is.
    Bypass,
    /// Not at all.
    Discard,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::Bypass => f.write_str("none"),
            Action::Discard => f.write_str("discard"),
            Action::Protect(templates) => {
                f.write_str("ipsec")?;
                templates.iter().try_for_each(|t| write!(f, " {t}"))
            }
        }
    }
}

/// A policy as it is asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PolicyConfig {
    /// Its direction. `In` covers `Fwd` too, where no `Fwd` policy of the same priority or better
    /// matches (setkey's meaning).
    pub direction: Direction,
    /// Its traffic; for `In` and `Fwd` the source is the remote side.
    pub selector: Selector,
    /// Lower wins; among equals the older does.
    pub priority: u32,
    /// What to do.
    pub action: Action,
}

/// A policy that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// PROTECT without a template.
    #[error("a policy that protects needs at least one template, such as esp/transport//require")]
    NoTemplate,
    /// More templates than Sealway applies.
    #[error("{0} templates: at most {max} are applied to one packet", max = PolicyConfig::MAX_TEMPLATES)]
    TooManyTemplates(usize),
    /// `use` for an outbound tunnel.
    #[error(
        "level `use` cannot be kept for an outbound tunnel: without its SA the inner packet would \
         leave in the clear with private addresses; say `require`"
    )]
    UseTunnel,
    /// The tunnel's ends are of two families.
    #[error("the tunnel's ends {0} and {1} are of different families")]
    TunnelFamilies(std::net::IpAddr, std::net::IpAddr),
    /// The same policy exists.
    #[error("the same selector, direction and priority exists already as policy {0}")]
    Exists(PolicyId),
    /// No such policy.
    #[error("there is no such policy")]
    Missing,
}

impl PolicyConfig {
    /// The most templates that one policy may have.
    pub const MAX_TEMPLATES: usize = 4;

    /// Refuses what makes no sense.
    pub(crate) fn check(&self) -> Result<(), PolicyError> {
        let Action::Protect(templates) = &self.action else {
            return Ok(());
        };
        if templates.is_empty() {
            return Err(PolicyError::NoTemplate);
        }
        if templates.len() > PolicyConfig::MAX_TEMPLATES {
            return Err(PolicyError::TooManyTemplates(templates.len()));
        }
        for template in templates {
            let Mode::Tunnel {
                source,
                destination,
            } = template.mode
            else {
                continue;
            };
            if source.is_ipv4() != destination.is_ipv4() {
                return Err(PolicyError::TunnelFamilies(source, destination));
            }
            if template.level == Level::Use && self.direction == Direction::Out {
                return Err(PolicyError::UseTunnel);
            }
        }
        Ok(())
    }
}

/// A policy's number: never used twice while the engine lives.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct PolicyId(pub u32);

impl fmt::Display for PolicyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A policy in force.
#[derive(Debug)]
pub struct Policy {
    /// Its number, which also orders policies by age.
    pub id: PolicyId,
    /// What was asked for.
    pub config: PolicyConfig,
    packets: AtomicU64,
}

impl Policy {
    pub(crate) const fn new(id: PolicyId, config: PolicyConfig) -> Self {
        Policy {
            id,
            config,
            packets: AtomicU64::new(0),
        }
    }

    /// Packets that it decided.
    pub fn packets(&self) -> u64 {
        self.packets.load(Relaxed)
    }

    /// One worker writes this: a plain load and store.
    #[inline]
    pub(crate) fn count(&self) {
        self.packets.store(self.packets.load(Relaxed) + 1, Relaxed);
    }
}
