//! A link that loses, repeats and reorders packets, the same way for the same seed: a TUN device at
//! each end, and a thread between them.

use std::collections::VecDeque;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use sealway_io::fault::Prng;
use sealway_io::poll;
use sealway_io::tun::Tun;
use sealway_packet::{Offload, Packet, Pool};

/// In thousandths of the packets of either direction.
pub(super) const LOST: u64 = 50;
const REPEATED: u64 = 10;
const REORDERED: u64 = 20;
/// A packet is overtaken by what comes within this time, or a multiple of it …
const STEP: Duration = Duration::from_millis(1);
/// … up to so many times.
const STEPS: u64 = 4;
/// How often a wire that nobody uses looks whether it is to end.
const TICK: Duration = Duration::from_millis(100);
/// The most packets taken from one end before the other has its turn.
const BATCH: usize = 64;

/// What befell packets.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) lost: AtomicU64,
    pub(super) repeated: AtomicU64,
    pub(super) reordered: AtomicU64,
}

/// A thread that carries packets. Dropped, it ends.
#[derive(Debug)]
pub(super) struct Wire {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    pub(super) tally: Arc<Tally>,
}

impl Wire {
    /// Between these devices, which hand over packets as they are on a wire.
    pub(super) fn start(ends: [Tun; 2], seed: u64) -> Wire {
        let stop = Arc::new(AtomicBool::new(false));
        let tally = Arc::new(Tally::default());
        let (stopped, told) = (Arc::clone(&stop), Arc::clone(&tally));
        let thread = std::thread::spawn(move || carry(&ends, seed, &stopped, &told));
        Wire {
            stop,
            thread: Some(thread),
            tally,
        }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn carry([a, b]: &[Tun; 2], seed: u64, stop: &AtomicBool, tally: &Tally) {
    let pool = Pool::new(4, 4);
    let mut lanes = [(a, b, Lane::new(seed)), (b, a, Lane::new(!seed))];
    while !stop.load(Ordering::Relaxed) {
        let mut fds = [poll::readable(a.as_fd()), poll::readable(b.as_fd())];
        let waiting = lanes.iter().any(|(_, _, lane)| !lane.held.is_empty());
        let time = if waiting { STEP } else { TICK };
        if poll::wait(&mut fds, Some(time)).is_err() {
            return;
        }
        for (from, to, lane) in &mut lanes {
            for _ in 0..BATCH {
                let Ok(Some(packet)) = from.read(&pool) else {
                    break;
                };
                lane.pass(&packet, to, tally);
            }
            lane.release(to);
        }
    }
}

/// One direction.
struct Lane {
    prng: Prng,
    held: VecDeque<(Instant, Vec<u8>)>,
}

impl Lane {
    fn new(seed: u64) -> Lane {
        Lane {
            prng: Prng::new(seed),
            held: VecDeque::new(),
        }
    }

    /// Every die is thrown for every packet: what befalls the hundredth does not depend on what befell
    /// those before.
    fn pass(&mut self, packet: &Packet<()>, to: &Tun, tally: &Tally) {
        let [lost, repeated, reordered, steps] =
            [1000, 1000, 1000, STEPS].map(|of| self.prng.below(of));
        if lost < LOST {
            tally.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let octets = packet.train.packet();
        if reordered < REORDERED {
            tally.reordered.fetch_add(1, Ordering::Relaxed);
            let until = Instant::now() + STEP * (1 + steps as u32);
            self.held.push_back((until, octets.to_vec()));
            return;
        }
        write(to, octets);
        if repeated < REPEATED {
            tally.repeated.fetch_add(1, Ordering::Relaxed);
            write(to, octets);
        }
    }

    fn release(&mut self, to: &Tun) {
        let now = Instant::now();
        self.held.retain(|(until, octets)| {
            let waits = *until > now;
            if !waits {
                write(to, octets);
            }
            waits
        });
    }
}

/// A packet that the device does not take is lost, as on any link.
fn write(to: &Tun, octets: &[u8]) {
    let _ = to.write(octets, &Offload::default());
}
