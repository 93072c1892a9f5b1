//! Putting fragments together again, bounded in number and time (RFC 791 §3.2, RFC 8200 §4.5,
//! RFC 5722, RFC 1858).

use std::collections::VecDeque;
use std::time::Duration;

use sealway_packet::{Pool, SizeClass, Train};
use sealway_wire::{Family, Layout, ipv4, ipv6, view_mut};

use crate::time::Time;
use crate::verdict::DropReason;

/// What the fragments of one datagram have in common (RFC 791 §2.3: with the protocol).
#[derive(Clone, Copy, PartialEq, Eq)]
struct Identity {
    source: std::net::IpAddr,
    destination: std::net::IpAddr,
    protocol: u8,
    id: u32,
}

/// A datagram of which some fragments came.
struct Partial {
    identity: Identity,
    since: Time,
    /// The header at its place, the data at theirs behind it.
    train: Train,
    /// Octets of header before the data, once the first fragment came.
    header: Option<usize>,
    /// Octets of data in all, once the last fragment came.
    end: Option<usize>,
    /// The stretches of data that came, sorted, none touching another.
    stretches: Vec<(usize, usize)>,
}

/// What became of a fragment.
#[derive(Debug)]
pub(super) enum Added {
    /// Others are missing.
    Waiting,
    /// This was the last: the datagram, without fragment header.
    Whole(Train),
}

/// Datagrams that wait for their fragments.
pub struct Reassembly {
    partials: VecDeque<Partial>,
}

/// Where the data is put: room for the longest header before it.
const DATA_AT: usize = Train::HEADROOM + 512;
/// The longest datagram.
const LONGEST: usize = 65_535;
/// Stretches of one datagram: more fragments that do not touch than this are an attack.
const MOST_STRETCHES: usize = 64;

impl Reassembly {
    /// The most datagrams that wait.
    pub const MOST: usize = 64;
    /// How long one waits (RFC 8200 §4.5 allows 60 seconds, Linux takes 30).
    pub const LIFETIME: Duration = Duration::from_secs(30);

    pub(super) fn new() -> Self {
        Reassembly {
            partials: VecDeque::new(),
        }
    }

    /// Forgets datagrams whose time is over. Their fragments were counted as consumed when they
    /// came.
    #[inline]
    pub(super) fn expire(&mut self, now: Time) {
        while let Some(oldest) = self.partials.front()
            && now.since(oldest.since) >= Reassembly::LIFETIME
        {
            self.partials.pop_front();
        }
    }

    /// Takes in a fragment. A datagram with an overlap is dropped whole.
    pub(super) fn add(
        &mut self,
        packet: &[u8],
        layout: &Layout,
        now: Time,
        pool: &Pool,
    ) -> Result<Added, DropReason> {
        let identity = identity(packet, layout).ok_or(DropReason::Malformed)?;
        if layout.is_first() && Layout::parse(packet).is_ok_and(|l| is_tiny(&l)) {
            return Err(DropReason::FragmentTiny);
        }
        let at = match self.partials.iter().position(|p| p.identity == identity) {
            Some(at) => at,
            None => self.start(identity, now, pool)?,
        };
        let Some(partial) = self.partials.get_mut(at) else {
            return Err(DropReason::Internal);
        };
        match partial.add(packet, layout) {
            Ok(false) => Ok(Added::Waiting),
            Ok(true) => self
                .partials
                .remove(at)
                .and_then(|partial| partial.finish(layout.family))
                .map(Added::Whole)
                .ok_or(DropReason::Malformed),
            Err(reason) => {
                self.partials.remove(at);
                Err(reason)
            }
        }
    }

    fn start(&mut self, identity: Identity, now: Time, pool: &Pool) -> Result<usize, DropReason> {
        if self.partials.len() >= Reassembly::MOST {
            return Err(DropReason::FragmentLimit);
        }
        let mut train = pool
            .take(SizeClass::Large)
            .ok_or(DropReason::FragmentLimit)?;
        train.set_single(0, train.capacity());
        self.partials.push_back(Partial {
            identity,
            since: now,
            train,
            header: None,
            end: None,
            stretches: Vec::new(),
        });
        Ok(self.partials.len() - 1)
    }
}

/// The upper-layer header is not whole in its first fragment.
fn is_tiny(layout: &Layout) -> bool {
    matches!(layout.ports, sealway_wire::Ports::Unavailable)
}

fn identity(packet: &[u8], layout: &Layout) -> Option<Identity> {
    let protocol = match layout.family {
        Family::V4 => layout.protocol,
        Family::V6 => 0,
    };
    Some(Identity {
        source: layout.source(packet),
        destination: layout.destination(packet),
        protocol,
        id: layout.fragment?.id,
    })
}

impl Partial {
    /// Whether the datagram is whole now.
    fn add(&mut self, packet: &[u8], layout: &Layout) -> Result<bool, DropReason> {
        let fragment = layout.fragment.ok_or(DropReason::Malformed)?;
        let header = usize::from(layout.unfragmentable);
        let data_at = match layout.family {
            Family::V4 => header,
            Family::V6 => header + ipv6::FRAGMENT_HEADER,
        };
        let data = layout
            .octets(packet)
            .get(data_at..)
            .ok_or(DropReason::Malformed)?;
        let start = usize::from(fragment.offset);
        let end = start + data.len();
        if data.is_empty() || end + header > LONGEST {
            return Err(DropReason::Malformed);
        }
        self.cover(start, end)?;
        if !fragment.more && self.end.replace(end).is_some() {
            return Err(DropReason::FragmentOverlap);
        }
        let buffer = self.train.packet_mut();
        let room = buffer.get_mut(DATA_AT + start..DATA_AT + end);
        room.ok_or(DropReason::NoBuffer)?.copy_from_slice(data);
        if fragment.is_first() {
            self.keep_header(packet, layout)
                .ok_or(DropReason::NoBuffer)?;
        }
        Ok(self.is_whole())
    }

    /// Notes that the data from `start` to `end` came; it must not have come before.
    fn cover(&mut self, start: usize, end: usize) -> Result<(), DropReason> {
        let beyond_end = self.end.is_some_and(|last| end > last);
        let overlaps = self
            .stretches
            .iter()
            .any(|(from, to)| start < *to && *from < end);
        if overlaps || beyond_end {
            return Err(DropReason::FragmentOverlap);
        }
        let at = self.stretches.partition_point(|(from, _)| *from < start);
        self.stretches.insert(at, (start, end));
        self.stretches.dedup_by(|next, previous| {
            let touches = previous.1 == next.0;
            if touches {
                previous.1 = next.1;
            }
            touches
        });
        if self.stretches.len() > MOST_STRETCHES {
            return Err(DropReason::FragmentLimit);
        }
        Ok(())
    }

    /// Keeps the header of the first fragment, without the Fragment header.
    fn keep_header(&mut self, packet: &[u8], layout: &Layout) -> Option<()> {
        let header = usize::from(layout.unfragmentable);
        let start = DATA_AT.checked_sub(header)?;
        let room = self.train.packet_mut().get_mut(start..DATA_AT)?;
        room.copy_from_slice(packet.get(..header)?);
        if layout.family == Family::V6 {
            // What the Fragment header names is named by the header before it now.
            *room.get_mut(usize::from(layout.next_header_at))? = *packet.get(header)?;
        }
        self.header = Some(header);
        Some(())
    }

    fn is_whole(&self) -> bool {
        match (self.header, self.end, self.stretches.as_slice()) {
            (Some(_), Some(end), [(0, covered)]) => end == *covered,
            _ => false,
        }
    }

    fn finish(mut self, family: Family) -> Option<Train> {
        let (header, end) = (self.header?, self.end?);
        self.train.set_single(DATA_AT - header, header + end);
        let packet = self.train.packet_mut();
        match family {
            Family::V4 => {
                let total = u16::try_from(packet.len()).ok()?;
                let ip: &mut ipv4::Header = view_mut(packet, 0)?;
                ip.total_length.set(total);
                ip.flags_fragment
                    .set(ip.flags_fragment.get() & ipv4::DONT_FRAGMENT);
                ipv4::update_checksum(packet).then_some(())?;
            }
            Family::V6 => {
                let payload = u16::try_from(packet.len().checked_sub(ipv6::HEADER)?).ok()?;
                let ip: &mut ipv6::Header = view_mut(packet, 0)?;
                ip.payload_length.set(payload);
            }
        }
        Some(self.train)
    }
}
