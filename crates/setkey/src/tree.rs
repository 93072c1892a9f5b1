//! The tree of a script: what was said, and where.
//!
//! Values are checked as far as the text alone allows (an SPI is at least 256,
//! a prefix fits its family, a range is not reversed); whether a key has the
//! right length or an SA already exists is for those who know.

use std::fmt;
use std::net::IpAddr;

use zeroize::Zeroizing;

use crate::algorithm::{Authentication, Encryption};
use crate::span::Spanned;

/// A whole script, in the order in which it was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Script {
    /// The commands; each span runs from the first word to the `;`.
    pub commands: Vec<Spanned<Command>>,
}

/// One command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// `add`: a new SA.
    Add(Box<Add>),
    /// `get`: show one SA.
    Get(SaId),
    /// `delete`: remove one SA.
    Delete(SaId),
    /// `deleteall`: remove every SA between two addresses.
    DeleteAll(SaPair),
    /// `flush`: remove every SA, or every SA of one protocol.
    Flush(Option<Spanned<Protocol>>),
    /// `dump`: show every SA, or every SA of one protocol.
    Dump(Option<Spanned<Protocol>>),
    /// `spdadd`: a new policy.
    SpdAdd(Box<SpdEntry>),
    /// `spdupdate`: a policy that replaces the one with the same selector and
    /// direction, or is new.
    SpdUpdate(Box<SpdEntry>),
    /// `spddelete`: remove the policy with this selector and direction.
    SpdDelete(Box<SpdDelete>),
    /// `spdflush`: remove every policy.
    SpdFlush,
    /// `spddump`: show every policy.
    SpdDump,
    /// `exit`, `quit` or `bye`: what follows is not read.
    Exit,
}

// ---- SAs -------------------------------------------------------------------

/// `add src dst protocol spi [extensions] algorithm… ;`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Add {
    /// Address of the sender; of the same family as `destination`.
    pub source: Spanned<IpAddr>,
    /// Address of the receiver.
    pub destination: Spanned<IpAddr>,
    /// `esp`, `esp-udp` (then [`udp`](Self::udp) is set) or `ah`.
    pub protocol: Spanned<Protocol>,
    /// 256 to 2³² − 1 (RFC 4303 §2.1).
    pub spi: Spanned<u32>,
    /// `-m`; absent means [`Mode::Any`].
    pub mode: Option<Spanned<Mode>>,
    /// `-u`, 1 to 2³² − 1: templates that ask for this number use this SA.
    pub reqid: Option<Spanned<u32>>,
    /// `-r` or `-window`, in packets, 0 (no replay protection) to 65 536;
    /// absent means the engine's default.
    pub window: Option<Spanned<u32>>,
    /// `-esn`: extended sequence numbers (RFC 4303 §2.2.1).
    pub esn: Option<Spanned<()>>,
    /// `-seq`, at least 1, above 2³² − 1 only with ESN: the first number that
    /// this SA sends or accepts.
    pub first_sequence: Option<Spanned<u64>>,
    /// `-roams`, with UDP encapsulation and replay protection only: the peer is followed when its
    /// address or port changes.
    pub roams: Option<Spanned<()>>,
    /// `-f zero-pad` and its like.
    pub padding: Option<Spanned<Padding>>,
    /// `-f nocyclic-seq`.
    pub no_cyclic_sequence: Option<Spanned<()>>,
    /// `-lh`, `-bh`: the SA dies.
    pub hard: Lifetime,
    /// `-ls`, `-bs`: a key manager is told.
    pub soft: Lifetime,
    /// `-df`: the outer header's DF bit in tunnel mode.
    pub df: Option<Spanned<Df>>,
    /// `-sel`: the only packets that this SA may carry (RFC 4301 §4.4.2.1).
    pub selector: Option<Spanned<Selector>>,
    /// `esp-udp`, or `esp` with FreeBSD's `-natt` (RFC 3948).
    pub udp: Option<Spanned<UdpEncapsulation>>,
    /// `-E`: always there for ESP, never for AH.
    pub encryption: Option<KeyedAlgorithm<Encryption>>,
    /// `-A`: always there for AH.
    pub authentication: Option<KeyedAlgorithm<Authentication>>,
}

/// What `get` and `delete` name: `src dst protocol spi`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SaId {
    /// Address of the sender; of the same family as `destination`.
    pub source: Spanned<IpAddr>,
    /// Address of the receiver.
    pub destination: Spanned<IpAddr>,
    /// The protocol (`esp-udp` counts as `esp`).
    pub protocol: Spanned<Protocol>,
    /// 256 to 2³² − 1.
    pub spi: Spanned<u32>,
}

/// What `deleteall` names: `src dst [protocol]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SaPair {
    /// Address of the sender; of the same family as `destination`.
    pub source: Spanned<IpAddr>,
    /// Address of the receiver.
    pub destination: Spanned<IpAddr>,
    /// Absent: both protocols.
    pub protocol: Option<Spanned<Protocol>>,
}

/// The protocol of an SA or of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// ESP (RFC 4303), protocol 50.
    Esp,
    /// AH (RFC 4302), protocol 51.
    Ah,
}

/// The mode of an SA (`-m`) or of a template (never `Any` there).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// `any`: serves templates of both modes.
    Any,
    /// `transport`.
    Transport,
    /// `tunnel`.
    Tunnel,
}

/// `-f`: what fills the padding of ESP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Padding {
    /// `zero-pad`.
    Zero,
    /// `random-pad`.
    Random,
    /// `seq-pad`: 1, 2, 3, … (RFC 4303 §2.4).
    Sequential,
}

/// `-df`: the DF bit of the outer IPv4 header (RFC 4301 §8.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Df {
    /// Copied from the inner header.
    Copy,
    /// Set.
    Set,
    /// Cleared.
    Clear,
}

/// One pair of limits. Zero in the text means no limit and is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lifetime {
    /// `-lh`, `-ls`: seconds since the SA was added.
    pub seconds: Option<Spanned<u64>>,
    /// `-bh`, `-bs`: octets carried.
    pub octets: Option<Spanned<u64>>,
}

/// UDP encapsulation (RFC 3948).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UdpEncapsulation {
    /// 1 to 65 535; 4500 where the text says nothing.
    pub source_port: Spanned<u16>,
    /// 1 to 65 535; 4500 where the text says nothing.
    pub destination_port: Spanned<u16>,
    /// Addresses before NAT changed them, to mend transport-mode checksums
    /// (RFC 3948 §3.1.2).
    pub original: Option<Original>,
}

/// The addresses that the peers had before NAT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Original {
    /// `esp-udp ADDRESS` (NetBSD, ipsec-tools): the peer's.
    Peer(Spanned<IpAddr>),
    /// `-natt ADDRESS[PORT] ADDRESS[PORT]` (FreeBSD).
    Both {
        /// The sender's.
        source: Spanned<IpAddr>,
        /// The receiver's.
        destination: Spanned<IpAddr>,
    },
}

/// An algorithm and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyedAlgorithm<A> {
    /// Which.
    pub algorithm: Spanned<A>,
    /// Its key, salt included; empty for `null`, whose span is then that of
    /// the algorithm.
    pub key: Spanned<Key>,
}

/// Secret octets: wiped when dropped, never in `Debug`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Key(Zeroizing<Vec<u8>>);

impl Key {
    /// Takes the octets over.
    pub fn new(octets: Vec<u8>) -> Self {
        Self(Zeroizing::new(octets))
    }

    /// The secret itself.
    pub fn octets(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({} octets)", self.0.len())
    }
}

// ---- Policies ----------------------------------------------------------------

/// `spdadd src_range dst_range upperspec -P direction [priority] action ;`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpdEntry {
    /// Which packets.
    pub selector: Selector,
    /// What happens to them.
    pub policy: Policy,
}

/// `spddelete src_range dst_range upperspec -P direction ;`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpdDelete {
    /// The selector of the policy.
    pub selector: Selector,
    /// Its direction.
    pub direction: Spanned<Direction>,
}

/// Which packets: of a policy, or of an SA (`-sel`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector {
    /// Senders; of the same family as `destination`.
    pub source: Side,
    /// Receivers.
    pub destination: Side,
    /// The upper protocol.
    pub upper: Spanned<Upper>,
}

/// One side of a selector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Side {
    /// Which addresses.
    pub addresses: Spanned<Addresses>,
    /// Which ports. Other than `Any` only beside an upper protocol that has
    /// ports, or beside [`Upper::Any`]: then only packets with ports match.
    pub ports: Spanned<Ports>,
}

/// A set of addresses of one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Addresses {
    /// `address/length`; a bare address has the length of its family.
    Prefix {
        /// The address; bits behind the prefix are zero.
        network: IpAddr,
        /// 0 to 32, or 0 to 128.
        length: u8,
    },
    /// `first-last`, both included.
    Range {
        /// The lowest address.
        first: IpAddr,
        /// The highest; of the same family, not below `first`.
        last: IpAddr,
    },
}

/// A set of ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ports {
    /// Any port, also of packets without ports.
    Any,
    /// `first` to `last`, both included; equal for a single port.
    Range {
        /// The lowest port.
        first: u16,
        /// The highest, not below `first`.
        last: u16,
    },
}

/// The upper protocol of a selector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Upper {
    /// `any`.
    Any,
    /// A protocol by its number, ICMP without type and code included.
    Protocol(u8),
    /// `icmp TYPE[,CODE]` or `icmp6 TYPE[,CODE]`.
    Icmp {
        /// Protocol 1 or 58.
        version: IcmpVersion,
        /// The message type.
        message_type: u8,
        /// Its codes.
        codes: Codes,
    },
}

/// Which ICMP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IcmpVersion {
    /// ICMP, protocol 1.
    V4,
    /// ICMPv6, protocol 58.
    V6,
}

/// A set of ICMP codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codes {
    /// Any code.
    Any,
    /// `first` to `last`, both included; equal for a single code.
    Range {
        /// The lowest code.
        first: u8,
        /// The highest, not below `first`.
        last: u8,
    },
}

/// `-P direction [priority] action`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The way of the packets.
    pub direction: Spanned<Direction>,
    /// −2 147 483 647 to 2 147 483 648, the higher the earlier; 0 where absent.
    /// (The Linux kernel's number is 2³¹ minus this one.)
    pub priority: Option<Spanned<i64>>,
    /// What happens.
    pub action: Spanned<Action>,
}

/// The way of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// `in`: to this host.
    In,
    /// `out`: from the protected side to the other.
    Out,
    /// `fwd`: from the other side, through this host.
    Fwd,
}

/// What a policy does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// `discard`.
    Discard,
    /// `none`: passes in the clear (RFC 4301's BYPASS).
    None,
    /// `ipsec`: protected by these templates, at least one, the first applied
    /// first.
    Ipsec(Vec<Spanned<Template>>),
}

/// `protocol/mode/src-dst/level`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    /// The protocol.
    pub protocol: Spanned<Protocol>,
    /// `Transport` or `Tunnel`.
    pub mode: Spanned<Mode>,
    /// Always there for a tunnel.
    pub endpoints: Option<Endpoints>,
    /// `default` where absent.
    pub level: Spanned<Level>,
    /// `:N` behind the level, 1 to 2³² − 1: only an SA with this `-u`.
    pub reqid: Option<Spanned<u32>>,
}

/// `src-dst` of a template; both of the same family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoints {
    /// The sending end.
    pub source: Endpoint,
    /// The receiving end.
    pub destination: Endpoint,
}

/// One end of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Its address.
    pub address: Spanned<IpAddr>,
    /// Its UDP port, for ESP in UDP.
    pub port: Option<Spanned<u16>>,
}

/// How much a template insists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Level {
    /// `default`.
    Default,
    /// `use`.
    Use,
    /// `require`.
    Require,
    /// `unique`.
    Unique,
}
