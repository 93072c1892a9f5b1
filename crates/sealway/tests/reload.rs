//! A thousand reloads under load, alternating two policy files: no packet is lost, none leaves in
//! the clear, nothing grows, and what both files say goes on as it was.
#![allow(clippy::unwrap_used)]

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use sealway::setkey::{Carrier, Source, replace};
use sealway_core::path::LocalAddresses;
use sealway_core::{
    ClearPath, Command, Control, Datapath, DatapathConfig, DefaultAction, Tables, Time, Verdict,
};
use sealway_packet::{Arrival, Egress, Packet, Pool, Train};
use sealway_wire::build;
use zeroize::Zeroizing;

const RELOADS: usize = 1000;

/// What both files have. Without a policy traffic would pass in the clear.
const COMMON: &str = "
add 192.0.2.1 192.0.2.2 esp 0x10003 -m tunnel -u 7 -E aes-gcm-16 0x404142434445464748494a4b4c4d4e4f50515253;
add 192.0.2.1 192.0.2.2 esp 0x10001 -m tunnel -E aes-gcm-16 0x000102030405060708090a0b0c0d0e0f10111213;
add 192.0.2.2 192.0.2.1 esp 0x10002 -m tunnel -E aes-gcm-16 0x202122232425262728292a2b2c2d2e2f30313233;
spdadd 10.0.0.0/8 10.9.0.0/16 any -P out ipsec esp/tunnel/192.0.2.1-192.0.2.2/require;
";

/// What only one has: the same traffic by narrower words, through another SA; and an SA
/// more.
const NARROW: &str = "
add 192.0.2.1 192.0.2.9 esp 0x10004 -E aes-gcm-16 0x606162636465666768696a6b6c6d6e6f70717273;
spdadd 10.1.0.0/16 10.2.0.0/16 udp -P out prio 5 ipsec esp/tunnel/192.0.2.1-192.0.2.2/unique:7;
spdadd 10.2.0.0/16 10.1.0.0/16 udp -P in ipsec esp/tunnel/192.0.2.2-192.0.2.1/require;
";

/// What only the other has.
const WIDE: &str = "
spdadd 10.1.0.0/16 10.2.0.0/16 any -P out ipsec esp/tunnel/192.0.2.1-192.0.2.2/require;
spdadd 10.2.0.0/16 10.1.0.0/16 any -P in ipsec esp/tunnel/192.0.2.2-192.0.2.1/require;
";

/// The other end.
const PEER: &str = "
spdadd 10.2.0.0/16 10.1.0.0/16 any -P out ipsec esp/tunnel/192.0.2.2-192.0.2.1/require;
spdadd 10.1.0.0/16 10.2.0.0/16 any -P in ipsec esp/tunnel/192.0.2.1-192.0.2.2/require;
";

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn load(control: &mut Control, texts: &[&str]) {
    let source = |text: &&str| Source {
        name: "site.setkey".into(),
        text: Zeroizing::new((*text).into()),
    };
    let sources: Vec<Source> = texts.iter().map(source).collect();
    let (_, warnings) = replace(&Carrier::any(), control, &sources, Vec::new()).unwrap();
    assert_eq!(warnings.count(), 0);
}

fn end(local: &str) -> (Control, Datapath) {
    let mut control = Control::new(DefaultAction::Bypass, 1500);
    let local = LocalAddresses::new(vec![ip(local)]);
    control
        .apply(vec![Command::SetLocalAddresses(local)])
        .unwrap();
    let config = DatapathConfig {
        clear: ClearPath::Present,
        ..DatapathConfig::default()
    };
    let mut count = 0u8;
    let random = move |octets: &mut [u8]| {
        for octet in octets {
            count = count.wrapping_mul(13).wrapping_add(41);
            *octet = count;
        }
    };
    let datapath = Datapath::new(control.shared(), config, Pool::new(8, 8), Box::new(random));
    (control, datapath)
}

/// A packet from one end through the other: lost or clear is the end of the test.
fn pass(from: &mut Datapath, to: &mut Datapath, packet: &[u8]) {
    let transmit = match from.output(Packet::new(Train::detached(packet), ())) {
        Verdict::Sent(transmit) => transmit,
        other => panic!("a packet was lost on its way out: {other:?}"),
    };
    let (egress, train, _) = transmit.into_parts();
    let Egress::Payload(outer) = egress else {
        panic!("a packet left in the clear: {egress:?}");
    };
    let arrival = Packet::new(Train::detached(train.packet()), Arrival::Payload(outer));
    let admitted = match to.input(arrival) {
        Verdict::Delivered(admitted) => admitted,
        other => panic!("a packet was lost on its way in: {other:?}"),
    };
    assert_eq!(admitted.octets(), packet);
}

#[test]
fn a_thousand_reloads_under_load_lose_nothing_and_leak_nothing() {
    let (mut left, mut here) = end("192.0.2.1");
    let (mut right, mut there) = end("192.0.2.2");
    load(&mut left, &[COMMON, WIDE]);
    load(&mut right, &[COMMON, PEER]);
    let (first, second) = (left.tables(), right.tables());
    let first_sa = first.sad.iter().nth(1).unwrap().serial;
    let unchanged = first.spd.iter().next().unwrap().id;
    drop((first, second));

    let (done, passed) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU64::new(0)),
    );
    let (stop, count) = (Arc::clone(&done), Arc::clone(&passed));
    let traffic = thread::spawn(move || {
        let out = build::Packet::new(ip("10.1.0.9"), ip("10.2.0.9")).udp(4000, 53, b"question");
        let back = build::Packet::new(ip("10.2.0.9"), ip("10.1.0.9")).udp(53, 4000, b"answer");
        let mut now = Duration::ZERO;
        while !stop.load(SeqCst) {
            now += Duration::from_millis(1);
            here.begin(Time::since_start(now));
            there.begin(Time::since_start(now));
            pass(&mut here, &mut there, &out);
            pass(&mut there, &mut here, &back);
            count.fetch_add(1, SeqCst);
        }
    });
    let mut versions: Vec<Weak<Tables>> = Vec::new();
    for reload in 0..RELOADS {
        let own: [&str; 2] = if reload % 2 == 0 {
            [COMMON, NARROW]
        } else {
            [COMMON, WIDE]
        };
        load(&mut left, &own);
        versions.push(Arc::downgrade(&left.tables()));
        let tables = left.tables();
        let expected = if reload % 2 == 0 { (4, 3) } else { (3, 3) };
        let counts = (tables.sad.iter().len(), tables.spd.iter().count());
        assert_eq!(counts, expected, "after {reload} reloads");
        drop(tables);
        let seen = passed.load(SeqCst);
        while passed.load(SeqCst) < seen + 2 && !traffic.is_finished() {
            thread::yield_now();
        }
        // One in force, one that a batch of packets may still hold.
        let alive = versions.iter().filter(|version| version.strong_count() > 0);
        assert!(alive.count() <= 2, "old versions stay");
    }
    done.store(true, SeqCst);
    traffic.join().unwrap();

    let tables = left.tables();
    let kept = tables.sad.iter().nth(1).unwrap();
    assert_eq!(kept.serial, first_sa);
    assert_eq!(kept.runtime.next_sequence(), kept.runtime.packets() + 1);
    assert!(kept.runtime.packets() > 0);
    assert!(tables.spd.iter().any(|policy| policy.id == unchanged));
    let answers = tables.sad.iter().nth(2).unwrap();
    assert_eq!(answers.runtime.packets(), passed.load(SeqCst));
}
