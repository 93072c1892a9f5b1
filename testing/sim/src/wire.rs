//! Packets and verdicts as a trace shows them.

use std::fmt::Write;

use sealway_oracle::Observed;
use sealway_wire::Layout;

/// The headers of a packet and its first octets.
pub(crate) fn shown(octets: &[u8]) -> String {
    let mut text = format!("{} octets ", octets.len());
    if let Ok(layout) = Layout::parse(octets) {
        let _ = write!(
            text,
            "{} > {} protocol {} {:?} {:?} ",
            layout.source(octets),
            layout.destination(octets),
            layout.protocol,
            layout.ports,
            layout.fragment
        );
    }
    for octet in octets.iter().take(64) {
        let _ = write!(text, "{octet:02x}");
    }
    text
}

/// A verdict in a few words.
pub(crate) fn verdict(observed: &Observed) -> String {
    match observed {
        Observed::Sent(egress, segments) => format!("sent {} by {egress:?}", segments.len()),
        Observed::Delivered(octets) => format!("delivered {}", shown(octets)),
        Observed::Dropped(reason) => format!("dropped: {}", reason.name()),
        Observed::Held => "held".into(),
        Observed::Pending => "pending".into(),
        Observed::Consumed => "consumed".into(),
    }
}
