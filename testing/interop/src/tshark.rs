//! `interop tshark`: another program, given the keys, reads in a capture of the demo what the demo
//! says it has sent.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::host::run;
use crate::ledger::Ledger;
use crate::report::Report;

/// How long the demo, or tshark over its capture, may take.
const LIMIT: Duration = Duration::from_secs(120);
/// The suite of the demo's run.
const SUITE: &str = "aes-128-gcm-16";
/// The fields that are asked of tshark; of nested headers the innermost.
const FIELDS: [&str; 4] = ["esp.icv_bad", "udp.srcport", "udp.dstport", "udp.payload"];

/// A datagram as both sides can tell it: ports and payload, in lower-case hexadecimal digits.
type Datagram = (u16, u16, String);

/// Runs the demo, has tshark decrypt its capture, and compares.
///
/// # Errors
/// If there is nothing to compare.
pub fn compare(binary: &Path) -> Result<bool> {
    let ledger = Ledger::open()?;
    let report = Report::default();
    report.row("tshark reads what the demo sent", || {
        row(binary, ledger.directory())
    });
    Ok(report.finish())
}

fn row(binary: &Path, directory: &Path) -> Result<()> {
    let [capture, table, sent] = ["demo.pcapng", "esp_sa", "sent"].map(|name| directory.join(name));
    let paths = [&capture, &table, &sent].map(|path| path.display().to_string());
    let demo = [
        &binary.display().to_string(),
        "demo",
        "--json",
        "--suite",
        SUITE,
        "--pcap",
        &paths[0],
        "--wireshark",
        &paths[1],
        "--sent",
        &paths[2],
    ];
    run(&demo, LIMIT)?.ok().context("sealway demo")?;
    let sent = sent_datagrams(&fs::read_to_string(&sent)?)?;
    ensure!(
        !sent.is_empty(),
        "the demo says that it sent no protected datagram"
    );
    let seen = seen_datagrams(&tshark(directory, &paths[0], &sent)?)?;
    let count = missing(&sent, &seen)?;
    println!("tshark decrypted all {count} protected datagrams of the demo");
    Ok(())
}

/// The ports of datagrams that were sent.
fn ports(sent: &BTreeMap<Datagram, usize>) -> BTreeSet<u16> {
    sent.keys().map(|(_, port, _)| *port).collect()
}

/// What is looked at: datagrams to the ports of those that were sent, and every wrong ICV.
fn filter(ports: &BTreeSet<u16>) -> String {
    let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
    format!(
        "esp.icv_bad == 1 or (esp.icv_good == 1 and udp.dstport in {{{}}})",
        ports.join(",")
    )
}

/// The lines that tshark prints of a capture, with the table of SAs beside it in `directory`.
fn tshark(directory: &Path, capture: &str, sent: &BTreeMap<Datagram, usize>) -> Result<String> {
    let ports = ports(sent);
    let filter = filter(&ports);
    // Random octets look like some protocol now and then, and are shown as that then.
    let no_guesses = ports.iter().map(|port| format!("udp.port=={port},data"));
    let no_guesses: Vec<String> = no_guesses.collect();
    let setting = format!("WIRESHARK_CONFIG_DIR={}", directory.display());
    let mut command = vec![
        "env",
        &setting,
        "tshark",
        "-r",
        capture,
        "-o",
        "esp.enable_encryption_decode:TRUE",
        "-o",
        "esp.enable_authentication_check:TRUE",
        "-Q",
        "-Y",
        &filter,
        "-T",
        "fields",
        "-E",
        "occurrence=l",
    ];
    for field in FIELDS {
        command.extend(["-e", field]);
    }
    for guess in &no_guesses {
        command.extend(["-d", guess]);
    }
    run(&command, LIMIT)?.ok().context("tshark")
}

/// How many times the demo sent each protected datagram.
fn sent_datagrams(text: &str) -> Result<BTreeMap<Datagram, usize>> {
    let mut datagrams = BTreeMap::new();
    for line in text.lines() {
        let line: Value =
            serde_json::from_str(line).context("a line of what was sent is no JSON")?;
        if line["protected"] == true {
            let port = |key: &str| line[key].as_str()?.rsplit_once(':')?.1.parse().ok();
            let datagram = port("source")
                .zip(port("destination"))
                .zip(line["payload"].as_str());
            let ((source, destination), payload) =
                datagram.context("a datagram lacks its ports")?;
            *datagrams
                .entry((source, destination, payload.to_lowercase()))
                .or_default() += 1;
        }
    }
    Ok(datagrams)
}

/// How many times tshark saw each datagram, if every ICV was right.
fn seen_datagrams(text: &str) -> Result<BTreeMap<Datagram, usize>> {
    let mut datagrams = BTreeMap::new();
    for line in text.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let [is_bad, source, destination, payload] = fields[..] else {
            bail!("tshark prints a line that cannot be read: {line}");
        };
        ensure!(!matches!(is_bad, "1" | "True"), "tshark finds a wrong ICV");
        let payload = payload.replace(':', "").to_lowercase();
        *datagrams
            .entry((source.parse()?, destination.parse()?, payload))
            .or_default() += 1;
    }
    Ok(datagrams)
}

/// Checks that each datagram that was sent was seen as often, and says how many those are.
fn missing(sent: &BTreeMap<Datagram, usize>, seen: &BTreeMap<Datagram, usize>) -> Result<usize> {
    for (datagram, count) in sent {
        let found = seen.get(datagram).copied().unwrap_or_default();
        if found != *count {
            let (source, destination, payload) = datagram;
            let octets = payload.len() / 2;
            bail!(
                "the datagram of {octets} octets from port {source} to {destination} was sent {count} times and read {found} times"
            );
        }
    }
    Ok(sent.values().sum())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const SENT: &str = r#"{"flow":"a","protected":true,"source":"10.0.0.1:7","destination":"[::1]:9","payload":"0aFF"}
{"flow":"b","protected":false,"source":"10.0.0.1:7","destination":"10.0.0.2:9","payload":"00"}"#;

    #[test]
    fn only_what_was_protected_must_be_read() {
        let sent = sent_datagrams(SENT).unwrap();
        assert_eq!(sent.len(), 1);
        assert_eq!(
            missing(&sent, &seen_datagrams("0\t7\t9\t0aff\n").unwrap()).unwrap(),
            1
        );
    }

    #[test]
    fn a_wrong_icv_is_found() {
        assert!(seen_datagrams("1\t7\t9\t0aff\n").is_err());
        assert!(seen_datagrams("True\t\t\t\n").is_err());
    }

    #[test]
    fn another_payload_port_or_count_is_found() {
        let sent = sent_datagrams(SENT).unwrap();
        let twice = "0\t7\t9\t0aff\n0\t7\t9\t0aff\n";
        for seen in ["0\t7\t9\t0afe\n", "0\t7\t8\t0aff\n", "", twice] {
            assert!(
                missing(&sent, &seen_datagrams(seen).unwrap()).is_err(),
                "{seen}"
            );
        }
    }
}
