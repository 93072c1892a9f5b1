//! Trains that came in: datagrams of one flow, read at once. They are opened where they stand, and
//! each is judged alone; what is let in of one inner flow is handed over as a super-packet.

use sealway_packet::{Arrival, Coalesced, Offload, Packet, Train};
use sealway_wire::{Layout, protocol};

use super::canary::Shortcut;
use super::input::{Batch, Exit};
use super::{Datapath, Mss};
use crate::verdict::{AdmittedPart, DropReason};

/// Octets that a packet may come to need in front: the longest header that transport mode puts there.
const ROOM: usize = 64;

/// Which packets a datapath coalesces on their way in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Coalescing {
    /// None: the inside takes plain packets.
    #[default]
    Nothing,
    /// Segments of TCP.
    Tcp,
    /// Segments of TCP, and datagrams of UDP.
    TcpAndUdp,
}

impl Datapath {
    /// Judges the datagrams of a train from the unprotected side, each alone and in order, as
    /// [`input`](Datapath::input) would. What is let in is given to `deliver`, in order.
    pub fn input_train(
        &mut self,
        mut packet: Packet<Arrival>,
        deliver: &mut impl FnMut(AdmittedPart<'_>),
    ) {
        let train = &mut packet.train;
        let mut open: Option<Coalesced> = None;
        for place in train.places() {
            if let Some(group) = &mut open
                && !group.make_room(train.buffer_mut(), place.start, ROOM)
            {
                self.hand_over(open.take(), train, deliver);
            }
            let floor = open.as_ref().map_or(0, Coalesced::end);
            train.set_behind(floor, place);
            if let Err(reason) = self.input_segment(train, &packet.meta, &mut open, deliver) {
                self.stats.drop_for(reason);
            }
        }
        self.hand_over(open, train, deliver);
    }

    fn input_segment(
        &mut self,
        train: &mut Train,
        arrival: &Arrival,
        open: &mut Option<Coalesced>,
        deliver: &mut impl FnMut(AdmittedPart<'_>),
    ) -> Result<(), DropReason> {
        self.stats.received_outside += 1;
        let mut batch = Batch {
            tables: &self.tables,
            now: self.now,
            events: &mut self.events,
        };
        let Exit::Admitted(_) = self.inbound.receive(&mut batch, train, arrival)? else {
            self.stats.consumed += 1;
            return Ok(());
        };
        self.stats.delivered += 1;
        if self.config.mss == Mss::Clamped {
            self.clamp_inbound(train);
        }
        let layout = Layout::parse(train.packet()).map_err(|_| DropReason::Internal)?;
        let place = train.place();
        let may_join = match (self.config.coalescing, layout.protocol) {
            (Coalescing::Nothing, _) => false,
            _ if !self.canary.trusts(Shortcut::Join) => false,
            (_, protocol::TCP) => true,
            (Coalescing::TcpAndUdp, protocol::UDP) => true,
            _ => false,
        };
        if may_join && let Some(group) = open {
            self.canary.hear(train.packet());
            if group.join(train.buffer_mut(), place.clone(), &layout) {
                self.canary.note_joined();
                self.stats.coalesced += 1;
                return Ok(());
            }
        }
        self.hand_over(open.take(), train, deliver);
        if may_join {
            self.canary.watch(train.packet(), &self.pool);
            *open = Some(Coalesced::begin(train.buffer_mut(), place, &layout));
        } else {
            deliver(AdmittedPart::new(train.packet(), Offload::default()));
        }
        Ok(())
    }

    fn hand_over(
        &mut self,
        group: Option<Coalesced>,
        train: &mut Train,
        deliver: &mut impl FnMut(AdmittedPart<'_>),
    ) {
        let Some(group) = group else {
            return;
        };
        let buffer = train.buffer_mut();
        let (place, offload) = group.finish(buffer);
        let Some(octets) = buffer.get_mut(place) else {
            return;
        };
        match self.canary.testify(octets, offload.segmentation) {
            None => deliver(AdmittedPart::new(octets, offload)),
            Some(mut apart) => {
                let apart = apart.segments();
                apart.for_each(|octets| deliver(AdmittedPart::new(octets, Offload::default())));
            }
        }
    }
}
