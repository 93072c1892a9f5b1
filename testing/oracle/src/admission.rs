//! The truth table: policies against the SAs that a packet came through (RFC 4301 §5.2 step 4,
//! DESIGN: admission).

use sealway_core::sad::SaMode;
use sealway_core::spd::{Action, Direction, Level, Mode, Template};
use sealway_core::{DefaultAction, DropReason};

use crate::fragments::refuse_tiny;
use crate::inbound::Came;
use crate::outbound::has_reqid;
use crate::packet::Ip;
use crate::policy::{Found, Traffic};
use crate::sa::Sa;
use crate::{Oracle, Verdict};

impl Oracle {
    pub(crate) fn admit(&mut self, came: Came, ip: &Ip) -> Result<Verdict, DropReason> {
        refuse_tiny(ip)?;
        let traffic = self.firsts_in.complete(ip, Traffic::of(ip), self.now);
        let used = came.through.iter();
        let used: Vec<Sa> = used.filter_map(|used| self.tables.sad.used(used)).collect();
        let through: Vec<&Sa> = used.iter().collect();
        let direction = match self.is_ours(ip.destination) {
            true => Direction::In,
            false => Direction::Fwd,
        };
        let by_tunnel = through.iter().any(|sa| sa.config.mode == SaMode::Tunnel);
        match self.tables.spd.find(direction, &traffic) {
            Found::Hidden if ip.is_later_fragment() => return Err(DropReason::FragmentNoState),
            Found::Hidden => return Err(DropReason::FragmentTiny),
            Found::None if self.tables.default == DefaultAction::Discard || by_tunnel => {
                return Err(DropReason::NoPolicyIn);
            }
            Found::None => {}
            Found::Policy(policy) => match &policy.action {
                Action::Discard => return Err(DropReason::PolicyDiscardIn),
                Action::Bypass if by_tunnel => return Err(DropReason::TunnelUnexpected),
                Action::Bypass => {}
                Action::Protect(templates) => {
                    let innermost_first: Vec<&Sa> = through.iter().rev().copied().collect();
                    if !satisfies(templates, &innermost_first) {
                        return Err(match through.is_empty() {
                            true => DropReason::Unprotected,
                            false => DropReason::TemplateMismatch,
                        });
                    }
                }
            },
        }
        Ok(Verdict::Delivered(came.delivered()))
    }
}

/// Whether there is a way to read the SAs, innermost first, as the templates in order of their
/// application: each template its SA but where it says `use`, each SA a template's but for
/// transport ones.
fn satisfies(templates: &[Template], sas: &[&Sa]) -> bool {
    match (templates, sas) {
        ([], []) => true,
        ([template, rest @ ..], [sa, others @ ..])
            if asks_for(template, sa) && satisfies(rest, others) =>
        {
            true
        }
        ([template, rest @ ..], _) if template.level == Level::Use && satisfies(rest, sas) => true,
        (_, [sa, others @ ..]) => {
            sa.config.mode == SaMode::Transport && satisfies(templates, others)
        }
        (_, []) => false,
    }
}

fn asks_for(template: &Template, sa: &Sa) -> bool {
    let config = &sa.config;
    let mode_agrees = match template.mode {
        Mode::Transport => config.mode == SaMode::Transport,
        Mode::Tunnel {
            source,
            destination,
        } => {
            config.mode == SaMode::Tunnel
                && (config.source, config.id.destination) == (source, destination)
        }
    };
    mode_agrees && config.id.protocol == template.protocol && has_reqid(template, config.reqid)
}
