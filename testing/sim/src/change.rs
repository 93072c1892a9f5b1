//! Configuration: what a run starts with, and how it changes on the way.

use std::net::IpAddr;
use std::time::Duration;

use sealway_core::path::LocalAddresses;
use sealway_core::sad::{Continuation, SaConfig};
use sealway_core::spd::Direction;
use sealway_core::{Command, DefaultAction};
use sealway_crypto::SecretKey;

use crate::plan::{Plan, random_reserved, random_sa, stray_policy};
use crate::run::Run;
use crate::world::Side;

impl Run {
    /// Addresses, and (mostly) the SAs and policies of all plans on both sides.
    pub(crate) fn set_up(&mut self) -> Result<(), String> {
        for side in [Side::Left, Side::Right] {
            let mut commands = vec![Command::SetLocalAddresses(LocalAddresses::new(
                side.local(),
            ))];
            for plan in self.plans.clone() {
                commands.extend(self.commands_for(&plan, side));
            }
            if !self.apply(side, &commands)? {
                // One command of many was refused: one by one, then.
                for command in commands {
                    self.apply(side, &[command])?;
                }
            }
        }
        Ok(())
    }

    fn commands_for(&mut self, plan: &Plan, side: Side) -> Vec<Command> {
        let mut commands = Vec::new();
        for sa in &plan.sas {
            if self.dice.percent(94) {
                let sa = self.twisted(sa);
                commands.extend(self.added(sa));
            }
        }
        let directions: &[Direction] = match (plan.from == side, self.dice.below(4)) {
            (true, _) => &[Direction::Out],
            (false, 0) => &[Direction::In, Direction::Fwd],
            (false, 1) => &[Direction::Fwd],
            (false, _) => &[Direction::In],
        };
        for direction in directions {
            if self.dice.percent(94) {
                let policy = plan.policy(&mut self.dice, *direction);
                commands.push(Command::AddPolicy(policy));
            }
        }
        commands
    }

    /// The SA, now and then one that goes on where it was before.
    fn added(&mut self, sa: SaConfig) -> Vec<Command> {
        let (id, start) = (sa.id, sa.sequence.start);
        let mut commands = vec![Command::AddSa(Box::new(sa))];
        if self.dice.percent(6) {
            let mut up_to = |most| start + self.dice.weighted(&[(60, 0), (40, most)]);
            let from = Continuation {
                sent: up_to(5),
                received: up_to(3),
                iv_start: 77,
                reserved: random_reserved(&mut self.dice, start),
            };
            commands.push(Command::Continue { id, from });
        }
        commands
    }

    /// The SA, or one that differs from the other side's.
    fn twisted(&mut self, sa: &SaConfig) -> SaConfig {
        let mut sa = sa.clone();
        match self.dice.below(60) {
            // The key that the ICV needs: what decrypts wrongly and verifies is beyond the model.
            0 if sa.authentication_key.is_empty() => {
                sa.encryption_key = SecretKey::new(self.dice.octets(sa.suite.key_octets()));
            }
            0 => {
                let octets = sa.suite.authentication_key_octets();
                sa.authentication_key = SecretKey::new(self.dice.octets(octets));
            }
            1 => sa.sequence.start += 7,
            2 => sa.encapsulation = None,
            3 => sa.selector = None,
            4 => sa.reqid = self.dice.below(4) as u32,
            5 => sa.encryption_key = SecretKey::new(self.dice.octets(3)),
            _ => {}
        }
        sa
    }

    /// Commands: one or several, of every kind.
    pub(crate) fn change(&mut self) -> Result<(), String> {
        let side = self.side();
        let count = self.dice.weighted(&[(70, 1), (20, 2), (10, 4)]);
        let mut commands = Vec::new();
        for _ in 0..count {
            commands.extend(self.random_commands(side));
        }
        self.apply(side, &commands)?;
        Ok(())
    }

    fn random_commands(&mut self, side: Side) -> Vec<Command> {
        let plan = self.dice.one(&self.plans).clone();
        let sa = self.dice.one(&plan.sas).clone();
        let far = sa.id.destination;
        match self.dice.below(23) {
            0..=4 => {
                let sa = self.twisted(&sa);
                self.added(sa)
            }
            5..=7 => vec![Command::DeleteSa(sa.id)],
            8 => vec![
                Command::DeleteSa(sa.id),
                Command::AddSa(Box::new(self.twisted(&sa))),
            ],
            9 => {
                let ends = (sa.source, far);
                let sa = random_sa(&mut self.dice, sa.mode, ends);
                vec![Command::AddSa(Box::new(sa))]
            }
            10 => vec![Command::FlushSas(None)],
            11 | 12 => self.commands_for(&plan, side),
            13 => vec![Command::AddPolicy(stray_policy(&mut self.dice))],
            14 | 15 => vec![Command::DeletePolicy {
                direction: *self.dice.one(&Direction::ALL),
                selector: plan.selector,
            }],
            16 if self.dice.percent(30) => vec![Command::FlushPolicies],
            17 => {
                let default = *self
                    .dice
                    .one(&[DefaultAction::Bypass, DefaultAction::Discard]);
                vec![Command::SetDefault(default)]
            }
            18 => {
                let mut local: Vec<IpAddr> = side.local();
                local.truncate(self.dice.between(2, 4));
                vec![Command::SetLocalAddresses(LocalAddresses::new(local))]
            }
            19 => {
                let mtu = self
                    .dice
                    .weighted(&[(50, 1500), (20, 1280), (20, 700), (10, 68)]);
                vec![Command::LearnPathMtu {
                    destination: far,
                    mtu,
                }]
            }
            20 => {
                let mtu = self
                    .dice
                    .weighted(&[(50, 1500), (20, 1280), (20, 9000), (10, 576)]);
                vec![Command::SetLinkMtu(mtu)]
            }
            21 => {
                let seconds = self.dice.weighted(&[(50, 6), (30, 40), (20, 600)]);
                vec![Command::SetMtuMemory(Duration::from_secs(seconds))]
            }
            _ => vec![],
        }
    }
}
