//! The outbound road (RFC 4301 §5.1):
//!
//! 1. find the headers once, build the flow key;
//! 2. probe the flow cache; on a miss look the policy up and resolve its templates to SAs;
//! 3. size: fragment, or answer with too-big;
//! 4. per SA: take the numbers of the train, seal, choose the outer header;
//! 5. hand over what leaves, its outermost header as data.

use std::sync::Arc;

use sealway_packet::{Checksum, DontFragment, Egress, Offload, SizeClass, Train};
use sealway_wire::fragment::Split;
use sealway_wire::{Family, Layout, checksum, protocol};

use super::{ClearPath, Datapath, Mss, mss, reassemble};
use crate::bundle::{self, Bundle, Reference, Step, Treatment};
use crate::event::Events;
use crate::flow::Key;
use crate::path;
use crate::sad::{NoNumber, Sa};
use crate::spd::{Direction, Found, Policy};
use crate::tables::{DefaultAction, KeyManager, Tables};
use crate::time::Time;
use crate::verdict::DropReason;
use crate::xform::{self, Fields, Header, HeaderStore, SealJob};

/// How the outer packet may be as large as it comes to be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Fit {
    /// It fits the path: Don't Fragment as the inner packet and the SA say.
    Path,
    /// It may not, and is fragmented outside.
    FragmentOutside,
}

/// How an outbound packet leaves the road when it is not dropped.
pub(super) enum Exit {
    /// Through the SAs of this bundle.
    Protected(Reference, Sealed),
    /// As it is.
    Clear,
    /// A fragment that waits for its datagram.
    Waits,
    /// An SA is missing, and a key manager was asked for it.
    WaitsForSa,
}

impl Datapath {
    #[inline]
    pub(super) fn send(&mut self, train: &mut Train, offload: Offload) -> Result<Exit, DropReason> {
        let tables = &self.tables;
        if tables.default == DefaultAction::Bypass && tables.spd.is_empty(Direction::Out) {
            return self.bypass();
        }
        let packet = train.packet();
        let found = Layout::parse(packet);
        let Ok(layout) = &found else {
            return Err(DropReason::Malformed);
        };
        let mut key = Key::of(layout, packet);
        train.truncate(layout.length as usize);
        if layout.is_fragment() {
            key = self.out_fragments.complete(key, layout, self.now)?;
        }
        match self.bundle_for(&key, layout)? {
            Some(reference) => self.apply(reference, train, offload, layout),
            None => Ok(Exit::WaitsForSa),
        }
    }

    /// The flow's bundle, from the cache if it is fresh; `None` if an SA for it has still to come.
    #[inline]
    pub(super) fn bundle_for(
        &mut self,
        key: &Key,
        layout: &Layout,
    ) -> Result<Option<Reference>, DropReason> {
        let generation = self.tables.spd.generation();
        if let Some(reference) = self.out_flows.find(key, generation)
            && let Some(bundle) = self.bundles.get(reference)
            && bundle.is_fresh(&self.tables)
        {
            return Ok(Some(reference));
        }
        let policy = find_policy(&self.tables, key, layout)?;
        let resolved = bundle::resolve(policy, key, &self.tables);
        let missing = match &resolved {
            Ok((_, without)) => *without,
            Err(missing) => Some(*missing),
        };
        let attached = self.tables.key_manager == KeyManager::Attached;
        if let (Some(missing), Some(policy), true) = (missing, policy, attached) {
            let flow = (key, self.now);
            self.acquires.ask(&mut self.events, policy, missing, flow);
        }
        match resolved {
            Ok((bundle, _)) => {
                let reference = self.bundles.keep(bundle, &self.tables);
                self.out_flows.fill(*key, generation, reference);
                Ok(Some(reference))
            }
            Err(_) if attached => Ok(None),
            Err(_) => Err(DropReason::NoSaOut),
        }
    }

    /// Does to the packet what its bundle says.
    #[inline]
    fn apply(
        &mut self,
        reference: Reference,
        train: &mut Train,
        offload: Offload,
        layout: &Layout,
    ) -> Result<Exit, DropReason> {
        let bundle = self.bundles.get(reference).ok_or(DropReason::Internal)?;
        if let Some(policy) = &bundle.policy {
            policy.count();
        }
        match &bundle.treatment {
            Treatment::Discard if bundle.policy.is_some() => Err(DropReason::PolicyDiscardOut),
            Treatment::Discard if is_link_chatter(layout, train.packet()) => {
                Err(DropReason::LinkLocal)
            }
            Treatment::Discard => Err(DropReason::NoPolicyOut),
            Treatment::Bypass if !offload.fits(train.packet(), layout) => Err(DropReason::Checksum),
            Treatment::Bypass => self.bypass(),
            Treatment::Protect(steps) if steps.is_empty() => self.bypass(),
            Treatment::Protect(_) if !offload.fits(train.packet(), layout) => {
                Err(DropReason::Checksum)
            }
            Treatment::Protect(steps) => {
                let tunnel = steps.first().is_some_and(Step::is_tunnel);
                let largest = largest(bundle, &self.tables, layout, train);
                if let Some(segmentation) = offload.segmentation {
                    let cut = (segmentation, largest);
                    return self.protect_super(reference, train, layout, cut);
                }
                if let Checksum::Partial { .. } = offload.checksum {
                    checksum::fill_transport(train.packet_mut(), layout);
                }
                if self.config.mss == Mss::Clamped {
                    mss::clamp_outbound(train, layout, largest);
                }
                self.protect(reference, train, layout, (tunnel, largest))
            }
        }
    }

    fn bypass(&self) -> Result<Exit, DropReason> {
        match self.config.clear {
            ClearPath::Absent => Err(DropReason::BypassRefused),
            ClearPath::Present => Ok(Exit::Clear),
        }
    }

    /// Makes the packet fit its path. `tunnel`: the innermost SA is one; `largest`: octets of the
    /// largest packet with these headers that the path takes.
    #[inline]
    fn protect(
        &mut self,
        reference: Reference,
        train: &mut Train,
        layout: &Layout,
        (tunnel, largest): (bool, u16),
    ) -> Result<Exit, DropReason> {
        if layout.is_fragment() && !tunnel {
            return self.reassemble_and_protect(reference, train, layout);
        }
        let mut fit = Fit::Path;
        if train.longest() > usize::from(largest) {
            match oversize(layout, train.packet(), largest, tunnel) {
                Oversize::FragmentInside => *train = self.fragment(train, layout, largest)?,
                Oversize::FragmentOutside => fit = Fit::FragmentOutside,
                Oversize::Refuse(mtu) => {
                    self.answer_too_big(train.packet(), layout, mtu);
                    return Err(DropReason::TooBig);
                }
            }
        }
        self.transform(reference, train, layout, fit)
    }

    /// Through the SAs of the bundle, innermost first.
    #[inline]
    pub(super) fn transform(
        &mut self,
        reference: Reference,
        train: &mut Train,
        layout: &Layout,
        fit: Fit,
    ) -> Result<Exit, DropReason> {
        let bundle = self.bundles.get(reference).ok_or(DropReason::Internal)?;
        let is_narrow = bundle.is_narrow;
        let (first, rest) = bundle.steps().split_first().ok_or(DropReason::Internal)?;
        let mut means = Means {
            random: self.random.as_mut(),
            store: &mut self.header_store,
            events: &mut self.events,
            now: self.now,
        };
        let mut sealed = seal(train, layout, first, &mut means)?;
        let mut outermost = first;
        for step in rest {
            let id = self.next_id as u16;
            self.next_id = self.next_id.wrapping_add(train.count() as u32);
            sealed.make_whole(train, outermost, id, means.store)?;
            let layout = Layout::parse(train.packet()).map_err(|_| DropReason::Internal)?;
            sealed = seal(train, &layout, step, &mut means)?;
            outermost = step;
        }
        if fit == Fit::FragmentOutside || is_narrow {
            sealed.fields.dont_fragment = DontFragment::Clear;
        }
        if sealed.is_whole(&outermost.sa) {
            means.store.put_back(train, protocol::ESP)?;
        }
        Ok(Exit::Protected(reference, sealed))
    }

    /// Where a sealed train goes: made last, in the verdict, since it is large and would be copied
    /// on every step of the way.
    #[inline]
    pub(super) fn egress(&self, reference: Reference, sealed: Sealed) -> Option<Egress> {
        let outermost = self.bundles.get(reference)?.steps().last()?;
        let outer = outermost.outer(sealed.fields);
        Some(if sealed.is_whole(&outermost.sa) {
            Egress::Whole(outer)
        } else {
            Egress::Payload(outer)
        })
    }

    /// A packet that carries nothing (RFC 4303 §2.6), sealed.
    pub(super) fn dummy(&mut self, sa: &Arc<Sa>) -> Result<Train, DropReason> {
        let mut means = Means {
            random: self.random.as_mut(),
            store: &mut self.header_store,
            events: &mut self.events,
            now: self.now,
        };
        let mut train = Train::detached(&[]);
        check_lifetime(sa, &mut means)?;
        number_and_seal(&mut train, sa, protocol::NONE, &mut means)?;
        Ok(train)
    }

    /// A fragment for a transport-mode SA: it waits until its datagram is whole
    /// (RFC 4303 §3.3.4), which may then be fragmented outside.
    fn reassemble_and_protect(
        &mut self,
        reference: Reference,
        train: &mut Train,
        layout: &Layout,
    ) -> Result<Exit, DropReason> {
        let added = self
            .reassembly
            .add(train.packet(), layout, self.now, &self.pool)?;
        match added {
            reassemble::Added::Waiting => return Ok(Exit::Waits),
            reassemble::Added::Whole(whole) => *train = whole,
        }
        let layout = Layout::parse(train.packet()).map_err(|_| DropReason::Malformed)?;
        self.transform(reference, train, &layout, Fit::FragmentOutside)
    }

    /// The packet in pieces of at most `mtu` octets, as one train.
    fn fragment(&mut self, train: &Train, layout: &Layout, mtu: u16) -> Result<Train, DropReason> {
        let packet = train.packet();
        self.next_id = self.next_id.wrapping_add(1);
        let split = Split::new(packet, layout, usize::from(mtu), self.next_id)
            .map_err(|_| DropReason::TooBig)?;
        let mut pieces = split.pieces();
        let count = pieces.len();
        let first = pieces.next().map_or(0, |piece| piece.octets());
        let last = pieces.last().map_or(first, |piece| piece.octets());
        let slot = (Train::HEADROOM + first + Train::TAILROOM).next_multiple_of(16);
        let class = SizeClass::holding(slot * count).ok_or(DropReason::NoBuffer)?;
        let mut fragments = self.pool.take(class).ok_or(DropReason::NoBuffer)?;
        let count = u16::try_from(count).map_err(|_| DropReason::TooBig)?;
        fragments.set_segments(0, slot, Train::HEADROOM, count, (first, last));
        for (index, piece) in split.pieces().enumerate() {
            let written = split.write(packet, &piece, fragments.segment_mut(index));
            written.ok_or(DropReason::Internal)?;
        }
        Ok(fragments)
    }
}

/// The policy of a flow that is not in the cache.
fn find_policy<'t>(
    tables: &'t Tables,
    key: &Key,
    layout: &Layout,
) -> Result<Option<&'t Arc<Policy>>, DropReason> {
    match tables.spd.find(Direction::Out, key) {
        Found::Policy(policy, _) => Ok(Some(policy)),
        Found::None => Ok(None),
        Found::PortsNeeded if layout.is_first() => Err(DropReason::FragmentTiny),
        Found::PortsNeeded => Err(DropReason::FragmentNoState),
    }
}

/// The largest packet with these headers that the bundle's path takes.
#[inline]
fn largest(bundle: &Bundle, tables: &Tables, layout: &Layout, train: &Train) -> u16 {
    let header = layout.unfragmentable;
    if bundle.largest.0 == header {
        return bundle.largest.1;
    }
    let destination = layout.destination(train.packet());
    let mtu = tables.paths.mtu(bundle.far_end(destination));
    bundle::largest(bundle.steps(), mtu, usize::from(header))
}

/// What to do with a packet that is larger than its path takes (DESIGN: path MTU).
enum Oversize {
    FragmentInside,
    FragmentOutside,
    Refuse(u16),
}

fn oversize(layout: &Layout, packet: &[u8], largest: u16, tunnel: bool) -> Oversize {
    let may_fragment = !layout.dont_fragment(packet);
    if may_fragment && tunnel {
        return Oversize::FragmentInside;
    }
    if may_fragment {
        return Oversize::FragmentOutside;
    }
    // No sender is asked to go below the minimum of its protocol: then the outer packet is
    // fragmented.
    let mtu = largest.max(path::least(layout.destination(packet)));
    if packet.len() <= usize::from(mtu) {
        Oversize::FragmentOutside
    } else {
        Oversize::Refuse(mtu)
    }
}

/// How a train that one SA has sealed travels.
#[derive(Clone, Copy)]
pub(super) struct Sealed {
    fields: Fields,
    header: Header,
}

/// What sealing needs of the datapath.
struct Means<'d> {
    random: &'d mut dyn super::Randomness,
    store: &'d mut HeaderStore,
    events: &'d mut Events,
    now: Time,
}

#[inline]
fn seal(
    train: &mut Train,
    layout: &Layout,
    step: &Step,
    means: &mut Means<'_>,
) -> Result<Sealed, DropReason> {
    let sa = &*step.sa;
    check_lifetime(&step.sa, means)?;
    let (fields, next_header, header) = if step.is_tunnel() {
        let next_header = match layout.family {
            Family::V4 => protocol::IPIP,
            Family::V6 => protocol::IPV6,
        };
        let fields = xform::tunnel_fields(sa, layout, train.packet());
        (fields, next_header, Header::Plain)
    } else {
        xform::enter(train, layout, sa, means.store)?
    };
    number_and_seal(train, &step.sa, next_header, means)?;
    Ok(Sealed { fields, header })
}

#[allow(clippy::inline_always)]
#[inline(always)]
fn check_lifetime(sa: &Arc<Sa>, means: &mut Means<'_>) -> Result<(), DropReason> {
    if sa.runtime.usage.is_due(means.now) {
        means.events.look_at(sa, means.now);
        if sa.runtime.has_expired() {
            return Err(DropReason::SaExpiredOut);
        }
    }
    Ok(())
}

/// Takes a number for each segment and seals them.
#[allow(clippy::inline_always)]
#[inline(always)]
fn number_and_seal(
    train: &mut Train,
    sa: &Arc<Sa>,
    next_header: u8,
    means: &mut Means<'_>,
) -> Result<(), DropReason> {
    let (count, octets) = (train.count() as u64, train.octets());
    let iv = sa.runtime.iv(&sa.config, || {
        let mut seed = [0; 32];
        means.random.fill(&mut seed);
        seed
    });
    let first = match sa.runtime.outgoing.take(count) {
        Some(first) => first,
        None => take_late(sa, count, means.events)?,
    };
    SealJob { first, next_header }.run(train, sa, iv)?;
    sa.runtime.usage.seals(means.now);
    if sa.runtime.usage.count(count, octets as u64) {
        means.events.look_at(sa, means.now);
    }
    Ok(())
}

/// Numbers of which not many are left.
#[cold]
fn take_late(sa: &Arc<Sa>, count: u64, events: &mut Events) -> Result<u64, DropReason> {
    let outgoing = &sa.runtime.outgoing;
    let taken = outgoing.take_late(count, || events.ask_for_numbers(sa));
    taken.map_err(|none| match none {
        NoNumber::Exhausted => DropReason::SequenceExhausted,
        NoNumber::Unreserved => DropReason::UnreservedOut,
    })
}

impl Sealed {
    fn make_whole(
        self,
        train: &mut Train,
        step: &Step,
        id: u16,
        store: &HeaderStore,
    ) -> Result<(), DropReason> {
        if self.is_whole(&step.sa) {
            store.put_back(train, protocol::ESP)
        } else {
            xform::materialise(train, &step.outer(self.fields), id)
        }
    }

    /// Whether the header stands before what was sealed. Options do not travel with ESP in UDP: the
    /// socket writes its own header.
    #[inline]
    fn is_whole(self, sa: &Sa) -> bool {
        self.header == Header::Kept && sa.config.encapsulation.is_none()
    }
}

/// Whether a packet is a link's talk about itself, which a TUN emits unasked: multicast that no
/// router forwards (RFC 4291 §2.7, RFC 5771 §4).
fn is_link_chatter(layout: &Layout, packet: &[u8]) -> bool {
    match layout.destination(packet) {
        std::net::IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            (a, b, c) == (224, 0, 0)
        }
        std::net::IpAddr::V6(v6) => {
            v6.is_unicast_link_local()
                || matches!(v6.octets(), [0xff, scope, ..] if scope & 0xf <= 2)
        }
    }
}
