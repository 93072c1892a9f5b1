//! A host that a run can give shell scripts to: a namespace of ours, or a kernel of its own.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// What a script printed and how it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// What was printed.
    pub output: String,
    /// The exit status; 124 if the time limit ended it.
    pub status: i32,
}

impl Reply {
    /// The output, if the script succeeded.
    ///
    /// # Errors
    /// With the last lines of the output and the status, if it failed.
    pub fn ok(self) -> Result<String> {
        if self.status == 0 {
            return Ok(self.output);
        }
        let lines: Vec<&str> = self.output.lines().collect();
        let tail = lines[lines.len().saturating_sub(3)..].join("; ");
        match self.status {
            124 => bail!("ran into its time limit: {tail}"),
            status => bail!("exit status {status}: {tail}"),
        }
    }
}

/// Somebody who runs shell scripts and has an end of the link.
pub trait Host: Sync {
    /// Runs a script for `sh`, at most for `limit` (whole seconds, at least one).
    ///
    /// # Errors
    /// If the host cannot be reached; a script that fails is a [`Reply`].
    fn sh(&self, script: &str, limit: Duration) -> Result<Reply>;
}

/// A network namespace of this kernel. Dropping it removes it.
#[derive(Debug)]
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// Makes the namespace `name`, which the caller has taken from its ledger, with `lo` up and
    /// without IPv6's duplicate address detection.
    ///
    /// # Errors
    /// If `ip` refuses.
    pub fn new(name: String) -> Result<Self> {
        run(&["ip", "netns", "add", &name], Duration::from_secs(10))?
            .ok()
            .with_context(|| format!("cannot make the network namespace {name}"))?;
        let namespace = Self { name };
        namespace
            .sh(
                "ip link set lo up
                 cd /proc/sys/net/ipv6/conf
                 echo 0 | tee all/accept_dad default/accept_dad default/router_solicitations default/accept_ra >/dev/null",
                Duration::from_secs(10),
            )?
            .ok()?;
        Ok(namespace)
    }

    /// The name, as `ip netns` knows it.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Host for Namespace {
    fn sh(&self, script: &str, limit: Duration) -> Result<Reply> {
        let script = format!("exec 2>&1 </dev/null\n{script}");
        run(
            &["ip", "netns", "exec", &self.name, "sh", "-c", &script],
            limit,
        )
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip")
            .args(["netns", "del", &self.name])
            .output();
    }
}

/// Runs a command of the machine, at most for `limit`. What it says on standard error is in the
/// reply only if it fails.
///
/// # Errors
/// If it cannot be started.
pub fn run(command: &[&str], limit: Duration) -> Result<Reply> {
    let seconds = limit.as_secs().max(1).to_string();
    let output = Command::new("timeout")
        .args(["-k", "1", &seconds])
        .args(command)
        .output()
        .with_context(|| format!("cannot run {}", command.join(" ")))?;
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        text.push_str(&String::from_utf8_lossy(&output.stderr));
    }
    Ok(Reply {
        output: text,
        status: output.status.code().unwrap_or(128),
    })
}
