//! What both ends of a row are told: SAs and policies, and their text for setkey.

use std::fmt::Write;
use std::net::IpAddr;

use crate::link::{End, Family};
use crate::suite::Suite;

/// The port of UDP encapsulation at both ends.
pub const UDP_PORT: u16 = 4500;

/// The mode of an SA.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// The packet keeps its header.
    Transport,
    /// The packet gets a new one.
    Tunnel,
}

/// What ESP stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encapsulation {
    /// IP protocol 50.
    None,
    /// UDP (RFC 3948).
    Udp,
}

/// How long the SA's sequence numbers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sequence {
    /// 32 bits.
    Short,
    /// 64 bits (ESN, RFC 4303 §2.2.1).
    Extended,
}

/// Which packets between its prefixes a policy means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Upper {
    /// All.
    Any,
    /// TCP to this port of the receiver.
    Tcp(u16),
    /// UDP to this port of the receiver.
    Udp(u16),
}

/// An SA, from one end to the other.
#[derive(Clone, Debug)]
pub struct Sa {
    /// The end that sends.
    pub from: End,
    /// Outer source.
    pub source: IpAddr,
    /// Outer destination.
    pub destination: IpAddr,
    /// 256 or more.
    pub spi: u32,
    /// Transport or tunnel.
    pub mode: Mode,
    /// The algorithms.
    pub suite: Suite,
    /// The cipher's key with its salt, in hexadecimal digits; empty for NULL.
    pub cipher_key: String,
    /// The integrity algorithm's key in hexadecimal digits; empty for a combined cipher.
    pub integrity_key: String,
    /// Short or extended.
    pub sequence: Sequence,
    /// None or UDP.
    pub encapsulation: Encapsulation,
    /// The ports of UDP, of the source and of the destination.
    pub ports: (u16, u16),
    /// Whether our end follows its peer to where a NAT shows it.
    pub roams: bool,
    /// The only sender and receiver whose packets it may carry, if it is so limited.
    pub selector: Option<(IpAddr, IpAddr)>,
    /// The policies whose packets it carries, if not those of any.
    pub reqid: Option<u32>,
}

/// A policy that protects, for one way.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The end that sends.
    pub from: End,
    /// The prefix of the senders.
    pub source: String,
    /// The prefix of the receivers.
    pub destination: String,
    /// What runs above IP.
    pub upper: Upper,
    /// The mode of its one template.
    pub mode: Mode,
    /// The endpoints of a tunnel.
    pub endpoints: (IpAddr, IpAddr),
    /// The SAs that may serve it, if not any.
    pub reqid: Option<u32>,
}

/// SAs and policies of both ways.
#[derive(Clone, Debug, Default)]
pub struct Site {
    /// The SAs.
    pub sas: Vec<Sa>,
    /// The policies.
    pub policies: Vec<Policy>,
}

impl Sa {
    /// The family of its outer addresses.
    pub fn outer(&self) -> Family {
        if self.source.is_ipv4() {
            Family::V4
        } else {
            Family::V6
        }
    }

    /// Gives it other keys, drawn from `seed`: the same for the same seed.
    pub fn set_keys(&mut self, seed: u64) {
        let Suite {
            cipher,
            key,
            integrity,
        } = self.suite;
        let mut digits = KeyDigits(seed);
        self.cipher_key = if key == 0 {
            String::new()
        } else {
            digits.take(key + cipher.salt)
        };
        self.integrity_key =
            integrity.map_or_else(String::new, |algorithm| digits.take(algorithm.key));
    }
}

impl Site {
    /// The text for `end`'s setkey; it replaces whatever stood there.
    pub fn setkey(&self, end: End) -> String {
        let mut text = String::from("flush;\nspdflush;\n");
        for sa in &self.sas {
            let _ = writeln!(text, "{};", setkey_add(sa));
        }
        for policy in &self.policies {
            let _ = writeln!(text, "{};", setkey_spdadd(policy, end));
        }
        text
    }
}

fn setkey_add(sa: &Sa) -> String {
    let protocol = match sa.encapsulation {
        Encapsulation::None => "esp",
        Encapsulation::Udp => "esp-udp",
    };
    let end = |address: IpAddr, port: u16| match (sa.encapsulation, port) {
        (Encapsulation::None, _) | (_, UDP_PORT) => address.to_string(),
        _ => format!("{address}[{port}]"),
    };
    let mut text = format!(
        "add {} {} {protocol} {:#x}",
        end(sa.source, sa.ports.0),
        end(sa.destination, sa.ports.1),
        sa.spi
    );
    text += match sa.mode {
        Mode::Transport => " -m transport",
        Mode::Tunnel => " -m tunnel",
    };
    if sa.sequence == Sequence::Extended {
        text += " -esn";
    }
    if sa.roams {
        text += " -roams";
    }
    if let Some(reqid) = sa.reqid {
        text += &format!(" -u {reqid}");
    }
    if let Some((source, destination)) = sa.selector {
        text += &format!(" -sel {source} {destination} any");
    }
    text += &format!(" -E {}", sa.suite.cipher.setkey);
    if !sa.cipher_key.is_empty() {
        text += &format!(" 0x{}", sa.cipher_key);
    }
    if let Some(integrity) = sa.suite.integrity {
        text += &format!(" -A {} 0x{}", integrity.setkey, sa.integrity_key);
    }
    text
}

fn setkey_spdadd(policy: &Policy, end: End) -> String {
    let Policy {
        source,
        destination,
        endpoints: (near, far),
        ..
    } = policy;
    let direction = if policy.from == end { "out" } else { "in" };
    let level = match policy.reqid {
        None => "require".to_owned(),
        Some(reqid) => format!("unique:{reqid}"),
    };
    let template = match policy.mode {
        Mode::Transport => format!("esp/transport//{level}"),
        Mode::Tunnel => format!("esp/tunnel/{near}-{far}/{level}"),
    };
    let (port, upper) = match policy.upper {
        Upper::Any => (String::new(), "any"),
        Upper::Tcp(port) => (format!("[{port}]"), "tcp"),
        Upper::Udp(port) => (format!("[{port}]"), "udp"),
    };
    format!("spdadd {source} {destination}{port} {upper} -P {direction} ipsec {template}")
}

/// Keys for tests: a stream of digits that depends on the seed alone (splitmix64).
struct KeyDigits(u64);

impl KeyDigits {
    fn take(&mut self, octets: usize) -> String {
        let mut text = String::new();
        while text.len() < octets * 2 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut word = self.0;
            word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            let _ = write!(text, "{:016x}", word ^ (word >> 31));
        }
        text.truncate(octets * 2);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite;

    fn sa(suite: Suite) -> Sa {
        let mut sa = Sa {
            from: End::Ours,
            source: End::Ours.outer(Family::V4),
            destination: End::Peer.outer(Family::V4),
            spi: 0x1000,
            mode: Mode::Tunnel,
            suite,
            cipher_key: String::new(),
            integrity_key: String::new(),
            sequence: Sequence::Extended,
            encapsulation: Encapsulation::Udp,
            ports: (UDP_PORT, UDP_PORT),
            roams: false,
            selector: None,
            reqid: None,
        };
        sa.set_keys(7);
        sa
    }

    #[test]
    fn keys_have_the_length_of_their_suite() {
        for suite in suite::all() {
            let sa = sa(suite);
            assert_eq!(
                sa.cipher_key.len() / 2,
                suite.key + if suite.key == 0 { 0 } else { suite.cipher.salt }
            );
            assert_eq!(
                sa.integrity_key.len() / 2,
                suite.integrity.map_or(0, |algorithm| algorithm.key)
            );
        }
    }

    #[test]
    fn setkey_learns_the_same_site_from_either_end() {
        let policy = Policy {
            from: End::Ours,
            source: End::Ours.network(Family::V4),
            destination: End::Peer.network(Family::V4),
            upper: Upper::Any,
            mode: Mode::Tunnel,
            endpoints: (End::Ours.outer(Family::V4), End::Peer.outer(Family::V4)),
            reqid: None,
        };
        let site = Site {
            sas: suite::all().into_iter().take(1).map(sa).collect(),
            policies: vec![policy],
        };
        let text = site.setkey(End::Ours);
        assert!(
            text.contains("add 192.0.2.1 192.0.2.2 esp-udp 0x1000 -m tunnel -esn -E aes-gcm-16 0x")
        );
        assert!(text.contains(
            "spdadd 10.1.0.0/24 10.2.0.0/24 any -P out ipsec esp/tunnel/192.0.2.1-192.0.2.2/require;"
        ));
        assert_eq!(site.setkey(End::Peer), text.replace("-P out", "-P in"));
    }
}
