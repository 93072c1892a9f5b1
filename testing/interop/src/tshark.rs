//! `interop tshark`: another program, given the keys, reads in a capture of the demo what the demo
//! says it has sent.

use std::collections::BTreeMap;
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
/// The fields that are asked of tshark; of nested headers the innermost.
const FIELDS: [&str; 3] = ["udp.srcport", "udp.dstport", "udp.payload"];

/// A datagram as both sides can tell it: ports and payload, in lower-case hexadecimal digits.
type Datagram = (u16, u16, String);

/// Runs the demo with the suite, has tshark decrypt its capture, and compares.
///
/// # Errors
/// If there is nothing to compare.
pub fn compare(binary: &Path) -> Result<bool> {
    let ledger = Ledger::open()?;
    let mut report = Report::default();
    for suite in ["aes-128-gcm-16", "aes-256-gcm-16"] {
        report.row(&format!("tshark reads what the demo sent, {suite}"), || {
            row(binary, suite, ledger.directory())
        });
    }
    Ok(report.finish())
}

fn row(binary: &Path, suite: &str, directory: &Path) -> Result<()> {
    let [capture, table, sent] = ["demo.pcapng", "esp_sa", "sent"].map(|name| directory.join(name));
    let paths = [&capture, &table, &sent].map(|path| path.display().to_string());
    let demo = [
        &binary.display().to_string(),
        "demo",
        "--json",
        "--suite",
        suite,
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
    let bad = tshark(directory, &capture, "esp.icv_bad == 1", &["frame.number"])?;
    ensure!(
        bad.is_empty(),
        "tshark finds wrong ICVs in frames {}",
        bad.replace('\n', " ")
    );
    let seen = seen_datagrams(&tshark(
        directory,
        &capture,
        "esp.icv_good == 1 and udp.payload",
        &FIELDS,
    )?);
    let count = missing(&sent, &seen)?;
    println!("tshark decrypted all {count} protected datagrams of the demo");
    Ok(())
}

/// The lines that tshark prints of a capture, with the table of SAs beside it in `directory`.
fn tshark(directory: &Path, capture: &Path, filter: &str, fields: &[&str]) -> Result<String> {
    let setting = format!("WIRESHARK_CONFIG_DIR={}", directory.display());
    let capture = capture.display().to_string();
    let mut command = vec![
        "env",
        &setting,
        "tshark",
        "-r",
        &capture,
        "-o",
        "esp.enable_encryption_decode:TRUE",
        "-o",
        "esp.enable_authentication_check:TRUE",
        "-Q",
        "-Y",
        filter,
        "-T",
        "fields",
        "-E",
        "occurrence=l",
    ];
    for field in fields {
        command.extend(["-e", field]);
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

/// How many times tshark saw each datagram.
fn seen_datagrams(text: &str) -> BTreeMap<Datagram, usize> {
    let mut datagrams = BTreeMap::new();
    for line in text.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        if let [source, destination, payload] = fields[..]
            && let (Ok(source), Ok(destination)) = (source.parse(), destination.parse())
        {
            let payload = payload.replace(':', "").to_lowercase();
            *datagrams.entry((source, destination, payload)).or_default() += 1;
        }
    }
    datagrams
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
        assert_eq!(missing(&sent, &seen_datagrams("7\t9\t0aff\n")).unwrap(), 1);
    }

    #[test]
    fn another_payload_port_or_count_is_found() {
        let sent = sent_datagrams(SENT).unwrap();
        for seen in [
            "7\t9\t0afe\n",
            "7\t8\t0aff\n",
            "",
            "7\t9\t0aff\n7\t9\t0aff\n",
        ] {
            assert!(missing(&sent, &seen_datagrams(seen)).is_err(), "{seen}");
        }
    }
}
