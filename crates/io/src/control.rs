//! Control messages: the facts that travel beside a datagram, as octets in the kernel's layout
//! (`struct cmsghdr`, cmsg(3)).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use libc::c_int;

/// Octets before the data of each message: a length as wide as a pointer, level, kind.
const HEADER: usize = size_of::<usize>() + 2 * size_of::<c_int>();

/// Messages to send; room for the four that any packet of ours has.
#[repr(C, align(8))]
pub(crate) struct Control {
    octets: [u8; 4 * (HEADER + 24)],
    used: usize,
}

impl Control {
    pub(crate) fn new() -> Self {
        Control {
            octets: [0; 4 * (HEADER + 24)],
            used: 0,
        }
    }

    /// Adds a message of at most 24 octets; no more than four in all.
    pub(crate) fn push(&mut self, level: c_int, kind: c_int, data: &[u8]) {
        let length = HEADER + data.len();
        let place = &mut self.octets[self.used..self.used + length];
        let (header, rest) = place.split_at_mut(HEADER);
        let (size, sort) = header.split_at_mut(size_of::<usize>());
        size.copy_from_slice(&length.to_ne_bytes());
        sort[..4].copy_from_slice(&level.to_ne_bytes());
        sort[4..].copy_from_slice(&kind.to_ne_bytes());
        rest.copy_from_slice(data);
        self.used += aligned(length);
    }

    pub(crate) fn octets(&self) -> &[u8] {
        &self.octets[..self.used]
    }
}

/// The message that says by which interface and from which source a packet is to leave.
pub(crate) fn push_source(control: &mut Control, source: IpAddr, interface: u32) {
    match source {
        IpAddr::V4(source) => {
            let mut info = [0; 12];
            info[..4].copy_from_slice(&interface.to_ne_bytes());
            info[4..8].copy_from_slice(&source.octets());
            control.push(libc::IPPROTO_IP, libc::IP_PKTINFO, &info);
        }
        IpAddr::V6(source) => {
            let mut info = [0; 20];
            info[..16].copy_from_slice(&source.octets());
            info[16..].copy_from_slice(&interface.to_ne_bytes());
            control.push(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &info);
        }
    }
}

/// The messages in what the kernel wrote; ends at the first that does not fit.
pub(crate) fn messages(octets: &[u8]) -> impl Iterator<Item = (c_int, c_int, &[u8])> {
    let mut rest = octets;
    std::iter::from_fn(move || {
        let (length, after) = rest.split_first_chunk()?;
        let length = usize::from_ne_bytes(*length);
        let (level, after) = after.split_first_chunk()?;
        let (kind, _) = after.split_first_chunk()?;
        let data = rest.get(HEADER..length)?;
        rest = rest.get(aligned(length)..).unwrap_or(&[]);
        Some((
            c_int::from_ne_bytes(*level),
            c_int::from_ne_bytes(*kind),
            data,
        ))
    })
}

/// What the kernel says of a datagram's IP header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) destination: Option<IpAddr>,
    pub(crate) interface: u32,
    pub(crate) tos: u8,
    pub(crate) hop_limit: u8,
    /// Octets of each datagram but the last, where several came at once (`UDP_GRO`).
    pub(crate) segment: Option<usize>,
}

impl Facts {
    /// Reads them out of control messages; those without meaning here are skipped.
    #[inline]
    pub(crate) fn of(octets: &[u8]) -> Facts {
        let mut facts = Facts::default();
        for (level, kind, data) in messages(octets) {
            match (level, kind) {
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => facts.set_ipv4(data),
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => facts.set_ipv6(data),
                (libc::IPPROTO_IP, libc::IP_TOS) | (libc::IPPROTO_IPV6, libc::IPV6_TCLASS) => {
                    facts.tos = small(data);
                }
                (libc::IPPROTO_IP, libc::IP_TTL) | (libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT) => {
                    facts.hop_limit = small(data);
                }
                (libc::SOL_UDP, libc::UDP_GRO) => {
                    let size = data.first_chunk().map(|size| c_int::from_ne_bytes(*size));
                    facts.segment = size.and_then(|size| usize::try_from(size).ok());
                }
                _ => {}
            }
        }
        facts
    }

    /// `struct in_pktinfo`: the interface, the local address of the route, the header's destination.
    fn set_ipv4(&mut self, data: &[u8]) {
        if let Ok(info) = <&[u8; 12]>::try_from(data) {
            let [a, b, c, d, _, _, _, _, destination @ ..] = *info;
            self.interface = u32::from_ne_bytes([a, b, c, d]);
            self.destination = Some(Ipv4Addr::from(destination).into());
        }
    }

    /// `struct in6_pktinfo`: the header's destination, the interface.
    fn set_ipv6(&mut self, data: &[u8]) {
        if let Some((destination, rest)) = data.split_first_chunk::<16>()
            && let Ok(interface) = <[u8; 4]>::try_from(rest)
        {
            self.interface = u32::from_ne_bytes(interface);
            self.destination = Some(Ipv6Addr::from(*destination).into());
        }
    }
}

/// A value below 256 that came as one octet (IP_TOS) or as an `int` (the others).
fn small(data: &[u8]) -> u8 {
    match *data {
        [octet] => octet,
        [a, b, c, d] => c_int::from_ne_bytes([a, b, c, d]) as u8,
        _ => 0,
    }
}

const fn aligned(length: usize) -> usize {
    length.next_multiple_of(size_of::<usize>())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_pushed_is_read_back() {
        let mut control = Control::new();
        push_source(&mut control, "2001:db8::1".parse().unwrap(), 7);
        control.push(
            libc::IPPROTO_IPV6,
            libc::IPV6_TCLASS,
            &0xb9i32.to_ne_bytes(),
        );
        control.push(
            libc::IPPROTO_IPV6,
            libc::IPV6_HOPLIMIT,
            &64i32.to_ne_bytes(),
        );
        control.push(libc::SOL_UDP, libc::UDP_GRO, &1400i32.to_ne_bytes());
        let facts = Facts {
            destination: Some("2001:db8::1".parse().unwrap()),
            interface: 7,
            tos: 0xb9,
            hop_limit: 64,
            segment: Some(1400),
        };
        assert_eq!(Facts::of(control.octets()), facts);
        assert_eq!(messages(control.octets()).count(), 4);
    }

    #[test]
    fn a_message_longer_than_the_buffer_ends_the_reading() {
        let mut control = Control::new();
        control.push(libc::IPPROTO_IP, libc::IP_TTL, &64i32.to_ne_bytes());
        let octets = control.octets();
        assert_eq!(messages(&octets[..HEADER + 3]).count(), 0);
    }

    proptest! {
        #[test]
        fn random_octets_never_panic(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Facts::of(&octets);
            prop_assert!(messages(&octets).count() <= octets.len());
        }

        #[test]
        fn random_lengths_never_panic(length in any::<usize>(), rest in any::<[u8; 40]>()) {
            let mut octets = length.to_ne_bytes().to_vec();
            octets.extend(rest);
            let _ = Facts::of(&octets);
        }
    }
}
