//! A gateway with a protected host behind it, its peer, and a stranger on the same link:
//!
//! ```text
//! inner 10.1.0.2 ── lan [left] veth ──┬── [right] 10.2.0.1
//!                  10.1.9.1 on seal0  └── [stranger] 192.0.2.3
//! ```

use std::process::Command;

use sealway_io::namespace::Namespace;

use crate::host::{Host, SAS, for_host};

pub(super) struct Site {
    pub(super) inner: Namespace,
    pub(super) left: Host,
    pub(super) right: Host,
    pub(super) stranger: Namespace,
    _link: Namespace,
}

/// What both gateways are told; the right one has no host behind it.
pub(super) const LEFT: &str = r#"
[[inside]]
device = "seal0"
addresses = ["10.1.9.1/24", "fd00:1:9::1/64"]
routes = ["10.2.0.0/24", "fd00:2::/64"]
interfaces = ["lan"]

[[outside]]
addresses = ["192.0.2.1", "2001:db8::1"]

[policy]
setkey = ["site.setkey"]

[daemon]
control = "control.sock"
"#;

pub(super) const RIGHT: &str = r#"
[[inside]]
device = "seal0"
addresses = ["10.2.0.1/24", "fd00:2::1/64"]
routes = ["10.1.0.0/16", "fd00:1::/32"]

[[outside]]
addresses = ["192.0.2.2", "2001:db8::2"]

[policy]
setkey = ["site.setkey"]

[daemon]
control = "control.sock"
"#;

/// SAs and policies of the gateway with this number.
pub(super) fn script(number: u8) -> String {
    let policies = "
spdadd {here4} {there4} any -P out ipsec esp/tunnel/192.0.2.{me}-192.0.2.{peer}/require;
spdadd {there4} {here4} any -P in ipsec esp/tunnel/192.0.2.{peer}-192.0.2.{me}/require;
spdadd {here6} {there6} any -P out ipsec esp/tunnel/192.0.2.{me}-192.0.2.{peer}/require;
spdadd {there6} {here6} any -P in ipsec esp/tunnel/192.0.2.{peer}-192.0.2.{me}/require;
";
    let mut networks = [
        ["10.1.0.0/16", "fd00:1::/32"],
        ["10.2.0.0/24", "fd00:2::/64"],
    ];
    if number == 2 {
        networks.reverse();
    }
    let [[here4, here6], [there4, there6]] = networks;
    let policies = policies
        .replace("{here4}", here4)
        .replace("{here6}", here6)
        .replace("{there4}", there4)
        .replace("{there6}", there6);
    SAS.to_owned() + &for_host(number, &policies)
}

impl Site {
    /// Everybody can reach everybody, and the left gateway's default route leads to the stranger.
    pub(super) fn new() -> Site {
        let namespace = || {
            Namespace::new().unwrap_or_else(|refused| panic!("these tests need root: {refused}"))
        };
        let host = || Host {
            namespace: namespace(),
            directory: tempfile::tempdir().unwrap(),
        };
        let (inner, link, stranger) = (namespace(), namespace(), namespace());
        let (left, right) = (host(), host());
        sh(
            &link,
            "ip link add name bridge type bridge; ip link set bridge up",
        );
        for (number, end) in [(1, &left.namespace), (2, &right.namespace), (3, &stranger)] {
            join(&link, &format!("port{number}"), end, "veth");
            sh(&link, &format!("ip link set port{number} master bridge up"));
            sh(
                end,
                &format!(
                    "ip addr add 192.0.2.{number}/24 dev veth
                     ip addr add 2001:db8::{number}/64 dev veth nodad
                     ip link set veth addrgenmode none up"
                ),
            );
        }
        join(&inner, "lan", &left.namespace, "lan");
        sh(
            &inner,
            "ip addr add 10.1.0.2/24 dev lan; ip addr add fd00:1::2/64 dev lan nodad
             ip link set lan addrgenmode none up
             ip route add default via 10.1.0.1; ip route add default via fd00:1::1",
        );
        sh(
            &left.namespace,
            "ip addr add 10.1.0.1/24 dev lan; ip addr add fd00:1::1/64 dev lan nodad
             ip link set lan addrgenmode none up
             ip route add default via 192.0.2.3; ip route add default via 2001:db8::3
             echo 1 > /proc/sys/net/ipv4/ip_forward
             echo 1 > /proc/sys/net/ipv6/conf/all/forwarding
             for file in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 0 > $file; done",
        );
        sh(
            &stranger,
            "ip route add 10.0.0.0/8 via 192.0.2.1; ip route add fd00::/8 via 2001:db8::1",
        );
        Site {
            inner,
            left,
            right,
            stranger,
            _link: link,
        }
    }
}

/// Makes a pair of interfaces between two namespaces.
fn join(here: &Namespace, name: &str, there: &Namespace, other: &str) {
    use std::os::fd::AsFd;
    let fd = there.fd().try_clone_to_owned().unwrap();
    let (name, other) = (name.to_owned(), other.to_owned());
    here.run(move || {
        let mut netlink = sealway_io::netlink::Netlink::open().unwrap();
        netlink.add_veth(&name, &other, Some(fd.as_fd())).unwrap();
    });
}

/// Runs a script of the shell in the namespace, and returns what it prints.
pub(super) fn sh(namespace: &Namespace, script: &str) -> String {
    let script = script.to_owned();
    let output = namespace.run(move || {
        let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
        let mut command = Command::new("sh");
        command.args(["-e", "-c", &script]).env("PATH", path);
        command.output().unwrap()
    });
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    String::from_utf8(output.stdout).unwrap()
}
