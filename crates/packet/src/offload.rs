//! What a device left undone for us, or what we leave for a device.

/// Work on a packet that its device or ours still has to do (the virtio header's facts).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offload {
    /// The transport checksum.
    pub checksum: Checksum,
    /// Set on a super-packet: how to cut it.
    pub segmentation: Option<Segmentation>,
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
