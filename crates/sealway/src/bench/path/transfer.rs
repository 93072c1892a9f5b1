//! A stream whose content is known, and how long nothing of it came.

use std::io::{Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use sealway_io::fault::Prng;
use sealway_io::namespace::Namespace;
use sha2::{Digest, Sha256};
use socket2::{Domain, Socket, Type};

use crate::demo::limit::{Limit, TICK};
use crate::demo::namespaces::traffic::connect;

/// Octets of one write.
const CHUNK: usize = 16 << 10;
/// How often it is looked how far it is.
const LOOK: Duration = Duration::from_millis(5);

/// What became of it.
pub(super) struct Transferred {
    pub(super) time: Duration,
    /// The longest time in which nothing came.
    pub(super) stall: Duration,
}

/// Sends so many octets, which this seed makes. `meanwhile` is told now and then how many have come.
///
/// # Errors
/// If what arrives is not what was sent, or nothing comes for longer than the limit.
pub(super) fn run(
    from: (&Namespace, IpAddr),
    to: (&Namespace, IpAddr),
    (octets, seed): (u64, u64),
    limit: &Limit,
    mut meanwhile: impl FnMut(u64) -> Result<()>,
) -> Result<Transferred> {
    let (listener, sending) = (socket(to)?, socket(from)?);
    listener.listen(1)?;
    let service = listener.local_addr()?.as_socket();
    let service = service.context("a socket has no address")?;
    let received = AtomicU64::new(0);
    let start = Instant::now();
    thread::scope(|scope| {
        let sender = scope.spawn(|| send(&sending, service, octets, seed, limit));
        let receiver = scope.spawn(|| receive(&listener, &received, limit));
        let watched: Result<()> = (|| {
            while !receiver.is_finished() {
                meanwhile(received.load(Ordering::Relaxed))?;
                thread::sleep(LOOK);
            }
            Ok(())
        })();
        let ended = |_| anyhow!("a transfer's thread panicked");
        let sent = sender.join().map_err(ended)?;
        let (came, stall) = receiver.join().map_err(ended)??;
        let sent = sent?;
        watched?;
        let count = received.load(Ordering::Relaxed);
        ensure!(
            count == octets && came == sent,
            "{count} octets came, and not the {octets} that were sent"
        );
        Ok(Transferred {
            time: start.elapsed(),
            stall,
        })
    })
}

fn socket((namespace, address): (&Namespace, IpAddr)) -> Result<Socket> {
    let open = move || -> std::io::Result<Socket> {
        let address = SocketAddr::new(address, 0);
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        socket.set_read_timeout(Some(TICK))?;
        socket.set_write_timeout(Some(TICK))?;
        socket.bind(&address.into())?;
        Ok(socket)
    };
    namespace
        .run(open)
        .with_context(|| format!("cannot open a socket at {address}"))
}

type Hash = [u8; 32];

fn send(
    mut socket: &Socket,
    service: SocketAddr,
    octets: u64,
    seed: u64,
    limit: &Limit,
) -> Result<Hash> {
    connect(socket, service, limit)?;
    let (mut prng, mut hash) = (Prng::new(seed), Sha256::new());
    let mut left = octets;
    while left > 0 {
        let words = (0..CHUNK / 8).flat_map(|_| prng.draw().to_le_bytes());
        let chunk: Vec<u8> = words.take(usize::try_from(left).unwrap_or(CHUNK)).collect();
        hash.update(&chunk);
        let mut rest = chunk.as_slice();
        while !rest.is_empty() {
            let written = limit.retry("sending", || socket.write(rest))?;
            rest = rest.get(written..).unwrap_or_default();
        }
        left -= chunk.len() as u64;
    }
    socket.shutdown(Shutdown::Write)?;
    Ok(hash.finalize().into())
}

fn receive(listener: &Socket, received: &AtomicU64, limit: &Limit) -> Result<(Hash, Duration)> {
    let (socket, _) = limit.retry("waiting for the connection", || listener.accept())?;
    socket.set_read_timeout(Some(TICK))?;
    let (mut hash, mut chunk) = (Sha256::new(), vec![0; CHUNK]);
    let (mut last, mut stall) = (Instant::now(), Duration::ZERO);
    loop {
        let count = limit.retry("receiving", || (&socket).read(&mut chunk))?;
        let now = Instant::now();
        stall = stall.max(now - last);
        last = now;
        if count == 0 {
            return Ok((hash.finalize().into(), stall));
        }
        hash.update(chunk.get(..count).unwrap_or_default());
        received.fetch_add(count as u64, Ordering::Relaxed);
    }
}
