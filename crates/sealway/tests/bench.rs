//! `sealway bench tunnel` and `bench path` as a user runs them. Needs root.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

/// Few cases, and short. Its files, and those of what it starts, go to `directory`.
fn bench(arguments: &str, directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sealway"));
    command
        .args("bench tunnel --seconds 0.1 --streams 1 --direction back".split(' '))
        .args(arguments.split(' '))
        .env("TMPDIR", directory);
    command
}

/// Neither files nor processes: whatever was started has the directory in its environment.
fn nothing_is_left(directory: &Path) {
    assert_eq!(directory.read_dir().unwrap().count(), 0);
    let name = directory.to_str().unwrap();
    for process in fs::read_dir("/proc").unwrap() {
        let words = fs::read(process.unwrap().path().join("environ")).unwrap_or_default();
        let words = String::from_utf8_lossy(&words).replace('\0', " ");
        assert!(!words.contains(name), "still running: {words}");
    }
}

#[test]
fn every_kind_of_subject_is_measured_and_nothing_is_left_behind() {
    let directory = tempfile::TempDir::new().unwrap();
    let subjects = [
        "veth",
        "shuttle",
        "shuttle-hosts",
        "sealway-udp",
        "sealway-udp-nic",
        "sealway-udp-plain",
        "sealway-esp",
        "sealway-clear-0",
        "sealway-clear-1",
    ];
    let plot = tempfile::NamedTempFile::new().unwrap();
    let arguments = subjects
        .map(|subject| format!("--subject={subject} "))
        .concat();
    let arguments = format!(
        "{arguments}--rounds 1 --json --plot {}",
        plot.path().display()
    );
    let output = bench(&arguments, directory.path()).output().unwrap();
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
            assert_eq!(row["streams"], 1);
            assert_eq!(row["direction"], "back");
            assert!(row["gbps"].as_f64() > Some(0.0), "{row}");
            assert!(row["ratio_to_shuttle"].is_f64(), "{row}");
            assert!(row["pps"].is_f64(), "{row}");
            // 1 where not even the lowest rate passed: this machine is busy then.
            assert!(
                (0.0..=1.0).contains(&row["loss"].as_f64().unwrap()),
                "{row}"
            );
            assert_eq!(row["cpu_s_per_gb"].is_f64(), subject != "veth", "{row}");
        }
    }
    assert_eq!(rows.len(), subjects.len() * 2);
    let plot = fs::read_to_string(plot.path()).unwrap();
    assert!(
        plot.contains("<svg") && plot.contains("sealway-udp-nic"),
        "{plot}"
    );
    nothing_is_left(directory.path());
}

#[test]
fn strongswan_is_started_measured_and_stopped() {
    let directory = tempfile::TempDir::new().unwrap();
    let arguments = "--subject shuttle --peers strongswan --family ipv6 --rounds 1 --json";
    let output = bench(arguments, directory.path()).output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let row = &report["rows"][1];
    assert_eq!(row["subject"], "strongswan");
    assert!(row["gbps"].as_f64() > Some(0.0), "{row}");
    nothing_is_left(directory.path());
}

#[test]
fn a_run_that_is_interrupted_leaves_nothing_behind() {
    let directory = tempfile::TempDir::new().unwrap();
    let arguments = "--subject shuttle --subject sealway-udp --rounds 1001";
    let mut child = bench(arguments, directory.path())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let limit = Instant::now() + Duration::from_secs(60);
    // The gateways' scripts are taken away once both have read them: it measures.
    let place = |path: &Path| path.read_dir().into_iter().flatten().flatten().next();
    let is_ready = || {
        let bench = place(directory.path())?.path();
        let left = bench.join("sealway-udp/right.sock");
        (left.exists() && !bench.join("sealway-udp/right.setkey").exists()).then_some(())
    };
    while is_ready().is_none() {
        assert!(Instant::now() < limit, "it does not start");
        thread::sleep(Duration::from_millis(20));
    }
    kill(
        Pid::from_raw(child.id().try_into().unwrap()),
        Signal::SIGINT,
    )
    .unwrap();
    let mut words = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut words)
        .unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert!(
        words.contains("interrupted; nothing is left behind"),
        "{words}"
    );
    nothing_is_left(directory.path());
}

/// That the content is what was sent, `bench path` sees to itself.
#[test]
fn transfers_arrive_whole_over_a_path_that_loses_repeats_reorders_shrinks_and_grows() {
    let directory = tempfile::TempDir::new().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_sealway"))
        .args("bench path --seeds 1 --megabytes 1 --json".split(' '))
        .env("TMPDIR", directory.path())
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(report["longest_more_s"].is_f64(), "{report}");
    let rows = report["rows"].as_array().unwrap();
    for inside in ["ipv4", "ipv6"] {
        for (subject, outside) in [
            ("path", Value::Null),
            ("sealway-udp", "ipv4".into()),
            ("sealway-udp", "ipv6".into()),
            ("sealway-esp", "ipv4".into()),
            ("sealway-esp", "ipv6".into()),
        ] {
            let is_it = |row: &&Value| {
                row["subject"] == subject && row["inside"] == inside && row["outside"] == outside
            };
            let row = rows.iter().find(is_it).unwrap();
            for befell in ["lost", "repeated", "reordered"] {
                assert!(row[befell].as_u64() > Some(0), "{row}");
            }
            assert!(row["stall_s"].is_f64(), "{row}");
            assert_eq!(row["stall_more_s"].is_f64(), subject != "path", "{row}");
        }
    }
    assert_eq!(rows.len(), 10);
    nothing_is_left(directory.path());
}

#[test]
fn a_peer_that_is_not_installed_is_named_with_what_would_bring_it() {
    let directory = tempfile::TempDir::new().unwrap();
    let output = bench("--peers boringtun", directory.path())
        .env("PATH", directory.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(
        words.contains("boringtun-cli") && words.contains("cargo install"),
        "{words}"
    );
}

#[test]
fn a_peer_among_the_subjects_is_sent_to_the_peers() {
    let directory = tempfile::TempDir::new().unwrap();
    let output = bench("--subject wireguard-go", directory.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(words.contains("--peers wireguard-go"), "{words}");
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
