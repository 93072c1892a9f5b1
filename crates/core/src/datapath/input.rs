//! The inbound road (RFC 4301 §5.2):
//!
//! 1. find the SA by SPI, destination and protocol;
//! 2. look at the replay window, verify and decrypt, then commit the number: that is the verdict;
//! 3. take the packet out of its tunnel, or put its header back before it;
//! 4. again, if what came out is ESP addressed to us;
//! 5. [`admit`](super::admit): the policy check against the SAs that were used.

use std::sync::Arc;

use sealway_packet::{Arrival, Encapsulation, Outer, Train};
use sealway_wire::{Family, Layout, esp, protocol, view};

use super::admit::Decision;
use super::roaming::Roaming;
use super::sec_path::SecPath;
use crate::event::Events;
use crate::flow::{self, Key};
use crate::sad::{Applied, Commit, Index, Protocol, Sa, SaMode};
use crate::selector::Selector;
use crate::tables::Tables;
use crate::time::Time;
use crate::verdict::DropReason;
use crate::xform::{self, OpenJob, Opened};

/// What an SA carried.
#[derive(Clone, Copy)]
enum Carried {
    /// A packet of this family, in a tunnel.
    Packet(Family),
    /// What follows an IP header, in transport mode.
    Payload,
}

impl Carried {
    const fn applied(self) -> Applied {
        match self {
            Carried::Packet(_) => Applied::Tunnel,
            Carried::Payload => Applied::Transport,
        }
    }
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

/// What the inbound road remembers between packets. It judges them by the version that its caller
/// has pinned: SAs stay borrowed from that for as long as a packet is on its way.
pub(super) struct Inbound {
    pub(super) flows: flow::Cache<Decision>,
    pub(super) fragments: flow::Fragments,
    /// Where the SA of the last packet was: packets come in bursts of one SA.
    last_sa: Index,
    roaming: Roaming,
}

/// What a packet is judged by, and where it tells what happens.
pub(super) struct Batch<'d> {
    pub(super) tables: &'d Tables,
    pub(super) now: Time,
    pub(super) events: &'d mut Events,
}

impl Inbound {
    pub(super) fn new(flows: flow::Cache<Decision>) -> Self {
        Inbound {
            flows,
            fragments: flow::Fragments::new(),
            last_sa: Index::default(),
            roaming: Roaming::default(),
        }
    }

    /// What a socket gave is opened and admitted here, in line, and its layout stays where it was
    /// found: one that is copied has to wait for its fields.
    #[allow(clippy::inline_always)]
    #[inline(always)]
    pub(super) fn receive<'d>(
        &mut self,
        batch: &mut Batch<'d>,
        train: &mut Train,
        arrival: &Arrival,
    ) -> Result<Exit, DropReason> {
        let mut path = SecPath::new();
        match arrival {
            Arrival::Payload(outer) => {
                let sa = self.open(batch, train, outer, None, &path)?;
                let Some(carried) = uncover(batch, train, sa, outer, None)? else {
                    return Ok(Exit::Ended);
                };
                if !path.push(sa, carried.applied()) {
                    return Err(DropReason::NestingTooDeep);
                }
                let found = Layout::parse(train.packet());
                let Ok(layout) = &found else {
                    return Err(DropReason::InnerMalformed);
                };
                self.check_inner(batch, train, layout, (sa, carried), outer.tos)?;
                if is_protected(layout) {
                    return self.receive_whole(batch, train, *layout, outer.interface, path);
                }
                self.admit(batch, layout, train.packet(), &path)?;
                Ok(Exit::Admitted(Came::ThroughSas))
            }
            Arrival::Whole { interface } => {
                let layout = Layout::parse(train.packet()).map_err(|_| DropReason::Malformed)?;
                train.truncate(layout.length as usize);
                self.receive_whole(batch, train, layout, *interface, path)
            }
        }
    }

    /// A packet with its IP header, whole as it came or out of an SA: opened for as long as it is
    /// protected and for us, then admitted.
    #[inline(never)]
    fn receive_whole<'d>(
        &mut self,
        batch: &mut Batch<'d>,
        train: &mut Train,
        mut layout: Layout,
        interface: u32,
        mut path: SecPath<'d>,
    ) -> Result<Exit, DropReason> {
        while let Some(outer) = protected_for_us(batch, &layout, train.packet(), interface)? {
            let before = Some(&layout);
            let sa = self.open(batch, train, &outer, before, &path)?;
            let Some(carried) = uncover(batch, train, sa, &outer, before)? else {
                return Ok(Exit::Ended);
            };
            if !path.push(sa, carried.applied()) {
                return Err(DropReason::NestingTooDeep);
            }
            layout = Layout::parse(train.packet()).map_err(|_| DropReason::InnerMalformed)?;
            self.check_inner(batch, train, &layout, (sa, carried), outer.tos)?;
        }
        self.admit(batch, &layout, train.packet(), &path)?;
        Ok(Exit::Admitted(if path.is_empty() {
            Came::InTheClear
        } else {
            Came::ThroughSas
        }))
    }

    /// Through one SA. `before` is the layout of the headers before ESP, if they are in
    /// the train; their facts are `outer`.
    #[allow(clippy::inline_always)]
    #[inline(always)]
    fn open<'d>(
        &mut self,
        batch: &mut Batch<'d>,
        train: &mut Train,
        outer: &Outer,
        before: Option<&Layout>,
        path: &SecPath<'_>,
    ) -> Result<&'d Arc<Sa>, DropReason> {
        let headers = before.map_or(0, |layout| usize::from(layout.upper));
        let header: &esp::Header = view(train.packet(), headers).ok_or(DropReason::EspLength)?;
        let (spi, low) = (header.spi.get(), header.sequence.get());
        let sad = &batch.tables.sad;
        let (destination, protocol) = (outer.destination, protocol_of(outer));
        if !sad.is_named(self.last_sa, spi, destination, protocol) {
            let place = sad.by_spi(spi, destination, protocol);
            self.last_sa = place.ok_or(DropReason::NoSaIn)?;
        }
        let sa = sad.at(self.last_sa).ok_or(DropReason::NoSaIn)?;
        check_outer(sa, outer)?;
        if !path.has_room() {
            return Err(DropReason::NestingTooDeep);
        }
        if sa.runtime.usage.is_due(batch.now) {
            batch.events.look_at(sa, batch.now);
            if sa.runtime.has_expired() {
                return Err(DropReason::SaExpiredIn);
            }
        }
        let sequence = admissible(sa, low)?;
        let job = OpenJob {
            before: headers,
            sequence,
        };
        job.run(train.packet_mut(), sa)?;
        if let Some(window) = &sa.runtime.replay {
            match window.commit(sequence) {
                Commit::Accepted => {}
                Commit::Replayed => return Err(DropReason::Replay),
                Commit::Scarce => {
                    if batch.events.ask_for_numbers(sa) {
                        window.asked();
                    }
                }
                Commit::Unreserved => {
                    batch.events.ask_for_numbers(sa);
                    return Err(DropReason::UnreservedIn);
                }
            }
        }
        if sa.config.may_roam() {
            self.roaming.follow(batch, sa, outer, sequence);
        }
        Ok(sa)
    }

    /// Checks the packet that came out of an SA against what the SA may carry.
    #[allow(clippy::inline_always)]
    #[inline(always)]
    fn check_inner(
        &mut self,
        batch: &Batch<'_>,
        train: &mut Train,
        layout: &Layout,
        (sa, carried): (&Sa, Carried),
        outer_tos: u8,
    ) -> Result<(), DropReason> {
        if let Carried::Packet(family) = carried {
            if layout.family != family {
                return Err(DropReason::InnerMalformed);
            }
            // Padding may stand behind the packet, to hide its length (RFC 4303 §2.7).
            train.truncate(layout.length as usize);
            xform::propagate_congestion(train.packet_mut(), layout, outer_tos)?;
        } else if let Some(before) = sa.config.before_nat {
            xform::mend_checksum(train.packet_mut(), layout, before);
        }
        if let Some(selector) = &sa.config.selector {
            let key = Key::of(layout, train.packet());
            let key = self.fragments.complete(key, layout, batch.now)?;
            check_selector(selector, &key, layout)?;
        }
        Ok(())
    }
}

/// The facts of a packet that is ESP or AH addressed to us; any other is not opened (DESIGN:
/// admission).
#[inline]
fn protected_for_us(
    batch: &Batch<'_>,
    layout: &Layout,
    packet: &[u8],
    interface: u32,
) -> Result<Option<Outer>, DropReason> {
    if !is_protected(layout) {
        return Ok(None);
    }
    let destination = layout.destination(packet);
    if !batch.tables.local.contains(destination) {
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
        dont_fragment: layout.dont_fragment(packet).into(),
        encapsulation: Encapsulation::Esp,
    }))
}

/// Makes what an SA carried the packet in the train; `None` if that was a dummy, made to hide
/// how much traffic there is (RFC 4303 §2.6).
#[allow(clippy::inline_always)]
#[inline(always)]
fn uncover(
    batch: &mut Batch<'_>,
    train: &mut Train,
    sa: &Arc<Sa>,
    outer: &Outer,
    before: Option<&Layout>,
) -> Result<Option<Carried>, DropReason> {
    let headers = before.map_or(0, |layout| usize::from(layout.upper));
    let opened = Opened::read(train.packet(), headers, sa)?;
    if sa.runtime.usage.count(1, opened.length as u64) {
        batch.events.look_at(sa, batch.now);
    }
    if opened.next_header == protocol::NONE {
        return Ok(None);
    }
    let carried = match (sa.config.mode, opened.next_header) {
        (SaMode::Transport, _) => Carried::Payload,
        (_, protocol::IPIP) => Carried::Packet(Family::V4),
        (_, protocol::IPV6) => Carried::Packet(Family::V6),
        (SaMode::Any, _) => Carried::Payload,
        (SaMode::Tunnel, _) => return Err(DropReason::ModeMismatch),
    };
    match carried {
        Carried::Payload => {
            // The peer is who it was, wherever it roams.
            let source = sa.config.source;
            xform::leave(train, &opened, &Outer { source, ..*outer }, before)?;
        }
        Carried::Packet(_) => {
            train.truncate(opened.start + opened.length);
            train.trim_front(opened.start);
        }
    }
    Ok(Some(carried))
}

/// Whether what stands above IP is ESP or AH.
#[inline]
const fn is_protected(layout: &Layout) -> bool {
    matches!(layout.protocol, protocol::ESP | protocol::AH)
}

#[inline]
const fn protocol_of(outer: &Outer) -> Protocol {
    match outer.encapsulation {
        Encapsulation::Esp | Encapsulation::Udp { .. } => Protocol::Esp,
        Encapsulation::Ah => Protocol::Ah,
    }
}

/// The outer header against the SA: source address, unless the peer roams, and whether ESP came in
/// UDP as agreed.
#[inline]
fn check_outer(sa: &Sa, outer: &Outer) -> Result<(), DropReason> {
    let in_udp = matches!(outer.encapsulation, Encapsulation::Udp { .. });
    if in_udp != sa.config.encapsulation.is_some() {
        return Err(DropReason::EncapsulationMismatch);
    }
    if outer.source != sa.config.source && !sa.config.may_roam() {
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
