//! The daemon reads its files again and again while a host behind it sends: two sites in turn, which
//! both protect what is sent, by different policies.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use sealway_io::capture::Direction;

use super::recorder::{self, Recorder};
use super::scene::{OURS, Scene};
use super::transfer;
use crate::link::End;
use crate::row::Row;
use crate::site::{Site, Upper};
use crate::station::Station;
use crate::traffic::{PORT, Stream};

/// Octets that the daemon may have grown by, as the pages of its heap fall.
const GROWTH: u64 = 2 << 20;
/// How long the last packets may take to be counted.
const SETTLE: Duration = Duration::from_secs(10);
/// The drop of a packet whose number is not reserved on storage yet.
const UNRESERVED: &str = "unreserved_in";
/// Reloads after which nothing new is touched.
const WARM: u32 = 10;

pub(super) fn run(scene: &Scene, row: &Row, number: u32, stream: &Stream) -> Result<()> {
    let one = row.site(number);
    let other = by_protocol(&one);
    scene.apply(&one)?;
    let recorder = Recorder::start(&scene.router, OURS)?;
    let drops = scene.ours.drops()?;
    transfer::run(
        (&scene.host, &scene.peer),
        Scene::addresses(row.inner),
        stream,
        |transfer| {
            transfer.goes_on()?;
            let mut memory = 0;
            for turn in 0..reloads() {
                if turn == WARM {
                    memory = scene.ours.memory()?;
                }
                scene
                    .ours
                    .reload(if turn % 2 == 0 { &other } else { &one })?;
            }
            let grown = scene.ours.memory()?.saturating_sub(memory);
            ensure!(grown <= GROWTH, "the daemon has grown by {grown} octets");
            transfer.goes_on()
        },
    )?;
    nothing_is_lost(scene, number, &drops)?;
    let frames = recorder.stop()?;
    let clear = recorder::clear(&frames, Direction::In) + recorder::clear(&frames, Direction::Out);
    ensure!(clear == 0, "{clear} packets went in the clear");
    Ok(())
}

/// Both ends have counted the same packets, and ours has dropped none; but where acknowledgements
/// come faster than storage reserves numbers for them, it says so and counts them.
fn nothing_is_lost(scene: &Scene, number: u32, before: &BTreeMap<String, u64>) -> Result<()> {
    let [out, back] = [End::Ours, End::Peer].map(|from| Row::spi(from, number));
    let limit = Instant::now() + SETTLE;
    loop {
        let (here, there) = (scene.ours.packets()?, scene.peer.packets()?);
        let mut lost = scene.ours.drops()?;
        lost.retain(|name, count| {
            *count -= before.get(name).copied().unwrap_or_default().min(*count);
            *count > 0 && name != "link_local"
        });
        let unreserved = lost.remove(UNRESERVED).unwrap_or_default();
        let count = |packets: &BTreeMap<u32, u64>| packets.get(&back).copied().unwrap_or_default();
        let missing = count(&there).saturating_sub(count(&here));
        if lost.is_empty() && here.get(&out) == there.get(&out) && missing == unreserved {
            return Ok(());
        }
        ensure!(
            Instant::now() < limit,
            "we count {here:?}, the peer {there:?}, dropped: {lost:?} and {unreserved} unreserved"
        );
        thread::sleep(Duration::from_millis(100));
    }
}

/// How many: `SEALWAY_RELOADS`, else a hundred.
fn reloads() -> u32 {
    let wanted = std::env::var("SEALWAY_RELOADS").ok();
    wanted.and_then(|text| text.parse().ok()).unwrap_or(100)
}

/// The same site with policies for TCP and UDP in front of those for all.
fn by_protocol(site: &Site) -> Site {
    let mut narrow = site.clone();
    narrow.policies.clear();
    for policy in &site.policies {
        for upper in [Upper::Tcp(PORT), Upper::Udp(PORT)] {
            let mut policy = policy.clone();
            policy.upper = upper;
            narrow.policies.push(policy);
        }
    }
    narrow.policies.extend(site.policies.clone());
    narrow
}
