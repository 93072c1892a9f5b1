//! A process without any privilege enters a user namespace and has everything there. As root it
//! runs itself again as an ordinary user, by setpriv(1).
#![allow(clippy::unwrap_used)]

use std::net::UdpSocket;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::{env, fs};

use nix::unistd::{getegid, geteuid};
use sealway_io::mount;
use sealway_io::namespace::{Namespace, Refused, Right, leave_host, unshare_user};
use sealway_io::netlink::{Netlink, State};
use sealway_io::sysctl;

/// Each in a process of its own.
const TESTS: [(&str, fn()); 2] = [
    (
        "an_ordinary_user_has_links_and_namespaces_of_its_own",
        has_links_and_namespaces,
    ),
    (
        "an_ordinary_user_leaves_the_host_and_stays_who_it_is",
        leaves_the_host,
    ),
];

fn main() {
    let arguments: Vec<String> = env::args().collect();
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    let asked = |name: &str| match arguments.iter().skip(1).find(|a| !a.starts_with('-')) {
        Some(filter) => name.contains(filter.as_str()),
        None => true,
    };
    if has("--list") {
        let names = TESTS.iter().filter(|_| !has("--ignored"));
        names.for_each(|(name, _)| println!("{name}: test"));
        return;
    }
    for (name, test) in TESTS.iter().filter(|(name, _)| asked(name)) {
        match geteuid().is_root() {
            true => as_ordinary_user(name),
            false => test(),
        }
    }
}

fn as_ordinary_user(name: &str) {
    // Where the test was built, the other user may not be able to look.
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let copy = directory.path().join("user_namespace");
    fs::copy(env::current_exe().unwrap(), &copy).unwrap();
    let status = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"])
        .arg(&copy)
        .arg(name)
        .status()
        .expect("setpriv (of util-linux) should be installed");
    assert!(status.success(), "{name}: {status}");
    println!("test {name} ... ok");
}

fn has_links_and_namespaces() {
    unshare_user().unwrap_or_else(|refused| panic!("{refused}"));
    assert!(geteuid().is_root());
    let mut netlink = Netlink::open().unwrap();
    assert_eq!(netlink.link("lo").unwrap().state, State::Up);
    netlink.add_veth("a", "b", None).unwrap();
    sysctl::set("ipv4/ip_forward", "1").unwrap();
    let inner = Namespace::new().unwrap();
    let b = netlink.link("b").unwrap().index;
    netlink.move_link(b, inner.fd()).unwrap();
    inner.run(|| Netlink::open().unwrap().link("b").unwrap());
    let error = unshare_user().unwrap_err();
    assert!(matches!(error, Refused::Threads), "{error}");
}

fn leaves_the_host() {
    let before = (geteuid(), getegid());
    let mut host = Netlink::open().unwrap();
    let links = host.links().unwrap();
    let stays = UdpSocket::bind("127.0.0.1:0").unwrap();
    assert_eq!(leave_host().unwrap(), Right::UserNamespace);
    assert_eq!((geteuid(), getegid()), before);
    let mut inside = Netlink::open().unwrap();
    assert_eq!(inside.link("lo").unwrap().state, State::Up);
    assert_eq!(inside.links().unwrap().len(), 1);
    inside.add_veth("a", "b", None).unwrap();
    // What was opened before is where it was.
    assert_eq!(host.links().unwrap(), links);
    let address = stays.local_addr().unwrap();
    assert!(UdpSocket::bind(address).is_ok());
    // A file is covered, and what covers it may go.
    let cover = tempfile::NamedTempFile::new().unwrap();
    fs::write(cover.path(), "covered").unwrap();
    mount::cover(Path::new("/etc/passwd"), cover.path()).unwrap();
    drop(cover);
    assert_eq!(fs::read_to_string("/etc/passwd").unwrap(), "covered");
    // What is executed has no rights.
    let status = Command::new("cat").arg("/proc/self/status").output();
    let status = String::from_utf8(status.unwrap().stdout).unwrap();
    assert!(status.contains("CapEff:\t0000000000000000"), "{status}");
}
