//! Fragments that are no honest part of any datagram. Inbound, the peer's kernel forwards them
//! into its tunnel, and our policy needs ports that they do not have; outbound, they stand before
//! our transport mode, which puts datagrams together before it protects them.

use std::fmt;
use std::net::IpAddr;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::Scene;
use super::run::Bench;
use crate::fault::Fault;
use crate::frame::EspFrame;
use crate::link::{End, Family, INSIDE};
use crate::row::Row;
use crate::site::{Encapsulation, Mode, Site, Upper};
use crate::station::Station;

/// IP's numbers of TCP, of UDP, and of IPv6's fragment header.
const TCP: u8 = 6;
const UDP: u8 = 17;
const FRAGMENT: u8 = 44;
/// The port of the policy that needs ports.
const PORT: u16 = 7;
/// Octets of UDP in a fragment.
const PIECE: usize = 1000;
/// How long a datagram may take.
const ARRIVAL: Duration = Duration::from_secs(10);

/// Whether a fragment is not its datagram's last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum More {
    Yes,
    No,
}

/// What the fragments do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Game {
    /// From the peer: a fragment whose first never came.
    NoFirst,
    /// From the peer: a first fragment with eight octets of TCP.
    TinyFirst,
    /// From our inside: a first fragment with eight octets of TCP.
    TinyFirstOut,
    /// From our inside: two fragments that overlap.
    OverlapOut,
    /// From our inside, to a policy that needs ports: a fragment whose first never came.
    NoFirstOut,
    /// From the peer: a whole datagram in fragments, whose first shows the ports for all.
    Whole,
}

/// A row with such fragments.
#[derive(Clone, Copy, Debug)]
pub struct Fragments {
    /// Their family.
    pub family: Family,
    /// What they do.
    pub game: Game,
}

impl Fragments {
    /// Every row.
    pub fn rows() -> Vec<Self> {
        let games = [
            Game::NoFirst,
            Game::TinyFirst,
            Game::TinyFirstOut,
            Game::OverlapOut,
            Game::NoFirstOut,
            Game::Whole,
        ];
        let of_family = |family| games.map(|game| Fragments { family, game });
        Family::ALL.into_iter().flat_map(of_family).collect()
    }

    /// What our end must look for; where nothing is wrong, what it would find without the first.
    pub fn fault(&self) -> Fault {
        match self.game {
            Game::NoFirst | Game::NoFirstOut | Game::Whole => Fault::FragmentNoState,
            Game::TinyFirst | Game::TinyFirstOut => Fault::FragmentTiny,
            Game::OverlapOut => Fault::FragmentOverlap,
        }
    }

    /// Runs a row.
    ///
    /// # Errors
    /// With what passed, or was not counted as it should be.
    pub fn run(&self, bench: &Bench<'_>, number: u32) -> Result<()> {
        match self.game {
            Game::NoFirst => self.inbound(bench, number, &self.fragment(End::Peer, 64, &[7; 32])),
            Game::TinyFirst => {
                self.inbound(bench, number, &self.fragment(End::Peer, 0, &TCP_START))
            }
            Game::TinyFirstOut => {
                let pieces = [self.fragment(End::Ours, 0, &TCP_START)];
                self.outbound(bench, &self.site(Mode::Transport, number)?, &pieces)
            }
            Game::OverlapOut => {
                let pieces = [
                    self.fragment(End::Ours, 0, &[7; 64]),
                    self.fragment(End::Ours, 32, &[9; 64]),
                ];
                self.outbound(bench, &self.site(Mode::Transport, number)?, &pieces)
            }
            Game::NoFirstOut => {
                let pieces = [self.fragment(End::Ours, 64, &[7; 32])];
                let site = with_port(&self.site(Mode::Tunnel, number)?, Upper::Tcp(PORT));
                self.outbound(bench, &site, &pieces)
            }
            Game::Whole => self.whole(bench, number),
        }
    }

    /// What both ends should be told.
    fn site(&self, mode: Mode, number: u32) -> Result<Site> {
        let scene = Scene {
            family: self.family,
            mode,
            encapsulation: Encapsulation::None,
        };
        Ok(scene.row().context("there is no such suite")?.site(number))
    }

    /// The peer's kernel forwards three fragments into its tunnel; our policy is for the port that
    /// the first of them shows, and nobody listens there, which our host counts once it has all.
    fn whole(&self, bench: &Bench<'_>, number: u32) -> Result<()> {
        let right = self.site(Mode::Tunnel, number)?;
        bench
            .ours
            .apply(&with_port(&right, Upper::Udp(PORT)))
            .context("our end")?;
        bench.peer.apply(&right).context("the peer")?;
        let mut held = bench.link.hold()?;
        let before = unheard(bench.ours)?;
        let datagram = self.datagram();
        let pieces = datagram.chunks(PIECE);
        let last = pieces.len() - 1;
        let spi = Row::spi(End::Peer, number);
        for (index, data) in pieces.enumerate() {
            let more = if index == last { More::No } else { More::Yes };
            let piece = self.piece(End::Peer, UDP, (index * PIECE) as u16, more, data);
            held.inject_to_peer(&self.frame(&piece))?;
            let frame =
                held.catch(|octets| EspFrame::parse(octets).filter(|frame| frame.spi() == spi))?;
            held.inject(frame.octets())?;
        }
        let limit = Instant::now() + ARRIVAL;
        while unheard(bench.ours)? == before {
            ensure!(Instant::now() < limit, "the datagram has not come");
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// A UDP datagram to [`PORT`].
    fn datagram(&self) -> Vec<u8> {
        let length = (8 + 2 * PIECE + 100) as u16;
        let mut datagram = vec![0x30, 0x39, 0, PORT as u8];
        datagram.extend(length.to_be_bytes());
        datagram.extend([0; 2]);
        datagram.resize(length.into(), 7);
        let octets = |address: IpAddr| match address {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        };
        let (source, destination) = self.addresses(End::Peer);
        let pseudo = [octets(source), octets(destination)].concat();
        let pseudo = crate::frame::sum(&pseudo) + u32::from(length) + u32::from(UDP);
        let sum = crate::frame::checksum(&datagram, pseudo).to_be_bytes();
        datagram[6..8].copy_from_slice(&sum);
        datagram
    }

    /// The peer's kernel forwards the fragment into its tunnel; our policy is for one port.
    fn inbound(&self, bench: &Bench<'_>, number: u32, fragment: &[u8]) -> Result<()> {
        let right = self.site(Mode::Tunnel, number)?;
        let ours = with_port(&right, Upper::Tcp(PORT));
        bench.ours.apply(&ours).context("our end")?;
        bench.peer.apply(&right).context("the peer")?;
        let mut held = bench.link.hold()?;
        held.inject_to_peer(&self.frame(fragment))?;
        let spi = Row::spi(End::Peer, number);
        let frame =
            held.catch(|octets| EspFrame::parse(octets).filter(|frame| frame.spi() == spi))?;
        bench.refused(&held, frame.octets(), self.fault())
    }

    /// The fragments are read from our inside device; the last is refused, none leaves.
    fn outbound(&self, bench: &Bench<'_>, site: &Site, fragments: &[Vec<u8>]) -> Result<()> {
        bench.ours.apply(site).context("our end")?;
        bench.peer.apply(site).context("the peer")?;
        let mut held = bench.link.hold()?;
        let (last, others) = fragments.split_last().context("there is no fragment")?;
        for fragment in others {
            send_inside(bench.ours, fragment)?;
        }
        bench.counted(self.fault(), || send_inside(bench.ours, last))?;
        ensure!(held.ours_is_silent()?, "something left for the peer");
        Ok(())
    }

    /// From a host behind the peer to ours, from ours to the peer's, or between the ends themselves.
    fn addresses(&self, from: End) -> (IpAddr, IpAddr) {
        match (from, self.game) {
            (End::Peer, _) => (from.behind(self.family), End::Ours.inner(self.family)),
            (End::Ours, Game::NoFirstOut) => {
                (from.inner(self.family), End::Peer.inner(self.family))
            }
            (End::Ours, _) => (from.outer(self.family), End::Peer.outer(self.family)),
        }
    }

    /// A fragment of TCP with more to come.
    fn fragment(&self, from: End, offset: u16, data: &[u8]) -> Vec<u8> {
        self.piece(from, TCP, offset, More::Yes, data)
    }

    fn piece(&self, from: End, protocol: u8, offset: u16, more: More, data: &[u8]) -> Vec<u8> {
        let units = offset / 8;
        let more = u16::from(more == More::Yes);
        match self.addresses(from) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let length = (20 + data.len() as u16).to_be_bytes();
                let place = (more << 13 | units).to_be_bytes();
                let mut packet = vec![
                    0x45, 0, length[0], length[1], 0x12, 0x34, place[0], place[1], 64, protocol, 0,
                    0,
                ];
                packet.extend([source.octets(), destination.octets()].concat());
                let sum = crate::frame::checksum(&packet, 0).to_be_bytes();
                packet[10..12].copy_from_slice(&sum);
                [&packet, data].concat()
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let length = (8 + data.len() as u16).to_be_bytes();
                let place = (units << 3 | more).to_be_bytes();
                let mut packet = vec![0x60, 0, 0, 0, length[0], length[1], FRAGMENT, 64];
                packet.extend([source.octets(), destination.octets()].concat());
                packet.extend([protocol, 0, place[0], place[1], 0, 0, 0x12, 0x34]);
                [&packet, data].concat()
            }
            _ => Vec::new(),
        }
    }

    /// The packet in a frame for the peer's kernel, to be forwarded.
    fn frame(&self, packet: &[u8]) -> Vec<u8> {
        let kind: [u8; 2] = match self.family {
            Family::V4 => [0x08, 0x00],
            Family::V6 => [0x86, 0xdd],
        };
        [
            &End::Peer.mac_octets()[..],
            &[2, 0, 0, 0, 0, 9],
            &kind,
            packet,
        ]
        .concat()
    }
}

/// The first octets of a TCP header: to [`PORT`].
const TCP_START: [u8; 8] = [0x30, 0x39, 0, PORT as u8, 0, 0, 0, 1];

/// The site with policies for this port only.
fn with_port(site: &Site, upper: Upper) -> Site {
    let mut site = site.clone();
    for policy in &mut site.policies {
        policy.upper = upper;
    }
    site
}

/// How many datagrams, of either family, have come to ports where nobody listens.
fn unheard(host: &dyn Station) -> Result<u64> {
    let script = "grep ^Udp: /proc/net/snmp | cut -d ' ' -f 3 | tail -n 1
        grep Udp6NoPorts /proc/net/snmp6 | tr -dc '0-9\n' | sed s/^6//";
    let output = host.sh(script, Duration::from_secs(5))?.ok()?;
    let counts = output.lines().map(|line| line.trim().parse::<u64>());
    let counts: Vec<u64> = counts.collect::<Result<_, _>>()?;
    ensure!(counts.len() == 2, "cannot read UDP's counters: {output}");
    Ok(counts.iter().sum())
}

/// Puts a packet before our inside device's reader.
fn send_inside(ours: &dyn Station, packet: &[u8]) -> Result<()> {
    let digits: String = packet
        .iter()
        .map(|octet| format!("\\{octet:03o}"))
        .collect();
    let script = format!("printf '{digits}' | socat -u STDIN INTERFACE:{INSIDE}");
    ours.sh(&script, Duration::from_secs(5))?
        .ok()
        .context("cannot inject on the inside device")?;
    Ok(())
}

impl fmt::Display for Fragments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let game = match self.game {
            Game::NoFirst => "fragment without its first",
            Game::TinyFirst => "tiny first fragment",
            Game::TinyFirstOut => "tiny first fragment from inside",
            Game::OverlapOut => "overlapping fragments from inside",
            Game::NoFirstOut => "fragment without its first from inside",
            Game::Whole => return write!(f, "fragments behind their first, {}", self.family),
        };
        write!(f, "refused: {game}, {}", self.family)
    }
}
