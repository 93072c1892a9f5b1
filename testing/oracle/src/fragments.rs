//! What is remembered of fragments: their datagram's first, and all of those to be put together.

use std::net::IpAddr;

use sealway_core::{DropReason, Time};

use crate::packet::{self, Ip, Words, number};
use crate::policy::Traffic;

/// What the fragments of a datagram have in common (RFC 791 §2.3, RFC 8200 §4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    source: IpAddr,
    destination: IpAddr,
    /// IPv4 only: in IPv6 the Fragment headers of one datagram may differ in what they name.
    protocol: Option<u8>,
    id: u32,
}

impl Identity {
    fn of(ip: &Ip) -> Option<Identity> {
        let part = ip.fragment.filter(|part| !part.is_whole())?;
        Some(Identity {
            source: ip.source,
            destination: ip.destination,
            protocol: ip.is_v4().then_some(ip.protocol),
            id: part.id,
        })
    }
}

/// Refuses a first fragment that does not hold the header whose ports it should show (RFC 1858).
pub(crate) fn refuse_tiny(ip: &Ip) -> Result<(), DropReason> {
    match ip.is_fragment() && !ip.is_later_fragment() && ip.words == Words::Hidden {
        true => Err(DropReason::FragmentTiny),
        false => Ok(()),
    }
}

/// What first fragments showed within the last 30 seconds (RFC 4301 §7.2).
#[derive(Clone, Debug, Default)]
pub(crate) struct Firsts(Vec<(Identity, u8, Words, Time)>);

impl Firsts {
    /// Learns from a first fragment; tells of a later one what its first showed.
    pub(crate) fn complete(&mut self, ip: &Ip, traffic: Traffic, now: Time) -> Traffic {
        let Some(identity) = Identity::of(ip) else {
            return traffic;
        };
        if !ip.is_later_fragment() {
            self.0.retain(|(other, ..)| *other != identity);
            self.0
                .push((identity, traffic.protocol, traffic.words, now));
            return traffic;
        }
        let known = self.0.iter().find(|(other, ..)| *other == identity);
        match known.filter(|(.., since)| is_recent(*since, now)) {
            Some((_, protocol, words, _)) => Traffic {
                protocol: *protocol,
                words: *words,
                ..traffic
            },
            None => traffic,
        }
    }
}

fn is_recent(since: Time, now: Time) -> bool {
    now.since(since).as_secs() < 30
}

/// The most datagrams that wait, and the most runs of data of one.
const MOST: usize = 64;

/// Datagrams that wait for their fragments.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reassembly(Vec<Partial>);

#[derive(Clone, Debug)]
struct Partial {
    identity: Identity,
    since: Time,
    /// Data by offset; what stands before it in the first.
    pieces: Vec<(usize, Vec<u8>)>,
    header: Option<Vec<u8>>,
    end: Option<usize>,
}

/// What became of a fragment.
pub(crate) enum Put {
    /// Others are missing.
    Waiting,
    /// The datagram.
    Whole(Vec<u8>),
}

impl Reassembly {
    /// Forgets what is older than 30 seconds.
    pub(crate) fn expire(&mut self, now: Time) {
        self.0.retain(|partial| is_recent(partial.since, now));
    }

    /// Adds a fragment. Overlapping ones end their datagram (RFC 5722).
    pub(crate) fn put(&mut self, ip: &Ip, octets: &[u8], now: Time) -> Result<Put, DropReason> {
        let identity = Identity::of(ip).ok_or(DropReason::Internal)?;
        let known = self
            .0
            .iter()
            .position(|partial| partial.identity == identity);
        if known.is_none() && self.0.len() >= MOST {
            return Err(DropReason::FragmentLimit);
        }
        let at = known.unwrap_or_else(|| {
            self.0.push(Partial {
                identity,
                since: now,
                pieces: Vec::new(),
                header: None,
                end: None,
            });
            self.0.len() - 1
        });
        let put = self.0[at].put(ip, octets);
        if !matches!(put, Ok(Put::Waiting)) {
            self.0.remove(at);
        }
        put
    }
}

impl Partial {
    fn put(&mut self, ip: &Ip, octets: &[u8]) -> Result<Put, DropReason> {
        let part = ip.fragment.ok_or(DropReason::Internal)?;
        // In IPv6 the data starts behind the Fragment header, whatever it names.
        let data_at = if ip.is_v4() {
            ip.upper
        } else {
            ip.protect_at + 8
        };
        let data = octets[data_at..].to_vec();
        let end = part.offset + data.len();
        let overlaps = |(at, piece): &(usize, Vec<u8>)| part.offset < at + piece.len() && *at < end;
        if self.pieces.iter().any(overlaps) || self.end.is_some_and(|last| end > last || !part.more)
        {
            return Err(DropReason::FragmentOverlap);
        }
        if part.offset == 0 {
            self.header = Some(unfragmented(ip, octets));
        }
        if !part.more {
            self.end = Some(end);
        }
        self.pieces.push((part.offset, data));
        self.pieces.sort();
        if self.stretches() > MOST {
            return Err(DropReason::FragmentLimit);
        }
        let have: usize = self.pieces.iter().map(|(_, piece)| piece.len()).sum();
        let Some(header) = self.header.as_ref().filter(|_| self.end == Some(have)) else {
            return Ok(Put::Waiting);
        };
        let mut datagram = header.clone();
        for (_, piece) in &self.pieces {
            datagram.extend_from_slice(piece);
        }
        packet::fix_length(&mut datagram);
        Ok(Put::Whole(datagram))
    }

    /// Runs of data without a gap.
    fn stretches(&self) -> usize {
        let ends = self.pieces.iter().map(|(at, piece)| at + piece.len());
        let starts = self.pieces.iter().skip(1).map(|(at, _)| *at);
        1 + ends.zip(starts).filter(|(end, start)| end != start).count()
    }
}

/// The first fragment's headers, without what made it a fragment.
fn unfragmented(ip: &Ip, octets: &[u8]) -> Vec<u8> {
    if ip.is_v4() {
        let mut header = octets[..ip.upper].to_vec();
        header[6] &= !0x3f;
        header[7] = 0;
        return header;
    }
    let mut header = octets[..ip.protect_at].to_vec();
    header[ip.named_at] = octets[ip.protect_at];
    debug_assert_ne!(header[ip.named_at], number::FRAGMENT);
    header
}
