//! The same sites for the Linux kernel: `ip -batch` text, and what `ip -s xfrm state` says.
//! Protocols are numbers: a bare machine has no `/etc/protocols`.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::link::End;
use crate::site::{Encapsulation, Mode, Policy, Sa, Sequence, Site, UDP_PORT, Upper};
use crate::suite::Suite;

/// The SPI of a probe's first SA.
const PROBE: u32 = 0x100;

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

/// The text for `ip -force -batch` that adds an SA of each of `suites`, as far as the kernel has
/// them; the SPI says which, by index.
pub fn probe(suites: &[Suite]) -> String {
    let mut text = String::from("xfrm state flush\n");
    for (suite, spi) in suites.iter().zip(PROBE..) {
        let _ = writeln!(text, "{}", state(&sample(*suite, spi)));
    }
    text
}

/// Those of `suites` whose SAs of a [`probe`] are among the SAs with these SPIs.
pub fn probed(suites: &[Suite], spis: impl Fn(u32) -> bool) -> Vec<Suite> {
    let numbered = suites.iter().zip(PROBE..);
    numbered
        .filter_map(|(suite, spi)| spis(spi).then_some(*suite))
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

/// The text for `ip -batch` that changes SAs that are there: their ports of UDP.
pub fn update(sas: &[Sa]) -> String {
    let line = |sa: &Sa| state(sa).replacen("state add", "state update", 1) + "\n";
    sas.iter().map(line).collect()
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

fn sample(suite: Suite, spi: u32) -> Sa {
    let family = crate::link::Family::V4;
    let mut sa = Sa {
        from: End::Ours,
        source: End::Ours.outer(family),
        destination: End::Peer.outer(family),
        spi,
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
    fn a_probe_finds_the_suites_whose_sas_are_there() {
        let suites = crate::suite::all();
        let lines: Vec<String> = probe(&suites).lines().map(str::to_owned).collect();
        assert_eq!(lines.len(), 1 + suites.len());
        assert!(lines.last().is_some_and(|line| line.contains("spi 0x132 ")));
        assert_eq!(probed(&suites, |_| true), suites);
        assert_eq!(
            probed(&suites, |spi| spi == 0x100 || spi == 0x132),
            [suites[0], suites[50]]
        );
    }

    #[test]
    fn null_has_an_empty_key() {
        let suite = crate::suite::all().into_iter().find(|suite| suite.key == 0);
        let text = suite.map(|suite| state(&sample(suite, PROBE)));
        assert!(text.is_some_and(|text| {
            text.contains("enc ecb(cipher_null) \"\" auth-trunc hmac(sha1) 0x")
        }));
    }
}
