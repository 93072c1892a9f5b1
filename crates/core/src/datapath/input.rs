//! The inbound road (RFC 4301 §5.2):
//!
//! 1. find the SA by SPI, destination and protocol;
//! 2. look at the replay window, verify and decrypt, then commit the number: that is the verdict;
//! 3. take the packet out of its tunnel, or put its header back before it;
//! 4. again, if what came out is ESP addressed to us;
//! 5. [`admit`](super::admit): the policy check against the SAs that were used.

use std::sync::Arc;

use sealway_packet::{Arrival, DontFragment, Encapsulation, Outer, Packet, Train};
use sealway_wire::{Family, Layout, esp, protocol, view};

use super::Datapath;
use super::sec_path::SecPath;
use crate::flow::Key;
use crate::sad::{self, Protocol, Sa};
use crate::verdict::{Admitted, DropReason, Verdict};
use crate::xform::{self, OpenJob, Opened};

/// A packet that stands before its next SA: what precedes ESP, and the facts of it.
struct Protected {
    outer: Outer,
    /// The headers before ESP, if they are in the train.
    before: Option<Layout>,
}

/// What came out of an SA.
enum Inner {
    Packet(Train, Layout),
    /// Next header 59: made to hide how much traffic there is (RFC 4303 §2.6).
    Dummy,
}

impl Datapath {
    #[inline]
    pub(super) fn receive(&mut self, packet: Packet<Arrival>) -> Result<Verdict, DropReason> {
        let mut path = SecPath::new();
        let mut train = packet.train;
        let (mut layout, interface) = match packet.meta {
            Arrival::Payload(outer) => {
                let protected = Protected {
                    outer,
                    before: None,
                };
                match self.open(train, &protected, &mut path)? {
                    Inner::Dummy => return Ok(Verdict::Consumed),
                    Inner::Packet(inner, layout) => {
                        train = inner;
                        (layout, outer.interface)
                    }
                }
            }
            Arrival::Whole { interface } => {
                let layout = Layout::parse(train.packet()).map_err(|_| DropReason::Malformed)?;
                train.truncate(layout.length as usize);
                (layout, interface)
            }
        };
        while let Some(protected) = self.is_ours(&layout, train.packet(), interface) {
            match self.open(train, &protected, &mut path)? {
                Inner::Dummy => return Ok(Verdict::Consumed),
                Inner::Packet(inner, inner_layout) => (train, layout) = (inner, inner_layout),
            }
        }
        self.admit(&layout, train.packet(), &path)?;
        let mut admitted = Packet::new(train, ());
        if path.is_empty() {
            admitted.offload = packet.offload;
        }
        Ok(Verdict::Delivered(Admitted::new(admitted)))
    }

    /// The facts of a packet that is ESP addressed to us; any other is not opened (DESIGN:
    /// admission).
    #[inline]
    fn is_ours(&self, layout: &Layout, packet: &[u8], interface: u32) -> Option<Protected> {
        if layout.protocol != protocol::ESP || layout.is_fragment() {
            return None;
        }
        let destination = layout.destination(packet);
        if !self.tables.local.contains(destination) {
            return None;
        }
        let outer = Outer {
            source: layout.source(packet),
            destination,
            interface,
            tos: layout.tos(packet),
            hop_limit: layout.hop_limit(packet),
            dont_fragment: if layout.dont_fragment(packet) {
                DontFragment::Set
            } else {
                DontFragment::Clear
            },
            encapsulation: Encapsulation::Esp,
        };
        Some(Protected {
            outer,
            before: Some(*layout),
        })
    }

    /// Through one SA.
    #[inline]
    fn open(
        &mut self,
        train: Train,
        protected: &Protected,
        path: &mut SecPath,
    ) -> Result<Inner, DropReason> {
        let outer = &protected.outer;
        let before = protected
            .before
            .map_or(0, |layout| usize::from(layout.upper));
        let header: &esp::Header = view(train.packet(), before).ok_or(DropReason::EspLength)?;
        let (spi, low) = (header.spi.get(), header.sequence.get());
        let place = self
            .tables
            .sad
            .by_spi(spi, outer.destination, Protocol::Esp)
            .ok_or(DropReason::NoSaIn)?;
        let sa = self.tables.sad.at(place).ok_or(DropReason::NoSaIn)?;
        check_outer(sa, outer)?;
        if !path.push(place) {
            return Err(DropReason::NestingTooDeep);
        }
        let sequence = admissible(sa, low)?;
        let job = OpenJob {
            train,
            before,
            sequence,
        };
        let train = job.run(sa)?;
        if let Some(window) = &sa.runtime.replay
            && !window.commit(sequence)
        {
            return Err(DropReason::Replay);
        }
        let opened = Opened::read(train.packet(), before, sa)?;
        sa.runtime.count(1, opened.length as u64);
        if opened.next_header == protocol::NONE {
            return Ok(Inner::Dummy);
        }
        let inner = if xform::is_tunnel(sa) {
            leave_tunnel(train, &opened, outer)
        } else {
            leave_transport(train, &opened, protected)
        }?;
        check_selector(sa, &inner)?;
        Ok(inner)
    }
}

/// The outer header against the SA: source address, and whether ESP came in UDP as agreed.
#[inline]
fn check_outer(sa: &Sa, outer: &Outer) -> Result<(), DropReason> {
    let in_udp = matches!(outer.encapsulation, Encapsulation::Udp { .. });
    if in_udp != sa.config.encapsulation.is_some() {
        return Err(DropReason::EncapsulationMismatch);
    }
    if outer.source != sa.config.source {
        return Err(DropReason::OuterSource);
    }
    Ok(())
}

/// The whole sequence number, if the window could accept it.
#[inline]
fn admissible(sa: &Sa, low: u32) -> Result<u64, DropReason> {
    match &sa.runtime.replay {
        None => Ok(u64::from(low)),
        Some(window) => {
            let sequence = window.infer(low);
            if window.check(sequence) {
                Ok(sequence)
            } else {
                Err(DropReason::Replay)
            }
        }
    }
}

/// Out of the tunnel: the payload is a packet, followed perhaps by padding that hides its length
/// (RFC 4303 §2.7).
#[inline]
fn leave_tunnel(mut train: Train, opened: &Opened, outer: &Outer) -> Result<Inner, DropReason> {
    let family = match opened.next_header {
        protocol::IPIP => Family::V4,
        protocol::IPV6 => Family::V6,
        _ => return Err(DropReason::ModeMismatch),
    };
    train.truncate(opened.start + opened.length);
    train.trim_front(opened.start);
    let layout = Layout::parse(train.packet()).map_err(|_| DropReason::InnerMalformed)?;
    if layout.family != family {
        return Err(DropReason::InnerMalformed);
    }
    train.truncate(layout.length as usize);
    xform::propagate_congestion(train.packet_mut(), &layout, outer.tos)?;
    Ok(Inner::Packet(train, layout))
}

/// Out of transport mode: the header stands before the payload again.
fn leave_transport(
    mut train: Train,
    opened: &Opened,
    protected: &Protected,
) -> Result<Inner, DropReason> {
    xform::leave(
        &mut train,
        opened,
        &protected.outer,
        protected.before.as_ref(),
    )?;
    let layout = Layout::parse(train.packet()).map_err(|_| DropReason::InnerMalformed)?;
    Ok(Inner::Packet(train, layout))
}

/// What came out of an SA against the SA's own selectors.
#[inline]
fn check_selector(sa: &Arc<Sa>, inner: &Inner) -> Result<(), DropReason> {
    let Inner::Packet(train, layout) = inner else {
        return Ok(());
    };
    if sa.config.selector.is_none() || sad::carries(sa, &Key::of(layout, train.packet())) {
        Ok(())
    } else {
        Err(DropReason::SelectorMismatch)
    }
}
