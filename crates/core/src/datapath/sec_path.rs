//! The SAs that a packet came through: xfrm's `sec_path`, RFC 2402's and KAME's history.

use crate::sad::Index;

/// The places of the SAs, outermost first, under the view pinned for the batch. A tag of the
/// inbound road: no other module can read or write it, and it ends with the packet's admission.
#[derive(Clone, Copy, Debug)]
pub(super) struct SecPath {
    places: [Option<Index>; SecPath::MOST],
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

    /// One more SA, inside the others; `false` if there are too many.
    #[must_use]
    pub(super) fn push(&mut self, place: Index) -> bool {
        match self.places.get_mut(self.length) {
            Some(free) => {
                *free = Some(place);
                self.length += 1;
                true
            }
            None => false,
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Index> + '_ {
        self.places.iter().flatten().copied()
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The only SA, if there is exactly one.
    #[inline]
    pub(super) const fn only(&self) -> Option<Index> {
        match self.length {
            1 => self.places[0],
            _ => None,
        }
    }
}
