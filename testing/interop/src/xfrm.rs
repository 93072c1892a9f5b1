//! The same sites for the Linux kernel: `ip -batch` text, and what `ip -s xfrm state` says.
//! Protocols are numbers: a bare machine has no `/etc/protocols`.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::link::End;
use crate::site::{Encapsulation, Mode, Policy, Sa, Sequence, Site, UDP_PORT, Upper};
use crate::suite::Suite;

/// The text for `end`'s `ip -batch`; it replaces whatever stood there.
pub fn batch(site: &Site, end: End) -> String {
    let mut text = String::from("xfrm state flush\nxfrm policy flush\n");
    for sa in &site.sas {
        let _ = writeln!(text, "{}", state(sa));
        if sa.encapsulation == Encapsulation::Udp {
            let _ = writeln!(text, "{}", bypass(sa, end));
        }
    }
    for policy in &site.policies {
        let Policy {
            source,
            destination,
            endpoints: (near, far),
            ..
        } = policy;
        let reqid = policy
            .reqid
            .map_or_else(String::new, |reqid| format!(" reqid {reqid}"));
        let template = match policy.mode {
            Mode::Transport => format!("proto esp{reqid} mode transport"),
            Mode::Tunnel => format!("src {near} dst {far} proto esp{reqid} mode tunnel"),
        };
        let upper = match policy.upper {
            Upper::Any => String::new(),
            Upper::Tcp(port) => format!("proto 6 dport {port}"),
            Upper::Udp(port) => format!("proto 17 dport {port}"),
        };
        let _ = writeln!(
            text,
            "xfrm policy add src {source} dst {destination} {upper} dir {} priority 100 tmpl {template}",
            direction(policy.from, end)
        );
    }
    text
}

/// A script that prints `HAS n` for each of `suites`, by index, that the kernel accepts.
pub fn probe(suites: &[Suite]) -> String {
    let mut script = String::new();
    for (index, &suite) in suites.iter().enumerate() {
        let sa = sample(suite);
        let _ = writeln!(
            script,
            "ip {} 2>/dev/null && echo HAS {index}",
            shell(&state(&sa))
        );
        let _ = writeln!(script, "ip xfrm state flush");
    }
    script + "true\n"
}

/// The indices that a [`probe`] printed.
pub fn probed(output: &str) -> Vec<usize> {
    output
        .lines()
        .filter_map(|line| line.strip_prefix("HAS ")?.parse().ok())
        .collect()
}

/// What `/proc/net/xfrm_stat` counts, by its names.
pub fn drops(output: &str) -> BTreeMap<String, u64> {
    let mut drops = BTreeMap::new();
    for line in output.lines() {
        let mut words = line.split_whitespace();
        if let (Some(name), Some(count)) = (
            words.next(),
            words.next().and_then(|word| word.parse().ok()),
        ) {
            drops.insert(name.to_owned(), count);
        }
    }
    drops
}

/// Packets per SPI, as `ip -s xfrm state` shows them.
pub fn packets(output: &str) -> BTreeMap<u32, u64> {
    let mut packets = BTreeMap::new();
    let mut spi = None;
    let mut in_current = false;
    for line in output.lines().map(str::trim) {
        if let Some((_, rest)) = line.split_once("proto esp spi 0x") {
            let digits = rest.split(|c: char| !c.is_ascii_hexdigit()).next();
            spi = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        }
        if in_current {
            let count = line
                .split(' ')
                .find_map(|word| word.strip_suffix("(packets)")?.parse().ok());
            if let (Some(spi), Some(count)) = (spi, count) {
                packets.insert(spi, count);
            }
        }
        // The figures stand on the line behind this one; limits have words of their own.
        in_current = line == "lifetime current:";
    }
    packets
}

/// The arguments of `ip` that change an SA that is there: its ports of UDP.
pub fn update(sa: &Sa) -> String {
    shell(&state(sa).replacen("state add", "state update", 1))
}

/// The arguments of `ip` that add an SA.
fn state(sa: &Sa) -> String {
    let Sa {
        source,
        destination,
        spi,
        ..
    } = sa;
    let mode = match sa.mode {
        Mode::Transport => "transport",
        Mode::Tunnel => "tunnel",
    };
    let cipher = sa.suite.cipher;
    // NULL has an empty key; so much for the quotes.
    let key = if sa.cipher_key.is_empty() {
        "\"\"".to_owned()
    } else {
        format!("0x{}", sa.cipher_key)
    };
    let mut text = format!(
        "xfrm state add src {source} dst {destination} proto esp spi {spi:#x} mode {mode} replay-window 128"
    );
    if let Some(reqid) = sa.reqid {
        text += &format!(" reqid {reqid}");
    }
    if let Some((source, destination)) = sa.selector {
        text += &format!(" sel src {source} dst {destination}");
    }
    text += match (sa.sequence, sa.mode) {
        (Sequence::Extended, Mode::Tunnel) => " flag esn af-unspec",
        (Sequence::Extended, Mode::Transport) => " flag esn",
        // The SA may carry the other family.
        (Sequence::Short, Mode::Tunnel) => " flag af-unspec",
        (Sequence::Short, Mode::Transport) => "",
    };
    match (cipher.icv, sa.suite.integrity) {
        (Some(icv), _) => text += &format!(" aead {} {key} {icv}", cipher.xfrm),
        (None, Some(integrity)) => {
            text += &format!(" enc {} {key}", cipher.xfrm);
            text += &format!(
                " auth-trunc {} 0x{} {}",
                integrity.xfrm, sa.integrity_key, integrity.icv
            );
        }
        (None, None) => text += &format!(" enc {} {key}", cipher.xfrm),
    }
    if sa.encapsulation == Encapsulation::Udp {
        let (source, destination) = sa.ports;
        text += &format!(" encap espinudp {source} {destination} 0.0.0.0");
    }
    text
}

/// Linux asks its policies about the UDP packet around ESP as well: it needs none.
fn bypass(sa: &Sa, end: End) -> String {
    format!(
        "xfrm policy add src {} dst {} proto 17 dport {} dir {} action allow priority 1",
        sa.source,
        sa.destination,
        sa.ports.1,
        direction(sa.from, end)
    )
}

fn direction(from: End, end: End) -> &'static str {
    if from == end { "out" } else { "in" }
}

/// Words with parentheses need quotes in a shell, but not in a batch.
fn shell(arguments: &str) -> String {
    let quote = |word: &str| {
        if word.contains('(') {
            format!("'{word}'")
        } else {
            word.to_owned()
        }
    };
    arguments
        .split(' ')
        .map(quote)
        .collect::<Vec<_>>()
        .join(" ")
}

fn sample(suite: Suite) -> Sa {
    let family = crate::link::Family::V4;
    let mut sa = Sa {
        from: End::Ours,
        source: End::Ours.outer(family),
        destination: End::Peer.outer(family),
        spi: 0x1000,
        mode: Mode::Transport,
        suite,
        cipher_key: String::new(),
        integrity_key: String::new(),
        sequence: Sequence::Short,
        encapsulation: Encapsulation::None,
        ports: (UDP_PORT, UDP_PORT),
        roams: false,
        selector: None,
        reqid: None,
    };
    sa.set_keys(1);
    sa
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_read_beside_the_right_spi() {
        let text = "\
src 192.0.2.1 dst 192.0.2.2
\tproto esp spi 0x00001001(4097) reqid 0(0x00000000) mode tunnel
\treplay-window 0 seq 0x00000000 flag esn (0x10000000)
\tlifetime config:
\t  limit: soft (INF)(bytes), hard (INF)(bytes)
\t  limit: soft (INF)(packets), hard (INF)(packets)
\tlifetime current:
\t  504(bytes), 6(packets)
\t  add 2025-11-21 14:00:00 use 2025-11-21 14:00:01
src 192.0.2.2 dst 192.0.2.1
\tproto esp spi 0x00001002(4098) reqid 0(0x00000000) mode tunnel
\tlifetime current:
\t  0(bytes), 0(packets)
";
        assert_eq!(packets(text), BTreeMap::from([(0x1001, 6), (0x1002, 0)]));
    }

    #[test]
    fn a_probe_reads_its_own_answer() {
        assert_eq!(probed("RTNETLINK answers: x\nHAS 0\nHAS 12\n"), vec![0, 12]);
    }

    #[test]
    fn null_has_an_empty_key() {
        let suite = crate::suite::all().into_iter().find(|suite| suite.key == 0);
        let text = suite.map(|suite| state(&sample(suite)));
        assert!(text.is_some_and(|text| {
            text.contains("enc ecb(cipher_null) \"\" auth-trunc hmac(sha1) 0x")
        }));
    }
}
