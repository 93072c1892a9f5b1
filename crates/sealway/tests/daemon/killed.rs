//! The daemon alone is killed: its peer, however slow, notices nothing but a pause.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use sha2::{Digest, Sha256};

use crate::host::{Daemon, Host, PATIENCE, exchange, hosts, until};
use crate::restart::{configuration, eavesdrop, script, send_again};

/// Two hosts with daemons, of which the right one is killed, and a socket of each.
struct Pair {
    left: Host,
    right: Host,
    _a: Daemon,
    b: Daemon,
    here: UdpSocket,
    there: UdpSocket,
}

impl Pair {
    /// A slow peer: it has sent five packets or a few more.
    fn new() -> Pair {
        let (left, right) = hosts();
        let a = left.up(&configuration(1), &script(1));
        let b = right.up(&configuration(2), &script(2));
        let (here, there) = (left.socket("10.1.0.1:4000"), right.socket("10.2.0.1:4000"));
        for _ in 0..5 {
            exchange(&here, &there, b"slow");
        }
        Pair {
            left,
            right,
            _a: a,
            b,
            here,
            there,
        }
    }

    /// Kills the right daemon, lets something happen to what it has left, and starts it again.
    fn kill(&mut self, meanwhile: impl FnOnce(PathBuf)) {
        self.b.signal(Signal::SIGKILL);
        self.b.wait();
        meanwhile(self.right.directory.path().join("state/progress"));
        self.b = self.right.up(&configuration(2), &script(2));
    }

    /// Sends a packet; whether it arrives.
    fn arrives(&self) -> bool {
        let before = self.b.dropped("replay");
        self.here.send_to(b"next", "10.2.0.1:4000").unwrap();
        self.there
            .set_read_timeout(Some(Duration::from_millis(10)))
            .unwrap();
        for _ in 0..2000 {
            if self.there.recv(&mut [0; 16]).is_ok() {
                return true;
            }
            if self.b.dropped("replay") > before {
                return false;
            }
        }
        panic!("the packet has vanished");
    }

    /// After the crash of a machine the peer's next packets are refused, no more than were reserved.
    fn falls_back_to_what_was_reserved(&mut self, because: &str) {
        assert!(self.b.said.contains(because), "{}", self.b.said);
        assert!(!self.arrives());
        until(|| {
            for _ in 0..20 {
                self.here.send_to(b"next", "10.2.0.1:4000").unwrap();
            }
            self.there.recv(&mut [0; 16]).is_ok()
        });
        self.there
            .set_read_timeout(Some(Duration::from_millis(300)))
            .unwrap();
        while self.there.recv(&mut [0; 16]).is_ok() {}
    }
}

#[test]
fn the_very_next_packet_of_a_slow_peer_is_accepted_and_a_recorded_one_refused() {
    let mut pair = Pair::new();
    for _ in 0..2 {
        let eavesdropper = eavesdrop(&pair.right);
        for _ in 0..3 {
            exchange(&pair.here, &pair.there, b"slow");
        }
        let before = pair.b.show("sa")[0]["received"].clone();
        pair.kill(|_| ());
        let recorded = eavesdropper.stop();
        assert!(recorded.len() >= 3);
        assert_eq!(pair.b.show("sa")[0]["received"], before);
        send_again(&pair.left, &recorded);
        until(|| pair.b.dropped("replay") == recorded.len() as u64);
        assert!(pair.arrives());
        assert_eq!(pair.b.show("stats")["delivered"], 1);
        // And the other way.
        exchange(&pair.there, &pair.here, b"back");
    }
}

#[test]
fn after_a_crash_of_the_machine_what_was_reserved_counts() {
    let mut pair = Pair::new();
    let eavesdropper = eavesdrop(&pair.right);
    exchange(&pair.here, &pair.there, b"slow");
    // The file says which boot it is of.
    pair.kill(|progress| {
        let mut octets = fs::read(&progress).unwrap();
        octets[8] ^= 1;
        fs::write(&progress, octets).unwrap();
    });
    let recorded = eavesdropper.stop();
    pair.falls_back_to_what_was_reserved("the machine was started again since");
    let (delivered, refused) = (
        pair.b.show("stats")["delivered"].clone(),
        pair.b.dropped("replay"),
    );
    send_again(&pair.left, &recorded);
    until(|| pair.b.dropped("replay") == refused + recorded.len() as u64);
    assert_eq!(pair.b.show("stats")["delivered"], delivered);
}

#[test]
fn progress_that_is_gone_cut_short_or_anothers_is_no_error_and_what_was_reserved_counts() {
    let mut pair = Pair::new();
    let gone = |progress: PathBuf| fs::remove_file(progress).unwrap();
    pair.kill(gone);
    pair.falls_back_to_what_was_reserved("progress is not believed: No such file");
    pair.kill(|progress| {
        let octets = fs::read(&progress).unwrap();
        fs::write(&progress, &octets[..1000]).unwrap();
    });
    pair.falls_back_to_what_was_reserved("progress is not believed: it is damaged");
    let other = pair.left.directory.path().join("state/progress");
    pair.kill(|progress| {
        fs::copy(other, progress).unwrap();
    });
    pair.falls_back_to_what_was_reserved("another run of the daemon");
}

/// Octets of a transfer, and after how many of them the daemon is killed.
const WHOLE: usize = 3 << 20;
const PART: usize = 1 << 20;

/// A TCP transfer from the left to the right goes on to its end when this one's daemon is killed.
fn a_transfer_goes_on(is_killed: fn(u8) -> bool) {
    let (left, right) = hosts();
    let mut daemons: Vec<_> = [(&left, 1), (&right, 2)]
        .map(|(host, number)| host.up(&configuration(number), &script(number)))
        .into();
    let listener = right
        .namespace
        .run(|| TcpListener::bind("10.2.0.1:4000").unwrap());
    let received = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&received);
    let receiver = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(2 * PATIENCE)).unwrap();
        let (mut sum, mut buffer) = (Sha256::new(), [0; 16_384]);
        loop {
            match stream.read(&mut buffer).unwrap() {
                0 => return sum.finalize(),
                octets => {
                    sum.update(&buffer[..octets]);
                    count.fetch_add(octets, Relaxed);
                }
            }
        }
    });
    let mut stream = left.namespace.run(|| {
        let there = "10.2.0.1:4000".parse().unwrap();
        TcpStream::connect_timeout(&there, PATIENCE).unwrap()
    });
    stream.set_write_timeout(Some(2 * PATIENCE)).unwrap();
    let octets: Vec<u8> = (0..WHOLE).map(|n| (n * 7 + n / 251) as u8).collect();
    let expected = Sha256::digest(&octets);
    let sender = thread::spawn(move || stream.write_all(&octets).unwrap());
    until(|| received.load(Relaxed) > PART);
    for (daemon, number) in daemons.iter_mut().zip(1..) {
        if is_killed(number) {
            daemon.signal(Signal::SIGKILL);
            daemon.wait();
            assert!(received.load(Relaxed) < WHOLE, "too late");
            let host = [&left, &right][usize::from(number) - 1];
            *daemon = host.up(&configuration(number), &script(number));
        }
    }
    sender.join().unwrap();
    assert_eq!(receiver.join().unwrap(), expected);
    for daemon in &daemons {
        assert_eq!(daemon.dropped("replay"), 0);
    }
}

#[test]
fn a_transfer_goes_on_whose_senders_gateway_is_killed_which_hears_acknowledgements_alone() {
    a_transfer_goes_on(|number| number == 1);
}

#[test]
fn a_transfer_goes_on_whose_receivers_gateway_is_killed() {
    a_transfer_goes_on(|number| number == 2);
}

#[test]
fn a_transfer_goes_on_whose_gateways_are_killed_one_after_the_other() {
    a_transfer_goes_on(|_| true);
}
