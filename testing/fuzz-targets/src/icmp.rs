//! ICMP errors: written about anything, read whatever they quote.

use std::net::IpAddr;

use sealway_wire::{Layout, TooBig, checksum, icmp, icmpv6};

/// Reads a packet as an error, and answers it with every error there is.
pub(crate) fn icmp(octets: &[u8]) {
    let Some(([room], packet)) = octets.split_first_chunk::<1>() else {
        return;
    };
    let _ = (TooBig::of_v4(packet), TooBig::of_v6(packet));
    let Ok(layout) = Layout::parse(packet) else {
        return;
    };
    read(packet, &layout);
    let mut out = vec![0; usize::from(*room) * 8];
    for error in Error::ALL {
        let Some(length) = error.write(&mut out, packet, &layout) else {
            continue;
        };
        check(&out[..length], packet, error);
    }
}

fn read(packet: &[u8], layout: &Layout) {
    if let Some(quoted) = icmp::quoted(packet, layout) {
        assert!(
            !icmp::may_answer(packet, layout),
            "an error answers an error"
        );
        if let Ok(inner) = Layout::parse_quoted(quoted) {
            let _ = (inner.ports, inner.payload(quoted));
            let _ = icmp::quoted(quoted, &inner);
        }
    }
    let _ = icmp::reported_mtu(packet, layout);
}

/// An error about a packet is a packet, quotes its start, and is never answered in turn.
fn check(message: &[u8], offending: &[u8], error: Error) {
    let layout = Layout::parse(message).expect("an error that was written can be read");
    assert_eq!(layout.length as usize, message.len());
    assert!(checksum::verify_transport(message, &layout));
    let quoted = icmp::quoted(message, &layout).expect("it quotes");
    assert!(offending.starts_with(quoted));
    assert!(!icmp::may_answer(message, &layout));
    let told = (error == Error::TooBig).then_some(MTU.into());
    assert_eq!(icmp::reported_mtu(message, &layout), told);
}

const MTU: u16 = 1400;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Error {
    TooBig,
    Unreachable,
    TimeExceeded,
}

impl Error {
    const ALL: [Error; 3] = [Error::TooBig, Error::Unreachable, Error::TimeExceeded];

    fn write(self, out: &mut [u8], offending: &[u8], layout: &Layout) -> Option<usize> {
        match (layout.destination(offending), layout.source(offending)) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let answer = icmp::Answer {
                    source,
                    destination,
                };
                match self {
                    Error::TooBig => answer.too_big(out, offending, MTU),
                    Error::Unreachable => answer.unreachable(out, offending, 1),
                    Error::TimeExceeded => answer.time_exceeded(out, offending),
                }
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let answer = icmpv6::Answer {
                    source,
                    destination,
                };
                match self {
                    Error::TooBig => answer.too_big(out, offending, MTU.into()),
                    Error::Unreachable => answer.unreachable(out, offending, 1),
                    Error::TimeExceeded => answer.time_exceeded(out, offending),
                }
            }
            _ => None,
        }
    }
}
