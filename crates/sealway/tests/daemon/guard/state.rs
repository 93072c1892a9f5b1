//! What `up` changes on the host, and that `down` and a signal change it back.

use std::process::Command;

use nix::sys::signal::Signal;
use sealway_io::namespace::Namespace;

use super::site::{LEFT, RIGHT, Site, script, sh};
use crate::host::{TUNNEL, done, exchange, for_host, hosts, sealway, until};

/// Everything on the host that a daemon might leave behind.
fn state(namespace: &Namespace) -> String {
    sh(
        namespace,
        "ip rule; ip -6 rule; ip route show table all; ip -6 route show table all | grep -v 'expires'
         nft list ruleset; ip -o link",
    )
}

/// Whether a line of the state is one of our rules, last resorts or chains.
fn is_rule(line: &str) -> bool {
    ["proto 94", "lookup ", "goto ", "chain "]
        .iter()
        .any(|words| line.contains(words))
        && !line.contains("table 94")
}

#[test]
fn a_signal_and_down_leave_the_host_as_it_was() {
    let site = Site::new();
    let configuration = LEFT.replace("[policy]", "clear = \"clear0\"\n[policy]");
    let before = state(&site.left.namespace);
    let file = site.left.write("sealway.toml", &configuration);
    let down = || {
        let mut command = sealway();
        command.arg("down").arg(&file);
        let output = site.left.namespace.run(move || command.output().unwrap());
        done(&output);
        String::from_utf8(output.stderr).unwrap()
    };
    let mut a = site.left.up(&configuration, &script(1));
    let guarded = state(&site.left.namespace);
    assert!(guarded.contains("table inet sealway-seal0"));
    assert!(
        guarded.contains("unreachable 10.2.0.0/24 proto 94 metric 4294967295"),
        "{guarded}"
    );
    a.signal(Signal::SIGTERM);
    assert!(a.wait().success(), "{}", a.said);
    assert_eq!(state(&site.left.namespace), before);

    let mut a = site.left.up(&configuration, &script(1));
    assert_eq!(down(), "");
    assert_eq!(state(&site.left.namespace), before);
    assert!(a.wait().success(), "{}", a.said);

    let mut a = site.left.up(&configuration, &script(1));
    a.signal(Signal::SIGKILL);
    a.wait();
    let left_behind = state(&site.left.namespace);
    assert!(left_behind.contains("table inet sealway-seal0"));
    assert!(left_behind.contains("unreachable 10.2.0.0/24 proto 94 metric 4294967295"));
    // Taken over: there are not two of anything, once it has followed the routes of its devices.
    let mut a = site.left.up(&configuration, &script(1));
    let rules = |text: &str| text.lines().filter(|line| is_rule(line)).count();
    assert_eq!(rules(&state(&site.left.namespace)), rules(&guarded));
    a.signal(Signal::SIGKILL);
    a.wait();
    assert_eq!(down(), "");
    assert_eq!(state(&site.left.namespace), before);
    assert!(!a.control.exists());
    assert!(down().contains("no daemon of this file is running"));
}

#[test]
fn a_guard_that_somebody_flushes_is_put_back() {
    let (left, _right) = hosts();
    let mut a = left.up(&for_host(1, TUNNEL), "");
    let guarded = state(&left.namespace);
    for _ in 0..2 {
        sh(&left.namespace, "nft flush ruleset");
        a.wait_for("somebody removed the guard from the packet filter: it is there again");
        assert_eq!(state(&left.namespace), guarded);
    }
    // Rules, too.
    sh(&left.namespace, "ip rule flush; ip -6 rule flush");
    until(|| {
        let rules = "ip rule show proto 94; ip -6 rule show proto 94";
        sh(&left.namespace, rules).lines().count() > 1
    });
}

#[test]
fn a_start_that_fails_leaves_the_guard_as_it_was() {
    let (left, _right) = hosts();
    let before = state(&left.namespace);
    let wrong = for_host(1, TUNNEL).replace("10.2.0.0/24", "192.0.2.0/24");
    left.refused(&wrong, "");
    assert_eq!(state(&left.namespace), before);
    // A second daemon for the same device does not touch the first one's.
    let _a = left.up(&for_host(1, TUNNEL), "");
    let guarded = state(&left.namespace);
    let other = for_host(1, TUNNEL)
        .replace("control.sock", "other.sock")
        .replace("[policy]", "port = 0\n[policy]");
    left.refused(&other, "");
    assert_eq!(state(&left.namespace), guarded);
}

#[test]
fn without_nft_it_says_what_to_install() {
    let (left, _right) = hosts();
    let file = left.write("sealway.toml", &for_host(1, TUNNEL));
    left.write("site.setkey", "");
    // Where root's programs are, there is nothing.
    let script =
        "mount -t tmpfs none /usr/sbin; mount -t tmpfs none /usr/local/sbin; exec \"$0\" \"$@\"";
    let output = left.namespace.run(move || {
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-e", "-c", script]);
        command
            .args([sealway().get_program(), "up".as_ref()])
            .arg(file);
        command.env("PATH", "/usr/bin:/bin").output().unwrap()
    });
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("install the package nftables"), "{said}");
}

#[test]
fn a_full_tunnel_reaches_its_peer_by_the_hosts_default_route() {
    let (left, right) = hosts();
    for (address, length) in [("203.0.113.2", 32), ("2001:db8:f::2", 128)] {
        right.add_address("lo", address, length);
    }
    sh(
        &left.namespace,
        "ip route add default via 192.0.2.2; ip route add default via 2001:db8::2",
    );
    let halves = r#"routes = ["0.0.0.0/1", "128.0.0.0/1", "::/1", "8000::/1"]"#;
    let here = for_host(1, TUNNEL).replace(r#"routes = ["10.2.0.0/24", "fd00:2::/64"]"#, halves);
    let there = RIGHT
        .replace("192.0.2.2", "203.0.113.2")
        .replace("2001:db8::2", "2001:db8:f::2")
        .replace("fd00:1::/32", "fd00:1::/64");
    let sas = "
add 192.0.2.1 203.0.113.2 esp 0x10001 -m tunnel
    -E aes-gcm-16 0x000102030405060708090a0b0c0d0e0f10111213;
add 203.0.113.2 192.0.2.1 esp 0x10002 -m tunnel
    -E aes-gcm-16 0x202122232425262728292a2b2c2d2e2f30313233;
add 2001:db8::1 2001:db8:f::2 esp-udp 0x10003 -m tunnel
    -E aes-gcm-16 0x404142434445464748494a4b4c4d4e4f50515253;
add 2001:db8:f::2 2001:db8::1 esp-udp 0x10004 -m tunnel
    -E aes-gcm-16 0x606162636465666768696a6b6c6d6e6f70717273;
spdadd 10.1.0.0/24 0.0.0.0/0 any -P {out} ipsec esp/tunnel/192.0.2.1-203.0.113.2/require;
spdadd 0.0.0.0/0 10.1.0.0/24 any -P {in} ipsec esp/tunnel/203.0.113.2-192.0.2.1/require;
spdadd fd00:1::/64 ::/0 any -P {out} ipsec esp/tunnel/2001:db8::1-2001:db8:f::2/require;
spdadd ::/0 fd00:1::/64 any -P {in} ipsec esp/tunnel/2001:db8:f::2-2001:db8::1/require;
";
    let _a = left.up(&here, &sas.replace("{out}", "out").replace("{in}", "in"));
    let _b = right.up(&there, &sas.replace("{out}", "in").replace("{in}", "out"));
    for (here, there) in [
        ("10.1.0.1:4000", "10.2.0.1:4000"),
        ("[fd00:1::1]:4000", "[fd00:2::1]:4000"),
    ] {
        let (here, there) = (left.socket(here), right.socket(there));
        exchange(&here, &there, b"to the right");
        exchange(&there, &here, b"to the left");
        exchange(&here, &there, &[7; 3000]);
    }
}
