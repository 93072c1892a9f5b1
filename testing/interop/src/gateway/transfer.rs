//! A TCP connection that goes on while things happen to the path, and must bring everything.

use std::net::IpAddr;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::account;
use crate::host::Host;
use crate::traffic::{self, Stream};

/// How long it may last in all.
const WHOLE: Duration = Duration::from_secs(100);
/// How long a question to an end may take.
const LIMIT: Duration = Duration::from_secs(20);
/// Octets of a write, after which the sender takes a breath; the peer's kernel is slow enough without.
const PORTION: u64 = 16 << 10;
/// What is meant by going on: so many octets more.
const MUCH: u64 = 12 * PORTION;
/// How long nothing may come, on a busy machine; TCP itself waits a second and more after it has
/// lost packets.
const STALL: Duration = Duration::from_secs(15);
/// Where an end keeps its files: the peer's kernel has a place of its own.
const PLACE: &str = "p=/tmp/sealway; [ -d $p ] || p=";

/// A connection that is open.
pub(super) struct Transfer<'a> {
    from: &'a dyn Host,
    to: &'a dyn Host,
    place: String,
}

impl Transfer<'_> {
    /// Waits until much more has come. Nothing may come for [`STALL`], no longer.
    pub(super) fn goes_on(&self) -> Result<()> {
        self.goes_on_after(STALL)
    }

    /// The same, with another limit.
    pub(super) fn goes_on_after(&self, stall: Duration) -> Result<()> {
        let mut last = self.received()?;
        let much = last + MUCH;
        let mut since = Instant::now();
        while last < much {
            thread::sleep(Duration::from_millis(50));
            let received = self.received()?;
            if received != last {
                (last, since) = (received, Instant::now());
            }
            if since.elapsed() > stall {
                self.print_connections();
                bail!("nothing came for {stall:?} after {received} octets");
            }
        }
        Ok(())
    }

    /// Soon the connection will be gone.
    fn print_connections(&self) {
        for (name, end) in [("sender", self.from), ("receiver", self.to)] {
            account::print_text(name, &account::answer(end, account::CONNECTIONS));
        }
    }

    fn received(&self) -> Result<u64> {
        let script = format!(
            "{}; stat -c %s $p/received 2>/dev/null || echo 0",
            self.place
        );
        let octets = self.to.sh(&script, LIMIT)?.ok()?;
        octets.trim().parse().context("stat prints no number")
    }
}

/// Sends over TCP while `meanwhile` runs; then what has been sent must have come, unchanged.
pub(super) fn run(
    (from, to): (&dyn Host, &dyn Host),
    (source, destination): (IpAddr, IpAddr),
    stream: &Stream,
    meanwhile: impl FnOnce(&Transfer<'_>) -> Result<()>,
) -> Result<()> {
    let place = format!("{PLACE}{}", stream.directory().display());
    let clean = format!("{place}; rm -f $p/received $p/stop $p/portions");
    for end in [from, to] {
        end.sh(&clean, LIMIT)?.ok()?;
    }
    let seconds = WHOLE.as_secs();
    let listen = format!(
        "{place}; timeout {seconds} socat -u -b 65536 {},reuseaddr CREATE:$p/received",
        traffic::listen_address(destination)
    );
    // The stream's first 64 portions again and again.
    let send = format!(
        "{place}; i=0
         while [ ! -e $p/stop ]; do
           dd if=$p/stream bs={PORTION} skip=$((i % 64)) count=1 2>/dev/null
           i=$((i + 1)); echo $i > $p/portions; [ $p = /tmp/sealway ] || sleep 0.01
         done | timeout {seconds} socat -u -b {PORTION} STDIN {},retry=400,interval=0.05",
        traffic::connect_address(source, destination)
    );
    let transfer = Transfer {
        from,
        to,
        place: place.clone(),
    };
    thread::scope(|scope| {
        let receiver = scope.spawn(|| to.sh(&listen, WHOLE));
        let sender = scope.spawn(|| from.sh(&send, WHOLE));
        let result = meanwhile(&transfer);
        from.sh(&format!("{place}; touch $p/stop"), LIMIT)?.ok()?;
        let (Ok(sent), Ok(received)) = (sender.join(), receiver.join()) else {
            bail!("an end of the transfer panicked")
        };
        result?;
        sent?.ok().context("cannot send")?;
        received?.ok().context("cannot receive")?;
        Ok(())
    })?;
    let portions = from.sh(&format!("{place}; cat $p/portions"), LIMIT)?.ok()?;
    let portions: u64 = portions
        .trim()
        .parse()
        .context("the sender has not counted")?;
    let octets = portions * PORTION;
    let sent = from.sh(
        &format!(
            "{place}; i=0
             while [ $i -le $(({portions} / 64)) ]; do head -c $((64 * {PORTION})) $p/stream 2>/dev/null; i=$((i + 1)); done |
               head -c {octets} | sha256sum"
        ),
        LIMIT,
    )?;
    let received = to.sh(
        &format!("{place}; sha256sum < $p/received; stat -c %s $p/received; rm $p/received"),
        LIMIT,
    )?;
    let (sent, received) = (format!("{}{octets}\n", sent.ok()?), received.ok()?);
    ensure!(sent == received, "{received:?} came, {sent:?} was sent");
    Ok(())
}
