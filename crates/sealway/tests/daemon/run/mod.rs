//! `sealway run` beside a gateway that runs `sealway up`, as an ordinary user and as root.

mod ends;
mod mistakes;
mod names;
mod tunnel;

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::chown;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::host::{Daemon, Host, POLICIES, SAS, TUNNEL, done, for_host, hosts};

/// An ordinary user whom nobody knows.
const USER: u32 = 54_321;

/// Who runs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Root,
    Ordinary,
}

/// What `sealway run` is to do on the left.
const CONFIGURATION: &str = r#"
[[inside]]
device = "seal0"
addresses = ["10.1.0.1/32", "fd00:1::1/128"]
routes = ["10.2.0.0/24", "fd00:2::/64"]

[[outside]]
addresses = ["192.0.2.1", "2001:db8::1"]

[policy]
setkey = ["site.setkey"]

[run]
resolv = ["10.2.0.1"]
search = ["example.test"]
"#;

/// The SAs, in UDP between these ports.
fn sas(left: u16, right: u16) -> String {
    SAS.replace(" esp 0x", " esp-udp 0x")
        .replace("192.0.2.1 192", &format!("192.0.2.1[{left}] 192"))
        .replace("192.0.2.2 esp", &format!("192.0.2.2[{right}] esp"))
        .replace("192.0.2.2 192", &format!("192.0.2.2[{right}] 192"))
        .replace("192.0.2.1 esp", &format!("192.0.2.1[{left}] esp"))
}

/// The left host's script.
fn script() -> String {
    sas(4500, 4500) + &for_host(1, POLICIES)
}

/// The left host and a gateway on the right with these SAs.
fn site(sas: &str) -> (Host, Host, Daemon) {
    let (left, right) = hosts();
    let gateway = right.up(
        &for_host(2, TUNNEL),
        &(sas.to_owned() + &for_host(2, POLICIES)),
    );
    (left, right, gateway)
}

/// `/dev/net/tun` for everybody and what else is said, in a mount namespace of the command's own;
/// then the command.
const PRELUDE: &str = r#"
mount -t tmpfs tmpfs /mnt && mknod /mnt/tun c 10 200 && chmod "${TUN_MODE:-666}" /mnt/tun || exit 99
mount --bind /mnt/tun /dev/net/tun && umount -l /mnt || exit 99
eval "$PREPARE" || exit 99
case "$WHO" in
Ordinary) exec setpriv --reuid=54321 --regid=54321 --clear-groups -- "$@" ;;
*) exec "$@" ;;
esac
"#;

impl Host {
    /// `sealway run` with this configuration and script, not started.
    fn run(&self, who: Who, configuration: &str, script: &str) -> Command {
        self.write("site.setkey", script);
        let file = self.write("run.toml", configuration);
        if who == Who::Ordinary {
            let directory = self.directory.path();
            let files = fs::read_dir(directory).unwrap();
            let paths = files.map(|file| file.unwrap().path());
            for path in paths.chain([directory.to_owned()]) {
                chown(path, Some(USER), Some(USER)).unwrap();
            }
        }
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--propagation", "private", "sh", "-c", PRELUDE])
            .arg("sh")
            .arg(self.binary())
            .args(["run", "--config"])
            .arg(file)
            .env("WHO", format!("{who:?}"))
            .env("TMPDIR", self.directory.path())
            .stdout(Stdio::piped());
        command
    }

    /// The program where everybody may look.
    fn binary(&self) -> PathBuf {
        let path = self.directory.path().join("sealway");
        let built = env!("CARGO_BIN_EXE_sealway");
        if !path.exists() && fs::hard_link(built, &path).is_err() {
            fs::copy(built, &path).unwrap();
        }
        path
    }
}

/// What Sealway answers the user that `sealway run` runs as, whose control socket it is.
fn ask(host: &Host, run: &Daemon, words: &[&str]) -> Value {
    serde_json::from_str(&done(&asked(host, run, words))).unwrap()
}

/// The same, whether or not it does what it was asked to.
fn asked(host: &Host, run: &Daemon, words: &[&str]) -> Output {
    let user = format!("--reuid={USER}");
    let group = format!("--regid={USER}");
    Command::new("setpriv")
        .args([&user, &group, "--clear-groups", "--"])
        .arg(host.binary())
        .args(words)
        .arg("--control")
        .arg(&run.control)
        .output()
        .unwrap()
}

/// What it has written to standard output; it has ended.
fn output(daemon: &mut Daemon) -> String {
    let mut text = String::new();
    let stdout = daemon.child.stdout.as_mut().unwrap();
    stdout.read_to_string(&mut text).unwrap();
    text
}

/// Without what the log says.
fn said(daemon: &Daemon) -> Vec<&str> {
    let lines = daemon.said.lines();
    lines.filter(|line| !line.contains(" WARN ")).collect()
}
