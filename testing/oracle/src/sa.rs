//! SAs: what was asked for, the numbers used, and every number ever seen.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use sealway_core::Time;
use sealway_core::sad::{
    Continuation, Lifetime, Limit, Peer, Protocol, Reserved, SaConfig, SaId, SaMode,
};
use sealway_crypto::{Encryption, Sequence, Suite};

/// What tells one SA's cryptography from another's: who has the same can open what it sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    suite: Suite,
    encryption: Vec<u8>,
    authentication: Vec<u8>,
}

impl Keys {
    /// Those of an SA.
    pub fn of(config: &SaConfig) -> Keys {
        Keys {
            suite: config.suite,
            encryption: config.encryption_key.expose().to_vec(),
            authentication: config.authentication_key.expose().to_vec(),
        }
    }
}

/// An SA.
#[derive(Clone, Debug)]
pub(crate) struct Sa {
    /// What was asked for.
    pub config: SaConfig,
    /// Among several that would do, the one with the highest age number is the newest.
    pub age: u64,
    /// The number that it sends next.
    pub next: u64,
    /// Every number accepted.
    pub seen: BTreeSet<u64>,
    /// Numbers up to this count as seen.
    floor: u64,
    /// How far storage lets it go.
    reserved: Option<Reserved>,
    added: Time,
    used: Option<Time>,
    packets: u64,
    octets: u64,
    told_soft: bool,
    /// A hard limit was reached.
    pub ended: bool,
    /// Where its peer was heard, if it has roamed.
    pub heard: Option<SocketAddr>,
    /// Where it sends, if its peer has roamed.
    pub sends: Option<SocketAddr>,
    /// When it told of its peer last.
    pub spoke: Option<Time>,
}

/// What an SA tells of its limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// The SA.
    pub id: SaId,
    /// Whether it has ended.
    pub is_hard: bool,
    /// Which limit.
    pub limit: Limit,
}

impl Sa {
    pub(crate) fn new(config: SaConfig, age: u64, added: Time) -> Sa {
        Sa {
            age,
            next: config.sequence.start + 1,
            seen: BTreeSet::new(),
            floor: config.sequence.start,
            reserved: None,
            added,
            used: None,
            packets: 0,
            octets: 0,
            told_soft: false,
            ended: false,
            heard: None,
            sends: None,
            spoke: None,
            config,
        }
    }

    /// Goes on where it may have come before.
    pub(crate) fn go_on(&mut self, from: &Continuation) {
        let next = from.sent.saturating_add(1).min(self.last() + 1);
        self.next = self.next.max(next);
        self.floor = self.floor.max(from.received);
        self.reserved = Some(from.reserved);
    }

    /// Storage has reserved up to these; never less than was accepted.
    pub(crate) fn reserve(&mut self, to: Reserved) {
        let top = self.top();
        if let Some(reserved) = &mut self.reserved {
            reserved.send = reserved.send.max(to.send);
            reserved.receive = to.receive.max(top);
        }
    }

    /// Whether storage lets it send this many more.
    pub(crate) fn may_send(&self, count: u64) -> bool {
        let last = self.next.saturating_add(count - 1);
        let fits = self.reserved.is_none_or(|reserved| last <= reserved.send);
        fits || last > self.last()
    }

    /// Whether storage lets it accept this number.
    pub(crate) fn may_accept(&self, number: u64) -> bool {
        let limit = self
            .reserved
            .map(|reserved| reserved.receive.max(self.floor));
        self.config.sequence.window.is_none() || limit.is_none_or(|limit| number <= limit)
    }

    /// Counts packets.
    pub(crate) fn count(&mut self, packets: usize, octets: usize, now: Time) -> Option<Told> {
        self.packets += packets as u64;
        self.octets += octets as u64;
        self.used = self.used.or(Some(now));
        self.look(now)
    }

    /// Whether any packet went through it.
    pub(crate) fn has_carried(&self) -> bool {
        self.packets > 0
    }

    /// What it tells now of its limits.
    pub(crate) fn look(&mut self, now: Time) -> Option<Told> {
        let lifetimes = self.config.lifetimes;
        let (is_hard, limit) = match (
            self.limit(&lifetimes.hard, now),
            self.limit(&lifetimes.soft, now),
        ) {
            _ if self.ended => return None,
            (Some(limit), _) => (true, limit),
            (None, Some(limit)) if !self.told_soft => (false, limit),
            (None, _) => return None,
        };
        self.ended = is_hard;
        self.told_soft |= !is_hard;
        Some(Told {
            id: self.config.id,
            is_hard,
            limit,
        })
    }

    /// The first limit that is reached.
    fn limit(&self, lifetime: &Lifetime, now: Time) -> Option<Limit> {
        let since_used = self.used.map(|used| now.since(used));
        if lifetime.octets.is_some_and(|limit| self.octets >= limit) {
            Some(Limit::Octets)
        } else if lifetime.packets.is_some_and(|limit| self.packets >= limit) {
            Some(Limit::Packets)
        } else if lifetime
            .since_added
            .is_some_and(|limit| now.since(self.added) >= limit)
        {
            Some(Limit::SinceAdded)
        } else if lifetime
            .since_used
            .is_some_and(|limit| since_used >= Some(limit))
        {
            Some(Limit::SinceUsed)
        } else {
            None
        }
    }

    pub(crate) fn is_extended(&self) -> bool {
        self.config.sequence.form == Sequence::Extended
    }

    /// The last number that it may send (RFC 4303 §3.3.3).
    fn last(&self) -> u64 {
        if self.is_extended() {
            u64::MAX - 1
        } else {
            u64::from(u32::MAX)
        }
    }

    /// Takes numbers for all packets of a train, or none; an SA that could not has ended.
    pub(crate) fn take(&mut self, count: u64) -> Option<u64> {
        let first = self.next;
        let end = first
            .checked_add(count)
            .filter(|end| end - 1 <= self.last());
        self.next = end.unwrap_or(self.last() + 1);
        end.map(|_| first)
    }

    /// The highest number seen, and before any the one that counts as used.
    pub(crate) fn top(&self) -> u64 {
        self.seen.last().copied().unwrap_or(0).max(self.floor)
    }

    /// The whole number of which `low` travelled (RFC 4303 appendix A2.2); `None` if it lies
    /// before the first.
    pub(crate) fn infer(&self, low: u32) -> Option<u64> {
        let Some(window) = self.config.sequence.window.filter(|_| self.is_extended()) else {
            return Some(u64::from(low));
        };
        let window = u64::from(window.packets());
        let (high, top_low) = (self.top() >> 32, self.top() & 0xffff_ffff);
        let seq = u64::from(low);
        let high = if top_low >= window - 1 {
            // Case A: the window is within one subspace.
            if seq + window > top_low {
                high
            } else {
                high + 1
            }
        } else {
            // Case B: it spans two.
            let bottom = (top_low + (1 << 32)) - window + 1;
            if seq >= bottom {
                high.checked_sub(1)?
            } else {
                high
            }
        };
        Some(high << 32 | seq)
    }

    /// Whether the number is new, by RFC 4303 §3.4.3. Numbers up to the floor count as used.
    pub(crate) fn is_new(&self, number: u64) -> bool {
        let Some(window) = self.config.sequence.window else {
            return true;
        };
        let behind = self.top().saturating_sub(number);
        number > self.floor && behind < u64::from(window.packets()) && !self.seen.contains(&number)
    }

    /// Octets of ESP around a payload: header, IV, padding, trailer, ICV (RFC 4303 §2).
    pub(crate) fn esp_octets(&self, payload: usize) -> usize {
        let suite = &self.config.suite;
        let block = match suite.encryption() {
            Encryption::AesCbc => 16,
            _ => 4,
        };
        let text = (payload + 2).div_ceil(block) * block;
        8 + suite.iv_octets() + text + suite.icv_octets()
    }

    /// Octets of UDP header before ESP.
    pub(crate) fn udp_octets(&self) -> usize {
        match self.config.encapsulation {
            Some(_) => 8,
            None => 0,
        }
    }
}

/// An SA and the mode in which it was used, transport or tunnel.
pub(crate) type Used = (SaId, SaMode);

/// SAs, in a plain list.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sad {
    pub(crate) list: Vec<Sa>,
    /// The next numbers of SAs that are gone, by their keys.
    pub(crate) gone: Vec<(Keys, u64)>,
    ages: u64,
}

impl Sad {
    /// The SA of an arriving packet.
    pub(crate) fn find(&self, destination: IpAddr, protocol: Protocol, spi: u32) -> Option<&Sa> {
        self.list.iter().find(|sa| {
            let id = &sa.config.id;
            (id.destination, id.protocol, id.spi.value()) == (destination, protocol, spi)
        })
    }

    /// The SA as it was used: one of that mode and no other.
    pub(crate) fn used(&self, (id, mode): &Used) -> Option<Sa> {
        let mut sa = self.list.iter().find(|sa| sa.config.id == *id)?.clone();
        sa.config.mode = *mode;
        Some(sa)
    }

    /// The SA of this name, to be changed.
    pub(crate) fn named(&mut self, id: &SaId) -> Option<&mut Sa> {
        self.list.iter_mut().find(|sa| sa.config.id == *id)
    }

    /// Adds an SA if it is sound.
    pub(crate) fn add(&mut self, config: SaConfig, now: Time) -> Option<()> {
        if !is_sound(&config) || self.list.iter().any(|sa| sa.config.id == config.id) {
            return None;
        }
        self.ages += 1;
        let mut sa = Sa::new(config, self.ages, now);
        self.inherit(&mut sa);
        self.list.push(sa);
        Some(())
    }

    /// Removes SAs.
    pub(crate) fn remove(&mut self, goes: impl Fn(&SaId) -> bool) -> usize {
        let before = self.list.len();
        let has_sent = |sa: &&Sa| sa.next > sa.config.sequence.start + 1;
        let going = self.list.iter().filter(|sa| goes(&sa.config.id));
        for sa in going.filter(has_sent) {
            self.gone.push((Keys::of(&sa.config), sa.next));
        }
        self.list.retain(|sa| !goes(&sa.config.id));
        before - self.list.len()
    }

    /// At the end of a transaction: SAs that came back with unchanged keys go on counting.
    pub(crate) fn continue_numbers(&mut self, since: u64) {
        for sa in self.list.iter_mut().filter(|sa| sa.age > since) {
            let keys = Keys::of(&sa.config);
            let used = self.gone.iter().filter(|(gone, _)| *gone == keys);
            let next = used.map(|(_, next)| *next).max();
            sa.next = sa.next.max(next.unwrap_or(0));
        }
    }

    pub(crate) fn newest_age(&self) -> u64 {
        self.ages
    }
}

/// What RFC 4303 and the suites demand of an SA.
fn is_sound(config: &SaConfig) -> bool {
    let extended = config.sequence.form == Sequence::Extended;
    let last = if extended {
        u64::MAX - 1
    } else {
        u64::from(u32::MAX)
    };
    config.id.protocol == Protocol::Esp
        && config.source.is_ipv4() == config.id.destination.is_ipv4()
        && (!extended || config.sequence.window.is_some())
        && (config.sequence.window.is_some()
            || config
                .encapsulation
                .is_none_or(|udp| udp.peer == Peer::Stays))
        && config.sequence.start < last
        && [config.lifetimes.hard, config.lifetimes.soft]
            .iter()
            .all(is_sound_lifetime)
        && config.encryption_key.len() == config.suite.key_octets()
        && config.authentication_key.len() == config.suite.authentication_key_octets()
}

/// A limit of nothing would end an SA before its first packet.
fn is_sound_lifetime(lifetime: &Lifetime) -> bool {
    let counts = [lifetime.octets, lifetime.packets];
    let times = [lifetime.since_added, lifetime.since_used];
    counts.iter().all(|count| *count != Some(0))
        && times
            .iter()
            .all(|time| time.is_none_or(|time| !time.is_zero()))
}
