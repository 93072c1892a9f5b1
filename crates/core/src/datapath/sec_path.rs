//! The SAs that a packet came through: xfrm's `sec_path`, RFC 2402's and KAME's history.

use crate::sad::{Applied, Index};

/// The places of the SAs, outermost first, under the view pinned for the batch. A tag of the
/// inbound road: no other module can read or write it, and it ends with the packet's admission.
#[derive(Clone, Copy, Debug)]
pub(super) struct SecPath {
    places: [Option<(Index, Applied)>; SecPath::MOST],
    length: usize,
}

impl SecPath {
    /// The most SAs around one packet.
    pub(super) const MOST: usize = 4;

    pub(super) const fn new() -> Self {
        SecPath {
            places: [None; SecPath::MOST],
            length: 0,
        }
    }

    /// Whether another SA may be inside the others.
    #[inline]
    pub(super) const fn has_room(&self) -> bool {
        self.length < SecPath::MOST
    }

    /// One more SA, inside the others, and how it was applied; `false` if there are too many.
    #[must_use]
    pub(super) fn push(&mut self, place: Index, applied: Applied) -> bool {
        match self.places.get_mut(self.length) {
            Some(free) => {
                *free = Some((place, applied));
                self.length += 1;
                true
            }
            None => false,
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Index, Applied)> + '_ {
        self.places.iter().flatten().copied()
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The only SA, if there is exactly one.
    #[inline]
    pub(super) const fn only(&self) -> Option<(Index, Applied)> {
        match self.length {
            1 => self.places[0],
            _ => None,
        }
    }
}
