//! The oracle reads packets by code of its own: it and the wire layer must see the same.

use sealway_oracle::packet::{self, Ip, Words};
use sealway_sim::dice::Dice;
use sealway_sim::plan::Plan;
use sealway_sim::traffic;
use sealway_wire::{Layout, Ports};

fn words_of(layout: &Layout) -> Words {
    match layout.ports {
        Ports::Pair {
            source,
            destination,
        } => Words::Known(source, destination),
        Ports::Icmp { kind, code } => Words::Known(kind.into(), code.into()),
        Ports::Mobility { kind } => Words::Known(kind.into(), 0),
        Ports::None => Words::None,
        Ports::Unavailable => Words::Hidden,
    }
}

fn as_the_oracle_says(layout: &Layout, octets: &[u8]) -> Ip {
    Ip {
        source: layout.source(octets),
        destination: layout.destination(octets),
        length: layout.length as usize,
        tos: layout.tos(octets),
        hop_limit: layout.hop_limit(octets),
        dont_fragment: layout.dont_fragment(octets),
        fragment: layout.fragment.map(|part| packet::Fragment {
            offset: part.offset.into(),
            more: part.more,
            id: part.id,
        }),
        protocol: layout.protocol,
        upper: layout.upper.into(),
        words: words_of(layout),
        protect_at: layout.unfragmentable.into(),
        named_at: layout.next_header_at.into(),
    }
}

#[test]
fn oracle_and_wire_layer_read_every_packet_alike() {
    let mut dice = Dice::new(7);
    for round in 0..4000 {
        let plan = Plan::random(&mut dice);
        let mut packets = traffic::random_packets(&mut dice, plan.from, Some(&plan), round);
        packets.push(traffic::garbage(&mut dice));
        for mut octets in packets {
            for _ in 0..4 {
                let layout = Layout::parse(&octets).ok();
                let expected = layout.map(|layout| as_the_oracle_says(&layout, &octets));
                assert_eq!(packet::read(&octets), expected, "{octets:02x?}");
                traffic::damage(&mut dice, &mut octets);
            }
        }
    }
}
