//! The sole writer of SPD and SAD. Commands come in transactions: whole or not at all, and no
//! packet is judged by a mixture, since datapaths pin one published version for a batch.

mod command;
mod keeper;
mod larval;
mod replace;
mod retired;

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;

use sealway_crypto::Provider;

use crate::event::{Event, Events};
use crate::sad::{Protocol, Sa, SaError, SaId, Serial, Spi};
use crate::spd::PolicyError;
use crate::tables::{DefaultAction, Shared, Tables};
use crate::time::Time;

pub use command::Command;
pub use keeper::Keeper;
use larval::Larval;
pub use replace::Replaced;
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
    /// The numbers of new SAs cannot be kept; the transaction's index is one past its commands.
    #[error("{0}")]
    Unkept(String),
}

/// Policies and SAs as they stand, and what is needed to change them.
pub struct Control {
    shared: Shared,
    next_serial: u64,
    retired: Retired,
    provider: Option<&'static dyn Provider>,
    keeper: Option<Box<dyn Keeper + Send>>,
    now: Time,
    /// SAs that do not last for ever.
    limited: Vec<Arc<Sa>>,
    /// When a path's MTU is to be forgotten.
    paths_stale_at: Time,
    larval: Larval,
    events: Events,
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
            keeper: None,
            now: Time::default(),
            limited: Vec::new(),
            paths_stale_at: Time::NEVER,
            larval: Larval::default(),
            events: Events::new(),
        }
    }

    /// Tells the time, which SAs that are added from now on count from. Those that have reached a
    /// hard limit are removed; of limits of time that were reached while no packet came by, it is
    /// told now. Path MTUs that were remembered long enough are forgotten. To be called now and then
    /// (at least every second while [`keeps_time`](Self::keeps_time)), and when a
    /// [`HardLimit`](Event::HardLimit) was told.
    pub fn begin(&mut self, now: Time) {
        self.now = now;
        self.larval.expire(now);
        self.retired.settle_unheld();
        for sa in &self.limited {
            if sa.runtime.usage.is_due(now) {
                self.events.look_at(sa, now);
            }
        }
        if self.limited.iter().any(|sa| sa.runtime.has_expired()) {
            self.remove_expired();
        }
        if now >= self.paths_stale_at {
            let mut next = Tables::clone(&self.shared.tables());
            next.paths.forget(now);
            self.commit(next, Changes::default());
        }
    }

    /// The time as it was told last.
    pub const fn now(&self) -> Time {
        self.now
    }

    fn remove_expired(&mut self) {
        let mut next = Tables::clone(&self.shared.tables());
        let removed = next.sad.retain(|sa| !sa.runtime.has_expired());
        let changes = Changes {
            removed,
            ..Changes::default()
        };
        self.commit(next, changes);
    }

    /// Whether something does not last for ever: SAs with limits, path MTUs.
    pub fn keeps_time(&self) -> bool {
        !self.limited.is_empty() || self.paths_stale_at != Time::NEVER
    }

    /// The next event that no datapath has told.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.poll()
    }

    /// An SPI of `range`, searched from `start` on (a random number: peers should not foresee it),
    /// that no SA towards `destination` has: RFC 2367's GETSPI. It is kept until an SA takes it, or
    /// for 30 seconds. `None` if all are taken, or as many as may wait for their SAs do.
    pub fn get_spi(
        &mut self,
        destination: IpAddr,
        protocol: Protocol,
        range: &RangeInclusive<u32>,
        start: u32,
    ) -> Option<Spi> {
        let range = (*range.start()).max(Spi::LEAST)..=*range.end();
        let larval = &self.larval;
        let taken = |spi| larval.contains(destination, protocol, spi);
        let tables = self.shared.tables();
        let spi = tables
            .sad
            .free_spi(destination, protocol, &range, start, taken)?;
        let id = SaId {
            destination,
            protocol,
            spi,
        };
        self.larval.insert(id, self.now).then_some(spi)
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
        let behind = commands.len();
        for (index, command) in commands.into_iter().enumerate() {
            self.one(command, &mut next, &mut changes)
                .map_err(|error| Refused { index, error })?;
        }
        self.keep(&next, &changes).map_err(|error| Refused {
            index: behind,
            error,
        })?;
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
                let sa = Arc::new(Sa::new(serial, *config, self.provider, self.now)?);
                next.sad.insert(Arc::clone(&sa))?;
                self.next_serial += 1;
                changes.added.push(sa);
            }
            Command::Continue { id, from } => {
                let mut added = changes.added.iter();
                let sa = added.find(|sa| sa.config.id == id);
                let sa = sa.ok_or(SaError::NotNew(id))?;
                sa.runtime.continue_with(&from);
            }
            Command::Map { sa, to } => next.sad.move_peer(&sa, to)?,
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
            Command::SetKeyManager(key_manager) => next.key_manager = key_manager,
            Command::SetLinkMtu(mtu) => next.paths.set_link(mtu),
            Command::LearnPathMtu { destination, mtu } => {
                next.paths.learn(destination, mtu, self.now);
            }
            Command::SetMtuMemory(memory) => next.paths.set_memory(memory),
        }
        Ok(())
    }

    /// Nothing can fail from here on. SAs that went are remembered before those that came look
    /// whether they are a continuation.
    fn commit(&mut self, next: Tables, changes: Changes) {
        for sa in changes.removed {
            sa.runtime.kill();
            self.retired.leave(sa);
        }
        for sa in &changes.added {
            self.larval.remove(&sa.config.id);
            self.retired.continue_in(sa);
        }
        self.limited.extend(changes.added);
        self.limited
            .retain(|sa| sa.config.lifetimes.is_limited() && !sa.runtime.is_dead());
        self.paths_stale_at = next.paths.stale_at();
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
