//! The inbound policy check (RFC 4301 §5.2 step 4): may a packet that came through these SAs, or
//! through none, come in? The truth table:
//!
//! | policy  | no SA | transport SAs only | a tunnel SA left over | its SAs |
//! |---------|-------|--------------------|-----------------------|---------|
//! | PROTECT | drop (`use`: admit) | drop (`use`: admit) | drop  | admit   |
//! | BYPASS  | admit | admit              | drop                  | –       |
//! | DISCARD | drop  | drop               | drop                  | –       |
//! | none    | default | default          | drop                  | –       |

use std::sync::Arc;

use sealway_wire::Layout;

use super::input::{Batch, Inbound};
use super::sec_path::SecPath;
use crate::flow::Key;
use crate::sad::{self, Applied, Sa, Serial};
use crate::spd::{Action, Direction, Found, Level, Place, Policy, Template};
use crate::tables::{DefaultAction, Tables};
use crate::verdict::DropReason;

/// What the SPD says of an inbound flow, as the flow cache keeps it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Decision {
    direction: Direction,
    policy: Option<Place>,
    /// The SA through which alone, applied so, a packet of the flow was admitted.
    admitted: Option<(Serial, Applied)>,
}

impl Inbound {
    /// Admits the packet or says why not.
    #[allow(clippy::inline_always)]
    #[inline(always)]
    pub(super) fn admit(
        &mut self,
        batch: &Batch<'_>,
        layout: &Layout,
        packet: &[u8],
        path: &SecPath<'_>,
    ) -> Result<(), DropReason> {
        let mut key = Key::of(layout, packet);
        if layout.is_fragment() {
            key = self.fragments.complete(key, layout, batch.now)?;
        }
        let tables = batch.tables;
        let generation = tables.spd.generation();
        let known = self.flows.find(&key, generation);
        let mut decision = match known {
            Some(decision) => decision,
            None => decide(tables, &key, layout)?,
        };
        let policy = decision
            .policy
            .and_then(|place| tables.spd.at(decision.direction, place));
        if let Some(policy) = policy {
            policy.count();
        }
        let only = path.only().map(|(sa, applied)| (sa.serial, applied));
        if only.is_some() && only == decision.admitted {
            return Ok(());
        }
        let verdict = judge(tables, policy, path);
        if verdict.is_ok() && only.is_some() {
            decision.admitted = only;
            self.flows.fill(key, generation, decision);
        } else if known.is_none() {
            self.flows.fill(key, generation, decision);
        }
        verdict
    }
}

/// The policy of a flow that is not in the cache.
fn decide(tables: &Tables, key: &Key, layout: &Layout) -> Result<Decision, DropReason> {
    let direction = if tables.local.contains(key.destination()) {
        Direction::In
    } else {
        Direction::Fwd
    };
    let policy = match tables.spd.find(direction, key) {
        Found::Policy(_, place) => Some(place),
        Found::None => None,
        Found::PortsNeeded if layout.is_first() => return Err(DropReason::FragmentTiny),
        Found::PortsNeeded => return Err(DropReason::FragmentNoState),
    };
    Ok(Decision {
        direction,
        policy,
        admitted: None,
    })
}

/// The truth table.
fn judge(
    tables: &Tables,
    policy: Option<&Arc<Policy>>,
    path: &SecPath<'_>,
) -> Result<(), DropReason> {
    let used = path.used();
    let tunnel_used = used
        .iter()
        .flatten()
        .any(|(_, applied)| *applied == Applied::Tunnel);
    match policy.map(|policy| &policy.config.action) {
        Some(Action::Discard) => Err(DropReason::PolicyDiscardIn),
        Some(Action::Bypass) if tunnel_used => Err(DropReason::TunnelUnexpected),
        Some(Action::Bypass) => Ok(()),
        None if tunnel_used || tables.default == DefaultAction::Discard => {
            Err(DropReason::NoPolicyIn)
        }
        None => Ok(()),
        Some(Action::Protect(templates)) => {
            if satisfied(templates, used) {
                Ok(())
            } else if used.is_empty() {
                Err(DropReason::Unprotected)
            } else {
                Err(DropReason::TemplateMismatch)
            }
        }
    }
}

/// Whether the SAs used, outermost first, are what the templates, innermost first, ask for. A
/// transport SA may be left over, a tunnel SA may not; a template of level `use` may go without.
fn satisfied(templates: &[Template], used: &[Option<(&Sa, Applied)>]) -> bool {
    let Some((template, inner_templates)) = templates.split_last() else {
        return used
            .iter()
            .flatten()
            .all(|(_, applied)| *applied == Applied::Transport);
    };
    let by_next = match used.split_first() {
        Some((Some((sa, applied)), inner)) => {
            (*applied == template.mode.applied()
                && sad::serves(sa, template)
                && satisfied(inner_templates, inner))
                || (*applied == Applied::Transport && satisfied(templates, inner))
        }
        Some((None, _)) | None => false,
    };
    by_next || (template.level == Level::Use && satisfied(inner_templates, used))
}
