//! Policy and templates to SAs.

use std::net::IpAddr;
use std::sync::Arc;

use sealway_wire::{Family, ipv4, ipv6};

use super::{Bundle, Step, Treatment};
use crate::flow::Key;
use crate::spd::{Action, Level, Mode, Policy, Template};
use crate::tables::{DefaultAction, Tables};
use crate::xform;

/// A template without an SA.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Missing {
    /// Which template of its policy, counted from 0.
    pub(crate) template: usize,
    /// The ends that the SA must have.
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
}

/// The bundle for an outbound flow under its policy, and the first template of level `use` that
/// found no SA. The SAs are the newest that each template can choose.
///
/// # Errors
/// A template that demands an SA found none.
pub(crate) fn resolve(
    policy: Option<&Arc<Policy>>,
    key: &Key,
    tables: &Tables,
) -> Result<(Bundle, Option<Missing>), Missing> {
    let mut without = None;
    let treatment = match policy.map(|policy| &policy.config.action) {
        None => match tables.default {
            DefaultAction::Discard => Treatment::Discard,
            DefaultAction::Bypass => Treatment::Bypass,
        },
        Some(Action::Protect(templates)) => {
            let steps;
            (steps, without) = choose(templates, key, tables)?;
            Treatment::Protect(steps)
        }
        Some(action) => Treatment::of(action).unwrap_or(Treatment::Discard),
    };
    let mut bundle = Bundle {
        policy: policy.cloned(),
        treatment,
        largest: (0, u16::MAX),
        is_narrow: false,
        waiting: without.map(|_| tables.sad.generation()),
        paths: tables.paths.generation(),
    };
    let header = plain_header(key.family());
    let far_end = bundle.far_end(key.destination());
    let mtu = tables.paths.mtu(far_end);
    bundle.is_narrow = tables.paths.is_narrow(far_end);
    bundle.largest = (header as u16, largest(bundle.steps(), mtu, header));
    Ok((bundle, without))
}

/// The SAs of the templates, innermost first, and the first template that may go without and does.
fn choose(
    templates: &[Template],
    key: &Key,
    tables: &Tables,
) -> Result<(Vec<Step>, Option<Missing>), Missing> {
    let mut steps = Vec::with_capacity(templates.len());
    let mut without = None;
    // Selectors of an SA speak of what it carries: of the packet as read up to the first tunnel,
    // of the tunnel's own packet behind it.
    let mut carried = *key;
    for (index, template) in templates.iter().enumerate() {
        let ends = match template.mode {
            Mode::Transport => (carried.source(), carried.destination()),
            Mode::Tunnel {
                source,
                destination,
            } => (source, destination),
        };
        match tables.sad.choose(template, ends, &carried) {
            Some((sa, place, generation)) => {
                let applied = template.mode.applied();
                let moved = tables.sad.moved(sa);
                steps.push(Step {
                    sa: Arc::clone(sa),
                    applied,
                    index: place,
                    generation,
                    moved: moved.map(Box::new),
                });
                carried = xform::carried_by(sa, applied, moved, &carried);
            }
            None => {
                let missing = Missing {
                    template: index,
                    source: ends.0,
                    destination: ends.1,
                };
                if template.level != Level::Use {
                    return Err(missing);
                }
                without = without.or(Some(missing));
            }
        }
    }
    Ok((steps, without))
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
