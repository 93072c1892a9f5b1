//! Killed in mid-transfer and started again, with a state directory; an eavesdropper who sends
//! everything again.

use std::cell::Cell;
use std::collections::HashSet;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::sys::signal::Signal;
use sealway_wire::protocol;
use socket2::{Domain, Protocol, Socket, Type};

use crate::host::{Host, POLICIES, SAS, TUNNEL, done, for_host, hosts, until};

pub(crate) fn configuration(number: u8) -> String {
    for_host(number, TUNNEL) + "state = \"state\"\n"
}

pub(crate) fn script(number: u8) -> String {
    SAS.to_owned() + &for_host(number, POLICIES)
}

/// A socket of a host for ESP.
fn esp(host: &Host) -> Socket {
    let socket = host.namespace.run(|| {
        let protocol = Protocol::from(i32::from(protocol::ESP));
        Socket::new(Domain::IPV4, Type::RAW, Some(protocol)).unwrap()
    });
    socket
        .set_read_timeout(Some(Duration::from_millis(100)))
        .unwrap();
    socket
}

/// Something that goes on until it is stopped.
pub(crate) struct Running<T> {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<T>,
}

impl<T: Send + 'static> Running<T> {
    fn start(go_on: impl FnOnce(&AtomicBool) -> T + Send + 'static) -> Running<T> {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let thread = thread::spawn(move || go_on(&told));
        Running { stop, thread }
    }

    pub(crate) fn stop(self) -> T {
        self.stop.store(true, Relaxed);
        self.thread.join().unwrap()
    }
}

/// What an eavesdropper sees of ESP on its way to the right host: from the ESP header on.
pub(crate) fn eavesdrop(right: &Host) -> Running<Vec<Vec<u8>>> {
    let mut socket = esp(right);
    Running::start(move |stop| {
        use std::io::Read;
        let (mut seen, mut buffer) = (Vec::new(), [0; 2048]);
        while !stop.load(Relaxed) {
            if let Ok(octets) = socket.read(&mut buffer) {
                seen.push(buffer[20..octets].to_vec());
            }
        }
        seen
    })
}

/// Sends what was recorded on its way to the right host.
pub(crate) fn send_again(left: &Host, recorded: &[Vec<u8>]) {
    let attacker = esp(left);
    let target: SocketAddr = "192.0.2.2:0".parse().unwrap();
    for packet in recorded {
        attacker.send_to(packet, &target.into()).unwrap();
        // No faster than the daemon reads.
        thread::sleep(Duration::from_micros(200));
    }
}

/// Datagrams from the left inside to the right one, without a pause.
fn transfer(left: &Host) -> Running<()> {
    let socket = left.socket("0.0.0.0:4000");
    Running::start(move |stop| {
        while !stop.load(Relaxed) {
            // While the daemon is away there is no route.
            let _ = socket.send_to(&[7; 200], "10.2.0.1:4000");
            thread::sleep(Duration::from_millis(1));
        }
    })
}

/// Waits until so many datagrams have come, counted from now.
fn receive(socket: &UdpSocket, count: usize) {
    socket.set_nonblocking(true).unwrap();
    while socket.recv(&mut [0; 2048]).is_ok() {}
    socket.set_nonblocking(false).unwrap();
    for _ in 0..count {
        socket.recv(&mut [0; 2048]).unwrap();
    }
}

#[test]
fn a_killed_receiver_goes_on_and_accepts_nothing_that_was_recorded_before() {
    let (left, right) = hosts();
    let _a = left.up(&configuration(1), &script(1));
    let mut b = right.up(&configuration(2), &script(2));
    let there = right.socket("0.0.0.0:4000");
    let (eavesdropper, transfer) = (eavesdrop(&right), transfer(&left));
    receive(&there, 300);
    let recorded = eavesdropper.stop();
    assert!(recorded.len() >= 300);
    // What it has not accepted itself it may accept later, once.
    let number = |packet: &[u8]| u32::from_be_bytes(packet[4..8].try_into().unwrap());
    let last = recorded.last().map(|packet| u64::from(number(packet)));
    until(|| b.show("sa")[0]["received"].as_u64() >= last);
    b.signal(Signal::SIGKILL);
    b.wait();
    let b = right.up(&configuration(2), &script(2));
    receive(&there, 100);
    transfer.stop();

    let delivered = || b.show("stats")["delivered"].as_u64().unwrap();
    let last = Cell::new(0);
    until(|| last.replace(delivered()) == last.get());
    let refused = b.dropped("replay");
    send_again(&left, &recorded);
    until(|| b.dropped("replay") == refused + recorded.len() as u64);
    assert_eq!(delivered(), last.get());
}

#[test]
fn a_killed_sender_goes_on_at_once_and_uses_no_number_and_no_iv_twice() {
    let (left, right) = hosts();
    let mut a = left.up(&configuration(1), &script(1));
    let b = right.up(&configuration(2), &script(2));
    let there = right.socket("0.0.0.0:4000");
    let (eavesdropper, transfer) = (eavesdrop(&right), transfer(&left));
    for _ in 0..2 {
        receive(&there, 200);
        a.signal(Signal::SIGKILL);
        a.wait();
        a = left.up(&configuration(1), &script(1));
    }
    receive(&there, 200);
    // An end in good order loses no number.
    let next = |daemon: &crate::host::Daemon| daemon.show("sa")[0]["sequence"].as_u64().unwrap();
    transfer.stop();
    let before = next(&a);
    a.signal(Signal::SIGTERM);
    a.wait();
    let a = left.up(&configuration(1), &script(1));
    assert!(next(&a) < before + 100, "{} after {before}", next(&a));

    let seen = eavesdropper.stop();
    let numbers: HashSet<&[u8]> = seen.iter().map(|packet| &packet[4..8]).collect();
    let ivs: HashSet<&[u8]> = seen.iter().map(|packet| &packet[8..16]).collect();
    assert!(seen.len() >= 600);
    assert_eq!((numbers.len(), ivs.len()), (seen.len(), seen.len()));
    assert_eq!(b.dropped("replay"), 0);
}

#[test]
fn two_daemons_do_not_share_a_state_directory() {
    let (left, _right) = hosts();
    let _a = left.up(&configuration(1), &script(1));
    let other = configuration(1).replace("control.sock", "other.sock");
    let said = left.refused(&other, "");
    assert_eq!(
        said,
        "sealway: the state directory state is in use by another daemon: stop it, or name another directory in [daemon] state\n"
    );
}

#[test]
fn what_a_restart_loses_is_said() {
    let (left, right) = hosts();
    let a = left.up(&configuration(1), &script(1));
    let b = right.up(&for_host(2, TUNNEL), &script(2));
    let [kept, lost] = [&a, &b].map(|daemon| daemon.show("sa")[0]["restart"].clone());
    assert_eq!(kept["kept"], true);
    assert_eq!(kept["loses"], serde_json::json!([]));
    assert_eq!(
        (&kept["exact"], &lost["exact"]),
        (&true.into(), &false.into())
    );
    assert_eq!(lost["kept"], false);
    assert_eq!(lost["loses"], serde_json::json!(["sequence", "replay"]));
    let note = "lost with the daemon";
    assert!(done(&b.run(&["show", "sa"])).contains(note));
    assert!(!done(&a.run(&["show", "sa"])).contains(note));
}
