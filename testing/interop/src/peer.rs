//! A real Linux kernel as peer: user-mode Linux, booted in two seconds, with this machine's files
//! as its root (read-only) and two tap devices: one to be told what to do, one to carry traffic.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sched::{CloneFlags, CpuSet, sched_getaffinity, setns};
use nix::unistd::Pid;

use crate::host::{Host, Namespace, Reply};
use crate::ledger::{Ledger, end_group, is_running};
use crate::pulse::Pulse;

/// How long the kernel may take to boot; two seconds are usual.
const BOOT_LIMIT: Duration = Duration::from_secs(60);
/// How often it is looked whether the kernel still runs, while it says nothing.
const LOOK: Duration = Duration::from_secs(1);
/// What the guest prints when it takes requests.
const READY: &str = "SEALWAY-PEER-READY";
/// What the guest's shell prints before the exit status of a script.
const STATUS: &str = "__STATUS=";
/// Where the guest takes requests, in the control namespace.
const AGENT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(169, 254, 77, 2)), 77);
/// The peer's memory.
const MEMORY: u64 = 192 << 20;

/// A running peer. Dropping it ends it.
#[derive(Debug)]
pub struct Peer {
    kernel: Child,
    /// From when it has booted.
    pulse: Option<Pulse>,
    control: Namespace,
    release: String,
    shells: Mutex<Vec<TcpStream>>,
    _ledger: Arc<Ledger>,
}

/// What a peer is to be.
#[derive(Clone, Copy, Debug)]
pub struct Boot<'a> {
    /// Short and unlike that of any other peer of this run.
    pub name: &'a str,
    /// The Ethernet address of its `data0`.
    pub mac: &'a str,
    /// Which of the run's peers it is, from 0: they take the CPUs in turn.
    pub turn: usize,
    /// Files that the guest finds in `/tmp/sealway`.
    pub files: &'a [PathBuf],
    /// The namespace that gets the other end of `data0`, and the device's name there.
    pub link: (&'a str, &'a str),
}

impl Peer {
    /// Boots a peer and puts the other end of its `data0`, up, where `boot` says.
    ///
    /// # Errors
    /// If a device or the kernel refuses, or it is not ready within a minute; the message carries
    /// what the guest printed last.
    pub fn boot(ledger: &Arc<Ledger>, boot: Boot<'_>) -> Result<Self> {
        let control = Namespace::new(ledger.namespace(boot.name)?)?;
        make_taps(&control)?;
        let directory = ledger.directory().join(boot.name);
        lay_out(&directory, boot.files)?;
        let console = directory.with_extension("console");
        let kernel = spawn(&control, &boot, &directory, &console)?;
        let peer = Self {
            kernel,
            pulse: None,
            control,
            release: String::new(),
            shells: Mutex::default(),
            _ledger: ledger.clone(),
        };
        ledger.process_group(peer.kernel.id())?;
        peer.finish(&boot, &console)
    }

    /// The release of its kernel, such as `6.1.176`.
    pub fn release(&self) -> &str {
        &self.release
    }

    fn finish(mut self, boot: &Boot<'_>, console: &Path) -> Result<Self> {
        self.release = self.wait_until_ready(console)?;
        self.pulse = Some(Pulse::start(self.kernel.id())?);
        self.sh("true", Duration::from_secs(10))?
            .ok()
            .context("the peer takes no requests")?;
        let (namespace, device) = boot.link;
        self.control
            .sh(
                &format!(
                    "ip link set data netns {namespace} name {device} && ip -n {namespace} link set {device} up"
                ),
                Duration::from_secs(10),
            )?
            .ok()
            .context("cannot connect the peer's data device")?;
        // Not before: a tap is down while it moves, and one frame refused there stops the guest's
        // device for good. Without addresses it has nothing to say.
        self.sh(
            "echo 0 > /proc/sys/net/ipv6/conf/data0/disable_ipv6",
            Duration::from_secs(10),
        )?
        .ok()
        .context("the peer's data device gets no IPv6")?;
        Ok(self)
    }

    fn wait_until_ready(&mut self, console: &Path) -> Result<String> {
        let limit = Instant::now() + BOOT_LIMIT;
        loop {
            let text = fs::read(console).unwrap_or_default();
            let text = String::from_utf8_lossy(&text);
            if let Some(line) = text
                .lines()
                .find_map(|line| line.trim().strip_prefix(READY))
            {
                return Ok(line.trim().to_owned());
            }
            let tail: Vec<&str> = text.lines().rev().take(4).collect();
            if let Some(status) = self.kernel.try_wait()? {
                bail!("the peer's kernel ended with {status}; it said, newest first: {tail:?}");
            }
            if Instant::now() > limit {
                bail!(
                    "the peer's kernel is not ready after {BOOT_LIMIT:?}; it said, newest first: {tail:?}"
                );
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// A shell that waits in the guest, or a new one. While the guest is new, it may still refuse.
    fn shell(&self) -> Result<TcpStream> {
        if let Some(shell) = self.shells.lock().map_err(|_| poisoned())?.pop() {
            return Ok(shell);
        }
        let limit = Instant::now() + Duration::from_secs(5);
        loop {
            let attempt = in_namespace(self.control.name(), || {
                TcpStream::connect_timeout(&AGENT, Duration::from_secs(2))
            })?;
            match attempt {
                Ok(shell) => {
                    shell.set_nodelay(true)?;
                    return Ok(shell);
                }
                Err(error) if Instant::now() > limit => {
                    return Err(error).context("cannot reach the peer's agent");
                }
                Err(_) => thread::sleep(Duration::from_millis(50)),
            }
        }
    }

    /// Reads until the line with the exit status is complete or the time is up.
    fn read_reply(&self, shell: &mut TcpStream, limit: Duration) -> Result<String> {
        let end = Instant::now() + limit;
        let mut octets = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            let text = String::from_utf8_lossy(&octets);
            let is_complete = text.ends_with('\n') && text.contains(&format!("\n{STATUS}"));
            let left = end.saturating_duration_since(Instant::now());
            ensure!(
                is_running(self.kernel.id()),
                "the peer's kernel has ended: {text}"
            );
            if is_complete || left.is_zero() {
                return Ok(text.into_owned());
            }
            shell.set_read_timeout(Some(left.min(LOOK)))?;
            match shell.read(&mut buffer) {
                Ok(0) => bail!("the peer's shell ended: {text}"),
                Ok(count) => octets.extend_from_slice(buffer.get(..count).unwrap_or_default()),
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
                    ) => {}
                Err(error) => return Err(error).context("the peer's agent does not answer"),
            }
        }
    }
}

impl Host for Peer {
    fn sh(&self, script: &str, limit: Duration) -> Result<Reply> {
        let mut shell = self.shell()?;
        let request = format!("(\n{script}\n) </dev/null 2>&1; printf '\\n{STATUS}%d\\n' $?\n");
        shell.write_all(request.as_bytes())?;
        let text = self.read_reply(&mut shell, limit)?;
        let Some((output, status)) = text.rsplit_once(&format!("\n{STATUS}")) else {
            // The shell is still busy: it is left alone, and ends with its connection.
            return Ok(Reply {
                output: text,
                status: 124,
            });
        };
        let status = status
            .trim()
            .parse()
            .context("the peer's agent gave no exit status")?;
        let output = output.to_owned();
        self.shells.lock().map_err(|_| poisoned())?.push(shell);
        Ok(Reply { output, status })
    }
}

fn poisoned() -> anyhow::Error {
    anyhow::anyhow!("a thread that used the peer panicked")
}

impl Drop for Peer {
    fn drop(&mut self) {
        // First: once waited for, the process number may be another's.
        self.pulse.take();
        end_group(self.kernel.id());
        let _ = self.kernel.wait();
    }
}

/// Runs `action` on a thread that has entered the namespace `name`; what it opens stays there.
///
/// # Errors
/// If the namespace cannot be entered.
pub fn in_namespace<T: Send>(name: &str, action: impl FnOnce() -> T + Send) -> Result<T> {
    let file = fs::File::open(format!("/run/netns/{name}"))
        .with_context(|| format!("there is no network namespace {name}"))?;
    thread::scope(|scope| {
        let worker = scope.spawn(move || -> Result<T> {
            setns(&file, CloneFlags::CLONE_NEWNET).context("cannot enter the network namespace")?;
            Ok(action())
        });
        worker
            .join()
            .map_err(|_| anyhow::anyhow!("a thread in the namespace {name} panicked"))?
    })
}

/// The two taps, made where the kernel looks for them: in its own namespace.
fn make_taps(control: &Namespace) -> Result<()> {
    control
        .sh(
            "set -e
             for tap in ctl data; do
               ip tuntap add mode tap name $tap
               echo 1 > /proc/sys/net/ipv6/conf/$tap/disable_ipv6
               ip link set $tap up
             done
             ip addr add 169.254.77.1/24 dev ctl",
            Duration::from_secs(10),
        )?
        .ok()
        .context("cannot make tap devices: is /dev/net/tun there?")?;
    Ok(())
}

/// The directory that the guest copies before it mounts over it.
fn lay_out(directory: &Path, files: &[PathBuf]) -> Result<()> {
    fs::create_dir_all(directory)?;
    fs::write(directory.join("init.sh"), include_str!("../guest/init.sh"))?;
    for file in files {
        let name = file
            .file_name()
            .context("a file for the guest needs a name")?;
        fs::copy(file, directory.join(name))
            .with_context(|| format!("cannot copy {} for the guest", file.display()))?;
    }
    let mut mode = fs::metadata(directory.join("init.sh"))?.permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut mode, 0o755);
    fs::set_permissions(directory.join("init.sh"), mode)?;
    Ok(())
}

fn spawn(control: &Namespace, boot: &Boot<'_>, directory: &Path, console: &Path) -> Result<Child> {
    let output = fs::File::create(console)?;
    let directory = directory.display();
    Command::new("ip")
        .args(["netns", "exec", control.name()])
        // The kernel and its processes, each a process of this machine, wake one another for every
        // page and every call. From one CPU to another that takes four times as long.
        .args([
            "taskset",
            "--cpu-list",
            &cpu(boot.turn)?.to_string(),
            "linux.uml",
        ])
        .arg(format!("umid={}", control.name()))
        .arg(format!("uml_dir={directory}.uml"))
        .arg(format!("mem={}M", MEMORY >> 20))
        .args(["rootfstype=hostfs", "rootflags=/", "ro"])
        .arg(format!("init={directory}/init.sh"))
        .args(["con=null", "con0=null,fd:1", "ssl=null", "quiet"])
        .arg(format!("sw_directory={directory}"))
        .arg(format!("sw_mac={}", boot.mac))
        .arg("vec0:transport=tap,ifname=ctl,depth=64,gro=1")
        // Without gro, large TCP segments from this machine's kernel are dropped silently.
        .arg("vec1:transport=tap,ifname=data,depth=128,gro=1")
        .env("TMPDIR", memory_directory())
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        .process_group(0)
        .spawn()
        .context("cannot start linux.uml, from Debian's package user-mode-linux")
}

/// The CPU for the peer whose turn it is: one of those that this process may use.
fn cpu(turn: usize) -> Result<usize> {
    let allowed = sched_getaffinity(Pid::from_raw(0)).context("cannot ask for the CPUs")?;
    let allowed = |cpu: &usize| allowed.is_set(*cpu).unwrap_or_default();
    let cpus: Vec<usize> = (0..CpuSet::count()).filter(allowed).collect();
    let next = cpus.get(turn % cpus.len().max(1)).copied();
    next.context("there is no CPU to use")
}

/// Where the guest's memory is a file: in memory if there is room, else where files go.
fn memory_directory() -> &'static str {
    let room = nix::sys::statvfs::statvfs("/dev/shm")
        .map(|fs| fs.blocks_available() * fs.fragment_size())
        .unwrap_or_default();
    if room > 2 * MEMORY {
        "/dev/shm"
    } else {
        "/tmp"
    }
}
