//! Random packets: every protocol, fragments, extension headers, options, every size, nonsense.

use std::net::IpAddr;

use sealway_core::selector::{AddressRange, Upper};
use sealway_wire::{Layout, build, fragment::Split, protocol};

use crate::dice::Dice;
use crate::plan::Plan;
use crate::world::{Family, Side, behind, stranger};

/// Packets from a side, that a plan (or none) protects; several if they are one datagram's
/// fragments.
pub fn random_packets(dice: &mut Dice, from: Side, plan: Option<&Plan>, id: u16) -> Vec<Vec<u8>> {
    let packet = random_packet(dice, from, plan, id);
    let mut packets = match dice.percent(12) {
        true => fragments(dice, &packet, u32::from(id)),
        false => vec![packet],
    };
    if dice.percent(3) {
        let which = dice.below(packets.len());
        damage(dice, &mut packets[which]);
    }
    if dice.percent(3) {
        let padding = dice.below(20);
        let last = packets.len() - 1;
        packets[last].extend(dice.octets(padding));
    }
    packets
}

fn random_packet(dice: &mut Dice, from: Side, plan: Option<&Plan>, id: u16) -> Vec<u8> {
    let (source, destination) = match plan.filter(|_| dice.percent(95)) {
        Some(plan) => addresses_of(dice, plan),
        None => random_addresses(dice, from),
    };
    let mut packet = build::Packet::new(source, destination)
        .tos(*dice.one(&[0, 0, 0x28, 0x2a, 0x29, 0xb8, 3, 0x2b]))
        .hop_limit(*dice.one(&[64, 64, 255, 1]))
        .id(id)
        .flow_label(dice.below(1 << 20) as u32 * dice.below(2) as u32);
    if dice.percent(30) {
        packet = packet.dont_fragment();
    }
    if dice.percent(8) {
        // Loose source route (copied), record route, timestamp, router alert, no operation.
        let options: &[&[u8]] = &[
            &[131, 7, 4, 10, 1, 0, 9, 0],
            &[7, 7, 4, 0, 0, 0, 0, 1],
            &[148, 4, 0, 0],
            &[1, 1, 68, 12, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 148, 4, 0, 0],
        ];
        packet = packet.options(dice.one::<&[u8]>(options));
    }
    if source.is_ipv6() && dice.percent(15) {
        packet = with_extensions(dice, packet);
    }
    let data = random_size(dice);
    let data = dice.octets(data);
    upper(dice, &packet, plan, Family::of(source), &data)
}

fn with_extensions(dice: &mut Dice, mut packet: build::Packet) -> build::Packet {
    if dice.percent(40) {
        packet = packet.extension(protocol::HOP_BY_HOP, &[1, 4, 0, 0, 0, 0]);
    }
    if dice.percent(30) {
        packet = packet.extension(protocol::DESTINATION_OPTIONS, &[1, 12, 0, 0, 0, 0]);
    }
    if dice.percent(30) {
        packet = packet.extension(protocol::ROUTING, &[4, 0, 0, 0, 0, 0]);
    }
    if dice.percent(10) {
        packet = packet.fragment(sealway_wire::Fragment {
            offset: 0,
            more: false,
            id: dice.bits() as u32,
        });
    }
    if dice.percent(40) {
        packet = packet.extension(protocol::DESTINATION_OPTIONS, &[1, 4, 0, 0, 0, 0]);
    }
    packet
}

fn random_size(dice: &mut Dice) -> usize {
    match dice.below(20) {
        0..=9 => dice.below(64),
        10..=12 => dice.below(1000),
        13..=15 => dice.between(1300, 1500),
        16 | 17 => dice.between(1180, 1290),
        18 => dice.between(1500, 6000),
        _ => *dice.one(&[9000, 20_000, 30_000]),
    }
}

fn addresses_of(dice: &mut Dice, plan: &Plan) -> (IpAddr, IpAddr) {
    let family = Family::of(plan.selector.source().first());
    plan.ends.unwrap_or_else(|| {
        (
            inside(dice, plan.selector.source(), plan.from, family),
            inside(dice, plan.selector.destination(), plan.from.other(), family),
        )
    })
}

fn inside(dice: &mut Dice, range: &AddressRange, side: Side, family: Family) -> IpAddr {
    let candidates: Vec<IpAddr> = (0..8).map(|_| behind(dice, side, family)).collect();
    candidates
        .into_iter()
        .find(|address| range.contains(*address))
        .unwrap_or(range.first())
}

fn random_addresses(dice: &mut Dice, from: Side) -> (IpAddr, IpAddr) {
    let family = Family::any(dice);
    let source = match dice.percent(85) {
        true => behind(dice, from, family),
        false => stranger(dice, family),
    };
    let destination = match dice.below(10) {
        0..=6 => behind(dice, from.other(), family),
        7 => behind(dice, from, family),
        _ => stranger(dice, family),
    };
    (source, destination)
}

/// What is above IP: if a plan asks for it, what its selector takes.
fn upper(
    dice: &mut Dice,
    packet: &build::Packet,
    plan: Option<&Plan>,
    family: Family,
    data: &[u8],
) -> Vec<u8> {
    let mut port = || *dice.one(&[53u16, 53, 8, 80, 500, 1024, 4000, 4500, 40_000]);
    let (mut first, mut second) = (port(), port());
    let mut wanted = None;
    if let Some(plan) = plan.filter(|_| dice.percent(93)) {
        match plan.selector.upper() {
            Upper::Any => {}
            Upper::Protocol(protocol) => wanted = Some(*protocol),
            Upper::Words {
                protocol,
                first: a,
                second: b,
            } => {
                wanted = Some(*protocol);
                first = first.clamp(*a.start(), *a.end());
                second = second.clamp(*b.start(), *b.end());
            }
        }
    }
    let icmp = match family {
        Family::V4 => protocol::ICMP,
        Family::V6 => protocol::ICMPV6,
    };
    let common = [
        17, 17, 17, 6, 6, icmp, icmp, 132, 135, 47, 50, 51, 4, 41, 59,
    ];
    match wanted.unwrap_or_else(|| *dice.one(&common)) {
        protocol::UDP => packet.udp(first, second, data),
        protocol::TCP => packet.tcp(first, second, sealway_wire::tcp::ACK, data),
        protocol::ICMP | protocol::ICMPV6 => {
            let kind = match dice.percent(50) {
                true => *dice.one(&[0, 3, 8, 11, 128, 129, 133, 134, 135, 136, 143]),
                false => first as u8,
            };
            packet.icmp(kind, second as u8, 0, data)
        }
        other => {
            let mut body = [first.to_be_bytes(), second.to_be_bytes()].concat();
            body.extend_from_slice(data);
            packet.payload(other, &body)
        }
    }
}

/// The fragments of a packet, mostly in order and all there.
pub fn fragments(dice: &mut Dice, packet: &[u8], id: u32) -> Vec<Vec<u8>> {
    let mtu = dice.weighted(&[(30, 1280), (20, 1500), (20, 576), (20, 100), (10, 68)]);
    let mut pieces = split(packet, mtu, id);
    pieces.truncate(12);
    if pieces.is_empty() {
        return vec![packet.to_vec()];
    }
    match dice.below(10) {
        0 => dice.shuffle(&mut pieces),
        1 => pieces.reverse(),
        2 => {
            let again = pieces[dice.below(pieces.len())].clone();
            let at = dice.below(pieces.len());
            pieces.insert(at, again);
        }
        3 => {
            let lost = dice.below(pieces.len());
            pieces.remove(lost);
        }
        4 => {
            // The same datagram cut differently: overlaps.
            let mut others = split(packet, mtu + 64, id);
            others.truncate(4);
            pieces.extend(others);
        }
        _ => {}
    }
    if pieces.is_empty() {
        return vec![packet.to_vec()];
    }
    pieces
}

/// A fragment of 8 octets, `place` times 8 octets behind the start of a UDP datagram.
pub fn lone_fragment(dice: &mut Dice, plan: &Plan, id: u16, place: u16) -> Vec<u8> {
    let (source, destination) = addresses_of(dice, plan);
    let packet = build::Packet::new(source, destination).id(id);
    let mut octets = match source {
        IpAddr::V4(_) => packet.payload(protocol::UDP, &[0; 8]),
        IpAddr::V6(_) => packet
            .fragment(sealway_wire::Fragment {
                offset: place * 8,
                more: true,
                id: u32::from(id),
            })
            .payload(protocol::UDP, &[0; 8]),
    };
    if source.is_ipv4() {
        octets[6..8].copy_from_slice(&(0x2000 | place).to_be_bytes());
        sealway_wire::ipv4::update_checksum(&mut octets);
    }
    octets
}

/// Cuts a packet for an MTU; nothing if it fits or cannot be cut.
pub fn split(packet: &[u8], mtu: usize, id: u32) -> Vec<Vec<u8>> {
    let Ok(layout) = Layout::parse(packet) else {
        return Vec::new();
    };
    let Ok(split) = Split::new(packet, &layout, mtu, id) else {
        return Vec::new();
    };
    let written = split.pieces().filter_map(|piece| {
        let mut octets = vec![0; piece.octets()];
        split.write(packet, &piece, &mut octets)?;
        Some(octets)
    });
    written.collect()
}

/// Flips bits, sets octets, cuts or lengthens.
pub fn damage(dice: &mut Dice, octets: &mut Vec<u8>) {
    if octets.is_empty() {
        return;
    }
    // Headers are where it hurts.
    let reach = match dice.percent(60) {
        true => octets.len().min(64),
        false => octets.len(),
    };
    match dice.below(5) {
        0 => octets.truncate(dice.below(octets.len())),
        1 => {
            let more = dice.between(1, 40);
            octets.extend(dice.octets(more));
        }
        2 => octets[dice.below(reach)] = dice.octet(),
        _ => octets[dice.below(reach)] ^= 1 << dice.below(8),
    }
}

/// Octets of no meaning.
pub fn garbage(dice: &mut Dice) -> Vec<u8> {
    let count = dice.below(120);
    let mut octets = dice.octets(count);
    if let Some(first) = octets.first_mut().filter(|_| dice.percent(70)) {
        *first = *dice.one(&[0x45, 0x46, 0x4f, 0x60]);
    }
    octets
}
