//! strongSwan's daemon with ESP in user space (its plugin kernel-libipsec), in a namespace on the
//! link.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{Tunnel, keys};
use crate::gate::{self, Link};
use crate::host::{Host, Namespace};
use crate::ledger::{Ledger, end_group};
use crate::link::{End, Family};
use crate::suite::Suite;

/// How long charon may take to start, and a command of swanctl.
const LIMIT: Duration = Duration::from_secs(20);
/// The device on the link.
const OUTSIDE: &str = "outside";
/// kernel-libipsec stands before kernel-netlink, which then has no say in IPsec.
const PLUGINS: &str = "random nonce openssl aes sha1 sha2 hmac xcbc kdf gcm ccm ctr chapoly pem \
    pkcs1 pubkey x509 constraints kernel-libipsec kernel-netlink socket-default vici";

/// A running charon. Dropping it ends it and removes its namespace.
#[derive(Debug)]
pub(super) struct Charon {
    daemon: Child,
    directory: PathBuf,
    namespace: Namespace,
}

impl Charon {
    /// Starts it at `end`, ready to answer for these tunnels.
    pub(super) fn start(
        ledger: &Arc<Ledger>,
        link: &Link,
        end: End,
        tunnels: &[Tunnel],
    ) -> Result<Self> {
        let (name, port) = match end {
            End::Ours => ("charon-ours", gate::OURS),
            End::Peer => ("charon-peer", gate::PEER),
        };
        let namespace = Namespace::new(ledger.namespace(name)?)?;
        link.attach(&namespace, port, end, OUTSIDE)?;
        give_hosts(&namespace, end, tunnels)?;
        let directory = ledger.directory().join(name);
        // Its log holds keys.
        DirBuilder::new().mode(0o700).create(&directory)?;
        fs::write(directory.join("strongswan.conf"), settings(&directory))?;
        fs::write(directory.join("swanctl.conf"), connections(end, tunnels))?;
        let daemon = spawn(&namespace, &directory)?;
        let mut charon = Self {
            daemon,
            directory,
            namespace,
        };
        ledger.process_group(charon.daemon.id())?;
        charon.wait_until_ready()?;
        charon.swanctl(&format!(
            "--load-all --noprompt --file {}",
            charon.directory.join("swanctl.conf").display()
        ))?;
        Ok(charon)
    }

    /// The namespace that it is in.
    pub(super) fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Negotiates the CHILD_SAs of this tunnel.
    pub(super) fn initiate(&self, tunnel: &Tunnel) -> Result<()> {
        self.swanctl(&format!(
            "--initiate --timeout 10 --child {}",
            tunnel.name()
        ))?;
        Ok(())
    }

    /// Its CHILD_SAs and their keys. It is the end that answered.
    pub(super) fn children(&self) -> Result<Vec<keys::Child>> {
        keys::read(&fs::read_to_string(self.log()).context("charon has no log")?)
    }

    /// Packets that each SA carried, by SPI.
    pub(super) fn packets(&self) -> Result<BTreeMap<u32, u64>> {
        Ok(packets(&self.swanctl("--list-sas")?))
    }

    /// Ends it as a crash does: it tells the other end nothing.
    pub(super) fn crash(self) -> Result<()> {
        let pid = Pid::from_raw(i32::try_from(self.daemon.id())?);
        kill(pid, Signal::SIGKILL).context("cannot kill charon")
    }

    fn log(&self) -> PathBuf {
        self.directory.join("charon.log")
    }

    fn swanctl(&self, arguments: &str) -> Result<String> {
        let directory = self.directory.display();
        let script = format!(
            "STRONGSWAN_CONF={directory}/strongswan.conf swanctl {arguments} --uri unix://{directory}/vici"
        );
        self.namespace
            .sh(&script, LIMIT)?
            .ok()
            .with_context(|| format!("swanctl {arguments}"))
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let limit = Instant::now() + LIMIT;
        while !self.directory.join("vici").exists() {
            if let Some(status) = self.daemon.try_wait()? {
                let log = fs::read_to_string(self.directory.join("output")).unwrap_or_default();
                bail!("charon ended with {status}: {}", log.trim());
            }
            if Instant::now() > limit {
                bail!("charon does not listen after {LIMIT:?}");
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for Charon {
    fn drop(&mut self) {
        end_group(self.daemon.id());
        let _ = self.daemon.wait();
    }
}

/// Each tunnel joins hosts of its own, which are addresses of this one.
pub(super) fn give_hosts(namespace: &Namespace, end: End, tunnels: &[Tunnel]) -> Result<()> {
    let mut script = String::from("set -e\n");
    for tunnel in tunnels {
        for family in Family::ALL {
            let (address, bits) = (end.host(family, tunnel.number), family.bits());
            let _ = writeln!(script, "ip addr add {address}/{bits} dev lo");
        }
    }
    namespace
        .sh(&script, LIMIT)?
        .ok()
        .context("cannot add the addresses of hosts")?;
    Ok(())
}

fn spawn(namespace: &Namespace, directory: &Path) -> Result<Child> {
    let output = fs::File::create(directory.join("output"))?;
    Command::new("ip")
        .args(["netns", "exec", namespace.name(), "charon-systemd"])
        .env("STRONGSWAN_CONF", directory.join("strongswan.conf"))
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        .process_group(0)
        .spawn()
        .context("cannot start charon-systemd")
}

/// charon's own settings.
fn settings(directory: &Path) -> String {
    let directory = directory.display();
    format!(
        "charon-systemd {{
  load = {PLUGINS}
  keep_alive = 0
  journal {{
    default = -1
  }}
  filelog {{
    log {{
      path = {directory}/charon.log
      default = -1
      chd = 4
      flush_line = yes
    }}
  }}
  plugins {{
    vici {{
      socket = unix://{directory}/vici
    }}
  }}
}}
"
    )
}

/// What one end knows of the tunnels. Nothing is done by the clock: no rekeying, no keepalives.
fn connections(end: End, tunnels: &[Tunnel]) -> String {
    let identity = |end: End| match end {
        End::Ours => "ours@sealway",
        End::Peer => "peer@sealway",
    };
    let (own, other) = (identity(end), identity(end.other()));
    let mut text = String::from("connections {\n");
    for family in Family::ALL {
        let (near, far) = (end.outer(family), end.other().outer(family));
        let children: String = tunnels
            .iter()
            .filter(|tunnel| tunnel.outer == family)
            .map(|tunnel| child(end, tunnel))
            .collect();
        let _ = write!(
            text,
            "  {family} {{
    version = 2
    local_addrs = {near}
    remote_addrs = {far}
    proposals = aes128-sha256-ecp256
    mobike = no
    encap = yes
    dpd_delay = 0
    rekey_time = 0
    reauth_time = 0
    local {{
      auth = psk
      id = {own}
    }}
    remote {{
      auth = psk
      id = {other}
    }}
    children {{
{children}    }}
  }}
"
        );
    }
    let _ = write!(
        text,
        "}}
secrets {{
  ike-both {{
    id-1 = {own}
    id-2 = {other}
    secret = \"known to both\"
  }}
}}
"
    );
    text
}

fn child(end: End, tunnel: &Tunnel) -> String {
    let hosts = |end: End| {
        Family::ALL
            .map(|family| format!("{}/{}", end.host(family, tunnel.number), family.bits()))
            .join(", ")
    };
    format!(
        "      {} {{
        mode = tunnel
        local_ts = {}
        remote_ts = {}
        esp_proposals = {}
        rekey_time = 0
        life_time = 0
      }}
",
        tunnel.name(),
        hosts(end),
        hosts(end.other()),
        proposal(tunnel.suite)
    )
}

/// What strongSwan calls the suite.
fn proposal(suite: Suite) -> String {
    let bits = suite.key * 8;
    let cipher = match suite.cipher.setkey {
        "aes-cbc" => format!("aes{bits}"),
        name => match name.strip_prefix("aes-") {
            Some(mode) => format!("aes{bits}{}", mode.replace('-', "")),
            None => name.replace('-', ""),
        },
    };
    match suite.integrity.map(|integrity| integrity.setkey) {
        None => cipher,
        Some("aes-xcbc-mac") => cipher + "-aesxcbc",
        Some(name) => cipher + "-" + &name.replace("hmac-", "").replace("sha2-", "sha"),
    }
}

/// Reads lines such as `in  f7628b01,   84 bytes,   1 packets,   2s ago`.
fn packets(output: &str) -> BTreeMap<u32, u64> {
    let line = |line: &str| {
        let mut fields = line.split(',');
        let (way, spi) = fields.next()?.trim().split_once(' ')?;
        let count = fields.nth(1)?.trim().strip_suffix(" packets")?;
        let is_way = matches!(way, "in" | "out");
        let spi = u32::from_str_radix(spi.trim(), 16).ok()?;
        is_way.then_some((spi, count.parse().ok()?))
    };
    output.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite;

    #[test]
    fn suites_have_strongswans_names() {
        let names: Vec<String> = suite::all().into_iter().map(proposal).collect();
        for name in [
            "aes128gcm16",
            "aes256ccm8",
            "chacha20poly1305",
            "aes192-sha1",
            "aes128ctr-sha384",
            "aes256-aesxcbc",
            "null-sha512",
        ] {
            assert!(
                names.iter().any(|other| other == name),
                "{name} in {names:?}"
            );
        }
    }

    #[test]
    fn packets_are_read_beside_their_spi() {
        let text = "
  s6-1: #2, reqid 2, INSTALLED, TUNNEL-in-UDP, ESP:AES_GCM_16-128
    installed 8s ago
    in  f7628b01,      0 bytes,     0 packets
    out eccaf06b,     84 bytes,    12 packets,     0s ago
    local  10.2.121.0/24 fd00:2:61::/64
";
        assert_eq!(
            packets(text),
            BTreeMap::from([(0xf762_8b01, 0), (0xecca_f06b, 12)])
        );
    }
}
