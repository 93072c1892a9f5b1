//! How a packet leaves: exactly one verdict each, with a named reason where it is dropped.

use sealway_packet::{Egress, Offload, Packet, Train};

/// A packet on its way out to the unprotected side. Only the output path can build one.
#[derive(Debug)]
pub struct Transmit {
    egress: Egress,
    train: Train,
    offload: Offload,
}

impl Transmit {
    pub(crate) const fn new(egress: Egress, train: Train, offload: Offload) -> Self {
        Transmit {
            egress,
            train,
            offload,
        }
    }

    /// Where it goes.
    pub const fn egress(&self) -> &Egress {
        &self.egress
    }

    /// Its octets.
    pub const fn train(&self) -> &Train {
        &self.train
    }

    /// Takes it apart, to be sent. For device adaptors alone (`cargo xtask layers` holds that).
    pub fn into_parts(self) -> (Egress, Train, Offload) {
        (self.egress, self.train, self.offload)
    }
}

/// A packet that the inbound policy check let in (or that the engine made for the inside, such as
/// an ICMP error). Only that check can build one.
#[derive(Debug)]
pub struct Admitted {
    packet: Packet<()>,
}

impl Admitted {
    pub(crate) const fn new(packet: Packet<()>) -> Self {
        Admitted { packet }
    }

    /// Its octets: one IP packet.
    pub fn octets(&self) -> &[u8] {
        self.packet.train.packet()
    }

    /// Takes it apart, to be delivered. For device adaptors alone (`cargo xtask layers` holds
    /// that).
    pub fn into_parts(self) -> Packet<()> {
        self.packet
    }
}

/// A packet of a train that the inbound policy check let in, or several that were coalesced into a
/// super-packet. Only that check can make one.
#[derive(Debug)]
pub struct AdmittedPart<'t> {
    octets: &'t [u8],
    offload: Offload,
}

impl<'t> AdmittedPart<'t> {
    pub(crate) const fn new(octets: &'t [u8], offload: Offload) -> Self {
        AdmittedPart { octets, offload }
    }

    /// Its octets: one IP packet.
    pub const fn octets(&self) -> &[u8] {
        self.octets
    }

    /// Takes it apart, to be delivered. For device adaptors alone (`cargo xtask layers` holds
    /// that).
    pub const fn into_parts(self) -> (&'t [u8], Offload) {
        (self.octets, self.offload)
    }
}

/// What became of a packet as it was read. Each packet gets exactly one.
#[must_use]
#[derive(Debug)]
pub enum Verdict {
    /// It leaves towards the outside (protected, or by a BYPASS policy).
    Sent(Transmit),
    /// It is let in.
    Delivered(Admitted),
    /// It ends here, counted under its reason.
    Dropped(DropReason),
    /// It waits for an SA and will be judged again.
    Held,
    /// Its transform is under way elsewhere and will be resumed.
    Pending,
    /// It ended as it should: a fragment that waits for its datagram or has become part of it, a
    /// dummy packet (RFC 4303 §2.6).
    Consumed,
}

macro_rules! drop_reasons {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal, $linux:literal, $bsd:literal;)+) => {
        /// Why a packet was dropped. The one list from which the verdict, the counter, its label
        /// and the manual are made.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum DropReason {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl DropReason {
            /// Every reason, in the order of its counters.
            pub const ALL: &'static [DropReason] = &[$(DropReason::$variant,)+];

            /// The reason's name, as counters and `show stats` use it.
            pub const fn name(self) -> &'static str {
                match self { $(DropReason::$variant => $name,)+ }
            }

            /// The counter of Linux's `/proc/net/xfrm_stat` that would have moved.
            pub const fn linux(self) -> &'static str {
                match self { $(DropReason::$variant => $linux,)+ }
            }

            /// What BSD's `netstat -s -p esp|ipsec` calls it.
            pub const fn bsd(self) -> &'static str {
                match self { $(DropReason::$variant => $bsd,)+ }
            }

            /// What it means, in a sentence or two.
            pub const fn meaning(self) -> &'static str {
                match self { $(DropReason::$variant => concat!($($doc,)+).trim_ascii(),)+ }
            }
        }
    };
}

drop_reasons! {
    /// The packet's own IP headers cannot be read.
    Malformed = "malformed", "XfrmInHdrError", "hdrops";
    /// A part of ESP or AH for us: those are put together before they come here
    /// (RFC 4303 §3.4.1).
    EspFragment = "esp_fragment", "XfrmInHdrError", "hdrops";
    /// No SA has this SPI, destination and protocol.
    NoSaIn = "no_sa_in", "XfrmInNoStates", "notdb";
    /// The SA expects UDP encapsulation and the packet has none, or the reverse.
    EncapsulationMismatch = "encapsulation_mismatch", "XfrmInStateMismatch", "badtdb";
    /// The outer source address is not the SA's.
    OuterSource = "outer_source", "XfrmInStateMismatch", "badtdb";
    /// ESP shorter than its header, IV, trailer and ICV, or not of its cipher's block size.
    EspLength = "esp_length", "XfrmInHdrError", "badilen";
    /// The sequence number was seen before, is 0, or lies behind the window (RFC 4303 §3.4.3).
    Replay = "replay", "XfrmInStateSeqError", "replay";
    /// The sequence number lies above what storage has reserved, and may be accepted once more is.
    UnreservedIn = "unreserved_in", "XfrmInStateSeqError", "replay";
    /// The SA it came through has reached a hard limit (RFC 4301 §4.4.2.1).
    SaExpiredIn = "sa_expired_in", "XfrmInStateExpired", "notdb";
    /// The ICV does not verify.
    Integrity = "integrity", "XfrmInStateProtoError", "badauth";
    /// The padding is not what RFC 4303 §2.4 prescribes, or longer than the packet.
    Padding = "padding", "XfrmInStateProtoError", "badenc";
    /// What the SA carried is not what its mode allows (a tunnel holds an IP packet).
    ModeMismatch = "mode_mismatch", "XfrmInStateModeError", "badtdb";
    /// The headers of the packet inside cannot be read.
    InnerMalformed = "inner_malformed", "XfrmInHdrError", "hdrops";
    /// More SAs inside one another than Sealway opens.
    NestingTooDeep = "nesting_too_deep", "XfrmInBufferError", "pdrops";
    /// The outer header says Congestion Experienced, the inner one cannot carry it
    /// (RFC 6040 §4.2).
    CongestionMark = "congestion_mark", "XfrmInStateProtoError", "pdrops";
    /// The packet inside is not among the SA's own selectors.
    SelectorMismatch = "selector_mismatch", "XfrmInStateMismatch", "polvio";
    /// The policy demands protection and the packet came in the clear.
    Unprotected = "unprotected", "XfrmInTmplMismatch", "polvio";
    /// The policy demands other SAs than the packet came through.
    TemplateMismatch = "template_mismatch", "XfrmInTmplMismatch", "polvio";
    /// It came through a tunnel SA that no policy asked for.
    TunnelUnexpected = "tunnel_unexpected", "XfrmInTmplMismatch", "polvio";
    /// No inbound policy and the default is to discard, or it came through a tunnel.
    NoPolicyIn = "no_policy_in", "XfrmInNoPols", "polvio";
    /// An inbound policy says DISCARD.
    PolicyDiscardIn = "policy_discard_in", "XfrmInPolBlock", "polvio";
    /// No outbound policy and the default is to discard.
    NoPolicyOut = "no_policy_out", "XfrmOutPolBlock", "polvio";
    /// An outbound policy says DISCARD.
    PolicyDiscardOut = "policy_discard_out", "XfrmOutPolBlock", "polvio";
    /// The policy demands an SA that does not exist, and no key manager is attached.
    NoSaOut = "no_sa_out", "XfrmOutNoStates", "notdb";
    /// A key manager was asked for an SA and none came in time.
    AcquireExpired = "acquire_expired", "XfrmAcquireError", "notdb";
    /// As many packets as may wait for SAs wait already.
    HoldFull = "hold_full", "XfrmOutError", "crypto";
    /// The SA has used its last sequence number (RFC 4303 §3.3.3).
    SequenceExhausted = "sequence_exhausted", "XfrmOutStateSeqError", "wrap";
    /// The SA has used the sequence numbers that storage has reserved, and more are not yet.
    UnreservedOut = "unreserved_out", "XfrmOutStateSeqError", "wrap";
    /// The SA has reached a hard limit (RFC 4301 §4.4.2.1).
    SaExpiredOut = "sa_expired_out", "XfrmOutStateExpired", "notdb";
    /// Too big for the path and not to be fragmented; the sender was told (RFC 4301 §8.2).
    TooBig = "too_big", "XfrmOutError", "pdrops";
    /// Its device calls it a super-packet, and it cannot be cut as the device says.
    Segmentation = "segmentation", "XfrmOutError", "hdrops";
    /// Its device leaves the checksum of TCP or UDP to be made, and not where the packet has it.
    Checksum = "checksum", "XfrmOutError", "hdrops";
    /// A BYPASS policy, but there is no clear device.
    BypassRefused = "bypass_refused", "XfrmOutPolError", "polvio";
    /// It would go back the way it came.
    Loop = "loop", "XfrmOutError", "pdrops";
    /// Link-local chatter of the inside device itself (router solicitations, MLD).
    LinkLocal = "link_local", "XfrmOutNoStates", "pdrops";
    /// A fragment whose ports are needed and whose first fragment is not known.
    FragmentNoState = "fragment_no_state", "XfrmOutError", "pdrops";
    /// A fragment that overlaps another of its datagram (RFC 5722).
    FragmentOverlap = "fragment_overlap", "XfrmOutError", "pdrops";
    /// A first fragment too short for the header above IP (RFC 1858).
    FragmentTiny = "fragment_tiny", "XfrmOutError", "pdrops";
    /// Too many datagrams, or too many pieces of one, wait to be put together.
    FragmentLimit = "fragment_limit", "XfrmOutError", "pdrops";
    /// No free buffer, or not enough room in it for the headers.
    NoBuffer = "no_buffer", "XfrmInBufferError", "crypto";
    /// A transform refused its arguments: an error of Sealway's, please report it.
    Internal = "internal", "XfrmOutStateProtoError", "crypto";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_own_name_and_a_meaning() {
        let mut names: Vec<_> = DropReason::ALL.iter().map(|reason| reason.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), DropReason::ALL.len());
        for (index, reason) in DropReason::ALL.iter().enumerate() {
            assert_eq!(index, *reason as usize);
            assert!(reason.meaning().ends_with('.'), "{}", reason.meaning());
        }
    }
}
