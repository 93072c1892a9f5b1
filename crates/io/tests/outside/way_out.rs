//! Which way packets leave, and what is refused.

use std::net::UdpSocket;
use std::os::fd::AsFd;

use crate::common::{ip, namespace, until};
use crate::{PORT, UDP, config, hosts, ipv4_packet, ipv6_packet, may_fragment, outer4, outer6};
use sealway_io::SendError;
use sealway_io::capture::Capture;
use sealway_io::namespace::Namespace;
use sealway_io::netlink::{Netlink, Route, State};
use sealway_io::outside::{Inlet, OpenError, Outside};
use sealway_io::tun::Tun;
use sealway_packet::{Egress, Encapsulation, Outer, Pool};

#[test]
fn a_port_is_ours_alone_and_a_port_of_another_is_in_use() {
    namespace().run(|| {
        let first = Outside::open(&config(&["127.0.0.1", "::1"], 0)).unwrap();
        let port = first.port();
        assert_ne!(port, 0);
        for addresses in [&["127.0.0.1"][..], &["::1"]] {
            let error = Outside::open(&config(addresses, port)).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!(
                    "UDP port {port} is in use by another program: \
                     stop it or choose another port"
                )
            );
        }
        for address in ["0.0.0.0", "127.0.0.1", "::", "::1"] {
            assert!(UdpSocket::bind((ip(address), port)).is_err(), "{address}");
        }
        drop(first);
        let other = UdpSocket::bind(("127.0.0.1", port)).unwrap();
        let error = Outside::open(&config(&["127.0.0.1"], port)).unwrap_err();
        assert!(
            matches!(error, OpenError::PortInUse(p) if p == port),
            "{error}"
        );
        drop(other);
        assert!(Outside::open(&config(&["::1", "127.0.0.1"], port)).is_ok());
        let error = Outside::open(&config(&[], port)).unwrap_err();
        assert!(matches!(error, OpenError::NoAddresses));
    });
}

#[test]
fn what_cannot_be_sent_has_a_reason_and_the_next_packet_passes() {
    let (left, right) = hosts(1500);
    let foreign4 = Outer {
        source: ip("192.0.2.77"),
        ..outer4(UDP)
    };
    let foreign6 = Outer {
        source: ip("2001:db8::77"),
        ..outer6(UDP)
    };
    for outer in [
        foreign4,
        may_fragment(foreign4),
        foreign6,
        may_fragment(foreign6),
    ] {
        for encapsulation in [UDP, Encapsulation::Esp] {
            let outer = Outer {
                encapsulation,
                ..outer
            };
            let error = left.send(Egress::Payload(outer), b"esp").unwrap_err();
            let refused = matches!(error, SendError::NotOurs | SendError::Unreachable);
            assert!(refused, "{outer:?}: {error}");
        }
    }
    let far = Outer {
        destination: ip("203.0.113.1"),
        ..outer4(UDP)
    };
    let error = left.send(Egress::Payload(far), b"esp").unwrap_err();
    assert!(matches!(error, SendError::Unreachable), "{error}");
    let source = PORT + 1;
    let port = Encapsulation::Udp {
        source,
        destination: PORT,
    };
    let mixed = Outer {
        destination: ip("2001:db8::2"),
        ..outer4(UDP)
    };
    for egress in [
        Egress::Payload(outer4(port)),
        Egress::Payload(outer4(Encapsulation::Ah)),
        Egress::Payload(mixed),
        Egress::Clear,
    ] {
        let error = left.send(egress, b"esp").unwrap_err();
        assert!(matches!(error, SendError::Unsupported(_)), "{error}");
    }
    left.send(Egress::Payload(outer4(UDP)), b"esp").unwrap();
    assert_eq!(right.receive_packet(Inlet::Udp4).train.packet(), b"esp");
}

#[test]
fn a_named_interface_escapes_the_route_into_our_own_device() {
    let (left, right) = hosts(1500);
    let tun = left.namespace.run(|| {
        let tun = Tun::open("seal0").unwrap();
        let mut netlink = Netlink::open().unwrap();
        netlink.set_state(tun.index(), State::Up).unwrap();
        for (destination, prefix_length) in [("192.0.2.2", 32), ("2001:db8::2", 128)] {
            let route = Route {
                destination: ip(destination),
                prefix_length,
                via: None,
                interface: Some(tun.index()),
                source: None,
                metric: None,
            };
            netlink.add_route(&route).unwrap();
        }
        tun
    });
    let pool = Pool::new(2, 2);
    for (inlet, outer) in [
        (Inlet::Udp4, outer4(UDP)),
        (Inlet::Esp4, outer4(Encapsulation::Esp)),
        (Inlet::Udp6, outer6(UDP)),
        (Inlet::Esp6, outer6(Encapsulation::Esp)),
    ] {
        left.send(Egress::Payload(outer), b"swallowed").unwrap();
        until(tun.as_fd(), || tun.read(&pool).unwrap());
        let interface = left.interface;
        for outer in [outer, may_fragment(outer)] {
            let outer = Outer { interface, ..outer };
            left.send(Egress::Payload(outer), b"escapes").unwrap();
            let packet = right.receive_packet(inlet);
            assert!(packet.train.packet().ends_with(b"escapes"));
        }
        assert!(tun.read(&pool).unwrap().is_none());
    }
    let interface = left.interface;
    let whole = Outer {
        interface,
        ..outer4(Encapsulation::Ah)
    };
    left.send(Egress::Whole(whole), &ipv4_packet(51, &[], b"ah"))
        .unwrap();
    right.receive_packet(Inlet::Ah4);
    let whole = Outer {
        interface,
        ..outer6(Encapsulation::Ah)
    };
    left.send(Egress::Whole(whole), &ipv6_packet(51, b"ah, eight"))
        .unwrap();
    right.receive_packet(Inlet::Ah6);
}

#[test]
fn more_interfaces_than_socket_sets_take_turns() {
    let (left, right) = hosts(1500);
    let others: Vec<u32> = left.namespace.run(|| {
        let mut netlink = Netlink::open().unwrap();
        (0..6)
            .map(|number| {
                let (name, peer) = (format!("other{number}"), format!("peer{number}"));
                netlink.add_veth(&name, &peer, None).unwrap();
                let index = netlink.link(&name).unwrap().index;
                netlink.set_state(index, State::Up).unwrap();
                index
            })
            .collect()
    });
    for interface in others {
        let outer = Outer {
            interface,
            ..outer6(UDP)
        };
        let error = left.send(Egress::Payload(outer), b"astray").unwrap_err();
        assert!(matches!(error, SendError::Unreachable), "{error}");
        let interface = left.interface;
        let outer = Outer {
            interface,
            ..outer6(UDP)
        };
        left.send(Egress::Payload(outer), b"home").unwrap();
        assert_eq!(right.receive_packet(Inlet::Udp6).train.packet(), b"home");
    }
    let outer = Outer {
        interface: 9999,
        ..outer6(UDP)
    };
    let error = left.send(Egress::Payload(outer), b"nowhere").unwrap_err();
    assert!(matches!(error, SendError::Unreachable), "{error}");
}

#[test]
fn without_capabilities_each_refusal_is_one_sentence() {
    let unprivileged = namespace();
    unprivileged.run(|| {
        // SAFETY: the call takes no pointers; unlike libc's function it concerns this thread only,
        // which runs nothing but this test.
        let done = unsafe { libc::syscall(libc::SYS_setresuid, 65_534, 65_534, 65_534) };
        assert_eq!(done, 0);
        let error = Outside::open(&config(&["127.0.0.1"], 0))
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            "raw sockets are refused: the capability CAP_NET_RAW is missing \
             (run as root, or grant it)"
        );
        let error = Tun::open("seal0").unwrap_err().to_string();
        assert!(error.contains("may not be"), "{error}");
        let error = Namespace::new().unwrap_err().to_string();
        assert!(
            error.starts_with("the kernel refuses a network namespace (EPERM)"),
            "{error}"
        );
        let mut netlink = Netlink::open().unwrap();
        let error = netlink.add_veth("a", "b", None).unwrap_err().to_string();
        assert!(
            error.ends_with("the capability CAP_NET_ADMIN is missing"),
            "{error}"
        );
        assert!(Capture::open(1, 1 << 16).is_err());
    });
}
