//! Commands, in transactions.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::time::Duration;

use sealway_core::path::LocalAddresses;
use sealway_core::sad::{Reserved, SaId};
use sealway_core::spd::Direction;
use sealway_core::{Command, DefaultAction, Time};

use crate::policy::Spd;
use crate::sa::Sad;
use crate::{Oracle, size};

/// All that commands change.
#[derive(Clone, Debug)]
pub(crate) struct Tables {
    pub(crate) spd: Spd,
    pub(crate) sad: Sad,
    pub(crate) local: LocalAddresses,
    pub(crate) default: DefaultAction,
    link_mtu: u16,
    /// With the moment that each is forgotten.
    learned: HashMap<IpAddr, (u16, Duration)>,
    /// IPv4 paths that take less than anybody is asked to fit, of those.
    narrow: HashSet<IpAddr>,
    memory: Duration,
}

impl Tables {
    pub(crate) fn new(default: DefaultAction, link_mtu: u16) -> Tables {
        Tables {
            spd: Spd::default(),
            sad: Sad::default(),
            local: LocalAddresses::default(),
            default,
            link_mtu,
            learned: HashMap::new(),
            narrow: HashSet::new(),
            memory: Duration::from_secs(600),
        }
    }

    /// The largest packet that the path takes.
    pub(crate) fn mtu(&self, destination: IpAddr) -> u16 {
        let learned = self.learned.get(&destination).copied();
        learned.map_or(self.link_mtu, |(mtu, _)| mtu.min(self.link_mtu))
    }

    /// MTUs that were remembered long enough.
    pub(crate) fn forget(&mut self, now: Time) {
        let elapsed = now.since(Time::default());
        self.learned.retain(|_, (_, until)| elapsed < *until);
        let learned = &self.learned;
        self.narrow.retain(|path| learned.contains_key(path));
    }

    /// Whether what is sent to it may be fragmented on the way, whatever it says.
    pub(crate) fn is_narrow(&self, destination: IpAddr) -> bool {
        self.narrow.contains(&destination)
    }

    /// Whether there is nothing to ask about outbound packets: they are not even looked at.
    pub(crate) fn passes_everything(&self) -> bool {
        let mut out = self
            .spd
            .list
            .iter()
            .filter(|policy| policy.direction == Direction::Out);
        self.default == DefaultAction::Bypass && out.next().is_none()
    }

    fn apply(&mut self, command: Command, newest: u64, now: Time) -> Option<()> {
        match command {
            Command::AddSa(config) => self.sad.add(*config, now)?,
            Command::Continue { id, from } => {
                let sa = self.sad.named(&id).filter(|sa| sa.age > newest)?;
                sa.go_on(&from);
            }
            Command::Map { sa, to } => self.sad.map(&sa, to)?,
            Command::DeleteSa(id) => (self.sad.remove(|other| *other == id) == 1).then_some(())?,
            Command::FlushSas(protocol) => {
                self.sad
                    .remove(|id| protocol.is_none_or(|protocol| id.protocol == protocol));
            }
            Command::AddPolicy(config) => self.spd.add(config)?,
            Command::DeletePolicy {
                direction,
                selector,
            } => self.spd.remove(direction, &selector)?,
            Command::FlushPolicies => self.spd.list.clear(),
            Command::SetLocalAddresses(local) => self.local = local,
            Command::SetDefault(default) => self.default = default,
            // Packets do not wait here: whoever compares has no key manager.
            Command::SetKeyManager(_) => {}
            Command::SetLinkMtu(mtu) => {
                self.link_mtu = mtu;
                self.learned.clear();
                self.narrow.clear();
            }
            Command::LearnPathMtu { destination, mtu } => {
                let least = size::least_mtu(destination) as u16;
                let is_narrow = destination.is_ipv4() && mtu < least;
                let mtu = mtu.max(least);
                let newly_narrow = is_narrow && self.narrow.insert(destination);
                if mtu < self.mtu(destination) || newly_narrow {
                    let until = now.since(Time::default()) + self.memory;
                    self.learned.insert(destination, (mtu, until));
                }
            }
            Command::SetMtuMemory(memory) => self.memory = memory,
        }
        Some(())
    }
}

impl Oracle {
    /// Applies all of the commands, or none.
    ///
    /// # Errors
    /// The number of the first that cannot be.
    pub fn apply(&mut self, commands: Vec<Command>) -> Result<(), usize> {
        let mut next = self.tables.clone();
        let newest = next.sad.newest_age();
        for (index, command) in commands.into_iter().enumerate() {
            next.apply(command, newest, self.now).ok_or(index)?;
        }
        next.sad.continue_numbers(newest);
        self.tables = next;
        Ok(())
    }

    /// Storage has reserved numbers for an SA, if there is such.
    pub fn reserve(&mut self, id: &SaId, to: Reserved) {
        if let Some(sa) = self.tables.sad.named(id) {
            sa.reserve(to);
        }
    }
}
