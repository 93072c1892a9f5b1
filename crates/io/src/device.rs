//! What every outside is: something that packets leave by and come in by.

use std::io;

use sealway_packet::{Arrival, Egress, Packet, Train};

/// An unprotected side: sockets ([`crate::outside::Pooled`]), memory ([`crate::memory::End`]), or
/// either made worse ([`crate::fault::Faults`]).
pub trait Device {
    /// Sends every segment of the train.
    ///
    /// # Errors
    /// The first failure; segments before it have left, it and those behind it have not.
    fn send(&mut self, egress: Egress, train: Train) -> Result<(), SendError>;

    /// Hands over what has arrived, without waiting; a bounded number per call.
    fn receive(&mut self, sink: &mut dyn FnMut(Packet<Arrival>));
}

/// Why a packet could not leave. Never fatal: the next packet may do better. Reporting, and not
/// too often, is the caller's.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// It is larger than the link and may not be fragmented.
    #[error("the packet is larger than the link's MTU of {}", known(*.mtu))]
    TooBig {
        /// The largest outer IP packet that would have passed, in octets, where that is known.
        mtu: Option<u32>,
    },
    /// No route, the interface is down or gone, or (so says IPv4) the source is not ours.
    #[error(
        "no way to the destination: no route, the interface is down, or the source is not ours"
    )]
    Unreachable,
    /// A queue is full.
    #[error("the queue of the socket or link is full")]
    Full,
    /// The packet filter or the kernel's permissions say no.
    #[error("the host's packet filter refused the packet")]
    Refused,
    /// The outer source is not an address of this host, or no longer (so says IPv6).
    #[error("the outer source address is not one of this host")]
    NotOurs,
    /// The device has no way to send this: an address family it was not opened for, a UDP source
    /// port that is not its own, AH that does not come whole, clear traffic without a clear device.
    #[error("this device cannot send {0}")]
    Unsupported(&'static str),
    /// Anything else the kernel said.
    #[error("sending failed: {0}")]
    Other(#[source] io::Error),
}

fn known(mtu: Option<u32>) -> String {
    mtu.map_or_else(|| "unknown size".to_owned(), |mtu| mtu.to_string())
}

impl From<io::Error> for SendError {
    fn from(error: io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::EMSGSIZE) => SendError::TooBig { mtu: None },
            Some(libc::EAGAIN | libc::ENOBUFS | libc::ENOMEM) => SendError::Full,
            Some(libc::ENETUNREACH | libc::EHOSTUNREACH | libc::ENETDOWN | libc::ENODEV) => {
                SendError::Unreachable
            }
            Some(libc::EPERM | libc::EACCES) => SendError::Refused,
            Some(libc::EADDRNOTAVAIL) => SendError::NotOurs,
            _ => SendError::Other(error),
        }
    }
}
