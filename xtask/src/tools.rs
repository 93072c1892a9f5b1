//! The commands that the tests call, and where they come from.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

/// A command and the Debian packages that bring it.
struct Tool {
    command: &'static str,
    package: &'static str,
    purpose: &'static str,
}

const TOOLS: &[Tool] = &[
    Tool {
        command: "cc",
        package: "gcc",
        purpose: "aws-lc is partly C",
    },
    Tool {
        command: "ip",
        package: "iproute2",
        purpose: "network namespaces, and the peer's SAs",
    },
    Tool {
        command: "ping",
        package: "iputils-ping",
        purpose: "traffic of the interop rows",
    },
    Tool {
        command: "socat",
        package: "socat",
        purpose: "traffic of the interop rows",
    },
    Tool {
        command: "curl",
        package: "curl",
        purpose: "what `sealway run` runs",
    },
    Tool {
        command: "linux.uml",
        package: "user-mode-linux",
        purpose: "the Linux kernel that is the peer",
    },
    Tool {
        command: "modprobe",
        package: "kmod",
        purpose: "the peer's modules",
    },
    Tool {
        command: "mount",
        package: "mount",
        purpose: "the peer's file systems",
    },
    Tool {
        command: "nsenter",
        package: "util-linux",
        purpose: "the peer's network namespaces",
    },
    Tool {
        command: "sha256sum",
        package: "coreutils",
        purpose: "what arrived is what was sent",
    },
    Tool {
        command: "tshark",
        package: "tshark",
        purpose: "decrypts what Sealway sent",
    },
    Tool {
        command: "charon-systemd",
        package: "charon-systemd libcharon-extra-plugins libstrongswan-standard-plugins",
        purpose: "strongSwan, the peer with ESP in user space",
    },
    Tool {
        command: "swanctl",
        package: "strongswan-swanctl",
        purpose: "tells strongSwan what to negotiate",
    },
    Tool {
        command: "nft",
        package: "nftables",
        purpose: "the guard of the host",
    },
    Tool {
        command: "systemctl",
        package: "systemd",
        purpose: "the service manager that the package is for",
    },
    Tool {
        command: "pgrep",
        package: "procps",
        purpose: "what the package leaves running",
    },
    Tool {
        command: "valgrind",
        package: "valgrind libc6-dbg",
        purpose: "counts the road's instructions",
    },
];

/// What to do about a missing tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// Install its package.
    Install,
    /// Say so.
    Name,
}

/// Makes sure that every tool is there.
pub(crate) fn provide(missing: Missing) -> Result<()> {
    let absent: Vec<&Tool> = TOOLS
        .iter()
        .filter(|tool| !is_in_path(tool.command))
        .collect();
    if missing == Missing::Install && !absent.is_empty() {
        install(&absent)?;
    }
    provide_components(missing)?;
    let still: Vec<String> = TOOLS
        .iter()
        .filter(|tool| !is_in_path(tool.command))
        .map(sentence)
        .collect();
    ensure!(still.is_empty(), "{}", still.join("\n"));
    ensure!(
        Path::new("/dev/net/tun").exists(),
        "/dev/net/tun is missing: Sealway's inside is a TUN device; load the module tun, or give the container the device"
    );
    println!("{} tools are there", TOOLS.len());
    Ok(())
}

fn sentence(tool: &Tool) -> String {
    let Tool {
        command,
        package,
        purpose,
    } = tool;
    format!(
        "{command} is missing ({purpose}): apt-get install {package}, or `cargo xtask test --install`"
    )
}

/// Whether an executable of this name is in the search path or where root's tools are.
fn is_in_path(command: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let root_tools = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(Into::into);
    std::env::split_paths(&path)
        .chain(root_tools)
        .any(|directory| directory.join(command).is_file())
}

fn install(tools: &[&Tool]) -> Result<()> {
    if !is_in_path("apt-get") {
        let names: Vec<String> = tools.iter().map(|tool| sentence(tool)).collect();
        bail!(
            "--install knows Debian and Ubuntu only, and apt-get is not here\n{}",
            names.join("\n")
        );
    }
    let packages = tools.iter().flat_map(|tool| tool.package.split(' '));
    let packages: Vec<&str> = packages.collect();
    println!("installing {}", packages.join(" "));
    apt_get(&["update", "-qq"])?;
    apt_get(
        &[
            &["install", "-y", "-qq", "--no-install-recommends"],
            packages.as_slice(),
        ]
        .concat(),
    )
}

fn apt_get(arguments: &[&str]) -> Result<()> {
    let status = Command::new("apt-get")
        .args(["-o", "DPkg::Lock::Timeout=300"])
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .status()
        .context("cannot run apt-get")?;
    ensure!(
        status.success(),
        "apt-get {} failed: it needs root and the network",
        arguments.join(" ")
    );
    Ok(())
}

/// rustfmt and clippy, which rustup's minimal profile leaves out.
fn provide_components(missing: Missing) -> Result<()> {
    for (subcommand, component) in [("fmt", "rustfmt"), ("clippy", "clippy")] {
        let works = || {
            let output = Command::new("cargo")
                .args([subcommand, "--version"])
                .output();
            output.is_ok_and(|output| output.status.success())
        };
        if !works() && missing == Missing::Install {
            let _ = Command::new("rustup")
                .args(["component", "add", component])
                .status();
        }
        ensure!(
            works(),
            "cargo {subcommand} is missing: rustup component add {component}"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_everywhere_is_found_and_what_is_nowhere_is_not() {
        assert!(is_in_path("sh"));
        assert!(!is_in_path("no-such-command-anywhere"));
    }

    #[test]
    fn a_missing_tool_is_named_with_its_package_and_the_command() {
        let tool = Tool {
            command: "x",
            package: "y",
            purpose: "z",
        };
        assert_eq!(
            sentence(&tool),
            "x is missing (z): apt-get install y, or `cargo xtask test --install`"
        );
    }
}
