//! Putting the IPv6 header and its extension headers back before what a raw socket delivers without
//! them: AH's ICV covers them (RFC 4302 section 3.3.3.1.2).

use std::net::IpAddr;

use libc::c_int;
use sealway_packet::{Outer, Pool, SizeClass, Train};

use crate::control::messages;

const IPV6_HEADER: usize = 40;

/// Whether extension headers stood before the payload.
pub(super) fn has_extensions(control: &[u8]) -> bool {
    extensions(control).next().is_some()
}

/// The whole packet, from the payload behind its headers. The flow label is as it was sent; a
/// fragment header is not put back, since the kernel has reassembled the packet.
///
/// `None` if the addresses are not IPv6, an extension header is not one, or no buffer is free for
/// headers that are longer than the usual room.
pub(super) fn whole(
    train: Train,
    outer: &Outer,
    protocol: u8,
    control: &[u8],
    pool: &Pool,
) -> Option<Train> {
    let (IpAddr::V6(source), IpAddr::V6(destination)) = (outer.source, outer.destination) else {
        return None;
    };
    let mut behind = 0;
    for (_, octets) in extensions(control) {
        // RFC 8200 section 4: the length is in units of 8 octets, not counting the first.
        let told = (usize::from(*octets.get(1)?) + 1) * 8;
        if told != octets.len() {
            return None;
        }
        behind += told;
    }
    let payload_length = u16::try_from(behind + train.packet().len()).ok()?;
    let mut train = with_front(train, IPV6_HEADER + behind, pool)?;
    let (header, rest) = train.packet_mut().split_at_mut_checked(IPV6_HEADER)?;
    let class_and_label = flow_information(control).unwrap_or(u32::from(outer.tos) << 20);
    header[..4].copy_from_slice(&(6 << 28 | class_and_label).to_be_bytes());
    header[4..6].copy_from_slice(&payload_length.to_be_bytes());
    header[7] = outer.hop_limit;
    header[8..24].copy_from_slice(&source.octets());
    header[24..].copy_from_slice(&destination.octets());
    let mut next_header = &mut header[6];
    let mut place = rest;
    for (number, octets) in extensions(control) {
        *next_header = number;
        let (here, behind) = place.split_at_mut_checked(octets.len())?;
        here.copy_from_slice(octets);
        next_header = here.first_mut()?;
        place = behind;
    }
    *next_header = protocol;
    Some(train)
}

/// The extension headers in the order in which they stood, each with its number.
fn extensions(control: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    messages(control).filter_map(|(level, kind, data)| {
        let number = match (level, kind) {
            (libc::IPPROTO_IPV6, libc::IPV6_HOPOPTS) => libc::IPPROTO_HOPOPTS,
            (libc::IPPROTO_IPV6, libc::IPV6_RTHDR) => libc::IPPROTO_ROUTING,
            (libc::IPPROTO_IPV6, libc::IPV6_DSTOPTS) => libc::IPPROTO_DSTOPTS,
            _ => return None,
        };
        Some((number as u8, data))
    })
}

/// Traffic class and flow label, as they stand in the header.
fn flow_information(control: &[u8]) -> Option<u32> {
    const LEVEL_AND_KIND: (c_int, c_int) = (libc::IPPROTO_IPV6, libc::IPV6_FLOWINFO);
    let mut messages = messages(control);
    let found = messages.find(|(level, kind, _)| (*level, *kind) == LEVEL_AND_KIND);
    let octets = <[u8; 4]>::try_from(found?.2).ok()?;
    Some(u32::from_be_bytes(octets) & 0x0fff_ffff)
}

/// The train with its packet longer at the front, in a larger buffer if need be.
fn with_front(mut train: Train, octets: usize, pool: &Pool) -> Option<Train> {
    if train.grow_front(octets).is_ok() {
        return Some(train);
    }
    let mut larger = pool.take(SizeClass::Large)?;
    let packet = train.packet();
    let start = Train::HEADROOM + octets;
    let place = larger.buffer_mut().get_mut(start..start + packet.len())?;
    place.copy_from_slice(packet);
    larger.set_single(Train::HEADROOM, octets + packet.len());
    Some(larger)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use sealway_packet::{DontFragment, Encapsulation};

    fn outer() -> Outer {
        Outer {
            source: "2001:db8::1".parse().unwrap(),
            destination: "2001:db8::2".parse().unwrap(),
            interface: 3,
            tos: 0xb9,
            hop_limit: 61,
            dont_fragment: DontFragment::Clear,
            encapsulation: Encapsulation::Esp,
        }
    }

    fn message(kind: c_int, data: &[u8]) -> Vec<u8> {
        let mut octets = (16 + data.len()).to_ne_bytes().to_vec();
        octets.extend(libc::IPPROTO_IPV6.to_ne_bytes());
        octets.extend(kind.to_ne_bytes());
        octets.extend(data);
        octets.resize(octets.len().next_multiple_of(8), 0);
        octets
    }

    /// An extension header of `units` times 8 octets that says `next` follows.
    fn extension(next: u8, units: usize) -> Vec<u8> {
        let mut octets = vec![1; units * 8];
        octets[0] = next;
        octets[1] = (units - 1) as u8;
        octets
    }

    #[test]
    fn a_packet_without_extension_headers_gets_its_header_back() {
        let pool = Pool::new(1, 1);
        let train = Train::detached(b"payload!");
        let train = whole(train, &outer(), 51, &[], &pool).unwrap();
        let packet = train.packet();
        assert_eq!(packet[..8], [0x6b, 0x90, 0, 0, 0, 8, 51, 61]);
        assert_eq!(packet[40..], *b"payload!");
    }

    #[test]
    fn extension_headers_stand_in_their_order_and_name_each_other() {
        let pool = Pool::new(1, 1);
        let mut control = message(libc::IPV6_FLOWINFO, &0x0b91_2345u32.to_be_bytes());
        control.extend(message(libc::IPV6_HOPOPTS, &extension(60, 1)));
        control.extend(message(libc::IPV6_DSTOPTS, &extension(43, 2)));
        control.extend(message(libc::IPV6_RTHDR, &extension(50, 3)));
        assert!(has_extensions(&control));
        let train = whole(Train::detached(b"esp"), &outer(), 50, &control, &pool).unwrap();
        let packet = train.packet();
        assert_eq!(packet[..8], [0x6b, 0x91, 0x23, 0x45, 0, 48 + 3, 0, 61]);
        assert_eq!((packet[40], packet[48], packet[64]), (60, 43, 50));
        assert_eq!(packet[88..], *b"esp");
    }

    #[test]
    fn headers_longer_than_the_headroom_move_the_packet() {
        let pool = Pool::new(1, 1);
        let control = message(libc::IPV6_HOPOPTS, &extension(51, 256));
        let train = whole(Train::detached(b"ah"), &outer(), 51, &control, &pool).unwrap();
        assert_eq!(train.packet().len(), 40 + 2048 + 2);
        assert_eq!(train.packet()[40..2088], extension(51, 256));
        assert!(train.packet().ends_with(b"ah"));
    }

    proptest! {
        #[test]
        fn random_control_messages_never_panic(
            octets in proptest::collection::vec(any::<u8>(), 0..400),
            kind in prop::sample::select(vec![libc::IPV6_HOPOPTS, libc::IPV6_RTHDR, libc::IPV6_DSTOPTS]),
        ) {
            let pool = Pool::new(1, 1);
            let _ = whole(Train::detached(&octets), &outer(), 50, &octets, &pool);
            let _ = whole(Train::detached(b""), &outer(), 50, &message(kind, &octets), &pool);
        }
    }
}
