//! Policies: a plain list, scanned from its start for every packet.

use std::net::IpAddr;

use sealway_core::selector::{AddressRange, Selector, Upper};
use sealway_core::spd::{Action, Direction, Level, Mode, PolicyConfig};

use crate::packet::{Ip, Words, number};

/// What selectors see of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traffic {
    /// Source address.
    pub source: IpAddr,
    /// Destination address.
    pub destination: IpAddr,
    /// The protocol above IP, as far as the packet shows it.
    pub protocol: u8,
    /// Ports, or type and code.
    pub words: Words,
}

impl Traffic {
    /// That of a packet.
    pub fn of(ip: &Ip) -> Traffic {
        Traffic {
            source: ip.source,
            destination: ip.destination,
            protocol: ip.protocol,
            words: ip.words,
        }
    }
}

/// Whether a selector takes a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match {
    /// Yes.
    Yes,
    /// No.
    No,
    /// It would depend on what the packet, a later fragment, does not show.
    Hidden,
}

/// Looks at one selector (RFC 4301 §4.4.1.1).
pub fn matches(selector: &Selector, traffic: &Traffic) -> Match {
    if !contains(selector.source(), traffic.source)
        || !contains(selector.destination(), traffic.destination)
    {
        return Match::No;
    }
    let hidden_protocol = traffic.words == Words::Hidden
        && matches!(
            traffic.protocol,
            number::HOP_BY_HOP | number::ROUTING | number::FRAGMENT | number::DESTINATION_OPTIONS
        );
    let protocol_matches = |wanted: u8| match hidden_protocol {
        true => Match::Hidden,
        false if wanted == traffic.protocol => Match::Yes,
        false => Match::No,
    };
    match selector.upper() {
        Upper::Any => Match::Yes,
        Upper::Protocol(protocol) => protocol_matches(*protocol),
        Upper::Words {
            protocol,
            first,
            second,
        } => match (protocol_matches(*protocol), traffic.words) {
            (Match::No, _) | (_, Words::None) => Match::No,
            (_, Words::Hidden) => Match::Hidden,
            (_, Words::Known(a, b)) if first.contains(&a) && second.contains(&b) => Match::Yes,
            (_, Words::Known(..)) => Match::No,
        },
    }
}

fn contains(range: &AddressRange, address: IpAddr) -> bool {
    let same_family = range.first().is_ipv4() == address.is_ipv4();
    same_family && range.first() <= address && address <= range.last()
}

/// What the policies say of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found<'a> {
    /// This one decides.
    Policy(&'a PolicyConfig),
    /// None speaks of it.
    None,
    /// Which one decides hangs on what the packet does not show.
    Hidden,
}

/// Policies, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Spd {
    pub(crate) list: Vec<PolicyConfig>,
}

impl Spd {
    /// The policy that decides: lowest priority number first, then `fwd` before the `in` that
    /// covers it, then the older.
    pub fn find(&self, direction: Direction, traffic: &Traffic) -> Found<'_> {
        let mut ordered: Vec<&PolicyConfig> = self
            .list
            .iter()
            .filter(|policy| {
                let covered = direction == Direction::Fwd && policy.direction == Direction::In;
                policy.direction == direction || covered
            })
            .collect();
        // A stable sort: the list is in order of age.
        ordered.sort_by_key(|policy| (policy.priority, policy.direction != direction));
        for policy in ordered {
            match matches(&policy.selector, traffic) {
                Match::Yes => return Found::Policy(policy),
                Match::Hidden => return Found::Hidden,
                Match::No => {}
            }
        }
        Found::None
    }

    /// Adds a policy if it makes sense and is not there yet.
    pub(crate) fn add(&mut self, config: PolicyConfig) -> Option<()> {
        let exists = self.list.iter().any(|policy| {
            (policy.direction, &policy.selector, policy.priority)
                == (config.direction, &config.selector, config.priority)
        });
        if exists || !makes_sense(&config) {
            return None;
        }
        self.list.push(config);
        Some(())
    }

    /// Removes the best of those with this direction and selector.
    pub(crate) fn remove(&mut self, direction: Direction, selector: &Selector) -> Option<()> {
        let meant =
            |policy: &PolicyConfig| (policy.direction, &policy.selector) == (direction, selector);
        let best = self.list.iter().filter(|policy| meant(policy));
        let priority = best.map(|policy| policy.priority).min()?;
        self.list
            .retain(|policy| !meant(policy) || policy.priority != priority);
        Some(())
    }
}

fn makes_sense(config: &PolicyConfig) -> bool {
    let Action::Protect(templates) = &config.action else {
        return true;
    };
    let sound = templates.iter().all(|template| match template.mode {
        Mode::Transport => true,
        Mode::Tunnel {
            source,
            destination,
        } => {
            let lax = template.level == Level::Use && config.direction == Direction::Out;
            source.is_ipv4() == destination.is_ipv4() && !lax
        }
    });
    sound && (1..=PolicyConfig::MAX_TEMPLATES).contains(&templates.len())
}
