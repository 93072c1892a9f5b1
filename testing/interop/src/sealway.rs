//! Our end: `sealway up` in a namespace of its own, one device on the link, one TUN device inside.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::fault::Fault;
use crate::gate::{self, Link};
use crate::host::{Host, Namespace, Reply};
use crate::ledger::{Ledger, end_group};
use crate::link::{End, Family, INSIDE};
use crate::shown;
use crate::site::{Site, UDP_PORT};
use crate::station::Station;

/// How long a command may take.
const LIMIT: Duration = Duration::from_secs(20);
/// How long the daemon may take to be ready.
const START: Duration = Duration::from_secs(20);
/// The file with SAs and policies.
const SITE: &str = "site.setkey";
/// The device on the link.
const OUTSIDE: &str = "outside";
/// The device through which clear traffic comes to Sealway.
const CLEAR: &str = "seal-clear";

/// A running daemon. Dropping it ends it and removes its namespace.
#[derive(Debug)]
pub struct Sealway {
    daemon: Child,
    ledger: Arc<Ledger>,
    binary: PathBuf,
    directory: PathBuf,
    namespace: Namespace,
}

impl Sealway {
    /// Connects a namespace to the link and starts the daemon in it.
    ///
    /// # Errors
    /// With what the daemon said, if it is not ready within some seconds.
    pub fn start(ledger: &Arc<Ledger>, link: &Link, binary: &Path) -> Result<Self> {
        let name = format!("{}{}", gate::OURS, link.bench());
        let namespace = Namespace::new(ledger.namespace(&name)?)?;
        link.attach(&namespace, gate::OURS, End::Ours, OUTSIDE)?;
        let directory = link.directory();
        let sealway = Self::start_in(
            ledger,
            namespace,
            binary,
            directory,
            &configuration(directory),
        )?;
        sealway.lead_clear_traffic()?;
        Ok(sealway)
    }

    /// Starts the daemon in a namespace that is connected already. Its files are in `directory`;
    /// `configuration` names `site.setkey` and `control.sock` there.
    ///
    /// # Errors
    /// With what the daemon said, if it is not ready within some seconds.
    pub fn start_in(
        ledger: &Arc<Ledger>,
        namespace: Namespace,
        binary: &Path,
        directory: &Path,
        configuration: &str,
    ) -> Result<Self> {
        fs::write(directory.join(SITE), "flush; spdflush;\n")?;
        fs::write(directory.join("sealway.toml"), configuration)?;
        let daemon = spawn(&namespace, binary, directory)?;
        let mut sealway = Self {
            daemon,
            ledger: ledger.clone(),
            binary: binary.to_owned(),
            directory: directory.to_owned(),
            namespace,
        };
        ledger.process_group(sealway.daemon.id())?;
        sealway.wait_until_ready()?;
        Ok(sealway)
    }

    /// Kills the daemon, which has no time to clear anything away.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn kill(&mut self) -> Result<()> {
        self.daemon.kill()?;
        self.daemon.wait()?;
        Ok(())
    }

    /// Starts it again with the same files.
    ///
    /// # Errors
    /// With what the daemon said, if it is not ready within some seconds.
    pub fn restart(&mut self) -> Result<()> {
        self.daemon = spawn(&self.namespace, &self.binary, &self.directory)?;
        self.ledger.process_group(self.daemon.id())?;
        self.wait_until_ready()
    }

    /// Writes the site into its file and has the file read again.
    ///
    /// # Errors
    /// With what the daemon said, if it refuses.
    pub fn reload(&self, site: &Site) -> Result<()> {
        fs::write(self.directory.join(SITE), site.setkey(End::Ours))?;
        self.ask("reload")?;
        Ok(())
    }

    /// Octets of memory that the daemon has in use.
    ///
    /// # Errors
    /// If it has ended.
    pub fn memory(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.daemon.id()))?;
        let kibibytes = status.lines().find_map(|line| {
            let figure = line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?;
            figure.parse::<u64>().ok()
        });
        Ok(kibibytes.context("the daemon has ended")? << 10)
    }

    /// The counter of a device, such as `too_big_heard`.
    ///
    /// # Errors
    /// If there is none of that name.
    pub fn device(&self, counter: &str) -> Result<u64> {
        shown::device(&self.ask("show stats --json")?, counter)
    }

    /// Packets delivered to the inside.
    ///
    /// # Errors
    /// If the daemon does not answer.
    pub fn delivered(&self) -> Result<u64> {
        shown::delivered(&self.ask("show stats --json")?)
    }

    /// All that it can be asked for, and its log.
    pub fn account(&self) -> String {
        let mut account = fs::read_to_string(self.log()).unwrap_or_default();
        for question in ["show stats", "show sa", "show policy", "show device"] {
            match self.ask(question) {
                Ok(answer) => account += &answer,
                Err(error) => account += &format!("{error:#}\n"),
            }
        }
        account
    }

    /// The namespace that it is in.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Runs `sealway` against the daemon.
    fn ask(&self, arguments: &str) -> Result<String> {
        let script = format!(
            "{} {arguments} --control {}",
            self.binary.display(),
            self.control().display()
        );
        self.sh(&script, LIMIT)?
            .ok()
            .with_context(|| format!("sealway {arguments}"))
    }

    fn control(&self) -> PathBuf {
        self.directory.join("control.sock")
    }

    fn log(&self) -> PathBuf {
        self.directory.join("sealway.log")
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let limit = Instant::now() + START;
        loop {
            let log = fs::read_to_string(self.log()).unwrap_or_default();
            if let Some(status) = self.daemon.try_wait()? {
                bail!("sealway up ended with {status}: {}", log.trim());
            }
            if self.ask("show stats --json").is_ok() {
                return Ok(());
            }
            if Instant::now() > limit {
                bail!("sealway up is not ready after {START:?}: {}", log.trim());
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Echo requests in the clear go to Sealway's clear device instead of the host itself, which
    /// would answer them whatever the policy says.
    fn lead_clear_traffic(&self) -> Result<()> {
        let mut script = String::from(
            "set -e\necho 1 > /proc/sys/net/ipv4/ip_forward\necho 1 > /proc/sys/net/ipv6/conf/all/forwarding\n",
        );
        for (family, protocol) in [("-4", 1), ("-6", 58)] {
            script += &format!(
                "ip {family} rule add pref 10 iif {OUTSIDE} ipproto {protocol} lookup 42
                 ip {family} route add default dev {CLEAR} table 42\n"
            );
        }
        self.sh(&script, LIMIT)?
            .ok()
            .context("cannot lead clear traffic to the clear device")?;
        Ok(())
    }
}

impl Host for Sealway {
    fn sh(&self, script: &str, limit: Duration) -> Result<Reply> {
        self.namespace.sh(script, limit)
    }
}

impl Station for Sealway {
    fn apply(&self, site: &Site) -> Result<()> {
        let path = self.directory.join("row.setkey");
        fs::write(&path, site.setkey(End::Ours))?;
        self.ask(&format!("setkey -f {}", path.display()))?;
        Ok(())
    }

    fn packets(&self) -> Result<BTreeMap<u32, u64>> {
        shown::packets(&self.ask("show sa --json")?)
    }

    fn drops(&self) -> Result<BTreeMap<String, u64>> {
        shown::drops(&self.ask("show stats --json")?)
    }

    fn name_of(&self, fault: Fault) -> Option<&'static str> {
        Some(fault.sealway())
    }
}

impl Drop for Sealway {
    fn drop(&mut self) {
        end_group(self.daemon.id());
        let _ = self.daemon.wait();
    }
}

/// What the daemon is told in its file. The peer's own address is inside as well: transport mode
/// protects it, and a tunnel must not follow that route itself.
fn configuration(directory: &Path) -> String {
    let list = |of: &dyn Fn(Family) -> Vec<String>| {
        let quoted = Family::ALL
            .into_iter()
            .flat_map(of)
            .map(|item| format!("\"{item}\""));
        quoted.collect::<Vec<_>>().join(", ")
    };
    let inside = list(&|family| {
        let length = if family == Family::V4 { 24 } else { 64 };
        vec![format!("{}/{length}", End::Ours.inner(family))]
    });
    let routes = list(&|family| {
        vec![
            End::Peer.network(family),
            format!("{}/{}", End::Peer.outer(family), family.bits()),
        ]
    });
    let outside = list(&|family| vec![End::Ours.outer(family).to_string()]);
    format!(
        "[[inside]]
device = \"{INSIDE}\"
addresses = [{inside}]
routes = [{routes}]

[[outside]]
addresses = [{outside}]
port = {UDP_PORT}
clear = \"{CLEAR}\"

[policy]
setkey = [\"site.setkey\"]
default = \"discard\"

[daemon]
control = \"{}\"
",
        directory.join("control.sock").display()
    )
}

fn spawn(namespace: &Namespace, binary: &Path, directory: &Path) -> Result<Child> {
    let log = fs::File::create(directory.join("sealway.log"))?;
    Command::new("ip")
        .args(["netns", "exec", namespace.name()])
        .arg(binary)
        .arg("up")
        .arg(directory.join("sealway.toml"))
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .process_group(0)
        .spawn()
        .with_context(|| format!("cannot start {}", binary.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peers_own_address_is_inside_too() {
        let text = configuration(Path::new("/run/x"));
        assert!(text.contains(r#"addresses = ["10.1.0.1/24", "fd00:1::1/64"]"#));
        assert!(text.contains(
            r#"routes = ["10.2.0.0/24", "192.0.2.2/32", "fd00:2::/64", "2001:db8::2/128"]"#
        ));
        assert!(text.contains(r#"control = "/run/x/control.sock""#));
    }
}
