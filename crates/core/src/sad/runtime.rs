//! What changes of an SA while packets pass.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use sealway_crypto::{Context, IvSource, Provider};

use super::{ReplayWindow, SaConfig, SaError};

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
    next: AtomicU64,
    pub(crate) replay: Option<ReplayWindow>,
    dead: AtomicBool,
    packets: AtomicU64,
    octets: AtomicU64,
}

impl Runtime {
    /// With a context from the provider, or from the preferred one.
    pub(crate) fn new(config: &SaConfig, provider: Option<&dyn Provider>) -> Result<Self, SaError> {
        let suite = &config.suite;
        let provider = provider.unwrap_or_else(|| sealway_crypto::preferred(suite));
        let context = provider.context(
            suite,
            config.encryption_key.expose(),
            config.authentication_key.expose(),
        )?;
        Ok(Runtime::with_context(config, context))
    }

    fn with_context(config: &SaConfig, context: Box<dyn Context>) -> Self {
        let rules = config.sequence;
        Runtime {
            shape: Shape::of(config),
            context,
            iv: OnceLock::new(),
            next: AtomicU64::new(rules.start + 1),
            replay: rules
                .window
                .map(|size| ReplayWindow::new(size, rules.form, rules.start)),
            dead: AtomicBool::new(false),
            packets: AtomicU64::new(0),
            octets: AtomicU64::new(0),
        }
    }

    /// Takes `count` numbers at once; the first of them, or `None` when the SA has used its last.
    /// None is ever given twice.
    #[inline]
    pub(crate) fn take_numbers(&self, count: u64, limit: u64) -> Option<u64> {
        let first = self.next.fetch_add(count, Ordering::Relaxed);
        if first
            .checked_add(count - 1)
            .is_some_and(|last| last <= limit)
        {
            return Some(first);
        }
        // Keep the counter from ever coming round, however often this is asked.
        self.next.store(limit.saturating_add(1), Ordering::Relaxed);
        None
    }

    /// The number that the next packet would carry.
    pub fn next_sequence(&self) -> u64 {
        self.next.load(Ordering::Relaxed)
    }

    /// Continues above the numbers that another SA with the same keys has used.
    pub(crate) fn continue_from(&self, next: u64) {
        self.next.fetch_max(next, Ordering::Relaxed);
    }

    /// The source of IVs, made at the first call from what `seed` draws.
    #[inline]
    pub(crate) fn iv(&self, config: &SaConfig, seed: impl FnOnce() -> [u8; 32]) -> &IvSource {
        self.iv
            .get_or_init(|| IvSource::new(&config.suite, &seed()))
    }

    /// Whether it was deleted: those who still hold it find that out here.
    #[inline]
    pub fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Acquire)
    }

    pub(crate) fn kill(&self) {
        self.dead.store(true, Ordering::Release);
    }

    /// Counts packets that its transform sealed or opened, and the octets it protected. One
    /// worker writes this: plain loads and stores.
    #[inline]
    pub(crate) fn count(&self, packets: u64, octets: u64) {
        let relaxed = Ordering::Relaxed;
        self.packets
            .store(self.packets.load(relaxed) + packets, relaxed);
        self.octets
            .store(self.octets.load(relaxed) + octets, relaxed);
    }

    /// Packets sealed or opened.
    pub fn packets(&self) -> u64 {
        self.packets.load(Ordering::Relaxed)
    }

    /// Octets of the packets sealed or opened, without what ESP adds.
    pub fn octets(&self) -> u64 {
        self.octets.load(Ordering::Relaxed)
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
