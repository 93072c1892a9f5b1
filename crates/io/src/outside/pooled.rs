//! An outside as a device.

use sealway_packet::{Arrival, Egress, Offload, Packet, Pool, Train};

use super::{BATCH, Inlet, Outside, Received};
use crate::clear::Clear;
use crate::{Device, SendError};

/// An outside with its pool and, if there is one, its clear device: a whole [`Device`]. Datagrams
/// that are not ESP are dropped, as are reports; trains are taken apart.
#[derive(Debug)]
pub struct Pooled {
    /// The sockets.
    pub outside: Outside,
    /// Where packets that no SA protects leave.
    pub clear: Option<Clear>,
    /// Where buffers come from.
    pub pool: Pool,
}

impl Device for Pooled {
    fn send(&mut self, egress: Egress, train: Train) -> Result<(), SendError> {
        match (egress, &self.clear) {
            (Egress::Clear, Some(clear)) => clear.send(&train, &Offload::default()),
            _ => self.outside.send(&egress, &train),
        }
    }

    fn receive(&mut self, sink: &mut dyn FnMut(Packet<Arrival>)) {
        let mut hand_over = |received| {
            let Received::Packet(packet) = received else {
                return;
            };
            if packet.train.count() <= 1 {
                return sink(packet);
            }
            for octets in packet.train.segments() {
                sink(Packet::new(Train::detached(octets), packet.meta));
            }
        };
        for inlet in Inlet::ALL {
            // A socket that fails now is asked again next time.
            let _ = self.outside.receive(inlet, &self.pool, &mut hand_over);
        }
        let Some(clear) = &self.clear else {
            return;
        };
        for _ in 0..BATCH {
            match clear.read(&self.pool) {
                Ok(Some(packet)) => sink(packet),
                _ => break,
            }
        }
    }
}
