//! The inbound road (RFC 4301 §5.2):
//!
//! 1. find the SA by SPI, destination and protocol;
//! 2. look at the replay window, verify and decrypt, then commit the number: that is the verdict;
//! 3. take the packet out of its tunnel, or put its header back before it;
//! 4. again, if what came out is ESP addressed to us;
//! 5. [`admit`](super::admit): the policy check against the SAs that were used.

use sealway_packet::{Arrival, DontFragment, Encapsulation, Outer, Train};
use sealway_wire::{Family, Layout, esp, protocol, view};

use super::Datapath;
use super::sec_path::SecPath;
use crate::flow::Key;
use crate::sad::{Protocol, Sa};
use crate::selector::Selector;
use crate::verdict::DropReason;
use crate::xform::{self, OpenJob, Opened};

/// What came out of an SA.
enum Inner {
    Packet(Layout),
    /// Next header 59: made to hide how much traffic there is (RFC 4303 §2.6).
    Dummy,
}

/// How an inbound packet leaves the road when it is not dropped.
pub(super) enum Exit {
    /// It is let in, through SAs or in the clear.
    Admitted(Came),
    /// It was a dummy.
    Ended,
}

/// How an admitted packet came.
pub(super) enum Came {
    InTheClear,
    ThroughSas,
}

impl Datapath {
    #[inline]
    pub(super) fn receive(
        &mut self,
        train: &mut Train,
        arrival: &Arrival,
    ) -> Result<Exit, DropReason> {
        let mut path = SecPath::new();
        let (mut layout, interface) = match arrival {
            Arrival::Payload(outer) => match self.open(train, outer, None, &mut path)? {
                Inner::Dummy => return Ok(Exit::Ended),
                Inner::Packet(layout) => (layout, outer.interface),
            },
            Arrival::Whole { interface } => {
                let layout = Layout::parse(train.packet()).map_err(|_| DropReason::Malformed)?;
                train.truncate(layout.length as usize);
                (layout, *interface)
            }
        };
        while let Some(outer) = self.protected_for_us(&layout, train.packet(), interface)? {
            match self.open(train, &outer, Some(&layout), &mut path)? {
                Inner::Dummy => return Ok(Exit::Ended),
                Inner::Packet(inner) => layout = inner,
            }
        }
        self.admit(&layout, train.packet(), &path)?;
        Ok(Exit::Admitted(if path.is_empty() {
            Came::InTheClear
        } else {
            Came::ThroughSas
        }))
    }

    /// The facts of a packet that is ESP or AH addressed to us; any other is not opened (DESIGN:
    /// admission).
    #[inline]
    fn protected_for_us(
        &self,
        layout: &Layout,
        packet: &[u8],
        interface: u32,
    ) -> Result<Option<Outer>, DropReason> {
        if !matches!(layout.protocol, protocol::ESP | protocol::AH) {
            return Ok(None);
        }
        let destination = layout.destination(packet);
        if !self.tables.local.contains(destination) {
            return Ok(None);
        }
        if layout.is_fragment() {
            return Err(DropReason::EspFragment);
        }
        if layout.protocol == protocol::AH {
            // There are no AH SAs yet, and clear traffic it is not (RFC 4301 §5.2 step 3a).
            return Err(DropReason::NoSaIn);
        }
        Ok(Some(Outer {
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
        }))
    }

    /// Through one SA. `before` is the layout of the headers before ESP, if they are in the train;
    /// their facts are `outer`.
    #[inline]
    fn open(
        &mut self,
        train: &mut Train,
        outer: &Outer,
        before: Option<&Layout>,
        path: &mut SecPath,
    ) -> Result<Inner, DropReason> {
        let headers = before.map_or(0, |layout| usize::from(layout.upper));
        let header: &esp::Header = view(train.packet(), headers).ok_or(DropReason::EspLength)?;
        let (spi, low) = (header.spi.get(), header.sequence.get());
        let place = self
            .tables
            .sad
            .by_spi(spi, outer.destination, protocol_of(outer))
            .ok_or(DropReason::NoSaIn)?;
        let sa = self.tables.sad.at(place).ok_or(DropReason::NoSaIn)?;
        check_outer(sa, outer)?;
        if !path.push(place) {
            return Err(DropReason::NestingTooDeep);
        }
        let sequence = admissible(sa, low)?;
        let job = OpenJob {
            before: headers,
            sequence,
        };
        job.run(train.packet_mut(), sa)?;
        if let Some(window) = &sa.runtime.replay
            && !window.commit(sequence)
        {
            return Err(DropReason::Replay);
        }
        let opened = Opened::read(train.packet(), headers, sa)?;
        sa.runtime.count(1, opened.length as u64);
        if opened.next_header == protocol::NONE {
            return Ok(Inner::Dummy);
        }
        let layout = if xform::is_tunnel(sa) {
            leave_tunnel(train, &opened, outer)
        } else {
            leave_transport(train, &opened, outer, before)
        }?;
        if let Some(selector) = &sa.config.selector {
            let key = Key::of(&layout, train.packet());
            let key = self.in_fragments.complete(key, &layout, self.now)?;
            check_selector(selector, &key, &layout)?;
        }
        Ok(Inner::Packet(layout))
    }
}

#[inline]
const fn protocol_of(outer: &Outer) -> Protocol {
    match outer.encapsulation {
        Encapsulation::Esp | Encapsulation::Udp { .. } => Protocol::Esp,
        Encapsulation::Ah => Protocol::Ah,
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

/// What came out of the SA against the SA's own selectors (RFC 4301 §5.2 step 4).
fn check_selector(selector: &Selector, key: &Key, layout: &Layout) -> Result<(), DropReason> {
    if selector.matches(key) {
        Ok(())
    } else if !key.is_partial() || !selector.may_match(key) {
        Err(DropReason::SelectorMismatch)
    } else if layout.is_first() {
        Err(DropReason::FragmentTiny)
    } else {
        Err(DropReason::FragmentNoState)
    }
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
fn leave_tunnel(train: &mut Train, opened: &Opened, outer: &Outer) -> Result<Layout, DropReason> {
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
    Ok(layout)
}

/// Out of transport mode: the header stands before the payload again.
fn leave_transport(
    train: &mut Train,
    opened: &Opened,
    outer: &Outer,
    before: Option<&Layout>,
) -> Result<Layout, DropReason> {
    xform::leave(train, opened, outer, before)?;
    Layout::parse(train.packet()).map_err(|_| DropReason::InnerMalformed)
}
