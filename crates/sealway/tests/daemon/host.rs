//! Two hosts joined by a veth pair, each with a daemon.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sealway_io::namespace::Namespace;
use sealway_io::netlink::{Address, Netlink, Route, State};
use sealway_io::process;
use serde_json::Value;
use tempfile::TempDir;

/// How long anything may take; the machine may be busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A namespace with files of its own.
pub(crate) struct Host {
    pub(crate) namespace: Namespace,
    pub(crate) directory: TempDir,
}

/// Two hosts with 192.0.2.1 and 2001:db8::1 on the left, .2 and ::2 on the right.
pub(crate) fn hosts() -> (Host, Host) {
    let host = || Host {
        namespace: Namespace::new()
            .unwrap_or_else(|refused| panic!("these tests need root: {refused}")),
        directory: tempfile::tempdir().unwrap(),
    };
    let (left, right) = (host(), host());
    let there = right.namespace.fd().try_clone_to_owned().unwrap();
    left.namespace.run(move || {
        let mut netlink = Netlink::open().unwrap();
        netlink
            .add_veth("veth", "veth", Some(there.as_fd()))
            .unwrap();
    });
    for (host, number) in [(&left, 1), (&right, 2)] {
        host.namespace.run(move || {
            let mut netlink = Netlink::open().unwrap();
            let interface = netlink.link("veth").unwrap().index;
            netlink.set_no_own_addresses(interface).unwrap();
            netlink.set_state(interface, State::Up).unwrap();
            for (text, prefix_length) in [
                (format!("192.0.2.{number}"), 24),
                (format!("2001:db8::{number}"), 64),
            ] {
                let address = text.parse().unwrap();
                let address = Address {
                    interface,
                    address,
                    prefix_length,
                };
                netlink.add_address(&address).unwrap();
            }
        });
    }
    (left, right)
}

/// The addresses of the host with this number and of its peer, in configurations and scripts:
/// `{me}` and `{peer}` stand for the numbers.
pub(crate) fn for_host(number: u8, text: &str) -> String {
    let peer = 3 - number;
    text.replace("{me}", &number.to_string())
        .replace("{peer}", &peer.to_string())
}

/// A tunnel between two networks of both families, at the host with this number.
pub(crate) const TUNNEL: &str = r#"
[[inside]]
device = "seal0"
addresses = ["10.{me}.0.1/24", "fd00:{me}::1/64"]
routes = ["10.{peer}.0.0/24", "fd00:{peer}::/64"]

[[outside]]
addresses = ["192.0.2.{me}", "2001:db8::{me}"]

[policy]
setkey = ["site.setkey"]

[daemon]
control = "control.sock"
"#;

/// SAs in both directions, the same at both ends.
pub(crate) const SAS: &str = "
add 192.0.2.1 192.0.2.2 esp 0x10001 -m tunnel
    -E aes-gcm-16 0x000102030405060708090a0b0c0d0e0f10111213;
add 192.0.2.2 192.0.2.1 esp 0x10002 -m tunnel
    -E aes-gcm-16 0x202122232425262728292a2b2c2d2e2f30313233;
";

/// The policies of [`TUNNEL`].
pub(crate) const POLICIES: &str = "
spdadd 10.{me}.0.0/24 10.{peer}.0.0/24 any -P out ipsec esp/tunnel/192.0.2.{me}-192.0.2.{peer}/require;
spdadd 10.{peer}.0.0/24 10.{me}.0.0/24 any -P in ipsec esp/tunnel/192.0.2.{peer}-192.0.2.{me}/require;
spdadd fd00:{me}::/64 fd00:{peer}::/64 any -P out ipsec esp/tunnel/192.0.2.{me}-192.0.2.{peer}/require;
spdadd fd00:{peer}::/64 fd00:{me}::/64 any -P in ipsec esp/tunnel/192.0.2.{peer}-192.0.2.{me}/require;
";

impl Host {
    /// Writes a file and says where.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// Starts the daemon with this configuration and script and waits until it is ready.
    pub(crate) fn up(&self, configuration: &str, script: &str) -> Daemon {
        self.write("site.setkey", script);
        let file = self.write("sealway.toml", configuration);
        let mut daemon = self.spawn(&file);
        daemon.wait_for("sealway: ready: ");
        daemon
    }

    /// Starts the daemon.
    pub(crate) fn spawn(&self, file: &Path) -> Daemon {
        let mut command = sealway();
        command.arg("up").arg(file);
        self.start(command)
    }

    /// Starts a command that is, or becomes, Sealway.
    pub(crate) fn start(&self, mut command: Command) -> Daemon {
        command.stderr(Stdio::piped());
        let mut child = self
            .namespace
            .run(move || process::die_with_us(&mut command).spawn().unwrap());
        let (told, lines) = mpsc::channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        thread::spawn(move || {
            stderr
                .lines()
                .map_while(Result::ok)
                .try_for_each(|line| told.send(line))
        });
        Daemon {
            child,
            lines,
            said: String::new(),
            control: self.directory.path().join("control.sock"),
        }
    }

    /// Runs `sealway up` that is expected to fail, and returns what it says.
    pub(crate) fn refused(&self, configuration: &str, script: &str) -> String {
        self.write("site.setkey", script);
        let file = self.write("sealway.toml", configuration);
        let mut daemon = self.spawn(&file);
        let status = daemon.wait();
        assert_eq!(status.code(), Some(1), "{}", daemon.said);
        let directory = self.directory.path().display().to_string() + "/";
        daemon.said.replace(&directory, "")
    }

    /// A socket of this host.
    pub(crate) fn socket(&self, address: &str) -> UdpSocket {
        let address: SocketAddr = address.parse().unwrap();
        let socket = self
            .namespace
            .run(move || UdpSocket::bind(address).unwrap());
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
    }

    /// Gives an interface one more address.
    pub(crate) fn add_address(&self, interface: &'static str, address: &str, prefix_length: u8) {
        let address = address.parse().unwrap();
        self.namespace.run(move || {
            let mut netlink = Netlink::open().unwrap();
            let interface = netlink.link(interface).unwrap().index;
            let address = Address {
                interface,
                address,
                prefix_length,
            };
            netlink.add_address(&address).unwrap();
        });
    }

    /// Routes an address by way of another host.
    pub(crate) fn add_route(&self, destination: &str, via: &str) {
        let route = Route {
            destination: destination.parse().unwrap(),
            prefix_length: 32,
            via: Some(via.parse().unwrap()),
            interface: None,
            source: None,
            metric: None,
        };
        self.namespace
            .run(move || Netlink::open().unwrap().add_route(&route).unwrap());
    }

    /// The names of this host's interfaces.
    pub(crate) fn interfaces(&self) -> Vec<String> {
        let links = self
            .namespace
            .run(|| Netlink::open().unwrap().links().unwrap());
        links.into_iter().map(|link| link.name).collect()
    }

    /// Prefixes that this host has routes to.
    pub(crate) fn routes(&self) -> Vec<IpAddr> {
        let routes = self
            .namespace
            .run(|| Netlink::open().unwrap().routes().unwrap());
        routes.into_iter().map(|route| route.destination).collect()
    }
}

/// A running `sealway up`.
pub(crate) struct Daemon {
    pub(crate) child: Child,
    lines: Receiver<String>,
    /// What it has said so far.
    pub(crate) said: String,
    pub(crate) control: PathBuf,
}

impl Daemon {
    /// Waits until it says something that contains `words`.
    pub(crate) fn wait_for(&mut self, words: &str) -> String {
        let end = Instant::now() + PATIENCE;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let Ok(line) = self.lines.recv_timeout(left) else {
                panic!("it did not say {words:?}, but: {}", self.said);
            };
            self.said += &format!("{line}\n");
            if line.contains(words) {
                return line;
            }
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id() as i32), signal).unwrap();
    }

    /// Waits until it has ended and said its last.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let status = self.child.wait().unwrap();
        while let Ok(line) = self.lines.recv_timeout(PATIENCE) {
            self.said += &format!("{line}\n");
        }
        status
    }

    /// `sealway setkey -c` with this script.
    pub(crate) fn setkey(&self, script: &str) -> Output {
        let file = self.control.with_extension("setkey");
        fs::write(&file, script).unwrap();
        self.run(&["setkey", "-f", file.to_str().unwrap()])
    }

    /// `sealway show WHAT --json`.
    pub(crate) fn show(&self, what: &str) -> Value {
        let output = self.run(&["show", what, "--json"]);
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// How many packets were dropped for this reason.
    pub(crate) fn dropped(&self, reason: &str) -> u64 {
        self.show("stats")["drops"][reason].as_u64().unwrap()
    }

    /// A command about this daemon.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        let mut command = sealway();
        command.args(arguments).arg("--control").arg(&self.control);
        command.stdin(Stdio::null()).output().unwrap()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn sealway() -> Command {
    Command::new(env!("CARGO_BIN_EXE_sealway"))
}

/// Sends until the other side has it, as first packets may be lost while neighbours are found.
pub(crate) fn exchange(from: &UdpSocket, to: &UdpSocket, octets: &[u8]) {
    to.set_read_timeout(Some(Duration::from_millis(200)))
        .unwrap();
    let mut buffer = vec![0; 65_536];
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        from.send_to(octets, to.local_addr().unwrap()).unwrap();
        if let Ok((length, source)) = to.recv_from(&mut buffer) {
            assert_eq!(&buffer[..length], octets);
            assert_eq!(source, from.local_addr().unwrap());
            return;
        }
    }
    panic!("nothing arrived at {}", to.local_addr().unwrap());
}

/// Sends once and makes sure that it does not arrive.
pub(crate) fn nothing_arrives(from: &UdpSocket, to: &UdpSocket) {
    to.set_read_timeout(Some(Duration::from_millis(300)))
        .unwrap();
    from.send_to(b"lost", to.local_addr().unwrap()).unwrap();
    let received = to.recv_from(&mut [0; 64]);
    assert!(received.is_err(), "{received:?}");
}

/// Standard output and error, the exit code 0.
pub(crate) fn done(output: &Output) -> String {
    let text = |octets: &[u8]| String::from_utf8(octets.to_vec()).unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

/// Waits until it is so.
pub(crate) fn until(is_so: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "it did not come to be so");
        thread::sleep(Duration::from_millis(10));
    }
}
