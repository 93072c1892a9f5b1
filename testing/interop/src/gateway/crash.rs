//! The daemon is killed while a host behind it sends, and started again.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use sealway_io::capture::Direction;
use socket2::{Domain, Protocol, Socket, Type};

use super::recorder::{self, Recorder};
use super::scene::{OURS, Scene};
use super::{IV, transfer};
use crate::fault::Fault;
use crate::frame::EspFrame;
use crate::link::{End, Family};
use crate::peer::in_namespace;
use crate::row::Row;
use crate::station::Station;
use crate::traffic::Stream;

/// IP's number of packets that bring their own header to a raw socket.
const OWN_HEADER: i32 = 255;
/// Packets that are replayed at once: no more than wait in a socket.
const BATCH: usize = 100;
/// When TCP sends again at last: each time it waits twice as long, and it has waited for the daemon.
const RETRANSMITTED: Duration = Duration::from_secs(60);
/// How long a daemon may take to read what has arrived.
const TAKEN_IN: Duration = Duration::from_millis(200);
/// How long a packet may take to be counted.
const COUNTED: Duration = Duration::from_secs(20);

pub(super) fn run(scene: &mut Scene, row: &Row, number: u32, stream: &Stream) -> Result<()> {
    scene.apply(&row.site(number))?;
    let refused_by_peer = numbers_refused(&scene.peer)?;
    let recorder = Recorder::start(&scene.router, OURS)?;
    let (mut frames, mut astray) = (Vec::new(), Vec::new());
    let Scene {
        ours, peer, host, ..
    } = scene;
    transfer::run(
        (host, peer),
        Scene::addresses(row.inner),
        stream,
        |transfer| {
            transfer.goes_on()?;
            frames.extend(recorder.take());
            thread::sleep(TAKEN_IN);
            ours.kill()?;
            // What was under way has left.
            thread::sleep(Duration::from_millis(100));
            astray.extend(recorder.take());
            let killed = Instant::now();
            thread::sleep(vigil());
            let after = recorder.take();
            let esp = recorder::esp(&after, Direction::In).len();
            let clear = recorder::clear(&after, Direction::In);
            ensure!(
                (esp, clear) == (0, 0),
                "{clear} clear packets and {esp} of ESP left within {:?} after the kill",
                killed.elapsed()
            );
            astray.extend(after);
            ours.restart()?;
            transfer.goes_on_after(RETRANSMITTED)?;
            Ok(())
        },
    )?;
    frames.extend(recorder.stop()?);
    let never_read = recorder::esp(&astray, Direction::Out);
    let read = recorder::esp(&frames, Direction::Out);
    frames.extend(astray);
    let clear = recorder::clear(&frames, Direction::In);
    ensure!(clear == 0, "{clear} clear packets left");

    let sent = recorder::esp(&frames, Direction::In);
    let repeated = recorder::repeated_ivs(&sent, IV);
    ensure!(repeated == 0, "{repeated} of {} IVs twice", sent.len());
    let refused = numbers_refused(&scene.peer)? - refused_by_peer;
    ensure!(
        refused == 0,
        "the peer has refused {refused} of our numbers"
    );
    nothing_is_accepted_again(scene, row, &read, &never_read)
}

/// How long nothing may leave: `SEALWAY_GUARD_SECONDS`, else two seconds.
fn vigil() -> Duration {
    let seconds = std::env::var("SEALWAY_GUARD_SECONDS").ok();
    let seconds = seconds.and_then(|text| text.parse().ok()).unwrap_or(2);
    Duration::from_secs(seconds)
}

/// How many packets the peer has refused for their sequence numbers.
fn numbers_refused(peer: &dyn Station) -> Result<u64> {
    let name = Fault::Replay.linux().context("Linux has no name for it")?;
    Ok(peer.drops()?.get(name).copied().unwrap_or_default())
}

/// Sends all that came from the peer once more. What had not been accepted, since its numbers were
/// not reserved yet or nobody was there to read it, may be the first time; the second time nothing
/// may.
fn nothing_is_accepted_again(
    scene: &Scene,
    row: &Row,
    read: &[EspFrame],
    perhaps_read: &[EspFrame],
) -> Result<()> {
    ensure!(
        read.len() > 50,
        "only {} packets of the peer were recorded",
        read.len()
    );
    let drops = scene.ours.drops()?;
    let unreserved = drops.get("unreserved_in").copied().unwrap_or_default();
    let accepted = replay(scene, row, read, unreserved)?;
    ensure!(
        accepted <= unreserved,
        "{accepted} of {} replayed packets were not refused; {unreserved} had never come in",
        read.len()
    );
    replay(scene, row, perhaps_read, perhaps_read.len() as u64)?;
    let delivered = scene.ours.delivered()?;
    replay(scene, row, read, 0)?;
    replay(scene, row, perhaps_read, 0)?;
    let accepted = scene.ours.delivered()? - delivered;
    ensure!(accepted == 0, "{accepted} replayed packets were accepted");
    Ok(())
}

/// Sends these packets to our end and says how many were not refused as replayed: `spared` at most,
/// or it waits in vain for more to be refused.
fn replay(scene: &Scene, row: &Row, packets: &[EspFrame], spared: u64) -> Result<u64> {
    let family = match row.outer {
        Family::V4 => Domain::IPV4,
        Family::V6 => Domain::IPV6,
    };
    let socket = in_namespace(scene.router.name(), || {
        Socket::new(family, Type::RAW, Some(Protocol::from(OWN_HEADER)))
    })??;
    let target = SocketAddr::new(End::Ours.outer(row.outer), 0).into();
    let refused = || -> Result<u64> {
        let drops = scene.ours.drops()?;
        let count = drops.get(Fault::Replay.sealway()).copied();
        Ok(count.unwrap_or_default())
    };
    let before = refused()?;
    let mut sent = 0;
    for batch in packets.chunks(BATCH) {
        for frame in batch {
            socket.send_to(frame.packet(), &target)?;
        }
        sent += batch.len() as u64;
        let limit = Instant::now() + COUNTED;
        while refused()? + spared < before + sent {
            ensure!(
                Instant::now() < limit,
                "of {sent} replayed packets only {} were refused",
                refused()? - before
            );
            thread::sleep(Duration::from_millis(5));
        }
    }
    // The last may still be on their way.
    thread::sleep(Duration::from_millis(300));
    Ok(sent - (refused()? - before).min(sent))
}
