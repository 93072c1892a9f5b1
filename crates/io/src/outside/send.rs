//! Sending.

use std::io::{self, IoSlice};
use std::net::{IpAddr, Ipv6Addr};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::PoisonError;

use sealway_packet::{DontFragment, Egress, Encapsulation, Outer, Train};

use super::Outside;
use super::sockets::{Family, Sockets};
use super::trains::Way;
use crate::SendError;
use crate::address::Name;
use crate::control::{Control, push_source};
use crate::sys;

/// Datagrams that the kernel cuts from one train, at most (64 before Linux 6.9), …
const MOST_SEGMENTS: usize = 64;
/// … and octets of them together: what fits a UDP datagram over IPv4.
const MOST_OCTETS: usize = 65_507;

/// Octets that one call sends in datagrams of `size` octets.
#[inline]
pub(super) fn most_at_once(size: usize) -> usize {
    size * (MOST_OCTETS / size.max(1)).clamp(1, MOST_SEGMENTS)
}

/// The way that a train takes.
fn way(outer: &Outer) -> Way {
    (Family::of(outer.destination), outer.interface)
}

/// What has become of a train.
enum Sent {
    AsTrain,
    /// It is no train for the kernel, …
    Nothing,
    /// … or the kernel would not take it, and will take none if it takes the segments.
    Refused(io::Error),
}

/// What some drivers say; the kernel's own, and not in libc.
const ENOTSUPP: i32 = 524;

/// Whether the kernel says of a train that it cannot cut it for this way: no checksum offload, an
/// interface or a kernel without segmentation.
fn is_refusal(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EINVAL | libc::EIO | libc::ENOPROTOOPT | libc::EOPNOTSUPP | ENOTSUPP)
    )
}

fn is_too_big(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EMSGSIZE)
}

impl Outside {
    /// Sends every segment of the train, each as an IP packet of its own.
    ///
    /// [`Egress::Payload`] may be ESP or ESP in UDP from our port; AH must come as
    /// [`Egress::Whole`], because the ICV covers an identification that only its maker knows.
    /// A whole packet is never fragmented here: it is too big instead, whatever its DF says. The
    /// kernel fills in its IPv4 header checksum and an identification that is zero (which spoils
    /// AH: choose one).
    ///
    /// # Errors
    /// The first failure; segments before it have left.
    pub fn send(&self, egress: &Egress, train: &Train) -> Result<(), SendError> {
        match train.contiguous() {
            Some((octets, size @ 1..)) => octets
                .chunks(most_at_once(size))
                .try_for_each(|part| self.send_parts(egress, &[IoSlice::new(part)], size)),
            _ => self.send_each(egress, train.segments()),
        }
    }

    /// Sends what the parts are together, in datagrams of `size` octets; no more of them than
    /// [`most_at_once`] says, and each in one part.
    ///
    /// # Errors
    /// As [`send`](Outside::send).
    pub(super) fn send_parts(
        &self,
        egress: &Egress,
        parts: &[IoSlice<'_>],
        size: usize,
    ) -> Result<(), SendError> {
        let octets: usize = parts.iter().map(|part| part.len()).sum();
        let together = if octets > size {
            self.send_together(egress, parts, size)?
        } else {
            Sent::Nothing
        };
        if let Sent::AsTrain = together {
            return Ok(());
        }
        self.send_each(egress, parts.iter().flat_map(|part| part.chunks(size)))?;
        if let (Sent::Refused(error), Egress::Payload(outer)) = (together, egress) {
            self.trains.put_off(way(outer), &error);
        }
        Ok(())
    }

    fn send_each<'s>(
        &self,
        egress: &Egress,
        mut segments: impl Iterator<Item = &'s [u8]>,
    ) -> Result<(), SendError> {
        let (outer, sockets) = self.sockets(egress)?;
        let (socket, port) = self.way(sockets, egress, outer)?;
        let name = Name::ip(outer.destination, port, outer.interface);
        let control = control(egress, outer);
        segments.try_for_each(|segment| {
            let segment = [IoSlice::new(segment)];
            sys::send_message(socket, name.octets(), &segment, control.octets())
                .map_err(|error| self.failure(egress, outer, error))
        })
    }

    /// Datagrams at once, where the kernel cuts them apart again (`UDP_SEGMENT`).
    ///
    /// # Errors
    /// As [`send`](Outside::send). What the kernel refuses as a train is no error: it is to be sent
    /// segment by segment, which says whether it was the train that was wrong, or a size or a source
    /// (EINVAL may mean any of them).
    fn send_together(
        &self,
        egress: &Egress,
        parts: &[IoSlice<'_>],
        size: usize,
    ) -> Result<Sent, SendError> {
        let (outer, sockets) = self.sockets(egress)?;
        let (
            Egress::Payload(_),
            Encapsulation::Udp {
                source,
                destination,
            },
            Ok(size),
        ) = (egress, outer.encapsulation, u16::try_from(size))
        else {
            return Ok(Sent::Nothing);
        };
        if source != self.port || !self.trains.are_due(way(outer)) {
            return Ok(Sent::Nothing);
        }
        let pair = &sockets.towards(outer.interface)?.udp_trains;
        let may_fragment = outer.dont_fragment == DontFragment::Clear;
        let socket = match outer.dont_fragment {
            DontFragment::Set => pair.probing.as_fd(),
            DontFragment::Clear => pair.fragmenting.as_fd(),
        };
        let name = Name::ip(outer.destination, destination, outer.interface);
        let mut control = control(egress, outer);
        control.push(libc::SOL_UDP, libc::UDP_SEGMENT, &size.to_ne_bytes());
        match sys::send_message(socket, name.octets(), parts, control.octets()) {
            Ok(()) => Ok(Sent::AsTrain),
            // Of a train the kernel fragments nothing.
            Err(error) if may_fragment && (is_too_big(&error) || is_refusal(&error)) => {
                Ok(Sent::Nothing)
            }
            Err(error) if is_refusal(&error) => Ok(Sent::Refused(error)),
            Err(error) => Err(self.failure(egress, outer, error)),
        }
    }

    /// The facts of the outer header, and the sockets of its family.
    #[inline]
    fn sockets<'a>(&self, egress: &'a Egress) -> Result<(&'a Outer, &Sockets), SendError> {
        let outer = match egress {
            Egress::Payload(outer) | Egress::Whole(outer) => outer,
            Egress::Clear => return Err(SendError::Unsupported("clear packets")),
        };
        let family = Family::of(outer.destination);
        if Family::of(outer.source) != family {
            let mixed = "from one address family to the other";
            return Err(SendError::Unsupported(mixed));
        }
        let sockets = self
            .family(family)
            .ok_or(SendError::Unsupported(match family {
                Family::V4 => "IPv4: no address of ours is IPv4",
                Family::V6 => "IPv6: no address of ours is IPv6",
            }))?;
        Ok((outer, sockets))
    }

    /// The socket, and the port to send to.
    #[inline]
    fn way<'a>(
        &self,
        sockets: &'a Sockets,
        egress: &Egress,
        outer: &Outer,
    ) -> Result<(BorrowedFd<'a>, u16), SendError> {
        if let Egress::Whole(_) = egress {
            let raw = sockets.raw.as_ref().ok_or(NOT_IN_UDP)?;
            return Ok((raw.whole.as_fd(), 0));
        }
        let outlets = sockets.towards(outer.interface)?;
        let (pair, port) = match outer.encapsulation {
            Encapsulation::Udp { source, .. } if source != self.port => {
                return Err(SendError::Unsupported("from a UDP port that is not ours"));
            }
            Encapsulation::Ah => {
                return Err(SendError::Unsupported("AH that is not a whole packet"));
            }
            Encapsulation::Udp { destination, .. } => (&outlets.udp, destination),
            Encapsulation::Esp => (outlets.esp.as_ref().ok_or(NOT_IN_UDP)?, 0),
        };
        let socket = match outer.dont_fragment {
            DontFragment::Set => &pair.probing,
            DontFragment::Clear => &pair.fragmenting,
        };
        Ok((socket.as_fd(), port))
    }

    #[cold]
    fn failure(&self, egress: &Egress, outer: &Outer, error: io::Error) -> SendError {
        let whole = matches!(egress, Egress::Whole(_));
        match error.raw_os_error() {
            Some(libc::EMSGSIZE) if !whole && outer.dont_fragment == DontFragment::Clear => {
                let mtu = Some(LONGEST_PACKET);
                SendError::TooBig { mtu }
            }
            Some(libc::EMSGSIZE) => SendError::TooBig {
                mtu: self.mtu_towards(outer),
            },
            // The kernel checks a source that comes as a control message, and says no more.
            Some(libc::EINVAL) if !whole && outer.hop_limit > 0 => SendError::NotOurs,
            _ => SendError::from(error),
        }
    }

    /// The MTU of the interface that the packet would leave by: what a probing socket goes by.
    fn mtu_towards(&self, outer: &Outer) -> Option<u32> {
        let mut netlink = self.netlink.lock().unwrap_or_else(PoisonError::into_inner);
        let interface = match outer.interface {
            0 => {
                let route = netlink.route_to(outer.destination, Some(outer.source), None);
                route.ok()?.interface?
            }
            interface => interface,
        };
        netlink.link_by_index(interface).ok().map(|link| link.mtu)
    }
}

const LONGEST_PACKET: u32 = 65_535;

/// Only UDP was opened.
const NOT_IN_UDP: SendError = SendError::Unsupported("what is not in UDP: it has no raw sockets");

/// The facts that the kernel is to write into the header; a whole packet has its own, and only needs
/// to be routed.
#[inline]
fn control(egress: &Egress, outer: &Outer) -> Control {
    let mut control = Control::new();
    let source = match (egress, outer.source) {
        // Only without a source does IPv6 insist on the interface; the header has the source.
        (Egress::Whole(_), IpAddr::V6(_)) if outer.interface != 0 => Ipv6Addr::UNSPECIFIED.into(),
        (_, source) => source,
    };
    push_source(&mut control, source, outer.interface);
    if let Egress::Payload(_) = egress {
        let tos = i32::from(outer.tos).to_ne_bytes();
        let hop_limit = i32::from(outer.hop_limit).to_ne_bytes();
        match Family::of(outer.destination) {
            Family::V4 => {
                control.push(libc::IPPROTO_IP, libc::IP_TOS, &tos);
                control.push(libc::IPPROTO_IP, libc::IP_TTL, &hop_limit);
            }
            Family::V6 => {
                control.push(libc::IPPROTO_IPV6, libc::IPV6_TCLASS, &tos);
                control.push(libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT, &hop_limit);
            }
        }
    }
    control
}
