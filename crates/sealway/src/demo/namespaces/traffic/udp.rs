//! Datagrams, each answered with itself.

use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};
use socket2::Type;

use super::{Talk, socket};
use crate::demo::limit::Limit;
use crate::demo::measure::{DATAGRAM_COUNT, DATAGRAMS, Datagram, Measured};

/// How long the first attempt waits; each further one twice as long. Long, so that what is written
/// down as sent once is not sent twice on a busy machine; the path's MTU is known from the pings.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const ATTEMPTS: u32 = 3;
/// The longest datagram.
const LONGEST: usize = 65_536;

pub(super) fn run(talk: &Talk<'_>, limit: &Limit, sent: &mut Vec<Datagram>) -> Result<Measured> {
    let server: UdpSocket = socket(talk.answering, talk.port, Type::DGRAM, None)?.into();
    let client: UdpSocket = socket(talk.asking, 0, Type::DGRAM, None)?.into();
    client.connect(talk.service())?;
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let answering = scope.spawn(|| answer(&server, &done));
        let asked = ask(talk, &client, limit, sent);
        done.store(true, Ordering::Relaxed);
        let answered = answering
            .join()
            .map_err(|_| anyhow!("the thread that answers panicked"))?;
        let measured = asked?;
        answered.map(|()| measured)
    })
}

fn ask(
    talk: &Talk<'_>,
    client: &UdpSocket,
    limit: &Limit,
    sent: &mut Vec<Datagram>,
) -> Result<Measured> {
    let here = client.local_addr()?;
    let mut times = Vec::new();
    for (index, octets) in DATAGRAMS
        .into_iter()
        .cycle()
        .take(DATAGRAM_COUNT)
        .enumerate()
    {
        let payload = talk.marker.payload(octets, index as u64);
        times.push(exchange(client, &payload, limit)?);
        for (source, destination) in [(here, talk.service()), (talk.service(), here)] {
            sent.push(Datagram {
                source,
                destination,
                payload: payload.clone(),
            });
        }
    }
    Ok(Measured::answers(times))
}

/// Sends until the same comes back, and says how long it took.
fn exchange(client: &UdpSocket, payload: &[u8], limit: &Limit) -> Result<Duration> {
    let octets = payload.len();
    let mut buffer = vec![0; LONGEST];
    for attempt in 0..ATTEMPTS {
        let start = Instant::now();
        // An error here is an older datagram's, such as a port that was not open yet.
        let _ = client.send(payload);
        while start.elapsed() < FIRST_WAIT * 2u32.pow(attempt) {
            limit.check(&format!("a datagram of {octets} octets"))?;
            if let Ok(length) = client.recv(&mut buffer)
                && buffer.get(..length) == Some(payload)
            {
                return Ok(start.elapsed());
            }
        }
    }
    bail!("no answer to {ATTEMPTS} datagrams of {octets} octets")
}

fn answer(server: &UdpSocket, done: &AtomicBool) -> Result<()> {
    let mut buffer = vec![0; LONGEST];
    while !done.load(Ordering::Relaxed) {
        if let Ok((length, from)) = server.recv_from(&mut buffer) {
            let _ = server.send_to(buffer.get(..length).unwrap_or(&[]), from);
        }
    }
    Ok(())
}
