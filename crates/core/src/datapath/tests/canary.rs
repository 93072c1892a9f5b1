//! The canary finds a shortcut that lies, and no shortcut that does not.

use super::harness::*;
use super::segments::{from, offloaded, segments, tcp, through};
use super::trains::{ends, seal_all, stream, take_in, train_of};
use crate::datapath::canary::{Canary, Look};
use crate::sad::*;
use crate::*;
use proptest::prelude::*;
use sealway_packet::Segmentation;
use sealway_wire::{Family, build};

fn gateways(family: Family) -> (Engine, Engine) {
    let sas = vec![sa(LEFT, RIGHT, 0x1000, SaMode::Tunnel)];
    pair(family, vec![tunnel(LEFT, RIGHT)], sas)
}

fn trusted(engine: &mut Engine) -> Vec<Shortcut> {
    let datapath = engine.datapath();
    let shortcuts = Shortcut::ALL.into_iter();
    shortcuts.filter(|one| datapath.trusts(*one)).collect()
}

fn without(liar: Shortcut) -> Vec<Shortcut> {
    let shortcuts = Shortcut::ALL.into_iter();
    shortcuts.filter(|one| *one != liar).collect()
}

#[test]
fn a_cut_that_lies_is_found_made_right_and_not_taken_again() {
    let tcp_of = |family| (tcp(family, 20_000), Segmentation::Tcp(1300));
    let udp = (
        from(Family::V6).udp(5, 6, &[7; 20_000]),
        Segmentation::Udp(1200),
    );
    for (liar, family, (packet, segmentation)) in [
        (Shortcut::CutTcp4, Family::V4, tcp_of(Family::V4)),
        (Shortcut::CutTcp6, Family::V6, tcp_of(Family::V6)),
        (Shortcut::CutUdp, Family::V6, udp),
    ] {
        let (mut a, mut b) = gateways(family);
        a.datapath().canary.liar = Some(liar);
        for _ in 0..3 {
            let arrived = through(&mut a, &mut b, offloaded(&packet, segmentation));
            assert_eq!(arrived, segments(&packet, segmentation));
        }
        assert_eq!(trusted(&mut a), without(liar));
        assert_eq!(a.datapath().samples(), 1);
    }
}

#[test]
fn a_join_that_lies_is_found_made_right_and_not_taken_again() {
    let config = sa(LEFT, RIGHT, 0x1000, SaMode::Tunnel);
    let (mut a, mut b) = ends(Family::V4, tunnel(LEFT, RIGHT), config);
    b.datapath().canary.liar = Some(Shortcut::Join);
    let from = build::Packet::new(ip("10.1.0.9"), ip("10.2.0.9")).dont_fragment();
    let packets = stream(&from, 20, 1000);
    for _ in 0..2 {
        let (egress, sealed) = seal_all(&mut a, &packets);
        let (pieces, delivered) = take_in(&mut b, train_of(egress, &sealed));
        assert_eq!((pieces, &delivered), (20, &packets));
    }
    assert_eq!(trusted(&mut b), without(Shortcut::Join));
    assert_eq!(b.datapath().samples(), 1);
}

#[test]
fn the_first_use_is_a_sample_and_one_in_4096_after_it() {
    let mut canary = Canary::default();
    let mut look = || canary.look(Shortcut::CutUdp) == Look::Closely;
    let samples: Vec<_> = (0..10_000).filter(|_| look()).collect();
    assert_eq!(samples, [0, 4096, 8192]);
    assert!(canary.look(Shortcut::CutTcp4) == Look::Closely);
}

#[test]
fn without_a_buffer_nothing_is_compared_and_nothing_lost() {
    let (mut a, mut b) = gateways(Family::V4);
    let packet = tcp(Family::V4, 3000);
    let segmentation = Segmentation::Tcp(1300);
    // One for the segments, none to compare them with.
    let class = sealway_packet::SizeClass::Large;
    let pool = a.datapath().pool.clone();
    let mut taken: Vec<_> = std::iter::from_fn(|| pool.take(class)).collect();
    taken.pop();
    let arrived = through(&mut a, &mut b, offloaded(&packet, segmentation));
    assert_eq!(arrived, segments(&packet, segmentation));
    assert_eq!(a.datapath().samples(), 0);
}

proptest! {
    /// Whoever can make packets cannot make the canary distrust what is sound.
    #[test]
    fn nothing_that_comes_in_costs_trust(
        v6: bool, dont_fragment: bool, size in 1usize..1300, count in 2u32..30,
        flips in proptest::collection::vec((0usize..30, 0usize..1400), 0..4),
        changes in proptest::collection::vec((0usize..30, 0usize..60, any::<u8>()), 0..20),
    ) {
        let family = if v6 { Family::V6 } else { Family::V4 };
        let config = sa(LEFT, RIGHT, 0x1000, SaMode::Tunnel);
        let (mut a, mut b) = ends(family, tunnel(LEFT, RIGHT), config);
        let mut from = from(family);
        if dont_fragment {
            from = from.dont_fragment();
        }
        let mut packets = stream(&from, count, size);
        // What the peer sends is not what it should be, …
        for (packet, at, octet) in changes {
            let packet = packet % packets.len();
            let at = 40.max(at) % packets[packet].len();
            if at >= 40 {
                packets[packet][at] = octet;
            }
        }
        let (egress, mut sealed) = seal_all(&mut a, &packets);
        // … and somebody damages it on its way.
        for (packet, at) in flips {
            let packet = packet % sealed.len();
            let at = at % sealed[packet].len();
            sealed[packet][at] ^= 1;
        }
        b.datapath().canary.wake();
        let _ = take_in(&mut b, train_of(egress, &sealed));
        prop_assert_eq!(trusted(&mut b), Shortcut::ALL);
    }

    #[test]
    fn nothing_that_goes_out_costs_trust(
        v6: bool, size in 1u16..1400, octets in 1usize..20_000,
        changes in proptest::collection::vec((20usize..80, any::<u8>()), 0..10),
    ) {
        let family = if v6 { Family::V6 } else { Family::V4 };
        let (mut a, _) = gateways(family);
        let mut packet = tcp(family, octets);
        let headers = if v6 { 40 } else { 20 };
        for (at, octet) in changes {
            if (headers + 4..packet.len()).contains(&at) {
                packet[at] = octet;
            }
        }
        a.datapath().canary.wake();
        let _ = a.output(offloaded(&packet, Segmentation::Tcp(size)));
        while a.more().is_some() {}
        prop_assert_eq!(trusted(&mut a), Shortcut::ALL);
    }
}
