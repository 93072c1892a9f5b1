//! SAs and policies as text, in the layout of `setkey -D` and `setkey -DP`.

use std::fmt::{self, Write as _};
use std::time::Duration;

use sealway_core::sad::{Protocol, Sa};
use sealway_core::selector::{AddressRange, Selector, Upper};
use sealway_core::spd::{Action, Direction, Policy};
use sealway_core::{Tables, Time};
use sealway_crypto::Sequence;
use sealway_setkey::Keys;
use sealway_wire::protocol;

use super::translate::{Question, priority_of};
use crate::xfrm;

/// What a question of a script prints.
pub(super) fn answer(question: &Question, tables: &Tables, keys: Keys, now: Time) -> String {
    match question {
        Question::Sa(id) => tables
            .sad
            .find(id)
            .map_or_else(String::new, |sa| self::sa(sa, tables, keys, now)),
        Question::Sas(which) => sas(tables, *which, keys, now),
        Question::Policies => policies(tables),
        Question::XfrmStates(which) => tables
            .sad
            .iter()
            .filter(|sa| which.is_none_or(|id| sa.config.id == id))
            .map(|sa| xfrm::dump_sa(sa, keys))
            .collect(),
        Question::XfrmPolicies(which) => tables
            .spd
            .iter()
            .filter(|policy| {
                let config = &policy.config;
                which.as_ref().is_none_or(|(direction, selector)| {
                    config.direction == *direction && config.selector == *selector
                })
            })
            .map(|policy| xfrm::dump_policy(policy))
            .collect(),
        Question::XfrmStateCount => format!("\t SAD count {}\n", tables.sad.iter().len()),
        Question::XfrmPolicyCount => {
            let count = |wanted| {
                let policies = tables.spd.iter();
                policies
                    .filter(|policy| policy.config.direction == wanted)
                    .count()
            };
            let [ours, out, fwd] = [Direction::In, Direction::Out, Direction::Fwd].map(count);
            format!("\t SPD IN  {ours} OUT {out} FWD {fwd}\n")
        }
    }
}

fn sas(tables: &Tables, which: Option<Protocol>, keys: Keys, now: Time) -> String {
    let shown = tables
        .sad
        .iter()
        .filter(|sa| which.is_none_or(|protocol| sa.config.id.protocol == protocol))
        .map(|sa| self::sa(sa, tables, keys, now));
    let text: String = shown.collect();
    if text.is_empty() {
        "No SAD entries.\n".into()
    } else {
        text
    }
}

fn policies(tables: &Tables) -> String {
    let text: String = tables
        .spd
        .iter()
        .map(|policy| self::policy(policy))
        .collect();
    if text.is_empty() {
        "No SPD entries.\n".into()
    } else {
        text
    }
}

fn sa(sa: &Sa, tables: &Tables, keys: Keys, now: Time) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write_sa(&mut text, sa, tables, keys, now);
    text
}

fn write_sa(out: &mut String, sa: &Sa, tables: &Tables, keys: Keys, now: Time) -> fmt::Result {
    let config = &sa.config;
    let (source, destination) = (config.source, config.id.destination);
    let protocol = match config.encapsulation {
        None => {
            writeln!(out, "{source} {destination} ")?;
            config.id.protocol.to_string()
        }
        Some(udp) => {
            writeln!(
                out,
                "{source}[{}] {destination}[{}] ",
                udp.source, udp.destination
            )?;
            "esp-udp".into()
        }
    };
    let (spi, reqid) = (config.id.spi.value(), config.reqid);
    writeln!(
        out,
        "\t{protocol} mode={} spi={spi}(0x{spi:08x}) reqid={reqid}(0x{reqid:08x})",
        config.mode
    )?;
    let key = Hex(config.encryption_key.expose(), keys);
    writeln!(out, "\tE: {} {key}", config.suite.encryption())?;
    if let Some(authentication) = config.suite.authentication() {
        let key = Hex(config.authentication_key.expose(), keys);
        writeln!(out, "\tA: {authentication} {key}")?;
    }
    let esn = match config.sequence.form {
        Sequence::Short => "",
        Sequence::Extended => " esn",
    };
    writeln!(
        out,
        "\tseq=0x{:08x} replay={}{esn} state=mature ",
        sa.runtime.next_sequence() - 1,
        config.sequence.window.map_or(0, |window| window.packets()),
    )?;
    if let Some(selector) = &config.selector {
        writeln!(out, "\tsel: {}", Written(selector))?;
    }
    if let Some(peer) = tables.peer(sa) {
        writeln!(out, "\troams: {}[{}]", peer.ip(), peer.port())?;
    }
    write_lifetimes(out, sa, now)
}

/// As every setkey lays them out; 0 is no limit.
fn write_lifetimes(out: &mut String, sa: &Sa, now: Time) -> fmt::Result {
    let (runtime, hard, soft) = (
        &sa.runtime,
        &sa.config.lifetimes.hard,
        &sa.config.lifetimes.soft,
    );
    let seconds = |time: Option<Duration>| time.map_or(0, |time| time.as_secs());
    writeln!(
        out,
        "\tdiff: {}(s)\thard: {}(s)\tsoft: {}(s)",
        runtime.age(now).as_secs(),
        seconds(hard.since_added),
        seconds(soft.since_added)
    )?;
    writeln!(
        out,
        "\tused: {}(s)\thard: {}(s)\tsoft: {}(s)",
        seconds(runtime.in_use(now)),
        seconds(hard.since_used),
        seconds(soft.since_used)
    )?;
    writeln!(
        out,
        "\tcurrent: {}(bytes)\thard: {}(bytes)\tsoft: {}(bytes)",
        runtime.octets(),
        hard.octets.unwrap_or_default(),
        soft.octets.unwrap_or_default()
    )?;
    writeln!(
        out,
        "\tallocated: {}\thard: {}\tsoft: {}",
        runtime.packets(),
        hard.packets.unwrap_or_default(),
        soft.packets.unwrap_or_default()
    )
}

fn policy(policy: &Policy) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write_policy(&mut text, policy);
    text
}

fn write_policy(out: &mut String, policy: &Policy) -> fmt::Result {
    let config = &policy.config;
    writeln!(out, "{}", Written(&config.selector))?;
    let direction = match config.direction {
        Direction::Out => "out",
        Direction::In => "in",
        Direction::Fwd => "fwd",
    };
    let priority = Priority(priority_of(config));
    match &config.action {
        Action::Bypass => writeln!(out, "\t{direction} {priority} none")?,
        Action::Discard => writeln!(out, "\t{direction} {priority} discard")?,
        Action::Protect(templates) => {
            writeln!(out, "\t{direction} {priority} ipsec")?;
            for template in templates {
                writeln!(out, "\t{template}")?;
            }
        }
    }
    writeln!(out, "\tspid={} packets={}", policy.id, policy.packets())
}

/// Octets in groups of four, as setkey prints keys.
struct Hex<'a>(&'a [u8], Keys);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for group in self.0.chunks(4) {
            f.write_char(' ')?;
            for octet in group {
                match self.1 {
                    Keys::Shown => write!(f, "{octet:02x}")?,
                    Keys::Masked => f.write_str("**")?,
                }
            }
        }
        Ok(())
    }
}

/// A selector in setkey's words.
pub(crate) struct Written<'a>(pub(crate) &'a Selector);

impl fmt::Display for Written<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (source, destination) = (self.0.source(), self.0.destination());
        let side = |range: &AddressRange, ports: &str| format!("{range}[{ports}]");
        let (upper, first, second) = match self.0.upper() {
            Upper::Any => ("any".into(), "any".into(), "any".into()),
            Upper::Protocol(number) => (name(*number), "any".into(), "any".into()),
            Upper::Words {
                protocol: number @ (protocol::ICMP | protocol::ICMPV6),
                first,
                second,
            } => {
                let words = format!("{} {},{}", name(*number), range(first), range(second));
                (words, "any".into(), "any".into())
            }
            Upper::Words {
                protocol,
                first,
                second,
            } => (name(*protocol), range(first), range(second)),
        };
        write!(
            f,
            "{} {} {upper}",
            side(source, &first),
            side(destination, &second)
        )
    }
}

fn range(words: &std::ops::RangeInclusive<u16>) -> String {
    match (*words.start(), *words.end()) {
        (0, u16::MAX) => "any".into(),
        (first, last) if first == last && first != 0 => first.to_string(),
        (first, last) => format!("{first}-{last}"),
    }
}

fn name(number: u8) -> String {
    let names = [
        (protocol::ICMP, "icmp"),
        (protocol::IPIP, "ip4"),
        (protocol::TCP, "tcp"),
        (protocol::UDP, "udp"),
        (protocol::DCCP, "dccp"),
        (protocol::IPV6, "ipv6"),
        (protocol::GRE, "gre"),
        (protocol::ESP, "esp"),
        (protocol::AH, "ah"),
        (protocol::ICMPV6, "icmp6"),
        (protocol::SCTP, "sctp"),
        (protocol::UDP_LITE, "udplite"),
    ];
    names
        .iter()
        .find(|(known, _)| *known == number)
        .map_or_else(|| number.to_string(), |(_, name)| (*name).to_owned())
}

/// `prio def + 5`, as setkey prints it.
struct Priority(i64);

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("prio def"),
            above @ 1.. => write!(f, "prio def + {above}"),
            below => write!(f, "prio def - {}", -below),
        }
    }
}
