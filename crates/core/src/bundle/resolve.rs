//! Policy and templates to SAs.

use std::sync::Arc;

use sealway_wire::{Family, ipv4, ipv6};

use super::{Bundle, Step, Treatment};
use crate::flow::Key;
use crate::spd::{Action, Level, Mode, Policy, Template};
use crate::tables::{DefaultAction, Tables};
use crate::xform;

/// A template that demands an SA found none.
#[derive(Debug)]
pub(crate) struct Unresolved;

/// The bundle for an outbound flow under its policy. The SAs are the newest that each template
/// can choose.
pub(crate) fn resolve(
    policy: Option<&Arc<Policy>>,
    key: &Key,
    tables: &Tables,
) -> Result<Bundle, Unresolved> {
    let mut waiting = None;
    let treatment = match policy.map(|policy| &policy.config.action) {
        None => match tables.default {
            DefaultAction::Discard => Treatment::Discard,
            DefaultAction::Bypass => Treatment::Bypass,
        },
        Some(Action::Protect(templates)) => {
            let (steps, complete) = choose(templates, key, tables)?;
            if !complete {
                waiting = Some(tables.sad.generation());
            }
            Treatment::Protect(steps)
        }
        Some(action) => Treatment::of(action).unwrap_or(Treatment::Discard),
    };
    let mut bundle = Bundle {
        policy: policy.cloned(),
        treatment,
        largest: (0, u16::MAX),
        waiting,
        paths: tables.paths.generation(),
    };
    let header = plain_header(key.family());
    let mtu = tables.paths.mtu(bundle.far_end(key.destination()));
    bundle.largest = (header as u16, largest(bundle.steps(), mtu, header));
    Ok(bundle)
}

/// The SAs of the templates, innermost first, and whether every template has one.
fn choose(
    templates: &[Template],
    key: &Key,
    tables: &Tables,
) -> Result<(Vec<Step>, bool), Unresolved> {
    let mut steps = Vec::with_capacity(templates.len());
    let mut complete = true;
    // Selectors of an SA speak of what it carries: of the packet as read up to the first tunnel,
    // of the tunnel's own packet behind it.
    let mut carried = *key;
    for template in templates {
        let ends = match template.mode {
            Mode::Transport => (carried.source(), carried.destination()),
            Mode::Tunnel {
                source,
                destination,
            } => (source, destination),
        };
        match tables.sad.choose(template, ends, &carried) {
            Some((sa, index, generation)) => {
                let applied = template.mode.applied();
                steps.push(Step {
                    sa: Arc::clone(sa),
                    applied,
                    index,
                    generation,
                });
                carried = xform::carried_by(sa, applied, &carried);
            }
            None if template.level == Level::Use => complete = false,
            None => return Err(Unresolved),
        }
    }
    Ok((steps, complete))
}

/// Octets of an IP header without options or extension headers.
pub(crate) const fn plain_header(family: Family) -> usize {
    match family {
        Family::V4 => ipv4::HEADER,
        Family::V6 => ipv6::HEADER,
    }
}

/// The largest packet, with `header` octets before its fragmentable part, that these SAs turn into
/// one of at most `mtu` octets.
pub(crate) fn largest(steps: &[Step], mtu: u16, header: usize) -> u16 {
    if steps.is_empty() {
        return u16::MAX;
    }
    let mut limit = usize::from(mtu);
    for (index, step) in steps.iter().enumerate().rev() {
        // A transport SA keeps the header of what it is given: a tunnel's, or the packet's own.
        let mut before = steps[..index].iter().rev();
        let tunnel = before.find(|step| step.is_tunnel());
        let kept = tunnel.map_or(header, |step| xform::outer_header(&step.sa));
        limit = xform::room(&step.sa, step.applied, limit, kept);
    }
    limit.min(usize::from(u16::MAX)) as u16
}
