//! A router between two daemons, and the path behind it that shrinks and grows again while TCP
//! passes.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, sendto, socket,
};
use sealway_io::capture::Capture;
use sealway_io::namespace::Namespace;
use sealway_io::netlink::{Address, Netlink, Route, State};
use sealway_io::sysctl;
use sealway_wire::{icmp, ipv4, protocol, put};

use crate::host::{Daemon, Host, PATIENCE, POLICIES, SAS, TUNNEL, exchange, for_host, until};

/// The links on both sides of the router, in it and in the hosts.
const LINKS: [&str; 2] = ["left", "right"];

#[test]
fn tcp_goes_on_over_ipv4_while_the_path_shrinks_and_grows() {
    shrinks_and_grows(&|text| text);
}

#[test]
fn tcp_goes_on_over_ipv6_while_the_path_shrinks_and_grows() {
    shrinks_and_grows(&over_ipv6);
}

#[test]
fn tcp_goes_on_in_udp_over_ipv6_while_the_path_shrinks_and_grows() {
    shrinks_and_grows(&|text| over_ipv6(text).replace(" esp 0x", " esp-udp 0x"));
}

fn over_ipv6(text: String) -> String {
    text.replace("192.0.2.", "2001:db8:0:2::")
        .replace("198.51.100.", "2001:db8:0:100::")
}

#[test]
fn what_has_to_pass_a_path_below_the_minimum_of_ipv4_is_fragmented_on_it() {
    let (left, router, right) = network();
    let (_a, _b) = up_over_ipv4(&left, &right);
    set_mtu(&router, "right", 400);
    let (here, there) = (left.socket("10.1.0.1:4000"), right.socket("10.2.0.1:4000"));
    for octets in [200, 400, 450, 500] {
        exchange(&here, &there, &vec![7; octets]);
    }
}

#[test]
fn a_forged_report_is_disbelieved_unless_it_quotes_an_spi_of_ours() {
    let (left, router, right) = network();
    let (a, _b) = up_over_ipv4(&left, &right);
    let (here, there) = (left.socket("10.1.0.1:4000"), right.socket("10.2.0.1:4000"));
    let count = |name: &str| a.show("stats")["devices"][name].as_u64().unwrap();
    report_too_big(&router, 0x99999, 1000);
    until(|| count("too_big_disbelieved") == 1);
    exchange(&here, &there, &[1; 1200]);
    assert_eq!((count("too_big_heard"), a.dropped("too_big")), (0, 0));
    report_too_big(&router, 0x10001, 1000);
    until(|| count("too_big_heard") == 1);
    until(|| {
        let _ = here.send_to(&[2; 1200], there.local_addr().unwrap());
        a.dropped("too_big") > 0
    });
}

/// IPv4 outside, and both families inside.
fn up_over_ipv4(left: &Host, right: &Host) -> (Daemon, Daemon) {
    let up = |host: &Host, number| {
        let configuration = for_host(number, TUNNEL)
            .replace(", \"2001:db8::1\"", "")
            .replace(", \"2001:db8::2\"", "");
        let script = SAS.to_owned() + &for_host(number, POLICIES);
        host.up(&elsewhere(&configuration), &elsewhere(&script))
    };
    (up(left, 1), up(right, 2))
}

/// What anybody on the way can send to the left host: a report of a packet of this SPI.
fn report_too_big(router: &Host, spi: u32, mtu: u16) {
    let (source, destination) = (Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(198, 51, 100, 2));
    let mut quoted = [0; 1400];
    let mut header = ipv4::Header::new(source, destination, protocol::ESP, 1400);
    header.update_checksum();
    put(&mut quoted, 0, &header).unwrap();
    quoted[ipv4::HEADER..][..4].copy_from_slice(&spi.to_be_bytes());
    let answer = icmp::Answer {
        source: Ipv4Addr::new(192, 0, 2, 254),
        destination: source,
    };
    let mut report = [0; icmp::LONGEST_ERROR];
    let length = answer.too_big(&mut report, &quoted, mtu).unwrap();
    router.namespace.run(move || {
        let raw = socket(
            AddressFamily::Inet,
            SockType::Raw,
            SockFlag::empty(),
            SockProtocol::Icmp,
        )
        .unwrap();
        let to = SockaddrIn::new(192, 0, 2, 1, 0);
        let octets = &report[ipv4::HEADER..length];
        sendto(raw.as_raw_fd(), octets, &to, MsgFlags::empty()).unwrap();
    });
}

/// Both families inside; `family` writes the outside's addresses in its own way.
fn shrinks_and_grows(family: &dyn Fn(String) -> String) {
    let (left, router, right) = network();
    let [a, b] = [(&left, 1), (&right, 2)].map(|(host, number)| {
        let ours = |text: String| family(elsewhere(&text));
        let configuration = for_host(number, TUNNEL)
            .replace(", \"2001:db8::1\"", "")
            .replace(", \"2001:db8::2\"", "")
            .replace("\n[policy]", "mtu-expires = 1\n\n[policy]");
        let script = SAS.to_owned() + &for_host(number, POLICIES);
        host.up(&ours(configuration), &ours(script))
    });
    // The hosts' own memory of the paths inside.
    left.namespace.run(|| {
        sysctl::set("ipv4/route/mtu_expires", "1").unwrap();
        sysctl::set("ipv6/route/mtu_expires", "1").unwrap();
    });
    let transfers = [
        Transfer::start(&left, &right, "10.2.0.1:5000"),
        Transfer::start(&left, &right, "[fd00:2::1]:5000"),
    ];
    let all_go_on = || transfers.iter().for_each(Transfer::goes_on);
    all_go_on();
    assert_eq!(a.show("stats")["devices"]["too_big_heard"], 0);
    set_mtu(&router, "right", 1280);
    all_go_on();
    until(|| {
        a.show("stats")["devices"]["too_big_heard"]
            .as_u64()
            .unwrap()
            > 0
    });
    all_go_on();
    set_mtu(&router, "right", 1500);
    until_larger_packets_leave(&router, 1280);
    all_go_on();
    for daemon in [&a, &b] {
        let devices = &daemon.show("stats")["devices"];
        assert_eq!(devices["too_big_disbelieved"], 0, "{devices}");
        assert_eq!(devices["send_too_big"], 0, "{devices}");
    }
}

/// The right host's outside is behind the router.
pub(crate) fn elsewhere(text: &str) -> String {
    text.replace("192.0.2.2", "198.51.100.2")
}

/// A left host with 192.0.2.1 and 2001:db8:0:2::1, a router, and a right host with 198.51.100.2
/// and 2001:db8:0:100::2.
pub(crate) fn network() -> (Host, Host, Host) {
    let host = || Host {
        namespace: Namespace::new()
            .unwrap_or_else(|refused| panic!("these tests need root: {refused}")),
        directory: tempfile::tempdir().unwrap(),
    };
    let (left, router, right) = (host(), host(), host());
    for (name, host) in LINKS.into_iter().zip([&left, &right]) {
        let there = host.namespace.fd().try_clone_to_owned().unwrap();
        router.namespace.run(move || {
            let mut netlink = Netlink::open().unwrap();
            netlink.add_veth(name, name, Some(there.as_fd())).unwrap();
        });
    }
    give(&left, "left", &["192.0.2.1", "2001:db8:0:2::1"]);
    give(&right, "right", &["198.51.100.2", "2001:db8:0:100::2"]);
    // A router asks for its neighbours from its link-local address.
    let near = ["192.0.2.254", "2001:db8:0:2::fe", "fe80::fe"];
    give(&router, "left", &near);
    let far = ["198.51.100.254", "2001:db8:0:100::fe", "fe80::fe"];
    give(&router, "right", &far);
    router.namespace.run(|| {
        sysctl::set("ipv4/ip_forward", "1").unwrap();
        sysctl::set("ipv6/conf/all/forwarding", "1").unwrap();
    });
    route(&left, "198.51.100.0", 24, "192.0.2.254");
    route(&left, "2001:db8:0:100::", 64, "2001:db8:0:2::fe");
    route(&right, "192.0.2.0", 24, "198.51.100.254");
    route(&right, "2001:db8:0:2::", 64, "2001:db8:0:100::fe");
    (left, router, right)
}

pub(crate) fn give(host: &Host, link: &'static str, addresses: &[&str]) {
    let addresses: Vec<IpAddr> = addresses.iter().map(|text| text.parse().unwrap()).collect();
    host.namespace.run(move || {
        let mut netlink = Netlink::open().unwrap();
        let interface = netlink.link(link).unwrap().index;
        netlink.set_no_own_addresses(interface).unwrap();
        netlink.set_state(interface, State::Up).unwrap();
        for address in addresses {
            let address = Address {
                interface,
                address,
                prefix_length: if address.is_ipv4() { 24 } else { 64 },
            };
            netlink.add_address(&address).unwrap();
        }
    });
}

pub(crate) fn route(host: &Host, destination: &str, prefix_length: u8, via: &str) {
    let route = Route {
        destination: destination.parse().unwrap(),
        prefix_length,
        via: Some(via.parse().unwrap()),
        interface: None,
        source: None,
        metric: None,
    };
    host.namespace
        .run(move || Netlink::open().unwrap().add_route(&route).unwrap());
}

pub(crate) fn set_mtu(host: &Host, link: &'static str, mtu: u32) {
    host.namespace.run(move || {
        let mut netlink = Netlink::open().unwrap();
        let link = netlink.link(link).unwrap().index;
        netlink.set_mtu(link, mtu).unwrap();
    });
}

/// Waits until the router sends packets of more octets than these to the right.
fn until_larger_packets_leave(router: &Host, octets: usize) {
    let mut capture = router.namespace.run(|| {
        let link = Netlink::open().unwrap().link("right").unwrap().index;
        Capture::open(link, 1 << 20).unwrap()
    });
    let end = std::time::Instant::now() + PATIENCE;
    let ethernet = 14;
    loop {
        while let Some(frame) = capture.read().unwrap() {
            if frame.length > ethernet + octets {
                return;
            }
        }
        assert!(
            std::time::Instant::now() < end,
            "the path's growth was not found"
        );
        thread::sleep(Duration::from_millis(10));
    }
}

/// A TCP connection that never rests until it is dropped.
struct Transfer {
    received: Arc<AtomicU64>,
    /// The threads end when it is gone.
    wanted: Arc<()>,
}

/// Octets of a write, after which the writer takes a breath: others work here too.
const PORTION: usize = 16_384;

impl Transfer {
    fn start(from: &Host, to: &Host, address: &str) -> Transfer {
        let address: SocketAddr = address.parse().unwrap();
        let listener = to
            .namespace
            .run(move || TcpListener::bind(address).unwrap());
        let mut sender = from
            .namespace
            .run(move || TcpStream::connect_timeout(&address, PATIENCE).unwrap());
        let (mut receiver, _) = listener.accept().unwrap();
        receiver
            .set_read_timeout(Some(Duration::from_millis(100)))
            .unwrap();
        sender
            .set_write_timeout(Some(Duration::from_millis(100)))
            .unwrap();
        let transfer = Transfer {
            received: Arc::default(),
            wanted: Arc::default(),
        };
        let wanted = Arc::downgrade(&transfer.wanted);
        thread::spawn(move || {
            while wanted.strong_count() > 0 {
                if let Err(error) = sender.write(&[7; PORTION])
                    && is_broken(&error)
                {
                    break;
                }
                thread::sleep(Duration::from_millis(5));
            }
        });
        let wanted = Arc::downgrade(&transfer.wanted);
        let received = Arc::clone(&transfer.received);
        thread::spawn(move || {
            let mut buffer = [0; PORTION];
            while wanted.strong_count() > 0 {
                match receiver.read(&mut buffer) {
                    Ok(octets) => received.fetch_add(octets as u64, Relaxed),
                    Err(error) if is_broken(&error) => break,
                    Err(_) => continue,
                };
            }
        });
        transfer
    }

    /// Waits until much more has come.
    fn goes_on(&self) {
        let enough = self.received.load(Relaxed) + 40 * PORTION as u64;
        until(|| self.received.load(Relaxed) >= enough);
    }
}

/// A while without progress is nothing unusual.
fn is_broken(error: &std::io::Error) -> bool {
    !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
