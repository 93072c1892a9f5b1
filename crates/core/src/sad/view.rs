//! What datapaths see of the SAD, and the plain tables behind it.

mod roaming;

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use self::roaming::Roamers;
use super::{Protocol, Sa, SaError, SaId, SaMode, Spi};
use crate::flow::Key;
use crate::selector::Selector;
use crate::spd::{Level, Mode, Template};

/// Indexes SPIs, which are our own choice or our administrator's: a fixed hash serves.
type ByKey<K, V> = HashMap<K, V, FixedState>;

/// The SAD of one version. A reader pins one for a batch; the writer makes the next from it.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// All SAs, oldest first.
    entries: Vec<Entry>,
    by_spi: ByKey<u32, Vec<u32>>,
    by_pair: ByKey<(IpAddr, IpAddr), Siblings>,
    generation: u64,
    roamers: Roamers,
}

/// The places of the SAs between two ends, oldest first: SAs made for one host each are found by
/// it, so that ten thousand of them cost a flow no more than one.
#[derive(Clone, Debug, Default)]
struct Siblings {
    /// Those whose own selector names one destination.
    by_host: ByKey<IpAddr, Vec<u32>>,
    others: Vec<u32>,
}

impl Siblings {
    fn push(&mut self, place: u32, sa: &Sa) {
        let destination = sa.config.selector.as_ref().map(Selector::destination);
        match destination.filter(|range| range.first() == range.last()) {
            Some(host) => self.by_host.entry(host.first()).or_default().push(place),
            None => self.others.push(place),
        }
    }

    fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.by_host.values().flatten().chain(&self.others).copied()
    }

    /// Those that may carry a packet to `destination`, newest first.
    fn towards(&self, destination: IpAddr) -> impl Iterator<Item = u32> + '_ {
        let host = self.by_host.get(&destination).into_iter().flatten();
        let (mut host, mut others) = (host.rev().peekable(), self.others.iter().rev().peekable());
        std::iter::from_fn(move || {
            let newest = match (host.peek(), others.peek()) {
                (Some(host), Some(other)) if host < other => others.next(),
                (Some(_), _) => host.next(),
                (None, _) => others.next(),
            };
            newest.copied()
        })
    }
}

#[derive(Clone, Debug)]
struct Entry {
    sa: Arc<Sa>,
    /// Changes when another SA appears that a template which chose this one could now choose. It
    /// stands in the view and not in the SA, so that a reader of an older view cannot mistake its
    /// own old choice for a fresh one.
    generation: u32,
}

/// An SA's place in one view.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Index(u32);

impl View {
    /// Changes whenever an SA appears: what a decision waits on that found *no* SA.
    #[inline]
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// The SA that a packet names.
    #[inline]
    pub(crate) fn by_spi(
        &self,
        spi: u32,
        destination: IpAddr,
        protocol: Protocol,
    ) -> Option<Index> {
        let candidates = self.by_spi.get(&spi)?;
        candidates
            .iter()
            .find(|index| {
                self.at(Index(**index)).is_some_and(|sa| {
                    sa.config.id.destination == destination && sa.config.id.protocol == protocol
                })
            })
            .map(|index| Index(*index))
    }

    /// Whether it is the SA at this place, of whichever view, that a packet names.
    #[inline]
    pub(crate) fn is_named(
        &self,
        index: Index,
        spi: u32,
        destination: IpAddr,
        protocol: Protocol,
    ) -> bool {
        self.at(index).is_some_and(|sa| {
            let id = &sa.config.id;
            id.spi.value() == spi && id.destination == destination && id.protocol == protocol
        })
    }

    /// The SA at a place that this view gave out.
    #[inline]
    pub(crate) fn at(&self, index: Index) -> Option<&Arc<Sa>> {
        self.entries.get(index.0 as usize).map(|entry| &entry.sa)
    }

    /// Whether a choice of `sa`, made when its place was `index` and its generation `generation`,
    /// would be made again.
    #[inline]
    pub(crate) fn is_fresh(&self, sa: &Arc<Sa>, index: Index, generation: u32) -> bool {
        self.entries
            .get(index.0 as usize)
            .is_some_and(|entry| Arc::ptr_eq(&entry.sa, sa) && entry.generation == generation)
    }

    /// The SA with this identity.
    pub fn find(&self, id: &SaId) -> Option<&Arc<Sa>> {
        self.at(self.by_spi(id.spi.value(), id.destination, id.protocol)?)
    }

    /// The newest SA that the template could choose for the flow between these ends, its place
    /// and its generation.
    pub(crate) fn choose(
        &self,
        template: &Template,
        (source, destination): (IpAddr, IpAddr),
        key: &Key,
    ) -> Option<(&Arc<Sa>, Index, u32)> {
        let candidates = self.by_pair.get(&(source, destination))?;
        candidates
            .towards(key.destination())
            .filter_map(|index| Some((Index(index), self.entries.get(index as usize)?)))
            .find(|(_, entry)| serves(&entry.sa, template) && carries(&entry.sa, key))
            .map(|(index, entry)| (&entry.sa, index, entry.generation))
    }

    /// All SAs, oldest first.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Arc<Sa>> {
        self.entries.iter().map(|entry| &entry.sa)
    }

    /// Takes an SA in. Every SA that a template with these ends could have chosen until now is
    /// bumped, so that bundles which hold it are resolved again.
    pub(crate) fn insert(&mut self, sa: Arc<Sa>) -> Result<(), SaError> {
        if self.find(&sa.config.id).is_some() {
            return Err(SaError::Exists(sa.config.id));
        }
        let pair = (sa.config.source, sa.config.id.destination);
        for sibling in self.by_pair.get(&pair).into_iter().flat_map(Siblings::iter) {
            if let Some(sibling) = self.entries.get_mut(sibling as usize) {
                sibling.generation = sibling.generation.wrapping_add(1);
            }
        }
        self.generation += 1;
        self.index(Entry { sa, generation: 0 });
        Ok(())
    }

    /// Removes an SA. Its dead flag, which tells those who still hold it, is set by the caller once
    /// that is certain.
    pub(crate) fn remove(&mut self, id: &SaId) -> Result<Arc<Sa>, SaError> {
        let index = self
            .by_spi(id.spi.value(), id.destination, id.protocol)
            .ok_or(SaError::Missing(*id))?;
        let entry = self.entries.remove(index.0 as usize);
        self.reindex();
        self.forget_roamers();
        Ok(entry.sa)
    }

    /// Removes every SA for which `keep` says no, and gives them back.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&Sa) -> bool) -> Vec<Arc<Sa>> {
        let (kept, removed) = std::mem::take(&mut self.entries)
            .into_iter()
            .partition::<Vec<_>, _>(|entry| keep(&entry.sa));
        self.entries = kept;
        self.reindex();
        self.forget_roamers();
        removed.into_iter().map(|entry| entry.sa).collect()
    }

    /// Takes each SA that `running` has in the same words over from there; what `running` has and
    /// this view has not. If nothing else is in it, and nothing in another order, every choice that
    /// was made stays fresh.
    pub(crate) fn settle(&mut self, running: &View) -> Vec<Arc<Sa>> {
        let mut is_same = self.entries.len() == running.entries.len();
        let mut has_new = false;
        for (place, entry) in self.entries.iter_mut().enumerate() {
            let id = &entry.sa.config.id;
            let known = running.by_spi(id.spi.value(), id.destination, id.protocol);
            let known = known.and_then(|known| running.entries.get(known.0 as usize));
            match known.filter(|known| known.sa.config == entry.sa.config) {
                Some(known) => *entry = known.clone(),
                None => has_new = true,
            }
            is_same &= running
                .entries
                .get(place)
                .is_some_and(|there| Arc::ptr_eq(&there.sa, &entry.sa));
        }
        if !is_same {
            for entry in &mut self.entries {
                entry.generation = entry.generation.wrapping_add(1);
            }
        }
        self.generation = running.generation + u64::from(has_new);
        self.roamers = running.roamers.clone();
        self.forget_roamers();
        let gone = running.iter().filter(|sa| !self.has(sa));
        gone.cloned().collect()
    }

    /// Whether this very SA is in it.
    pub fn has(&self, sa: &Arc<Sa>) -> bool {
        self.find(&sa.config.id)
            .is_some_and(|there| Arc::ptr_eq(there, sa))
    }

    fn index(&mut self, entry: Entry) {
        let place = self.entries.len() as u32;
        let config = &entry.sa.config;
        self.by_spi
            .entry(config.id.spi.value())
            .or_default()
            .push(place);
        let pair = (config.source, config.id.destination);
        let siblings = self.by_pair.entry(pair).or_default();
        siblings.push(place, &entry.sa);
        self.entries.push(entry);
    }

    fn reindex(&mut self) {
        self.by_spi.clear();
        self.by_pair.clear();
        for entry in std::mem::take(&mut self.entries) {
            self.index(entry);
        }
    }

    /// An SPI of `range` that no SA towards `destination` has and `taken` does not name, from
    /// `start` on and round.
    pub(crate) fn free_spi(
        &self,
        destination: IpAddr,
        protocol: Protocol,
        range: &RangeInclusive<u32>,
        start: u32,
        taken: impl Fn(u32) -> bool,
    ) -> Option<Spi> {
        let (first, last) = (*range.start(), *range.end());
        let start = start.clamp(first, last.max(first));
        (start..=last)
            .chain(first..start)
            .find(|spi| self.by_spi(*spi, destination, protocol).is_none() && !taken(*spi))
            .and_then(|spi| Spi::new(spi).ok())
    }
}

/// Whether the SA is what the template asks for: protocol, mode, request identifier.
pub(crate) fn serves(sa: &Sa, template: &Template) -> bool {
    let mode = match template.mode {
        Mode::Transport => sa.config.mode != SaMode::Tunnel,
        Mode::Tunnel {
            source,
            destination,
        } => {
            sa.config.mode != SaMode::Transport
                && sa.config.source == source
                && sa.config.id.destination == destination
        }
    };
    let reqid = match (template.reqid, template.level) {
        (Some(reqid), _) => sa.config.reqid == reqid,
        (None, Level::Unique) => false,
        (None, Level::Use | Level::Require) => true,
    };
    mode && reqid && sa.config.id.protocol == template.protocol
}

/// Whether the flow is among the SA's own traffic.
fn carries(sa: &Sa, key: &Key) -> bool {
    sa.config
        .selector
        .as_ref()
        .is_none_or(|selector| selector.matches(key))
}

#[cfg(test)]
mod tests;
