//! Policies and selectors.

use std::ops::RangeInclusive;

use sealway_core::sad::SaError;
use sealway_core::selector::{AddressRange, Selector, Upper};
use sealway_core::spd::{self, Action, Level, Mode, PolicyConfig, PolicyError, Template};
use sealway_setkey::{self as tree, Diagnostic, Spanned};
use sealway_wire::protocol;

use super::{Translated, refused, wrong};

/// Protocols with ports: what `any` with ports means. Each becomes a policy of its own.
const WITH_PORTS: [u8; 5] = [
    protocol::TCP,
    protocol::UDP,
    protocol::DCCP,
    protocol::SCTP,
    protocol::UDP_LITE,
];

/// Linux's number of a policy without a priority: lower wins, as in the engine.
const MIDDLE: i64 = 1 << 31;

/// The policies that an `spdadd` asks for: one, or one per protocol with ports.
pub(super) fn configs(entry: &tree::SpdEntry) -> Translated<Vec<PolicyConfig>> {
    let direction = direction(entry.policy.direction.value);
    let action = action(direction, &entry.policy.action)?;
    let priority = match &entry.policy.priority {
        None => 0,
        Some(priority) => priority.value,
    };
    let priority = u32::try_from(MIDDLE - priority).map_err(|_| {
        let span = entry
            .policy
            .priority
            .as_ref()
            .map(|p| p.span)
            .unwrap_or_default();
        wrong(span, "a priority is from -2147483647 to 2147483648")
    })?;
    let config = |selector| PolicyConfig {
        direction,
        selector,
        priority,
        action: action.clone(),
    };
    Ok(selectors(&entry.selector)?
        .into_iter()
        .map(config)
        .collect())
}

/// The priority in ipsec-tools' numbers: higher wins, 0 is the middle.
pub(crate) fn priority_of(config: &PolicyConfig) -> i64 {
    MIDDLE - i64::from(config.priority)
}

pub(super) fn direction(direction: tree::Direction) -> spd::Direction {
    match direction {
        tree::Direction::Out => spd::Direction::Out,
        tree::Direction::In => spd::Direction::In,
        tree::Direction::Fwd => spd::Direction::Fwd,
    }
}

fn action(direction: spd::Direction, action: &Spanned<tree::Action>) -> Translated<Action> {
    let templates = match &action.value {
        tree::Action::Discard => return Ok(Action::Discard),
        tree::Action::None => return Ok(Action::Bypass),
        tree::Action::Ipsec(templates) => templates,
    };
    if templates.len() > PolicyConfig::MAX_TEMPLATES {
        let error = PolicyError::TooManyTemplates(templates.len());
        return Err(wrong(action.span, error.to_string()));
    }
    let templates = templates.iter().map(|t| template(direction, &t.value));
    Ok(Action::Protect(templates.collect::<Result<_, _>>()?))
}

fn template(direction: spd::Direction, template: &tree::Template) -> Translated<Template> {
    if template.protocol.value == tree::Protocol::Ah {
        return Err(refused(
            template.protocol.span,
            SaError::AhUnsupported.to_string(),
        ));
    }
    let mode = match (template.mode.value, &template.endpoints) {
        (tree::Mode::Tunnel, Some(ends)) => Mode::Tunnel {
            source: ends.source.address.value,
            destination: ends.destination.address.value,
        },
        (tree::Mode::Tunnel, None) => {
            return Err(wrong(template.mode.span, "a tunnel needs both of its ends"));
        }
        (tree::Mode::Transport | tree::Mode::Any, _) => Mode::Transport,
    };
    let level = match template.level.value {
        tree::Level::Default | tree::Level::Require => Level::Require,
        tree::Level::Use => Level::Use,
        tree::Level::Unique => Level::Unique,
    };
    if level == Level::Use && direction == spd::Direction::Out && mode != Mode::Transport {
        return Err(refused(
            template.level.span,
            PolicyError::UseTunnel.to_string(),
        ));
    }
    if level == Level::Unique && template.reqid.is_none() {
        return Err(Box::new(
            Diagnostic::refused(
                template.level.span,
                "`unique` without a number waits for an SA that only a key manager can make, \
                 and none is attached",
            )
            .help("write `unique:N`, and `-u N` at the SA"),
        ));
    }
    Ok(Template {
        protocol: super::protocol(template.protocol.value),
        mode,
        level,
        reqid: template.reqid.as_ref().map(|reqid| reqid.value),
    })
}

/// The selectors that a selector of setkey's stands for: one, or one per protocol with ports.
pub(super) fn selectors(selector: &tree::Selector) -> Translated<Vec<Selector>> {
    let source = addresses(&selector.source.addresses)?;
    let destination = addresses(&selector.destination.addresses)?;
    let ports = (
        selector.source.ports.value,
        selector.destination.ports.value,
    );
    let one = |upper| {
        Selector::new(source, destination, upper)
            .map_err(|error| wrong(selector.destination.addresses.span, error.to_string()))
    };
    match (selector.upper.value, ports) {
        (tree::Upper::Any, (tree::Ports::Any, tree::Ports::Any)) => Ok(vec![one(Upper::Any)?]),
        (tree::Upper::Protocol(protocol), (tree::Ports::Any, tree::Ports::Any)) => {
            Ok(vec![one(Upper::Protocol(protocol))?])
        }
        (tree::Upper::Any, ports) => WITH_PORTS
            .into_iter()
            .map(|protocol| one(words(protocol, ports)))
            .collect(),
        (tree::Upper::Protocol(protocol), ports) => Ok(vec![one(words(protocol, ports))?]),
        (
            tree::Upper::Icmp {
                version,
                message_type,
                codes,
            },
            _,
        ) => Ok(vec![one(icmp(version, message_type, codes))?]),
    }
}

fn words(protocol: u8, (source, destination): (tree::Ports, tree::Ports)) -> Upper {
    Upper::Words {
        protocol,
        first: ports(source),
        second: ports(destination),
    }
}

fn ports(ports: tree::Ports) -> RangeInclusive<u16> {
    match ports {
        tree::Ports::Any => 0..=u16::MAX,
        tree::Ports::Range { first, last } => first..=last,
    }
}

fn icmp(version: tree::IcmpVersion, message_type: u8, codes: tree::Codes) -> Upper {
    let message_type = u16::from(message_type);
    Upper::Words {
        protocol: match version {
            tree::IcmpVersion::V4 => protocol::ICMP,
            tree::IcmpVersion::V6 => protocol::ICMPV6,
        },
        first: message_type..=message_type,
        second: match codes {
            tree::Codes::Any => 0..=u16::MAX,
            tree::Codes::Range { first, last } => u16::from(first)..=u16::from(last),
        },
    }
}

fn addresses(addresses: &Spanned<tree::Addresses>) -> Translated<AddressRange> {
    match addresses.value {
        tree::Addresses::Prefix { network, length } => AddressRange::prefix(network, length),
        tree::Addresses::Range { first, last } => AddressRange::range(first, last),
    }
    .map_err(|error| wrong(addresses.span, error.to_string()))
}
