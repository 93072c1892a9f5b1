//! The router's link to the peer shrinks in mid-transfer and grows again.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use sealway_io::capture::Direction;

use super::recorder::Recorder;
use super::scene::{PEER, Scene};
use super::transfer;
use crate::host::Host as _;
use crate::row::Row;
use crate::traffic::Stream;

/// How long a command may take.
const LIMIT: Duration = Duration::from_secs(20);
/// Octets of the usual path, and of the narrow one.
const WIDE: usize = 1500;
const NARROW: usize = 1280;
/// Octets of an Ethernet header.
const ETHERNET: usize = 14;
/// How long the path's growth may go unnoticed; the gateway forgets after a second, the host after two.
const PATIENCE: Duration = Duration::from_secs(30);
/// Seconds after which the host forgets what it has learned of paths: here, and usually. A TCP that
/// waits longer than that before it sends again would send too much each time, for ever.
const FORGOTTEN: u32 = 2;
const USUALLY_FORGOTTEN: u32 = 600;

pub(super) fn run(scene: &Scene, row: &Row, number: u32, stream: &Stream) -> Result<()> {
    scene.apply(&row.site(number))?;
    forget_after(scene, FORGOTTEN)?;
    let result = transfer::run(
        (&scene.host, &scene.peer),
        Scene::addresses(row.inner),
        stream,
        |transfer| {
            transfer.goes_on()?;
            let heard = scene.ours.device("too_big_heard")?;
            cut(scene, NARROW)?;
            let narrow = Recorder::start(&scene.router, PEER)?;
            transfer.goes_on()?;
            transfer.goes_on()?;
            ensure!(
                scene.ours.device("too_big_heard")? > heard,
                "the router has reported nothing"
            );
            ensure!(longest(&narrow) <= NARROW, "the link is not narrow");
            drop(narrow);
            cut(scene, WIDE)?;
            let wide = Recorder::start(&scene.router, PEER)?;
            let limit = Instant::now() + PATIENCE;
            while longest(&wide) <= NARROW {
                ensure!(
                    Instant::now() < limit,
                    "the path's growth is not found within {PATIENCE:?}"
                );
                transfer.goes_on()?;
            }
            transfer.goes_on()?;
            Ok(())
        },
    );
    cut(scene, WIDE)?;
    forget_after(scene, USUALLY_FORGOTTEN)?;
    result
}

/// Sets how long the host remembers what it learns of paths from now on.
fn forget_after(scene: &Scene, seconds: u32) -> Result<()> {
    let script = format!(
        "for family in ipv4 ipv6; do echo {seconds} > /proc/sys/net/$family/route/mtu_expires || exit; done"
    );
    scene.host.sh(&script, LIMIT)?.ok()?;
    Ok(())
}

/// Sets what the router's link to the peer carries.
fn cut(scene: &Scene, octets: usize) -> Result<()> {
    scene.on_router(&format!("ip link set {PEER} mtu {octets}"))
}

/// The longest packet to the peer since the last question.
fn longest(recorder: &Recorder) -> usize {
    recorder
        .take()
        .iter()
        .filter(|(direction, _)| *direction == Direction::Out)
        .map(|(_, octets)| octets.len().saturating_sub(ETHERNET))
        .max()
        .unwrap_or_default()
}
