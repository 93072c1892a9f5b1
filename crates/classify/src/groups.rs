//! For packets that hide their ports.
//!
//! A table that hashes ports cannot be asked for them. So its rules have a shadow: for all rules of
//! such tables with the same addresses and protocol one record without ports, with the order of
//! the best of them, in tables of its own. A packet with ports never meets it.

use std::collections::BTreeSet;

use crate::Limit;
use crate::address::Address;
use crate::place::Layer;
use crate::record::{Content, NONE};
use crate::rule::{Order, Range, Rule};
use crate::writer::{Done, Writer};

/// What rules of one group share: source, destination and protocol.
pub(crate) type GroupKey<A> = (Range<A>, Range<A>, Option<u8>);

/// Rules that differ in ports only.
#[derive(Debug, Default)]
pub(crate) struct Group {
    members: Members,
    shadow: u32,
    is_dirty: bool,
}

/// Most groups have one member.
#[derive(Debug, Default)]
enum Members {
    #[default]
    None,
    One(Order, u32),
    Many(BTreeSet<(Order, u32)>),
}

impl Members {
    fn first(&self) -> Option<u32> {
        match self {
            Members::None => None,
            Members::One(_, record) => Some(*record),
            Members::Many(set) => set.first().map(|(_, record)| *record),
        }
    }

    fn insert(&mut self, order: Order, record: u32) {
        match self {
            Members::None => *self = Members::One(order, record),
            Members::One(other, one) => {
                let set = BTreeSet::from([(*other, *one), (order, record)]);
                *self = Members::Many(set);
            }
            Members::Many(set) => {
                set.insert((order, record));
            }
        }
    }

    fn remove(&mut self, order: Order, record: u32) {
        match self {
            Members::None => {}
            Members::One(..) => *self = Members::None,
            Members::Many(set) => {
                set.remove(&(order, record));
                if set.is_empty() {
                    *self = Members::None;
                }
            }
        }
    }
}

impl Group {
    /// The record that stands for all members.
    pub(crate) fn shadow(&self) -> u32 {
        self.shadow
    }

    /// Octets beside the struct itself, about.
    pub(crate) fn octets(&self) -> usize {
        match &self.members {
            Members::None | Members::One(..) => 0,
            Members::Many(set) => set.len() * 24,
        }
    }
}

fn key_of<A: Address>(rule: &Rule<A>) -> GroupKey<A> {
    (rule.source, rule.destination, rule.protocol)
}

impl<A: Address> Writer<A> {
    /// The group of a record, if its table hashes ports.
    fn group_of(&self, number: u32) -> Option<(GroupKey<A>, Order)> {
        let record = self.record(number)?;
        let sheet = self.sheets[usize::from(record.table())].as_ref()?;
        let is_grouped = sheet.shape.has_ports();
        is_grouped.then(|| (key_of(&record.rule()), record.order()))
    }

    /// A record that is of the version to come joins its group.
    pub(crate) fn join_group(&mut self, number: u32) {
        if let Some((key, order)) = self.group_of(number) {
            let group = self.groups.entry(key).or_default();
            group.members.insert(order, number);
            if !std::mem::replace(&mut group.is_dirty, true) {
                self.dirty.push(key);
            }
        }
    }

    /// A record that is not leaves it.
    pub(crate) fn leave_group(&mut self, number: u32) {
        if let Some((key, order)) = self.group_of(number)
            && let Some(group) = self.groups.get_mut(&key)
        {
            group.members.remove(order, number);
            if !std::mem::replace(&mut group.is_dirty, true) {
                self.dirty.push(key);
            }
        }
    }

    /// Gives each group that changed the shadow of its best member.
    pub(crate) fn shadow_groups(&mut self) -> Result<(), Limit> {
        for at in 0..self.dirty.len() {
            let key = self.dirty[at];
            let Some(group) = self.groups.get(&key) else {
                continue;
            };
            let before = group.shadow;
            let content = |number| self.record(number).map(crate::record::Record::content);
            let best = group.members.first().and_then(content);
            let shown = content(before);
            let shows = |content: Option<Content<A>>| content.map(|c| (c.order, c.value));
            if shows(best) == shows(shown) {
                continue;
            }
            let shadow = match best {
                None => NONE,
                Some(best) => {
                    let rule = Rule {
                        ports: None,
                        ..best.rule
                    };
                    self.place(Layer::Shadows, &Content { rule, ..best })?
                }
            };
            if before != NONE {
                self.kill(before);
            }
            self.set_shadow(key, shadow);
            self.log.push(Done::Shadowed(key, before));
        }
        self.settle_groups();
        Ok(())
    }

    pub(crate) fn set_shadow(&mut self, key: GroupKey<A>, shadow: u32) {
        self.groups.entry(key).or_default().shadow = shadow;
    }

    /// No group is dirty any more; those without members go.
    pub(crate) fn settle_groups(&mut self) {
        for key in std::mem::take(&mut self.dirty) {
            if let Some(group) = self.groups.get_mut(&key) {
                group.is_dirty = false;
                if group.shadow == NONE && matches!(group.members, Members::None) {
                    self.groups.remove(&key);
                }
            }
        }
    }
}
