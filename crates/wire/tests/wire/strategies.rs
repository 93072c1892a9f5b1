//! Random packets: sound ones, and sound ones that were damaged.

use std::net::IpAddr;

use proptest::collection::vec;
use proptest::prelude::*;
use sealway_wire::build::Packet;
use sealway_wire::{Fragment, protocol, tcp};

/// What a packet carries.
#[derive(Clone, Debug)]
enum Upper {
    Udp(u16, u16),
    Tcp(u16, u16),
    Echo(u16, u16),
    Other(u8),
}

/// A sound packet of either family, whole.
pub(crate) fn packet() -> impl Strategy<Value = Vec<u8>> {
    (description(), upper(), data())
        .prop_map(|(packet, upper, data)| finish(&packet, &upper, &data))
}

/// A sound packet or what is left of one: octets changed, cut off or added.
pub(crate) fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let changes = vec((any::<prop::sample::Index>(), any::<u8>()), 0..6);
    let early = vec((0usize..64, any::<u8>()), 0..3);
    (
        packet(),
        changes,
        early,
        any::<prop::sample::Index>(),
        0..4u8,
    )
        .prop_map(|(mut packet, changes, early, cut, fate)| {
            for (index, value) in changes {
                let at = index.index(packet.len());
                packet[at] = value;
            }
            for (at, value) in early {
                if let Some(octet) = packet.get_mut(at) {
                    *octet = value;
                }
            }
            match fate {
                0 => packet.truncate(cut.index(packet.len() + 1)),
                1 => packet.resize(packet.len() + cut.index(64), 0xaa),
                _ => {}
            }
            packet
        })
}

/// Octets that have the version nibble of IPv4 or IPv6 and are otherwise random.
pub(crate) fn noise() -> impl Strategy<Value = Vec<u8>> {
    (
        vec(any::<u8>(), 0..200),
        prop::option::of(prop::sample::select(vec![0x45u8, 0x46, 0x4f, 0x60])),
    )
        .prop_map(|(mut octets, first)| {
            if let (Some(octet), Some(first)) = (octets.first_mut(), first) {
                *octet = first;
            }
            octets
        })
}

fn data() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![8 => vec(any::<u8>(), 0..200), 1 => vec(any::<u8>(), 1000..3000)]
}

/// Two addresses of one family.
fn addresses() -> impl Strategy<Value = (IpAddr, IpAddr)> {
    prop_oneof![
        any::<([u8; 4], [u8; 4])>().prop_map(|(a, b)| (a.into(), b.into())),
        any::<([u8; 16], [u8; 16])>().prop_map(|(a, b)| (a.into(), b.into())),
    ]
}

fn description() -> impl Strategy<Value = Packet> {
    let fields = (
        any::<u8>(),
        any::<u8>(),
        any::<u16>(),
        any::<bool>(),
        any::<u32>(),
    );
    (addresses(), fields, vec(any::<u8>(), 0..=40), extensions()).prop_map(
        |((source, destination), (tos, hop_limit, id, whole, label), options, extensions)| {
            let mut packet = Packet::new(source, destination)
                .tos(tos)
                .hop_limit(hop_limit)
                .id(id)
                .flow_label(label)
                .options(&options);
            if whole {
                packet = packet.dont_fragment();
            }
            extensions
                .into_iter()
                .fold(packet, |packet, (number, body)| match number {
                    protocol::FRAGMENT => packet.fragment(Fragment {
                        offset: 0,
                        more: false,
                        id: label,
                    }),
                    number => packet.extension(number, &body),
                })
        },
    )
}

/// Extension headers in any order that RFC 8200 has nodes accept: a Hop-by-Hop header first, at
/// most one Fragment header.
fn extensions() -> impl Strategy<Value = Vec<(u8, Vec<u8>)>> {
    let numbers = prop::sample::select(vec![
        protocol::ROUTING,
        protocol::DESTINATION_OPTIONS,
        protocol::FRAGMENT,
    ]);
    let header = |number| (number, vec(any::<u8>(), 0..40));
    (
        prop::option::of(header(Just(protocol::HOP_BY_HOP).boxed())),
        vec(header(numbers.boxed()), 0..5),
    )
        .prop_map(|(first, others)| {
            let mut fragments = 0;
            let others = others.into_iter().filter(|(number, _)| {
                fragments += usize::from(*number == protocol::FRAGMENT);
                *number != protocol::FRAGMENT || fragments == 1
            });
            first.into_iter().chain(others).collect()
        })
}

fn upper() -> impl Strategy<Value = Upper> {
    prop_oneof![
        any::<(u16, u16)>().prop_map(|(a, b)| Upper::Udp(a, b)),
        any::<(u16, u16)>().prop_map(|(a, b)| Upper::Tcp(a, b)),
        any::<(u16, u16)>().prop_map(|(a, b)| Upper::Echo(a, b)),
        prop::sample::select(vec![
            protocol::ESP,
            protocol::AH,
            protocol::GRE,
            protocol::NONE,
            protocol::SCTP,
            protocol::MOBILITY,
            protocol::HIP,
            protocol::UDP_LITE,
        ])
        .prop_map(Upper::Other),
    ]
}

fn finish(packet: &Packet, upper: &Upper, data: &[u8]) -> Vec<u8> {
    match *upper {
        Upper::Udp(source, destination) => packet.udp(source, destination, data),
        Upper::Tcp(source, destination) => packet.tcp(source, destination, tcp::ACK, data),
        Upper::Echo(identifier, sequence) => packet.echo_request(identifier, sequence, data),
        Upper::Other(number) => packet.payload(number, data),
    }
}
