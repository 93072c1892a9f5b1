//! What a sound script may have said without meaning it.

use std::collections::{BTreeSet, HashMap};

use sealway_core::sad::{Sa, SaMode};
use sealway_core::selector::AddressRange;
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
    let mut before = Before::default();
    let shadowed = study.tables.spd.iter().filter_map(|policy| {
        let by = before.hiding(policy);
        before.insert(policy);
        let by = by?;
        let (source, span) = study.place_of_policy(policy);
        let message = "this policy is never asked: another takes all of its traffic before it";
        let found = Diagnostic::warning(span, message);
        let help = "give it a better priority, or take it away";
        let found = beside(found, source, study.place_of_policy(by), "this one");
        Some(("shadowed", (source, found.help(help))))
    });
    shadowed.collect()
}

/// Policies, in the order in which they are asked, by the prefixes that they are for: whoever takes all
/// of another's traffic is found without a look at each.
#[derive(Default)]
struct Before<'a> {
    count: usize,
    /// The lengths of source and destination prefixes that there are.
    lengths: BTreeSet<(u8, u8)>,
    by_prefixes: HashMap<(AddressRange, AddressRange), Vec<(usize, &'a Policy)>>,
    /// Those for addresses that are no prefix.
    others: Vec<(usize, &'a Policy)>,
}

impl<'a> Before<'a> {
    fn insert(&mut self, policy: &'a Policy) {
        let ends = ends(policy);
        let among = match (ends.0.prefix_length(), ends.1.prefix_length()) {
            (Some(source), Some(destination)) => {
                self.lengths.insert((source, destination));
                self.by_prefixes.entry(ends).or_default()
            }
            _ => &mut self.others,
        };
        among.push((self.count, policy));
        self.count += 1;
    }

    /// The first that hides the policy.
    fn hiding(&self, policy: &Policy) -> Option<&'a Policy> {
        let (source, destination) = ends(policy);
        let around = self.lengths.iter().filter_map(|&(long, wide)| {
            let source = AddressRange::prefix(source.first(), long).ok()?;
            let destination = AddressRange::prefix(destination.first(), wide).ok()?;
            self.by_prefixes.get(&(source, destination))
        });
        let found = around.flatten().chain(&self.others);
        let hiding = found.filter(|(_, other)| hides(other, policy));
        hiding.min_by_key(|(at, _)| *at).map(|(_, other)| *other)
    }
}

fn ends(policy: &Policy) -> (AddressRange, AddressRange) {
    let selector = &policy.config.selector;
    (*selector.source(), *selector.destination())
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::setkey::{Source, study};
    use proptest::prelude::*;
    use zeroize::Zeroizing;

    proptest! {
        /// The naive twin: each policy beside each of those before it.
        #[test]
        fn who_hides_a_policy_is_found_as_by_looking_at_each(
            rules in proptest::collection::vec(
                (0u8..8, 29u8..=32, 0u8..8, 0u8..3, 0usize..3, 0u8..4), 0..40,
            )
        ) {
            let mut text = String::new();
            for (from, length, to, more, direction, priority) in rules {
                let direction = ["out", "in", "fwd"][direction];
                // Both a range that may be no prefix, and prefixes; the same again replaces itself.
                let (last, shorter) = (to + more, 32 - more);
                for destination in [format!("10.0.1.{to}-10.0.1.{last}"), format!("10.0.1.{to}/{shorter}")] {
                    text += &format!(
                        "spdupdate 10.0.0.{from}/{length} {destination} any \
                         -P {direction} prio {priority} discard;\n"
                    );
                }
            }
            let text = Zeroizing::new(text);
            let study = study(&[Source { name: "a".into(), text }]).unwrap();
            let policies: Vec<_> = study.tables.spd.iter().collect();
            let mut before = Before::default();
            for policy in &policies {
                let naive = policies.iter().find(|other| hides(other, policy));
                let found = before.hiding(policy);
                prop_assert_eq!(found.map(|p| p.id), naive.map(|p| p.id));
                before.insert(policy);
            }
        }
    }
}
