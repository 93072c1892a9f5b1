//! Packets that the engine makes for the inside: ICMP errors. The one place where the direction of
//! a packet turns.

use std::net::IpAddr;

use sealway_packet::{Packet, SizeClass, Train};
use sealway_wire::{Layout, icmp, icmpv6};

use super::Datapath;
use crate::verdict::Admitted;

/// The most errors that wait to be delivered; more in one batch are not made.
const MOST_WAITING: usize = 64;

impl Datapath {
    /// Tells the sender of an outbound packet that it is too big (RFC 1191, RFC 4443 §3.2). The
    /// error is new: nothing of the offending packet's meta data goes with it.
    ///
    /// It comes from the packet's own destination: an address of ours would be a martian where the
    /// sender is this very host.
    pub(super) fn answer_too_big(&mut self, packet: &[u8], layout: &Layout, mtu: u16) {
        if self.originated.len() >= MOST_WAITING || !icmp::may_answer(packet, layout) {
            return;
        }
        let Some(mut train) = self.pool.take(SizeClass::Small) else {
            return;
        };
        let room = train
            .buffer_mut()
            .get_mut(Train::HEADROOM..)
            .unwrap_or_default();
        let length = match (layout.destination(packet), layout.source(packet)) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let answer = icmp::Answer {
                    source,
                    destination,
                };
                answer.too_big(room, packet, mtu)
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let answer = icmpv6::Answer {
                    source,
                    destination,
                };
                answer.too_big(room, packet, u32::from(mtu))
            }
            _ => None,
        };
        if let Some(length) = length {
            train.set_single(Train::HEADROOM, length);
            self.stats.originated += 1;
            self.stats.delivered += 1;
            self.originated
                .push_back(Admitted::new(Packet::new(train, ())));
        }
    }
}
