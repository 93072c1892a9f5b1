//! A packet and what its owner remembers of it.

use crate::{Offload, Train};

/// A packet on its way, with meta data `M` that belongs to whoever handles it at present.
#[derive(Debug)]
pub struct Packet<M> {
    /// The octets.
    pub train: Train,
    /// What the device said of them.
    pub offload: Offload,
    /// The present owner's own facts.
    pub meta: M,
}

impl<M> Packet<M> {
    /// A packet without offloaded work.
    pub fn new(train: Train, meta: M) -> Self {
        Packet {
            train,
            offload: Offload::default(),
            meta,
        }
    }
}
