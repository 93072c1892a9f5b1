//! The guard: a table of the host's packet filter, in nft's language, told to the program `nft`.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::process::{Command, Output, Stdio};

use anyhow::{Context, bail};

use super::{Prefix, Site, Surroundings};

/// The whole guard: one transaction of nft that puts it in the place of any that is there.
pub(super) fn text(site: &Site, surroundings: &Surroundings) -> String {
    let table = site.table();
    let networks = [site.networks(), surroundings.near.clone()].concat();
    let mut text = format!(
        "# Before it can be deleted it must be there.\n\
         add table inet {table}\ndelete table inet {table}\ntable inet {table} {{\n"
    );
    for (family, kind) in [(Is::V4, "ipv4_addr"), (Is::V6, "ipv6_addr")] {
        let inside = networks.iter().filter(|prefix| family.has(prefix.address));
        let inside = inside.map(Prefix::to_string).collect();
        text += &set(&format!("inside{family}"), kind, inside);
        let outside = site.outside.iter().filter(|address| family.has(**address));
        let outside = outside.map(ToString::to_string).collect();
        text += &set(&format!("outside{family}"), kind, outside);
    }
    text += &input(site, surroundings);
    text += &forward(site, surroundings);
    text += &output(site, surroundings);
    text + COMMON + "}\n"
}

/// Puts the guard in place.
pub(super) fn replace(text: &str) -> anyhow::Result<()> {
    let output = nft(&["-f", "-"], text)?;
    if output.status.success() {
        return Ok(());
    }
    bail!(
        "the host's packet filter refuses the guard (write guard = false in [daemon] to go without): {}",
        words(&output)
    )
}

/// Whether there is a table of this name.
pub(super) fn is_there(table: &str) -> anyhow::Result<bool> {
    let output = nft(&["list", "tables", "inet"], "")?;
    if !output.status.success() {
        bail!("nft cannot list the tables: {}", words(&output));
    }
    let wanted = format!("table inet {table}");
    let listed = String::from_utf8_lossy(&output.stdout);
    Ok(listed.lines().any(|line| line.trim() == wanted))
}

/// Removes the table, if it is there.
pub(super) fn remove(table: &str) -> anyhow::Result<()> {
    let text = format!("add table inet {table}\ndelete table inet {table}\n");
    let output = nft(&["-f", "-"], &text)?;
    if output.status.success() {
        return Ok(());
    }
    bail!("the guard {table} cannot be removed: {}", words(&output))
}

/// What arrives for the host itself.
fn input(site: &Site, surroundings: &Surroundings) -> String {
    let trusted = trusted(site, surroundings);
    let port = site.port;
    format!(
        "	chain input {{
		type filter hook input priority -5; policy accept;
		iifname {{ {trusted} }} accept
		jump link
		ip daddr @outside4 ip protocol {{ 50, 51 }} accept
		ip6 daddr @outside6 meta l4proto 50 accept
		ip6 daddr @outside6 ip6 nexthdr 51 accept
		ip daddr @outside4 udp dport {port} accept
		ip6 daddr @outside6 udp dport {port} accept
		ip6 daddr @outside6 frag frag-off != 0 accept
		ip daddr @outside4 icmp type {{ 3, 11, 12 }} @th,136,8 {{ 17, 50, 51 }} accept
		ip6 daddr @outside6 icmpv6 type {{ 1, 2, 3, 4 }} @th,112,8 {{ 17, 50, 51 }} accept
		ip daddr @outside4 udp sport 67 udp dport 68 accept
		ip daddr 255.255.255.255 udp sport 67 udp dport 68 accept
		goto judge
	}}
"
    )
}

/// What the host passes on.
fn forward(site: &Site, surroundings: &Surroundings) -> String {
    let device = &site.device;
    let mut text =
        "	chain forward {\n		type filter hook forward priority -5; policy accept;\n".to_owned();
    let mut rule = |rule: String| {
        let _ = writeln!(text, "\t\t{rule}");
    };
    if let Some(clear) = &site.clear {
        rule(format!(
            "iifname \"{clear}\" oifname \"{device}\" counter drop comment \"loop\""
        ));
        rule(format!("iifname \"{clear}\" accept"));
        rule(format!("oifname \"{clear}\" accept"));
    }
    rule(format!("iifname \"{device}\" accept"));
    if !surroundings.interfaces.is_empty() {
        let interfaces = quoted(surroundings.interfaces.iter().map(String::as_str));
        rule(format!(
            "iifname {{ {interfaces} }} oifname {{ \"{device}\", {interfaces} }} accept"
        ));
        rule(format!(
            "iifname {{ {interfaces} }} counter drop comment \"from a protected host\""
        ));
        rule(format!(
            "oifname {{ {interfaces} }} counter drop comment \"to a protected host\""
        ));
    }
    rule(format!(
        "oifname \"{device}\" counter drop comment \"into {device}, not from a protected host\""
    ));
    text + "\t\tgoto judge\n\t}\n"
}

/// What the host itself sends.
fn output(site: &Site, surroundings: &Surroundings) -> String {
    let trusted = trusted(site, surroundings);
    let port = site.port;
    format!(
        "	chain output {{
		type filter hook output priority 200; policy accept;
		oifname {{ {trusted} }} accept
		jump link
		ip saddr @outside4 ip protocol {{ 50, 51 }} accept
		ip6 saddr @outside6 meta l4proto 50 accept
		ip6 saddr @outside6 ip6 nexthdr 51 accept
		ip saddr @outside4 udp sport {port} accept
		ip6 saddr @outside6 udp sport {port} accept
		ip saddr @outside4 udp sport 68 udp dport 67 accept
		ip saddr 0.0.0.0 udp sport 68 udp dport 67 accept
		goto judge
	}}
"
    )
}

/// What the other chains lead to. A link needs neighbour discovery, group membership and DHCPv6,
/// none of which passes a router.
const COMMON: &str = "	chain link {
		icmpv6 type { 133, 134, 135, 136 } ip6 hoplimit 255 accept
		ip6 saddr { ::, fe80::/10 } icmpv6 type { 130, 131, 132, 143 } ip6 hoplimit 1 accept
		ip daddr 224.0.0.0/4 ip protocol 2 ip ttl 1 accept
		ip6 saddr fe80::/10 udp sport { 546, 547 } udp dport { 546, 547 } accept
	}
	chain judge {
		ip saddr @inside4 counter drop comment \"from an inside network\"
		ip6 saddr @inside6 counter drop comment \"from an inside network\"
		ip daddr @inside4 counter drop comment \"to an inside network\"
		ip6 daddr @inside6 counter drop comment \"to an inside network\"
	}
";

/// Interfaces that lead to the host itself, to Sealway or to protected hosts.
fn trusted(site: &Site, surroundings: &Surroundings) -> String {
    let interfaces = surroundings.interfaces.iter().map(String::as_str);
    quoted(["lo"].into_iter().chain(site.devices()).chain(interfaces))
}

fn quoted<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let quoted: Vec<String> = names.map(|name| format!("\"{name}\"")).collect();
    quoted.join(", ")
}

fn set(name: &str, kind: &str, elements: Vec<String>) -> String {
    let mut text = format!("\tset {name} {{\n\t\ttype {kind}; flags interval; auto-merge;\n");
    if !elements.is_empty() {
        let _ = writeln!(text, "\t\telements = {{ {} }}", elements.join(", "));
    }
    text + "\t}\n"
}

#[derive(Clone, Copy)]
enum Is {
    V4,
    V6,
}

impl Is {
    fn has(self, address: IpAddr) -> bool {
        match self {
            Is::V4 => address.is_ipv4(),
            Is::V6 => address.is_ipv6(),
        }
    }
}

impl std::fmt::Display for Is {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Is::V4 => "4",
            Is::V6 => "6",
        })
    }
}

/// Runs nft, in the calling thread's namespace.
fn nft(arguments: &[&str], input: &str) -> anyhow::Result<Output> {
    let mut child = Command::new("nft")
        .args(arguments)
        // A shell of root's without root's path is no reason to go unguarded.
        .env("PATH", search_path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => anyhow::anyhow!(
                "the guard needs the program nft, which is not there: install the package nftables, or write guard = false in [daemon] to go without"
            ),
            _ => anyhow::anyhow!("nft cannot be started: {error}"),
        })?;
    if let Some(mut stdin) = child.stdin.take() {
        // If it has hung up it says why.
        let _ = stdin.write_all(input.as_bytes());
    }
    child.wait_with_output().context("nft does not answer")
}

fn search_path() -> String {
    let path = std::env::var("PATH").unwrap_or_default();
    format!("{path}:/usr/local/sbin:/usr/sbin:/sbin")
}

/// What nft says first.
fn words(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    let first = said.lines().map(str::trim).find(|line| !line.is_empty());
    first.unwrap_or("it does not say why").to_owned()
}
