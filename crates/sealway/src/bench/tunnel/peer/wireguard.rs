//! Tunnels that speak WireGuard's protocol for configuration.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;

use anyhow::{Context, Result, bail};
use sealway_io::namespace::Namespace;
use sealway_io::netlink::{Netlink, State};
use sealway_io::process::die_with_us;
use sealway_wire::Family;

use crate::demo::address::{self, End};
use crate::demo::limit::{Limit, TICK};
use crate::demo::namespaces::topology::lead_across;

/// Which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Program {
    WireguardGo,
    Boringtun,
}

/// Keys for a tunnel that carries nothing secret.
const PRIVATE: [&str; 2] = [
    "77076d0a7318a57d3c16c17251b26645df4c2f92ebc099170c7f6e6b1a7c4b7b",
    "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
];
const PUBLIC: [&str; 2] = [
    "b40584608d63046cb0f0808762d199d807b3a323bcf2e2a78c611fd7d1544d59",
    "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
];
const PORT: u16 = 51820;
/// Where both put their sockets.
const SOCKETS: &str = "/var/run/wireguard";

/// A process. Dropped, it is killed.
pub(in crate::bench::tunnel) struct Wireguard {
    child: Child,
    socket: PathBuf,
}

impl Program {
    /// What it is called by.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Program::WireguardGo => "wireguard-go",
            Program::Boringtun => "boringtun-cli",
        }
    }

    /// Its device. Files are shared between namespaces, its socket's among them: no two have the
    /// same name.
    fn device(self, end: End) -> String {
        let program = match self {
            Program::WireguardGo => "swg",
            Program::Boringtun => "sbt",
        };
        format!("{program}{}{}", std::process::id() % 1_000_000, end.name())
    }

    /// Starts it on the gateway at this end.
    pub(super) fn start(
        self,
        end: End,
        namespace: &Namespace,
        directory: &Path,
        limit: &Limit,
    ) -> Result<Wireguard> {
        let device = self.device(end);
        let mut command = Command::new(self.name());
        command.arg("-f").arg(&device);
        if self == Program::Boringtun {
            command.args(["--disable-drop-privileges"]);
        }
        let log = directory.join(format!("{}.log", end.name()));
        let log = std::fs::File::create(log).context("cannot make a file for its words")?;
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        die_with_us(&mut command);
        let child = namespace
            .run(move || command.spawn())
            .with_context(|| format!("cannot start {}", self.name()))?;
        let socket = Path::new(SOCKETS).join(format!("{device}.sock"));
        let mut running = Wireguard { child, socket };
        running.configure(end, limit)?;
        namespace.run(move || dress(end, &device))?;
        Ok(running)
    }
}

impl Wireguard {
    pub(super) fn process(&self) -> u32 {
        self.child.id()
    }

    fn configure(&mut self, end: End, limit: &Limit) -> Result<()> {
        let mut stream = loop {
            if let Ok(stream) = UnixStream::connect(&self.socket) {
                break stream;
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("it has ended ({status})");
            }
            limit.check("waiting for its socket")?;
            thread::sleep(TICK);
        };
        let (mine, theirs) = match end {
            End::Left => (PRIVATE[0], PUBLIC[1]),
            End::Right => (PRIVATE[1], PUBLIC[0]),
        };
        let endpoint = address::tunnel_end(end.other(), Family::V4);
        write!(
            stream,
            "set=1\nprivate_key={mine}\nlisten_port={PORT}\nreplace_peers=true\n\
             public_key={theirs}\nendpoint={endpoint}:{PORT}\n\
             allowed_ip=0.0.0.0/0\nallowed_ip=::/0\n\n"
        )?;
        let mut answer = String::new();
        stream.set_read_timeout(Some(TICK * 100))?;
        let mut octets = [0; 64];
        while !answer.ends_with("\n\n") {
            match stream.read(&mut octets)? {
                0 => break,
                count => {
                    answer.push_str(&String::from_utf8_lossy(octets.get(..count).unwrap_or(&[])))
                }
            }
        }
        if answer.trim() == "errno=0" {
            Ok(())
        } else {
            bail!("it refuses its configuration: {}", answer.trim())
        }
    }
}

impl Drop for Wireguard {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_file(&self.socket);
    }
}

fn dress(end: End, device: &str) -> Result<()> {
    let mut netlink = Netlink::open()?;
    let interface = netlink.link(device)?.index;
    netlink.set_mtu(interface, 1420)?;
    netlink.set_state(interface, State::Up)?;
    lead_across(&mut netlink, end, interface, |_| None)
}
