//! What a device left undone for us, or what we leave for a device.

use sealway_wire::{Layout, checksum};

/// Work on a packet that its device or ours still has to do (the virtio header's facts).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offload {
    /// The transport checksum.
    pub checksum: Checksum,
    /// Set on a super-packet: how to cut it.
    pub segmentation: Option<Segmentation>,
}

impl Offload {
    /// Whether the packet has a checksum where the device says that it is still to be made. (What is
    /// said of segments is looked at where they are cut.)
    pub fn fits(&self, packet: &[u8], layout: &Layout) -> bool {
        let Checksum::Partial { start, offset } = self.checksum else {
            return true;
        };
        let offset = usize::from(offset);
        let field_ends = usize::from(start) + offset + 2;
        start == layout.upper
            && checksum::field_offset(layout.protocol) == Some(offset)
            && field_ends <= packet.len().min(layout.length as usize)
            && !layout.is_fragment()
    }
}

/// The state of a packet's transport checksum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Checksum {
    /// The field is right, or the receiver will look at it.
    #[default]
    Complete,
    /// The field holds the pseudo-header's sum; the octets from `start` are still to be summed into
    /// the field at `start + offset`.
    Partial {
        /// Where summing starts, in octets from the IP header.
        start: u16,
        /// Where the field stands, in octets from `start`.
        offset: u16,
    },
    /// The device has verified it.
    Verified,
}

/// How a super-packet is to be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Segmentation {
    /// TCP, each segment with at most this many octets of payload.
    Tcp(u16),
    /// UDP, each datagram with this many octets of payload.
    Udp(u16),
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use sealway_wire::build::Packet;

    fn tcp() -> Vec<u8> {
        let ends = ["fd00::1", "fd00::2"].map(|end| end.parse().unwrap());
        Packet::new(ends[0], ends[1]).tcp(1, 2, 0x10, b"data")
    }

    fn partial(start: u16, offset: u16) -> Offload {
        Offload {
            checksum: Checksum::Partial { start, offset },
            segmentation: None,
        }
    }

    #[test]
    fn a_checksum_that_is_elsewhere_does_not_fit() {
        let packet = tcp();
        let layout = Layout::parse(&packet).unwrap();
        assert!(partial(40, 16).fits(&packet, &layout));
        assert!(Offload::default().fits(&packet, &layout));
        for (start, offset) in [(0, 16), (40, 6), (41, 15), (20, 36), (u16::MAX, u16::MAX)] {
            assert!(!partial(start, offset).fits(&packet, &layout));
        }
        assert!(!partial(40, 16).fits(&packet[..57], &layout));
    }

    proptest! {
        #[test]
        fn random_octets_never_panic(
            octets in proptest::collection::vec(any::<u8>(), 0..100), start: u16, offset: u16,
        ) {
            if let Ok(layout) = Layout::parse(&octets) {
                let _ = partial(start, offset).fits(&octets, &layout);
            }
        }
    }
}
