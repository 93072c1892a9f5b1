//! Fragments that are no honest part of any datagram. Inbound, the peer's kernel forwards them
//! into its tunnel, and our policy needs ports that they do not have; outbound, they stand before
//! our transport mode, which puts datagrams together before it protects them.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::Scene;
use super::run::Bench;
use crate::fault::Fault;
use crate::frame::EspFrame;
use crate::link::{End, Family, INSIDE};
use crate::row::Row;
use crate::site::{Encapsulation, Mode, Upper};
use crate::station::Station;

/// IP's number of TCP, and of IPv6's fragment header.
const TCP: u8 = 6;
const FRAGMENT: u8 = 44;
/// The port of the policy that needs ports.
const PORT: u16 = 7;

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
        ];
        let of_family = |family| games.map(|game| Fragments { family, game });
        Family::ALL.into_iter().flat_map(of_family).collect()
    }

    /// What our end must count.
    pub fn fault(&self) -> Fault {
        match self.game {
            Game::NoFirst => Fault::FragmentNoState,
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
                self.outbound(bench, number, &[self.fragment(End::Ours, 0, &TCP_START)])
            }
            Game::OverlapOut => {
                let pieces = [
                    self.fragment(End::Ours, 0, &[7; 64]),
                    self.fragment(End::Ours, 32, &[9; 64]),
                ];
                self.outbound(bench, number, &pieces)
            }
        }
    }

    /// The peer's kernel forwards the fragment into its tunnel; our policy is for one port.
    fn inbound(&self, bench: &Bench<'_>, number: u32, fragment: &[u8]) -> Result<()> {
        let scene = Scene {
            family: self.family,
            mode: Mode::Tunnel,
            encapsulation: Encapsulation::None,
        };
        let right = scene.row().context("there is no such suite")?.site(number);
        let mut ours = right.clone();
        ours.policies
            .iter_mut()
            .for_each(|policy| policy.upper = Upper::Tcp(PORT));
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
    fn outbound(&self, bench: &Bench<'_>, number: u32, fragments: &[Vec<u8>]) -> Result<()> {
        let scene = Scene {
            family: self.family,
            mode: Mode::Transport,
            encapsulation: Encapsulation::None,
        };
        let right = scene.row().context("there is no such suite")?.site(number);
        bench.ours.apply(&right).context("our end")?;
        bench.peer.apply(&right).context("the peer")?;
        let mut held = bench.link.hold()?;
        let (last, others) = fragments.split_last().context("there is no fragment")?;
        for fragment in others {
            send_inside(bench.ours, fragment)?;
        }
        bench.counted(self.fault(), || send_inside(bench.ours, last))?;
        ensure!(held.ours_is_silent()?, "something left for the peer");
        Ok(())
    }

    /// A fragment with more to come, from a host behind the peer to ours, or between the ends themselves.
    fn fragment(&self, from: End, offset: u16, data: &[u8]) -> Vec<u8> {
        let addresses = match from {
            End::Peer => (from.behind(self.family), End::Ours.inner(self.family)),
            End::Ours => (from.outer(self.family), End::Peer.outer(self.family)),
        };
        let units = offset / 8;
        match addresses {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let length = (20 + data.len() as u16).to_be_bytes();
                let place = (0x2000 | units).to_be_bytes();
                let mut packet = vec![
                    0x45, 0, length[0], length[1], 0x12, 0x34, place[0], place[1], 64, TCP, 0, 0,
                ];
                packet.extend([source.octets(), destination.octets()].concat());
                let sum = crate::frame::checksum(&packet, 0).to_be_bytes();
                packet[10..12].copy_from_slice(&sum);
                [&packet, data].concat()
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let length = (8 + data.len() as u16).to_be_bytes();
                let place = (units << 3 | 1).to_be_bytes();
                let mut packet = vec![0x60, 0, 0, 0, length[0], length[1], FRAGMENT, 64];
                packet.extend([source.octets(), destination.octets()].concat());
                packet.extend([TCP, 0, place[0], place[1], 0, 0, 0x12, 0x34]);
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
        };
        write!(f, "refused: {game}, {}", self.family)
    }
}
