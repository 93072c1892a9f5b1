//! strongSwan's daemon with ESP in user space (kernel-libipsec): one CHILD_SA for both families, in
//! UDP, as its kernel-libipsec wants it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sealway_io::namespace::Namespace;
use sealway_io::process::die_with_us;
use sealway_wire::Family;

use crate::demo::address::{self, End, FAMILIES};
use crate::demo::limit::{Limit, TICK};

/// The daemon, in the foreground.
pub(super) const CHARON: &str = "charon-systemd";
/// What tells it.
pub(super) const SWANCTL: &str = "swanctl";
/// How long it may take to end.
const FAREWELL: Duration = Duration::from_secs(2);

/// A running charon. Dropped, it ends.
pub(in crate::bench::tunnel) struct Charon {
    child: Child,
    place: PathBuf,
}

impl Charon {
    /// Starts it on the gateway at this end, ready to answer.
    pub(super) fn start(
        end: End,
        namespace: &Namespace,
        directory: &Path,
        limit: &Limit,
    ) -> Result<Charon> {
        let place = directory.join(end.name());
        fs::create_dir(&place).context("cannot make a directory")?;
        fs::write(place.join("strongswan.conf"), settings(&place))?;
        fs::write(place.join("swanctl.conf"), connection(end))?;
        let mut command = Command::new(CHARON);
        let output = fs::File::create(place.join("output"))?;
        command
            .env("STRONGSWAN_CONF", place.join("strongswan.conf"))
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output);
        die_with_us(&mut command);
        let child = namespace
            .run(move || command.spawn())
            .with_context(|| format!("cannot start {CHARON}"))?;
        let mut charon = Charon { child, place };
        while !charon.place.join("vici").exists() {
            if let Some(status) = charon.child.try_wait()? {
                let words = fs::read_to_string(charon.place.join("output")).unwrap_or_default();
                bail!("{CHARON} has ended ({status}): {}", words.trim());
            }
            limit.check("waiting for charon's socket")?;
            thread::sleep(TICK);
        }
        let file = charon.place.join("swanctl.conf").display().to_string();
        let load = ["--load-all", "--noprompt", "--file", &file];
        charon.tell(namespace, &load, limit)?;
        Ok(charon)
    }

    /// Negotiates the SAs; the other end is ready to answer.
    pub(super) fn initiate(&self, namespace: &Namespace, limit: &Limit) -> Result<()> {
        let initiate = ["--initiate", "--timeout", "20", "--child", "both"];
        self.tell(namespace, &initiate, limit)
            .context("is its plugin kernel-libipsec installed (libcharon-extra-plugins)?")
    }

    pub(super) fn process(&self) -> u32 {
        self.child.id()
    }

    fn tell(&self, namespace: &Namespace, words: &[&str], limit: &Limit) -> Result<()> {
        let words_of = self.place.join("swanctl.output");
        let output = fs::File::create(&words_of)?;
        let mut command = Command::new(SWANCTL);
        command
            .args(words)
            .arg("--uri")
            .arg(format!("unix://{}/vici", self.place.display()))
            .env("STRONGSWAN_CONF", self.place.join("strongswan.conf"))
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output);
        die_with_us(&mut command);
        let mut child = namespace.run(move || command.spawn())?;
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            limit.check(SWANCTL)?;
            thread::sleep(TICK);
        };
        if status.success() {
            return Ok(());
        }
        let output = fs::read_to_string(&words_of).unwrap_or_default();
        let last = output.lines().last().unwrap_or_default();
        bail!("{SWANCTL} {}: {last} ({status})", words.join(" "))
    }
}

impl Drop for Charon {
    fn drop(&mut self) {
        if let Ok(pid) = i32::try_from(self.child.id()) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
        let start = Instant::now();
        while start.elapsed() < FAREWELL && matches!(self.child.try_wait(), Ok(None)) {
            thread::sleep(TICK / 5);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// charon's settings: the plugins that are installed, as a user would have them, and ESP in user
/// space before the kernel's.
fn settings(place: &Path) -> String {
    let place = place.display();
    format!(
        "charon-systemd {{
  load_modular = yes
  keep_alive = 0
  journal {{
    default = -1
  }}
  filelog {{
    log {{
      path = {place}/charon.log
      default = -1
    }}
  }}
  plugins {{
    include /etc/strongswan.d/charon/*.conf
    vici {{
      socket = unix://{place}/vici
    }}
    kernel-libipsec {{
      load = yes
    }}
  }}
}}
"
    )
}

/// One tunnel, whose keys nobody else needs to guess: nothing secret passes.
fn connection(end: End) -> String {
    let networks = |end| {
        let network = |family| {
            let (network, length) = address::inner_network(end, family);
            format!("{network}/{length}")
        };
        FAMILIES.map(network).join(", ")
    };
    let outer = |end| address::tunnel_end(end, Family::V4);
    let other = end.other();
    format!(
        "connections {{
  both {{
    version = 2
    local_addrs = {}
    remote_addrs = {}
    proposals = aes128-sha256-ecp256
    mobike = no
    encap = yes
    dpd_delay = 0
    rekey_time = 0
    reauth_time = 0
    local {{
      auth = psk
      id = {}
    }}
    remote {{
      auth = psk
      id = {}
    }}
    children {{
      both {{
        mode = tunnel
        local_ts = {}
        remote_ts = {}
        esp_proposals = aes128gcm16
        rekey_time = 0
        life_time = 0
      }}
    }}
  }}
}}
secrets {{
  ike-both {{
    id-1 = {}
    id-2 = {}
    secret = \"known to both\"
  }}
}}
",
        outer(end),
        outer(other),
        end.name(),
        other.name(),
        networks(end),
        networks(other),
        end.name(),
        other.name(),
    )
}
