//! Splitting a packet into fragments (RFC 791 §3.2, RFC 8200 §4.5).

use std::fmt;
use std::ops::Range;

use crate::{Family, Fragment, Layout, ipv4, ipv6, protocol, put, view, view_mut};

/// How one packet is split: data, which [`Split::write`] turns into fragments piece by piece.
///
/// All pieces but the last have the same number of octets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Split {
    family: Family,
    /// Octets of header before the data of each piece, the Fragment header included.
    header: usize,
    /// Octets of data in each piece but the last: a multiple of 8.
    data: usize,
    /// Where the data of the packet starts and ends.
    start: usize,
    end: usize,
    next_header_at: usize,
    /// The first header of the fragmentable part, which a Fragment header names.
    first_header: u8,
    /// Which fragment the packet itself is; one that is whole is the only one.
    packet: Fragment,
}

/// One piece of a [`Split`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Piece {
    /// Where its data lies in the packet.
    pub data: Range<usize>,
    /// Octets of header that precede the data.
    pub header: usize,
    /// Which fragment it is.
    pub fragment: Fragment,
}

impl Piece {
    /// Octets of the whole piece.
    pub fn octets(&self) -> usize {
        self.header + self.data.len()
    }
}

/// Why a packet is not split.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unsplittable {
    /// It fits as it is.
    Fits,
    /// The MTU leaves no room for all headers and 8 octets of data.
    MtuTooSmall,
    /// The layout is not that of the packet.
    NotItsLayout,
}

impl fmt::Display for Unsplittable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unsplittable::Fits => "the packet fits and needs no splitting",
            Unsplittable::MtuTooSmall => "the MTU has no room for all headers and 8 octets of data",
            Unsplittable::NotItsLayout => "the layout is that of another packet",
        })
    }
}

impl std::error::Error for Unsplittable {}

impl Split {
    /// How to split a packet into pieces of at most `mtu` octets.
    ///
    /// `id` goes into the Fragment header of IPv6; a packet that is a fragment already, and every
    /// IPv4 packet, keeps its own. DF is not looked at, and kept: whether it forbids splitting is
    /// for the caller to know.
    pub fn new(packet: &[u8], layout: &Layout, mtu: usize, id: u32) -> Result<Split, Unsplittable> {
        let end = layout.length as usize;
        if end <= mtu {
            return Err(Unsplittable::Fits);
        }
        let unfragmentable = usize::from(layout.unfragmentable);
        let next_header_at = usize::from(layout.next_header_at);
        let named = packet.get(next_header_at).copied();
        let (header, start, whole) = match (layout.family, layout.fragment) {
            (Family::V4, _) => {
                let id = view::<ipv4::Header>(packet, 0).map_or(0, |header| header.id.get().into());
                (
                    unfragmentable,
                    unfragmentable,
                    Fragment {
                        offset: 0,
                        more: false,
                        id,
                    },
                )
            }
            (Family::V6, fragment) => {
                let header = unfragmentable + ipv6::FRAGMENT_HEADER;
                let start = if fragment.is_some() {
                    header
                } else {
                    unfragmentable
                };
                (
                    header,
                    start,
                    Fragment {
                        offset: 0,
                        more: false,
                        id,
                    },
                )
            }
        };
        let first_header = match (layout.family, layout.fragment) {
            (Family::V6, Some(_)) => packet.get(unfragmentable).copied(),
            _ => named,
        };
        let data = mtu.saturating_sub(header) & !7;
        // RFC 7112 §5: the first fragment has all extension headers.
        let chain = if layout.is_first() {
            usize::from(layout.upper)
        } else {
            0
        };
        if data == 0 || start + data < chain {
            return Err(Unsplittable::MtuTooSmall);
        }
        if end > packet.len() || start > end || next_header_at >= unfragmentable {
            return Err(Unsplittable::NotItsLayout);
        }
        Ok(Split {
            family: layout.family,
            header,
            data,
            start,
            end,
            next_header_at,
            first_header: first_header.ok_or(Unsplittable::NotItsLayout)?,
            packet: layout.fragment.unwrap_or(whole),
        })
    }

    /// The pieces, in order.
    pub fn pieces(self) -> impl ExactSizeIterator<Item = Piece> + Clone {
        let count = (self.end - self.start).div_ceil(self.data);
        (0..count).map(move |index| {
            let start = self.start + index * self.data;
            let end = (start + self.data).min(self.end);
            let offset = usize::from(self.packet.offset) + index * self.data;
            Piece {
                data: start..end,
                header: self.header,
                fragment: Fragment {
                    // A sound fragment ends below 65536, see `Malformed::FragmentShape`.
                    offset: offset as u16,
                    more: end < self.end || self.packet.more,
                    id: self.packet.id,
                },
            }
        })
    }

    /// Writes the header of `piece` to the start of `out` and returns its length; `None` if it
    /// does not fit. `packet` is the one that is split.
    pub fn write_header(&self, packet: &[u8], piece: &Piece, out: &mut [u8]) -> Option<usize> {
        out.get_mut(..self.header)?;
        match self.family {
            Family::V4 => self.write_v4(packet, piece, out)?,
            Family::V6 => self.write_v6(packet, piece, out)?,
        }
        Some(self.header)
    }

    /// Writes `piece`, header and data, to the start of `out` and returns its length; `None` if it
    /// does not fit. `packet` is the one that is split.
    pub fn write(&self, packet: &[u8], piece: &Piece, out: &mut [u8]) -> Option<usize> {
        let data = packet.get(piece.data.clone())?;
        let length = piece.octets();
        out.get_mut(..length)?;
        let at = self.write_header(packet, piece, out)?;
        out.get_mut(at..length)?.copy_from_slice(data);
        Some(length)
    }

    fn write_v4(&self, packet: &[u8], piece: &Piece, out: &mut [u8]) -> Option<()> {
        let original = packet.get(..self.header)?;
        let out = out.get_mut(..self.header)?;
        out.copy_from_slice(original);
        if !piece.fragment.is_first() {
            // What is not copied becomes padding, so that all pieces are of one size.
            const NO_OPERATION: u8 = 1;
            for option in ipv4::options(original).filter(|option| !option.is_copied()) {
                out.get_mut(option.range)?.fill(NO_OPERATION);
            }
        }
        let header: &mut ipv4::Header = view_mut(out, 0)?;
        let more = if piece.fragment.more {
            ipv4::MORE_FRAGMENTS
        } else {
            0
        };
        let flags = header.flags_fragment.get() & !(ipv4::MORE_FRAGMENTS | ipv4::OFFSET_MASK);
        header
            .flags_fragment
            .set(flags | more | piece.fragment.offset >> 3);
        header.total_length.set(u16::try_from(piece.octets()).ok()?);
        ipv4::update_checksum(out).then_some(())
    }

    fn write_v6(&self, packet: &[u8], piece: &Piece, out: &mut [u8]) -> Option<()> {
        let unfragmentable = self.header - ipv6::FRAGMENT_HEADER;
        out.get_mut(..unfragmentable)?
            .copy_from_slice(packet.get(..unfragmentable)?);
        *out.get_mut(self.next_header_at)? = protocol::FRAGMENT;
        let header: &mut ipv6::Header = view_mut(out, 0)?;
        header
            .payload_length
            .set(u16::try_from(piece.octets().checked_sub(ipv6::HEADER)?).ok()?);
        put(
            out,
            unfragmentable,
            &ipv6::FragmentHeader::new(self.first_header, piece.fragment),
        )?;
        Some(())
    }
}
