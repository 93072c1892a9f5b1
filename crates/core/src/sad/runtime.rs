//! What changes of an SA while packets pass.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sealway_crypto::{Context, IvSource, Provider};

use super::lifetime::Usage;
use super::numbers::Outgoing;
use super::{Continuation, Progress, Published, ReplayWindow, Reserved, SaConfig, SaError};
use crate::time::Time;

/// The lengths that a suite gives to ESP, at hand for every packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    iv: u8,
    icv: u8,
    alignment: u8,
}

impl Shape {
    fn of(config: &SaConfig) -> Self {
        let suite = &config.suite;
        Shape {
            iv: suite.iv_octets() as u8,
            icv: suite.icv_octets() as u8,
            alignment: suite.block().max(4) as u8,
        }
    }

    /// Octets of the IV.
    #[inline]
    pub(crate) const fn iv(self) -> usize {
        self.iv as usize
    }

    /// Octets of the ICV.
    #[inline]
    pub(crate) const fn icv(self) -> usize {
        self.icv as usize
    }

    /// What the length of the ciphertext is a multiple of (RFC 4303 §2.4): a power of two.
    #[inline]
    pub(crate) const fn alignment(self) -> usize {
        self.alignment as usize
    }
}

/// An SA's run-time state.
pub struct Runtime {
    pub(crate) shape: Shape,
    pub(crate) context: Box<dyn Context>,
    /// Drawn when the SA first sends: an SA that never does needs no randomness.
    iv: OnceLock<IvSource>,
    /// Where the IVs of a counter mode start, if somebody used these keys before.
    iv_start: OnceLock<u64>,
    pub(crate) outgoing: Outgoing,
    pub(crate) replay: Option<ReplayWindow>,
    pub(crate) usage: Usage,
    dead: AtomicBool,
    is_kept: AtomicBool,
}

impl Runtime {
    /// With a context from the provider, or from the preferred one.
    pub(crate) fn new(
        config: &SaConfig,
        provider: Option<&dyn Provider>,
        now: Time,
    ) -> Result<Self, SaError> {
        let suite = &config.suite;
        let provider = provider.unwrap_or_else(|| sealway_crypto::preferred(suite));
        let context = provider.context(
            suite,
            config.encryption_key.expose(),
            config.authentication_key.expose(),
        )?;
        Ok(Runtime::with_context(config, context, now))
    }

    fn with_context(config: &SaConfig, context: Box<dyn Context>, now: Time) -> Self {
        let rules = config.sequence;
        Runtime {
            shape: Shape::of(config),
            context,
            iv: OnceLock::new(),
            iv_start: OnceLock::new(),
            outgoing: Outgoing::new(rules.start, config.sequence_limit()),
            replay: rules
                .window
                .map(|size| ReplayWindow::new(size, rules.form, rules.start)),
            usage: Usage::new(&config.lifetimes, now),
            dead: AtomicBool::new(false),
            is_kept: AtomicBool::new(false),
        }
    }

    /// Goes on where an earlier run may have come, and keeps within what storage has reserved.
    pub(crate) fn continue_with(&self, from: &Continuation) {
        self.outgoing.continue_from(from.sent.saturating_add(1));
        self.outgoing.confine(from.reserved.send);
        if let Some(window) = &self.replay {
            window.confine(from.received, from.reserved.receive);
        }
        // An SA is continued at most once, before it is used.
        let _ = self.iv_start.set(from.iv_start);
        self.is_kept.store(true, Ordering::Relaxed);
    }

    /// Whether its numbers are kept on storage.
    pub fn is_kept(&self) -> bool {
        self.is_kept.load(Ordering::Relaxed)
    }

    /// How far its numbers have come.
    pub fn progress(&self) -> Progress {
        let window = self.replay.as_ref();
        Progress {
            next: self.outgoing.next(),
            top: window.map_or(0, ReplayWindow::top),
            wanted: window.map_or(0, ReplayWindow::wanted),
            reserved: Reserved {
                send: self.outgoing.reserved(),
                receive: window.map_or(u64::MAX, ReplayWindow::limit),
            },
        }
    }

    /// Numbers up to this are safe to send. For whoever keeps the storage.
    pub fn reserve_sent(&self, last: u64) {
        self.outgoing.reserve(last);
    }

    /// Numbers up to this are safe to accept, or may be no longer: what was accepted stays so. The
    /// limit from now on. For whoever keeps the storage: raised after it was written, lowered
    /// before.
    pub fn reserve_received(&self, limit: u64) -> u64 {
        let window = self.replay.as_ref();
        window.map_or(u64::MAX, |window| window.reserve(limit))
    }

    /// Shows from now on how far it comes. For whoever keeps the numbers, once and before the first
    /// packet: what stands in the words already is less than what it will have used.
    pub fn publish(&self, published: Published) {
        self.outgoing.published.set(published.next);
        if let Some(window) = &self.replay {
            window.published.set(published.top);
        }
    }

    /// Whether it shows how far it comes, so that a run that follows on this machine knows it to
    /// the number.
    pub fn is_published(&self) -> bool {
        self.outgoing.published.is_set()
    }

    /// The number that the next packet would carry.
    pub fn next_sequence(&self) -> u64 {
        self.outgoing.next()
    }

    /// Continues above the numbers that another SA with the same keys has used.
    pub(crate) fn continue_from(&self, next: u64) {
        self.outgoing.continue_from(next);
    }

    /// Where the IVs of a counter mode start, once that is settled.
    pub(crate) fn iv_start(&self) -> Option<u64> {
        let drawn = self.iv.get().and_then(IvSource::start);
        drawn.or_else(|| self.iv_start.get().copied())
    }

    /// Lets the IVs start where they did under these keys before.
    pub(crate) fn continue_iv(&self, start: u64) {
        // Storage knows better.
        let _ = self.iv_start.set(start);
    }

    /// The source of IVs, made at the first call from what `seed` draws.
    #[inline]
    pub(crate) fn iv(&self, config: &SaConfig, seed: impl FnOnce() -> [u8; 32]) -> &IvSource {
        self.iv.get_or_init(|| match self.iv_start.get() {
            None => IvSource::new(&config.suite, &seed()),
            Some(start) => IvSource::continued(&config.suite, &seed(), *start),
        })
    }

    /// Whether it was deleted: those who still hold it find that out here.
    #[inline]
    pub fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Acquire)
    }

    pub(crate) fn kill(&self) {
        self.dead.store(true, Ordering::Release);
    }

    /// Packets sealed or opened.
    pub fn packets(&self) -> u64 {
        self.usage.packets()
    }

    /// Octets of the packets sealed or opened, without what ESP adds.
    pub fn octets(&self) -> u64 {
        self.usage.octets()
    }

    /// How long ago it was added.
    pub fn age(&self, now: Time) -> Duration {
        now.since(self.usage.added())
    }

    /// How long ago it sealed or opened its first packet.
    pub fn in_use(&self, now: Time) -> Option<Duration> {
        Some(now.since(self.usage.first()?))
    }

    /// Whether one of its hard limits was reached: it is about to be removed.
    pub fn has_expired(&self) -> bool {
        self.usage.has_ended()
    }
}

impl std::fmt::Debug for Runtime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runtime")
            .field("next_sequence", &self.next_sequence())
            .field("packets", &self.packets())
            .field("dead", &self.is_dead())
            .finish_non_exhaustive()
    }
}
