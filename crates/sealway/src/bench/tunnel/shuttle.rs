//! What a user-space tunnel could reach at best on this machine: packets are carried from one TUN
//! device to the other as they are, super-packets and all.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result};
use sealway_io::namespace::Namespace;
use sealway_io::netlink::{Netlink, State};
use sealway_io::poll;
use sealway_io::tun::Tun;
use sealway_packet::Pool;

use crate::demo::address::End;
use crate::demo::namespaces::topology::lead_across;

/// The device at each end.
const DEVICE: &str = "shuttle0";
/// The most packets read from one device before the other has its turn.
const BATCH: usize = 64;
/// How often a shuttle that nobody uses looks whether it is to end.
const TICK: Duration = Duration::from_millis(100);

/// A thread that carries packets. Dropped, it ends.
#[derive(Debug)]
pub(super) struct Shuttle {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    /// The thread's number, as the kernel knows it.
    id: i32,
}

impl Shuttle {
    /// Between these gateways.
    pub(super) fn start(left: &Namespace, right: &Namespace) -> Result<Shuttle> {
        let left = left.run(|| device(End::Left))?;
        let right = right.run(|| device(End::Right))?;
        let stop = Arc::new(AtomicBool::new(false));
        let (tell, told) = std::sync::mpsc::channel();
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let _ = tell.send(nix::unistd::gettid().as_raw());
            carry(&left, &right, &stopped);
        });
        Ok(Shuttle {
            stop,
            thread: Some(thread),
            id: told.recv().context("the shuttle's thread has ended")?,
        })
    }

    /// The thread's number, as the kernel knows it.
    pub(super) fn id(&self) -> i32 {
        self.id
    }
}

impl Drop for Shuttle {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A device with routes to the network at the other end.
fn device(end: End) -> Result<Tun> {
    let tun = Tun::open(DEVICE)?;
    let mut netlink = Netlink::open()?;
    netlink.set_state(tun.index(), State::Up)?;
    lead_across(&mut netlink, end, tun.index(), |_| None)?;
    Ok(tun)
}

fn carry(left: &Tun, right: &Tun, stop: &AtomicBool) {
    let pool = Pool::new(4, 4);
    while !stop.load(Ordering::Relaxed) {
        let mut fds = [poll::readable(left.as_fd()), poll::readable(right.as_fd())];
        if poll::wait(&mut fds, Some(TICK)).is_err() {
            return;
        }
        for (from, to) in [(left, right), (right, left)] {
            for _ in 0..BATCH {
                let Ok(Some(packet)) = from.read(&pool) else {
                    break;
                };
                // A packet that the device does not take is lost, as on any link.
                let _ = to.write(packet.train.packet(), &packet.offload);
            }
        }
    }
}
