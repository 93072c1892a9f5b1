//! Rules: which table of routes a packet is looked up in.

use std::net::IpAddr;

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::route::RouteProtocol;
use netlink_packet_route::rule::{RuleAction, RuleAttribute, RuleMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use sealway_wire::Family;

use super::{Error, Netlink};

/// The table of the host's own addresses.
pub const LOCAL_TABLE: u32 = 255;

/// Whose mark the kernel's own rules and routes bear.
pub const KERNEL: u8 = 2;

/// A rule, of those that can be said in these words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its place: lower is asked first.
    pub priority: u32,
    /// Its family.
    pub family: Family,
    /// Only what came in by the interface of this name; `lo`: what the host itself sends.
    pub came_by: Option<String>,
    /// Only what is bound to leave by the interface of this name.
    pub leaves_by: Option<String>,
    /// Only what is going there: a prefix.
    pub destination: Option<(IpAddr, u8)>,
    /// What to do.
    pub action: Action,
    /// Who made it; see `/etc/iproute2/rt_protos`.
    pub owner: u8,
}

/// What a rule does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Ask this table; if it has no answer, the next rule.
    Lookup(u32),
    /// Go on with the rule of this priority, which must be a later one.
    Goto(u32),
    /// Nothing: a place to go on at.
    Nothing,
}

impl Netlink {
    /// All rules of both families that can be said in a [`Rule`]'s words, in the order in which
    /// they are asked.
    pub fn rules(&mut self) -> Result<Vec<Rule>, Error> {
        let mut rules = Vec::new();
        for family in [Family::V4, Family::V6] {
            let mut message = RuleMessage::default();
            message.header.family = address_family(family);
            let message = RouteNetlinkMessage::GetRule(message);
            let answers = self.dump(message, || "cannot list the routing rules".to_owned())?;
            rules.extend(answers.iter().filter_map(|answer| match answer {
                RouteNetlinkMessage::NewRule(message) => rule_of(message),
                _ => None,
            }));
        }
        Ok(rules)
    }

    /// Adds a rule; EEXIST if there is the same already.
    pub fn add_rule(&mut self, rule: &Rule) -> Result<(), Error> {
        let message = RouteNetlinkMessage::NewRule(message_of(rule));
        self.request(message, NLM_F_CREATE | NLM_F_EXCL, || {
            format!("cannot add the routing rule {rule}")
        })?;
        Ok(())
    }

    /// Removes a rule.
    pub fn remove_rule(&mut self, rule: &Rule) -> Result<(), Error> {
        let message = RouteNetlinkMessage::DelRule(message_of(rule));
        self.request(message, 0, || {
            format!("cannot remove the routing rule {rule}")
        })?;
        Ok(())
    }
}

impl std::fmt::Display for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:", self.priority)?;
        if let Some(name) = &self.came_by {
            write!(f, " iif {name}")?;
        }
        if let Some(name) = &self.leaves_by {
            write!(f, " oif {name}")?;
        }
        if let Some((address, length)) = &self.destination {
            write!(f, " to {address}/{length}")?;
        }
        match self.action {
            Action::Lookup(table) => write!(f, " lookup {table}"),
            Action::Goto(priority) => write!(f, " goto {priority}"),
            Action::Nothing => f.write_str(" nop"),
        }
    }
}

fn message_of(rule: &Rule) -> RuleMessage {
    let mut message = RuleMessage::default();
    message.header.family = address_family(rule.family);
    let attributes = &mut message.attributes;
    attributes.push(RuleAttribute::Priority(rule.priority));
    attributes.push(RuleAttribute::Protocol(RouteProtocol::from(rule.owner)));
    attributes.extend(rule.came_by.clone().map(RuleAttribute::Iifname));
    attributes.extend(rule.leaves_by.clone().map(RuleAttribute::Oifname));
    if let Some((address, length)) = rule.destination {
        message.header.dst_len = length;
        if length > 0 {
            attributes.push(RuleAttribute::Destination(address));
        }
    }
    message.header.action = match rule.action {
        Action::Lookup(table) => {
            attributes.push(RuleAttribute::Table(table));
            RuleAction::ToTable
        }
        Action::Goto(priority) => {
            attributes.push(RuleAttribute::Goto(priority));
            RuleAction::Goto
        }
        Action::Nothing => RuleAction::Nop,
    };
    message
}

/// `None` if there is more to it than a [`Rule`] can say.
fn rule_of(message: &RuleMessage) -> Option<Rule> {
    let header = &message.header;
    let mut rule = Rule {
        priority: 0,
        family: match header.family {
            AddressFamily::Inet => Family::V4,
            AddressFamily::Inet6 => Family::V6,
            _ => return None,
        },
        came_by: None,
        leaves_by: None,
        destination: None,
        action: Action::Nothing,
        owner: 0,
    };
    let (mut table, mut target) = (u32::from(header.table), None);
    for attribute in &message.attributes {
        match attribute {
            RuleAttribute::Priority(priority) => rule.priority = *priority,
            RuleAttribute::Protocol(owner) => rule.owner = u8::from(*owner),
            RuleAttribute::Iifname(name) => rule.came_by = Some(name.clone()),
            RuleAttribute::Oifname(name) => rule.leaves_by = Some(name.clone()),
            RuleAttribute::Destination(to) => rule.destination = Some((*to, header.dst_len)),
            RuleAttribute::Table(long) => table = *long,
            RuleAttribute::Goto(priority) => target = Some(*priority),
            // All ones: nothing is suppressed.
            RuleAttribute::SuppressPrefixLen(u32::MAX)
            | RuleAttribute::SuppressIfGroup(u32::MAX) => {}
            _ => return None,
        }
    }
    rule.action = match (header.action, target) {
        (RuleAction::ToTable, _) => Action::Lookup(table),
        (RuleAction::Goto, Some(priority)) => Action::Goto(priority),
        (RuleAction::Nop, _) => Action::Nothing,
        _ => return None,
    };
    let is_plain = header.src_len == 0 && header.tos == 0;
    is_plain.then_some(rule)
}

fn address_family(family: Family) -> AddressFamily {
    match family {
        Family::V4 => AddressFamily::Inet,
        Family::V6 => AddressFamily::Inet6,
    }
}
