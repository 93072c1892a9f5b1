//! The demo as a user runs it.
#![allow(clippy::unwrap_used)]

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use pcap_file::pcapng::{Block, PcapNgReader};
use serde_json::Value;
use tempfile::TempDir;

/// The demo with these arguments; its temporary files are in `directory`.
fn demo(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sealway"));
    command
        .arg("demo")
        .args(arguments)
        .current_dir(directory)
        .env("TMPDIR", directory);
    command
}

fn run(arguments: &[&str]) -> (Output, Value) {
    let directory = TempDir::new().unwrap();
    let output = demo(directory.path(), arguments).output().unwrap();
    let left: Vec<_> = fs::read_dir(&directory).unwrap().collect();
    assert!(left.is_empty(), "left behind: {left:?}");
    let report = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    (output, report)
}

fn flows(report: &Value) -> &[Value] {
    report["flows"].as_array().unwrap()
}

/// What every demo that is well says.
fn is_well(output: &Output, report: &Value) {
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}{report}");
    assert_eq!(report["ok"], true);
    assert!(report["esp_packets"].as_u64() > Some(0));
    assert!(report["seconds"].as_f64() > Some(0.0));
    assert!(flows(report).len() >= 12);
    for flow in flows(report) {
        assert_eq!(flow["ok"], true, "{flow}");
        assert_eq!(flow["leaked"], 0, "{flow}");
        assert_eq!(
            flow["gbps"].is_number(),
            flow["protocol"] == "tcp",
            "{flow}"
        );
        assert_eq!(
            flow["protected"] == false,
            flow["mode"] == "clear",
            "{flow}"
        );
    }
}

/// What every demo says in which a flow was let out.
fn leaks(output: &Output, report: &Value) {
    assert!(!output.status.success());
    assert_eq!(report["ok"], false);
    let leaking: Vec<_> = flows(report)
        .iter()
        .filter(|flow| flow["leaked"].as_u64() > Some(0))
        .collect();
    assert_eq!(leaking.len(), 1);
    assert_eq!(leaking[0]["protected"], true);
    assert_eq!(leaking[0]["ok"], false);
}

#[test]
fn two_engines_in_memory_protect_every_flow_that_they_should() {
    let (output, report) = run(&["--memory", "--json", "--stream", "1"]);
    is_well(&output, &report);
    assert_eq!(report["mode"], "memory");
}

#[test]
fn a_flow_let_out_in_memory_is_seen() {
    let (output, report) = run(&["--memory", "--json", "--stream", "1", "--sabotage"]);
    leaks(&output, &report);
}

#[test]
fn two_hosts_in_namespaces_protect_every_flow_that_they_should_and_leave_nothing() {
    let (output, report) = run(&["--json", "--stream", "1"]);
    is_well(&output, &report);
    if report["mode"] != "namespaces" {
        let why = String::from_utf8_lossy(&output.stderr);
        assert!(why.starts_with("No network namespaces here"), "{why}");
    }
}

#[test]
fn a_flow_let_out_between_namespaces_is_seen() {
    let (output, report) = run(&["--json", "--stream", "1", "--sabotage"]);
    leaks(&output, &report);
}

#[test]
fn people_get_a_table_and_one_sentence_without_colours_in_a_pipe() {
    let (output, _) = run(&["--memory", "--stream", "1"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("✓ 200 answers"), "{text}");
    assert!(text.trim_end().ends_with("Gbit/s."), "{text}");
    assert!(!text.contains('\x1b'), "{text}");
}

#[test]
fn other_suites_protect_too() {
    for suite in ["chacha20-poly1305", "aes-192-ctr+aes-xcbc-96"] {
        let (output, report) = run(&["--memory", "--json", "--stream", "1", "--suite", suite]);
        is_well(&output, &report);
        assert_eq!(report["suite"], suite);
    }
}

#[test]
fn a_suite_that_does_not_encrypt_is_refused_in_a_sentence() {
    let (output, _) = run(&["--memory", "--json", "--suite", "aes-128-gmac"]);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(complaint.contains("does not encrypt"), "{complaint}");
}

#[test]
fn the_capture_holds_every_frame_and_the_list_every_datagram() {
    let directory = TempDir::new().unwrap();
    let arguments = [
        "--memory",
        "--json",
        "--stream",
        "1",
        "--pcap",
        "frames.pcapng",
        "--sent",
        "sent",
    ];
    let output = demo(directory.path(), &arguments).output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let file = File::open(directory.path().join("frames.pcapng")).unwrap();
    let mut reader = PcapNgReader::new(file).unwrap();
    let mut frames = 0;
    while let Some(block) = reader.next_block() {
        frames += u64::from(matches!(block.unwrap(), Block::EnhancedPacket(_)));
    }
    assert_eq!(report["frames"], frames);
    let sent = fs::read_to_string(directory.path().join("sent")).unwrap();
    let lines: Vec<Value> = sent
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let udp = flows(&report)
        .iter()
        .filter(|flow| flow["protocol"] == "udp");
    assert_eq!(lines.len(), udp.count() * 2 * 200);
    assert!(
        lines
            .iter()
            .all(|line| line["payload"].as_str().unwrap().len() >= 64)
    );
}

#[test]
fn an_interrupted_demo_ends_soon_and_leaves_nothing() {
    let directory = TempDir::new().unwrap();
    let mut child = demo(directory.path(), &["--json"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(700));
    let start = Instant::now();
    kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).unwrap();
    let status = child.wait().unwrap();
    assert!(start.elapsed() < Duration::from_secs(5));
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 0);
    // On a fast machine it may have been done already.
    assert!(status.code().is_some(), "{status}");
}
