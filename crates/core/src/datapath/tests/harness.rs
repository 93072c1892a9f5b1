//! Two engines joined by hand.

use std::net::IpAddr;

use sealway_crypto::{Authentication, Encryption, SecretKey, Sequence, Suite};
use sealway_packet::{Arrival, Egress, Outer, Packet, Train};
use sealway_wire::Family;
use sealway_wire::build;

use crate::path::LocalAddresses;
use crate::sad::*;
use crate::selector::{Selector, Upper};
use crate::spd::*;
use crate::*;

pub(super) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub(super) const LEFT: &str = "192.0.2.1";
pub(super) const RIGHT: &str = "192.0.2.2";
pub(super) const LEFT6: &str = "2001:db8::1";
pub(super) const RIGHT6: &str = "2001:db8::2";

pub(super) fn gcm() -> Suite {
    Suite::new(Encryption::AesGcm16, None, 20).unwrap()
}

pub(super) fn cbc() -> Suite {
    Suite::new(Encryption::AesCbc, Some(Authentication::HmacSha256_128), 16).unwrap()
}

/// An SA from `source` to `destination`.
pub(super) fn sa(source: &str, destination: &str, spi: u32, mode: SaMode) -> SaConfig {
    let suite = gcm();
    SaConfig {
        id: SaId {
            destination: ip(destination),
            protocol: Protocol::Esp,
            spi: Spi::new(spi).unwrap(),
        },
        source: ip(source),
        mode,
        suite,
        encryption_key: SecretKey::new(vec![spi as u8; suite.key_octets()]),
        authentication_key: SecretKey::new(vec![]),
        sequence: SequenceRules::default(),
        encapsulation: None,
        reqid: 0,
        selector: None,
        dont_fragment: DontFragmentRule::Copy,
        before_nat: None,
        lifetimes: Lifetimes::default(),
    }
}

pub(super) fn extended(mut config: SaConfig) -> SaConfig {
    config.sequence.form = Sequence::Extended;
    config
}

pub(super) fn tunnel(source: &str, destination: &str) -> Template {
    Template {
        protocol: Protocol::Esp,
        mode: Mode::Tunnel {
            source: ip(source),
            destination: ip(destination),
        },
        level: Level::Require,
        reqid: None,
    }
}

pub(super) const TRANSPORT: Template = Template {
    protocol: Protocol::Esp,
    mode: Mode::Transport,
    level: Level::Require,
    reqid: None,
};

pub(super) fn policy(direction: Direction, family: Family, action: Action) -> PolicyConfig {
    PolicyConfig {
        direction,
        selector: Selector::any(family),
        priority: 1000,
        action,
    }
}

pub(super) fn ports(family: Family, protocol: u8, destination: u16) -> Selector {
    let any = Selector::any(family);
    let upper = Upper::Words {
        protocol,
        first: 0..=u16::MAX,
        second: destination..=destination,
    };
    Selector::new(*any.source(), *any.destination(), upper).unwrap()
}

pub(super) fn engine(local: &[&str], commands: Vec<Command>) -> Engine {
    engine_with(EngineConfig::default(), local, commands)
}

pub(super) fn engine_with(config: EngineConfig, local: &[&str], commands: Vec<Command>) -> Engine {
    let mut count = 0u8;
    let random = move |octets: &mut [u8]| {
        for octet in octets {
            count = count.wrapping_mul(13).wrapping_add(41);
            *octet = count;
        }
    };
    let mut engine = Engine::new(config, Box::new(random));
    let local = LocalAddresses::new(local.iter().map(|a| ip(a)).collect());
    engine
        .apply(vec![Command::SetLocalAddresses(local)])
        .unwrap();
    engine.apply(commands).unwrap();
    engine.begin(Time::default());
    engine
}

pub(super) fn add_sa(config: SaConfig) -> Command {
    Command::AddSa(Box::new(config))
}

/// Two gateways with these templates on the left and their SAs on both, protecting everything
/// from left to right of a family.
pub(super) fn pair(
    family: Family,
    templates: Vec<Template>,
    sas: Vec<SaConfig>,
) -> (Engine, Engine) {
    let protect = |direction| {
        let action = Action::Protect(templates.clone());
        Command::AddPolicy(policy(direction, family, action))
    };
    let mut left = vec![protect(Direction::Out)];
    let mut right = vec![protect(Direction::In)];
    left.extend(sas.iter().cloned().map(add_sa));
    right.extend(sas.into_iter().map(add_sa));
    (
        engine(&[LEFT, LEFT6], left),
        engine(&[RIGHT, RIGHT6], right),
    )
}

/// What the left engine sends of a packet.
pub(super) fn send(engine: &mut Engine, packet: &[u8]) -> (Egress, Train) {
    match engine.output(Packet::new(Train::detached(packet), ())) {
        Verdict::Sent(transmit) => {
            let (egress, train, _) = transmit.into_parts();
            (egress, train)
        }
        other => panic!("not sent: {other:?}"),
    }
}

pub(super) fn refuse(engine: &mut Engine, packet: &[u8]) -> DropReason {
    match engine.output(Packet::new(Train::detached(packet), ())) {
        Verdict::Dropped(reason) => reason,
        other => panic!("not dropped: {other:?}"),
    }
}

/// How what was sent comes in at the other end.
pub(super) fn arrive(egress: Egress, octets: &[u8]) -> Packet<Arrival> {
    let arrival = match egress {
        Egress::Payload(outer) => Arrival::Payload(outer),
        Egress::Whole(_) | Egress::Clear => Arrival::Whole { interface: 0 },
    };
    Packet::new(Train::detached(octets), arrival)
}

/// The same as a whole packet.
pub(super) fn arrive_whole(egress: Egress, train: &Train) -> Packet<Arrival> {
    let mut train = Train::detached(train.packet());
    if let Egress::Payload(outer) = egress {
        materialise(&mut train, &outer, 7).unwrap();
    }
    Packet::new(train, Arrival::Whole { interface: 0 })
}

pub(super) fn outer_of(egress: Egress) -> Outer {
    match egress {
        Egress::Payload(outer) | Egress::Whole(outer) => outer,
        Egress::Clear => panic!("clear"),
    }
}

pub(super) fn deliver(engine: &mut Engine, packet: Packet<Arrival>) -> Vec<u8> {
    match engine.input(packet) {
        Verdict::Delivered(admitted) => admitted.octets().to_vec(),
        other => panic!("not delivered: {other:?}"),
    }
}

pub(super) fn reject(engine: &mut Engine, packet: Packet<Arrival>) -> DropReason {
    match engine.input(packet) {
        Verdict::Dropped(reason) => reason,
        other => panic!("not dropped: {other:?}"),
    }
}

pub(super) fn udp(source: &str, destination: &str, octets: usize) -> Vec<u8> {
    let data: Vec<u8> = (0..octets).map(|n| n as u8).collect();
    build::Packet::new(ip(source), ip(destination)).udp(4000, 53, &data)
}

/// Inside packets of both families.
pub(super) fn inside(family: Family, octets: usize) -> Vec<u8> {
    match family {
        Family::V4 => udp("10.1.0.9", "10.2.0.9", octets),
        Family::V6 => udp("fd00:1::9", "fd00:2::9", octets),
    }
}

/// The fragments of a packet on a link of 1500 octets.
pub(super) fn fragments(packet: &[u8]) -> Vec<Vec<u8>> {
    let layout = sealway_wire::Layout::parse(packet).unwrap();
    let split = sealway_wire::fragment::Split::new(packet, &layout, 1500, 0).unwrap();
    let piece = |piece: sealway_wire::fragment::Piece| {
        let mut octets = vec![0; piece.octets()];
        split.write(packet, &piece, &mut octets).unwrap();
        octets
    };
    split.pieces().map(piece).collect()
}
