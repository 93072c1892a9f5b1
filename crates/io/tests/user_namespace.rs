//! A process without any privilege enters a user namespace and has everything there. As root it
//! runs itself again as an ordinary user, by setpriv(1).
#![allow(clippy::unwrap_used)]

use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::{env, fs};

use sealway_io::namespace::{Namespace, Refused, unshare_user};
use sealway_io::netlink::{Netlink, State};
use sealway_io::sysctl;

const NAME: &str = "an_ordinary_user_has_links_and_namespaces_of_its_own";

fn main() {
    let arguments: Vec<String> = env::args().collect();
    let lists = arguments.iter().any(|argument| argument == "--list");
    let ignored = arguments.iter().any(|argument| argument == "--ignored");
    match () {
        () if lists && ignored => {}
        () if lists => println!("{NAME}: test"),
        () if nix::unistd::geteuid().is_root() => as_ordinary_user(),
        () => unprivileged(),
    }
}

fn as_ordinary_user() {
    // Where the test was built, the other user may not be able to look.
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let copy = directory.path().join("user_namespace");
    fs::copy(env::current_exe().unwrap(), &copy).unwrap();
    let status = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"])
        .arg(&copy)
        .status()
        .expect("setpriv (of util-linux) should be installed");
    assert!(status.success(), "{NAME}: {status}");
    println!("test {NAME} ... ok");
}

fn unprivileged() {
    unshare_user().unwrap_or_else(|refused| panic!("{refused}"));
    assert!(nix::unistd::geteuid().is_root());
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
