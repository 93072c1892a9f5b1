//! Super-packets on their way out: one lookup for all of their segments, which are cut where they
//! are sealed (DESIGN: segment just in time).

use sealway_packet::{Segmentation, SizeClass, SuperPacket, Train};
use sealway_wire::{Layout, esp};

use super::Datapath;
use super::canary::{Look, Shortcut, fill, fill_plainly};
use super::output::{Exit, Fit};
use crate::bundle::{Bundle, Reference};
use crate::path;
use crate::verdict::{DropReason, Transmit};

/// The most segments of one train, as many as a UDP socket takes at once.
const MOST: usize = 128;

/// A super-packet of which not every segment has left.
pub(super) struct Rest {
    /// The super-packet itself.
    train: Train,
    layout: Layout,
    segmentation: Segmentation,
    fit: Fit,
    reference: Reference,
    /// The first segment that has still to leave.
    next: usize,
}

impl Datapath {
    /// The segments of the super-packet in `train`, in its place; what does not find room in one
    /// train leaves by [`more`](Datapath::more). `largest`: octets of the largest packet with these
    /// headers that the path takes.
    #[inline(never)]
    pub(super) fn protect_super(
        &mut self,
        reference: Reference,
        train: &mut Train,
        layout: &Layout,
        (segmentation, largest): (Segmentation, u16),
    ) -> Result<Exit, DropReason> {
        let (segmentation, fit) = self.fit(train, layout, segmentation, largest)?;
        let (mut segments, next) = self.cut(reference, train, layout, segmentation, 0)?;
        let exit = self.transform(reference, &mut segments, layout, fit)?;
        let whole = std::mem::replace(train, segments);
        if next < count(&whole, layout, segmentation)? {
            let rest = Rest {
                train: whole,
                layout: *layout,
                segmentation,
                fit,
                reference,
                next,
            };
            if self.rest.replace(rest).is_some() {
                self.stats.partial += 1;
            }
        }
        Ok(exit)
    }

    /// More of the segments of the super-packet that left last, behind those that its verdict sent:
    /// to be asked after each verdict and before the next packet, until there is none. Where one
    /// fails the rest of the super-packet ends with it, counted as partial.
    pub fn more(&mut self) -> Option<Transmit> {
        let mut rest = self.rest.take()?;
        match self.go_on(&mut rest) {
            Ok((transmit, true)) => {
                self.rest = Some(rest);
                Some(transmit)
            }
            Ok((transmit, false)) => Some(transmit),
            Err(_) => {
                self.stats.partial += 1;
                None
            }
        }
    }

    /// The next train, and whether there is one behind it.
    fn go_on(&mut self, rest: &mut Rest) -> Result<(Transmit, bool), DropReason> {
        let (reference, layout) = (rest.reference, &rest.layout);
        let (mut segments, next) =
            self.cut(reference, &rest.train, layout, rest.segmentation, rest.next)?;
        let exit = self.transform(reference, &mut segments, layout, rest.fit)?;
        let Exit::Protected(reference, sealed) = exit else {
            return Err(DropReason::Internal);
        };
        let egress = self.egress(reference, sealed).ok_or(DropReason::Internal)?;
        rest.next = next;
        let goes_on = next < count(&rest.train, layout, rest.segmentation)?;
        let offload = sealway_packet::Offload::default();
        Ok((Transmit::new(egress, segments, offload), goes_on))
    }

    /// How the super-packet is cut so that its segments fit the path. What is TCP's and starts here,
    /// or may be cut by routers, is cut smaller; who must know of it is told.
    fn fit(
        &mut self,
        train: &Train,
        layout: &Layout,
        segmentation: Segmentation,
        largest: u16,
    ) -> Result<(Segmentation, Fit), DropReason> {
        let packet = train.packet();
        let whole = find(train, layout, segmentation)?;
        if whole.octets(0) <= usize::from(largest) {
            return Ok((segmentation, Fit::Path));
        }
        let is_ours = self.tables.local.contains(layout.source(packet));
        let may_cut = is_ours || !layout.dont_fragment(packet);
        if may_cut && let Ok(smaller) = whole.recut(usize::from(largest)) {
            return Ok((smaller.segmentation(), Fit::Path));
        }
        let mtu = largest.max(path::least(layout.destination(packet)));
        if !layout.dont_fragment(packet) || whole.octets(0) <= usize::from(mtu) {
            return Ok((segmentation, Fit::FragmentOutside));
        }
        self.answer_too_big(packet, layout, mtu);
        Err(DropReason::TooBig)
    }

    /// Segments from number `from` on, as many as one train takes, and the number of the next.
    fn cut(
        &mut self,
        reference: Reference,
        train: &Train,
        layout: &Layout,
        segmentation: Segmentation,
        from: usize,
    ) -> Result<(Train, usize), DropReason> {
        let whole = find(train, layout, segmentation)?;
        let bundle = self.bundles.get(reference).ok_or(DropReason::Internal)?;
        let longest = whole.octets(from);
        let slots = Slots::of(bundle, longest);
        let until = whole.count().min(from + slots.most());
        let count = until.checked_sub(from).filter(|count| *count > 0);
        let count = count.ok_or(DropReason::NoBuffer)?;
        let class = SizeClass::holding(slots.octets(count)).ok_or(DropReason::NoBuffer)?;
        let mut segments = self.pool.take(class).ok_or(DropReason::NoBuffer)?;
        let lengths = (longest, whole.octets(until - 1));
        segments.set_segments(
            slots.base,
            slots.stride,
            slots.head,
            u16::try_from(count).map_err(|_| DropReason::Internal)?,
            lengths,
        );
        let shortcut = Shortcut::of(segmentation, layout.family);
        let look = self.canary.look(shortcut);
        let written = if look == Look::TakePlainWay {
            fill_plainly(&mut segments, (train.packet(), segmentation), from)
        } else {
            fill(&mut segments, |index, out| whole.write(from + index, out))
        };
        written.ok_or(DropReason::Internal)?;
        if look == Look::Closely {
            self.examine(
                shortcut,
                (train.packet(), segmentation),
                from,
                &mut segments,
            );
        }
        self.stats.segments += count as u64;
        Ok((segments, until))
    }

    /// A sample, if there is a buffer for it.
    #[cold]
    fn examine(
        &mut self,
        shortcut: Shortcut,
        whole: (&[u8], Segmentation),
        from: usize,
        segments: &mut Train,
    ) {
        let plain = segments.empty_like(&self.pool);
        if let Some(mut plain) = plain
            && fill_plainly(&mut plain, whole, from).is_some()
        {
            self.canary.compare(shortcut, segments, plain);
        }
    }
}

fn find<'t>(
    train: &'t Train,
    layout: &Layout,
    segmentation: Segmentation,
) -> Result<SuperPacket<'t>, DropReason> {
    SuperPacket::new(train.packet(), layout, segmentation).map_err(|_| DropReason::Segmentation)
}

fn count(train: &Train, layout: &Layout, segmentation: Segmentation) -> Result<usize, DropReason> {
    Ok(find(train, layout, segmentation)?.count())
}

/// Where segments are written in their train.
struct Slots {
    base: usize,
    stride: usize,
    head: usize,
}

impl Slots {
    /// Through one tunnel SA the sealed segments come to stand without a gap, as a socket with
    /// segmentation offload takes them at once. Otherwise each has room to spare.
    fn of(bundle: &Bundle, longest: usize) -> Slots {
        let (base, head, behind) = match bundle.steps() {
            [step] if step.is_tunnel() => {
                let shape = step.sa.runtime.shape;
                let front = esp::HEADER + shape.iv();
                let pad = esp::pad_length(longest, shape.alignment());
                let behind = pad + esp::TRAILER + shape.icv();
                (Train::HEADROOM - front, front, behind)
            }
            _ => (0, Train::HEADROOM, Train::TAILROOM),
        };
        Slots {
            base,
            stride: head + longest + behind,
            head,
        }
    }

    /// How many segments a train takes.
    fn most(&self) -> usize {
        let room = SizeClass::Large.octets() - Train::TAILROOM - self.base;
        MOST.min(room / self.stride.max(1))
    }

    /// Octets of the buffer for `count` segments.
    fn octets(&self, count: usize) -> usize {
        self.base + count * self.stride + Train::TAILROOM
    }
}
