//! The sole writer of SPD and SAD. Commands come in transactions: whole or not at all, and no
//! packet is judged by a mixture, since datapaths pin one published version for a batch.

mod command;
mod retired;

use std::sync::Arc;

use sealway_crypto::Provider;

use crate::sad::{Sa, SaError, SaId, Serial};
use crate::spd::PolicyError;
use crate::tables::{DefaultAction, Shared, Tables};

pub use command::Command;
use retired::Retired;

/// Why a transaction was refused. Nothing of it was applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct Refused {
    /// Which command of the transaction it was, counted from 0.
    pub index: usize,
    /// What is wrong with it.
    pub error: CommandError,
}

/// What is wrong with a command.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// About an SA.
    #[error(transparent)]
    Sa(#[from] SaError),
    /// About a policy.
    #[error(transparent)]
    Policy(#[from] PolicyError),
}

/// Policies and SAs as they stand, and what is needed to change them.
pub struct Control {
    shared: Shared,
    next_serial: u64,
    retired: Retired,
    provider: Option<&'static dyn Provider>,
}

impl Control {
    /// Empty databases; without a policy traffic meets `default`, and paths take `link_mtu`
    /// octets until they are known to take less.
    pub fn new(default: DefaultAction, link_mtu: u16) -> Self {
        Control {
            shared: Shared::new(Tables::new(default, link_mtu)),
            next_serial: 0,
            retired: Retired::new(),
            provider: None,
        }
    }

    /// Takes the cryptography of SAs that are added from now on from this provider, and not from
    /// the preferred one of each suite.
    pub fn use_provider(&mut self, provider: &'static dyn Provider) {
        self.provider = Some(provider);
    }

    /// Where datapaths look.
    pub fn shared(&self) -> Shared {
        self.shared.clone()
    }

    /// The version in force.
    pub fn tables(&self) -> Arc<Tables> {
        self.shared.tables()
    }

    /// Applies all of the commands, in order, and publishes them as one version; or none.
    ///
    /// # Errors
    /// The first command that cannot be.
    pub fn apply(&mut self, commands: Vec<Command>) -> Result<(), Refused> {
        let mut next = Tables::clone(&self.shared.tables());
        let mut changes = Changes::default();
        for (index, command) in commands.into_iter().enumerate() {
            self.one(command, &mut next, &mut changes)
                .map_err(|error| Refused { index, error })?;
        }
        self.commit(next, changes);
        Ok(())
    }

    fn one(
        &mut self,
        command: Command,
        next: &mut Tables,
        changes: &mut Changes,
    ) -> Result<(), CommandError> {
        match command {
            Command::AddSa(config) => {
                let serial = Serial(self.next_serial);
                let sa = Arc::new(Sa::new(serial, *config, self.provider)?);
                next.sad.insert(Arc::clone(&sa))?;
                self.next_serial += 1;
                changes.added.push(sa);
            }
            Command::DeleteSa(id) => changes.removed.push(next.sad.remove(&id)?),
            Command::FlushSas(protocol) => {
                let keep = |id: &SaId| protocol.is_some_and(|protocol| id.protocol != protocol);
                changes
                    .removed
                    .extend(next.sad.retain(|sa| keep(&sa.config.id)));
            }
            Command::AddPolicy(config) => {
                next.spd.insert(config)?;
            }
            Command::DeletePolicy {
                direction,
                selector,
            } => {
                next.spd.remove(direction, &selector)?;
            }
            Command::FlushPolicies => next.spd.flush(),
            Command::SetLocalAddresses(local) => {
                next.local = local;
                next.spd.bump();
            }
            Command::SetDefault(default) => {
                next.default = default;
                next.spd.bump();
            }
            Command::SetLinkMtu(mtu) => next.paths.set_link(mtu),
            Command::LearnPathMtu { destination, mtu } => next.paths.learn(destination, mtu),
        }
        Ok(())
    }

    /// Nothing can fail from here on. SAs that went are remembered before those that came look
    /// whether they are a continuation.
    fn commit(&mut self, next: Tables, changes: Changes) {
        for sa in &changes.removed {
            sa.runtime.kill();
            self.retired.remember(sa);
        }
        for sa in &changes.added {
            self.retired.continue_in(sa);
        }
        self.shared.publish(next);
    }
}

/// What a transaction does to SAs, to be carried out when it is certain.
#[derive(Default)]
struct Changes {
    added: Vec<Arc<Sa>>,
    removed: Vec<Arc<Sa>>,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
