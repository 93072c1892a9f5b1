//! Whoever holds the router sends clear packets to addresses inside.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::scene::{OURS, Scene};
use crate::host::Host;
use crate::link::End;
use crate::row::Row;
use crate::station::echoes;

/// How long a command may take.
const LIMIT: Duration = Duration::from_secs(20);
/// Echo requests from each source to each destination.
const REQUESTS: u64 = 5;

pub(super) fn run(scene: &Scene, row: &Row, number: u32) -> Result<()> {
    scene.apply(&row.site(number))?;
    let family = row.inner;
    let targets = [End::Ours.inner(family), End::Ours.behind(family)];
    let delivered = || Ok::<_, anyhow::Error>(echoes(&scene.ours)? + echoes(&scene.host)?);

    let (before, refused_before) = (delivered()?, refused(scene)?);
    // Its own address, and one that only the tunnel may bring.
    let forged = End::Peer.behind(family);
    let (bits, via) = (family.bits(), End::Ours.outer(family));
    scene.on_router(&format!("ip addr add {forged}/{bits} dev lo"))?;
    for target in targets {
        scene.on_router(&format!(
            "ip route add {target}/{bits} via {via} dev {OURS} onlink"
        ))?;
        for source in [Scene::router_address(family), forged] {
            let ping =
                format!("ping -n -q -c {REQUESTS} -i 0.01 -W 0.3 -I {source} {target} || true");
            scene.on_router(&ping)?;
        }
        scene.on_router(&format!("ip route del {target}/{bits}"))?;
    }
    scene.on_router(&format!("ip addr del {forged}/{bits} dev lo"))?;
    let arrived = delivered()? - before;
    ensure!(arrived == 0, "{arrived} clear packets were delivered");
    let refused = refused(scene)? - refused_before;
    let sent = 2 * REQUESTS * targets.len() as u64;
    ensure!(
        refused >= sent,
        "the guard counts {refused} packets, not the {sent} that were sent"
    );

    // The same addresses are reached through the tunnel.
    let source = End::Peer.inner(family);
    for target in targets {
        let script = format!(
            "for try in 1 2 3; do ping -n -q -c 1 -W 5 -I {source} {target} && exit 0; done; exit 1"
        );
        scene.peer.sh(&script, LIMIT)?.ok()?;
    }
    ensure!(delivered()? > before, "nothing came through the tunnel");
    Ok(())
}

/// What the guard has dropped so far.
fn refused(scene: &Scene) -> Result<u64> {
    let script = "nft list table inet sealway-seal0 | sed -n 's/.*counter packets \\([0-9]*\\) .*drop.*/\\1/p'";
    let counts = scene.ours.sh(script, LIMIT)?.ok()?;
    Ok(counts
        .lines()
        .filter_map(|line| line.trim().parse::<u64>().ok())
        .sum())
}
