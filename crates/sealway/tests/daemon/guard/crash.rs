//! A daemon that is killed while it carries traffic.

use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use sealway_io::capture::{Capture, Direction};
use sealway_io::namespace::Namespace;
use sealway_io::netlink::Netlink;

use super::site::{LEFT, RIGHT, Site, script, sh};
use crate::host::exchange;

/// How long nothing may leak: `SEALWAY_GUARD_SECONDS`, else two seconds.
fn vigil() -> Duration {
    let seconds = std::env::var("SEALWAY_GUARD_SECONDS").ok();
    let seconds = seconds.and_then(|text| text.parse().ok()).unwrap_or(2);
    Duration::from_secs(seconds)
}

#[test]
fn after_a_kill_nothing_of_the_inside_leaves_and_after_a_restart_the_transfer_goes_on() {
    let site = Site::new();
    let mut a = site.left.up(LEFT, &script(1));
    let mut b = site.right.up(RIGHT, &script(2));
    let mut capture = capture(&site.left.namespace, "veth");
    let pairs = [
        ("10.1.0.2:5000", "10.2.0.1:5000"),
        ("[fd00:1::2]:5000", "[fd00:2::1]:5000"),
    ];
    let inner = pairs.map(|(here, there)| {
        let here: std::net::SocketAddr = here.parse().unwrap();
        let socket = site.inner.run(move || UdpSocket::bind(here).unwrap());
        (socket, site.right.socket(there))
    });
    // The gateway's own, bound to what its device had.
    let own = (
        site.left.socket("10.1.9.1:5001"),
        site.right.socket("10.2.0.1:5001"),
    );
    let transfers = || inner.iter().chain([&own]);
    for (here, there) in transfers() {
        exchange(here, there, b"before");
    }
    let stop = Arc::new(AtomicBool::new(false));
    let senders: Vec<_> = transfers()
        .map(|(here, there)| {
            let (socket, to) = (here.try_clone().unwrap(), there.local_addr().unwrap());
            let stop = Arc::clone(&stop);
            thread::spawn(move || {
                let mut tried = 0u64;
                while !stop.load(Ordering::Relaxed) {
                    // Unreachable, refused: as it should be.
                    let _ = socket.send_to(&[0xaa; 512], to);
                    tried += 1;
                    thread::sleep(Duration::from_millis(1));
                }
                tried
            })
        })
        .collect();
    thread::sleep(Duration::from_millis(200));
    a.signal(Signal::SIGKILL);
    a.wait();
    let killed = Instant::now();
    let (clear, esp) = count(&mut capture);
    assert_eq!(clear, 0);
    assert!(esp > 0, "the transfer was under way");
    let mut clear = 0;
    while killed.elapsed() < vigil() {
        thread::sleep(Duration::from_millis(50));
        clear += count(&mut capture).0;
    }
    assert_eq!(clear, 0);
    // The guard does without its routes, too, as when an administrator flushes them.
    sh(
        &site.left.namespace,
        "ip route flush table main type unreachable; ip -6 route flush table main type unreachable",
    );
    thread::sleep(Duration::from_millis(300));
    assert_eq!(count(&mut capture).0, 0);
    stop.store(true, Ordering::Relaxed);
    for sender in senders {
        assert!(sender.join().unwrap() > 100);
    }
    // Without a state directory the peer takes the restarted sender's first packets for replays.
    b.signal(Signal::SIGTERM);
    b.wait();
    let _a = site.left.up(LEFT, &script(1));
    let _b = site.right.up(RIGHT, &script(2));
    for (here, there) in inner.iter() {
        drain(there);
        exchange(here, there, b"and after");
    }
    assert_eq!(count(&mut capture).0, 0);
}

#[test]
fn without_the_guard_a_kill_lets_the_inside_out() {
    let site = Site::new();
    let mut a = site
        .left
        .up(&(LEFT.to_owned() + "guard = false\n"), &script(1));
    let mut capture = capture(&site.left.namespace, "veth");
    a.signal(Signal::SIGKILL);
    a.wait();
    let socket = site.inner.run(|| UdpSocket::bind("10.1.0.2:5000").unwrap());
    let end = Instant::now() + crate::host::PATIENCE;
    while count(&mut capture).0 == 0 {
        assert!(Instant::now() < end, "the test above would see nothing");
        socket
            .send_to(b"by the default route", "10.2.0.1:5000")
            .unwrap();
        thread::sleep(Duration::from_millis(20));
    }
}

fn capture(namespace: &Namespace, interface: &'static str) -> Capture {
    namespace.run(move || {
        let index = Netlink::open().unwrap().link(interface).unwrap().index;
        Capture::open(index, 8 << 20).unwrap()
    })
}

/// Frames since the last count: those that show an inside address, and those with ESP.
fn count(capture: &mut Capture) -> (u64, u64) {
    let (mut clear, mut esp) = (0, 0);
    while let Some(frame) = capture.read().unwrap() {
        let Some(packet) = frame.octets.get(14..) else {
            continue;
        };
        if frame.direction != Direction::Out {
            continue;
        }
        let (addresses, protocol): ([&[u8]; 2], u8) = match frame.octets[12..14] {
            [0x08, 0x00] => ([&packet[12..16], &packet[16..20]], packet[9]),
            [0x86, 0xdd] => ([&packet[8..24], &packet[24..40]], packet[6]),
            _ => continue,
        };
        let is_inside = |address: &&[u8]| matches!(address[..2], [10, 1 | 2] | [0xfd, 0]);
        clear += u64::from(addresses.iter().any(is_inside));
        esp += u64::from(protocol == 50);
    }
    (clear, esp)
}

/// Forgets what waits.
fn drain(socket: &UdpSocket) {
    socket.set_nonblocking(true).unwrap();
    while socket.recv_from(&mut [0; 2048]).is_ok() {}
    socket.set_nonblocking(false).unwrap();
}
