//! Reports of packets that were too big, true and forged.

use std::time::Duration;

use sealway_wire::{Family, Quoted, TooBig};

use super::harness::*;
use crate::Time;
use crate::sad::{Peer, SaMode, UdpEncapsulation};

const PORTS: UdpEncapsulation = UdpEncapsulation {
    source: 4500,
    destination: 4501,
    peer: Peer::Stays,
};

fn report(quoted: Quoted) -> TooBig {
    TooBig {
        source: ip(LEFT),
        destination: ip(RIGHT),
        mtu: 1300,
        quoted,
    }
}

fn udp(spi: Option<u32>) -> TooBig {
    report(Quoted::Udp {
        source: 4500,
        destination: 4501,
        spi,
    })
}

#[test]
fn a_report_is_believed_that_quotes_an_spi_of_ours() {
    let sas = vec![sa(LEFT, RIGHT, 0x1000, SaMode::Tunnel)];
    let (a, _) = pair(Family::V4, vec![tunnel(LEFT, RIGHT)], sas);
    let esp = |spi| report(Quoted::Esp { spi });
    assert!(a.believes(&esp(0x1000)));
    assert!(!a.believes(&esp(0x1001)));
    assert!(!a.believes(&esp(0)));
    assert!(!a.believes(&udp(Some(0x1000))), "never in UDP");
    let elsewhere = TooBig {
        destination: ip("192.0.2.9"),
        ..esp(0x1000)
    };
    assert!(!a.believes(&elsewhere));
    let of_another = TooBig {
        source: ip("192.0.2.9"),
        ..esp(0x1000)
    };
    assert!(!a.believes(&of_another));
}

#[test]
fn without_an_spi_a_report_is_believed_within_the_second_after_a_packet() {
    let mut sa = sa(LEFT, RIGHT, 0x1000, SaMode::Tunnel);
    sa.encapsulation = Some(PORTS);
    let (mut a, _) = pair(Family::V4, vec![tunnel(LEFT, RIGHT)], vec![sa]);
    assert!(a.believes(&udp(Some(0x1000))));
    assert!(!a.believes(&udp(Some(0))), "a key manager's");
    assert!(
        !a.believes(&report(Quoted::Esp { spi: 0x1000 })),
        "always in UDP"
    );
    assert!(!a.believes(&udp(None)), "nothing was sent");
    let at = |milliseconds| Time::since_start(Duration::from_millis(milliseconds));
    a.begin(at(5000));
    send(&mut a, &inside(Family::V4, 100));
    a.begin(at(6000));
    assert!(a.believes(&udp(None)));
    let other_port = report(Quoted::Udp {
        source: 4500,
        destination: 4500,
        spi: None,
    });
    assert!(!a.believes(&other_port));
    a.begin(at(6001));
    assert!(!a.believes(&udp(None)));
}
