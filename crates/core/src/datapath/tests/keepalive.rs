//! When keepalives are due.

use std::net::IpAddr;
use std::time::Duration;

use sealway_wire::Family;

use super::harness::*;
use crate::sad::{Peer, SaConfig, SaMode, UdpEncapsulation};
use crate::{Engine, Keepalive, Time};

const INTERVAL: Duration = Duration::from_secs(20);

fn at(second: u64) -> Time {
    Time::since_start(Duration::from_secs(second))
}

fn in_udp(spi: u32, destination: u16) -> SaConfig {
    let mut config = sa(LEFT, RIGHT, spi, SaMode::Tunnel);
    config.encapsulation = Some(UdpEncapsulation {
        source: 4500,
        destination,
        peer: Peer::Stays,
    });
    config
}

fn due(engine: &mut Engine, second: u64) -> Vec<IpAddr> {
    engine.begin(at(second));
    let due = engine.keepalives(INTERVAL, Keepalive::Octet).into_iter();
    due.map(|keepalive| outer_of(*keepalive.egress()).destination)
        .collect()
}

#[test]
fn a_keepalive_is_due_where_nothing_was_sent_for_a_while() {
    // Two SAs to one peer by the same ports: one way.
    let sas = vec![
        in_udp(0x1000, 4500),
        in_udp(0x1001, 4500),
        sa(LEFT, "192.0.2.3", 0x1002, SaMode::Tunnel),
    ];
    let (mut a, mut b) = pair(Family::V4, vec![tunnel(LEFT, RIGHT)], sas);
    assert_eq!(due(&mut a, 19), [] as [IpAddr; 0]);
    assert_eq!(due(&mut a, 20), [ip(RIGHT)]);
    assert_eq!(due(&mut a, 21), [] as [IpAddr; 0]);
    a.begin(at(35));
    send(&mut a, &inside(Family::V4, 100));
    assert_eq!(due(&mut a, 54), [] as [IpAddr; 0]);
    assert_eq!(due(&mut a, 55), [ip(RIGHT)]);
    assert_eq!(
        due(&mut b, 100),
        [] as [IpAddr; 0],
        "its SAs are not for sending"
    );
}
