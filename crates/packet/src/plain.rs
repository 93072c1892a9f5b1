//! The plain way: a segment of a super-packet as a sender without offloads would have made it, every
//! field and checksum computed from the start. It shares no arithmetic with
//! [`SuperPacket`](crate::SuperPacket), and so can witness for or against it.

use sealway_wire::{Family, Layout, checksum, ipv4, ipv6, protocol, tcp, udp, view, view_mut};

use crate::Segmentation;

/// Writes segment `index` to the start of `out`, and says how many octets it has. `None` if there is
/// no such segment, not as much room, or the packet is not what `segmentation` says.
pub fn write_plain(
    packet: &[u8],
    segmentation: Segmentation,
    index: usize,
    out: &mut [u8],
) -> Option<usize> {
    let layout = Layout::parse(packet).ok()?;
    let packet = packet.get(..layout.length as usize)?;
    let upper = usize::from(layout.upper);
    let (size, header) = match (segmentation, layout.protocol) {
        (Segmentation::Tcp(size), protocol::TCP) => {
            let header: &tcp::Header = view(packet, upper)?;
            (size, header.header_length())
        }
        (Segmentation::Udp(size), protocol::UDP) => (size, udp::HEADER),
        _ => return None,
    };
    let (size, headers) = (usize::from(size), upper + header);
    let start = headers + index * size;
    let end = packet.len().min(start + size);
    let data = packet.get(start..end).filter(|data| !data.is_empty())?;
    let out = out.get_mut(..headers + data.len())?;
    out.get_mut(..headers)?
        .copy_from_slice(packet.get(..headers)?);
    out.get_mut(headers..)?.copy_from_slice(data);
    let is_last = end == packet.len();
    set_upper(out, upper, (index, start - headers), is_last, segmentation)?;
    set_ip(out, layout.family, index)?;
    let layout = Layout::parse(out).ok()?;
    checksum::fill_transport(out, &layout).then_some(out.len())
}

/// What differs between segments above IP, but for the checksum.
fn set_upper(
    out: &mut [u8],
    upper: usize,
    (index, before): (usize, usize),
    is_last: bool,
    segmentation: Segmentation,
) -> Option<()> {
    let length = u16::try_from(out.len() - upper).ok()?;
    match segmentation {
        Segmentation::Tcp(_) => {
            let header: &mut tcp::Header = view_mut(out, upper)?;
            let sequence = header.sequence.get().wrapping_add(before as u32);
            header.sequence.set(sequence);
            if index > 0 {
                header.flags &= !tcp::CWR;
            }
            if !is_last {
                header.flags &= !(tcp::FIN | tcp::PSH);
            }
        }
        Segmentation::Udp(_) => {
            let header: &mut udp::Header = view_mut(out, upper)?;
            header.length.set(length);
        }
    }
    Some(())
}

fn set_ip(out: &mut [u8], family: Family, index: usize) -> Option<()> {
    let length = u16::try_from(out.len()).ok()?;
    match family {
        Family::V4 => {
            let header: &mut ipv4::Header = view_mut(out, 0)?;
            header.total_length.set(length);
            let id = header.id.get().wrapping_add(index as u16);
            header.id.set(id);
            ipv4::update_checksum(out);
        }
        Family::V6 => {
            let header: &mut ipv6::Header = view_mut(out, 0)?;
            header
                .payload_length
                .set(length.checked_sub(ipv6::HEADER as u16)?);
        }
    }
    Some(())
}

/// Whether two packets say the same: octet for octet, but that a checksum of 0 may be written as
/// 0xffff (RFC 1624 §3), and that IPv4's identification means nothing beside Don't Fragment
/// (RFC 6864 §4.1).
pub fn says_the_same(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    if one == other {
        return true;
    }
    let Ok(layout) = Layout::parse(one) else {
        return false;
    };
    let is_v4 = layout.family == Family::V4;
    let is_free = |at| is_v4 && layout.dont_fragment(one) && (at == 4 || at == 10);
    let upper = checksum::field_offset(layout.protocol);
    let upper = upper.map(|offset| usize::from(layout.upper) + offset);
    let is_checksum = |at| upper == Some(at) || (is_v4 && at == 10);
    let is_zero = |word| word == [0, 0] || word == [0xff, 0xff];
    let mut words = (0..one.len().saturating_sub(1)).step_by(2);
    let is_same = words.all(|at| {
        let words = (word(one, at), word(other, at));
        let (Some(a), Some(b)) = words else {
            return false;
        };
        a == b || is_free(at) || (is_checksum(at) && is_zero(a) && is_zero(b))
    });
    is_same && one.last() == other.last()
}

fn word(octets: &[u8], at: usize) -> Option<[u8; 2]> {
    octets.get(at..at + 2)?.try_into().ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::SuperPacket;
    use proptest::prelude::*;
    use sealway_wire::build::Packet;

    fn packet(v6: bool, is_udp: bool, flags: u8, data: &[u8]) -> Vec<u8> {
        let ends = match v6 {
            false => ["10.0.0.1", "10.0.0.2"],
            true => ["fd00::1", "fd00::2"],
        };
        let [a, b] = ends.map(|end| end.parse().unwrap());
        let packet = Packet::new(a, b).id(0xffff);
        match is_udp {
            true => packet.udp(5, 6, data),
            false => packet.tcp(5, 6, flags, data),
        }
    }

    fn segmentation(is_udp: bool, size: u16) -> Segmentation {
        match is_udp {
            true => Segmentation::Udp(size),
            false => Segmentation::Tcp(size),
        }
    }

    proptest! {
        #[test]
        fn both_ways_make_the_same_octets(
            v6: bool, is_udp: bool, flags: u8, size in 1u16..2000,
            data in proptest::collection::vec(any::<u8>(), 1..9000),
        ) {
            let whole = packet(v6, is_udp, flags, &data);
            let segmentation = segmentation(is_udp, size);
            let layout = Layout::parse(&whole).unwrap();
            let fast = SuperPacket::new(&whole, &layout, segmentation).unwrap();
            for index in 0..=fast.count() {
                let mut one = vec![0; fast.octets(index)];
                let mut other = vec![0; 10_000];
                let written = fast.write(index, &mut one).map(|()| one.len());
                prop_assert_eq!(write_plain(&whole, segmentation, index, &mut other), written);
                prop_assert_eq!(&other[..one.len()], &one);
            }
        }

        #[test]
        fn random_octets_never_panic(
            octets in proptest::collection::vec(any::<u8>(), 0..200), is_udp: bool,
            size: u16, index in 0usize..70_000, room in 0usize..200,
        ) {
            let mut out = vec![0; room];
            let _ = write_plain(&octets, segmentation(is_udp, size), index, &mut out);
            prop_assert!(says_the_same(&octets, &octets));
            let _ = says_the_same(&octets, &out);
        }

        #[test]
        fn a_flipped_bit_is_another_packet(
            v6: bool, is_udp: bool, data in proptest::collection::vec(any::<u8>(), 1..100), bit: usize,
        ) {
            let one = packet(v6, is_udp, 0x10, &data);
            let mut other = one.clone();
            let bit = bit % (one.len() * 8);
            other[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(!says_the_same(&one, &other));
        }
    }

    #[test]
    fn what_means_the_same_is_the_same() {
        let whole = packet(false, false, 0x10, b"data");
        let with = |at: usize, word: [u8; 2]| {
            let mut packet = whole.clone();
            packet[6] |= 0x40;
            packet[at..at + 2].copy_from_slice(&word);
            packet
        };
        assert!(says_the_same(&with(36, [0, 0]), &with(36, [0xff; 2])));
        assert!(says_the_same(&with(4, [1, 2]), &with(4, [3, 4])));
        assert!(!says_the_same(&with(36, [0, 0]), &with(36, [0, 1])));
        assert!(!says_the_same(&whole, &whole[1..]));
    }
}
