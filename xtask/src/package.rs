//! `cargo xtask package`: a package for Debian and its kin, with manual pages, completions and the
//! systemd unit.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::{demo, workspace};

/// Builds the package and says where it is.
pub(crate) fn run() -> Result<()> {
    let binary = demo::binary()?;
    let version = env!("CARGO_PKG_VERSION");
    let architecture = said(Command::new("dpkg").arg("--print-architecture"))?;
    let name = format!("sealway_{version}_{}", architecture.trim());
    let directory = workspace::target_directory()?.join("package");
    let root = directory.join(&name);
    if root.exists() {
        fs::remove_dir_all(&root)?;
    }
    lay_out(&root, &binary)?;
    put(
        &root,
        "DEBIAN/control",
        control(version, architecture.trim()),
    )?;
    let package = directory.join(name + ".deb");
    said(
        Command::new("dpkg-deb")
            .args(["--root-owner-group", "--build"])
            .args([&root, &package]),
    )?;
    check(&package, version)?;
    println!("{}", package.display());
    Ok(())
}

/// The files of the package, below `root`.
fn lay_out(root: &Path, binary: &Path) -> Result<()> {
    let here = workspace::root();
    put(root, "usr/bin/sealway", fs::read(binary)?)?;
    let installed = root.join("usr/bin/sealway");
    fs::set_permissions(&installed, fs::Permissions::from_mode(0o755))?;
    for (from, to) in [
        (
            "packaging/sealway.service",
            "usr/lib/systemd/system/sealway.service",
        ),
        ("LICENSE-MIT", "usr/share/doc/sealway/copyright"),
        ("LICENSE-APACHE", "usr/share/doc/sealway/LICENSE-APACHE"),
        ("CHANGELOG.md", "usr/share/doc/sealway/changelog"),
    ] {
        put(root, to, fs::read(here.join(from))?)?;
    }
    for page in [
        "setkey",
        "xfrm",
        "configuration",
        "control",
        "metrics",
        "run",
    ] {
        let page = format!("docs/{page}.md");
        let text = fs::read(here.join(&page)).with_context(|| format!("{page} is not there"))?;
        put(root, &format!("usr/share/doc/sealway/{page}"), text)?;
    }
    for (shell, place) in [
        ("bash", "usr/share/bash-completion/completions/sealway"),
        ("zsh", "usr/share/zsh/vendor-completions/_sealway"),
        ("fish", "usr/share/fish/vendor_completions.d/sealway.fish"),
    ] {
        let text = said(Command::new(binary).args(["completions", shell]))?;
        put(root, place, text)?;
    }
    let pages = root.join("usr/share/man/man1");
    said(Command::new(binary).arg("manual").arg(&pages))?;
    let pages = fs::read_dir(&pages)?.map(|page| page.map(|page| page.path()));
    let pages = pages.collect::<Result<Vec<PathBuf>, _>>()?;
    said(Command::new("gzip").args(["-9", "--no-name"]).args(pages))?;
    Ok(())
}

fn put(root: &Path, place: &str, content: impl AsRef<[u8]>) -> Result<()> {
    let path = root.join(place);
    fs::create_dir_all(path.parent().unwrap_or(root))?;
    fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))
}

fn control(version: &str, architecture: &str) -> String {
    format!(
        "Package: sealway
Version: {version}
Architecture: {architecture}
Maintainer: The Sealway authors <sealway@localhost>
Section: net
Priority: optional
Depends: libc6, nftables
Description: IPsec in user space
 A daemon and a command line for IPsec without kernel ESP: policies and
 SAs in the language of setkey(8), ESP in tunnel and transport mode over
 IPv4 and IPv6, raw or in UDP.
 .
 The service starts once there is /etc/sealway/sealway.toml.
"
    )
}

/// What was packed can be unpacked and run.
fn check(package: &Path, version: &str) -> Result<()> {
    let directory = package.with_extension("unpacked");
    if directory.exists() {
        fs::remove_dir_all(&directory)?;
    }
    said(
        Command::new("dpkg-deb")
            .arg("--extract")
            .args([package, &directory]),
    )?;
    let told = said(Command::new(directory.join("usr/bin/sealway")).arg("--version"))?;
    ensure!(
        told.trim() == format!("sealway {version}"),
        "the packed binary says it is {told}"
    );
    fs::remove_dir_all(&directory)?;
    Ok(())
}

/// What a command that must succeed prints.
fn said(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command
        .output()
        .with_context(|| format!("cannot run {name}"))?;
    ensure!(
        output.status.success(),
        "{name} ended with {}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?)
}
