//! The router is a NAT before one of the ends: the other one sees the router's address and a port of
//! its choice, and the port changes in mid-transfer. Our end follows its peer; the peer's kernel tells
//! its key manager, which is this row.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use sealway_io::capture::Direction;

use super::recorder::{self, Recorder};
use super::scene::{OURS, PEER, Scene};
use super::transfer::{self, Transfer};
use crate::host::Host;
use crate::link::End;
use crate::row::Row;
use crate::site::Site;
use crate::traffic::Stream;
use crate::xfrm;

/// How long a command may take.
const LIMIT: Duration = Duration::from_secs(20);

/// The ports that the NAT chooses, one after the other. Each row has its own: what still comes to an
/// old one is remembered for a while, and keeps the NAT from choosing it again.
fn ports(number: u32) -> [u16; 2] {
    let first = 20_000 + 2 * (number % 1000) as u16;
    [first, first + 1]
}

/// Our end is behind the NAT; it sends.
pub(super) fn ours(scene: &Scene, row: &Row, number: u32, stream: &Stream) -> Result<()> {
    let right = row.site(number);
    let ports = ports(number);
    let [first, second] = ports.map(|port| behind_nat(End::Ours, &right, row, port));
    translate(End::Ours, scene, row, ports[0])?;
    scene.apply_each(&right, &first)?;
    transfer::run(
        (&scene.host, &scene.peer),
        Scene::addresses(row.inner),
        stream,
        |transfer| {
            transfer.goes_on()?;
            translate(End::Ours, scene, row, ports[1])?;
            update(scene, &second)?;
            goes_on_from(ports[1], scene, PEER, transfer)
        },
    )
}

/// The peer is behind the NAT. It sends: a silent one is not found.
pub(super) fn peers(scene: &Scene, row: &Row, number: u32, stream: &Stream) -> Result<()> {
    let right = row.site(number);
    let ports = ports(number);
    let mut seen = behind_nat(End::Peer, &right, row, ports[0]);
    seen.sas.iter_mut().for_each(|sa| sa.roams = true);
    translate(End::Peer, scene, row, ports[0])?;
    scene.apply_each(&seen, &right)?;
    let (host, peer) = Scene::addresses(row.inner);
    transfer::run(
        (&scene.peer, &scene.host),
        (peer, host),
        stream,
        |transfer| {
            transfer.goes_on()?;
            translate(End::Peer, scene, row, ports[1])?;
            goes_on_from(ports[1], scene, OURS, transfer)
        },
    )
}

/// The transfer goes on, and what leaves the NAT by this device comes from this port.
fn goes_on_from(port: u16, scene: &Scene, device: &str, transfer: &Transfer<'_>) -> Result<()> {
    let recorder = Recorder::start(&scene.router, device)?;
    transfer.goes_on()?;
    let sent = recorder::esp(&recorder.stop()?, Direction::Out);
    ensure!(
        sent.iter().any(|frame| frame.udp_source() == Some(port)),
        "the NAT has not changed its port"
    );
    Ok(())
}

/// The view of the other end: this one is the router.
fn behind_nat(end: End, right: &Site, row: &Row, port: u16) -> Site {
    let hidden = end.outer(row.outer);
    let seen = Scene::router_address(row.outer);
    let mut site = right.clone();
    for sa in &mut site.sas {
        if sa.source == hidden {
            (sa.source, sa.ports.0) = (seen, port);
        }
        if sa.destination == hidden {
            (sa.destination, sa.ports.1) = (seen, port);
        }
    }
    for policy in &mut site.policies {
        let (near, far) = &mut policy.endpoints;
        for endpoint in [near, far] {
            if *endpoint == hidden {
                *endpoint = seen;
            }
        }
    }
    site
}

/// What this end sends leaves the NAT from this port, and no older mapping counts.
fn translate(end: End, scene: &Scene, row: &Row, port: u16) -> Result<()> {
    let hidden = end.outer(row.outer);
    let device = match end {
        End::Ours => PEER,
        End::Peer => OURS,
    };
    // Meanwhile nothing passes: it would be remembered as not translated.
    rules(
        scene,
        "type filter hook forward priority filter; meta l4proto udp drop",
    )?;
    // A masquerade forgets its mappings when it loses its address; it gets it back at once.
    let (own, bits) = (Scene::router_address(row.outer), row.outer.bits());
    scene.on_router(&format!(
        "for device in {PEER} {OURS}; do
           ip addr del {own}/{bits} dev $device
           ip addr add {own}/{bits} dev $device
         done"
    ))?;
    rules(
        scene,
        &format!(
            "type nat hook postrouting priority srcnat
             ip saddr {hidden} udp sport 4500 oifname {device} masquerade to :{port}"
        ),
    )
}

/// Replaces the router's only chain of rules.
fn rules(scene: &Scene, chain: &str) -> Result<()> {
    scene.on_router(&format!(
        "nft -f - <<'END'
table ip nat
delete table ip nat
table ip nat {{
  chain only {{
    {chain}
  }}
}}
END"
    ))
}

/// What a key manager does when it is told of a new mapping.
fn update(scene: &Scene, site: &Site) -> Result<()> {
    let script = format!("ip -batch - <<'END'\n{}END", xfrm::update(&site.sas));
    scene
        .peer
        .sh(&script, LIMIT)?
        .ok()
        .context("ip xfrm state update")?;
    Ok(())
}
