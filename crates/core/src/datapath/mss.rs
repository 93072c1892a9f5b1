//! The Maximum Segment Size that TCP's SYNs tell, lowered to what the path takes, for hosts that do
//! not hear of packets that were too big.

use sealway_packet::Train;
use sealway_wire::{Layout, protocol, tcp};

use super::Datapath;
use crate::bundle;
use crate::flow::Key;
use crate::path;

/// What becomes of the Maximum Segment Size in TCP's SYNs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Mss {
    /// It stays.
    #[default]
    Kept,
    /// It is lowered to what fits through the SAs, in both directions.
    Clamped,
}

/// In a SYN to the outside: what the peer may send. The way back is taken to be like the way there.
#[inline]
pub(super) fn clamp_outbound(train: &mut Train, layout: &Layout, largest: u16) {
    if layout.protocol == protocol::TCP {
        clamp(train, layout, largest);
    }
}

impl Datapath {
    /// In a SYN that came through SAs: what our side may send.
    pub(super) fn clamp_inbound(&mut self, train: &mut Train) {
        if let Ok(layout) = Layout::parse(train.packet())
            && layout.protocol == protocol::TCP
            && tcp::is_syn(train.packet(), &layout)
        {
            self.clamp_by_way_back(train, &layout);
        }
    }

    /// Where an SA of the way back is missing it is asked for, as the answer would do next.
    #[cold]
    fn clamp_by_way_back(&mut self, train: &mut Train, layout: &Layout) {
        let key = Key::of(layout, train.packet()).reversed();
        let Ok(Some(reference)) = self.bundle_for(&key, layout) else {
            return;
        };
        let Some(bundle) = self.bundles.get(reference) else {
            return;
        };
        let mtu = self.tables.paths.mtu(bundle.far_end(key.destination()));
        let header = usize::from(layout.unfragmentable);
        clamp(train, layout, bundle::largest(bundle.steps(), mtu, header));
    }
}

/// `largest`: octets of the largest packet that fits. Nobody is asked to go below the minimum of
/// the protocol.
fn clamp(train: &mut Train, layout: &Layout, largest: u16) {
    let largest = largest.max(path::least(layout.destination(train.packet())));
    let headers = layout.upper.saturating_add(tcp::HEADER as u16);
    tcp::clamp_mss(train.packet_mut(), layout, largest.saturating_sub(headers));
}
