//! What an SA is, as it is asked for (RFC 4301 §4.4.2.1).

use std::fmt;
use std::net::IpAddr;

use sealway_crypto::{KeyError, SecretKey, Suite, SuiteError};

use super::{Lifetimes, WindowSize};
use crate::selector::Selector;

/// ESP or AH.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub enum Protocol {
    /// Encapsulating Security Payload (RFC 4303).
    Esp,
    /// Authentication Header (RFC 4302).
    Ah,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Protocol::Esp => "esp",
            Protocol::Ah => "ah",
        })
    }
}

/// A Security Parameters Index that may stand in a packet: 256 and above (RFC 4303 §2.1).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct Spi(u32);

impl Spi {
    /// The SPIs below this one are reserved (RFC 4303 §2.1).
    pub(crate) const LEAST: u32 = 256;

    /// The SPI, unless it is one of those that the standard reserves.
    pub const fn new(value: u32) -> Result<Self, SaError> {
        if value < Spi::LEAST {
            Err(SaError::SpiReserved(value))
        } else {
            Ok(Spi(value))
        }
    }

    /// Its value.
    pub const fn value(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Spi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#010x}", self.0)
    }
}

/// What tells one SA from every other.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct SaId {
    /// The end that opens it.
    pub destination: IpAddr,
    /// ESP or AH.
    pub protocol: Protocol,
    /// Its SPI.
    pub spi: Spi,
}

impl fmt::Display for SaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} spi {}", self.protocol, self.destination, self.spi)
    }
}

/// Transport or tunnel mode; a tunnel's ends are the SA's source and destination.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum SaMode {
    /// Protects what is above IP.
    Transport,
    /// Protects whole IP packets.
    Tunnel,
    /// Either, as KAME's `any`: what the template asks for; inbound, a whole IP packet that comes
    /// out was in a tunnel, and anything else was not.
    Any,
}

/// The mode in which an SA was applied to one packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Applied {
    Transport,
    Tunnel,
}

impl fmt::Display for SaMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SaMode::Transport => "transport",
            SaMode::Tunnel => "tunnel",
            SaMode::Any => "any",
        })
    }
}

/// How sequence numbers are kept (RFC 4303 §2.2, §3.4.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SequenceRules {
    /// 32 bits, or 64 of which the low half travels.
    pub form: sealway_crypto::Sequence,
    /// The window within which packets may come out of order; `None` checks nothing.
    pub window: Option<WindowSize>,
    /// The number used last, before this SA: the first packet carries the next one.
    pub start: u64,
}

impl Default for SequenceRules {
    fn default() -> Self {
        SequenceRules {
            form: sealway_crypto::Sequence::Short,
            window: Some(WindowSize::DEFAULT),
            start: 0,
        }
    }
}

/// ESP in UDP (RFC 3948): the ports as seen on the wire from the SA's source to its destination.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct UdpEncapsulation {
    /// The source's port.
    pub source: u16,
    /// The destination's port.
    pub destination: u16,
    /// Whether the end that is not ours may be found elsewhere than its address and port say.
    pub peer: Peer,
}

/// Whether a peer is followed when the address or port changes that its packets come from, as where
/// a NAT in front of it gives it another (RFC 7296 §2.23).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Peer {
    /// It is where it was said to be: packets from elsewhere are dropped.
    #[default]
    Stays,
    /// It is where its newest packet came from, once that has verified.
    Roams,
}

/// The outer Don't Fragment bit of a tunnel over IPv4 (RFC 4301 §8.1).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum DontFragmentRule {
    /// As the inner packet has it (IPv6 inside: set).
    #[default]
    Copy,
    /// Always set.
    Set,
    /// Always clear.
    Clear,
}

/// An SA as it is asked for. `Debug` shows no key, and keys are compared in constant time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SaConfig {
    /// Destination, protocol and SPI.
    pub id: SaId,
    /// The end that seals it; same family as the destination.
    pub source: IpAddr,
    /// Transport, tunnel, or either.
    pub mode: SaMode,
    /// Its algorithms.
    pub suite: Suite,
    /// The cipher's key, with the salt behind it where the suite has one.
    pub encryption_key: SecretKey,
    /// The integrity algorithm's key; empty for combined modes.
    pub authentication_key: SecretKey,
    /// Sequence numbers and replay.
    pub sequence: SequenceRules,
    /// ESP in UDP; `None`: protocol 50.
    pub encapsulation: Option<UdpEncapsulation>,
    /// The request identifier that templates may ask for; 0: none.
    pub reqid: u32,
    /// The traffic it may carry; `None`: any.
    pub selector: Option<Selector>,
    /// The outer Don't Fragment bit.
    pub dont_fragment: DontFragmentRule,
    /// The ends before a NAT changed them, source first: checksums of what comes in through
    /// transport mode are mended by them (RFC 3948 §3.1.2). `None`: no NAT, or a tunnel.
    pub before_nat: Option<(IpAddr, IpAddr)>,
    /// How long it lasts.
    pub lifetimes: Lifetimes,
}

/// An SA that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SaError {
    /// RFC 4303 §2.1.
    #[error("SPI {0:#x} is below 256, which RFC 4303 reserves: choose 0x100 or above")]
    SpiReserved(u32),
    /// The ends are of two families.
    #[error("source {0} and destination {1} are of different families")]
    Families(IpAddr, IpAddr),
    /// A NAT does not change the family.
    #[error("the addresses before NAT, {0} and {1}, are not of the SA's family")]
    NatFamilies(IpAddr, IpAddr),
    /// The same SA exists.
    #[error("{0} exists already: delete it first, or choose another SPI")]
    Exists(SaId),
    /// A roaming peer without a window: a packet recorded before could move it.
    #[error(
        "a peer that roams needs a replay window: without one any packet recorded before would \
         move it (RFC 7296 §2.23)"
    )]
    RoamsWithoutReplay,
    /// [`Command::Map`](crate::Command::Map) for a peer that stays.
    #[error("the peer of {0} does not roam")]
    NotRoaming(SaId),
    /// No such SA.
    #[error("there is no {0}")]
    Missing(SaId),
    /// ESN without a window: the high half could not be known (RFC 4303 §2.2.1).
    #[error(
        "extended sequence numbers need a replay window: without one the receiver cannot know \
         the high half (RFC 4303 §2.2.1)"
    )]
    ExtendedWithoutReplay,
    /// The start leaves no number to send.
    #[error("sequence number {0} leaves none to send")]
    StartTooHigh(u64),
    /// A limit of 0.
    #[error("a lifetime of 0 would end the SA before its first packet: leave the limit out")]
    NoLifetime,
    /// [`Command::Continue`](crate::Command::Continue) for an SA that is not new.
    #[error("{0} is not new: only an SA of the same transaction can be continued")]
    NotNew(SaId),
    /// AH is not built yet.
    #[error("AH SAs are not supported yet: use ESP, with the null cipher for integrity alone")]
    AhUnsupported,
    /// The algorithms make no ESP suite.
    #[error(transparent)]
    Suite(#[from] SuiteError),
    /// A key of the wrong length.
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl SaConfig {
    pub(crate) fn check(&self) -> Result<(), SaError> {
        if self.id.protocol == Protocol::Ah {
            return Err(SaError::AhUnsupported);
        }
        if self.source.is_ipv4() != self.id.destination.is_ipv4() {
            return Err(SaError::Families(self.source, self.id.destination));
        }
        if let Some((source, destination)) = self.before_nat
            && (source.is_ipv4() != self.source.is_ipv4()
                || destination.is_ipv4() != self.source.is_ipv4())
        {
            return Err(SaError::NatFamilies(source, destination));
        }
        let extended = self.sequence.form == sealway_crypto::Sequence::Extended;
        if extended && self.sequence.window.is_none() {
            return Err(SaError::ExtendedWithoutReplay);
        }
        if self.may_roam() && self.sequence.window.is_none() {
            return Err(SaError::RoamsWithoutReplay);
        }
        if self.sequence.start >= self.sequence_limit() {
            return Err(SaError::StartTooHigh(self.sequence.start));
        }
        if self.lifetimes.has_zero() {
            return Err(SaError::NoLifetime);
        }
        Ok(())
    }

    /// Whether its peer is followed where it goes.
    #[inline]
    pub const fn may_roam(&self) -> bool {
        matches!(
            self.encapsulation,
            Some(UdpEncapsulation {
                peer: Peer::Roams,
                ..
            })
        )
    }

    /// The last sequence number that may be sent (RFC 4303 §3.3.3). Counters never come round.
    pub fn sequence_limit(&self) -> u64 {
        match self.sequence.form {
            sealway_crypto::Sequence::Short => u64::from(u32::MAX),
            sealway_crypto::Sequence::Extended => u64::MAX - 1,
        }
    }
}
