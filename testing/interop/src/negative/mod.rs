//! The rows of `interop linux` in which nothing may arrive: the peer is a real kernel, its packets
//! are caught on the link, spoiled, and given to our end. Each row also shows that the packet as
//! it was, or the peer as it should be, is let in: what was refused was refused for its fault.

mod fragments;
mod run;

use std::fmt;

pub use fragments::{Fragments, Game};
pub use run::Bench;

use crate::fault::Fault;
use crate::frame::{Part, Shape};
use crate::link::{End, Family};
use crate::row::{Row, Selectors};
use crate::site::{Encapsulation, Mode, Sequence, Site, Upper};
use crate::suite::{self, Suite};

/// Where a negative row takes place.
#[derive(Clone, Copy, Debug)]
pub struct Scene {
    /// Of the packet, inside and outside.
    pub family: Family,
    /// Transport or tunnel.
    pub mode: Mode,
    /// None or UDP.
    pub encapsulation: Encapsulation,
}

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attack {
    /// The same packet again.
    Replayed,
    /// One bit of it is flipped.
    Flipped(Part),
    /// It ends behind the IV.
    CutBehindIv,
    /// Its last 16 octets are missing.
    CutShort,
    /// The peer's keys are others.
    WrongKey,
    /// The SPI is another.
    WrongSpi,
    /// The peer does not protect it.
    InTheClear,
    /// The SA is right, the policy does not let such packets in.
    OutsidePolicy,
    /// The SA is right, and limited to other packets.
    OutsideSelector,
    /// The tunnel's source is another.
    TunnelSource,
    /// UDP encapsulation is there, or missing, against the agreement.
    WrongEncapsulation,
}

/// A row in which a packet of the peer must be refused.
#[derive(Clone, Copy, Debug)]
pub struct Negative {
    /// Where.
    pub scene: Scene,
    /// What is wrong.
    pub attack: Attack,
}

/// Every row with a spoiled packet.
pub fn rows() -> Vec<Negative> {
    let parts = [Part::Sequence, Part::Iv, Part::Text, Part::Icv];
    let mut attacks = vec![Attack::Replayed];
    attacks.extend(parts.map(Attack::Flipped));
    attacks.extend([
        Attack::CutBehindIv,
        Attack::CutShort,
        Attack::WrongKey,
        Attack::WrongSpi,
        Attack::InTheClear,
        Attack::OutsidePolicy,
        Attack::OutsideSelector,
        Attack::TunnelSource,
        Attack::WrongEncapsulation,
    ]);
    let in_scene = |scene: Scene| {
        let applies =
            move |attack: &Attack| *attack != Attack::TunnelSource || scene.mode == Mode::Tunnel;
        attacks
            .clone()
            .into_iter()
            .filter(applies)
            .map(move |attack| Negative { scene, attack })
    };
    scenes().into_iter().flat_map(in_scene).collect()
}

fn scenes() -> Vec<Scene> {
    let mut scenes = Vec::new();
    for mode in [Mode::Tunnel, Mode::Transport] {
        for family in Family::ALL {
            for encapsulation in [Encapsulation::None, Encapsulation::Udp] {
                scenes.push(Scene {
                    family,
                    mode,
                    encapsulation,
                });
            }
        }
    }
    scenes
}

impl Scene {
    /// A combined suite in half of the scenes, cipher and HMAC in the others.
    fn suite(&self) -> Option<Suite> {
        let name = match (self.family, self.encapsulation) {
            (Family::V4, Encapsulation::None) | (Family::V6, Encapsulation::Udp) => {
                "aes-128-gcm-16"
            }
            _ => "aes-128-cbc+hmac-sha2-256",
        };
        suite::all()
            .into_iter()
            .find(|suite| suite.to_string() == name)
    }

    /// The lengths of that suite's fields.
    fn shape(&self) -> Shape {
        match self.suite() {
            Some(Suite {
                integrity: None, ..
            }) => Shape { iv: 8, icv: 16 },
            _ => Shape { iv: 16, icv: 16 },
        }
    }

    /// The row that this scene is when nothing is wrong; the peer begins.
    fn row(&self) -> Option<Row> {
        Some(Row {
            suite: self.suite()?,
            mode: self.mode,
            inner: self.family,
            outer: self.family,
            encapsulation: self.encapsulation,
            sequence: Sequence::Short,
            initiator: End::Peer,
            selectors: match self.mode {
                Mode::Transport => Selectors::Hosts,
                Mode::Tunnel => Selectors::Networks,
            },
        })
    }
}

impl Attack {
    /// What our end must count.
    pub fn fault(self) -> Fault {
        match self {
            Attack::Replayed => Fault::Replay,
            Attack::Flipped(_) | Attack::CutShort | Attack::WrongKey => Fault::Integrity,
            Attack::CutBehindIv => Fault::Length,
            Attack::WrongSpi => Fault::NoSa,
            Attack::InTheClear => Fault::Unprotected,
            Attack::OutsidePolicy => Fault::NoPolicy,
            Attack::OutsideSelector => Fault::Selector,
            Attack::TunnelSource => Fault::OuterSource,
            Attack::WrongEncapsulation => Fault::Encapsulation,
        }
    }

    /// What our end and the peer are told, from what both should be told.
    fn sites(self, right: &Site) -> (Site, Site) {
        let (mut ours, mut peers) = (right.clone(), right.clone());
        match self {
            Attack::WrongKey => peers
                .sas
                .iter_mut()
                .for_each(|sa| sa.set_keys(u64::from(sa.spi) << 32)),
            Attack::InTheClear => peers = Site::default(),
            Attack::OutsidePolicy => ours
                .policies
                .iter_mut()
                .for_each(|policy| policy.upper = Upper::Tcp(7)),
            Attack::OutsideSelector => {
                for sa in &mut ours.sas {
                    sa.selector = Some((End::stranger(sa.outer()), sa.destination));
                }
            }
            Attack::TunnelSource => move_peer(&mut peers),
            Attack::WrongEncapsulation => {
                for sa in &mut peers.sas {
                    sa.encapsulation = match sa.encapsulation {
                        Encapsulation::None => Encapsulation::Udp,
                        Encapsulation::Udp => Encapsulation::None,
                    };
                }
            }
            Attack::Replayed
            | Attack::Flipped(_)
            | Attack::CutBehindIv
            | Attack::CutShort
            | Attack::WrongSpi => {}
        }
        (ours, peers)
    }
}

/// The peer sends from an address of its own that the SAs do not name.
fn move_peer(site: &mut Site) {
    for sa in site.sas.iter_mut().filter(|sa| sa.from == End::Peer) {
        sa.source = End::stranger(sa.outer());
    }
    for policy in site
        .policies
        .iter_mut()
        .filter(|policy| policy.from == End::Peer)
    {
        let family = if policy.endpoints.0.is_ipv4() {
            Family::V4
        } else {
            Family::V6
        };
        policy.endpoints.0 = End::stranger(family);
    }
}

impl fmt::Display for Negative {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let attack = match self.attack {
            Attack::Replayed => "replayed",
            Attack::Flipped(Part::Sequence) => "bit flipped in the sequence number",
            Attack::Flipped(Part::Iv) => "bit flipped in the IV",
            Attack::Flipped(Part::Text) => "bit flipped in the text",
            Attack::Flipped(Part::Icv) => "bit flipped in the ICV",
            Attack::CutBehindIv => "truncated behind the IV",
            Attack::CutShort => "truncated by 16 octets",
            Attack::WrongKey => "wrong key",
            Attack::WrongSpi => "wrong SPI",
            Attack::InTheClear => "clear where protected",
            Attack::OutsidePolicy => "inner packet that no policy lets in",
            Attack::OutsideSelector => "inner packet outside the SA's selector",
            Attack::TunnelSource => "wrong tunnel source",
            Attack::WrongEncapsulation => "wrong encapsulation",
        };
        write!(f, "refused: {attack}, {}", self.scene)
    }
}

impl fmt::Display for Scene {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mode = match self.mode {
            Mode::Transport => "transport",
            Mode::Tunnel => "tunnel",
        };
        let udp = match self.encapsulation {
            Encapsulation::None => "",
            Encapsulation::Udp => " udp",
        };
        write!(f, "{mode} {}{udp}", self.family)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn there_are_enough_rows_with_names_of_their_own() {
        let names: BTreeSet<String> = rows().iter().map(Negative::to_string).collect();
        assert_eq!(names.len(), rows().len());
        assert!(names.len() >= 40);
    }

    #[test]
    fn what_the_peer_is_told_differs_only_where_the_peer_is_at_fault() {
        let scene = Scene {
            family: Family::V6,
            mode: Mode::Tunnel,
            encapsulation: Encapsulation::Udp,
        };
        let right = scene.row().unwrap().site(1);
        let differs = |attack: Attack| {
            let (ours, peers) = attack.sites(&right);
            (
                ours.setkey(End::Ours) != right.setkey(End::Ours),
                peers.setkey(End::Peer) != right.setkey(End::Peer),
            )
        };
        assert_eq!(differs(Attack::Replayed), (false, false));
        assert_eq!(differs(Attack::WrongKey), (false, true));
        assert_eq!(differs(Attack::InTheClear), (false, true));
        assert_eq!(differs(Attack::TunnelSource), (false, true));
        assert_eq!(differs(Attack::WrongEncapsulation), (false, true));
        assert_eq!(differs(Attack::OutsidePolicy), (true, false));
        assert_eq!(differs(Attack::OutsideSelector), (true, false));
    }
}
