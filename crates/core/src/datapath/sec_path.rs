//! The SAs that a packet came through: xfrm's `sec_path`, RFC 2402's and KAME's history.

use crate::sad::{Applied, Sa};

/// The SAs, outermost first, of the version that the batch is judged by. A tag of the inbound
/// road: no other module can read or write it, and it ends with the packet's admission.
#[derive(Clone, Copy, Debug)]
pub(super) struct SecPath<'d> {
    used: [Option<(&'d Sa, Applied)>; SecPath::MOST],
    length: usize,
}

impl<'d> SecPath<'d> {
    pub(super) const fn new() -> Self {
        SecPath {
            used: [None; SecPath::MOST],
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
    pub(super) fn push(&mut self, sa: &'d Sa, applied: Applied) -> bool {
        match self.used.get_mut(self.length) {
            Some(free) => {
                *free = Some((sa, applied));
                self.length += 1;
                true
            }
            None => false,
        }
    }

    /// Those that there are, each of them `Some`.
    pub(super) fn used(&self) -> &[Option<(&'d Sa, Applied)>] {
        self.used.get(..self.length).unwrap_or(&self.used)
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The only SA, if there is exactly one.
    #[inline]
    pub(super) const fn only(&self) -> Option<(&'d Sa, Applied)> {
        match self.length {
            1 => self.used[0],
            _ => None,
        }
    }
}

impl SecPath<'_> {
    /// The most SAs around one packet.
    pub(super) const MOST: usize = 4;
}
