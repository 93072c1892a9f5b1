//! What datapaths see of the SPD, and the plain tables behind it.

use std::hash::BuildHasher as _;
use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::{HashSet, HashTable};

use super::{Direction, Policy, PolicyConfig, PolicyError, PolicyId};
use crate::flow::Key;
use crate::selector::Selector;

/// The SPD of one version. A reader pins one for a batch; the writer makes the next from it.
#[derive(Clone, Debug, Default)]
pub struct View {
    version: u64,
    /// Per direction, in the order in which they are asked.
    lists: [Vec<Arc<Policy>>; 3],
    /// The same policies by what no two have in common; shared between versions until it changes.
    /// Only whoever changes the SPD asks it.
    known: Arc<HashTable<Arc<Policy>>>,
    next_id: u32,
}

/// A policy's place in the order in which one direction's policies are asked, under one
/// generation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place(u32);

/// What the SPD says of a flow.
#[derive(Clone, Copy, Debug)]
pub enum Found<'a> {
    /// This policy decides.
    Policy(&'a Arc<Policy>, Place),
    /// A policy with ports might decide, and the packet does not show its ports (RFC 4301 §7).
    PortsNeeded,
    /// No policy speaks of it.
    None,
}

impl<'a> Found<'a> {
    /// The policy, if one decides.
    pub const fn policy(self) -> Option<&'a Arc<Policy>> {
        match self {
            Found::Policy(policy, _) => Some(policy),
            Found::PortsNeeded | Found::None => None,
        }
    }
}

impl View {
    /// The generation of everything decided under this view: it changes with every change of
    /// the SPD.
    #[inline]
    pub const fn generation(&self) -> u64 {
        self.version
    }

    /// The policy that decides about the flow: the best priority, the older among equals.
    pub fn find(&self, direction: Direction, key: &Key) -> Found<'_> {
        for (place, policy) in self.lists[direction as usize].iter().enumerate() {
            let selector = &policy.config.selector;
            if selector.matches(key) {
                return Found::Policy(policy, Place(place as u32));
            }
            if key.is_partial() && selector.may_match(key) {
                return Found::PortsNeeded;
            }
        }
        Found::None
    }

    /// The policy at a place that [`find`](Self::find) gave under the same generation.
    #[inline]
    pub fn at(&self, direction: Direction, place: Place) -> Option<&Arc<Policy>> {
        self.lists[direction as usize].get(place.0 as usize)
    }

    /// Whether no policy of the direction exists.
    #[inline]
    pub fn is_empty(&self, direction: Direction) -> bool {
        self.lists[direction as usize].is_empty()
    }

    /// All policies, by direction and then in the order in which they are asked. A policy for
    /// `In` is given there only.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Policy>> {
        Direction::ALL.into_iter().flat_map(|direction| {
            self.lists[direction as usize]
                .iter()
                .filter(move |policy| policy.config.direction == direction)
        })
    }

    /// Takes a policy in and says its number.
    pub(crate) fn insert(&mut self, config: PolicyConfig) -> Result<PolicyId, PolicyError> {
        config.check()?;
        if let Some(twin) = self.same(&config) {
            return Err(PolicyError::Exists(twin.id));
        }
        let hash = hash(&config);
        let id = PolicyId(self.next_id);
        self.next_id += 1;
        self.version += 1;
        let policy = Arc::new(Policy::new(id, config));
        for direction in covered(policy.config.direction) {
            let list = &mut self.lists[*direction as usize];
            let rank = rank(&policy, *direction);
            let at = list.partition_point(|other| self::rank(other, *direction) <= rank);
            list.insert(at, Arc::clone(&policy));
        }
        let rehash = |policy: &Arc<Policy>| self::hash(&policy.config);
        Arc::make_mut(&mut self.known).insert_unique(hash, policy, rehash);
        Ok(id)
    }

    /// Removes the policy with this direction and selector (the best of them, if several
    /// priorities have it).
    pub(crate) fn remove(
        &mut self,
        direction: Direction,
        selector: &Selector,
    ) -> Result<Arc<Policy>, PolicyError> {
        let found = self.lists[direction as usize]
            .iter()
            .find(|p| p.config.direction == direction && p.config.selector == *selector)
            .cloned()
            .ok_or(PolicyError::Missing)?;
        self.version += 1;
        for direction in covered(direction) {
            self.lists[*direction as usize].retain(|policy| policy.id != found.id);
        }
        let is_it = |policy: &Arc<Policy>| policy.id == found.id;
        if let Ok(entry) = Arc::make_mut(&mut self.known).find_entry(hash(&found.config), is_it) {
            entry.remove();
        }
        Ok(found)
    }

    /// Removes every policy.
    pub(crate) fn flush(&mut self) {
        self.version += 1;
        self.lists = Default::default();
        self.known = Default::default();
    }

    /// A view without policies that goes on counting.
    pub(crate) fn emptied(&self) -> View {
        View {
            version: self.version,
            lists: Default::default(),
            known: Default::default(),
            next_id: self.next_id,
        }
    }

    /// Takes each policy that `running` has in the same words over from there. If nothing else is
    /// in it, and nothing in another order, it is the same version.
    pub(crate) fn settle(&mut self, running: &View) {
        let known = Arc::make_mut(&mut self.known).iter_mut();
        for policy in known.chain(self.lists.iter_mut().flatten()) {
            if let Some(old) = running.same(&policy.config)
                && old.config == policy.config
            {
                *policy = Arc::clone(old);
            }
        }
        let is_same = |(ours, theirs): (&Vec<_>, &Vec<_>)| {
            ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(a, b)| Arc::ptr_eq(a, b))
        };
        if self.lists.iter().zip(&running.lists).all(is_same) {
            (self.version, self.next_id) = (running.version, running.next_id);
        } else {
            self.version = self.version.max(running.version + 1);
        }
    }

    /// How many policies are those of another view.
    pub(crate) fn shared_with(&self, other: &View) -> usize {
        let others: HashSet<_, FixedState> = other.iter().map(Arc::as_ptr).collect();
        let shared = self
            .iter()
            .filter(|policy| others.contains(&Arc::as_ptr(policy)));
        shared.count()
    }

    /// Something beside the policies changed on which decisions depend (local addresses, the
    /// default).
    pub(crate) fn bump(&mut self) {
        self.version += 1;
    }

    fn same(&self, config: &PolicyConfig) -> Option<&Arc<Policy>> {
        let is_same = |policy: &Arc<Policy>| identity(&policy.config) == identity(config);
        self.known.find(hash(config), is_same)
    }
}

/// What no two policies have in common.
const fn identity(config: &PolicyConfig) -> (Direction, u32, &Selector) {
    (config.direction, config.priority, &config.selector)
}

/// Who writes policies is trusted: the hash needs no secret.
fn hash(config: &PolicyConfig) -> u64 {
    FixedState::default().hash_one(identity(config))
}

/// The lists in which a policy of this direction stands.
const fn covered(direction: Direction) -> &'static [Direction] {
    match direction {
        Direction::Out => &[Direction::Out],
        Direction::In => &[Direction::In, Direction::Fwd],
        Direction::Fwd => &[Direction::Fwd],
    }
}

/// Priority first; then a policy that names the direction before one that merely covers it; then
/// age.
fn rank(policy: &Policy, list: Direction) -> (u32, bool, PolicyId) {
    (
        policy.config.priority,
        policy.config.direction != list,
        policy.id,
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
