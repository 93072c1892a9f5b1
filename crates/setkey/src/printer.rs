//! Canonical text of a tree: it parses back to an equal tree.

use std::fmt;

use crate::algorithm::Encryption;
use crate::tree::{
    Action, Add, Addresses, Codes, Command, Df, Direction, Endpoint, IcmpVersion, Key, Level,
    Lifetime, Mode, Original, Padding, Policy, Ports, Protocol, SaId, SaPair, Selector, Side,
    Template, Upper,
};

/// What becomes of keys in printed text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Keys {
    /// Stars, two for each octet: the text shows the length of the key and
    /// cannot be read back.
    Masked,
    /// The digits. For a file that only its owner may read.
    Shown,
}

impl Command {
    /// The command as text, up to and including the `;`.
    pub fn display(&self, keys: Keys) -> impl fmt::Display + '_ {
        fmt::from_fn(move |f| match self {
            Command::Add(add) => print_add(f, add, keys),
            Command::Get(id) => write!(f, "get {id};"),
            Command::Delete(id) => write!(f, "delete {id};"),
            Command::DeleteAll(pair) => write!(f, "deleteall {pair};"),
            Command::Flush(None) => f.write_str("flush;"),
            Command::Flush(Some(protocol)) => write!(f, "flush {};", protocol.value),
            Command::Dump(None) => f.write_str("dump;"),
            Command::Dump(Some(protocol)) => write!(f, "dump {};", protocol.value),
            Command::SpdAdd(entry) => write!(f, "spdadd {} {};", entry.selector, entry.policy),
            Command::SpdUpdate(entry) => {
                write!(f, "spdupdate {} {};", entry.selector, entry.policy)
            }
            Command::SpdDelete(entry) => {
                write!(
                    f,
                    "spddelete {} -P {};",
                    entry.selector, entry.direction.value
                )
            }
            Command::SpdFlush => f.write_str("spdflush;"),
            Command::SpdDump => f.write_str("spddump;"),
            Command::Exit => f.write_str("exit;"),
        })
    }
}

impl fmt::Display for Command {
    /// With keys masked.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.display(Keys::Masked).fmt(f)
    }
}

// ---- SAs -------------------------------------------------------------------

fn print_add(f: &mut fmt::Formatter<'_>, add: &Add, keys: Keys) -> fmt::Result {
    f.write_str("add ")?;
    print_ends(f, add)?;
    if let Some(mode) = &add.mode {
        write!(f, " -m {}", mode.value)?;
    }
    if let Some(reqid) = &add.reqid {
        write!(f, " -u {}", reqid.value)?;
    }
    match &add.window {
        Some(window) if window.value % 8 == 0 => write!(f, " -r {}", window.value / 8)?,
        Some(window) => write!(f, " -window {}", window.value)?,
        None => {}
    }
    if add.esn.is_some() {
        f.write_str(" -esn")?;
    }
    if let Some(first) = &add.first_sequence {
        write!(f, " -seq {}", first.value)?;
    }
    if add.roams.is_some() {
        f.write_str(" -roams")?;
    }
    if let Some(padding) = &add.padding {
        write!(f, " -f {}", padding.value)?;
    }
    if add.no_cyclic_sequence.is_some() {
        f.write_str(" -f nocyclic-seq")?;
    }
    print_lifetime(f, 'h', &add.hard)?;
    print_lifetime(f, 's', &add.soft)?;
    if let Some(df) = &add.df {
        write!(f, " -df {}", df.value)?;
    }
    if let Some(selector) = &add.selector {
        write!(f, " -sel {}", selector.value)?;
    }
    if let Some(encryption) = &add.encryption {
        write!(f, " -E {}", encryption.algorithm.name())?;
        if encryption.algorithm.value != Encryption::Null {
            print_key(f, &encryption.key, keys)?;
        }
    }
    if let Some(authentication) = &add.authentication {
        write!(f, " -A {}", authentication.algorithm.name())?;
        print_key(f, &authentication.key, keys)?;
    }
    f.write_str(";")
}

/// Addresses, protocol and SPI; UDP encapsulation in NetBSD's way, or in
/// FreeBSD's where the addresses before NAT are both known.
fn print_ends(f: &mut fmt::Formatter<'_>, add: &Add) -> fmt::Result {
    let (source, destination) = (add.source.value, add.destination.value);
    let (protocol, spi) = (add.protocol.value, add.spi.value);
    let Some(udp) = &add.udp else {
        return write!(f, "{source} {destination} {protocol} {spi:#010x}");
    };
    let (from, to) = (udp.source_port.value, udp.destination_port.value);
    match &udp.original {
        None => write!(
            f,
            "{source}[{from}] {destination}[{to}] esp-udp {spi:#010x}"
        ),
        Some(Original::Peer(peer)) => write!(
            f,
            "{source}[{from}] {destination}[{to}] esp-udp {} {spi:#010x}",
            peer.value
        ),
        Some(Original::Both {
            source: a,
            destination: b,
        }) => write!(
            f,
            "{source} {destination} {protocol} {spi:#010x} -natt {}[{from}] {}[{to}]",
            a.value, b.value
        ),
    }
}

/// `which` is the second letter of the flags.
fn print_lifetime(f: &mut fmt::Formatter<'_>, which: char, lifetime: &Lifetime) -> fmt::Result {
    if let Some(seconds) = &lifetime.seconds {
        write!(f, " -l{which} {}", seconds.value)?;
    }
    if let Some(octets) = &lifetime.octets {
        write!(f, " -b{which} {}", octets.value)?;
    }
    Ok(())
}

fn print_key(f: &mut fmt::Formatter<'_>, key: &Key, keys: Keys) -> fmt::Result {
    if key.octets().is_empty() {
        return f.write_str(" \"\"");
    }
    f.write_str(" 0x")?;
    for octet in key.octets() {
        match keys {
            Keys::Masked => f.write_str("**")?,
            Keys::Shown => write!(f, "{octet:02x}")?,
        }
    }
    Ok(())
}

impl fmt::Display for SaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (source, destination) = (self.source.value, self.destination.value);
        let (protocol, spi) = (self.protocol.value, self.spi.value);
        write!(f, "{source} {destination} {protocol} {spi:#010x}")
    }
}

impl fmt::Display for SaPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.source.value, self.destination.value)?;
        match &self.protocol {
            Some(protocol) => write!(f, " {}", protocol.value),
            None => Ok(()),
        }
    }
}

// ---- Policies --------------------------------------------------------------

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (source, destination) = (&self.source, &self.destination);
        write!(f, "{source} {destination} {}", self.upper.value)
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.addresses.value, self.ports.value)
    }
}

impl fmt::Display for Addresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Addresses::Prefix { network, length } => write!(f, "{network}/{length}"),
            Addresses::Range { first, last } => write!(f, "{first}-{last}"),
        }
    }
}

impl fmt::Display for Ports {
    /// In brackets; nothing for `Any`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ports::Any => Ok(()),
            Ports::Range { first, last } if first == last && *first != 0 => write!(f, "[{first}]"),
            Ports::Range { first, last } => write!(f, "[{first}-{last}]"),
        }
    }
}

impl fmt::Display for Upper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Upper::Any => f.write_str("any"),
            Upper::Protocol(number) => {
                let name = PROTOCOL_NAMES.iter().find(|(_, known)| known == number);
                match name {
                    Some((name, _)) => f.write_str(name),
                    None => number.fmt(f),
                }
            }
            Upper::Icmp {
                version,
                message_type,
                codes,
            } => {
                let name = match version {
                    IcmpVersion::V4 => "icmp",
                    IcmpVersion::V6 => "icmp6",
                };
                match codes {
                    Codes::Any => write!(f, "{name} {message_type},any"),
                    Codes::Range { first, last } if first == last => {
                        write!(f, "{name} {message_type},{first}")
                    }
                    Codes::Range { first, last } => {
                        write!(f, "{name} {message_type},{first}-{last}")
                    }
                }
            }
        }
    }
}

impl fmt::Display for Policy {
    /// From `-P` on.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "-P {}", self.direction.value)?;
        if let Some(priority) = &self.priority {
            write!(f, " prio {}", priority.value)?;
        }
        match &self.action.value {
            Action::Discard => f.write_str(" discard"),
            Action::None => f.write_str(" none"),
            Action::Ipsec(templates) => {
                f.write_str(" ipsec")?;
                let mut templates = templates.iter();
                templates.try_for_each(|template| write!(f, " {}", template.value))
            }
        }
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/", self.protocol.value, self.mode.value)?;
        if let Some(ends) = &self.endpoints {
            write!(f, "{}-{}", ends.source, ends.destination)?;
        }
        write!(f, "/{}", self.level.value)?;
        match &self.reqid {
            Some(reqid) => write!(f, ":{}", reqid.value),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.port {
            Some(port) => write!(f, "{}[{}]", self.address.value, port.value),
            None => self.address.value.fmt(f),
        }
    }
}

// ---- Words -----------------------------------------------------------------

/// Names of upper protocols; /etc/protocols is not read.
pub(crate) const PROTOCOL_NAMES: [(&str, u8); 18] = [
    ("icmp", 1),
    ("igmp", 2),
    ("ip4", 4),
    ("tcp", 6),
    ("udp", 17),
    ("dccp", 33),
    ("ipv6", 41),
    ("gre", 47),
    ("esp", 50),
    ("ah", 51),
    ("icmp6", 58),
    ("ospf", 89),
    ("pim", 103),
    ("ipcomp", 108),
    ("vrrp", 112),
    ("l2tp", 115),
    ("sctp", 132),
    ("udplite", 136),
];

/// Prints each variant as one word.
macro_rules! words {
    ($type:ident { $($variant:ident => $word:literal,)* }) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $($type::$variant => $word,)*
                })
            }
        }
    };
}

words!(Protocol { Esp => "esp", Ah => "ah", });
words!(Mode { Any => "any", Transport => "transport", Tunnel => "tunnel", });
words!(Padding { Zero => "zero-pad", Random => "random-pad", Sequential => "seq-pad", });
words!(Df { Copy => "copy", Set => "set", Clear => "clear", });
words!(Direction { In => "in", Out => "out", Fwd => "fwd", });
words!(Level { Default => "default", Use => "use", Require => "require", Unique => "unique", });
