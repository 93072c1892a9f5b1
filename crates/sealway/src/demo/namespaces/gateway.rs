//! A gateway's Sealway: a child process in the gateway's namespace, as a user would start it.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sealway_io::namespace::Namespace;
use sealway_io::process::die_with_us;

use super::topology::{CLEAR, INNER, INSIDE};
use super::write_private;
use crate::daemon::config::Offload;
use crate::daemon::protocol::{KeyDisplay, Request, What};
use crate::demo::address::{self, End, FAMILIES};
use crate::demo::limit::{Limit, TICK};
use crate::demo::tally::ESP_IN_UDP;

/// A running daemon. Dropped, it is told to end, and killed if it does not.
#[derive(Debug)]
pub(crate) struct Gateway {
    end: End,
    child: Child,
    files: Files,
}

/// What it is told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Orders<'a> {
    /// SAs and policies, in setkey's language.
    pub(crate) script: &'a str,
    /// What becomes of packets without a policy.
    pub(crate) default: &'a str,
    /// Whether the kernel's offloads are used.
    pub(crate) offload: Offload,
}

/// What a daemon reads and writes.
#[derive(Clone, Debug)]
struct Files {
    config: PathBuf,
    script: PathBuf,
    control: PathBuf,
    table: PathBuf,
    log: PathBuf,
}

impl Gateway {
    /// Starts `sealway up` and waits until it says that it is ready.
    pub(crate) fn start(
        end: End,
        namespace: &Namespace,
        directory: &Path,
        orders: &Orders<'_>,
        limit: &Limit,
    ) -> Result<Gateway> {
        let files = Files::new(directory, end);
        write_private(&files.script, orders.script)?;
        write_private(&files.config, &config(end, &files, orders))?;
        let mut command = Command::new(std::env::current_exe()?);
        command
            .arg("up")
            .arg(&files.config)
            .stdin(Stdio::null())
            .stdout(open_log(&files.log)?)
            .stderr(open_log(&files.log)?);
        die_with_us(&mut command);
        let child = namespace
            .run(move || command.spawn())
            .context("cannot start `sealway up`")?;
        let mut gateway = Gateway { end, child, files };
        gateway
            .wait_until_ready(limit)
            .map_err(|error| gateway.explain(error))?;
        // It has read them: if we are killed, no keys stay behind.
        fs::remove_file(&gateway.files.script)?;
        fs::remove_file(&gateway.files.config)?;
        Ok(gateway)
    }

    /// It is ready when it answers.
    fn wait_until_ready(&mut self, limit: &Limit) -> Result<()> {
        let mut conversation = None;
        loop {
            if let Some(status) = self.child.try_wait()? {
                bail!("it ended before it was ready ({status})");
            }
            match conversation.take() {
                None => conversation = ask(&self.files.control).ok(),
                Some(mut stream) => match stream.read(&mut [0]) {
                    Ok(1) => return Ok(()),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        conversation = Some(stream);
                    }
                    _ => {}
                },
            }
            if conversation.is_none() {
                thread::sleep(TICK / 5);
            }
            limit.check("waiting for it to be ready")?;
        }
    }

    /// Its process.
    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    /// The SAs as tshark's table `esp_sa` has them.
    pub(crate) fn wireshark(&self, limit: &Limit) -> Result<String> {
        let table = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&self.files.table)?;
        let mut command = Command::new(std::env::current_exe()?);
        command
            .args(["show", "sa", "--wireshark", "--yes", "--control"])
            .arg(&self.files.control)
            .stdin(Stdio::null())
            .stdout(table)
            .stderr(open_log(&self.files.log)?);
        let mut child = die_with_us(&mut command).spawn()?;
        while child.try_wait()?.is_none() {
            limit.check("`sealway show sa --wireshark`")?;
            thread::sleep(TICK / 5);
        }
        let status = child.wait()?;
        ensure!(status.success(), "`sealway show sa --wireshark`: {status}");
        let table = fs::read_to_string(&self.files.table)?;
        fs::remove_file(&self.files.table)?;
        Ok(table)
    }

    /// How it ended, if it did.
    pub(crate) fn ended(&mut self) -> Option<String> {
        let status = self.child.try_wait().ok().flatten()?;
        let end = self.end.name();
        Some(format!(
            "the {end} gateway's `sealway up` has ended ({status})"
        ))
    }

    /// The error with the gateway's name and the end of its log.
    pub(crate) fn explain(&self, error: anyhow::Error) -> anyhow::Error {
        let log = self.last_words();
        let end = self.end.name();
        anyhow!("the {end} gateway's `sealway up`: {error:#}\n{log}")
    }

    /// The last lines of its log.
    pub(crate) fn last_words(&self) -> String {
        const LINES: usize = 12;
        let text = fs::read(&self.files.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        let mut shown = format!("the {} gateway's log", self.end.name());
        match lines.len() {
            0 => shown.push_str(" is empty"),
            _ => shown.push_str(" ends:"),
        }
        for line in lines.iter().skip(lines.len().saturating_sub(LINES)) {
            let _ = write!(shown, "\n  | {line}");
        }
        shown
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        /// How long a daemon may take to end.
        const PATIENCE: Duration = Duration::from_secs(2);
        if let Ok(pid) = i32::try_from(self.child.id()) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
        let start = Instant::now();
        while start.elapsed() < PATIENCE && matches!(self.child.try_wait(), Ok(None)) {
            thread::sleep(Duration::from_millis(5));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Files {
    fn new(directory: &Path, end: End) -> Files {
        let file = |what: &str| directory.join(format!("{}.{what}", end.name()));
        Files {
            config: file("toml"),
            script: file("setkey"),
            control: file("sock"),
            table: file("esp_sa"),
            log: file("log"),
        }
    }
}

/// What `sealway up` reads. The guard would need nft, and the demo needs nothing but itself.
fn config(end: End, files: &Files, orders: &Orders<'_>) -> String {
    let far = end.other();
    let networks = FAMILIES.map(|f| address::inner_network(far, f));
    let hosts = FAMILIES.map(|f| (address::gateway_host(far, f), address::host_prefix(f)));
    let routes = [networks, hosts].concat();
    let routes = list(routes.iter().map(|(to, length)| format!("{to}/{length}")));
    let tunnel = FAMILIES.map(|f| address::tunnel_end(end, f));
    let host = FAMILIES.map(|f| address::gateway_host(end, f));
    let outside = list([tunnel, host].concat().iter().map(ToString::to_string));
    let (script, control) = (quoted(&files.script), quoted(&files.control));
    let (default, offload) = (orders.default, orders.offload == Offload::On);
    format!(
        "[[inside]]
device = \"{INSIDE}\"
routes = {routes}
interfaces = [\"{INNER}\"]

[[outside]]
addresses = {outside}
port = {ESP_IN_UDP}
clear = \"{CLEAR}\"

[policy]
setkey = [{script}]
default = \"{default}\"

[daemon]
control = {control}
guard = false
offload = {offload}
"
    )
}

fn list(items: impl Iterator<Item = String>) -> String {
    let quoted: Vec<String> = items.map(|item| format!("{item:?}")).collect();
    format!("[{}]", quoted.join(", "))
}

fn quoted(path: &Path) -> String {
    format!("{:?}", path.display().to_string())
}

/// Sends a question to the daemon; the answer may take its time.
fn ask(control: &Path) -> Result<UnixStream> {
    let mut stream = UnixStream::connect(control)?;
    stream.set_read_timeout(Some(TICK))?;
    let question = Request::Show {
        what: What::Stats,
        keys: KeyDisplay::Masked,
    };
    serde_json::to_writer(&mut stream, &question)?;
    stream.write_all(b"\n")?;
    Ok(stream)
}

fn open_log(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
}
