//! Laying a typed header over octets.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// A header of fixed size that consists of nothing but octets, so that any octets are one.
pub trait Wire: FromBytes + IntoBytes + KnownLayout + Immutable + Unaligned {}

impl<T: FromBytes + IntoBytes + KnownLayout + Immutable + Unaligned> Wire for T {}

/// The header at `offset`; `None` if it does not lie wholly inside `octets`.
#[inline]
pub fn view<T: Wire>(octets: &[u8], offset: usize) -> Option<&T> {
    let (header, _) = T::ref_from_prefix(octets.get(offset..)?).ok()?;
    Some(header)
}

/// The header at `offset`, to be changed in place; `None` if it does not lie wholly inside.
#[inline]
pub fn view_mut<T: Wire>(octets: &mut [u8], offset: usize) -> Option<&mut T> {
    let (header, _) = T::mut_from_prefix(octets.get_mut(offset..)?).ok()?;
    Some(header)
}

/// Writes `header` at `offset` and returns the offset behind it; `None`, with nothing written, if
/// it does not fit.
#[inline]
pub fn put<T: Wire>(octets: &mut [u8], offset: usize, header: &T) -> Option<usize> {
    header.write_to_prefix(octets.get_mut(offset..)?).ok()?;
    Some(offset + size_of::<T>())
}
