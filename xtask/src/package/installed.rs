//! The package installs, and its service lives under systemd.
//!
//! systemd itself is booted as the first process of namespaces of its own (`group.sh`), on a copy of
//! this system in memory (`boot.sh`), and there does what an administrator would (`check.sh`). When
//! that ends everything is gone.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

const GROUP: &str = include_str!("group.sh");
const BOOT: &str = include_str!("boot.sh");
const CHECK: &str = include_str!("check.sh");
/// Seconds that it may take.
const LIMIT: &str = "120";

/// Sees the package through its life.
pub(super) fn check(package: &Path) -> Result<()> {
    let directory = package.with_extension("boot");
    if directory.exists() {
        fs::remove_dir_all(&directory)?;
    }
    let (groups, system) = (directory.join("groups"), directory.join("system"));
    fs::create_dir_all(&groups)?;
    fs::create_dir(&system)?;
    let file = |name: &str, content: &str| -> Result<PathBuf> {
        let path = directory.join(name);
        fs::write(&path, content)?;
        Ok(path)
    };
    let group = file("group.sh", GROUP)?;
    let boot = file("boot.sh", BOOT)?;
    let check = file("check.sh", CHECK)?;
    let log = file("check.log", "")?;
    let output = Command::new("timeout")
        .args(["--kill-after=10", LIMIT])
        .args(["unshare", "--mount", "--propagation=private", "sh"])
        .args([&group, &groups, &boot, &system])
        .args([package, &check, &log])
        .output()
        .context("cannot run unshare")?;
    let said = fs::read_to_string(&log)?;
    let is_well = said.lines().any(|line| line == "all is well");
    if !(output.status.success() && is_well) {
        bail!(
            "the installed package does not live ({}): {said}{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
    }
    fs::remove_dir_all(&directory)?;
    println!(
        "installed, started, reloaded, killed, installed again, stopped, removed: all is well"
    );
    Ok(())
}
