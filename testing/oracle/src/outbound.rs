//! The road out: policy, SAs, size, numbers, headers (RFC 4301 §5.1, §7, §8).

use std::net::IpAddr;

use sealway_core::sad::{DontFragmentRule, SaMode};
use sealway_core::spd::{Action, Direction, Level, Mode, Template};
use sealway_core::{DefaultAction, DropReason};
use sealway_packet::{DontFragment, Encapsulation, Outer};

use crate::book::{Octets, Sealed, Text};
use crate::fragments::{Put, refuse_tiny};
use crate::packet::{self, Ip, Words, fixed_header, number};
use crate::policy::{Found, Match, Traffic, matches};
use crate::sa::{Keys, Sa, Used};
use crate::size;
use crate::{Oracle, Outcome, Told, Verdict};

/// The most octets of headers that stay before a transport-mode ESP header. No rule of a standard:
/// the engine has a place of this size for them.
const MOST_HEADERS: usize = 256;

/// What leaves, and how.
#[derive(Clone, Debug)]
pub struct Sending {
    /// By which way.
    pub way: Way,
    /// One after the other.
    pub segments: Vec<Octets>,
}

/// The way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// By the clear device.
    Clear,
    /// Sockets write the outermost header.
    Payload(Outer),
    /// With the outermost header, which says the same.
    Whole(Outer),
}

impl Oracle {
    /// What becomes of a packet from the inside.
    pub fn output(&mut self, octets: &[u8]) -> Outcome {
        let mut told = None;
        let verdict = match self.send(octets, &mut told) {
            Ok(verdict) => verdict,
            Err(reason) => Verdict::Dropped(reason),
        };
        Outcome { verdict, told }
    }

    fn send(&mut self, octets: &[u8], told: &mut Option<Told>) -> Result<Verdict, DropReason> {
        if self.tables.passes_everything() {
            return self.bypass(octets);
        }
        let ip = packet::read(octets).ok_or(DropReason::Malformed)?;
        let octets = &octets[..ip.length];
        refuse_tiny(&ip)?;
        let traffic = self.firsts_out.complete(&ip, Traffic::of(&ip), self.now);
        let templates = match self.tables.spd.find(Direction::Out, &traffic) {
            Found::Hidden if ip.is_later_fragment() => return Err(DropReason::FragmentNoState),
            Found::Hidden => return Err(DropReason::FragmentTiny),
            Found::None if self.tables.default == DefaultAction::Bypass => Vec::new(),
            Found::None if is_link_talk(&ip) => return Err(DropReason::LinkLocal),
            Found::None => return Err(DropReason::NoPolicyOut),
            Found::Policy(policy) => match &policy.action {
                Action::Discard => return Err(DropReason::PolicyDiscardOut),
                Action::Bypass => Vec::new(),
                Action::Protect(templates) => templates.clone(),
            },
        };
        let sas = self.resolve(&ip, &traffic, &templates)?;
        if sas.is_empty() {
            return self.bypass(octets);
        }
        if ip.is_fragment() && self.sa(&sas[0]).config.mode == SaMode::Transport {
            return match self.reassembly.put(&ip, octets, self.now)? {
                Put::Waiting => Ok(Verdict::Consumed),
                Put::Whole(datagram) => {
                    let ip = packet::read(&datagram).ok_or(DropReason::Malformed)?;
                    let sas = self.resolve(&ip, &Traffic::of(&ip), &templates)?;
                    self.protect(&ip, &datagram, &sas, Origin::Reassembled, told)
                }
            };
        }
        self.protect(&ip, octets, &sas, Origin::Read, told)
    }

    fn bypass(&self, octets: &[u8]) -> Result<Verdict, DropReason> {
        match self.has_clear_device {
            true => Ok(Verdict::Sent(Sending {
                way: Way::Clear,
                segments: vec![Octets::known(octets.to_vec())],
            })),
            false => Err(DropReason::BypassRefused),
        }
    }

    fn sa(&self, used: &Used) -> Sa {
        self.tables.sad.used(used).expect("it was resolved")
    }

    /// The newest SA for each template; none where `use` does without.
    fn resolve(
        &self,
        ip: &Ip,
        traffic: &Traffic,
        templates: &[Template],
    ) -> Result<Vec<Used>, DropReason> {
        let mut chosen = Vec::new();
        let (mut ends, mut traffic) = ((ip.source, ip.destination), *traffic);
        for template in templates {
            let serving = self.tables.sad.list.iter().filter(|sa| {
                let selector = sa.config.selector.as_ref();
                serves(sa, template, ends)
                    && selector.is_none_or(|selector| matches(selector, &traffic) == Match::Yes)
            });
            match serving.max_by_key(|sa| sa.age) {
                Some(sa) => {
                    chosen.push((sa.config.id, mode_of(template)));
                    if let Mode::Tunnel {
                        source,
                        destination,
                    } = template.mode
                    {
                        ends = (source, destination);
                    }
                    let sends = sa.sends.filter(|_| sa.config.encapsulation.is_some());
                    ends.1 = sends.map_or(ends.1, |peer| peer.ip());
                    // What the next SA carries is the packet that this one makes.
                    let (protocol, words) = match sa.config.encapsulation {
                        None => (number::ESP, Words::None),
                        Some(ports) => {
                            let port = sends.map_or(ports.destination, |peer| peer.port());
                            (number::UDP, Words::Known(ports.source, port))
                        }
                    };
                    traffic = Traffic {
                        source: ends.0,
                        destination: ends.1,
                        protocol,
                        words,
                    };
                }
                None if template.level == Level::Use => {}
                None => return Err(DropReason::NoSaOut),
            }
        }
        Ok(chosen)
    }

    /// Sizes the packet, takes the numbers and seals.
    fn protect(
        &mut self,
        ip: &Ip,
        octets: &[u8],
        ids: &[Used],
        origin: Origin,
        told: &mut Option<Told>,
    ) -> Result<Verdict, DropReason> {
        let fitted = self.fit(ip, octets, ids, origin);
        let Fitted { pieces, outer } = match fitted {
            Ok(fitted) => fitted,
            Err(mtu) => {
                *told = too_big(ip, octets, mtu);
                return Err(DropReason::TooBig);
            }
        };
        if self.sa(&ids[0]).ended {
            return Err(DropReason::SaExpiredOut);
        }
        let transport = self.sa(&ids[0]).config.mode == SaMode::Transport;
        if transport && !ip.has_plain_header() && ip.protect_at > MOST_HEADERS {
            return Err(DropReason::NoBuffer);
        }
        let sas: Vec<Sa> = ids.iter().map(|id| self.sa(id)).collect();
        let unnumbered: Vec<(&Sa, u64)> = sas.iter().map(|sa| (sa, 0)).collect();
        let mut octets = vec![0; sas.len()];
        for piece in &pieces {
            seal(
                Octets::known(piece.clone()),
                &unnumbered,
                outer,
                &mut octets,
            );
        }
        let mut firsts = Vec::new();
        for ((id, _), octets) in ids.iter().zip(octets) {
            let sa = self.tables.sad.named(id).expect("it was resolved");
            if sa.ended {
                return Err(DropReason::SaExpiredOut);
            }
            if !sa.may_send(pieces.len() as u64) {
                return Err(DropReason::UnreservedOut);
            }
            let first = sa.take(pieces.len() as u64);
            firsts.push(first.ok_or(DropReason::SequenceExhausted)?);
            self.told.extend(sa.count(pieces.len(), octets, self.now));
        }
        let mut way = Way::Clear;
        let mut segments = Vec::new();
        for (index, piece) in pieces.into_iter().enumerate() {
            let numbers = firsts.iter().map(|first| first + index as u64);
            let steps: Vec<(&Sa, u64)> = sas.iter().zip(numbers).collect();
            let mut octets = vec![0; steps.len()];
            let piece = Octets::known(piece);
            let (segment_way, segment) = seal(piece, &steps, outer, &mut octets);
            way = segment_way;
            segments.push(segment);
        }
        Ok(Verdict::Sent(Sending { way, segments }))
    }

    /// Cuts the packet to what the path takes; the figure to tell the sender where that cannot be.
    fn fit(&self, ip: &Ip, octets: &[u8], ids: &[Used], origin: Origin) -> Result<Fitted, usize> {
        let sas: Vec<Sa> = ids.iter().map(|id| self.sa(id)).collect();
        let sas: Vec<&Sa> = sas.iter().collect();
        let names_an_end = |sa: &&&Sa| sa.config.mode == SaMode::Tunnel || sa.sends.is_some();
        let destination = sas.iter().rfind(names_an_end).map_or(ip.destination, |sa| {
            sa.sends.map_or(sa.config.id.destination, |peer| peer.ip())
        });
        let mtu = usize::from(self.tables.mtu(destination));
        let usual = match self.tables.is_narrow(destination) {
            true => Outside::MayBeFragmented,
            false => Outside::AsItIs,
        };
        let whole = |outer| {
            Ok(Fitted {
                pieces: vec![octets.to_vec()],
                outer,
            })
        };
        let figure = size::largest(ip, &sas, mtu);
        if ip.length <= figure && origin == Origin::Read {
            return whole(usual);
        }
        let tunnel_first = sas[0].config.mode == SaMode::Tunnel;
        let told = figure.max(size::least_mtu(ip.source));
        match (ip.dont_fragment, tunnel_first) {
            _ if origin == Origin::Reassembled => whole(Outside::MayBeFragmented),
            (false, true) => Ok(Fitted {
                pieces: split(ip, octets, figure),
                outer: usual,
            }),
            (false, false) => whole(Outside::MayBeFragmented),
            (true, _) if ip.length <= told => whole(Outside::MayBeFragmented),
            (true, _) => Err(told),
        }
    }
}

/// Whether a packet came as it is or was put together here.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    Read,
    Reassembled,
}

struct Fitted {
    pieces: Vec<Vec<u8>>,
    outer: Outside,
}

/// What the outermost Don't Fragment bit may be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outside {
    /// What packet and SA say.
    AsItIs,
    /// Clear: the path may be too narrow.
    MayBeFragmented,
}

/// What a link says to itself, and no router passes on: router solicitations, listener reports and
/// the like (RFC 4291 §2.5.6, §2.7; RFC 5771 §4).
fn is_link_talk(ip: &Ip) -> bool {
    match ip.destination {
        IpAddr::V4(v4) => v4.octets()[..3] == [224, 0, 0],
        IpAddr::V6(v6) => {
            let is_narrow_multicast = v6.is_multicast() && v6.octets()[1] & 0xf <= 2;
            v6.is_unicast_link_local() || is_narrow_multicast
        }
    }
}

/// Whether the SA is what the template asks for between these ends.
fn serves(sa: &Sa, template: &Template, ends: (IpAddr, IpAddr)) -> bool {
    let config = &sa.config;
    let (source, destination) = match template.mode {
        Mode::Transport => ends,
        Mode::Tunnel {
            source,
            destination,
        } => (source, destination),
    };
    config.id.protocol == template.protocol
        && [mode_of(template), SaMode::Any].contains(&config.mode)
        && (config.source, config.id.destination) == (source, destination)
        && has_reqid(template, config.reqid)
}

/// How an SA that serves the template is used.
pub(crate) fn mode_of(template: &Template) -> SaMode {
    match template.mode {
        Mode::Transport => SaMode::Transport,
        Mode::Tunnel { .. } => SaMode::Tunnel,
    }
}

/// Whether the request identifier is one that the template takes; `unique` takes its own only.
pub(crate) fn has_reqid(template: &Template, reqid: u32) -> bool {
    match template.reqid {
        Some(own) => own == reqid,
        None => template.level != Level::Unique,
    }
}

/// Applies SAs one after the other, and adds up what each protects.
fn seal(
    packet: Octets,
    steps: &[(&Sa, u64)],
    outside: Outside,
    octets: &mut [usize],
) -> (Way, Octets) {
    let mut packet = packet;
    for (index, (sa, sequence)) in steps.iter().enumerate() {
        let is_last = index + 1 == steps.len();
        let shown = packet.shown();
        let ip = packet::read(&shown).expect("it was read or made before");
        let (at, next_header) = match sa.config.mode {
            SaMode::Transport => (ip.protect_at, shown[ip.named_at]),
            SaMode::Tunnel if ip.is_v4() => (0, number::IPV4),
            SaMode::Tunnel | SaMode::Any => (0, number::IPV6),
        };
        let payload = packet.from(at);
        octets[index] += payload.count();
        let sealed = Sealed {
            keys: Keys::of(&sa.config),
            spi: sa.config.id.spi.value(),
            sequence: *sequence,
            extended: sa.is_extended(),
            octets: sa.esp_octets(payload.count()),
            text: Text::Carried {
                next_header,
                payload,
            },
        };
        let mut outer = facts(sa, &ip);
        if is_last && outside == Outside::MayBeFragmented {
            outer.dont_fragment = DontFragment::Clear;
        }
        // Options do not go with ESP in UDP: the socket's own header replaces them.
        let in_udp = sa.config.encapsulation.is_some();
        let plain = sa.config.mode == SaMode::Tunnel || ip.has_plain_header() || in_udp;
        if is_last && plain {
            return (Way::Payload(outer), Octets::sealed(sealed));
        }
        packet = match plain {
            true => made(&outer, sealed),
            false => kept(&shown[..at], ip.named_at, sealed),
        };
        if is_last {
            return (Way::Whole(outer), packet);
        }
    }
    (Way::Clear, packet)
}

/// The header before ESP, as data.
fn facts(sa: &Sa, ip: &Ip) -> Outer {
    let encapsulation = match sa.config.encapsulation {
        None => Encapsulation::Esp,
        Some(ports) => Encapsulation::Udp {
            source: ports.source,
            destination: sa.sends.map_or(ports.destination, |peer| peer.port()),
        },
    };
    let copied = match ip.dont_fragment {
        true => DontFragment::Set,
        false => DontFragment::Clear,
    };
    let (ends, hop_limit, dont_fragment) = match sa.config.mode {
        SaMode::Transport => ((ip.source, ip.destination), ip.hop_limit, copied),
        SaMode::Tunnel | SaMode::Any => {
            let bit = match sa.config.dont_fragment {
                DontFragmentRule::Copy => copied,
                DontFragmentRule::Set => DontFragment::Set,
                DontFragmentRule::Clear => DontFragment::Clear,
            };
            ((sa.config.source, sa.config.id.destination), 64, bit)
        }
    };
    Outer {
        source: ends.0,
        destination: sa.sends.map_or(ends.1, |peer| peer.ip()),
        interface: 0,
        tos: ip.tos,
        hop_limit,
        dont_fragment,
        encapsulation,
    }
}

/// A packet around what was sealed, with a header made of facts.
fn made(outer: &Outer, sealed: Sealed) -> Octets {
    let (protocol, udp) = match outer.encapsulation {
        Encapsulation::Udp {
            source,
            destination,
        } => {
            let length = (8 + sealed.octets) as u16;
            let fields = [source, destination, length, 0].map(u16::to_be_bytes);
            (number::UDP, fields.concat())
        }
        Encapsulation::Esp | Encapsulation::Ah => (number::ESP, Vec::new()),
    };
    let ends = (outer.source, outer.destination);
    let mut front = packet::with_header(ends, (outer.tos, outer.hop_limit, protocol), &[]);
    if outer.source.is_ipv4() && outer.dont_fragment == DontFragment::Set {
        front[6] |= 0x40;
    }
    front.extend(udp);
    let length = front.len() + sealed.octets;
    packet::set_length(&mut front, length);
    Octets {
        front,
        is_made: true,
        ..Octets::sealed(sealed)
    }
}

/// A packet around what was sealed, with the header that the packet had.
fn kept(header: &[u8], named_at: usize, sealed: Sealed) -> Octets {
    let mut front = header.to_vec();
    front[named_at] = number::ESP;
    let length = front.len() + sealed.octets;
    packet::set_length(&mut front, length);
    Octets {
        front,
        ..Octets::sealed(sealed)
    }
}

/// Fragments an IPv4 packet (RFC 791 §3.2).
fn split(ip: &Ip, octets: &[u8], mtu: usize) -> Vec<Vec<u8>> {
    let (header, data) = octets.split_at(ip.upper);
    let step = (mtu - ip.upper) & !7;
    let (offset, more) = ip
        .fragment
        .map_or((0, false), |part| (part.offset, part.more));
    let mut pieces = Vec::new();
    for (index, piece) in data.chunks(step).enumerate() {
        let is_last = (index + 1) * step >= data.len();
        let at = offset + index * step;
        let mut packet = match at {
            0 => header.to_vec(),
            _ => copied_options(header),
        };
        let more = if is_last && !more { 0 } else { 0x2000 };
        let kept = packet::word(header, 6).unwrap_or(0) & 0xc000;
        let bits = kept | more | (at / 8) as u16;
        packet[6..8].copy_from_slice(&bits.to_be_bytes());
        packet.extend_from_slice(piece);
        packet::fix_length(&mut packet);
        pieces.push(packet);
    }
    pieces
}

/// The header of a later fragment: options without the copied flag become No Operation.
fn copied_options(header: &[u8]) -> Vec<u8> {
    let mut header = header.to_vec();
    let mut at = fixed_header(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED));
    while at < header.len() {
        let kind = header[at];
        let length = match kind {
            0 => break,
            1 => 1,
            _ => match header.get(at + 1) {
                Some(length @ 2..) => usize::from(*length),
                _ => break,
            },
        };
        if at + length > header.len() {
            break;
        }
        if kind & 0x80 == 0 {
            header[at..at + length].fill(1);
        }
        at += length;
    }
    header
}

/// Whom an ICMP error would tell, unless nobody may be told (RFC 1122 §3.2.2, RFC 4443 §2.4).
fn too_big(ip: &Ip, octets: &[u8], mtu: usize) -> Option<Told> {
    let source_is_one_host = match ip.source {
        IpAddr::V4(v4) => !matches!(v4.octets()[0], 0 | 127 | 224..),
        IpAddr::V6(v6) => !(v6.is_multicast() || v6.is_unspecified()),
    };
    let destination_is_many = match ip.destination {
        IpAddr::V4(v4) => v4.is_multicast() || v4.is_broadcast(),
        // RFC 4443 §2.4 (e.3) would allow it; but the error comes from the destination.
        IpAddr::V6(v6) => v6.is_multicast(),
    };
    let is_error = match (ip.protocol, ip.words) {
        (number::ICMP, Words::Known(kind, _)) => matches!(kind, 3 | 4 | 5 | 11 | 12),
        (number::ICMPV6, Words::Known(kind, _)) => kind < 128,
        _ => false,
    };
    let silent = !source_is_one_host || destination_is_many || is_error || ip.is_later_fragment();
    (!silent).then(|| Told {
        to: ip.source,
        mtu,
        quoted: octets.to_vec(),
    })
}
