//! Both roads of an engine whose cryptography lets everything pass, so that the fuzzer sees what
//! lies behind the ICV.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use sealway_core::path::LocalAddresses;
use sealway_core::sad::{
    DontFragmentRule, Lifetimes, Peer, Protocol, SaConfig, SaId, SaMode, SequenceRules, Spi,
    UdpEncapsulation,
};
use sealway_core::selector::{Selector, Upper};
use sealway_core::spd::{Action, Direction, Level, Mode, PolicyConfig, Template};
use sealway_core::{Command, Engine, EngineConfig, Time, Verdict};
use sealway_crypto::{SecretKey, Suite, fuzzing};
use sealway_packet::{Arrival, DontFragment, Encapsulation, Outer, Packet, Pool, Train};
use sealway_wire::Family;

const OURS: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
];
const THEIRS: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2)),
];

/// One packet from the outside: the first octet chooses how it comes, the rest is its octets.
pub(crate) fn inbound(octets: &[u8]) {
    let Some((how, octets)) = octets.split_first() else {
        return;
    };
    let family = usize::from(how & 1);
    let encapsulation = match how >> 1 & 3 {
        0 => Encapsulation::Esp,
        1 => Encapsulation::Ah,
        _ => Encapsulation::Udp {
            source: 4500,
            destination: 4500,
        },
    };
    let arrival = if how & 0x80 == 0 {
        Arrival::Payload(Outer {
            source: THEIRS[family],
            destination: OURS[family],
            interface: 1,
            tos: how >> 4,
            hop_limit: 64,
            dont_fragment: DontFragment::Clear,
            encapsulation,
        })
    } else {
        Arrival::Whole { interface: 1 }
    };
    let Some(mut engine) = engine() else { return };
    for _ in 0..2 {
        let verdict = engine.input(Packet::new(Train::detached(octets), arrival));
        settle(&mut engine, &verdict);
    }
}

/// Packets from the inside: each is preceded by two octets of length.
pub(crate) fn outbound(octets: &[u8]) {
    let Some(mut engine) = engine() else { return };
    let mut rest = octets;
    while let Some(([high, low], after)) = rest.split_first_chunk::<2>() {
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(after.len());
        let (packet, after) = after.split_at(length);
        rest = after;
        let verdict = engine.output(Packet::new(Train::detached(packet), ()));
        settle(&mut engine, &verdict);
    }
}

/// Every packet has had one verdict, and what the engine made is a packet.
fn settle(engine: &mut Engine, verdict: &Verdict) {
    if let Verdict::Delivered(admitted) = verdict {
        assert!(sealway_wire::Layout::parse(admitted.octets()).is_ok());
    }
    while let Some(made) = engine.poll_originated() {
        assert!(sealway_wire::Layout::parse(made.octets()).is_ok());
    }
    assert!(engine.stats().balances());
}

/// An engine with SAs of both modes and families, raw and in UDP, and policies for all they carry.
fn engine() -> Option<Engine> {
    thread_local! {
        // Made once: an input takes far less time than its zeroing.
        static POOL: Pool = Pool::new(128, 128);
    }
    let random = |octets: &mut [u8]| octets.fill(7);
    let config = EngineConfig {
        pool: POOL.with(Pool::clone),
        ..EngineConfig::default()
    };
    let mut engine = Engine::new(config, Box::new(random));
    engine.use_provider(&fuzzing::Provider);
    let mut commands = vec![Command::SetLocalAddresses(LocalAddresses::new(
        OURS.to_vec(),
    ))];
    for (ours, theirs) in OURS.into_iter().zip(THEIRS) {
        let family = u32::from(ours.is_ipv6());
        for (mode, spi) in [(SaMode::Tunnel, 0x1000), (SaMode::Transport, 0x2000)] {
            commands.push(sa(theirs, ours, spi + family, mode, None)?);
            commands.push(sa(ours, theirs, spi + family, mode, None)?);
        }
        let udp = UdpEncapsulation {
            source: 4500,
            destination: 4500,
            peer: Peer::Roams,
        };
        commands.push(sa(
            theirs,
            ours,
            0x3000 + family,
            SaMode::Tunnel,
            Some(udp),
        )?);
    }
    for family in [Family::V4, Family::V6] {
        commands.extend(policies(family));
    }
    engine.apply(commands).ok()?;
    engine.begin(Time::default());
    Some(engine)
}

fn sa(
    source: IpAddr,
    destination: IpAddr,
    spi: u32,
    mode: SaMode,
    encapsulation: Option<UdpEncapsulation>,
) -> Option<Command> {
    let suite: Suite = "aes-128-gcm-16".parse().ok()?;
    Some(Command::AddSa(Box::new(SaConfig {
        id: SaId {
            destination,
            protocol: Protocol::Esp,
            spi: Spi::new(spi).ok()?,
        },
        source,
        mode,
        suite,
        encryption_key: SecretKey::new(vec![1; suite.key_octets()]),
        authentication_key: SecretKey::new(Vec::new()),
        sequence: SequenceRules::default(),
        encapsulation,
        reqid: 0,
        selector: None,
        dont_fragment: DontFragmentRule::Copy,
        before_nat: None,
        lifetimes: Lifetimes::default(),
    })))
}

/// TCP in transport mode between the hosts, UDP to port 53 by ports, the rest through the tunnel.
fn policies(family: Family) -> Vec<Command> {
    let any = Selector::any(family);
    let place = usize::from(family == Family::V6);
    let upper = |upper| Selector::new(*any.source(), *any.destination(), upper).ok();
    let words = Upper::Words {
        protocol: 17,
        first: 0..=u16::MAX,
        second: 53..=53,
    };
    let mut commands = Vec::new();
    for direction in Direction::ALL {
        let (source, destination) = match direction {
            Direction::Out => (OURS[place], THEIRS[place]),
            Direction::In | Direction::Fwd => (THEIRS[place], OURS[place]),
        };
        let template = |mode| Template {
            protocol: Protocol::Esp,
            mode,
            level: Level::Require,
            reqid: None,
        };
        let tunnel = template(Mode::Tunnel {
            source,
            destination,
        });
        let transport = template(Mode::Transport);
        let entries = [
            (upper(Upper::Protocol(6)), Action::Protect(vec![transport])),
            (
                upper(words.clone()),
                Action::Protect(vec![transport, tunnel]),
            ),
            (upper(Upper::Protocol(1)), Action::Bypass),
            (upper(Upper::Protocol(2)), Action::Discard),
            (Some(any.clone()), Action::Protect(vec![tunnel])),
        ];
        for (priority, (selector, action)) in (0..).zip(entries) {
            let Some(selector) = selector else { continue };
            commands.push(Command::AddPolicy(PolicyConfig {
                direction,
                selector,
                priority,
                action,
            }));
        }
    }
    commands
}
