//! What a sound script may have said without meaning it.

use std::collections::HashMap;

use sealway_core::sad::{Sa, SaMode};
use sealway_core::spd::{Action, Direction, Level, Mode, Policy, Template};
use sealway_setkey::{Diagnostic, Span};

use crate::setkey::{Place, Study};

/// A kind of finding, the source and what is found there.
type Found = (&'static str, (usize, Diagnostic));

pub(super) fn all(study: &Study) -> Vec<Found> {
    let mut found = shadowed(study);
    found.extend(leaks(study));
    found.extend(without_sa(study));
    found.extend(keys_used_twice(study));
    found
}

/// Policies whose traffic another, asked before them, takes whole.
fn shadowed(study: &Study) -> Vec<Found> {
    let policies: Vec<_> = study.tables.spd.iter().collect();
    let shadowed = policies.iter().filter_map(|policy| {
        let by = policies.iter().find(|other| hides(other, policy))?;
        let (source, span) = study.place_of_policy(policy);
        let message = "this policy is never asked: another takes all of its traffic before it";
        let found = Diagnostic::warning(span, message);
        let help = "give it a better priority, or take it away";
        let found = beside(found, source, study.place_of_policy(by), "this one");
        Some(("shadowed", (source, found.help(help))))
    });
    shadowed.collect()
}

/// Whether `other` is asked before `policy` wherever that is asked, and takes all of its traffic.
fn hides(other: &Policy, policy: &Policy) -> bool {
    let is_before = match (other.config.direction, policy.config.direction) {
        (a, b) if a == b => (other.config.priority, other.id) < (policy.config.priority, policy.id),
        // It covers what is forwarded too, behind what names that.
        (Direction::In, Direction::Fwd) => other.config.priority < policy.config.priority,
        _ => false,
    };
    is_before && other.config.selector.includes(&policy.config.selector)
}

/// Templates that let packets pass without their SA.
fn leaks(study: &Study) -> Vec<Found> {
    let lax = |policy: &Policy| templates(policy).iter().any(|t| t.level == Level::Use);
    let policies = study.tables.spd.iter().filter(|policy| lax(policy));
    let found = policies.map(|policy| {
        let (source, span) = study.place_of_policy(policy);
        let message = match policy.config.direction {
            Direction::Out => "level `use` sends in the clear while there is no SA",
            Direction::In | Direction::Fwd => "level `use` lets packets in that came in the clear",
        };
        let found = Diagnostic::warning(span, message);
        ("leak", (source, found.help("write `require`")))
    });
    found.collect()
}

/// Templates that none of the SAs serves.
fn without_sa(study: &Study) -> Vec<Found> {
    let mut found = Vec::new();
    for policy in study.tables.spd.iter() {
        for template in templates(policy) {
            if study
                .tables
                .sad
                .iter()
                .any(|sa| serves(sa, template, policy))
            {
                continue;
            }
            let (source, span) = study.place_of_policy(policy);
            let message = format!(
                "no SA serves {template}: until one is added, {}",
                match template.level {
                    Level::Use => "packets pass in the clear",
                    Level::Require | Level::Unique => "packets are dropped",
                }
            );
            found.push(("no_sa", (source, Diagnostic::warning(span, message))));
        }
    }
    found
}

fn templates(policy: &Policy) -> &[Template] {
    match &policy.config.action {
        Action::Protect(templates) => templates,
        Action::Bypass | Action::Discard => &[],
    }
}

/// Whether the SA could serve the template for some of the policy's traffic.
fn serves(sa: &Sa, template: &Template, policy: &Policy) -> bool {
    let (source, destination) = (sa.config.source, sa.config.id.destination);
    let selector = &policy.config.selector;
    let is_alone = templates(policy).len() == 1;
    let ends = match template.mode {
        Mode::Tunnel {
            source: a,
            destination: b,
        } => sa.config.mode != SaMode::Transport && (source, destination) == (a, b),
        // Inside or around a tunnel its ends are another's.
        Mode::Transport => {
            sa.config.mode != SaMode::Tunnel
                && (!is_alone
                    || selector.source().contains(source)
                        && selector.destination().contains(destination))
        }
    };
    let reqid = template.reqid.is_none_or(|reqid| reqid == sa.config.reqid);
    ends && reqid && sa.config.id.protocol == template.protocol
}

/// Keys that two SAs have.
fn keys_used_twice(study: &Study) -> Vec<Found> {
    let mut first: HashMap<&[u8], &Sa> = HashMap::new();
    let mut found = Vec::new();
    for sa in study.tables.sad.iter() {
        let config = &sa.config;
        for key in [
            config.encryption_key.expose(),
            config.authentication_key.expose(),
        ] {
            if key.is_empty() {
                continue;
            }
            let Some(other) = first.get(key) else {
                first.insert(key, sa);
                continue;
            };
            let (source, span) = study.place_of_sa(sa);
            let diagnostic = Diagnostic::warning(span, "this SA has a key that another has too");
            let place = study.place_of_sa(other);
            let diagnostic = beside(diagnostic, source, place, "the other");
            let help =
                "every SA, of every direction too, needs keys of its own: `openssl rand -hex 20`";
            found.push(("key_used_twice", (source, diagnostic.help(help))));
            break;
        }
    }
    found
}

/// Marks another place if it is in the same source.
fn beside(found: Diagnostic, source: usize, (other, span): Place, words: &str) -> Diagnostic {
    if source == other {
        found.related(Span::new(span.start, span.end), words)
    } else {
        found.label("the other stands in another file")
    }
}
