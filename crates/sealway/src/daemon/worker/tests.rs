//! A worker with real devices, in a namespace of its own. Needs root.

use sealway_core::path::LocalAddresses;
use sealway_core::{ClearPath, Command, Control, DatapathConfig, DefaultAction};
use sealway_io::namespace::Namespace;
use sealway_io::netlink::{Address, Netlink, Route, State};
use sealway_io::offload::{self, Kinds};
use sealway_io::outside;
use sealway_packet::{Arm, DontFragment, Encapsulation, Outer, SizeClass, Train};
use sealway_setkey::Keys;
use std::net::UdpSocket;
use std::sync::mpsc;
use zeroize::Zeroizing;

use super::*;
use crate::setkey::{Source as Script, apply};

/// Both ends are ours: what leaves by the loopback comes in again.
const SCRIPT: &str = "
    add 127.0.0.1 127.0.0.2 esp 0x10001 -m tunnel -E aes-gcm-16 0x000102030405060708090a0b0c0d0e0f10111213;
    spdadd 10.1.0.0/24 10.2.0.0/24 any -P out ipsec esp/tunnel/127.0.0.1-127.0.0.2;
    spdadd 10.1.0.0/24 10.2.0.0/24 any -P in ipsec esp/tunnel/127.0.0.1-127.0.0.2;";

fn devices() -> Devices {
    let inside = Tun::open("seal0").unwrap();
    let mut netlink = Netlink::open().unwrap();
    let interface = inside.index();
    let address = "10.1.0.1".parse().unwrap();
    netlink
        .add_address(&Address {
            interface,
            address,
            prefix_length: 24,
        })
        .unwrap();
    netlink.set_state(interface, State::Up).unwrap();
    let route = Route {
        destination: "10.2.0.0".parse().unwrap(),
        prefix_length: 24,
        via: None,
        interface: Some(interface),
        source: None,
        metric: None,
    };
    netlink.add_route(&route).unwrap();
    let addresses = ["127.0.0.1", "127.0.0.2"]
        .map(|address| address.parse().unwrap())
        .to_vec();
    let config = outside::Config {
        addresses,
        port: 4500,
        buffer: 1 << 20,
        carriers: outside::Carriers::All,
        offloads: Kinds::ALL,
    };
    Devices {
        inside,
        outside: Outside::open(&config).unwrap(),
        clear: None,
        pool: Pool::new(4, 4),
    }
}

fn datapath() -> Datapath {
    let mut control = Control::new(DefaultAction::Discard, 1500);
    let script = Script {
        name: "test".into(),
        text: Zeroizing::new(SCRIPT.into()),
    };
    apply(&mut control, &[script], Keys::Masked).unwrap();
    let local = ["127.0.0.1", "127.0.0.2", "10.1.0.1"].map(|address| address.parse().unwrap());
    let local = LocalAddresses::new(local.to_vec());
    control
        .apply(vec![Command::SetLocalAddresses(local)])
        .unwrap();
    let config = DatapathConfig {
        clear: ClearPath::Absent,
        ..DatapathConfig::default()
    };
    let random = |octets: &mut [u8]| octets.fill(7);
    Datapath::new(control.shared(), config, Pool::new(4, 4), Box::new(random))
}

/// The ways of a worker whose control is not there.
fn ways() -> (Ways, mpsc::Sender<Request>) {
    let (asked, requests) = mpsc::channel();
    let ways = Ways {
        requests,
        wake: Arc::new(Wake::new().unwrap()),
        events: mpsc::sync_channel(1).0,
        wake_control: Arc::new(Wake::new().unwrap()),
        bell: Bell::new().0,
        board: Arc::default(),
    };
    (ways, asked)
}

fn worker(devices: &Devices) -> Worker<'_> {
    Worker {
        datapath: datapath(),
        devices,
        own: Own::new(&[], 4500),
        let_out: LetOut::new(),
        waiting: Gathering::default(),
        interfaces: vec![("127.0.0.1".parse().unwrap(), 1)],
        ike_hearing: ike::Hearing::Nobody,
        ike: ike::Queue::default(),
        keepalive: None,
        canary: Canary::default(),
        counters: Counters::default(),
        told: [None; Failure::ALL.len()],
        gone: Vec::new(),
        now: Duration::ZERO,
        ways: ways().0,
    }
}

#[test]
fn a_packet_out_and_in_again_costs_no_allocation() {
    let namespace = Namespace::new().unwrap_or_else(|refused| panic!("needs root: {refused}"));
    namespace.run(|| {
        let devices = devices();
        let mut worker = worker(&devices);
        let socket = UdpSocket::bind("10.1.0.1:4000").unwrap();
        let peer: std::net::SocketAddr = "10.2.0.1:4000".parse().unwrap();
        let mut pass = |packets: usize| {
            for _ in 0..packets {
                socket.send_to(&[7; 1000], peer).unwrap();
            }
            worker.datapath.begin(Time::since_start(worker.now));
            worker.read(Source::Inside);
            worker.read(Source::Outside(Inlet::Esp4));
        };
        pass(3);
        let info = allocation_counter::measure(|| pass(20));
        assert_eq!(info.count_total, 0);
        let stats = worker.datapath.stats();
        assert_eq!(
            (stats.sent, stats.delivered, stats.dropped_in_all()),
            (23, 23, 0)
        );
        assert_eq!(worker.counters.failures, [0; Failure::ALL.len()]);
    });
}

/// Datagrams in UDP, as many as there are SPIs.
fn datagrams(spis: &[u32]) -> Received {
    let mut train = Pool::new(1, 1).take(SizeClass::Large).unwrap();
    let lengths = (100, 100);
    train.set_segments(Train::HEADROOM, 100, 0, spis.len() as u16, lengths);
    for (index, spi) in spis.iter().enumerate() {
        train.segment_mut(index)[..4].copy_from_slice(&spi.to_be_bytes());
    }
    let outer = Outer {
        source: "127.0.0.1".parse().unwrap(),
        destination: "127.0.0.2".parse().unwrap(),
        interface: 1,
        tos: 0,
        hop_limit: 64,
        dont_fragment: DontFragment::Clear,
        encapsulation: Encapsulation::Udp {
            source: 4500,
            destination: 4500,
        },
    };
    Received::Packet(Packet::new(train, Arrival::Payload(outer)))
}

/// What becomes of `gro` if datagrams that come together have these SPIs, and those that come alone
/// that one.
fn tried(together: [u32; 32], alone: u32) -> (offload::State, u64) {
    let namespace = Namespace::new().unwrap_or_else(|refused| panic!("needs root: {refused}"));
    namespace.run(move || {
        let devices = devices();
        let mut worker = worker(&devices);
        worker.datapath.begin(Time::since_start(worker.now));
        for _ in 0..4000 {
            match worker.canary.arm() {
                Arm::Together => worker.arrived(datagrams(&together)),
                Arm::Alone => worker.arrived(datagrams(&[alone])),
            }
        }
        let mut states = devices.outside.states();
        let gro = states.find(|(kind, _)| *kind == offload::Kind::Gro);
        (gro.unwrap().1, worker.counters.trials_in_vain)
    })
}

/// Of an SA that is there; what is wrong with the packet is not damage.
const KNOWN: u32 = 0x10001;
const GARBAGE: u32 = 0x6a72_6261;

#[test]
fn a_kernel_that_damages_what_it_hands_over_together_is_not_asked_for_trains_any_more() {
    let mut train = [KNOWN; 32];
    train[7] = GARBAGE;
    let (gro, _) = tried(train, KNOWN);
    assert_eq!(gro, offload::State::Distrusted);
}

#[test]
fn somebody_who_sends_damaged_datagrams_costs_no_trains() {
    let (gro, in_vain) = tried([GARBAGE; 32], GARBAGE);
    assert_eq!((gro, in_vain), (offload::State::On, 1));
}
