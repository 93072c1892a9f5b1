//! The road in: SPI, replay, ICV, padding, decapsulation, again if nested (RFC 4301 §5.2,
//! RFC 4303 §3.4).

use std::net::IpAddr;

use sealway_core::DropReason;
use sealway_core::sad::{Protocol, SaId, SaMode};
use sealway_crypto::Suite;
use sealway_packet::{Arrival, Encapsulation, Outer};

use crate::book::{Book, Octets, Sealed, Text};
use crate::fragments::refuse_tiny;
use crate::packet::{self, Ip, number};
use crate::policy::{Match, Traffic, matches};
use crate::sa::{Sa, Used};
use crate::{Delivery, Oracle, Outcome, Verdict};

/// The most SAs that are opened one inside the other.
const MOST_NESTED: usize = 4;

/// An ESP packet on its way in.
struct Esp<'a> {
    /// From its header on.
    octets: Vec<u8>,
    /// How it came to be, if anybody with a key sealed exactly these octets.
    sealed: Option<&'a Sealed>,
    outer: Front,
}

/// What stood before ESP.
enum Front {
    /// Facts of a header that a socket took.
    Facts(Outer),
    /// A whole packet up to ESP, and where the protocol is named.
    Header(Ip, Vec<u8>),
}

/// A packet that came out of SAs, or in the clear.
pub(crate) struct Came {
    pub(crate) packet: Octets,
    /// Outermost first.
    pub(crate) through: Vec<Used>,
    /// Its IP header was made of facts: identification, DF and flow label are not its sender's.
    pub(crate) rebuilt: bool,
}

enum Step {
    /// An IP packet.
    Packet(Came),
    /// It ended as it should.
    Consumed,
}

impl Oracle {
    /// What becomes of a packet from the outside.
    pub fn input(&mut self, arrival: &Arrival, octets: &[u8], book: &Book) -> Outcome {
        let verdict = match self.receive(arrival, octets, book) {
            Ok(verdict) => verdict,
            Err(reason) => Verdict::Dropped(reason),
        };
        Outcome {
            verdict,
            told: None,
        }
    }

    fn receive(
        &mut self,
        arrival: &Arrival,
        octets: &[u8],
        book: &Book,
    ) -> Result<Verdict, DropReason> {
        let mut came = match arrival {
            Arrival::Payload(outer) => {
                if outer.encapsulation == Encapsulation::Ah {
                    return Err(DropReason::NoSaIn);
                }
                let esp = Esp {
                    octets: octets.to_vec(),
                    sealed: book.find(octets),
                    outer: Front::Facts(*outer),
                };
                match self.open(esp, Vec::new(), false)? {
                    Step::Packet(came) => came,
                    Step::Consumed => return Ok(Verdict::Consumed),
                }
            }
            Arrival::Whole { .. } => Came {
                packet: Octets::known(octets.to_vec()),
                through: Vec::new(),
                rebuilt: false,
            },
        };
        loop {
            let shown = came.packet.shown();
            let unreadable = match came.through.is_empty() {
                true => DropReason::Malformed,
                false => DropReason::InnerMalformed,
            };
            let ip = packet::read(&shown).ok_or(unreadable)?;
            came.packet = came.packet.truncated(ip.length);
            let is_ipsec = matches!(ip.protocol, number::ESP | number::AH);
            if !is_ipsec || !self.is_ours(ip.destination) {
                return self.admit(came, &ip);
            }
            // RFC 4303 §3.4.1: fragments are put together before ESP, by whoever hands them over.
            if ip.is_fragment() {
                return Err(DropReason::EspFragment);
            }
            if ip.protocol == number::AH {
                return Err(DropReason::NoSaIn);
            }
            let octets = came.packet.shown()[ip.upper..].to_vec();
            let nested = came.packet.nested.take();
            let esp = Esp {
                sealed: nested.as_deref().or_else(|| book.find(&octets)),
                octets,
                outer: Front::Header(ip.clone(), came.packet.shown()[..ip.upper].to_vec()),
            };
            match self.open(esp, came.through, came.rebuilt)? {
                Step::Packet(next) => came = next,
                Step::Consumed => return Ok(Verdict::Consumed),
            }
        }
    }

    /// Opens one ESP packet (RFC 4303 §3.4).
    fn open(
        &mut self,
        mut esp: Esp<'_>,
        path: Vec<Used>,
        rebuilt: bool,
    ) -> Result<Step, DropReason> {
        let (source, destination, encapsulated) = match &esp.outer {
            Front::Facts(outer) => (
                outer.source,
                outer.destination,
                matches!(outer.encapsulation, Encapsulation::Udp { .. }),
            ),
            Front::Header(ip, _) => (ip.source, ip.destination, false),
        };
        let id = self.check(&esp.octets, source, destination, encapsulated)?;
        if path.len() == MOST_NESTED {
            return Err(DropReason::NestingTooDeep);
        }
        let sa = self.tables.sad.named(&id).expect("it was found");
        if sa.ended {
            return Err(DropReason::SaExpiredIn);
        }
        let low = packet::long(&esp.octets, 4).ok_or(DropReason::EspLength)?;
        let sequence = sa.infer(low).filter(|number| sa.is_new(*number));
        let sequence = sequence.ok_or(DropReason::Replay)?;
        if !has_room(&esp.octets, &sa.config.suite) {
            return Err(DropReason::EspLength);
        }
        let sealed = esp.sealed.filter(|sealed| sealed.opens_with(sa, sequence));
        let sealed = sealed.ok_or(DropReason::Integrity)?;
        if !sa.may_accept(sequence) {
            return Err(DropReason::UnreservedIn);
        }
        sa.seen.insert(sequence);
        let mode = sa.config.mode;
        let roams = sa.roams().then_some(sa.config.source);
        let is_newest = sa.top() == sequence;
        if let (Front::Facts(outer), Some(known)) = (&mut esp.outer, roams) {
            if is_newest {
                let seen = *outer;
                self.heard(&id, &seen);
            }
            // Wherever it is, it is who it was.
            outer.source = known;
        }
        let (next_header, payload) = payload_of(&sealed.text)?;
        let sa = self.tables.sad.named(&id).expect("it was found");
        self.told.extend(sa.count(1, payload.count(), self.now));
        if next_header == number::NONE {
            return Ok(Step::Consumed);
        }
        // KAME's rule for an SA of either mode: a packet inside was in a tunnel.
        let mode = match (mode, next_header) {
            (SaMode::Any, number::IPV4 | number::IPV6) => SaMode::Tunnel,
            (SaMode::Any, _) => SaMode::Transport,
            (said, _) => said,
        };
        let mut through = path;
        through.push((id, mode));
        let (packet, rebuilt) = match mode {
            SaMode::Transport => joined(&esp.outer, next_header, payload, rebuilt)?,
            SaMode::Tunnel | SaMode::Any => {
                let made = payload.is_made;
                (decapsulated(&esp.outer, next_header, payload)?, made)
            }
        };
        self.check_selector(&id, &packet)?;
        Ok(Step::Packet(Came {
            packet,
            through,
            rebuilt,
        }))
    }

    /// What came out of an SA must be among its own selectors (RFC 4301 §5.2 step 4).
    fn check_selector(&mut self, id: &SaId, packet: &Octets) -> Result<(), DropReason> {
        let ip = packet::read(&packet.shown()).ok_or(DropReason::InnerMalformed)?;
        let sa = self.tables.sad.named(id).expect("it was found");
        let Some(selector) = sa.config.selector.clone() else {
            return Ok(());
        };
        refuse_tiny(&ip)?;
        match matches(
            &selector,
            &self.firsts_in.complete(&ip, Traffic::of(&ip), self.now),
        ) {
            Match::Yes => Ok(()),
            Match::No => Err(DropReason::SelectorMismatch),
            Match::Hidden if ip.is_later_fragment() => Err(DropReason::FragmentNoState),
            Match::Hidden => Err(DropReason::FragmentTiny),
        }
    }

    /// Which SA it is for, and whether the header before it is one that the SA expects.
    fn check(
        &self,
        esp: &[u8],
        source: IpAddr,
        destination: IpAddr,
        encapsulated: bool,
    ) -> Result<SaId, DropReason> {
        let spi = packet::long(esp, 0).filter(|_| esp.len() >= 8);
        let spi = spi.ok_or(DropReason::EspLength)?;
        let sa: &Sa = self
            .tables
            .sad
            .find(destination, Protocol::Esp, spi)
            .ok_or(DropReason::NoSaIn)?;
        if sa.config.encapsulation.is_some() != encapsulated {
            return Err(DropReason::EncapsulationMismatch);
        }
        if sa.config.source != source && !sa.roams() {
            return Err(DropReason::OuterSource);
        }
        Ok(sa.config.id)
    }
}

/// Whether the octets can be ESP of the suite: header, IV, padded text and ICV.
fn has_room(esp: &[u8], suite: &Suite) -> bool {
    let around = 8 + suite.iv_octets() + suite.icv_octets();
    let text = esp.len().checked_sub(around);
    text.is_some_and(|text| text >= 2 && text.is_multiple_of(suite.block()))
}

/// What was sealed, without the trailer (RFC 4303 §2.4 to §2.7).
fn payload_of(text: &Text) -> Result<(u8, Octets), DropReason> {
    let raw = match text {
        Text::Carried {
            next_header,
            payload,
        } => return Ok((*next_header, payload.clone())),
        Text::Raw(raw) => raw,
    };
    let (next_header, pad_length) = match raw[..] {
        [.., pad_length, next_header] => (next_header, usize::from(pad_length)),
        _ => return Err(DropReason::EspLength),
    };
    let end = raw.len() - 2;
    let start = end.checked_sub(pad_length).ok_or(DropReason::Padding)?;
    let right = raw[start..end]
        .iter()
        .enumerate()
        .all(|(n, octet)| usize::from(*octet) == n + 1);
    match right {
        true => Ok((next_header, Octets::known(raw[..start].to_vec()))),
        false => Err(DropReason::Padding),
    }
}

/// Transport mode: the payload behind the header that came before ESP.
fn joined(
    outer: &Front,
    next_header: u8,
    payload: Octets,
    rebuilt: bool,
) -> Result<(Octets, bool), DropReason> {
    let (mut front, rebuilt) = match outer {
        Front::Facts(outer) => {
            let ends = (outer.source, outer.destination);
            let header = packet::with_header(ends, (outer.tos, outer.hop_limit, next_header), &[]);
            (header, true)
        }
        Front::Header(ip, header) => {
            let mut header = header.clone();
            // What names ESP may be the last of the extension headers.
            let named_at = names_upper(ip, &header).ok_or(DropReason::InnerMalformed)?;
            header[named_at] = next_header;
            (header, rebuilt)
        }
    };
    let length = front.len() + payload.count();
    let limit = if front[0] >> 4 == 4 { 65_535 } else { 65_575 };
    if length > limit {
        return Err(DropReason::InnerMalformed);
    }
    packet::set_length(&mut front, length);
    front.extend_from_slice(&payload.front);
    let packet = Octets { front, ..payload };
    Ok((packet, rebuilt))
}

/// Where the octet stands that names the upper-layer protocol.
fn names_upper(ip: &Ip, header: &[u8]) -> Option<usize> {
    if ip.is_v4() {
        return Some(9);
    }
    let (mut named_at, mut at) = (6, 40);
    while at < ip.upper {
        let octets = match header[named_at] {
            number::FRAGMENT => 8,
            _ => usize::from(*header.get(at + 1)?) * 8 + 8,
        };
        (named_at, at) = (at, at + octets);
    }
    Some(named_at)
}

/// Tunnel mode: the packet inside, with congestion told (RFC 6040 §4.2).
fn decapsulated(outer: &Front, next_header: u8, payload: Octets) -> Result<Octets, DropReason> {
    let outer_tos = match outer {
        Front::Facts(outer) => outer.tos,
        Front::Header(ip, _) => ip.tos,
    };
    if !matches!(next_header, number::IPV4 | number::IPV6) {
        return Err(DropReason::ModeMismatch);
    }
    let shown = payload.shown();
    let ip = packet::read(&shown).ok_or(DropReason::InnerMalformed)?;
    if ip.is_v4() != (next_header == number::IPV4) {
        return Err(DropReason::InnerMalformed);
    }
    // Octets beyond the inner length are padding for traffic flow confidentiality.
    let mut packet = payload.truncated(ip.length);
    let ecn = match (ip.tos & 3, outer_tos & 3) {
        (0, 3) => return Err(DropReason::CongestionMark),
        (0, _) => 0,
        (_, 3) => 3,
        (2, 1) => 1,
        (inner, _) => inner,
    };
    if ecn != ip.tos & 3 {
        packet::set_ecn(&mut packet.front, ecn);
    }
    Ok(packet)
}

impl Came {
    /// As it is let in.
    pub(crate) fn delivered(self) -> Delivery {
        Delivery {
            packet: self.packet,
            rebuilt: self.rebuilt,
        }
    }
}
