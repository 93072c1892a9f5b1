//! Packets through two daemons.

use std::net::SocketAddr;

use sealway_io::netlink::Netlink;
use serde_json::json;
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::host::{
    Host, POLICIES, SAS, TUNNEL, done, exchange, for_host, hosts, nothing_arrives, until,
};

fn script(number: u8) -> String {
    SAS.to_owned() + &for_host(number, POLICIES)
}

#[test]
fn a_tunnel_carries_both_families_and_counts() {
    let (left, right) = hosts();
    let (a, b) = (
        left.up(&for_host(1, TUNNEL), &script(1)),
        right.up(&for_host(2, TUNNEL), &script(2)),
    );
    for (here, there) in [
        ("10.1.0.1:4000", "10.2.0.1:4000"),
        ("[fd00:1::1]:4000", "[fd00:2::1]:4000"),
    ] {
        let (here, there) = (left.socket(here), right.socket(there));
        exchange(&here, &there, b"to the right");
        exchange(&there, &here, b"to the left");
        // More than the MTU: fragmented before the tunnel.
        exchange(&here, &there, &[7; 5000]);
    }
    let (sent, received) = (a.show("sa"), b.show("sa"));
    assert_eq!(sent[0]["spi"], 0x10001);
    assert_eq!(sent[0]["packets"], received[0]["packets"]);
    assert_eq!(sent[0]["bytes"], received[0]["bytes"]);
    assert!(sent[0]["packets"].as_u64().unwrap() >= 2 + 2 * 4);
    let stats = a.show("stats");
    for device in stats["devices"].as_object().unwrap() {
        assert_eq!(*device.1, json!(0), "{}", device.0);
    }
    assert_eq!(b.show("stats")["drops"]["integrity"], 0);
}

#[test]
fn a_port_that_the_kernel_chose_is_that_of_the_sas() {
    let (left, right) = hosts();
    let in_udp = |number| script(number).replace(" esp 0x", " esp-udp 0x");
    let configuration = for_host(1, TUNNEL).replace("\n[policy]", "port = 0\n\n[policy]");
    let a = left.up(&configuration, &in_udp(1));
    let port = a.show("device")[1]["port"].as_u64().unwrap();
    assert!(port != 0 && port != 4500);
    assert!(a.said.contains(&format!(" port {port}, ")), "{}", a.said);
    let encapsulation = &a.show("sa")[0]["encapsulation"];
    assert_eq!(*encapsulation, json!({"source": port, "destination": 4500}));
    let theirs = in_udp(2)
        .replace("192.0.2.1 192", &format!("192.0.2.1[{port}] 192"))
        .replace("192.0.2.1 esp", &format!("192.0.2.1[{port}] esp"));
    let _b = right.up(&for_host(2, TUNNEL), &theirs);
    let (here, there) = (left.socket("10.1.0.1:4000"), right.socket("10.2.0.1:4000"));
    exchange(&here, &there, b"from a port of the kernel's");
    exchange(&there, &here, b"to it");
    // What is read again means the same.
    let told = done(&a.run(&["reload", "--json"]));
    assert!(told.contains(r#""sas_kept":2"#), "{told}");
    exchange(&here, &there, b"still");
}

#[test]
fn transport_mode_between_the_outer_addresses_does_not_loop() {
    let configuration = TUNNEL
        .replace(r#""10.{me}.0.1/24", "fd00:{me}::1/64""#, "")
        .replace(
            r#""10.{peer}.0.0/24", "fd00:{peer}::/64""#,
            r#""192.0.2.{peer}/32", "2001:db8::{peer}/128""#,
        );
    let script = |number| {
        let sas = SAS.replace("tunnel", "transport");
        let six = SAS
            .replace("192.0.2.", "2001:db8::")
            .replace("tunnel", "transport")
            .replace("esp ", "esp-udp ");
        sas + &six
            + &for_host(
                number,
                "spdadd 192.0.2.{me} 192.0.2.{peer} udp -P out ipsec esp/transport;
             spdadd 192.0.2.{peer} 192.0.2.{me} udp -P in ipsec esp/transport;
             spdadd 2001:db8::{me} 2001:db8::{peer} udp -P out ipsec esp/transport;
             spdadd 2001:db8::{peer} 2001:db8::{me} udp -P in ipsec esp/transport;",
            )
    };
    let (left, right) = hosts();
    let a = left.up(&for_host(1, &configuration), &script(1));
    let _b = right.up(&for_host(2, &configuration), &script(2));
    for (here, there) in [
        ("192.0.2.1:4000", "192.0.2.2:4000"),
        ("[2001:db8::1]:4000", "[2001:db8::2]:4000"),
    ] {
        let (here, there) = (left.socket(here), right.socket(there));
        exchange(&here, &there, b"to the right");
        exchange(&there, &here, b"to the left");
        exchange(&here, &there, &[7; 5000]);
    }
    assert_eq!(a.dropped("loop"), 0);
    // Our own traffic, led back into the device in spite of everything.
    let stray = left.namespace.run(|| {
        let stray = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(50))).unwrap();
        let us: SocketAddr = "192.0.2.1:0".parse().unwrap();
        stray.bind(&us.into()).unwrap();
        stray
    });
    let peer: SocketAddr = "192.0.2.2:0".parse().unwrap();
    stray
        .send_to(b"ESP or not, it is ours", &peer.into())
        .unwrap();
    until(|| a.dropped("loop") == 1);
}

#[test]
fn bypassed_traffic_leaves_by_the_clear_device_and_comes_in_by_it() {
    let configuration = TUNNEL.replace("[policy]", "clear = \"clear0\"\n\n[policy]");
    let bypass = "
        spdadd 10.1.0.0/24 192.0.2.2 udp -P out none;
        spdadd 192.0.2.2 10.1.0.0/24 udp -P in none;";
    let (left, right) = hosts();
    let a = left.up(&for_host(1, &configuration), bypass);
    // Bound to a device, since no route leads into it.
    let (inside, outside) = (left.socket("10.1.0.1:4000"), left.socket("192.0.2.1:4000"));
    for (socket, device) in [(&inside, "seal0"), (&outside, "clear0")] {
        SockRef::from(socket)
            .bind_device(Some(device.as_bytes()))
            .unwrap();
    }
    exchange(
        &inside,
        &right.socket("192.0.2.2:4000"),
        b"out in the clear",
    );
    let delivered = || a.show("stats")["delivered"].as_u64().unwrap();
    let before = delivered();
    outside
        .send_to(b"no policy lets this in", "10.1.0.9:4000")
        .unwrap();
    until(|| a.dropped("no_policy_in") == 1);
    done(&a.setkey("spdadd 192.0.2.1 10.1.0.0/24 udp -P in none;"));
    outside
        .send_to(b"in in the clear", "10.1.0.9:4000")
        .unwrap();
    until(|| delivered() == before + 1);
}

#[test]
fn without_a_clear_device_bypassed_traffic_is_refused_and_counted() {
    let (left, right) = hosts();
    let script = for_host(1, "spdadd 10.{me}.0.0/24 10.{peer}.0.0/24 udp -P out none;");
    let a = left.up(&for_host(1, TUNNEL), &script);
    let _b = right.up(&for_host(2, TUNNEL), &for_host(2, POLICIES));
    let (here, there) = (left.socket("10.1.0.1:4000"), right.socket("10.2.0.1:4000"));
    nothing_arrives(&here, &there);
    assert_eq!(a.dropped("bypass_refused"), 1);
}

#[test]
fn a_link_that_shrinks_is_noticed_and_senders_are_told() {
    let (left, right) = hosts();
    let a = left.up(&for_host(1, TUNNEL), &script(1));
    let _b = right.up(&for_host(2, TUNNEL), &script(2));
    let (here, there) = (left.socket("10.1.0.1:4000"), right.socket("10.2.0.1:4000"));
    exchange(&here, &there, &[1; 1300]);
    assert_eq!(a.dropped("too_big"), 0);
    set_mtu(&left, 1300);
    exchange(&here, &there, &[2; 1300]);
    assert_eq!(a.dropped("too_big"), 1);
}

#[test]
fn a_link_that_nobody_told_of_is_found_by_what_does_not_fit() {
    // The outside's address is the loopback's: which interface packets leave by, and how large
    // they may be, only the routes know.
    let (left, right) = hosts();
    left.add_address("lo", "203.0.113.1", 32);
    right.add_address("lo", "203.0.113.2", 32);
    left.add_route("203.0.113.2", "192.0.2.2");
    right.add_route("203.0.113.1", "192.0.2.1");
    let elsewhere = |text: String| {
        text.replace("192.0.2.1", "203.0.113.1")
            .replace("192.0.2.2", "203.0.113.2")
            .replace(", \"2001:db8::1\"", "")
    };
    set_mtu(&left, 1300);
    let a = left.up(&elsewhere(for_host(1, TUNNEL)), &elsewhere(script(1)));
    let _b = right.up(&elsewhere(for_host(2, TUNNEL)), &elsewhere(script(2)));
    let (here, there) = (left.socket("10.1.0.1:4000"), right.socket("10.2.0.1:4000"));
    exchange(&here, &there, &[1; 1200]);
    exchange(&here, &there, &[2; 1300]);
    let stats = a.show("stats");
    assert_eq!(stats["devices"]["send_too_big"], 1, "{stats}");
    assert_eq!(stats["drops"]["too_big"], 1, "{stats}");
}

#[test]
fn keepalives_leave_where_nothing_else_does() {
    let (left, right) = hosts();
    let up = |host: &Host, number| {
        let configuration = TUNNEL.replace("\n[policy]", "keepalive = 1\n\n[policy]");
        let script = script(number).replace(" esp 0x", " esp-udp 0x");
        host.up(&for_host(number, &configuration), &script)
    };
    let (a, b) = (up(&left, 1), up(&right, 2));
    for daemon in [&a, &b] {
        until(|| {
            let devices = &daemon.show("stats")["devices"];
            let counted = |name: &str| devices[name].as_u64().unwrap();
            counted("keepalives") >= 2 && counted("keepalives_sent") >= 2
        });
        assert_eq!(
            daemon.show("stats")["received_outside"],
            0,
            "they are no packets"
        );
    }
}

fn set_mtu(host: &Host, mtu: u32) {
    host.namespace.run(move || {
        let mut netlink = Netlink::open().unwrap();
        let link = netlink.link("veth").unwrap().index;
        netlink.set_mtu(link, mtu).unwrap();
    });
}
