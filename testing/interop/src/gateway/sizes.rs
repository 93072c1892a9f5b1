//! The router's link to the peer shrinks in mid-transfer and grows again.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use sealway_io::capture::Direction;

use super::recorder::Recorder;
use super::scene::{PEER, Scene};
use super::transfer;
use crate::row::Row;
use crate::traffic::Stream;

/// Octets of the usual path, and of the narrow one.
const WIDE: usize = 1500;
const NARROW: usize = 1280;
/// Octets of an Ethernet header.
const ETHERNET: usize = 14;
/// How long the path's growth may go unnoticed; the gateway and the host forget after a second.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) fn run(scene: &Scene, row: &Row, number: u32, stream: &Stream) -> Result<()> {
    scene.apply(&row.site(number))?;
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
    result
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
