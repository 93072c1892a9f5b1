//! Links, addresses, routes and namespaces against the running kernel. Needs root.
#![allow(clippy::unwrap_used)]

mod common;

use std::io::{BufRead, BufReader};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::{ip, joined, namespace};
use sealway_io::netlink::{Address, Change, Monitor, Netlink, Route, State};
use sealway_io::{process, sysctl};

fn address(interface: u32, text: &str, prefix_length: u8) -> Address {
    Address {
        interface,
        address: ip(text),
        prefix_length,
    }
}

fn route(destination: &str, prefix_length: u8) -> Route {
    Route {
        destination: ip(destination),
        prefix_length,
        via: None,
        interface: None,
        source: None,
        metric: None,
    }
}

#[test]
fn a_new_namespace_has_only_a_loopback_and_that_is_up() {
    let links = namespace().run(|| Netlink::open().unwrap().links().unwrap());
    let named: Vec<_> = links.iter().map(|l| (l.name.as_str(), l.state)).collect();
    assert_eq!(named, [("lo", State::Up)]);
}

#[test]
fn a_veth_pair_spans_two_namespaces_and_goes_as_one() {
    let (left, right) = joined(1500);
    let b = right.run(|| Netlink::open().unwrap().link("veth").unwrap());
    assert_eq!((b.mtu, b.state), (1500, State::Up));
    left.run(|| {
        let mut netlink = Netlink::open().unwrap();
        let a = netlink.link("veth").unwrap().index;
        netlink.set_mtu(a, 1400).unwrap();
        assert_eq!(netlink.link_by_index(a).unwrap().mtu, 1400);
        netlink.set_state(a, State::Down).unwrap();
        assert_eq!(netlink.link_by_index(a).unwrap().state, State::Down);
        netlink.remove_link(a).unwrap();
    });
    let error = right.run(|| Netlink::open().unwrap().link("veth").unwrap_err());
    assert_eq!(error.errno, libc::ENODEV);
}

#[test]
fn a_link_can_be_moved_to_another_namespace() {
    let (left, right) = (namespace(), namespace());
    let there = right.fd().try_clone_to_owned().unwrap();
    left.run(move || {
        let mut netlink = Netlink::open().unwrap();
        netlink.add_veth("a", "b", None).unwrap();
        let b = netlink.link("b").unwrap().index;
        netlink.move_link(b, there.as_fd()).unwrap();
        assert!(netlink.link("b").is_err());
    });
    right.run(|| Netlink::open().unwrap().link("b").unwrap());
}

#[test]
fn addresses_of_both_families_are_added_listed_and_removed() {
    let (left, _right) = joined(1500);
    left.run(|| {
        let mut netlink = Netlink::open().unwrap();
        let a = netlink.link("veth").unwrap().index;
        for wanted in [
            address(a, "198.51.100.1", 24),
            address(a, "2001:db8:1::1", 64),
        ] {
            netlink.add_address(&wanted).unwrap();
            assert!(netlink.addresses().unwrap().contains(&wanted));
            assert!(std::net::UdpSocket::bind((wanted.address, 0)).is_ok());
            let error = netlink.add_address(&wanted).unwrap_err();
            assert_eq!(error.errno, libc::EEXIST);
            netlink.remove_address(&wanted).unwrap();
            assert!(!netlink.addresses().unwrap().contains(&wanted));
            let error = netlink.remove_address(&wanted).unwrap_err();
            assert_eq!(error.errno, libc::EADDRNOTAVAIL);
        }
    });
}

#[test]
fn a_link_told_so_makes_no_address_for_itself() {
    let modes = namespace().run(|| {
        let mut netlink = Netlink::open().unwrap();
        netlink.add_veth("a", "b", None).unwrap();
        let a = netlink.link("a").unwrap().index;
        netlink.set_no_own_addresses(a).unwrap();
        ["a", "b"].map(|name| sysctl::read(&format!("ipv6/conf/{name}/addr_gen_mode")).unwrap())
    });
    assert_eq!(modes, ["1", "0"], "1 is none, 0 the kernel's default");
}

#[test]
fn routes_are_added_replaced_looked_up_and_removed() {
    let (left, _right) = joined(1500);
    left.run(|| {
        let mut netlink = Netlink::open().unwrap();
        let a = netlink.link("veth").unwrap().index;
        netlink
            .add_address(&address(a, "198.51.100.1", 24))
            .unwrap();
        netlink
            .add_address(&address(a, "2001:db8:1::1", 64))
            .unwrap();
        for (to, length, via, other, inside, source) in [
            (
                "10.2.0.0",
                16,
                "198.51.100.2",
                "198.51.100.3",
                "10.2.3.4",
                "198.51.100.1",
            ),
            (
                "fd00:2::",
                48,
                "2001:db8:1::2",
                "2001:db8:1::3",
                "fd00:2::9",
                "2001:db8:1::1",
            ),
            (
                "0.0.0.0",
                0,
                "198.51.100.2",
                "198.51.100.3",
                "8.8.8.8",
                "198.51.100.1",
            ),
            (
                "::",
                0,
                "2001:db8:1::2",
                "2001:db8:1::3",
                "2620::1",
                "2001:db8:1::1",
            ),
        ] {
            let mut wanted = Route {
                via: Some(ip(via)),
                interface: Some(a),
                metric: Some(7),
                source: Some(ip(source)),
                ..route(to, length)
            };
            netlink.add_route(&wanted).unwrap();
            assert!(netlink.routes().unwrap().contains(&wanted), "{wanted}");
            assert_eq!(netlink.add_route(&wanted).unwrap_err().errno, libc::EEXIST);
            wanted.via = Some(ip(other));
            netlink.replace_route(&wanted).unwrap();
            let routes = netlink.routes().unwrap();
            let same = routes
                .iter()
                .filter(|r| r.destination == ip(to) && r.prefix_length == length);
            assert_eq!(same.collect::<Vec<_>>(), [&wanted]);
            let taken = netlink.route_to(ip(inside), None, None).unwrap();
            assert_eq!((taken.via, taken.interface), (Some(ip(other)), Some(a)));
            assert_eq!(taken.source, Some(ip(source)));
            netlink.remove_route(&wanted).unwrap();
            assert!(!netlink.routes().unwrap().contains(&wanted));
            assert!(netlink.route_to(ip(inside), None, None).is_err());
        }
        let on_link = Route {
            interface: Some(a),
            ..route("10.9.0.0", 16)
        };
        netlink.add_route(&on_link).unwrap();
        assert_eq!(
            netlink.route_to(ip("10.9.1.1"), None, None).unwrap().via,
            None
        );
        netlink.remove_route(&on_link).unwrap();
    });
}

#[test]
fn an_error_is_one_sentence_with_the_kernels_reason() {
    namespace().run(|| {
        let mut netlink = Netlink::open().unwrap();
        let error = netlink.link("seal9").unwrap_err().to_string();
        assert_eq!(
            error,
            "cannot find the interface seal9: No such device (ENODEV)"
        );
        let nowhere = Route {
            via: Some(ip("198.51.100.9")),
            ..route("10.0.0.0", 8)
        };
        let error = netlink.add_route(&nowhere).unwrap_err().to_string();
        assert!(
            error.starts_with("cannot add the route to 10.0.0.0/8 via 198.51.100.9: Network"),
            "{error}"
        );
        assert!(error.ends_with("gateway"), "{error}");
    });
}

#[test]
fn a_monitor_reports_what_changes() {
    let (left, _right) = joined(1500);
    let (wanted, changes) = left.run(|| {
        let mut monitor = Monitor::open().unwrap();
        let mut netlink = Netlink::open().unwrap();
        let a = netlink.link("veth").unwrap().index;
        let wanted = address(a, "198.51.100.1", 24);
        netlink.add_address(&wanted).unwrap();
        let far = Route {
            via: Some(ip("198.51.100.2")),
            interface: Some(a),
            ..route("10.0.0.0", 8)
        };
        netlink.add_route(&far).unwrap();
        netlink.remove_route(&far).unwrap();
        netlink.set_mtu(a, 1300).unwrap();
        netlink.remove_address(&wanted).unwrap();
        ((wanted, far), monitor.changes().unwrap())
    });
    assert!(changes.contains(&Change::Address(wanted.0)), "{changes:?}");
    assert!(changes.contains(&Change::AddressGone(wanted.0)));
    assert!(changes.contains(&Change::Route(wanted.1)));
    assert!(changes.contains(&Change::RouteGone(wanted.1)));
    assert!(
        changes
            .iter()
            .any(|c| matches!(c, Change::Link(link) if link.mtu == 1300))
    );
}

#[test]
fn switches_belong_to_the_namespace() {
    let inside = namespace();
    inside.run(|| sysctl::set("ipv4/ip_forward", "1").unwrap());
    assert_eq!(inside.run(|| sysctl::read("ipv4/ip_forward").unwrap()), "1");
    assert_eq!(
        namespace().run(|| sysctl::read("ipv4/ip_forward").unwrap()),
        "0"
    );
    let error = sysctl::set("ipv4/no_such", "1").unwrap_err().to_string();
    assert!(error.starts_with("the switch net/ipv4/no_such could not be set: "));
}

#[test]
fn a_child_lives_in_the_namespace_and_dies_with_its_thread() {
    let inside = namespace();
    let mut child = inside.run(|| {
        let mut sleep = Command::new("sleep");
        process::die_with_us(sleep.arg("1000")).spawn().unwrap()
    });
    let own = std::fs::read_link(format!("/proc/{}/ns/net", child.id())).unwrap();
    let namespace = inside.run(|| std::fs::read_link("/proc/thread-self/ns/net").unwrap());
    assert_eq!(own, namespace);
    assert!(child.try_wait().unwrap().is_none());
    drop(inside);
    let status = child.wait().unwrap();
    assert_eq!(
        std::os::unix::process::ExitStatusExt::signal(&status),
        Some(libc::SIGKILL)
    );
}

#[test]
fn a_panic_in_the_namespace_is_the_callers_and_the_thread_lives_on() {
    let inside = namespace();
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        inside.run(|| panic!("as arranged"))
    }));
    assert!(result.is_err());
    assert_eq!(inside.run(|| 7), 7);
}

/// Set for the process that [`a_killed_process_leaves_nothing`] kills.
const TO_BE_KILLED: &str = "SEALWAY_TEST_TO_BE_KILLED";

#[test]
fn a_killed_process_leaves_nothing() {
    if std::env::var_os(TO_BE_KILLED).is_some() {
        let inside = namespace();
        let child = inside.run(|| {
            let mut sleep = Command::new("sleep");
            process::die_with_us(sleep.arg("1000"))
                .spawn()
                .unwrap()
                .id()
        });
        println!("child {child}.");
        std::thread::sleep(Duration::from_secs(60));
        return;
    }
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_killed_process_leaves_nothing", "--nocapture"])
        .env(TO_BE_KILLED, "")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(victim.stdout.take().unwrap()).lines();
    let child: u32 = lines
        .map_while(Result::ok)
        .find_map(|line| line.split_once("child ")?.1.strip_suffix('.')?.parse().ok())
        .unwrap();
    assert!(Path::new(&format!("/proc/{child}")).exists());
    victim.kill().unwrap();
    victim.wait().unwrap();
    let gone = || match std::fs::read_to_string(format!("/proc/{child}/stat")) {
        // Whoever inherits the child may take its time to bury it.
        Ok(stat) => stat.contains(") Z "),
        Err(_) => true,
    };
    let end = Instant::now() + Duration::from_secs(5);
    while !gone() {
        assert!(Instant::now() < end, "the child outlives the process");
        std::thread::sleep(Duration::from_millis(5));
    }
}
