//! What flows in a row: pings of several sizes, fragments among them, and a TCP stream.

use std::fs;
use std::io::Write;
use std::net::{IpAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::host::{Host, Namespace};
use crate::peer::in_namespace;

/// Octets of a row's TCP stream.
pub const STREAM: usize = 16 << 20;
/// Octets of ping: in one packet, near the MTU, in three fragments.
const PINGS: [u16; 3] = [56, 1400, 4000];
/// The port of the stream.
pub(crate) const PORT: u16 = 5201;
/// How long the pings of a row, or its stream, may take.
const LIMIT: Duration = Duration::from_secs(90);

/// The file that a stream carries, and its SHA-256.
#[derive(Clone, Debug)]
pub struct Stream {
    path: PathBuf,
    hash: String,
}

impl Stream {
    /// Writes so many octets (a multiple of 8) that do not repeat into a file `stream` in `directory`.
    ///
    /// # Errors
    /// If the file cannot be written or `sha256sum` cannot be run.
    pub fn create(directory: &Path, octets: usize) -> Result<Self> {
        let path = directory.join("stream");
        let mut file = std::io::BufWriter::new(fs::File::create(&path)?);
        let mut word = 1_u64;
        for _ in 0..octets / 8 {
            // Knuth's linear congruence: the upper half would pass for random, and all differ.
            word = word
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            file.write_all(&word.to_le_bytes())?;
        }
        file.flush()?;
        let sum = crate::host::run(&["sha256sum", &path.to_string_lossy()], LIMIT)?.ok()?;
        let hash = sum
            .split(' ')
            .next()
            .context("sha256sum printed nothing")?
            .to_owned();
        Ok(Self { path, hash })
    }

    /// The directory that it is in.
    pub fn directory(&self) -> &Path {
        self.path.parent().unwrap_or(&self.path)
    }

    /// Where it is on this machine; a guest that got it finds it as `/tmp/sealway/stream`.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Pings from one end to the other, until three of each size are answered. One process does it: the
/// peer is slow to start them. A packet that is lost in ESP is seen in the counters of both ends; one
/// that a busy host loses elsewhere is none of ours.
///
/// # Errors
/// With the size that got no answer.
pub fn ping(from: &dyn Host, (source, destination): (IpAddr, IpAddr)) -> Result<()> {
    let mut script = String::new();
    for size in PINGS {
        // DF clear: fragments are wanted. With `-w` ping waits for answers, without it for no more
        // than twice as long as others took; but it ends at the first report of path MTU discovery,
        // to which the first packets may be lost.
        let ping = format!(
            "ping -n -q -M dont -I {source} -s {size} -c 3 -i 0.005 -w 20 {destination} >/dev/null"
        );
        script += &format!(
            "{ping} || {ping} || {{ echo a ping of {size} octets got no answer; exit 1; }}\n"
        );
    }
    from.sh(&script, LIMIT)?.ok()?;
    Ok(())
}

/// Sends `stream` over TCP from one end to the other, which must receive it whole.
///
/// # Errors
/// If the connection fails, or what arrives differs.
pub fn stream(
    from: &dyn Host,
    to: &dyn Host,
    (source, destination): (IpAddr, IpAddr),
    stream: &Stream,
) -> Result<()> {
    // `nofork`: sha256sum reads the socket itself, in socat's place.
    let listen = format!(
        "timeout 60 socat -u {},reuseaddr EXEC:sha256sum,nofork",
        listen_address(destination)
    );
    let send = format!(
        "file={}; [ -e $file ] || file=/tmp/sealway/stream
         timeout 60 socat -u -b 65536 OPEN:$file {},retry=400,interval=0.05",
        stream.path.display(),
        connect_address(source, destination)
    );
    thread::scope(|scope| {
        let receiver = scope.spawn(|| to.sh(&listen, LIMIT));
        let sent = from.sh(&send, LIMIT)?;
        let Ok(received) = receiver.join() else {
            bail!("the receiver panicked")
        };
        sent.ok().context("cannot send the TCP stream")?;
        let received = received?.ok().context("cannot receive the TCP stream")?;
        ensure!(
            received.starts_with(&stream.hash),
            "the TCP stream arrived damaged: {received}"
        );
        Ok(())
    })
}

/// Octets of datagrams: in one packet, near the MTU, in fragments.
const DATAGRAMS: [usize; 4] = [1, 500, 1300, 5000];
/// How long one may take until it is sent again; the machine may be busy.
const AGAIN: Duration = Duration::from_millis(500);
/// How long each may take in all.
const PATIENCE: Duration = Duration::from_secs(20);

/// Sends datagrams of several sizes in both directions; each must arrive as it was sent.
///
/// # Errors
/// With the size that did not arrive.
pub fn datagrams(ends: [&Namespace; 2], addresses: [IpAddr; 2]) -> Result<()> {
    let bind = |end: &Namespace, address: IpAddr| -> Result<UdpSocket> {
        let socket = in_namespace(end.name(), || UdpSocket::bind((address, PORT)))??;
        socket.set_read_timeout(Some(AGAIN))?;
        Ok(socket)
    };
    let [a, b] = [bind(ends[0], addresses[0])?, bind(ends[1], addresses[1])?];
    for (from, to) in [(&a, &b), (&b, &a)] {
        for (number, octets) in DATAGRAMS.into_iter().enumerate() {
            let sent: Vec<u8> = (0..octets).map(|at| (at * 7 + number) as u8).collect();
            exchange(from, to, &sent).with_context(|| format!("a datagram of {octets} octets"))?;
        }
    }
    Ok(())
}

/// Sends until it has arrived.
fn exchange(from: &UdpSocket, to: &UdpSocket, sent: &[u8]) -> Result<()> {
    let mut buffer = vec![0; 65_536];
    let limit = Instant::now() + PATIENCE;
    while Instant::now() < limit {
        from.send_to(sent, to.local_addr()?)?;
        while let Ok((octets, source)) = to.recv_from(&mut buffer) {
            // One that was sent again may still come.
            if buffer.get(..octets) == Some(sent) {
                ensure!(source == from.local_addr()?, "it came from {source}");
                return Ok(());
            }
        }
    }
    bail!("it did not arrive")
}

pub(crate) fn listen_address(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => format!("TCP4-LISTEN:{PORT},bind={address}"),
        IpAddr::V6(address) => format!("TCP6-LISTEN:{PORT},bind=[{address}]"),
    }
}

pub(crate) fn connect_address(source: IpAddr, destination: IpAddr) -> String {
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            format!("TCP4:{destination}:{PORT},bind={source}")
        }
        _ => format!("TCP6:[{destination}]:{PORT},bind=[{source}]"),
    }
}
