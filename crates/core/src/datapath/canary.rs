//! The canary: now and then what a shortcut made of a packet is made the plain way too, and compared.
//! A shortcut whose result differs is not taken any more. See ADR 14.

use sealway_packet::{Pool, Segmentation, SizeClass, Train, says_the_same, write_plain};
use sealway_wire::Family;

/// Ways to treat many packets as one that stand beside a plain way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shortcut {
    /// TCP over IPv4 is cut by arithmetic on sums.
    CutTcp4,
    /// TCP over IPv6 is.
    CutTcp6,
    /// UDP is.
    CutUdp,
    /// What came in is joined where it stands.
    Join,
}

impl Shortcut {
    /// All of them.
    pub const ALL: [Shortcut; 4] = [
        Shortcut::CutTcp4,
        Shortcut::CutTcp6,
        Shortcut::CutUdp,
        Shortcut::Join,
    ];

    pub(super) fn of(segmentation: Segmentation, family: Family) -> Shortcut {
        match (segmentation, family) {
            (Segmentation::Tcp(_), Family::V4) => Shortcut::CutTcp4,
            (Segmentation::Tcp(_), Family::V6) => Shortcut::CutTcp6,
            (Segmentation::Udp(_), _) => Shortcut::CutUdp,
        }
    }
}

/// Uses of a shortcut from one sample to the next.
const EVERY: u16 = 4096;

/// What to do with the next use of a shortcut.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    Away,
    Closely,
    /// The shortcut is not to be taken.
    TakePlainWay,
}

/// Which shortcuts are trusted, and when each is looked at next: at its first use, too.
#[derive(Default)]
pub(super) struct Canary {
    shortcuts: [Trust; Shortcut::ALL.len()],
    /// The segments of the group that is being joined, as they came, if it is a sample.
    witness: Option<Witness>,
    samples: u64,
    /// For tests: this one lies.
    #[cfg(test)]
    pub(super) liar: Option<Shortcut>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Trust {
    is_lost: bool,
    /// Uses until the next sample.
    left: u16,
}

impl Canary {
    /// To be asked at each use of a shortcut.
    #[inline]
    pub(super) fn look(&mut self, shortcut: Shortcut) -> Look {
        let trust = &mut self.shortcuts[shortcut as usize];
        match (trust.is_lost, trust.left) {
            (true, _) => Look::TakePlainWay,
            (false, 0) => {
                trust.left = EVERY - 1;
                Look::Closely
            }
            (false, left) => {
                trust.left = left - 1;
                Look::Away
            }
        }
    }

    /// Whether it may be taken.
    #[inline]
    pub(super) fn trusts(&self, shortcut: Shortcut) -> bool {
        !self.shortcuts[shortcut as usize].is_lost
    }

    /// Samples that were compared.
    pub(super) fn samples(&self) -> u64 {
        self.samples
    }

    /// Compares what the shortcut made with what the plain way makes, and puts that in its place if
    /// they differ.
    #[cold]
    pub(super) fn compare(&mut self, shortcut: Shortcut, made: &mut Train, plain: Train) {
        #[cfg(test)]
        self.lie(shortcut, made.segment_mut(0));
        self.samples += 1;
        if !made.segments().eq(plain.segments()) {
            self.shortcuts[shortcut as usize].is_lost = true;
            *made = plain;
        }
    }

    /// Looks at the next use of each.
    #[cfg(test)]
    pub(super) fn wake(&mut self) {
        self.shortcuts.iter_mut().for_each(|trust| trust.left = 0);
    }

    #[cfg(test)]
    fn lie(&self, shortcut: Shortcut, made: &mut [u8]) {
        if self.liar == Some(shortcut)
            && let Some(last) = made.last_mut()
        {
            *last ^= 1;
        }
    }
}

/// Writes a segment into each place of the train.
pub(super) fn fill(
    train: &mut Train,
    mut write: impl FnMut(usize, &mut [u8]) -> Option<()>,
) -> Option<()> {
    (0..train.count()).try_for_each(|index| write(index, train.segment_mut(index)))
}

/// The same by the plain way.
pub(super) fn fill_plainly(
    train: &mut Train,
    (whole, segmentation): (&[u8], Segmentation),
    from: usize,
) -> Option<()> {
    fill(train, |index, out| {
        let written = write_plain(whole, segmentation, from + index, out)?;
        (written == out.len()).then_some(())
    })
}

/// Segments as they came, one behind the other, while they are joined elsewhere.
pub(super) struct Witness {
    kept: Train,
    /// Where each ends; all have the length of the first, but the last.
    first: usize,
    end: usize,
    /// Octets of the one that may be joined.
    next: usize,
}

impl Canary {
    /// The packet begins a group: if a sample is due, and a buffer free, it is kept.
    #[inline]
    pub(super) fn watch(&mut self, packet: &[u8], pool: &Pool) {
        if self.shortcuts[Shortcut::Join as usize].left > 0 {
            return;
        }
        self.witness = Witness::of(packet, pool);
    }

    /// The packet may be joined to the group.
    #[inline]
    pub(super) fn hear(&mut self, packet: &[u8]) {
        if let Some(witness) = &mut self.witness {
            witness.keep(packet);
        }
    }

    /// It has been joined.
    #[inline]
    pub(super) fn note_joined(&mut self) {
        let trust = &mut self.shortcuts[Shortcut::Join as usize];
        trust.left = trust.left.saturating_sub(1);
        if let Some(witness) = &mut self.witness {
            witness.end += witness.next;
        }
    }

    /// The group is whole: what was joined, for the device to cut as it says. The segments as they
    /// came, if the device would make others of it.
    #[inline]
    pub(super) fn testify(
        &mut self,
        joined: &mut [u8],
        segmentation: Option<Segmentation>,
    ) -> Option<Witness> {
        let witness = self.witness.take()?;
        self.compare_joined(witness, joined, segmentation?)
    }

    #[cold]
    fn compare_joined(
        &mut self,
        mut witness: Witness,
        joined: &mut [u8],
        segmentation: Segmentation,
    ) -> Option<Witness> {
        #[cfg(test)]
        self.lie(Shortcut::Join, joined);
        self.samples += 1;
        let is_same = witness.agrees(joined, segmentation);
        let trust = &mut self.shortcuts[Shortcut::Join as usize];
        trust.left = EVERY;
        trust.is_lost |= !is_same;
        (!is_same).then_some(witness)
    }
}

impl Witness {
    fn of(packet: &[u8], pool: &Pool) -> Option<Witness> {
        let mut kept = pool.take(SizeClass::Large)?;
        let first = packet.len();
        kept.buffer_mut().get_mut(..first)?.copy_from_slice(packet);
        Some(Witness {
            kept,
            first,
            end: first,
            next: 0,
        })
    }

    fn keep(&mut self, packet: &[u8]) {
        self.next = 0;
        let end = self.end + packet.len();
        if let Some(room) = self.kept.buffer_mut().get_mut(self.end..end) {
            room.copy_from_slice(packet);
            self.next = packet.len();
        }
    }

    /// Whether the device will make the same of what was joined.
    fn agrees(&mut self, joined: &[u8], segmentation: Segmentation) -> bool {
        let (kept, scratch) = self.kept.buffer_mut().split_at_mut(self.end);
        let mut segments = kept.chunks(self.first).enumerate();
        // Joined packets have fewer octets than they had apart: there is room for one more.
        let is_same = segments.all(|(index, came)| {
            let made = write_plain(joined, segmentation, index, scratch);
            made.and_then(|octets| scratch.get(..octets))
                .is_some_and(|made| says_the_same(came, made))
        });
        let count = self.end.div_ceil(self.first.max(1));
        is_same && write_plain(joined, segmentation, count, scratch).is_none()
    }

    /// The segments.
    pub(super) fn segments(&mut self) -> impl Iterator<Item = &[u8]> {
        let octets = self.kept.buffer_mut().get(..self.end).unwrap_or_default();
        octets.chunks(self.first.max(1))
    }
}
