//! What may be wrong with a packet, and what each end calls it.

/// What a negative row expects to be counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The sequence number came before.
    Replay,
    /// The ICV does not verify.
    Integrity,
    /// No SA has the SPI.
    NoSa,
    /// ESP is too short.
    Length,
    /// It should have been protected.
    Unprotected,
    /// It came through an SA, and no policy lets it in.
    NoPolicy,
    /// The SA may not carry it.
    Selector,
    /// The outer source is not the SA's.
    OuterSource,
    /// UDP encapsulation where the SA has none, or the reverse.
    Encapsulation,
    /// A fragment whose first is not known, where ports matter.
    FragmentNoState,
    /// A first fragment without the whole header above IP.
    FragmentTiny,
    /// Fragments that overlap.
    FragmentOverlap,
}

impl Fault {
    /// The reason's name in `sealway show stats`.
    pub fn sealway(self) -> &'static str {
        match self {
            Fault::Replay => "replay",
            Fault::Integrity => "integrity",
            Fault::NoSa => "no_sa_in",
            Fault::Length => "esp_length",
            Fault::Unprotected => "unprotected",
            Fault::NoPolicy => "no_policy_in",
            Fault::Selector => "selector_mismatch",
            Fault::OuterSource => "outer_source",
            Fault::Encapsulation => "encapsulation_mismatch",
            Fault::FragmentNoState => "fragment_no_state",
            Fault::FragmentTiny => "fragment_tiny",
            Fault::FragmentOverlap => "fragment_overlap",
        }
    }

    /// The counter in `/proc/net/xfrm_stat`; none where Linux lets such packets pass, does not
    /// count them there, or counts them differently from mode to mode.
    pub fn linux(self) -> Option<&'static str> {
        match self {
            Fault::Replay => Some("XfrmInStateSeqError"),
            Fault::Integrity => Some("XfrmInStateProtoError"),
            Fault::NoSa => Some("XfrmInNoStates"),
            Fault::Unprotected => Some("XfrmInTmplMismatch"),
            Fault::Length
            | Fault::NoPolicy
            | Fault::Selector
            | Fault::OuterSource
            | Fault::Encapsulation
            | Fault::FragmentNoState
            | Fault::FragmentTiny
            | Fault::FragmentOverlap => None,
        }
    }
}
