//! `sealway bench tunnel` as a user runs it. Needs root.
#![allow(clippy::unwrap_used)]

use std::process::Command;

use serde_json::Value;

#[test]
fn streams_pass_every_kind_of_subject_and_nothing_is_left_behind() {
    let directory = tempfile::TempDir::new().unwrap();
    let subjects = [
        "veth",
        "shuttle",
        "shuttle-hosts",
        "sealway-udp",
        "sealway-udp-plain",
        "sealway-esp",
        "sealway-clear-0",
        "sealway-clear-1",
    ];
    let arguments = "bench tunnel --json --rounds 1 --seconds 0.1 --streams 1 --direction back";
    let output = Command::new(env!("CARGO_BIN_EXE_sealway"))
        .args(arguments.split(' '))
        .args(subjects.map(|subject| format!("--subject={subject}")))
        .env("TMPDIR", directory.path())
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let rows = report["rows"].as_array().unwrap();
    for subject in subjects {
        for family in ["ipv4", "ipv6"] {
            let row = rows
                .iter()
                .find(|row| row["subject"] == subject && row["family"] == family)
                .unwrap_or_else(|| panic!("no row of {subject} over {family}"));
            assert!(row["gbps"].as_f64() > Some(0.0), "{row}");
            assert!(row["ratio_to_shuttle"].is_f64(), "{row}");
        }
    }
    assert_eq!(rows.len(), subjects.len() * 2);
    assert_eq!(directory.path().read_dir().unwrap().count(), 0);
}

#[test]
fn an_unknown_subject_is_refused_with_the_names_that_there_are() {
    let output = Command::new(env!("CARGO_BIN_EXE_sealway"))
        .args(["bench", "tunnel", "--subject", "carrier-pigeon"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(words.contains("sealway-udp-plain"), "{words}");
}
