//! Devices and interfaces that go away while packets pass, and come again.

use std::os::fd::AsFd;

use sealway_io::netlink::{Address, Netlink, State};
use socket2::SockRef;

use crate::host::{Daemon, Host, POLICIES, SAS, TUNNEL, done, exchange, for_host, hosts, until};

fn script(number: u8) -> String {
    SAS.to_owned() + &for_host(number, POLICIES)
}

fn remove(host: &Host, interface: &'static str) {
    host.namespace.run(move || {
        let mut netlink = Netlink::open().unwrap();
        let index = netlink.link(interface).unwrap().index;
        netlink.remove_link(index).unwrap();
    });
}

fn both_families(left: &Host, right: &Host) {
    for (here, there) in [
        ("10.1.0.1:4000", "10.2.0.1:4000"),
        ("[fd00:1::1]:4000", "[fd00:2::1]:4000"),
    ] {
        let (here, there) = (left.socket(here), right.socket(there));
        exchange(&here, &there, b"to the right");
        exchange(&there, &here, b"to the left");
    }
}

#[test]
fn an_inside_device_that_somebody_removes_is_made_again() {
    let (left, right) = hosts();
    let mut a = left.up(&for_host(1, TUNNEL), &script(1));
    let _b = right.up(&for_host(2, TUNNEL), &script(2));
    both_families(&left, &right);
    let device = a.show("device")[0].clone();
    for _ in 0..2 {
        remove(&left, "seal0");
        a.wait_for("somebody removed the device seal0: it is made again");
        a.wait_for("the device seal0 is there again");
        both_families(&left, &right);
        assert_eq!(a.show("device")[0], device);
    }
}

#[test]
fn of_two_devices_the_one_that_is_removed_is_made_again_and_the_other_stays() {
    let configuration = TUNNEL.replace("[policy]", "clear = \"clear0\"\n\n[policy]");
    let bypass = "
        spdadd 10.1.0.0/24 192.0.2.2 udp -P out none;
        spdadd 192.0.2.2 10.1.0.0/24 udp -P in none;";
    let (left, right) = hosts();
    let mut a = left.up(&for_host(1, &configuration), bypass);
    let passes = || {
        let inside = left.socket("10.1.0.1:4000");
        let socket = SockRef::from(&inside);
        socket.bind_device(Some(b"seal0")).unwrap();
        let there = right.socket("192.0.2.2:4000");
        exchange(&inside, &there, b"out in the clear");
    };
    passes();
    for device in ["clear0", "seal0", "clear0"] {
        remove(&left, device);
        a.wait_for(&format!("the device {device} is there again"));
        passes();
    }
}

#[test]
fn a_monitor_is_told_of_a_device_that_goes_and_comes() {
    use std::io::{BufRead, BufReader, Write};
    use std::os::unix::net::UnixStream;
    let (left, _right) = hosts();
    let a = left.up(&for_host(1, TUNNEL), &script(1));
    let mut stream = UnixStream::connect(&a.control).unwrap();
    stream
        .set_read_timeout(Some(crate::host::PATIENCE))
        .unwrap();
    stream.write_all(b"{\"op\":\"monitor\"}\n").unwrap();
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    assert!(lines.next().unwrap().contains("monitoring"));
    remove(&left, "seal0");
    let mut told = lines.filter(|line| line.contains(r#""event":"device""#));
    for state in ["gone", "back"] {
        let expected =
            format!(r#"{{"event":"device","device":"inside","name":"seal0","state":"{state}"}}"#);
        assert_eq!(told.next(), Some(expected));
    }
}

/// Joins the hosts again as [`hosts`] did.
fn join_again(left: &Host, right: &Host) {
    let there = right.namespace.fd().try_clone_to_owned().unwrap();
    left.namespace.run(move || {
        let mut netlink = Netlink::open().unwrap();
        let there = Some(there.as_fd());
        netlink.add_veth("veth", "veth", there).unwrap();
    });
    for (host, number) in [(left, 1), (right, 2)] {
        host.namespace.run(move || {
            let mut netlink = Netlink::open().unwrap();
            let interface = netlink.link("veth").unwrap().index;
            netlink.set_no_own_addresses(interface).unwrap();
            netlink.set_state(interface, State::Up).unwrap();
            for (text, prefix_length) in [
                (format!("192.0.2.{number}"), 24),
                (format!("2001:db8::{number}"), 64),
            ] {
                let address = Address {
                    interface,
                    address: text.parse().unwrap(),
                    prefix_length,
                };
                netlink.add_address(&address).unwrap();
            }
        });
    }
}

/// SAs and policies over IPv6, whose sockets are bound to an interface.
fn over_ipv6(text: &str) -> String {
    text.replace("192.0.2.", "2001:db8::")
}

#[test]
fn an_outside_interface_that_comes_back_carries_packets_again() {
    let in_udp = |number| script(number).replace(" esp 0x", " esp-udp 0x");
    for script in [&script as &dyn Fn(u8) -> String, &in_udp, &|number| {
        over_ipv6(&script(number))
    }] {
        let (left, right) = hosts();
        let mut a = left.up(&for_host(1, TUNNEL), &script(1));
        let b = right.up(&for_host(2, TUNNEL), &script(2));
        both_families(&left, &right);
        remove(&left, "veth");
        a.wait_for("192.0.2.1 of the outside is no address of this host");
        let here = left.socket("10.1.0.1:4000");
        here.send_to(b"lost", "10.2.0.1:4000").unwrap();
        let failed = |daemon: &Daemon| {
            let counts = daemon.show("stats")["devices"].clone();
            let names = ["send_unreachable", "send_not_ours", "send_failed"];
            names.iter().any(|name| counts[name].as_u64().unwrap() > 0)
        };
        until(|| failed(&a));
        drop(here);
        join_again(&left, &right);
        both_families(&left, &right);
        done(&a.run(&["show", "device"]));
        drop(b);
    }
}
