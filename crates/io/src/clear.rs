//! The clear device: BYPASS traffic of the outside, as whole packets.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use sealway_packet::{Arrival, Offload, Packet, Pool, Train};

use crate::SendError;
use crate::tun::{OpenError, Tun};

/// A second TUN device. What no SA protects is written to it and the host routes it on; what the
/// host routes to it is clear traffic that came in.
#[derive(Debug)]
pub struct Clear {
    tun: Tun,
}

impl Clear {
    /// Creates or attaches the device; see [`Tun::open`].
    pub fn open(name: &str) -> Result<Clear, OpenError> {
        Ok(Clear {
            tun: Tun::open(name)?,
        })
    }

    /// The device itself.
    pub fn tun(&self) -> &Tun {
        &self.tun
    }

    /// Sends whole packets; the kernel does what `offload` leaves to it.
    ///
    /// # Errors
    /// The first failure; segments before it have left.
    pub fn send(&self, train: &Train, offload: &Offload) -> Result<(), SendError> {
        train
            .segments()
            .try_for_each(|packet| self.tun.write(packet, offload))
            .map_err(SendError::from)
    }

    /// The next packet, or `None`; see [`Tun::read`] for the errors.
    pub fn read(&self, pool: &Pool) -> io::Result<Option<Packet<Arrival>>> {
        let interface = self.tun.index();
        Ok(self.tun.read(pool)?.map(|packet| Packet {
            train: packet.train,
            offload: packet.offload,
            meta: Arrival::Whole { interface },
        }))
    }
}

impl AsFd for Clear {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.tun.as_fd()
    }
}
