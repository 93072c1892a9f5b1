//! Small datagrams: the highest rate at which hardly any is lost, found by bisection.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use nix::sys::socket::{setsockopt, sockopt::RcvBufForce};
use sealway_io::namespace::Namespace;

use super::stream::Ends;

/// Octets of payload: what a voice or a game sends.
const PAYLOAD: usize = 64;
/// The most that may be lost.
const MOST_LOSS: f64 = 0.01;
/// How long a rate is kept up before what is sent counts: queues that are too small for it fill …
const WARM: Duration = Duration::from_millis(30);
/// … and for how long it counts.
const TIME: Duration = Duration::from_millis(120);
/// When nothing has come for so long, nothing more comes.
const QUIET: Duration = Duration::from_millis(20);
/// How long what was sent may take to come.
const PATIENCE: Duration = Duration::from_secs(2);
/// Datagrams a second between which the first search looks.
const LEAST: f64 = 1e3;
const MOST: f64 = 2e6;
/// A later search looks from the last rate divided by this to the last rate times this …
const AROUND: f64 = 1.4;
/// … and ends when what passed and what did not differ by less than this factor.
const PRECISION: f64 = 1.05;
/// How long the sender lies down while nothing is due.
const NAP: Duration = Duration::from_micros(50);
/// What it missed for longer than this it does not make up for: a burst is another load.
const LATE: Duration = Duration::from_millis(2);
/// Octets that may wait for the receiver, which is not what is measured.
const WAITING: usize = 8 << 20;
/// The mark of datagrams that do not count.
const WARMING: u32 = 0;

/// What passes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rate {
    /// Datagrams sent in a second.
    pub(super) pps: f64,
    /// The part of them that did not arrive.
    pub(super) loss: f64,
}

/// The highest rate with at most 1 % loss, over so many flows at once; `last` is what a search has
/// found before. A rate of 0 where not even [`LEAST`] passes.
pub(super) fn search(ends: &Ends<'_>, flows: usize, last: Option<f64>) -> Result<Rate> {
    let road = Road::open(ends, flows)?;
    let mut trials = 1..;
    let found = last.filter(|last| *last >= LEAST);
    let (low, high) = found.map_or((LEAST, MOST), |last| (last / AROUND, last * AROUND));
    let offer = |rate| road.offer(rate, trials.next().unwrap_or(u32::MAX));
    bisect(low, high, offer)
}

fn bisect(mut low: f64, mut high: f64, mut offer: impl FnMut(f64) -> Result<Rate>) -> Result<Rate> {
    let mut best: Option<Rate> = None;
    loop {
        while high / low > PRECISION {
            let middle = (low * high).sqrt();
            let mut trial = offer(middle)?;
            if trial.loss > MOST_LOSS {
                // Once may be the machine, busy elsewhere.
                trial = offer(middle)?;
            }
            if trial.loss > MOST_LOSS {
                high = middle;
                continue;
            }
            low = middle;
            if best.is_none_or(|best| best.pps < trial.pps) {
                best = Some(trial);
            }
        }
        match best {
            Some(best) => return Ok(best),
            None if low <= LEAST => return Ok(Rate { pps: 0., loss: 1. }),
            None => low = (low / 16.).max(LEAST),
        }
    }
}

/// The sockets at both ends.
struct Road {
    senders: Vec<UdpSocket>,
    receiver: UdpSocket,
}

impl Road {
    fn open(ends: &Ends<'_>, flows: usize) -> Result<Road> {
        let receiver = bound(ends.receiver)?;
        setsockopt(&receiver, RcvBufForce, &WAITING).context("a socket gets no memory")?;
        receiver.set_read_timeout(Some(QUIET))?;
        let service = receiver.local_addr()?;
        let sender = |_| -> Result<UdpSocket> {
            let socket = bound(ends.sender)?;
            socket.connect(service)?;
            Ok(socket)
        };
        Ok(Road {
            senders: (0..flows).map(sender).collect::<Result<_>>()?,
            receiver,
        })
    }

    /// Sends so many datagrams a second, and sees what arrives. `trial`: not [`WARMING`].
    fn offer(&self, rate: f64, trial: u32) -> Result<Rate> {
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            let receiver = scope.spawn(|| self.receive(trial, &done));
            let (sent, time) = self.send(rate, trial);
            done.store(true, Ordering::Relaxed);
            let received = receiver
                .join()
                .map_err(|_| anyhow!("the thread that receives panicked"))?
                .context("cannot receive datagrams")?;
            let sent = sent as f64;
            Ok(Rate {
                pps: sent / time.as_secs_f64(),
                loss: (1. - received as f64 / sent.max(1.)).max(0.),
            })
        })
    }

    /// Sends at an even pace. How many count, and from when to when they were sent.
    fn send(&self, rate: f64, trial: u32) -> (u64, Duration) {
        let mut payload = [0x5a; PAYLOAD];
        let mut start = Instant::now();
        let mut counted = None;
        let (mut sent, mut sent_before) = (0_u64, 0);
        let end = start + WARM + TIME;
        for sender in self.senders.iter().cycle() {
            let mut now = Instant::now();
            let due = |start: Instant, now: Instant| (rate * (now - start).as_secs_f64()) as u64;
            while now < end && due(start, now) <= sent {
                thread::sleep(NAP);
                now = Instant::now();
            }
            if now >= end {
                break;
            }
            let missed = now.saturating_duration_since(start).as_secs_f64() - sent as f64 / rate;
            if missed > LATE.as_secs_f64() {
                start += Duration::from_secs_f64(missed);
            }
            if counted.is_none() && now + TIME >= end {
                (counted, sent_before) = (Some(now), sent);
            }
            let mark = counted.map_or(WARMING, |_| trial);
            payload[..4].copy_from_slice(&mark.to_be_bytes());
            // What does not even leave has not arrived.
            let _ = sender.send(&payload);
            sent += 1;
        }
        let since = counted.unwrap_or(end - TIME);
        (sent - sent_before, Instant::now() - since)
    }

    fn receive(&self, trial: u32, done: &AtomicBool) -> std::io::Result<u64> {
        let (mut received, mut payload) = (0, [0; PAYLOAD]);
        let end = Instant::now() + WARM + TIME + PATIENCE;
        while Instant::now() < end {
            match self.receiver.recv(&mut payload) {
                Ok(PAYLOAD) if payload[..4] == trial.to_be_bytes() => received += 1,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if done.load(Ordering::Relaxed) {
                        break;
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(received)
    }
}

fn bound((namespace, address): (&Namespace, IpAddr)) -> Result<UdpSocket> {
    namespace
        .run(move || UdpSocket::bind(SocketAddr::new(address, 0)))
        .with_context(|| format!("cannot open a socket at {address}"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// A road that loses what is above its capacity.
    fn road(capacity: f64) -> impl FnMut(f64) -> Result<Rate> {
        move |pps| {
            let loss = (1. - capacity / pps).max(0.);
            Ok(Rate { pps, loss })
        }
    }

    #[test]
    fn the_search_ends_near_the_capacity_wherever_it_starts() {
        for capacity in [1_500., 40_000., 1_900_000.] {
            for (low, high) in [(LEAST, MOST), (30_000., 60_000.), (1e6, 2e6)] {
                let found = bisect(low, high, road(capacity)).unwrap();
                assert!(found.loss <= MOST_LOSS);
                let reachable = capacity.min(high);
                let ratio = found.pps / reachable;
                assert!((0.9..=1.02).contains(&ratio), "{found:?} of {reachable}");
            }
        }
    }

    #[test]
    fn a_loss_that_does_not_come_again_does_not_count() {
        let mut number = 0;
        let mut steady = road(40_000.);
        let found = bisect(LEAST, MOST, |pps| {
            number += 1;
            match number {
                3 => Ok(Rate { pps, loss: 0.5 }),
                _ => steady(pps),
            }
        });
        assert!(found.unwrap().pps > 36_000.);
    }

    #[test]
    fn a_road_that_lets_nothing_pass_has_no_rate() {
        let found = bisect(LEAST, MOST, |pps| Ok(Rate { pps, loss: 1. })).unwrap();
        assert_eq!(found, Rate { pps: 0., loss: 1. });
    }
}
