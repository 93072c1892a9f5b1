//! `cargo xtask package`: a package for Debian and its kin, with manual pages, completions and the
//! systemd unit; [`installed`] shows that it installs and starts.

mod installed;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::{demo, workspace};

/// Sealway's version and, behind it, that of the packaging.
const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "-1");
/// Who packs.
const MAINTAINER: &str = "The Sealway authors <sealway@users.noreply.github.com>";
/// When this version of the packaging was made.
const DATE: &str = "Sat, 21 Nov 2026 12:00:00 +0000";
/// The scripts that dpkg runs.
const SCRIPTS: [&str; 3] = ["postinst", "prerm", "postrm"];
/// Pages of the manual that are for users of the daemon.
const PAGES: [&str; 11] = [
    "check",
    "configuration",
    "control",
    "guard",
    "metrics",
    "nat",
    "performance",
    "privileges",
    "run",
    "setkey",
    "xfrm",
];

/// Builds the package and says where it is.
pub(crate) fn run() -> Result<()> {
    println!("{}", build()?.display());
    Ok(())
}

/// Builds the package, installs it in a copy of this system, and sees its service live there under
/// systemd. Needs root.
pub(crate) fn boot() -> Result<()> {
    installed::check(&build()?)
}

fn build() -> Result<PathBuf> {
    let binary = demo::binary()?;
    let architecture = said(Command::new("dpkg").arg("--print-architecture"))?;
    let architecture = architecture.trim();
    let name = format!("sealway_{VERSION}_{architecture}");
    let directory = workspace::target_directory()?.join("package");
    let root = directory.join(&name);
    if root.exists() {
        fs::remove_dir_all(&root)?;
    }
    lay_out(&root, &binary)?;
    let control = control(architecture, &c_library(&binary)?, octets(&root)?);
    put(&root, "DEBIAN/control", control)?;
    for script in SCRIPTS {
        let from = workspace::root().join("packaging/debian").join(script);
        let to = format!("DEBIAN/{script}");
        put(&root, &to, fs::read(from)?)?;
        fs::set_permissions(root.join(to), fs::Permissions::from_mode(0o755))?;
    }
    let package = directory.join(name + ".deb");
    said(
        Command::new("dpkg-deb")
            .args(["--root-owner-group", "--build"])
            .args([&root, &package]),
    )?;
    check(&package)?;
    Ok(package)
}

/// The files of the package, below `root`.
fn lay_out(root: &Path, binary: &Path) -> Result<()> {
    put(root, "usr/bin/sealway", fs::read(binary)?)?;
    let installed = root.join("usr/bin/sealway");
    fs::set_permissions(&installed, fs::Permissions::from_mode(0o755))?;
    said(
        Command::new("strip")
            .arg("--strip-unneeded")
            .arg(&installed),
    )?;
    // Keys will stand there.
    let configuration = root.join("etc/sealway");
    fs::create_dir_all(&configuration)?;
    fs::set_permissions(&configuration, fs::Permissions::from_mode(0o700))?;
    copy(
        root,
        "packaging/sealway.service",
        "usr/lib/systemd/system/sealway.service",
    )?;
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
    let mut compressed = pages.collect::<Result<Vec<PathBuf>, _>>()?;
    compressed.extend(documents(root)?);
    said(
        Command::new("gzip")
            .args(["-9", "--no-name"])
            .args(compressed),
    )?;
    Ok(())
}

/// What is to be read; those that are to be compressed.
fn documents(root: &Path) -> Result<Vec<PathBuf>> {
    const PLACE: &str = "usr/share/doc/sealway";
    copy(
        root,
        "packaging/debian/copyright",
        &format!("{PLACE}/copyright"),
    )?;
    for page in PAGES {
        copy(
            root,
            &format!("docs/{page}.md"),
            &format!("{PLACE}/{page}.md"),
        )?;
    }
    for example in ["sealway.toml", "site.setkey"] {
        let from = format!("packaging/examples/{example}");
        copy(root, &from, &format!("{PLACE}/examples/{example}"))?;
    }
    copy(root, "CHANGELOG.md", &format!("{PLACE}/changelog"))?;
    let of_packaging = format!(
        "sealway ({VERSION}) unstable; urgency=medium\n\n  * What is new stands in changelog.gz.\n\n -- {MAINTAINER}  {DATE}\n"
    );
    put(root, &format!("{PLACE}/changelog.Debian"), of_packaging)?;
    let changelogs = ["changelog", "changelog.Debian"];
    Ok(changelogs.map(|name| root.join(PLACE).join(name)).into())
}

/// A file of the checkout.
fn copy(root: &Path, from: &str, to: &str) -> Result<()> {
    let content = fs::read(workspace::root().join(from));
    put(
        root,
        to,
        content.with_context(|| format!("{from} is not there"))?,
    )
}

/// The oldest C library that the program runs with.
fn c_library(binary: &Path) -> Result<String> {
    let symbols = said(Command::new("objdump").arg("--dynamic-syms").arg(binary))?;
    let numbers = |version: &str| -> Option<Vec<u32>> {
        version.split('.').map(|part| part.parse().ok()).collect()
    };
    symbols
        .split(|c: char| c.is_whitespace() || "()".contains(c))
        .filter_map(|word| word.strip_prefix("GLIBC_"))
        .max_by_key(|version| numbers(version))
        .map(str::to_owned)
        .context("objdump names no version of the C library")
}

/// Octets of all files.
fn octets(directory: &Path) -> Result<u64> {
    let mut sum = 0;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        sum += if metadata.is_dir() {
            octets(&entry.path())?
        } else {
            metadata.len()
        };
    }
    Ok(sum)
}

fn put(root: &Path, place: &str, content: impl AsRef<[u8]>) -> Result<()> {
    let path = root.join(place);
    fs::create_dir_all(path.parent().unwrap_or(root))?;
    fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))
}

fn control(architecture: &str, c_library: &str, octets: u64) -> String {
    let size = octets.div_ceil(1024);
    format!(
        "Package: sealway
Version: {VERSION}
Architecture: {architecture}
Maintainer: {MAINTAINER}
Installed-Size: {size}
Pre-Depends: init-system-helpers (>= 1.54~)
Depends: libc6 (>= {c_library}), libgcc-s1, nftables
Section: net
Priority: optional
Homepage: https://github.com/sealway/sealway
Description: IPsec in user space
 A daemon and a command line for IPsec without kernel ESP: policies and
 SAs in the language of setkey(8), ESP in tunnel and transport mode over
 IPv4 and IPv6, raw or in UDP.
 .
 The service starts once there is /etc/sealway/sealway.toml; an example is
 in /usr/share/doc/sealway/examples.
"
    )
}

/// What was packed can be unpacked and run.
fn check(package: &Path) -> Result<()> {
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
    let version = env!("CARGO_PKG_VERSION");
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
