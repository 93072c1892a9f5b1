//! SAs: what was asked for, the numbers used, and every number ever seen.

use std::collections::BTreeSet;
use std::net::IpAddr;

use sealway_core::sad::{Protocol, SaConfig, SaId, SaMode};
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
    /// Every number whose ICV verified.
    pub seen: BTreeSet<u64>,
}

impl Sa {
    pub(crate) fn new(config: SaConfig, age: u64) -> Sa {
        Sa {
            age,
            next: config.sequence.start + 1,
            seen: BTreeSet::new(),
            config,
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
    fn top(&self) -> u64 {
        let start = self.config.sequence.start;
        self.seen.last().copied().unwrap_or(start).max(start)
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

    /// Whether the number is new, by RFC 4303 §3.4.3. Numbers up to the start count as used.
    pub(crate) fn is_new(&self, number: u64) -> bool {
        let Some(window) = self.config.sequence.window else {
            return true;
        };
        let behind = self.top().saturating_sub(number);
        number > self.config.sequence.start
            && behind < u64::from(window.packets())
            && !self.seen.contains(&number)
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
    pub(crate) fn add(&mut self, config: SaConfig) -> Option<()> {
        if !is_sound(&config) || self.list.iter().any(|sa| sa.config.id == config.id) {
            return None;
        }
        self.ages += 1;
        self.list.push(Sa::new(config, self.ages));
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
        && config.sequence.start < last
        && config.encryption_key.len() == config.suite.key_octets()
        && config.authentication_key.len() == config.suite.authentication_key_octets()
}
