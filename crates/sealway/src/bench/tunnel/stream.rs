//! TCP streams between two namespaces: our own generator, for nothing has to be installed then.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use sealway_io::namespace::Namespace;
use socket2::{Domain, Socket, Type};

/// Octets of one write or read.
const CHUNK: usize = 128 << 10;
/// How long streams run before they are measured.
const WARM: Duration = Duration::from_millis(200);
/// How long anything may stand still.
const PATIENCE: Duration = Duration::from_secs(10);

/// Who sends, and who receives.
pub(super) struct Ends<'a> {
    pub(super) sender: (&'a Namespace, IpAddr),
    pub(super) receiver: (&'a Namespace, IpAddr),
}

/// What has arrived.
pub(super) struct Moved {
    /// Octets of payload while it was measured, …
    pub(super) octets: u64,
    /// … for this long …
    time: Duration,
    /// … and from the first to the last.
    pub(super) octets_in_all: u64,
}

impl Moved {
    pub(super) fn gbps(&self) -> f64 {
        self.octets as f64 * 8.0 / self.time.as_secs_f64().max(1e-9) / 1e9
    }
}

/// So many streams at once, for a while.
pub(super) fn run(ends: &Ends<'_>, streams: usize, time: Duration) -> Result<Moved> {
    let pairs = (0..streams).map(|_| connect(ends));
    let pairs = pairs.collect::<Result<Vec<_>>>()?;
    let received = AtomicU64::new(0);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let mut workers = Vec::new();
        for (sending, receiving) in &pairs {
            workers.push(scope.spawn(|| send(sending, &stop)));
            workers.push(scope.spawn(|| receive(receiving, &received)));
        }
        thread::sleep(WARM);
        let (first, start) = (received.load(Ordering::Relaxed), Instant::now());
        thread::sleep(time);
        let (last, time) = (received.load(Ordering::Relaxed), start.elapsed());
        stop.store(true, Ordering::Relaxed);
        for worker in workers {
            let ended = worker
                .join()
                .map_err(|_| anyhow!("a stream's thread panicked"))?;
            ended.context("a stream broke off")?;
        }
        Ok(Moved {
            octets: last - first,
            time,
            octets_in_all: received.load(Ordering::Relaxed),
        })
    })
}

/// The sender's socket and the receiver's.
fn connect(ends: &Ends<'_>) -> Result<(Socket, Socket)> {
    let listener = bound(ends.receiver)?;
    listener.listen(1)?;
    let service = listener.local_addr()?;
    let sending = bound(ends.sender)?;
    let to = service.as_socket().context("a socket has no address")?;
    sending
        .connect_timeout(&service, PATIENCE)
        .with_context(|| format!("cannot connect to {to}"))?;
    let (receiving, _) = listener.accept().context("nobody has connected")?;
    for socket in [&sending, &receiving] {
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_write_timeout(Some(PATIENCE))?;
    }
    Ok((sending, receiving))
}

fn bound((namespace, address): (&Namespace, IpAddr)) -> Result<Socket> {
    let open = move || -> std::io::Result<Socket> {
        let address = SocketAddr::new(address, 0);
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.bind(&address.into())?;
        Ok(socket)
    };
    namespace
        .run(open)
        .with_context(|| format!("cannot open a socket at {address}"))
}

fn send(mut socket: &Socket, stop: &AtomicBool) -> std::io::Result<()> {
    let chunk = vec![0x5a; CHUNK];
    while !stop.load(Ordering::Relaxed) {
        socket.write_all(&chunk)?;
    }
    socket.shutdown(Shutdown::Write)
}

fn receive(mut socket: &Socket, received: &AtomicU64) -> std::io::Result<()> {
    let mut chunk = vec![0; CHUNK];
    loop {
        match socket.read(&mut chunk) {
            Ok(0) => return Ok(()),
            Ok(octets) => {
                received.fetch_add(octets as u64, Ordering::Relaxed);
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
