//! What `sealway demo --json` must say.

use std::path::PathBuf;
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::steps::cargo;
use crate::workspace;

/// The fewest flows of a demo.
const FLOWS: usize = 12;

/// Builds `sealway` as a user would, and says where it is.
pub(crate) fn binary() -> Result<PathBuf> {
    cargo(&["build", "--release", "--package", "sealway"])?;
    Ok(workspace::target_directory()?.join("release/sealway"))
}

/// A demo passes: every flow arrives, and nothing protected is seen in the clear.
pub(crate) fn run() -> Result<()> {
    let output = demo(&["--json"])?;
    let report = parse(&output)?;
    judge(&report)?;
    ensure!(
        output.status.success(),
        "all is well by its report, yet it ended with {}",
        output.status
    );
    let flows = report["flows"].as_array().map_or(0, Vec::len);
    println!(
        "{flows} flows, {} ESP packets, {} s",
        report["esp_packets"], report["seconds"]
    );
    Ok(())
}

/// A sabotaged demo fails, because it has counted what leaked.
pub(crate) fn sabotage() -> Result<()> {
    let output = demo(&["--json", "--sabotage"])?;
    let leaked = leaked(&parse(&output)?);
    ensure!(
        leaked > 0,
        "a flow was let out in the clear and nobody saw it"
    );
    ensure!(
        !output.status.success(),
        "a flow leaked and yet the demo ended without an error"
    );
    println!(
        "{leaked} leaked packets were seen, and the demo ended with {}",
        output.status
    );
    Ok(())
}

fn demo(arguments: &[&str]) -> Result<Output> {
    let binary = binary()?;
    Command::new("timeout")
        .args(["-k", "5", "120"])
        .arg(&binary)
        .arg("demo")
        .args(arguments)
        .output()
        .with_context(|| format!("cannot run {}", binary.display()))
}

fn parse(output: &Output) -> Result<Value> {
    serde_json::from_slice(&output.stdout).with_context(|| {
        let complaint = String::from_utf8_lossy(&output.stderr);
        format!(
            "sealway demo --json ended with {} and printed no object: {complaint}",
            output.status
        )
    })
}

/// Checks the report of a demo that must succeed.
fn judge(report: &Value) -> Result<()> {
    ensure!(
        report["ok"] == true,
        "the demo says that it failed: {report}"
    );
    ensure!(
        report["mode"] == "namespaces",
        "root, and yet the demo ran in {}",
        report["mode"]
    );
    ensure!(
        report["esp_packets"].as_u64() > Some(0),
        "no ESP packet was seen: {report}"
    );
    let flows = report["flows"]
        .as_array()
        .context("the report lists no flows")?;
    ensure!(
        flows.len() >= FLOWS,
        "only {} flows, {FLOWS} are promised",
        flows.len()
    );
    for flow in flows {
        ensure!(
            flow["ok"] == true && flow["leaked"] == 0,
            "a flow failed: {flow}"
        );
    }
    Ok(())
}

fn leaked(report: &Value) -> u64 {
    let flows = report["flows"].as_array().into_iter().flatten();
    flows.filter_map(|flow| flow["leaked"].as_u64()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn report(flows: usize, leaked: u64) -> Value {
        let flow = json!({"name": "x", "ok": true, "leaked": leaked});
        json!({"ok": true, "mode": "namespaces", "esp_packets": 7, "flows": vec![flow; flows]})
    }

    #[test]
    fn a_sound_demo_passes() {
        assert!(judge(&report(FLOWS, 0)).is_ok());
    }

    #[test]
    fn too_few_flows_a_leak_or_no_esp_fail() {
        assert!(judge(&report(FLOWS - 1, 0)).is_err());
        assert!(judge(&report(FLOWS, 1)).is_err());
        let mut silent = report(FLOWS, 0);
        silent["esp_packets"] = json!(0);
        assert!(judge(&silent).is_err());
    }

    #[test]
    fn leaks_of_all_flows_are_summed() {
        assert_eq!(leaked(&report(3, 2)), 6);
    }
}
