//! Random configuration: SAs, and policies that (mostly) fit them.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use sealway_core::sad::{
    DontFragmentRule, Lifetime, Lifetimes, Peer, Protocol, Reserved, SaConfig, SaId, SaMode,
    SequenceRules, Spi, UdpEncapsulation, WindowSize,
};
use sealway_core::selector::{AddressRange, Selector, Upper};
use sealway_core::spd::{Action, Direction, Level, Mode, PolicyConfig, Template};
use sealway_crypto::{SecretKey, Sequence, Suite};

use crate::dice::Dice;
use crate::world::{Family, Side, behind, own};

/// Traffic from one side to the other, and what is to protect it.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where it comes from.
    pub from: Side,
    /// Which traffic.
    pub selector: Selector,
    /// Source and destination, if the SAs' mode fixes them.
    pub ends: Option<(IpAddr, IpAddr)>,
    /// What it goes through, the innermost first.
    pub templates: Vec<Template>,
    /// SAs that serve the templates.
    pub sas: Vec<SaConfig>,
}

/// The SPIs of a run's SAs: few, so that attackers and mistakes hit some.
const SPIS: RangeInclusive<usize> = 0x100..=0x130;

impl Plan {
    /// A random one.
    pub fn random(dice: &mut Dice) -> Plan {
        let from = *dice.one(&[Side::Left, Side::Right]);
        let shape = dice.weighted(&[
            (40, &[SaMode::Tunnel][..]),
            (35, &[SaMode::Transport]),
            (10, &[SaMode::Transport, SaMode::Tunnel]),
            (6, &[SaMode::Tunnel, SaMode::Tunnel]),
            (4, &[SaMode::Tunnel, SaMode::Transport]),
            (3, &[SaMode::Transport, SaMode::Transport]),
        ]);
        let family = Family::any(dice);
        let mut ends = (own(dice, from, family), own(dice, from.other(), family));
        let fixed = (shape[0] == SaMode::Transport).then_some(ends);
        let (mut templates, mut sas) = (Vec::new(), Vec::new());
        for mode in shape {
            if *mode == SaMode::Tunnel {
                let family = Family::any(dice);
                ends = (own(dice, from, family), own(dice, from.other(), family));
            }
            let sa = random_sa(dice, *mode, ends);
            templates.push(template_for(dice, &sa, *mode));
            if dice.percent(10) {
                sas.push(random_sa(dice, *mode, ends));
            }
            sas.push(sa);
        }
        Plan {
            from,
            selector: random_selector(dice, from, family, fixed),
            ends: fixed,
            templates,
            sas,
        }
    }

    /// The policy that sends the traffic on its way, or demands that it came so.
    pub fn policy(&self, dice: &mut Dice, direction: Direction) -> PolicyConfig {
        let mut templates = self.templates.clone();
        for template in &mut templates {
            let is_tunnel = template.mode != Mode::Transport;
            if dice.percent(8) && !(is_tunnel && direction == Direction::Out) {
                template.level = Level::Use;
            }
            if dice.percent(3) {
                template.reqid = Some(dice.below(4) as u32);
            }
        }
        let action = dice.weighted(&[(90, 0), (5, 1), (5, 2)]);
        PolicyConfig {
            direction,
            selector: self.selector.clone(),
            priority: dice.below(4) as u32,
            action: match action {
                0 => Action::Protect(templates),
                1 => Action::Bypass,
                _ => Action::Discard,
            },
        }
    }
}

/// A policy of no plan: selectors of every shape, any action.
pub fn stray_policy(dice: &mut Dice) -> PolicyConfig {
    let from = *dice.one(&[Side::Left, Side::Right]);
    let family = Family::any(dice);
    let direction = *dice.one(&Direction::ALL);
    let template = Template {
        protocol: *dice.one(&[Protocol::Esp, Protocol::Esp, Protocol::Esp, Protocol::Ah]),
        mode: match dice.percent(50) {
            true => Mode::Transport,
            false => Mode::Tunnel {
                source: own(dice, from, family),
                destination: own(dice, from.other(), Family::V4),
            },
        },
        level: *dice.one(&[Level::Use, Level::Require, Level::Unique]),
        reqid: dice.percent(50).then(|| dice.below(4) as u32),
    };
    let count = dice.weighted(&[(80, 1), (10, 2), (5, 0), (5, 5)]);
    PolicyConfig {
        direction,
        selector: random_selector(dice, from, family, None),
        priority: dice.below(5) as u32,
        action: match dice.below(4) {
            0 => Action::Protect(vec![template; count]),
            1 => Action::Discard,
            _ => Action::Bypass,
        },
    }
}

fn template_for(dice: &mut Dice, sa: &SaConfig, mode: SaMode) -> Template {
    let reqid = (sa.reqid != 0 && dice.percent(80)).then_some(sa.reqid);
    let unique = reqid.map_or(Level::Require, |_| Level::Unique);
    Template {
        protocol: sa.id.protocol,
        mode: match mode {
            SaMode::Transport => Mode::Transport,
            SaMode::Tunnel | SaMode::Any => Mode::Tunnel {
                source: sa.source,
                destination: sa.id.destination,
            },
        },
        level: dice.weighted(&[(70, Level::Require), (28, unique), (2, Level::Unique)]),
        reqid,
    }
}

fn random_suite(dice: &mut Dice) -> Suite {
    let name = dice.weighted(&[
        (30, "aes-128-gcm-16"),
        (15, "null+hmac-sha1-96"),
        (15, "aes-128-cbc+hmac-sha2-256-128"),
        (10, "chacha20-poly1305"),
        (5, "aes-128-gmac"),
        (5, "aes-256-ccm-8"),
        (5, "null+aes-xcbc-96"),
        (15, ""),
    ]);
    let suites: Vec<Suite> = Suite::all().collect();
    name.parse().unwrap_or_else(|_| *dice.one(&suites))
}

/// An SA between two ends, of every kind there is.
pub fn random_sa(dice: &mut Dice, mode: SaMode, ends: (IpAddr, IpAddr)) -> SaConfig {
    let suite = random_suite(dice);
    let form = *dice.one(&[Sequence::Short, Sequence::Short, Sequence::Extended]);
    let window = dice.weighted(&[
        (40, 1024),
        (20, 32),
        (15, 64),
        (10, 1),
        (5, 65_536),
        (10, 0),
    ]);
    let start = match form {
        Sequence::Short => dice.weighted(&[(80, 0), (10, 1 << 20), (10, 0xffff_fff0)]),
        Sequence::Extended => dice.weighted(&[(40, 0), (40, 0xffff_fff0), (20, 0x5_0000_0000)]),
    };
    let nat = dice.percent(20);
    let family = Family::of(ends.0);
    let selector = dice.percent(15).then(|| {
        let from = *dice.one(&[Side::Left, Side::Right]);
        let fixed = (mode == SaMode::Transport && dice.percent(80)).then_some(ends);
        random_selector(dice, from, family, fixed)
    });
    SaConfig {
        id: SaId {
            destination: ends.1,
            protocol: Protocol::Esp,
            spi: random_spi(dice),
        },
        source: ends.0,
        mode: if dice.percent(15) { SaMode::Any } else { mode },
        suite,
        encryption_key: SecretKey::new(dice.octets(suite.key_octets())),
        authentication_key: SecretKey::new(dice.octets(suite.authentication_key_octets())),
        sequence: SequenceRules {
            form,
            window: match form {
                Sequence::Short => WindowSize::new(window),
                Sequence::Extended => Some(WindowSize::new(window).unwrap_or(WindowSize::DEFAULT)),
            },
            start,
        },
        encapsulation: nat.then(|| UdpEncapsulation {
            source: 4500,
            destination: *dice.one(&[4500, 4500, 4501]),
            peer: *dice.one(&[Peer::Stays, Peer::Roams, Peer::Roams]),
        }),
        reqid: dice.below(4) as u32,
        selector,
        dont_fragment: *dice.one(&[
            DontFragmentRule::Copy,
            DontFragmentRule::Copy,
            DontFragmentRule::Set,
            DontFragmentRule::Clear,
        ]),
        before_nat: None,
        lifetimes: Lifetimes {
            hard: random_lifetime(dice),
            soft: random_lifetime(dice),
        },
    }
}

/// Mostly none; otherwise short, so that runs live to see its end.
fn random_lifetime(dice: &mut Dice) -> Lifetime {
    let mut lifetime = Lifetime::default();
    match dice.below(45) {
        0 => lifetime.octets = Some(dice.between(0, 20_000) as u64),
        1 => lifetime.packets = Some(dice.between(1, 50) as u64),
        2 => lifetime.since_added = Some(Duration::from_secs(dice.between(1, 60) as u64)),
        3 => lifetime.since_used = Some(Duration::from_secs(dice.between(1, 60) as u64)),
        _ => {}
    }
    lifetime
}

/// What storage may have reserved for an SA with this start: a few numbers, or many.
pub fn random_reserved(dice: &mut Dice, start: u64) -> Reserved {
    let mut up_to = || {
        let few = dice.below(60) as u64;
        start.saturating_add(dice.weighted(&[(30, few), (50, 2000), (20, 1 << 33)]))
    };
    Reserved {
        send: up_to(),
        receive: up_to(),
    }
}

fn random_spi(dice: &mut Dice) -> Spi {
    let value = dice.between(*SPIS.start(), *SPIS.end()) as u32;
    Spi::new(value).unwrap_or_else(|_| unreachable!("all are above 255"))
}

/// Traffic from a side to the other, or nearly so.
fn random_selector(
    dice: &mut Dice,
    from: Side,
    family: Family,
    fixed: Option<(IpAddr, IpAddr)>,
) -> Selector {
    let source = random_range(dice, from, family, fixed.map(|ends| ends.0));
    let destination = random_range(dice, from.other(), family, fixed.map(|ends| ends.1));
    let upper = random_upper(dice, family);
    Selector::new(source, destination, upper)
        .unwrap_or_else(|_| unreachable!("both ranges are of one family"))
}

fn random_range(
    dice: &mut Dice,
    side: Side,
    family: Family,
    around: Option<IpAddr>,
) -> AddressRange {
    let address = around.unwrap_or_else(|| behind(dice, side, family));
    let width = match family {
        Family::V4 => 32,
        Family::V6 => 128,
    };
    let length = match family {
        Family::V4 => dice.weighted(&[(20, 0), (10, 8), (40, 16), (10, 30), (20, 32)]),
        Family::V6 => dice.weighted(&[(20, 0), (10, 16), (40, 32), (10, 126), (20, 128)]),
    };
    debug_assert!(length <= width);
    let made = match dice.percent(15) {
        true => AddressRange::range(address, side.host(family, 3).max(address)),
        false => AddressRange::prefix(address, length),
    };
    made.unwrap_or_else(|_| AddressRange::host(address))
}

fn random_upper(dice: &mut Dice, family: Family) -> Upper {
    let icmp = match family {
        Family::V4 => 1,
        Family::V6 => 58,
    };
    let protocol = *dice.one(&[6, 17, 17, icmp, icmp, 50, 47, 132, 135]);
    match dice.weighted(&[(60, 0), (15, 1), (25, 2)]) {
        0 => Upper::Any,
        1 => Upper::Protocol(protocol),
        _ => Upper::Words {
            protocol,
            first: random_words(dice),
            second: random_words(dice),
        },
    }
}

fn random_words(dice: &mut Dice) -> RangeInclusive<u16> {
    match dice.below(5) {
        0 | 1 => 0..=u16::MAX,
        2 => 0..=1024,
        3 => 53..=53,
        _ => 8..=4000,
    }
}
