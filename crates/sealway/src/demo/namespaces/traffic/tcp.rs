//! A stream one way, and its hash back.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, anyhow, bail, ensure};
use nix::errno::Errno;
use sha2::{Digest, Sha256};
use socket2::{Socket, Type};

use super::{Talk, patient, socket};
use crate::demo::limit::Limit;
use crate::demo::measure::Measured;

/// Octets of the hash.
const HASH: usize = 32;
/// Octets of one write or read.
const CHUNK: usize = 256 << 10;

pub(super) fn run(talk: &Talk<'_>, limit: &Limit) -> Result<Measured> {
    let listener = socket(talk.answering, talk.port, Type::STREAM, None)?;
    listener.listen(1)?;
    let client = socket(talk.asking, 0, Type::STREAM, None)?;
    let stream = talk.marker.payload(talk.stream, 0);
    let hash = Sha256::digest(&stream);
    thread::scope(|scope| {
        let receiving = scope.spawn(|| receive(&listener, talk.stream, limit));
        let sent = send(talk, &client, &stream, limit);
        let received = receiving
            .join()
            .map_err(|_| anyhow!("the thread that receives panicked"))?;
        // The receiver's error is a consequence of the sender's.
        let (start, back) = sent?;
        let end = received?;
        ensure!(
            back.as_slice() == hash.as_slice(),
            "the stream arrived damaged: its hash is another"
        );
        Ok(Measured::Stream {
            octets: talk.stream,
            time: end.saturating_duration_since(start),
        })
    })
}

/// Sends the stream; says when it started and what hash came back.
fn send(
    talk: &Talk<'_>,
    mut client: &Socket,
    stream: &[u8],
    limit: &Limit,
) -> Result<(Instant, [u8; HASH])> {
    connect(client, talk.service(), limit)?;
    let start = Instant::now();
    let mut rest = stream;
    while !rest.is_empty() {
        let chunk = rest.get(..CHUNK).unwrap_or(rest);
        let written = limit.retry("sending the stream", || client.write(chunk))?;
        rest = rest.get(written..).unwrap_or(&[]);
    }
    client.shutdown(Shutdown::Write)?;
    let mut hash = [0; HASH];
    let mut filled = 0;
    while filled < HASH {
        let room = hash.get_mut(filled..).unwrap_or(&mut []);
        match limit.retry("waiting for the stream's hash", || client.read(room))? {
            0 => bail!("the connection ended before the stream's hash came"),
            octets => filled += octets,
        }
    }
    Ok((start, hash))
}

/// With a timeout set, the kernel goes on connecting in the background when a call comes back.
pub(crate) fn connect(client: &Socket, service: SocketAddr, limit: &Limit) -> Result<()> {
    while let Err(error) = client.connect(&service.into()) {
        match Errno::from_raw(error.raw_os_error().unwrap_or(0)) {
            Errno::EINPROGRESS | Errno::EALREADY | Errno::EINTR => limit.check("connecting")?,
            _ => return Err(error).with_context(|| format!("cannot connect to {service}")),
        }
    }
    Ok(())
}

/// Receives until the stream ends, says when that was, and sends its hash back.
fn receive(listener: &Socket, octets: usize, limit: &Limit) -> Result<Instant> {
    let (connection, _) = limit.retry("waiting for the connection", || listener.accept())?;
    patient(&connection)?;
    let mut stream = vec![0; octets + CHUNK];
    let mut filled = 0;
    loop {
        let end = (filled + CHUNK).min(stream.len());
        let room = stream.get_mut(filled..end).unwrap_or(&mut []);
        match limit.retry("receiving the stream", || (&connection).read(room))? {
            0 => break,
            octets => filled += octets,
        }
    }
    let end = Instant::now();
    let hash = Sha256::digest(stream.get(..filled).unwrap_or(&[]));
    limit.retry("sending the stream's hash", || (&connection).write(&hash))?;
    Ok(end)
}
