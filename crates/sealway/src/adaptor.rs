//! The only place where packets leave the engine: `into_parts` is called here and nowhere else.
//!
//! A [`Transmit`] goes to an outside and nowhere else, an [`Admitted`] to an inside.

use std::io;
use std::net::IpAddr;

use sealway_core::{Admitted, AdmittedPart, Transmit};
use sealway_io::clear::Clear;
use sealway_io::outside::{Gathering, Outside};
use sealway_io::tun::Tun;
use sealway_io::{Device, SendError};
use sealway_packet::{Egress, Packet};

/// The outside of a daemon.
#[derive(Clone, Copy, Debug)]
pub struct Exits<'a> {
    /// Protected packets.
    pub outside: &'a Outside,
    /// Packets that no SA protects.
    pub clear: Option<&'a Clear>,
    /// For each of our addresses the index of the interface that it belongs to, sorted: what it
    /// sends leaves there, also where a route would lead it back into the inside device.
    pub interfaces: &'a [(IpAddr, u32)],
}

/// Sends what the engine let out, or has it wait for what it may leave together with.
///
/// # Errors
/// Why it could not leave in the clear. What fails of the rest `waiting` tells.
pub fn transmit(
    transmit: Transmit,
    exits: &Exits<'_>,
    waiting: &mut Gathering,
) -> Result<(), SendError> {
    let (mut egress, train, offload) = transmit.into_parts();
    match &mut egress {
        Egress::Payload(outer) | Egress::Whole(outer) => {
            outer.interface = interface_of(outer.source, exits.interfaces);
            exits.outside.gather(waiting, &egress, train);
            Ok(())
        }
        Egress::Clear => {
            let no_device = SendError::Unsupported("clear packets: there is no clear device");
            exits.clear.ok_or(no_device)?.send(&train, &offload)
        }
    }
}

/// The interface by which an address of ours sends; 0: the one that the routes say.
#[inline]
pub(crate) fn interface_of(source: IpAddr, interfaces: &[(IpAddr, u32)]) -> u32 {
    let place = interfaces.binary_search_by_key(&source, |(address, _)| *address);
    let found = place.ok().and_then(|place| interfaces.get(place));
    found.map_or(0, |(_, interface)| *interface)
}

/// Sends what the engine let out through a device of any kind.
///
/// # Errors
/// Why it could not leave.
pub fn transmit_by(transmit: Transmit, device: &mut impl Device) -> Result<(), SendError> {
    let (egress, train, _) = transmit.into_parts();
    device.send(egress, train)
}

/// Writes what the engine let in to the inside device.
///
/// # Errors
/// What the kernel says.
pub fn deliver(admitted: Admitted, inside: &Tun) -> io::Result<()> {
    let packet = admitted.into_parts();
    inside.write(packet.train.packet(), &packet.offload)
}

/// The same of a train.
///
/// # Errors
/// What the kernel says.
pub fn deliver_part(part: AdmittedPart<'_>, inside: &Tun) -> io::Result<()> {
    let (octets, offload) = part.into_parts();
    inside.write(octets, &offload)
}

/// What the engine let in, for an inside that is not a TUN device.
pub fn accept(admitted: Admitted) -> Packet<()> {
    admitted.into_parts()
}
